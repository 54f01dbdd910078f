// tests/unit/test_grammar_masks.c -- masks over the real vocabulary: the same as trying every token, and how fast.
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "loader/model_file.h"
#include "test.h"
#include "text/text.h"

static struct model_file *file;
static struct tokenizer *tokenizer;
static struct token_index *token_tree;

static uint32_t read_id(const char *key)
{
    uint32_t id = TOKEN_NONE;
    model_file_get_u32(file, key, &id);
    return id;
}

static bool read_tokenizer(struct test *t, const char *path)
{
    struct karat_error err = { 0 };
    if (!test_check(t, model_file_open(&file, path, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text))
        return false;
    const struct meta_entry *tokens = model_file_find_meta(file, "tokenizer.ggml.tokens");
    const struct meta_entry *types = model_file_find_meta(file, "tokenizer.ggml.token_type");
    if (!CHECK(tokens && types))
        return false;
    struct span *names = calloc(tokens->n_elements, sizeof *names);
    int32_t *kinds = calloc(tokens->n_elements, sizeof *kinds);
    for (size_t i = 0; names && kinds && i < tokens->n_elements; ++i) {
        names[i] = meta_get(tokens, i).string;
        kinds[i] = (int32_t)meta_get(types, i).sint;
    }
    // Nothing is tokenized here, so the merges are left out.
    const struct tokenizer_source source = { .n_tokens = tokens->n_elements,
                                             .tokens = names,
                                             .types = kinds,
                                             .bos = read_id("tokenizer.ggml.bos_token_id"),
                                             .eos = read_id("tokenizer.ggml.eos_token_id"),
                                             .unk = read_id("tokenizer.ggml.unknown_token_id") };
    const bool ok = names && kinds && tokenizer_create(&tokenizer, &source, &err) == KARAT_OK;
    free(names);
    free(kinds);
    return test_check(t, ok, __FILE__, __LINE__, "%s", err.text);
}

static bool open_index(struct test *t)
{
    const char *path = getenv("KARAT_TEST_VOCABULARY");
    struct karat_error err = { 0 };
    if (token_tree)
        return true;
    if (!path || !path[0]) {
        t->skipped = "KARAT_TEST_VOCABULARY names no file: the build found no xz to unpack the real vocabulary";
        return false;
    }
    if (!read_tokenizer(t, path))
        return false;
    const uint64_t start = clock_ns();
    const bool ok = token_index_create(&token_tree, tokenizer, &err) == KARAT_OK;
    printf("  index of %u tokens: %.2f s\n", tokenizer_n_tokens(tokenizer), (double)(clock_ns() - start) / 1e9);
    return test_check(t, ok, __FILE__, __LINE__, "%s", err.text);
}

__attribute__((destructor)) static void close_index(void)
{
    token_index_destroy(token_tree);
    tokenizer_destroy(tokenizer);
    model_file_close(file);
}

static bool has_bit(const uint32_t *mask, uint32_t id)
{
    return mask[id / 32] >> id % 32 & 1;
}

// ------------------------------------------------------------------------------------------------ brute force

#define CALL_TOOLS                                                                                                     \
    "[{\"type\":\"function\",\"function\":{\"name\":\"get\",\"strict\":true,\"parameters\":{\"type\":\"object\","      \
    "\"properties\":{\"q\":{\"type\":\"string\",\"maxLength\":5},\"n\":{\"type\":\"integer\"}},\"required\":[\"q\"]}}" \
    "}]"

// `text` leads to the state: control tokens by name between « and », everything else as bytes.
static const struct state_row {
    const char *schema, *gbnf, *tools, *text;
    bool think;
} states[] = {
    { "{\"type\":\"string\"}", NULL, NULL, "", false },
    { "{\"type\":\"string\"}", NULL, NULL, "\"", false },
    { "{\"type\":\"string\"}", NULL, NULL, "\"ab\\", false },
    { "{\"type\":\"string\"}", NULL, NULL, "\"ab\\uD", false },
    { "{\"type\":\"string\"}", NULL, NULL, "\"ab\xE2\x82", false },
    { "{\"type\":\"string\"}", NULL, NULL, "\"ab\"", false },
    { "{\"type\":\"string\",\"minLength\":2,\"maxLength\":7}", NULL, NULL, "\"", false },
    { "{\"type\":\"string\",\"minLength\":2,\"maxLength\":7}", NULL, NULL, "\"abcd", false },
    { "{\"type\":\"string\",\"minLength\":2,\"maxLength\":7}", NULL, NULL, "\"abcdefg", false },
    { "{\"type\":\"string\",\"minLength\":200,\"maxLength\":2000}", NULL, NULL, "\"abcdefg", false },
    { "{\"anyOf\":[{\"type\":\"string\",\"maxLength\":3},{\"enum\":[\"the quick fox\",\" of the\"]}]}", NULL, NULL,
      "\"", false },
    { "{\"pattern\":\"^[a-z]+ .*[0-9]{3}$\"}", NULL, NULL, "\"", false },
    { "{\"pattern\":\"^[a-z]+ .*[0-9]{3}$\"}", NULL, NULL, "\"ab c", false },
    { "{\"pattern\":\"^.{0,5}abc$\"}", NULL, NULL, "\"a", false },
    { "{\"type\":\"object\"}", NULL, NULL, "{\"a\":[1, \"x\"", false },
    { "{\"type\":\"integer\",\"minimum\":-5,\"maximum\":1234}", NULL, NULL, "", false },
    { "{\"type\":\"integer\",\"minimum\":-5,\"maximum\":1234}", NULL, NULL, "12", false },
    { "{\"properties\":{\"alpha\":{\"type\":\"string\"},\"beta\":{\"type\":\"number\"}},\"additionalProperties\":true}",
      NULL, NULL, "{\"al", false },
    { "{\"properties\":{\"alpha\":{\"type\":\"string\"},\"beta\":{\"type\":\"number\"}},\"required\":[\"beta\"]}", NULL,
      NULL, "{\"alpha\": \"x", false },
    { "{\"items\":{\"type\":\"string\",\"maxLength\":4}}", NULL, NULL, "[\"ab\", \"x", false },
    { "true", NULL, NULL, "", true },
    { "true", NULL, NULL, "«<|channel>»thought\n", true },
    { NULL, "root ::= \"a\" [^\"]* \"b\" | [a-z ]{3,9} \".\"", NULL, "a", false },
    { NULL, "root ::= [^x]+ \"x\" .*", NULL, "a", false },
    { NULL, NULL, CALL_TOOLS, "", false },
    { NULL, NULL, CALL_TOOLS, "Well, ", false },
    { NULL, NULL, CALL_TOOLS, "«<|tool_call>»call:get{", false },
    { NULL, NULL, CALL_TOOLS, "«<|tool_call>»call:get{n:12,q:«<|\"|>»a\"", false },
    { NULL, NULL, CALL_TOOLS, "«<|tool_call>»call:get{n:12,q:«<|\"|>»a\"«<|\"|>»}«<tool_call|>»", false },
};

static enum karat_status compile(struct grammar **out, const struct state_row *row, struct arena *arena,
                                 struct karat_error *err)
{
    struct json *tools = NULL;
    if (row->tools && json_parse(&tools, arena, span_text(row->tools), NULL, err) != KARAT_OK)
        return err->status;
    const struct grammar_reply reply = {
        .may_think = row->think,
        .schema = row->schema ? span_text(row->schema) : (struct span){ 0 },
        .gbnf = row->gbnf ? span_text(row->gbnf) : (struct span){ 0 },
        .tools = tools,
    };
    return grammar_from_reply(out, &reply, err);
}

static bool lead(struct matcher *matcher, const char *text, struct karat_error *err)
{
    while (*text) {
        const char *open = strstr(text, "\xC2\xAB"), *close = strstr(text, "\xC2\xBB");
        const size_t n = open ? (size_t)(open - text) : strlen(text);
        if (n > 0 && !matcher_text(matcher, span_of(text, n)))
            return false;
        if (!open)
            return true;
        const uint32_t id = tokenizer_find(tokenizer, span_of(open + 2, (size_t)(close - open - 2)));
        if (matcher_accept(matcher, id, err) != KARAT_OK)
            return false;
        text = close + 2;
    }
    return true;
}

// A second matcher walks to the same state and tries every token, text by its bytes.
static void compare(struct test *t, const struct state_row *row, struct matcher *matcher, struct matcher *slow,
                    struct karat_error *err)
{
    const uint32_t *mask = NULL;
    uint32_t n_wrong = 0, n_allowed = 0, first_wrong = 0;
    REQUIRE_OK(matcher_mask(matcher, &mask, err), *err);
    for (uint32_t id = 0; id < tokenizer_n_tokens(tokenizer); ++id) {
        matcher_reset(slow);
        lead(slow, row->text, err);
        const bool allowed = matcher_accept(slow, id, err) == KARAT_OK;
        n_allowed += allowed;
        if (allowed != has_bit(mask, id) && n_wrong++ == 0)
            first_wrong = id;
    }
    test_check(t, n_wrong == 0, __FILE__, __LINE__, "%u tokens differ, the first is %u \"%.*s\"", n_wrong, first_wrong,
               SPAN_ARGS(tokenizer_name(tokenizer, first_wrong)));
    CHECK(n_allowed > 0);
}

TEST(a_mask_is_what_trying_every_token_gives)
{
    if (!open_index(t))
        return;
    for (size_t i = 0; i < COUNT(states); ++i) {
        struct grammar *grammar = NULL;
        struct matcher *matcher = NULL, *slow = NULL;
        struct arena arena = { 0 };
        struct karat_error err = { 0 };
        char name[256];
        snprintf(name, sizeof name, "%zu: %s", i, states[i].text);
        t->row = name;
        REQUIRE_OK(compile(&grammar, &states[i], &arena, &err), err);
        REQUIRE_OK(matcher_create(&matcher, grammar, token_tree, &err), err);
        REQUIRE_OK(matcher_create(&slow, grammar, token_tree, &err), err);
        if (CHECK(lead(matcher, states[i].text, &err)))
            compare(t, &states[i], matcher, slow, &err);
        matcher_destroy(matcher);
        matcher_destroy(slow);
        grammar_destroy(grammar);
        arena_free(&arena);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ time

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static const struct {
    const char *name, *schema;
} timed[] = {
    { "any JSON", "true" },
    { "a person",
      "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\",\"minimum\":0,"
      "\"maximum\":150},\"email\":{\"type\":\"string\",\"format\":\"email\"},\"tags\":{\"type\":\"array\",\"items\":{"
      "\"type\":"
      "\"string\",\"maxLength\":40},\"maxItems\":20},\"role\":{\"enum\":[\"admin\",\"user\",\"guest\"]}},\"required\":["
      "\"name\",\"age\",\"email\",\"tags\",\"role\"]}" },
    { "long bounded strings",
      "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":20,\"maxLength\":300}}" },
    { "patterns", "{\"type\":\"array\",\"items\":{\"pattern\":\"^[a-z ]+: .*;[0-9]{2,4}$\"}}" },
    { "a map of choices", "{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[{\"type\":\"string\","
                          "\"maxLength\":12},{\"type\":\"number\"},"
                          "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"}}]}}" },
};

