// tests/api/test_constraint.c -- answers of the demo model that must keep to a schema, a grammar or tools.
//
// At a high temperature the demo model writes nearly anything it may, so what comes out shows what was allowed.
#include <stdlib.h>

#include "base/thread.h"
#include "demo.h"
#include "engine/hooks.h"
#include "text/text.h"

#define ASK "[{\"role\": \"user\", \"content\": \"Tell me about a city.\"}]"

static struct karat_generate_options hot(uint64_t seed)
{
    return (struct karat_generate_options){
        .max_tokens = 300,
        .sampling = { .temperature = 1.5f, .top_k = 1000000, .top_p = 1, .seed = seed },
    };
}

// Whether the text is all that the grammar allows, by a matcher of its own.
static bool fits(const char *schema, const char *gbnf, const char *text)
{
    struct grammar *grammar = NULL;
    struct matcher *matcher = NULL;
    struct karat_error err;
    const bool ok = (schema ? grammar_from_schema(&grammar, span_text(schema), &err)
                            : grammar_from_gbnf(&grammar, span_text(gbnf), &err)) == KARAT_OK &&
                    matcher_create(&matcher, grammar, NULL, &err) == KARAT_OK &&
                    matcher_text(matcher, span_text(text)) && matcher_is_complete(matcher);
    matcher_destroy(matcher);
    grammar_destroy(grammar);
    return ok;
}

static bool is_json(const char *text)
{
    struct arena arena = { 0 };
    struct json *value = NULL;
    const bool ok = json_parse(&value, &arena, span_text(text), NULL, NULL) == KARAT_OK;
    arena_free(&arena);
    return ok;
}

static const char *const schemas[] = {
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"maxLength\":12},\"people\":{\"type\":"
    "\"integer\","
    "\"minimum\":1,\"maximum\":5000}},\"required\":[\"city\",\"people\"]}",
    "{\"enum\":[\"Paris\",\"Rome\",\"Lima\"]}",
    "{\"type\":\"array\",\"items\":{\"type\":\"number\",\"minimum\":-1,\"maximum\":1},\"minItems\":2,\"maxItems\":4}",
    "{\"type\":\"string\",\"pattern\":\"^[A-Z][a-z]{2,8} [0-9]{4}$\"}",
    "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"},\"when\":{"
    "\"type\":"
    "\"string\",\"format\":\"date\"}},\"required\":[\"when\"]}]}",
};

TEST(answers_satisfy_their_schema)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(schemas); ++i)
        for (uint64_t seed = 1; seed <= 4; ++seed) {
            struct karat_generate_options options = hot(seed);
            struct karat_reply reply = { 0 };
            struct karat_error err = { 0 };
            options.schema = schemas[i];
            t->row = schemas[i];
            const struct constraint_counts before = session_mask_counts(demo_session);
            REQUIRE_OK(karat_chat(demo_session, ASK, &options, &reply, &err), err);
            CHECK_UINT(reply.stop, KARAT_STOP_END);
            // Only the first token, whose scores end the prompt, waits for its mask.
            const struct constraint_counts after = session_mask_counts(demo_session);
            CHECK_UINT(after.n_late - before.n_late, 1);
            CHECK_UINT(after.n_prepared - before.n_prepared, reply.n_generated - 1);
            test_check(t, is_json(reply.content) && fits(schemas[i], NULL, reply.content), __FILE__, __LINE__, "%s",
                       reply.content);
            karat_reply_free(&reply);
        }
    t->row = NULL;
}

TEST(a_constrained_answer_comes_after_the_thought)
{
    struct karat_generate_options options = hot(5);
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    REQUIRE(demo_open_session(t));
    options.thinking = true;
    options.sampling = (struct karat_sampling){ .greedy = true };
    options.schema = schemas[0];
    REQUIRE_OK(karat_chat(demo_session, "[{\"role\": \"user\", \"content\": \"What is the capital of Japan?\"}]",
                          &options, &reply, &err),
               err);
    CHECK(strstr(reply.thinking, "Tokyo") != NULL);
    CHECK(fits(schemas[0], NULL, reply.content));
    CHECK_UINT(reply.stop, KARAT_STOP_END);
    karat_reply_free(&reply);
}

