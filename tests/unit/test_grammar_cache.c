// tests/unit/test_grammar_cache.c -- grammars that were asked for lately are not compiled again.
#include <stdlib.h>

#include "engine/grammar_cache.h"
#include "karat.h"
#include "test.h"

static struct grammar_cache cache = { .mutex = MUTEX_INIT };

struct taken {
    struct cached_grammar *grammar;
    struct matcher *matcher;
};

static struct taken take(struct test *t, const struct grammar_reply *reply)
{
    struct taken taken = { 0 };
    struct karat_error err = { 0 };
    test_check(t, grammar_cache_take(&cache, reply, NULL, &taken.grammar, &taken.matcher, &err) == KARAT_OK, __FILE__,
               __LINE__, "%s", err.text);
    return taken;
}

static void give_back(struct taken *taken)
{
    grammar_cache_return(&cache, taken->grammar, taken->matcher);
    *taken = (struct taken){ 0 };
}

// A grammar of one word.
struct word {
    char gbnf[64], text[16];
};

static struct grammar_reply word_of(struct word *word, unsigned number)
{
    snprintf(word->gbnf, sizeof word->gbnf, "root ::= \"word%u\"", number);
    snprintf(word->text, sizeof word->text, "word%u", number);
    return (struct grammar_reply){ .gbnf = span_text(word->gbnf) };
}

static bool reads(struct taken *taken, const char *text)
{
    return matcher_text(taken->matcher, span_text(text)) && matcher_is_complete(taken->matcher);
}

TEST(the_same_wish_is_compiled_once_and_keeps_its_matcher)
{
    static const char schema[] = "{\"enum\":[\"a\",\"b\"]}";
    const struct grammar_reply reply = { .schema = span_text(schema) };
    const uint64_t n_compiled = cache.n_compiled, n_found = cache.n_found; // by other claims
    struct taken first = take(t, &reply), second = take(t, &reply);
    const struct matcher *matcher = first.matcher;
    CHECK_UINT(cache.n_compiled, n_compiled + 1);
    CHECK_UINT(cache.n_found, n_found + 1);
    CHECK(first.grammar == second.grammar && first.matcher != second.matcher);
    CHECK(reads(&first, "\"a\"") && reads(&second, "\"b\""));
    give_back(&first);
    struct taken third = take(t, &reply);
    CHECK(third.matcher == matcher && reads(&third, "\"b\"")); // from the beginning again
    give_back(&second);
    give_back(&third);
    grammar_cache_free(&cache);
    CHECK(cache.n_grammars == 0 && cache.idle_bytes == 0);
}

TEST(whatever_makes_another_grammar_is_compiled_for_itself)
{
    static const char tools_text[] = "[{\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}},"
                                     "{\"function\":{\"name\":\"g\",\"parameters\":{\"type\":\"object\"}}}]";
    struct arena arena = { 0 };
    struct json *tools = NULL;
    struct karat_error err;
    REQUIRE_OK(json_parse(&tools, &arena, span_text(tools_text), NULL, &err), err);
    const struct grammar_reply replies[] = {
        { .schema = span_text("true") },
        { .schema = span_text("true"), .may_think = true },
        { .schema = span_text("true"), .starts_in_thought = true },
        { .schema = span_text("true"), .tools = tools },
        { .schema = span_text("true"), .tools = tools, .one_call = true },
        { .schema = span_text("true"), .tools = tools, .strict = true },
        { .schema = span_text("true"), .tools = tools, .calls = GRAMMAR_CALLS_REQUIRED },
        { .schema = span_text("true"), .tools = tools, .tool = span_text("f") },
        { .schema = span_text("true"), .tools = tools, .tool = span_text("g") },
        { .gbnf = span_text("root ::= \"true\"") },
        { .schema = span_text("false || true") },
    };
    const uint64_t n_before = cache.n_compiled;
    for (int round = 0; round < 2; ++round)
        for (size_t i = 0; i + 1 < COUNT(replies); ++i) {
            struct taken taken = take(t, &replies[i]);
            give_back(&taken);
        }
    CHECK_UINT(cache.n_compiled - n_before, COUNT(replies) - 1);
    // What cannot be compiled is not kept, and says so every time.
    for (int round = 0; round < 2; ++round) {
        struct taken none = { 0 };
        CHECK_UINT(grammar_cache_take(&cache, &replies[COUNT(replies) - 1], NULL, &none.grammar, &none.matcher, &err),
                   KARAT_ERR_FORMAT);
        CHECK(!none.grammar && !none.matcher && strstr(err.text, "the schema"));
    }
    grammar_cache_free(&cache);
    arena_free(&arena);
}

TEST(the_grammars_used_longest_ago_are_forgotten_unless_in_use)
{
    struct word words[GRAMMAR_CACHE_MAX + 1];
    struct taken first = { 0 };
    uint64_t n_before = cache.n_compiled;
    for (unsigned i = 0; i <= GRAMMAR_CACHE_MAX; ++i) {
        const struct grammar_reply reply = word_of(&words[i], i);
        struct taken taken = take(t, &reply);
        CHECK(reads(&taken, words[i].text));
        if (i == 0)
            first = taken; // still used when it leaves the list
        else
            give_back(&taken);
    }
    CHECK_UINT(cache.n_grammars, GRAMMAR_CACHE_MAX);
    matcher_reset(first.matcher);
    CHECK(reads(&first, "word0"));
    give_back(&first);
    CHECK_UINT(cache.n_compiled - n_before, GRAMMAR_CACHE_MAX + 1);
    for (unsigned i = GRAMMAR_CACHE_MAX; i > 0; --i) {
        const struct grammar_reply reply = word_of(&words[i], i);
        struct taken taken = take(t, &reply);
        give_back(&taken);
    }
    CHECK_UINT(cache.n_compiled - n_before, GRAMMAR_CACHE_MAX + 1);
    const struct grammar_reply forgotten = word_of(&words[0], 0);
    first = take(t, &forgotten);
    give_back(&first);
    CHECK_UINT(cache.n_compiled - n_before, GRAMMAR_CACHE_MAX + 2);
    grammar_cache_free(&cache);
    CHECK(cache.idle_bytes == 0);
}

// ------------------------------------------------------------------------------------------------ threads

#define N_THREADS 4

static struct test *told;

static void work(void *user)
{
    struct test_random random = { (uint64_t)(uintptr_t)user };
    for (int i = 0; i < 300; ++i) {
        struct word word;
        struct taken taken = { 0 };
        const struct grammar_reply reply = word_of(&word, test_random_below(&random, GRAMMAR_CACHE_MAX + 4));
        if (grammar_cache_take(&cache, &reply, NULL, &taken.grammar, &taken.matcher, NULL) != KARAT_OK ||
            !reads(&taken, word.text))
            __atomic_store_n(&told, NULL, __ATOMIC_RELAXED);
        give_back(&taken);
    }
}

TEST(any_number_of_threads_may_take_and_return)
{
    struct thread *threads[N_THREADS];
    told = t;
    for (size_t i = 0; i < N_THREADS; ++i)
        threads[i] = thread_start(work, (void *)(i + 1));
    for (size_t i = 0; i < N_THREADS; ++i)
        thread_join(threads[i]);
    CHECK(told == t);
    CHECK(cache.n_grammars <= GRAMMAR_CACHE_MAX);
    grammar_cache_free(&cache);
    CHECK(cache.n_grammars == 0 && cache.idle_bytes == 0);
}