#define STEPS 400

// Of the processor, so that what else runs on the machine does not count.
static double processor_ms(void)
{
    return (double)clock() * 1e3 / CLOCKS_PER_SEC;
}

// Random tokens among the allowed ones, drawn as bytes are spread: often long ones.
static uint32_t draw(struct test_random *random, const uint32_t *mask, uint32_t n_tokens)
{
    uint32_t id = test_random_below(random, n_tokens);
    while (!has_bit(mask, id))
        id = id + 1 < n_tokens ? id + 1 : 0;
    return id;
}

TEST(a_mask_takes_little_of_the_time_of_a_token)
{
    if (!open_index(t))
        return;
    for (size_t i = 0; i < COUNT(timed); ++i) {
        struct grammar *grammar = NULL;
        struct matcher *matcher = NULL;
        struct karat_error err = { 0 };
        struct test_random random = { 3 };
        static double ms[STEPS];
        double sum_ms = 0;
        t->row = timed[i].name;
        REQUIRE_OK(grammar_from_schema(&grammar, span_text(timed[i].schema), &err), err);
        REQUIRE_OK(matcher_create(&matcher, grammar, token_tree, &err), err);
        for (unsigned n = 0; n < STEPS; ++n) {
            const uint32_t *mask = NULL;
            const double start = processor_ms();
            REQUIRE_OK(matcher_mask(matcher, &mask, &err), err);
            const double middle = processor_ms();
            const uint32_t id = draw(&random, mask, tokenizer_n_tokens(tokenizer));
            const double end = processor_ms();
            const enum token_type type = tokenizer_type(tokenizer, id);
            if (type == TOKEN_CONTROL) {
                matcher_reset(matcher); // the answer has ended: begin the next one
                ms[n] = middle - start;
                continue;
            }
            REQUIRE_OK(matcher_accept(matcher, id, &err), err);
            ms[n] = middle - start + processor_ms() - end;
        }
        qsort(ms, STEPS, sizeof *ms, compare_doubles);
        for (unsigned n = 0; n < STEPS; ++n)
            sum_ms += ms[n];
        printf("  %-20s mean %.3f ms, median %.3f ms, 95 %% %.3f ms, worst %.3f ms\n", timed[i].name, sum_ms / STEPS,
               ms[STEPS / 2], ms[STEPS * 19 / 20], ms[STEPS - 1]);
        // A token takes some 10 ms on a graphics card, of which one twentieth is allowed; and it is spent while the
        // card works.
        CHECK(sum_ms / STEPS < 0.5 * test_seconds(1));
        CHECK(ms[STEPS * 19 / 20] < 4 * test_seconds(1));
        matcher_destroy(matcher);
        grammar_destroy(grammar);
    }
    t->row = NULL;
}