TEST(a_constrained_answer_comes_after_a_thought_that_has_used_its_budget)
{
    REQUIRE(demo_open_session(t));
    for (uint32_t budget = 1; budget <= 8; ++budget) {
        struct karat_generate_options options = hot(budget);
        struct karat_reply reply = { 0 };
        struct karat_error err = { 0 };
        options.thinking = true;
        options.max_thought = budget;
        options.schema = schemas[1];
        REQUIRE_OK(karat_chat(demo_session, ASK, &options, &reply, &err), err);
        // A character that was begun is finished.
        CHECK(reply.n_thought <= budget + 3);
        CHECK(fits(schemas[1], NULL, reply.content));
        CHECK_UINT(reply.stop, KARAT_STOP_END);
        karat_reply_free(&reply);
    }
}

TEST(answers_follow_a_grammar)
{
    static const char grammar[] = "root ::= \"yes\" | \"no, \" [a-z]{3,10} (\" and \" [a-z]+)? \".\"\n";
    REQUIRE(demo_open_session(t));
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        struct karat_generate_options options = hot(seed);
        struct karat_reply reply = { 0 };
        struct karat_error err = { 0 };
        options.grammar = grammar;
        REQUIRE_OK(karat_chat(demo_session, ASK, &options, &reply, &err), err);
        if (reply.stop != KARAT_STOP_LENGTH)
            test_check(t, fits(NULL, grammar, reply.content), __FILE__, __LINE__, "%s", reply.content);
        karat_reply_free(&reply);
    }
}

TEST(what_an_answer_must_keep_to_wins_over_bans)
{
    struct karat_model_facts facts;
    struct karat_generate_options options = hot(1);
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    REQUIRE(demo_open_session(t));
    karat_model_describe(demo, &facts);
    struct karat_bias *biases = calloc(facts.n_vocab, sizeof *biases);
    REQUIRE(biases);
    for (uint32_t i = 0; i < facts.n_vocab; ++i)
        biases[i] = (struct karat_bias){ i, -INFINITY };
    options.sampling.biases = biases;
    options.sampling.n_biases = facts.n_vocab;
    options.grammar = "root ::= \"yes\"";
    REQUIRE_OK(karat_chat(demo_session, ASK, &options, &reply, &err), err);
    CHECK_TEXT(reply.content, "yes");
    karat_reply_free(&reply);
    options.grammar = NULL;
    CHECK_UINT(karat_chat(demo_session, ASK, &options, &reply, &err), KARAT_ERR_ARGUMENT);
    free(biases);
}

TEST(an_answer_that_is_too_long_for_its_schema_stops_at_the_limit)
{
    struct karat_generate_options options = hot(1);
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    REQUIRE(demo_open_session(t));
    options.schema = "{\"type\":\"string\",\"minLength\":1000}";
    options.max_tokens = 5;
    REQUIRE_OK(karat_chat(demo_session, ASK, &options, &reply, &err), err);
    CHECK_UINT(reply.stop, KARAT_STOP_LENGTH);
    CHECK_UINT(reply.n_generated, 5);
    CHECK(reply.content[0] == '"');
    karat_reply_free(&reply);
}

TEST(raw_answers_satisfy_their_schema_from_the_first_token)
{
    struct karat_generate_options options = hot(9);
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    REQUIRE(demo_open_session(t));
    REQUIRE_OK(karat_tokenize(demo, "Numbers:", 8, KARAT_TOKENIZE_BOS, &ids, &n_ids, &err), err);
    options.schema = schemas[2];
    REQUIRE_OK(karat_generate(demo_session, ids, n_ids, &options, &reply, &err), err);
    CHECK(fits(schemas[2], NULL, reply.content));
    karat_free(ids);
    karat_reply_free(&reply);
}

// ------------------------------------------------------------------------------------------------ many at once

static struct {
    struct mutex mutex;
    struct condition changed;
    unsigned n_done, n_generated;
    struct text answers[3];
} crowd = { MUTEX_INIT, CONDITION_INIT, 0, 0, { { 0 } } };

static void take_answer(void *user, enum karat_status status, const struct karat_reply *reply,
                        const struct karat_request_times *times, const struct karat_error *err)
{
    (void)times;
    mutex_lock(&crowd.mutex);
    text_append_string(user, status == KARAT_OK ? reply->content : err->text);
    crowd.n_generated += status == KARAT_OK ? reply->n_generated : 0;
    ++crowd.n_done;
    condition_signal_all(&crowd.changed);
    mutex_unlock(&crowd.mutex);
}

