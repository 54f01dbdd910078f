// common/text.h -- growing text, for the front ends.
//
// A front end that runs out of memory for its own few strings says so in one sentence and ends (exit code 1); the
// library never does. Its names, and those of json.h, begin with app_ because the library, which is linked statically,
// has texts of its own.
#ifndef APPS_TEXT_H
#define APPS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__MINGW32__)
#define TEXT_PRINTF(format_index, first_arg) __attribute__((format(gnu_printf, format_index, first_arg)))
#else
#define TEXT_PRINTF(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))
#endif

// Zeroed is empty. `data` is terminated as soon as anything was appended, else NULL; see app_app_text_of().
struct text {
    char *data;
    size_t size, capacity; // bytes, the terminator not counted in size
};

void app_text_free(struct text *text);            // and zeroes it; what is freed may be used again
void app_text_clear(struct text *text);           // keeps the memory
const char *app_text_of(const struct text *text); // never NULL
char *app_text_take(struct text *text);           // the bytes, now the caller's to free(); leaves it empty; never NULL
void app_text_reserve(struct text *text, size_t n); // room for n more bytes
void app_text_append(struct text *text, const char *bytes, size_t size);
void app_text_add(struct text *text, const char *string);
void app_text_format(struct text *text, const char *format, ...) TEXT_PRINTF(2, 3);

// A JSON string in quotes. Quotes, backslashes and control characters are escaped, everything else stays as it is.
void app_text_json(struct text *text, const char *bytes, size_t size);
// A JSON number; null where JSON has none (infinities, NaN).
void app_text_json_number(struct text *text, double value);

// Whether `word` is one of the words of `list`, which are separated by commas. A list of NULL is empty.
bool app_text_lists(const char *list, const char *word);

// Number of bytes at the start that are valid UTF-8; equal to `size` when all are.
size_t app_text_utf8_prefix(const char *bytes, size_t size);

// Neither infinite nor NaN. (mingw's isfinite() warns when it is given a double.)
bool app_number_is_finite(double value);

// malloc, calloc and realloc that end the program instead of returning NULL.
void *app_memory_new(size_t count, size_t size); // zeroed
void *app_memory_resize(void *memory, size_t count, size_t size);
char *app_memory_copy(const char *bytes, size_t size); // terminated

#endif
