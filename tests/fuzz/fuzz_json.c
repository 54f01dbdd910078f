// tests/fuzz/fuzz_json.c -- any bytes are refused in one sentence or are a value that survives writing and reading.
#include <stdlib.h>

#include "base/utf8.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_sentence(const struct karat_error *err)
{
    const size_t length = strlen(err->text);
    demand(length > 0 && utf8_valid(err->text, length, NULL));
}

static void check_value(struct arena *arena, const struct json *value)
{
    struct text once = { 0 }, twice = { 0 };
    struct json *back = NULL;
    text_append_json(&once, value);
    demand(json_parse(&back, arena, text_span(&once), NULL, NULL) == KARAT_OK);
    text_append_json(&twice, back);
    demand(span_equal(text_span(&once), text_span(&twice)));
    // Comparing looks members up one by one, so large objects are left out.
    if (once.size_bytes < 4096)
        demand(json_equal(value, back));
    text_free(&once);
    text_free(&twice);
}

static void check_number(const struct json *value)
{
    double number = 0, back = 0;
    int64_t integer = 0;
    struct text text = { 0 };
    if (!json_get_double(value, &number) || number - number != 0)
        return;
    json_get_int64(value, &integer);
    text_append_double(&text, number);
    const struct json written = { .kind = JSON_NUMBER, .text = text_span(&text) };
    demand(json_get_double(&written, &back) && back == number);
    text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = { 0 };
    struct json *value = NULL;
    struct karat_error err = { 0 };
    if (json_parse(&value, &arena, span_of(data, size), NULL, &err) == KARAT_OK) {
        check_value(&arena, value);
        check_number(value);
    } else {
        demand(value == NULL);
        check_sentence(&err);
    }
    arena_free(&arena);
    return 0;
}