TEST(a_scheduler_keeps_each_answer_to_its_own_schema)
{
    static const char chat[] = "{\"messages\":" ASK ",\"options\":{\"add_generation_prompt\":true}}";
    struct karat_scheduler *scheduler = NULL;
    struct karat_error err = { 0 };
    REQUIRE(demo_open_session(t));
    REQUIRE_OK(karat_scheduler_open(&scheduler, demo,
                                    &(struct karat_scheduler_options){ .n_slots = 2, .n_context = 512 }, &err),
               err);
    for (size_t i = 0; i < COUNT(crowd.answers); ++i) {
        // Overwritten at once: what a request points to is only read before submit returns.
        char schema[512];
        struct karat_generate_options options = hot(i + 1);
        snprintf(schema, sizeof schema, "%s", schemas[i]);
        options.schema = schema;
        const struct karat_request request = {
            .chat = chat, .generate = &options, .on_done = take_answer, .user = &crowd.answers[i]
        };
        REQUIRE_OK(karat_scheduler_submit(scheduler, &request, NULL, &err), err);
        memset(schema, 0, sizeof schema);
    }
    struct karat_generate_options bad = { .schema = "{\"not\":{}}" };
    const struct karat_request refused = { .chat = chat, .generate = &bad, .on_done = take_answer };
    CHECK_UINT(karat_scheduler_submit(scheduler, &refused, NULL, &err), KARAT_ERR_UNSUPPORTED);
    CHECK_TEXT(err.text, "the schema has \"not\" at #, which a grammar does not carry");
    mutex_lock(&crowd.mutex);
    while (crowd.n_done < COUNT(crowd.answers))
        condition_wait(&crowd.changed, &crowd.mutex);
    mutex_unlock(&crowd.mutex);
    const struct constraint_counts masks = scheduler_mask_counts(scheduler);
    CHECK_UINT(masks.n_late, COUNT(crowd.answers));
    CHECK_UINT(masks.n_prepared, crowd.n_generated - COUNT(crowd.answers));
    karat_scheduler_close(scheduler);
    for (size_t i = 0; i < COUNT(crowd.answers); ++i) {
        test_check(t, fits(schemas[i], NULL, crowd.answers[i].data), __FILE__, __LINE__, "%s", crowd.answers[i].data);
        text_free(&crowd.answers[i]);
    }
}

// ------------------------------------------------------------------------------------------------ tools

#define TOOLS                                                                                                        \
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"The weather\",\"parameters\":" \
    "{\"type\":\"object\",\"properties\":{\"unit\":{\"type\":\"string\",\"enum\":[\"C\",\"F\"]},\"city\":{\"type\":" \
    "\"string\",\"maxLength\":20},\"days\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0,"       \
    "\"maximum\":9},\"maxItems\":3}},\"required\":[\"city\",\"unit\"]}}},"                                           \
    "{\"type\":\"function\",\"function\":{\"name\":\"stop\",\"description\":\"Stop\",\"parameters\":{\"type\":"      \
    "\"object\",\"properties\":{\"now\":{\"type\":\"boolean\"}},\"required\":[\"now\"]}}}]"

static struct json *only_call(struct arena *arena, const struct karat_reply *reply)
{
    struct json *calls = NULL;
    if (json_parse(&calls, arena, span_text(reply->tool_calls), NULL, NULL) != KARAT_OK || calls->n_children != 1)
        return NULL;
    return calls->first_child;
}

static void check_weather(struct test *t, const struct json *call)
{
    const struct json *arguments = json_find(call, "arguments"), *unit = json_find(arguments, "unit");
    CHECK(json_is_text(json_find(call, "name"), "get_weather"));
    CHECK(json_is(json_find(arguments, "city"), JSON_STRING));
    CHECK(json_is_text(unit, "C") || json_is_text(unit, "F"));
    const struct json *days = json_find(arguments, "days");
    int64_t day = 0;
    for (const struct json *one = days ? days->first_child : NULL; one; one = one->next)
        CHECK(json_get_int64(one, &day) && day >= 0 && day <= 9);
}

