// common/text.c -- growing text, for the front ends.
#include "common/text.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (!memory) {
        fputs("karat: not enough memory for the program's own texts\n", stderr);
        exit(1);
    }
    return memory;
}

void *app_memory_new(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *app_memory_resize(void *memory, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return checked(NULL);
    return checked(realloc(memory, count > 0 && size > 0 ? count * size : 1));
}

char *app_memory_copy(const char *bytes, size_t size)
{
    char *copy = app_memory_new(size + 1, 1);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

void app_text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){ 0 };
}

void app_text_clear(struct text *text)
{
    text->size = 0;
    if (text->data)
        text->data[0] = '\0';
}

const char *app_text_of(const struct text *text)
{
    return text->data ? text->data : "";
}

char *app_text_take(struct text *text)
{
    char *data = text->data ? text->data : app_memory_copy("", 0);
    *text = (struct text){ 0 };
    return data;
}

void app_text_reserve(struct text *text, size_t n)
{
    if (n > SIZE_MAX / 4 - text->size)
        checked(NULL);
    const size_t wanted = text->size + n + 1;
    if (wanted <= text->capacity)
        return;
    text->capacity = wanted < 256 ? 256 : wanted + wanted / 2;
    text->data = app_memory_resize(text->data, text->capacity, 1);
}

void app_text_append(struct text *text, const char *bytes, size_t size)
{
    app_text_reserve(text, size);
    if (size)
        memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void app_text_add(struct text *text, const char *string)
{
    app_text_append(text, string, strlen(string));
}

void app_text_format(struct text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size > 0) {
        app_text_reserve(text, (size_t)size);
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

void app_text_json(struct text *text, const char *bytes, size_t size)
{
    app_text_add(text, "\"");
    for (size_t i = 0; i < size; ++i) {
        const unsigned char c = (unsigned char)bytes[i];
        if (c == '"' || c == '\\')
            app_text_format(text, "\\%c", c);
        else if (c == '\n')
            app_text_add(text, "\\n");
        else if (c == '\t')
            app_text_add(text, "\\t");
        else if (c < 0x20 || c == 0x7f)
            app_text_format(text, "\\u%04x", c);
        else
            app_text_append(text, bytes + i, 1);
    }
    app_text_add(text, "\"");
}

bool app_number_is_finite(double value)
{
    return fabs(value) <= DBL_MAX;
}

void app_text_json_number(struct text *text, double value)
{
    if (app_number_is_finite(value))
        app_text_format(text, "%.9g", value);
    else
        app_text_add(text, "null");
}

bool app_text_lists(const char *list, const char *word)
{
    const size_t size = strlen(word);
    while (list && *list) {
        const size_t n = strcspn(list, ",");
        if (n == size && memcmp(list, word, n) == 0)
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

size_t app_text_utf8_prefix(const char *bytes, size_t size)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t i = 0;
    while (i < size) {
        const unsigned char c = p[i];
        const size_t n = c < 0x80                ? 1
                         : c >= 0xc2 && c < 0xe0 ? 2
                         : (c & 0xf0) == 0xe0    ? 3
                         : c >= 0xf0 && c < 0xf5 ? 4
                                                 : 0;
        if (n == 0 || n > size - i)
            break;
        bool good = true;
        for (size_t k = 1; k < n; ++k)
            good = good && (p[i + k] & 0xc0) == 0x80;
        // Overlong forms, surrogates and what lies beyond U+10FFFF.
        if (n > 2) {
            const unsigned char next = p[i + 1];
            good = good && !(c == 0xe0 && next < 0xa0) && !(c == 0xed && next >= 0xa0) && !(c == 0xf0 && next < 0x90) &&
                   !(c == 0xf4 && next >= 0x90);
        }
        if (!good)
            break;
        i += n;
    }
    return i;
}
