// tests/unit/test_json.c -- the JSON reader, its refusals, and what is written.
#include "text/json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "test.h"

struct row {
    const char *document;
    const char *expected; // what writing the value gives, or how the refusal begins
};

static void check_rewritten(struct test *t, struct span document, const char *expected)
{
    struct arena arena = { 0 };
    struct text text = { 0 };
    struct karat_error err = { 0 };
    struct json *value = NULL;
    if (test_check(t, json_parse(&value, &arena, document, NULL, &err) == KARAT_OK, __FILE__, __LINE__, "%s",
                   err.text)) {
        text_append_json(&text, value);
        CHECK_TEXT(text.data, expected);
    }
    text_free(&text);
    arena_free(&arena);
}

TEST(values_are_written_as_they_were_read)
{
    static const struct row rows[] = {
        { "null", "null" },
        { " true ", "true" },
        { "[false,\t[ ] , {}\r\n]", "[false,[],{}]" },
        { "123456789012345678901234567890", "123456789012345678901234567890" },
        { "[-0,0.10,1E+5,-2.5e-3]", "[-0,0.10,1E+5,-2.5e-3]" },
        { "\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\"", "\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\"" },
        { "\"\\u00e9\\u4e16\\ud83d\\ude80\"", "\"\xC3\xA9\xE4\xB8\x96\xF0\x9F\x9A\x80\"" },
        { "\"\\u0000\\u001f\\u007f\"", "\"\\u0000\\u001f\\u007f\"" },
        { "{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}" },
        { "{\"\":1}", "{\"\":1}" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        t->row = rows[i].document;
        check_rewritten(t, span_text(rows[i].document), rows[i].expected);
    }
}

TEST(of_members_with_the_same_name_the_last_value_wins_in_the_first_place)
{
    check_rewritten(t, span_text("{\"a\":1,\"b\":2,\"a\":3,\"c\":4,\"b\":5,\"a\":6}"), "{\"a\":6,\"b\":5,\"c\":4}");
}

TEST(what_is_not_json_is_refused_with_its_place)
{
    static const struct row rows[] = {
        { "", "JSON line 1, column 1: expected a value, found the end" },
        { "[1,\n 2,]", "JSON line 2, column 4: expected a value, found ']'" },
        { "{\"a\":1,}", "JSON line 1, column 8: expected a member name in quotes, found '}'" },
        { "{a:1}", "JSON line 1, column 2: expected a member name" },
        { "{\"a\" 1}", "JSON line 1, column 6: expected ':'" },
        { "{\"a\":1 \"b\":2}", "JSON line 1, column 8: expected ',' or '}'" },
        { "[1 2]", "JSON line 1, column 4: expected ',' or ']'" },
        { "[1}", "JSON line 1, column 3: expected ',' or ']'" },
        { "01", "JSON line 1, column 1: a number may not begin with 0" },
        { "-", "JSON line 1, column 2: expected a digit" },
        { "1.", "JSON line 1, column 3: expected a digit after the point" },
        { "1e+", "JSON line 1, column 4: expected a digit in the exponent" },
        { "+1", "JSON line 1, column 1: expected a value" },
        { "NaN", "JSON line 1, column 1: expected a value" },
        { "nul", "JSON line 1, column 1: expected a value" },
        { "1 1", "JSON line 1, column 3: expected the end of the document" },
        { "\"a", "JSON line 1, column 3: expected the end of a string" },
        { "\"a\\", "JSON line 1, column 4: expected an escape" },
        { "\"a\nb\"", "JSON line 1, column 3: a control character inside a string must be escaped, found U+000A" },
        { "\"\\x41\"", "JSON line 1, column 3: expected an escape" },
        { "\"\\u12g4\"", "JSON line 1, column 3: an escape \\u needs four hexadecimal digits" },
        { "\"\\ud83d\"", "JSON line 1, column 3: a lone surrogate" },
        { "\"\\ud83d\\u0041\"", "JSON line 1, column 3: a lone surrogate" },
        { "\"\\ude80\\ud83d\"", "JSON line 1, column 3: a lone surrogate" },
        { "\"\xFF\"", "JSON line 1, column 2: the document is not UTF-8, found byte 0xFF" },
        { "\xEF\xBB\xBF{}", "JSON line 1, column 1: expected a value, found U+FEFF" },
        { "'a'", "JSON line 1, column 1: expected a value" },
        { "[1] // two", "JSON line 1, column 5: expected the end" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct arena arena = { 0 };
        struct karat_error err = { 0 };
        struct json *value = NULL;
        t->row = rows[i].document;
        CHECK_UINT(json_parse(&value, &arena, span_text(rows[i].document), NULL, &err), KARAT_ERR_FORMAT);
        test_check(t, strncmp(err.text, rows[i].expected, strlen(rows[i].expected)) == 0, __FILE__, __LINE__,
                   "the sentence is \"%s\", expected \"%s...\"", err.text, rows[i].expected);
        CHECK(value == NULL);
        arena_free(&arena);
    }
}

static enum karat_status parse_nested(unsigned depth, const struct json_limits *limits)
{
    struct arena arena = { 0 };
    struct json *value = NULL;
    struct text text = { 0 };
    for (unsigned i = 0; i < depth; ++i)
        text_append_string(&text, i % 2 ? "{\"a\":" : "[");
    text_append_string(&text, "1");
    for (unsigned i = depth; i > 0; --i)
        text_append_char(&text, i % 2 ? ']' : '}');
    const enum karat_status status = json_parse(&value, &arena, text_span(&text), limits, NULL);
    text_free(&text);
    arena_free(&arena);
    return status;
}

TEST(depth_and_size_are_limited)
{
    CHECK_UINT(parse_nested(JSON_DEPTH_MAX, NULL), KARAT_OK);
    CHECK_UINT(parse_nested(JSON_DEPTH_MAX + 1, NULL), KARAT_ERR_UNSUPPORTED);
    CHECK_UINT(parse_nested(4, &(struct json_limits){ .depth_max = 3 }), KARAT_ERR_UNSUPPORTED);
    CHECK_UINT(parse_nested(1, &(struct json_limits){ .size_bytes_max = 3 }), KARAT_OK);
    CHECK_UINT(parse_nested(1, &(struct json_limits){ .size_bytes_max = 2 }), KARAT_ERR_UNSUPPORTED);
}

TEST(doubles_are_written_in_the_shortest_form_that_reads_back)
{
    static const struct {
        double number;
        const char *expected;
    } rows[] = {
        { 0.0, "0.0" },
        { -0.0, "-0.0" },
        { 1.0, "1.0" },
        { 49.5, "49.5" },
        { 0.1, "0.1" },
        { 1e-07, "1e-07" },
        { 1e22, "1e+22" },
        { 1e15, "1000000000000000.0" },
        { 1e16, "1e+16" },
        { 0.0001, "0.0001" },
        { 0.00001, "1e-05" },
        { 5e-324, "5e-324" },
        { -123456.789, "-123456.789" },
        { 1e308 * 10, "inf" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 1.0 / 3, "0.3333333333333333" },
        { 9007199254740993.0, "9007199254740992.0" },
        { 2.5e-5, "2.5e-05" },
        { 100000.0, "100000.0" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct text text = { 0 };
        t->row = rows[i].expected;
        text_append_double(&text, rows[i].number);
        CHECK_TEXT(text.data, rows[i].expected);
        text_free(&text);
    }
}

TEST(random_doubles_survive_text)
{
    struct test_random random = { 7 };
    for (unsigned i = 0; i < 20000; ++i) {
        const uint64_t bits = (uint64_t)test_random_u32(&random) << 32 | test_random_u32(&random);
        double number = 0, back = 0;
        memcpy(&number, &bits, sizeof number);
        if (!isfinite(number))
            continue;
        struct text text = { 0 };
        text_append_double(&text, number);
        const struct json value = { .kind = JSON_NUMBER, .text = text_span(&text) };
        CHECK(json_get_double(&value, &back));
        test_check(t, back == number, __FILE__, __LINE__, "%.17g came back as %.17g", number, back);
        text_free(&text);
    }
}

TEST(numbers_do_not_depend_on_the_locale)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        SKIP("no locale with a decimal comma is installed");
    struct text text = { 0 };
    double number = 0;
    const struct json value = { .kind = JSON_NUMBER, .text = span_text("2.5") };
    text_append_double(&text, 49.5);
    CHECK_TEXT(text.data, "49.5");
    CHECK(json_get_double(&value, &number));
    CHECK_NEAR(number, 2.5, 0);
    text_free(&text);
    setlocale(LC_NUMERIC, "C");
}

TEST(typed_looks_refuse_other_kinds)
{
    struct arena arena = { 0 };
    struct json *value = NULL;
    struct karat_error err = { 0 };
    int64_t integer = 5;
    double number = 5;
    bool boolean = true;
    struct span string = { 0 };
    const char *document = "{\"i\":-9223372036854775808,\"big\":9223372036854775808,\"f\":1.0,\"s\":\"\\u0000x\","
                           "\"n\":null,\"o\":{\"x\":[]}}";
    REQUIRE_OK(json_parse(&value, &arena, span_text(document), NULL, &err), err);
    CHECK(json_get_int64(json_find(value, "i"), &integer) && integer == INT64_MIN);
    CHECK(!json_get_int64(json_find(value, "big"), &integer));
    CHECK(!json_get_int64(json_find(value, "f"), &integer));
    CHECK(!json_get_int64(json_find(value, "s"), &integer));
    CHECK(!json_get_bool(json_find(value, "i"), &boolean));
    CHECK(json_get_double(json_find(value, "f"), &number) && number == 1.0);
    CHECK(json_get_string(json_find(value, "s"), &string));
    CHECK_UINT(string.size_bytes, 2);
    CHECK(!json_truthy(json_find(json_find(value, "o"), "x")));
    CHECK(json_find(json_find(json_find(value, "missing"), "x"), "y") == NULL);
    arena_free(&arena);
}

static bool equal_documents(const char *a, const char *b)
{
    struct arena arena = { 0 };
    struct json *x = NULL, *y = NULL;
    const bool equal = json_parse(&x, &arena, span_text(a), NULL, NULL) == KARAT_OK &&
                       json_parse(&y, &arena, span_text(b), NULL, NULL) == KARAT_OK && json_equal(x, y);
    arena_free(&arena);
    return equal;
}

TEST(equality_ignores_order_of_members_and_spelling_of_numbers)
{
    CHECK(equal_documents("{\"a\":1,\"b\":[2,null]}", "{\"b\":[2.0,null],\"a\":1}"));
    CHECK(equal_documents("[1e2,-0]", "[100.0,0]"));
    CHECK(!equal_documents("[1,2]", "[2,1]"));
    CHECK(!equal_documents("{\"a\":1}", "{\"b\":1}"));
    CHECK(!equal_documents("9007199254740993", "9007199254740992"));
    CHECK(!equal_documents("\"1\"", "1"));
}

TEST(many_members_are_read_in_reasonable_time)
{
    struct arena arena = { 0 };
    struct text text = { 0 };
    struct json *value = NULL;
    struct karat_error err = { 0 };
    for (unsigned i = 0; i < 200000; ++i)
        text_append_format(&text, "%c\"k%u\":%u", i ? ',' : '{', i % 100000, i);
    text_append_string(&text, "}");
    REQUIRE_OK(json_parse(&value, &arena, text_span(&text), NULL, &err), err);
    CHECK_UINT(value->n_children, 100000);
    CHECK(span_is(value->first_child->text, "100000"));
    text_free(&text);
    arena_free(&arena);
}

TEST(a_text_that_hits_its_limit_fails_once_and_for_all)
{
    struct text text = { .limit_bytes = 4 };
    struct karat_error err = { 0 };
    text_append_string(&text, "abcd");
    CHECK_UINT(text_check(&text, "the text", &err), KARAT_OK);
    text_append_string(&text, "e");
    CHECK_UINT(text_check(&text, "the text", &err), KARAT_ERR_MEMORY);
    text_append_format(&text, "%d", 1);
    CHECK_TEXT(text.data, "abcd");
    CHECK(text_take(&text, NULL) == NULL);
    text_append_string(&text, "xy");
    size_t size = 0;
    char *taken = text_take(&text, &size);
    REQUIRE(taken != NULL);
    CHECK_TEXT(taken, "xy");
    CHECK_UINT(size, 2);
    free(taken);
}