TEST(a_required_call_is_made_with_arguments_of_its_schema)
{
    REQUIRE(demo_open_session(t));
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        struct karat_generate_options options = hot(seed);
        struct karat_reply reply = { 0 };
        struct karat_error err = { 0 };
        struct arena arena = { 0 };
        options.tools = TOOLS;
        options.tool_choice = KARAT_TOOLS_REQUIRED;
        options.tool = "get_weather";
        options.tools_strict = options.one_call = true;
        REQUIRE_OK(karat_chat(demo_session, ASK, &options, &reply, &err), err);
        t->row = reply.tool_calls;
        CHECK_UINT(reply.stop, KARAT_STOP_TOOL_CALLS);
        CHECK_TEXT(reply.content, "");
        const struct json *call = only_call(&arena, &reply);
        if (CHECK(call))
            check_weather(t, call);
        t->row = NULL;
        arena_free(&arena);
        karat_reply_free(&reply);
    }
}

TEST(strict_tools_leave_the_answer_free)
{
    static const char weather[] = "[{\"role\": \"user\", \"content\": \"What is the weather in Paris?\"}]";
    struct karat_generate_options options = { .max_tokens = 100, .sampling = { .greedy = true } };
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    struct arena arena = { 0 };
    REQUIRE(demo_open_session(t));
    options.tools = TOOLS;
    options.tools_strict = true;
    REQUIRE_OK(karat_chat(demo_session, weather, &options, &reply, &err), err);
    CHECK_UINT(reply.stop, KARAT_STOP_TOOL_CALLS);
    const struct json *call = only_call(&arena, &reply);
    if (CHECK(call))
        check_weather(t, call);
    karat_reply_free(&reply);

    options.tool_choice = KARAT_TOOLS_NONE;
    REQUIRE_OK(karat_chat(demo_session, weather, &options, &reply, &err), err);
    CHECK_UINT(reply.stop, KARAT_STOP_END);
    CHECK_TEXT(reply.tool_calls, "[]");
    CHECK(reply.content[0] != '\0');
    karat_reply_free(&reply);
    arena_free(&arena);
}

static const struct {
    const char *name;
    struct karat_generate_options options;
    enum karat_status status;
    const char *sentence;
} bad_wishes[] = {
    { "schema",
      { .schema = "{\"not\":{}}" },
      KARAT_ERR_UNSUPPORTED,
      "the schema has \"not\" at #, which a grammar does not carry" },
    { "no JSON",
      { .schema = "nonsense" },
      KARAT_ERR_FORMAT,
      "the schema: JSON line 1, column 1: expected a value, found 'n'" },
    { "grammar", { .grammar = "root ::= x" }, KARAT_ERR_FORMAT, "grammar line 1, column 10: there is no rule named x" },
    { "both",
      { .schema = "true", .grammar = "root ::= \"x\"" },
      KARAT_ERR_ARGUMENT,
      "an answer follows a schema or a grammar, not both" },
    { "no tools",
      { .tool_choice = KARAT_TOOLS_REQUIRED },
      KARAT_ERR_ARGUMENT,
      "a call is required, but no tools are declared" },
    { "another tool",
      { .tools = TOOLS, .tool_choice = KARAT_TOOLS_REQUIRED, .tool = "fly" },
      KARAT_ERR_ARGUMENT,
      "the tool fly is to be called, but it is not declared" },
    { "a tool's schema",
      { .tools =
            "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"strict\":true,\"parameters\":"
            "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"multipleOf\":3}}}}}]" },
      KARAT_ERR_UNSUPPORTED,
      "the schema of the tool f has \"multipleOf\" at #/properties/a, which a grammar does not carry" },
};

TEST(wishes_that_cannot_be_kept_to_are_refused_in_one_sentence)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(bad_wishes); ++i) {
        struct karat_reply reply = { 0 };
        struct karat_error err = { 0 };
        t->row = bad_wishes[i].name;
        CHECK_UINT(karat_chat(demo_session, ASK, &bad_wishes[i].options, &reply, &err), bad_wishes[i].status);
        CHECK_TEXT(err.text, bad_wishes[i].sentence);
        CHECK(!reply.content);
        karat_reply_free(&reply);
    }
    t->row = NULL;
    // The session is as usable as before.
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    REQUIRE_OK(karat_chat(demo_session, "[{\"role\": \"user\", \"content\": \"Hello!\"}]",
                          &(struct karat_generate_options){ .sampling = { .greedy = true } }, &reply, &err),
               err);
    CHECK_TEXT(reply.content, "Hello! How can I help you?");
    karat_reply_free(&reply);
}
