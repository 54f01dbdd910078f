// tests/unit/test_grammar.c -- what grammars of schemas, of GBNF and of calls accept and refuse, by bytes.
#include <stdlib.h>
#include <time.h>

#include "test.h"
#include "text/text.h"

#define TEXTS_MAX 12

struct row {
    const char *name, *grammar;
    const char *accepted[TEXTS_MAX], *refused[TEXTS_MAX];
};

enum verdict { VERDICT_REFUSED, VERDICT_CUT, VERDICT_WHOLE };

static enum verdict judge(struct matcher *matcher, const char *text)
{
    matcher_reset(matcher);
    if (!matcher_text(matcher, span_text(text)))
        return VERDICT_REFUSED;
    return matcher_is_complete(matcher) ? VERDICT_WHOLE : VERDICT_CUT;
}

static void check_row(struct test *t, const struct row *row, const struct grammar *grammar)
{
    struct matcher *matcher = NULL;
    struct karat_error err = { 0 };
    if (!test_check(t, matcher_create(&matcher, grammar, NULL, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text))
        return;
    for (size_t i = 0; i < TEXTS_MAX && row->accepted[i]; ++i)
        test_check(t, judge(matcher, row->accepted[i]) == VERDICT_WHOLE, __FILE__, __LINE__, "refuses %s",
                   row->accepted[i]);
    for (size_t i = 0; i < TEXTS_MAX && row->refused[i]; ++i)
        test_check(t, judge(matcher, row->refused[i]) != VERDICT_WHOLE, __FILE__, __LINE__, "accepts %s",
                   row->refused[i]);
    matcher_destroy(matcher);
}

typedef enum karat_status compile_fn(struct grammar **out, struct span text, struct karat_error *err);

static void check_rows(struct test *t, const struct row *rows, size_t n, compile_fn *compile)
{
    for (size_t i = 0; i < n; ++i) {
        struct grammar *grammar = NULL;
        struct karat_error err = { 0 };
        t->row = rows[i].name;
        if (test_check(t, compile(&grammar, span_text(rows[i].grammar), &err) == KARAT_OK, __FILE__, __LINE__, "%s",
                       err.text))
            check_row(t, &rows[i], grammar);
        grammar_destroy(grammar);
    }
    t->row = NULL;
}

struct bad_row {
    const char *grammar;
    enum karat_status status;
    const char *sentence;
};

static void check_bad_rows(struct test *t, const struct bad_row *rows, size_t n, compile_fn *compile)
{
    for (size_t i = 0; i < n; ++i) {
        struct grammar *grammar = NULL;
        struct karat_error err = { 0 };
        t->row = rows[i].grammar;
        CHECK_UINT(compile(&grammar, span_text(rows[i].grammar), &err), rows[i].status);
        CHECK_TEXT(err.text, rows[i].sentence);
        CHECK(!grammar);
        grammar_destroy(grammar);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ schemas

static const struct row scalars[] = {
    { "null", "{\"type\":\"null\"}", { "null" }, { "nul", "nulll", "true", "" } },
    { "boolean", "{\"type\":\"boolean\"}", { "true", "false" }, { "True", "null", "1" } },
    { "integer",
      "{\"type\":\"integer\"}",
      { "0", "7", "-7", "123456789012345" },
      { "-0", "01", "1.0", "1e3", "+1", "1234567890123456", "-", "" } },
    { "number",
      "{\"type\":\"number\"}",
      { "0", "-1", "0.5", "-0.25", "12.75e10", "1E-05", "3e7", "0.0", "-0.00001", "12345678.1234567" },
      { "12345678.12345678", "-0", "-0.0", ".5", "1.", "1e", "1e123", "01.5", "NaN" } },
    { "two types", "{\"type\":[\"string\",\"null\"]}", { "\"\"", "null", "\"null\"" }, { "1", "true" } },
    { "integer and number are number", "{\"type\":[\"integer\",\"number\"]}", { "1", "1.5" }, { "\"1\"" } },
};

static const struct row bounds[] = {
    { "0 to 10",
      "{\"type\":\"integer\",\"minimum\":0,\"maximum\":10}",
      { "0", "1", "9", "10" },
      { "-1", "11", "100", "00", "20" } },
    { "-12 to 345",
      "{\"type\":\"integer\",\"minimum\":-12,\"maximum\":345}",
      { "-12", "-9", "-1", "0", "99", "345", "344", "299" },
      { "-13", "-20", "346", "400", "1000", "-0" } },
    { "exclusive",
      "{\"type\":\"integer\",\"exclusiveMinimum\":5,\"exclusiveMaximum\":8}",
      { "6", "7" },
      { "5", "8", "60", "-6" } },
    { "draft 4 exclusive",
      "{\"type\":\"integer\",\"minimum\":5,\"exclusiveMinimum\":true,\"maximum\":7}",
      { "6", "7" },
      { "5", "8" } },
    { "fractions bound integers",
      "{\"type\":\"integer\",\"minimum\":1.5,\"maximum\":3.5}",
      { "2", "3" },
      { "1", "4" } },
    { "negative fractions bound integers",
      "{\"type\":\"integer\",\"minimum\":-3.5,\"maximum\":-1.5}",
      { "-2", "-3" },
      { "-1", "-4", "2", "0" } },
    { "from 1e3", "{\"type\":\"integer\",\"minimum\":1e3}", { "1000", "99999" }, { "999", "-1000", "1" } },
    { "probability",
      "{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
      { "0", "1", "0.0", "0.5", "0.999999", "1.0", "1.000" },
      { "1.1", "-0.5", "2", "1.0001", "0.5e1", "10" } },
    { "open interval",
      "{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}",
      { "0.1", "0.0001", "0.99" },
      { "0", "0.0", "1", "1.0", "-0.1" } },
    { "between fractions",
      "{\"type\":\"number\",\"minimum\":-1.25,\"maximum\":2.5}",
      { "-1.25", "-1.2", "-1", "-0.3", "0", "2", "2.5", "2.49", "2.50" },
      { "-1.26", "-1.3", "-2", "2.51", "2.6", "3" } },
    { "beyond 500, as far as a double sees",
      "{\"type\":\"number\",\"exclusiveMinimum\":500,\"maximum\":505}",
      { "500.000000000001", "504.999999999999", "505" },
      { "500", "500.000000000000", "500.0000000000001", "505.000000000001" } },
    { "below -500, as far as a double sees",
      "{\"type\":\"number\",\"exclusiveMaximum\":-500}",
      { "-500.000000000001", "-12345678901234.5", "-999999999999999" },
      { "-500", "-500.0000000000001", "-499.9", "-1234567890123456", "-123456789012345.5" } },
    { "at least 0.1", "{\"type\":\"number\",\"minimum\":0.1}", { "0.1", "0.10", "1", "500.5" }, { "0", "0.09", "-1" } },
};

static const struct row strings[] = {
    { "any",
      "{\"type\":\"string\"}",
      { "\"\"", "\"a b\"", "\"\\n\\\"\\\\\\u00e9\"", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"" },
      { "\"", "a", "\"\n\"", "\"\\x\"", "\"\\ud800\"", "\"\xC3\"", "\"\xED\xA0\x80\"", "\"\xC0\x80\"", "\"\" " } },
    { "2 to 3 characters",
      "{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
      { "\"ab\"", "\"abc\"", "\"\xE2\x82\xAC\xC3\xA9\xF0\x9F\x98\x80\"", "\"\\u0041\\n\"" },
      { "\"\"", "\"a\"", "\"abcd\"", "\"\\u0041\"" } },
    { "pattern",
      "{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-[0-9]+$\"}",
      { "\"AB-1\"", "\"XY-0099\"" },
      { "\"AB-\"", "\"ab-1\"", "\"AAB-1\"", "\"AB-1 \"" } },
    { "pattern anywhere", "{\"pattern\":\"cat\"}", { "\"cat\"", "\"a cat!\"", "\"ccat\"" }, { "\"dog\"", "\"ca\"" } },
    { "pattern choices",
      "{\"pattern\":\"^(a|b)c?$|^x\"}",
      { "\"a\"", "\"bc\"", "\"xyz\"", "\"x\"" },
      { "\"c\"", "\"acc\"", "\"ax\"" } },
    { "pattern escapes",
      "{\"pattern\":\"^\\\\d\\\\w\\\\s[^a-y]\\\\.\\\\u{1F600}$\"}",
      { "\"1_ z.\xF0\x9F\x98\x80\"", "\"1_ \\\".\xF0\x9F\x98\x80\"", "\"1_\\tz.\xF0\x9F\x98\x80\"" },
      { "\"1_ a.\xF0\x9F\x98\x80\"", "\"1_ zx\xF0\x9F\x98\x80\"" } },
    { "pattern of quotes", "{\"pattern\":\"^\\\"\\\\\\\\$\"}", { "\"\\\"\\\\\"" }, { "\"\"\"", "\"\\\\\"" } },
    { "pattern and length",
      "{\"pattern\":\"^[a-z]+$\",\"minLength\":2,\"maxLength\":4}",
      { "\"ab\"", "\"abcd\"" },
      { "\"a\"", "\"abcde\"", "\"AB\"" } },
    { "pattern of a settled length", "{\"pattern\":\"^[a-z]{3}$\",\"maxLength\":4}", { "\"abc\"" }, { "\"ab\"" } },
    { "dot", "{\"pattern\":\"^.$\"}", { "\"a\"", "\"\\\"\"", "\"\\u0001\"" }, { "\"\\n\"", "\"ab\"", "\"\"" } },
    { "date",
      "{\"format\":\"date\"}",
      { "\"2024-02-29\"", "\"1999-12-31\"", "\"2023-04-30\"" },
      { "\"2023-02-29\"", "\"2023-04-31\"", "\"2023-13-01\"", "\"2023-1-1\"", "\"2023-00-10\"" } },
    { "date-time",
      "{\"format\":\"date-time\"}",
      { "\"2024-01-31T23:59:59Z\"", "\"2024-01-31T00:00:00.125+02:00\"" },
      { "\"2024-01-31\"", "\"2024-01-31T24:00:00Z\"", "\"2024-01-31T23:59:59\"" } },
    { "uuid",
      "{\"format\":\"uuid\"}",
      { "\"01234567-89ab-cdef-0123-456789abcdef\"" },
      { "\"0123456789abcdef0123456789abcdef\"" } },
    { "email", "{\"format\":\"email\"}", { "\"a.b@example.org\"" }, { "\"a@b\"", "\"@example.org\"", "\"a b@c.de\"" } },
    { "ipv4", "{\"format\":\"ipv4\"}", { "\"127.0.0.1\"", "\"255.249.10.0\"" }, { "\"256.1.1.1\"", "\"1.1.1\"" } },
    { "password is any text", "{\"format\":\"password\"}", { "\"x y\"" }, { "1" } },
};

static const struct row values[] = {
    { "enum",
      "{\"enum\":[\"a\",\"ab\",1,null,true,[1,\"x\"],{\"k\":2}]}",
      { "\"a\"", "\"ab\"", "1", "null", "true", "[1,\"x\"]", "[1, \"x\"]", "{\"k\":2}" },
      { "\"b\"", "\"abc\"", "2", "[1]", "{}", "[1,  \"x\"]" } },
    { "enum within a type", "{\"type\":\"string\",\"enum\":[\"a\",1,null]}", { "\"a\"" }, { "1", "null" } },
    { "integers in an enum", "{\"type\":\"integer\",\"enum\":[1,2.0,2.5]}", { "1", "2.0" }, { "2.5" } },
    { "const", "{\"const\":\"a\\\"b\\n\\u0001\"}", { "\"a\\\"b\\n\\u0001\"" }, { "\"ab\"" } },
    { "const and enum", "{\"const\":1,\"enum\":[1,2]}", { "1" }, { "2" } },
    { "anything",
      "true",
      { "1", "null", "\"x\"", "[]", "{}", "[1,[2,{\"a\":[]}]]", "{\"a\":1, \"b\": {}}" },
      { "[1,]", "{\"a\"}", "{a:1}", "[1 ,2]", "x", "{ }", "" } },
    { "an empty schema", "{\"title\":\"x\",\"default\":3,\"x-mine\":{}}", { "1", "{}" }, { "" } },
    { "anyOf", "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"boolean\"}]}", { "1", "true" }, { "\"1\"", "null" } },
    { "anyOf beside a keyword",
      "{\"type\":\"integer\",\"maximum\":9,\"anyOf\":[{\"minimum\":5},{\"maximum\":2,\"minimum\":0}]}",
      { "5", "9", "2", "0" },
      { "3", "4", "10", "-1" } },
    { "oneOf of types",
      "{\"oneOf\":[{\"type\":\"string\",\"maxLength\":1},{\"type\":\"null\"}]}",
      { "\"x\"", "null" },
      { "\"xx\"" } },
    { "oneOf by a member",
      "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"a\"},\"x\":{\"type\":\"integer\"}},"
      "\"required\":[\"kind\",\"x\"]},{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"b\"}},\"required\":["
      "\"kind\"]}]}",
      { "{\"kind\":\"a\",\"x\":1}", "{\"kind\":\"b\"}" },
      { "{\"kind\":\"a\"}", "{\"kind\":\"c\"}", "{}" } },
    { "allOf",
      "{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},"
      "{\"properties\":{\"b\":{\"type\":\"null\"},\"a\":{\"minimum\":3}},\"required\":[\"b\"]}]}",
      { "{\"a\":3,\"b\":null}" },
      { "{\"a\":2,\"b\":null}", "{\"a\":3}", "{\"b\":null}" } },
    { "allOf of a closed object",
      "{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":false},"
      "{\"properties\":{\"b\":{\"const\":2}}}]}",
      { "{}", "{\"a\":1}" },
      { "{\"b\":2}", "{\"a\":1,\"b\":2}" } },
    { "allOf of numbers",
      "{\"allOf\":[{\"type\":\"number\",\"minimum\":2},{\"type\":\"integer\",\"minimum\":1,\"maximum\":3}]}",
      { "2", "3" },
      { "1", "4", "2.5" } },
    { "allOf of consts", "{\"allOf\":[{\"enum\":[1,2,3]},{\"const\":2}]}", { "2" }, { "1", "3" } },
    { "a type that cannot be in a choice",
      "{\"anyOf\":[false,{\"type\":\"string\",\"enum\":[1]},{\"const\":1}]}",
      { "1" },
      { "\"1\"" } },
};

static const struct row arrays[] = {
    { "integers",
      "{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}",
      { "[]", "[1]", "[1, 2,3]" },
      { "[\"a\"]", "[1" } },
    { "2 to 3",
      "{\"type\":\"array\",\"items\":{\"const\":1},\"minItems\":2,\"maxItems\":3}",
      { "[1,1]", "[1,1,1]" },
      { "[]", "[1]", "[1,1,1,1]" } },
    { "at most 0", "{\"type\":\"array\",\"maxItems\":0}", { "[]" }, { "[1]" } },
    { "at most 1", "{\"items\":{\"const\":1},\"maxItems\":1}", { "[]", "[1]" }, { "[1,1]" } },
    { "at least 1000000", "{\"items\":{\"const\":1},\"minItems\":1000000}", { NULL }, { "[]", "[1,1]" } },
    { "tuple",
      "{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":{\"const\":3},\"minItems\":1}",
      { "[1]", "[1,2]", "[1,2,3]", "[1,2,3,3]" },
      { "[]", "[2]", "[1,3]", "[1,2,2]" } },
    { "closed tuple of draft 7",
      "{\"items\":[{\"const\":1},{\"const\":2}],\"additionalItems\":false,\"minItems\":2}",
      { "[1,2]" },
      { "[1]", "[1,2,3]" } },
    { "tuple that is cut off",
      "{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"maxItems\":1}",
      { "[]", "[1]" },
      { "[1,2]" } },
    { "of anything", "{\"type\":\"array\"}", { "[]", "[1,\"x\",{}]" }, { "{}" } },
    { "impossible items", "{\"type\":\"array\",\"items\":false}", { "[]" }, { "[1]" } },
};

static const struct row objects[] = {
    { "required and optional",
      "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2},\"c\":{\"const\":3}},\"required\":["
      "\"b\"]}",
      { "{\"b\":2}", "{\"a\":1,\"b\":2}", "{\"b\":2,\"c\":3}", "{\"a\": 1, \"b\": 2, \"c\": 3}" },
      { "{}", "{\"a\":1}", "{\"b\":2,\"a\":1}", "{\"b\":2,}", "{,\"b\":2}", "{\"a\":1\"b\":2}",
        "{\"b\":2,\"c\":3,\"d\":4}", "{\"b\":2,\"b\":2}" } },
    { "all optional",
      "{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}}}",
      { "{}", "{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}" },
      { "{\"b\":2,\"a\":1}", "{\"a\":1,}" } },
    { "no members",
      "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}",
      { "{}" },
      { "{\"a\":1}" } },
    { "free", "{\"type\":\"object\"}", { "{}", "{\"\":1}", "{\"x y\":[1], \"z\":{}}" }, { "[]", "{\"a\"}" } },
    { "a map",
      "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}",
      { "{}", "{\"a\":1}", "{\"a\":1,\"b\":2}" },
      { "{\"a\":\"x\"}" } },
    { "others must not take declared names",
      "{\"properties\":{\"ab\":{\"const\":1},\"abc\":{\"const\":2},\"\xC3\xA9\":{\"const\":3}},"
      "\"additionalProperties\":"
      "{\"const\":9}}",
      { "{\"a\":9}", "{\"abd\":9,\"x\":9}", "{\"ab\":1,\"abcd\":9}", "{\"\":9}", "{\"\xC3\xA8\":9}" },
      { "{\"ab\":9}", "{\"abc\":9}", "{\"\xC3\xA9\":9}", "{\"a\":1}", "{\"\\u0061b\":9}" } },
    { "required without a schema",
      "{\"type\":\"object\",\"required\":[\"x\"]}",
      { "{\"x\":1}", "{\"x\":[]}" },
      { "{}", "{\"y\":1}" } },
    { "a member that cannot be",
      "{\"properties\":{\"a\":false,\"b\":{\"const\":2}}}",
      { "{}", "{\"b\":2}" },
      { "{\"a\":1}" } },
    { "names with quotes", "{\"properties\":{\"a\\\"\\\\\":{\"const\":1}}}", { "{\"a\\\"\\\\\":1}" }, { "{\"a\":1}" } },
    { "nested",
      "{\"properties\":{\"p\":{\"type\":\"object\",\"properties\":{\"q\":{\"items\":{\"type\":\"boolean\"}}},"
      "\"required\":["
      "\"q\"]}},\"required\":[\"p\"]}",
      { "{\"p\":{\"q\":[true,false]}}" },
      { "{\"p\":{}}", "{\"p\":{\"q\":[1]}}" } },
};

static const struct row references[] = {
    { "a definition",
      "{\"$defs\":{\"n\":{\"type\":\"integer\"}},\"items\":{\"$ref\":\"#/$defs/n\"}}",
      { "[1,2]" },
      { "[true]" } },
    { "a tree",
      "{\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"kids\":{\"items\":{\"$"
      "ref\":"
      "\"#/$defs/tree\"}}},\"required\":[\"v\"]}},\"$ref\":\"#/$defs/tree\"}",
      { "{\"v\":1}", "{\"v\":1,\"kids\":[{\"v\":2,\"kids\":[{\"v\":3}]},{\"v\":4}]}" },
      { "{\"kids\":[]}", "{\"v\":1,\"kids\":[{}]}" } },
    { "the schema itself",
      "{\"properties\":{\"next\":{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}},\"required\":[\"next\"]}",
      { "{\"next\":null}", "{\"next\":{\"next\":null}}" },
      { "{\"next\":{}}" } },
    { "beside other keywords",
      "{\"definitions\":{\"n\":{\"type\":\"integer\",\"minimum\":1}},\"properties\":{\"a\":{\"$ref\":\"#/definitions/"
      "n\","
      "\"maximum\":3,\"description\":\"x\"}}}",
      { "{\"a\":1}", "{\"a\":3}" },
      { "{\"a\":0}", "{\"a\":4}" } },
    { "escaped pointers",
      "{\"$defs\":{\"a/b~c d\":{\"const\":1}},\"$ref\":\"#/$defs/a~1b~0c%20d\"}",
      { "1" },
      { "2" } },
    { "into a list", "{\"anyOf\":[{\"const\":1},{\"items\":{\"$ref\":\"#/anyOf/0\"}}]}", { "1", "[1,1]" }, { "[2]" } },
};

TEST(schemas_of_scalars)
{
    check_rows(t, scalars, COUNT(scalars), grammar_from_schema);
}

TEST(schemas_bound_numbers)
{
    check_rows(t, bounds, COUNT(bounds), grammar_from_schema);
}

TEST(schemas_of_strings)
{
    check_rows(t, strings, COUNT(strings), grammar_from_schema);
}

TEST(schemas_list_join_and_choose_values)
{
    check_rows(t, values, COUNT(values), grammar_from_schema);
}

TEST(schemas_of_arrays)
{
    check_rows(t, arrays, COUNT(arrays), grammar_from_schema);
}

TEST(schemas_of_objects)
{
    check_rows(t, objects, COUNT(objects), grammar_from_schema);
}

TEST(schemas_refer_to_each_other)
{
    check_rows(t, references, COUNT(references), grammar_from_schema);
}

// Every integer near the bounds, against plain arithmetic.
TEST(integer_bounds_hold_for_every_integer)
{
    struct test_random random = { 7 };
    for (int round = 0; round < 60; ++round) {
        int64_t low = (int64_t)test_random_below(&random, 2400) - 1200;
        int64_t high = low + (int64_t)test_random_below(&random, 1500);
        char schema[128], text[32];
        struct grammar *grammar = NULL;
        struct matcher *matcher = NULL;
        struct karat_error err = { 0 };
        snprintf(schema, sizeof schema, "{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld}", (long long)low,
                 (long long)high);
        t->row = schema;
        REQUIRE_OK(grammar_from_schema(&grammar, span_text(schema), &err), err);
        REQUIRE_OK(matcher_create(&matcher, grammar, NULL, &err), err);
        unsigned n_wrong = 0;
        for (int64_t i = -3000; i <= 3000; ++i) {
            snprintf(text, sizeof text, "%lld", (long long)i);
            n_wrong += (judge(matcher, text) == VERDICT_WHOLE) != (low <= i && i <= high);
        }
        CHECK_UINT(n_wrong, 0);
        matcher_destroy(matcher);
        grammar_destroy(grammar);
    }
    t->row = NULL;
}

static const struct bad_row bad_schemas[] = {
    { "{", KARAT_ERR_FORMAT,
      "the schema: JSON line 1, column 2: expected a member name in quotes, found the end of the document" },
    { "3", KARAT_ERR_FORMAT, "the schema has a number at #, expected a schema" },
    { "{\"type\":\"strin\"}", KARAT_ERR_FORMAT,
      "the schema has a string as \"type\" at #, expected one of null, boolean, integer, number, string, array, "
      "object" },
    { "{\"properties\":{\"a/b\":{\"not\":{}}}}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"not\" at #/properties/a~1b, which a grammar does not carry" },
    { "{\"type\":\"array\",\"uniqueItems\":true}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"uniqueItems\" at #, which a grammar does not carry" },
    { "{\"anyOf\":[{\"type\":\"null\"},{\"items\":{\"multipleOf\":2}}]}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"multipleOf\" at #/anyOf/1/items, which a grammar does not carry" },
    { "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"oneOf\" at #, which a grammar does not carry: with choices that a value could satisfy at "
      "once" },
    { "{\"anyOf\":[]}", KARAT_ERR_FORMAT,
      "the schema has an array as \"anyOf\" at #, expected a list that is not empty" },
    { "{\"type\":\"string\",\"format\":\"iri\"}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"format\" at #, which a grammar does not carry: the format is \"iri\"" },
    { "{\"pattern\":\"(\"}", KARAT_ERR_FORMAT,
      "the schema has a \"pattern\" at # that is no regular expression: a group without ')'" },
    { "{\"pattern\":\"(?=a)\"}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"pattern\" at #, which a grammar does not carry: a group that looks ahead or behind" },
    { "{\"pattern\":\"a^b\"}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"pattern\" at #, which a grammar does not carry: an anchor in the middle" },
    { "{\"pattern\":\"\\\\bx\"}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"pattern\" at #, which a grammar does not carry: an escape other than \\d \\w \\s \\n \\r \\t "
      "\\f "
      "\\v \\0 \\x \\u" },
    { "{\"pattern\":\"^ab?c*$\",\"maxLength\":2}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"pattern\" at #, which a grammar does not carry: minLength or maxLength beside a pattern of "
      "another "
      "length" },
    { "{\"pattern\":\"a\",\"format\":\"date\"}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"pattern\" at #, which a grammar does not carry: beside \"format\"" },
    { "{\"enum\":[\"a\"],\"minLength\":1}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"minLength\" at #, which a grammar does not carry: beside a list of values" },
    { "{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"pattern\" at #, which a grammar does not carry: on both sides of what has to hold together" },
    { "{\"minLength\":-1}", KARAT_ERR_FORMAT,
      "the schema has a number as \"minLength\" at #, expected a whole number from 0" },
    { "{\"type\":\"string\",\"maxLength\":2000000000}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"maxLength\" at #, which a grammar does not carry: more than 1000000000" },
    { "{\"minimum\":\"1\"}", KARAT_ERR_FORMAT, "the schema has a string as \"minimum\" at #, expected a number" },
    { "{\"minimum\":1e99}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"minimum\" at #, which a grammar does not carry: more than 15 digits or a large "
      "exponent" },
    { "{\"exclusiveMaximum\":1234567.123456789}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"exclusiveMaximum\" at #, which a grammar does not carry: more than 15 digits or a large "
      "exponent" },
    { "{\"$ref\":\"#/$defs/x\"}", KARAT_ERR_FORMAT, "the schema refers to #/$defs/x at #, which is not there" },
    { "{\"$ref\":\"other.json\"}", KARAT_ERR_UNSUPPORTED,
      "the schema has \"$ref\" at #, which a grammar does not carry: only \"#\" and pointers such as \"#/$defs/name\" "
      "are "
      "followed" },
    { "{\"$ref\":\"#\"}", KARAT_ERR_FORMAT, "no text satisfies the schema: every way through it is without end" },
    { "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", KARAT_ERR_FORMAT,
      "no text satisfies the schema: every way through it is without end" },
    { "false", KARAT_ERR_FORMAT, "no value satisfies the schema: false allows nothing at #" },
    { "{\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":5,\"maximum\":3}},\"required\":[\"a\"]}",
      KARAT_ERR_FORMAT, "no value satisfies the schema: no number lies between the bounds at #/properties/a" },
    { "{\"minLength\":3,\"maxLength\":2}", KARAT_ERR_FORMAT,
      "no value satisfies the schema: minLength is above maxLength at #" },
    { "{\"minItems\":3,\"maxItems\":2}", KARAT_ERR_FORMAT,
      "no value satisfies the schema: minItems is above what may be in the list at #" },
    { "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", KARAT_ERR_FORMAT,
      "no value satisfies the schema: no type is left at #" },
    { "{\"type\":\"string\",\"enum\":[1]}", KARAT_ERR_FORMAT,
      "no value satisfies the schema: no listed value fits at #" },
    { "{\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"},{\"minimum\":1}]}},\"$ref\":\"#/$defs/a\"}",
      KARAT_ERR_UNSUPPORTED,
      "the schema has \"allOf\" at #/$defs/a, which a grammar does not carry: without end, or of too many schemas" },
    { "{\"required\":3}", KARAT_ERR_FORMAT, "the schema has a number as \"required\" at #, expected a list of names" },
    { "{\"required\":[3]}", KARAT_ERR_FORMAT, "the schema has a number as \"required\" at #, expected names" },
    { "{\"properties\":[]}", KARAT_ERR_FORMAT, "the schema has an array as \"properties\" at #, expected an object" },
};

TEST(bad_schemas_are_refused_in_one_sentence)
{
    check_bad_rows(t, bad_schemas, COUNT(bad_schemas), grammar_from_schema);
}

// Choices of choices of choices: 40 levels would be 2^40 branches.
TEST(schemas_that_multiply_out_without_end_are_refused_soon)
{
    struct text schema = { 0 };
    struct grammar *grammar = NULL;
    struct karat_error err = { 0 };
    text_append_string(&schema, "{\"$defs\":{\"s0\":{\"type\":\"string\"}");
    for (int i = 1; i <= 40; ++i)
        text_append_format(&schema,
                           ",\"s%d\":{\"properties\":{\"p%d\":{\"type\":\"null\"}},\"anyOf\":[{\"$ref\":\"#/$defs/"
                           "s%d\"},{\"$ref\":\"#/$defs/s%d\"}]}",
                           i, i, i - 1, i - 1);
    text_append_string(&schema, "},\"$ref\":\"#/$defs/s40\"}");
    const clock_t start = clock(); // of the processor, so that a busy machine does not count
    const enum karat_status status = grammar_from_schema(&grammar, text_span(&schema), &err);
    CHECK_UINT(status, KARAT_ERR_UNSUPPORTED);
    CHECK((double)(clock() - start) / CLOCKS_PER_SEC < test_seconds(2));
    text_free(&schema);
    grammar_destroy(grammar);
}

TEST(long_lists_of_schemas_are_refused)
{
    struct text schema = { 0 };
    struct grammar *grammar = NULL;
    struct karat_error err = { 0 };
    text_append_string(&schema, "{\"properties\":{\"p\":{}");
    for (int i = 0; i < 2000; ++i)
        text_append_format(&schema, ",\"p%d\":{}", i);
    text_append_string(&schema, "}}");
    CHECK_UINT(grammar_from_schema(&grammar, text_span(&schema), &err), KARAT_ERR_UNSUPPORTED);
    CHECK_TEXT(err.text,
               "the schema has \"properties\" at #, which a grammar does not carry: with more than 2000 entries");
    text_clear(&schema);
    for (int i = 0; i < (1 << 20); ++i)
        text_append_char(&schema, ' ');
    text_append_string(&schema, "true");
    CHECK_UINT(grammar_from_schema(&grammar, text_span(&schema), &err), KARAT_ERR_UNSUPPORTED);
    CHECK(strstr(err.text, "the schema: ") == err.text);
    CHECK_UINT(grammar_from_gbnf(&grammar, text_span(&schema), &err), KARAT_ERR_UNSUPPORTED);
    CHECK_TEXT(err.text, "the grammar has 1048580 bytes, at most 262144 are read");
    text_free(&schema);
}

// ------------------------------------------------------------------------------------------------ GBNF

static const struct row gbnf[] = {
    { "a text", "root ::= \"ab\"", { "ab" }, { "a", "abc", "" } },
    { "choices and groups", "root ::= (\"a\" | \"b\") \"c\" | \"\"\n", { "ac", "bc", "" }, { "a", "c", "acc" } },
    { "repetitions",
      "root ::= \"a\"* [b-d]+ \"e\"? [^\\x00-\\x7F]{2,3} \"x\"{2}",
      { "b\xC3\xA9\xC3\xA9xx", "aaddce\xC3\xA9\xE2\x82\xAC\xC3\xA9xx" },
      { "\xC3\xA9\xC3\xA9xx", "b\xC3\xA9xx", "b\xC3\xA9\xC3\xA9x" } },
    { "rules and comments",
      "# sums\nroot ::= term (\"+\" term)* # more\nterm ::=\n  num |\n  \"(\" root \")\"\nnum ::= [0-9]{1,}\n",
      { "1", "1+23", "(1+2)+3", "((4))" },
      { "1+", "()", "(1" } },
    { "escapes", "root ::= \"\\\"\\\\\\n\\x41\\u00e9\\U0001F600\"", { "\"\\\nA\xC3\xA9\xF0\x9F\x98\x80" }, { "" } },
    { "lines inside groups", "root ::= (\"a\"\n  \"b\"\n)\n", { "ab" }, { "a" } },
    { "right recursion", "root ::= \"a\" root | \"b\"", { "b", "aaab" }, { "a", "ba" } },
    { "dot", "root ::= . .", { "ab", "\n\xF0\x9F\x98\x80" }, { "a", "abc" } },
    { "a repetition of what may be empty", "root ::= (\"a\"? | \"b\"*)* \"c\"", { "c", "aabbc", "bac" }, { "a" } },
};

TEST(gbnf_is_read_as_it_is_written)
{
    check_rows(t, gbnf, COUNT(gbnf), grammar_from_gbnf);
}

static const struct bad_row bad_gbnf[] = {
    { "a ::= \"x\"", KARAT_ERR_FORMAT, "the grammar has no rule named root" },
    { "root ::= a", KARAT_ERR_FORMAT, "grammar line 1, column 10: there is no rule named a" },
    { "root ::= \"x\"\nroot ::= \"y\"", KARAT_ERR_FORMAT, "grammar line 2, column 1: there are two rules named root" },
    { "root = \"x\"", KARAT_ERR_FORMAT, "grammar line 1, column 6: expected ::=" },
    { "root ::= \"x", KARAT_ERR_FORMAT, "grammar line 1, column 12: a text without its closing quote" },
    { "root ::= (\"x\"", KARAT_ERR_FORMAT, "grammar line 1, column 14: expected ')'" },
    { "root ::= [z-a]", KARAT_ERR_FORMAT, "grammar line 1, column 14: a range whose end comes before its beginning" },
    { "root ::= \"\\q\"", KARAT_ERR_FORMAT,
      "grammar line 1, column 12: this escape is not one of \\x \\u \\U \\t \\n \\r \\\\ \\\" \\[ \\]" },
    { "root ::= \"\\x4\"", KARAT_ERR_FORMAT, "grammar line 1, column 14: expected a hexadecimal digit" },
    { "root ::= \"\\uD800\"", KARAT_ERR_FORMAT, "grammar line 1, column 17: this is no character of Unicode" },
    { "root ::= \"a\"{3,2}", KARAT_ERR_FORMAT,
      "grammar line 1, column 18: a repetition needs at most 100000 turns, the smaller number first" },
    { "root ::= \"a\"{x}", KARAT_ERR_FORMAT, "grammar line 1, column 14: expected a number" },
    { "root ::= \"a\"{1", KARAT_ERR_FORMAT, "grammar line 1, column 15: expected '}'" },
    { "root ::= \"a\" )", KARAT_ERR_FORMAT, "grammar line 1, column 14: expected the end of the line" },
    { "::= \"a\"", KARAT_ERR_FORMAT, "grammar line 1, column 1: expected the name of a rule" },
    { "root ::= \"\xFF\"", KARAT_ERR_FORMAT, "grammar line 1, column 11: this is not UTF-8" },
    { "root ::= [a", KARAT_ERR_FORMAT, "grammar line 1, column 12: the grammar ends too early" },
    { "root ::= root \"a\" | \"b\"", KARAT_ERR_FORMAT, "the grammar has a rule that begins with itself" },
    { "root ::= \"x\"? root | \"b\"", KARAT_ERR_FORMAT, "the grammar has a rule that begins with itself" },
    { "root ::= \"a\" root", KARAT_ERR_FORMAT, "no text satisfies the grammar: every way through it is without end" },
    { "root ::= (\"a\"?){1,70}", KARAT_ERR_UNSUPPORTED,
      "the grammar repeats something that may be empty more than 64 times" },
};

TEST(bad_gbnf_is_refused_with_its_place)
{
    check_bad_rows(t, bad_gbnf, COUNT(bad_gbnf), grammar_from_gbnf);
}

TEST(groups_of_gbnf_are_nested_at_most_64_deep)
{
    struct text text = { 0 };
    struct grammar *grammar = NULL;
    struct karat_error err = { 0 };
    text_append_string(&text, "root ::= ");
    for (int i = 0; i < 100000; ++i)
        text_append_char(&text, '(');
    CHECK_UINT(grammar_from_gbnf(&grammar, text_span(&text), &err), KARAT_ERR_FORMAT);
    CHECK_TEXT(err.text, "grammar line 1, column 75: groups are nested more than 64 deep");
    text_free(&text);
}
