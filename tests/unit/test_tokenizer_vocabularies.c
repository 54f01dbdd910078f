// tests/unit/test_tokenizer_vocabularies.c -- the real vocabulary and the demo model's, against the reference's ids.
#include <stdlib.h>

#include "base/arena.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "loader/model_file.h"
#include "test.h"
#include "text/text.h"

struct vocabulary {
    struct model_file *file;
    struct tokenizer *tokenizer;
};

static void close_vocabulary(struct vocabulary *v)
{
    tokenizer_destroy(v->tokenizer);
    model_file_close(v->file);
    *v = (struct vocabulary){ 0 };
}

static uint32_t read_id(const struct model_file *file, const char *key)
{
    uint32_t id = TOKEN_NONE;
    model_file_get_u32(file, key, &id);
    return id;
}

static struct span *copy_spans(const struct meta_entry *entry)
{
    struct span *spans = malloc((entry->n_elements + 1) * sizeof *spans);
    for (size_t i = 0; spans && i < entry->n_elements; ++i)
        spans[i] = meta_get(entry, i).string;
    return spans;
}

static bool open_vocabulary(struct test *t, struct vocabulary *v, const char *path)
{
    struct karat_error err = { 0 };
    *v = (struct vocabulary){ 0 };
    if (!test_check(t, model_file_open(&v->file, path, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text))
        return false;
    const struct meta_entry *tokens = model_file_find_meta(v->file, "tokenizer.ggml.tokens");
    const struct meta_entry *types = model_file_find_meta(v->file, "tokenizer.ggml.token_type");
    const struct meta_entry *merges = model_file_find_meta(v->file, "tokenizer.ggml.merges");
    if (!CHECK(tokens && types && merges && types->n_elements == tokens->n_elements))
        return false;
    struct span *names = copy_spans(tokens), *lines = copy_spans(merges);
    int32_t *kinds = malloc(tokens->n_elements * sizeof *kinds);
    bool ok = CHECK(names && lines && kinds);
    for (size_t i = 0; ok && i < types->n_elements; ++i)
        kinds[i] = (int32_t)meta_get(types, i).sint;
    const struct tokenizer_source source = { .n_tokens = tokens->n_elements,
                                             .tokens = names,
                                             .types = kinds,
                                             .n_merges = merges->n_elements,
                                             .merges = lines,
                                             .bos = read_id(v->file, "tokenizer.ggml.bos_token_id"),
                                             .eos = read_id(v->file, "tokenizer.ggml.eos_token_id"),
                                             .unk = read_id(v->file, "tokenizer.ggml.unknown_token_id") };
    const uint64_t start = clock_ns();
    ok = ok &&
         test_check(t, tokenizer_create(&v->tokenizer, &source, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    printf("  %zu tokens, %zu merges: created in %.2f s\n", source.n_tokens, source.n_merges,
           (double)(clock_ns() - start) / 1e9);
    free(names);
    free(lines);
    free(kinds);
    return ok;
}

// Opened once, by the first test that needs it; NULL with a reason where the build had no program to unpack it.
static const struct tokenizer *gemma(struct test *t)
{
    static struct vocabulary v;
    const char *path = getenv("KARAT_TEST_VOCABULARY");
    if (!path || !path[0])
        t->skipped = "KARAT_TEST_VOCABULARY names no file: the build found no xz to unpack the real vocabulary";
    else if (!v.tokenizer && !open_vocabulary(t, &v, path))
        close_vocabulary(&v);
    return v.tokenizer;
}

static char *read_data(struct test *t, const char *folder, const char *name, size_t *size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/../%s/%s", test_data_path(""), folder, name);
    char *text = test_read_file(path, size);
    test_check(t, text != NULL, __FILE__, __LINE__, "%s cannot be read", path);
    return text;
}

static void check_ids(struct test *t, const struct tokenizer *tokenizer, struct span text, enum tokenizer_match match,
                      const struct json *want)
{
    struct token_ids got = { 0 };
    struct karat_error err = { 0 };
    const bool ok = tokenizer_encode(tokenizer, text, match, &got, &err) == KARAT_OK;
    test_check(t, ok, __FILE__, __LINE__, "%s", err.text);
    size_t i = 0;
    for (const struct json *id = want->first_child; ok && id; id = id->next, ++i) {
        int64_t value = -1;
        json_get_int64(id, &value);
        if (!test_check(t, i < got.n_ids && got.ids[i] == value, __FILE__, __LINE__,
                        "\"%.*s\" in mode %d: id %zu is %lld, expected %lld", SPAN_ARGS(text), (int)match, i,
                        i < got.n_ids ? (long long)got.ids[i] : -1, (long long)value))
            break;
    }
    test_check(t, !ok || got.n_ids == want->n_children, __FILE__, __LINE__,
               "\"%.*s\" in mode %d: %zu ids, expected %zu", SPAN_ARGS(text), (int)match, got.n_ids, want->n_children);
    token_ids_free(&got);
}

typedef void case_fn(struct test *t, const struct tokenizer *tokenizer, const struct json *line);

// Hands each line of a .jsonl file to `check` and returns how many there were.
static size_t for_each_line(struct test *t, const char *folder, const char *name, const struct tokenizer *tokenizer,
                            case_fn *check)
{
    size_t size = 0, n = 0;
    char *text = read_data(t, folder, name, &size);
    for (size_t at = 0; text && at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        struct arena arena = { 0 };
        struct json *line = NULL;
        struct karat_error err = { 0 };
        const bool ok = json_parse(&line, &arena, span_of(text + at, length), NULL, &err) == KARAT_OK;
        if (test_check(t, ok, __FILE__, __LINE__, "%s line %zu: %s", name, n + 1, err.text))
            check(t, tokenizer, line);
        arena_free(&arena);
        at += length + 1;
        ++n;
    }
    free(text);
    return n;
}

static void check_both_modes(struct test *t, const struct tokenizer *tokenizer, const struct json *line)
{
    check_ids(t, tokenizer, json_find(line, "text")->text, TOKENIZER_MATCH_ALL, json_find(line, "ids"));
    check_ids(t, tokenizer, json_find(line, "text")->text, TOKENIZER_MATCH_USER_DEFINED, json_find(line, "ids_plain"));
}

TEST(texts_in_thirty_languages_get_the_ids_of_the_reference)
{
    const struct tokenizer *tokenizer = gemma(t);
    if (tokenizer)
        CHECK_UINT(for_each_line(t, "data", "tokenizer_cases.jsonl", tokenizer, check_both_modes), 1713);
}

TEST(the_cases_that_come_with_the_vocabulary_are_exact)
{
    const struct tokenizer *tokenizer = gemma(t);
    if (!tokenizer)
        return;
    static const char separator[] = "\n__ggml_vocab_test__\n";
    char *inputs = read_data(t, "data", "ggml-vocab-gemma-4.gguf.inp", NULL);
    char *outputs = read_data(t, "data", "ggml-vocab-gemma-4.gguf.out", NULL);
    unsigned n = 0;
    for (char *input = inputs, *output = outputs; inputs && outputs && input; ++n) {
        char *end = strstr(input, separator), *line_end = strchr(output, '\n');
        const size_t size = end ? (size_t)(end - input) : strlen(input);
        struct token_ids got = { 0 };
        struct karat_error err = { 0 };
        REQUIRE_OK(tokenizer_encode(tokenizer, span_of(input, size), TOKENIZER_MATCH_USER_DEFINED, &got, &err), err);
        char text[4096] = "";
        size_t used = 0;
        for (size_t i = 0; i < got.n_ids && used < sizeof text - 16; ++i)
            used += (size_t)snprintf(text + used, sizeof text - used, i > 0 ? " %u" : "%u", got.ids[i]);
        token_ids_free(&got);
        if (line_end)
            *line_end = '\0';
        CHECK_TEXT(text, output);
        input = end ? end + sizeof separator - 1 : NULL;
        output = line_end ? line_end + 1 : output + strlen(output);
    }
    CHECK_UINT(n, 46);
    free(inputs);
    free(outputs);
}

static void check_name(struct test *t, const struct tokenizer *tokenizer, const struct json *entry)
{
    // The table describes the characters that are hard to see.
    static const struct {
        const char *written, *name;
    } descriptions[] = { { "\\n", "\n" }, { "\\t", "\t" }, { "U+2581", "\xE2\x96\x81" } };
    struct span name = entry->key;
    for (size_t i = 0; i < COUNT(descriptions); ++i)
        if (span_is(name, descriptions[i].written))
            name = span_text(descriptions[i].name);
    int64_t id = -1;
    json_get_int64(entry, &id);
    test_check(t, tokenizer_find(tokenizer, name) == id, __FILE__, __LINE__, "\"%.*s\" has id %u, expected %lld",
               SPAN_ARGS(entry->key), tokenizer_find(tokenizer, name), (long long)id);
}

TEST(ids_that_other_engines_report_are_ours)
{
    const struct tokenizer *tokenizer = gemma(t);
    if (!tokenizer)
        return;
    size_t size = 0;
    char *text = read_data(t, "data", "gemma4_tokenizer_vectors.json", &size);
    REQUIRE(text);
    struct arena arena = { 0 };
    struct json *vectors = NULL;
    struct karat_error err = { 0 };
    REQUIRE_OK(json_parse(&vectors, &arena, span_of(text, size), NULL, &err), err);
    static const char *const lists[] = { "text_cases", "special_cases" };
    unsigned n = 0;
    for (size_t i = 0; i < COUNT(lists); ++i)
        for (const struct json *c = json_find(vectors, lists[i])->first_child; c; c = c->next, ++n) {
            struct json want = *json_find(c, "ids");
            if (json_truthy(json_find(c, "with_bos"))) { // the start token is not the tokenizer's to add
                want.first_child = want.first_child->next;
                --want.n_children;
            }
            const bool special = json_truthy(json_find(c, "parse_special"));
            check_ids(t, tokenizer, json_find(c, "text")->text,
                      special ? TOKENIZER_MATCH_ALL : TOKENIZER_MATCH_USER_DEFINED, &want);
        }
    CHECK_UINT(n, 35);
    for (const struct json *name = json_find(vectors, "single_ids")->first_child; name; name = name->next)
        check_name(t, tokenizer, name);
    arena_free(&arena);
    free(text);
}

static void append_texts(const struct tokenizer *tokenizer, const struct token_ids *ids, struct text *out)
{
    for (size_t i = 0; i < ids->n_ids; ++i)
        text_append_span(out, tokenizer_text(tokenizer, ids->ids[i]));
}

static void check_demo_case(struct test *t, const struct tokenizer *tokenizer, const struct json *line)
{
    const enum tokenizer_match match =
        json_truthy(json_find(line, "parse_special")) ? TOKENIZER_MATCH_ALL : TOKENIZER_MATCH_USER_DEFINED;
    check_ids(t, tokenizer, json_find(line, "text")->text, match, json_find(line, "ids"));
}

TEST(the_demo_model_tokenizes_as_the_reference_does)
{
    char path[4096];
    struct vocabulary v;
    snprintf(path, sizeof path, "%s/../pebble/pebble-Q4_K_M.gguf", test_data_path(""));
    if (open_vocabulary(t, &v, path))
        CHECK_UINT(for_each_line(t, "pebble", "tokenizer_cases.jsonl", v.tokenizer, check_demo_case), 308);
    close_vocabulary(&v);
}

// One character from a mixture that leans to the frequent ranges. Never U+2581, which comes back as a space.
static void append_random_character(struct text *text, struct test_random *random)
{
    static const uint32_t limits[] = { 0x80, 0x80, 0x80, 0x250, 0x600, 0x3100, 0x10000, 0x110000 };
    const uint32_t limit = limits[test_random_below(random, COUNT(limits))];
    const uint32_t code_point = test_random_below(random, 6) == 0 ? ' ' : test_random_below(random, limit);
    char bytes[4];
    if (code_point != 0x2581)
        text_append(text, bytes, utf8_encode(bytes, code_point));
}

TEST(the_texts_of_the_ids_join_to_the_text_and_no_special_token_comes_from_it)
{
    const struct tokenizer *tokenizer = gemma(t);
    if (!tokenizer)
        return;
    static const char *const names[] = { "<|turn>", "<turn|>", "<|channel>", "<bos>", "<|image|>", "<0x41>", "\n\n\n" };
    struct test_random random = { 7 };
    struct text text = { 0 }, back = { 0 };
    struct token_ids ids = { 0 };
    struct karat_error err = { 0 };
    for (int round = 0; round < 2000; ++round) {
        text_clear(&text);
        text_clear(&back);
        ids.n_ids = 0;
        for (uint32_t n = test_random_below(&random, 200); n > 0; --n)
            if (test_random_below(&random, 20) == 0)
                text_append_string(&text, names[test_random_below(&random, COUNT(names))]);
            else
                append_random_character(&text, &random);
        REQUIRE_OK(tokenizer_encode(tokenizer, text_span(&text), TOKENIZER_MATCH_NONE, &ids, &err), err);
        for (size_t i = 0; i < ids.n_ids; ++i) {
            const enum token_type type = tokenizer_type(tokenizer, ids.ids[i]);
            CHECK(type == TOKEN_NORMAL || type == TOKEN_BYTE);
        }
        append_texts(tokenizer, &ids, &back);
        CHECK(span_equal(text_span(&text), text_span(&back)));
        ids.n_ids = 0;
        text_clear(&back);
        REQUIRE_OK(tokenizer_encode(tokenizer, text_span(&text), TOKENIZER_MATCH_ALL, &ids, &err), err);
        append_texts(tokenizer, &ids, &back);
        CHECK(span_equal(text_span(&text), text_span(&back)));
    }
    token_ids_free(&ids);
    text_free(&text);
    text_free(&back);
}

// Anything quadratic would take hours here; the bound leaves room for a busy machine and for sanitizers.
#define LONG_TEXT_BYTES 10000000
#define LONG_TEXT_SECONDS_MAX 30

TEST(ten_megabytes_take_seconds_whatever_they_are)
{
    static const struct {
        const char *name, *unit;
    } cases[] = {
        { "one letter", "a" },
        { "a word without breaks", "the" },
        { "spaces", " " },
        { "newlines", "\n" },
        { "emoji", "\xF0\x9F\x98\x80" },
        { "the beginnings of a special token", "<|tool_respons" },
        { "prose without newlines", "The quick brown fox jumps over the lazy dog. " },
    };
    const struct tokenizer *tokenizer = gemma(t);
    if (!tokenizer)
        return;
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct text text = { 0 };
        struct token_ids ids = { 0 };
        struct karat_error err = { 0 };
        t->row = cases[i].name;
        while (text.size_bytes < LONG_TEXT_BYTES)
            text_append_string(&text, cases[i].unit);
        const uint64_t start = clock_ns();
        REQUIRE_OK(tokenizer_encode(tokenizer, text_span(&text), TOKENIZER_MATCH_ALL, &ids, &err), err);
        const double seconds = (double)(clock_ns() - start) / 1e9;
        printf("  10 MB of %s: %zu ids in %.2f s\n", cases[i].name, ids.n_ids, seconds);
        CHECK(seconds < test_seconds(LONG_TEXT_SECONDS_MAX));
        token_ids_free(&ids);
        text_free(&text);
    }
}
