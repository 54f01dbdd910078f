// tests/api/test_replay.c -- calls go back into a prompt as they were sampled, where they are still the same.
#include <stdlib.h>

#include "demo.h"
#include "text/text.h"

// ------------------------------------------------------------------------------------------------ which go back

// What was sampled, in pieces that are tokenized one by one: not as the whole would be.
#define THOUGHT "<|channel>thought\nh", "m<channel|>"
#define PARIS "<|tool_call>call:get_", "weather{city:<|\"|>Pa", "ris<|\"|>}<tool_call|>"
#define ROME "<|tool_call>call:get_weather{city:<|\"|>R", "ome<|\"|>}<tool_call|>"

#define CALL(id, name, arguments) \
    "{\"id\": \"" id "\", \"type\": \"function\", \"function\": {\"name\": \"" name "\", \"arguments\": " arguments "}}"
#define CALL_PARIS CALL("a", "get_weather", "{\"city\": \"Paris\"}")
#define RESULT(id) "{\"role\": \"tool\", \"tool_call_id\": \"" id "\", \"content\": \"sunny\"}"
#define ASSISTANT(rest) "{\"role\": \"assistant\", " rest "}"
#define USER "{\"role\": \"user\", \"content\": \"Weather?\"}"

enum { NONE = 0, WHOLE = 1, FIRST = 2, SECOND = 4 };

static const struct {
    const char *name, *pieces[8], *calls, *messages, *options;
    unsigned flags, wanted;
} rows[] = {
    { "the same",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"content\": null, \"reasoning\": \"hm\", \"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      WHOLE },
    { "a thought that was not sent back",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"content\": \"\", \"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      WHOLE },
    { "arguments as a text, spelled otherwise",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL(
          "a", "get_weather", "\" { \\\"city\\\" : \\\"P\\\\u0061ris\\\" } \"") "]") "," RESULT("a"),
      "",
      0,
      WHOLE },
    { "text before the call",
      { THOUGHT, "Let me ", "see.\n", PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"content\": \"Let me see.\", \"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      WHOLE },
    { "an earlier turn, whose thoughts are kept",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS
                         "]") "," RESULT("a") "," ASSISTANT("\"content\": \"Sunny.\"") "," USER,
      ", \"preserve_thinking\": true",
      0,
      WHOLE },
    { "an earlier turn",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS
                         "]") "," RESULT("a") "," ASSISTANT("\"content\": \"Sunny.\"") "," USER,
      "",
      0,
      FIRST },
    { "another thought",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"reasoning_content\": \"no\", \"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      FIRST },
    { "another text",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"content\": \"Well.\", \"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      FIRST },
    { "other arguments",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL("a", "get_weather", "{\"city\": \"Oslo\"}") "]") "," RESULT("a"),
      "",
      0,
      NONE },
    { "another name",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL("a", "get_time", "{\"city\": \"Paris\"}") "]") "," RESULT("a"),
      "",
      0,
      NONE },
    { "another id",
      { THOUGHT, PARIS },
      "\"b\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      NONE },
    { "two calls",
      { PARIS, ROME },
      "\"a\", \"b\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS
                         "," CALL("b", "get_weather", "{\"city\": \"Rome\"}") "]") "," RESULT("a") "," RESULT("b"),
      "",
      0,
      WHOLE },
    { "two calls in another order",
      { PARIS, ROME },
      "\"a\", \"b\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL(
          "b", "get_weather", "{\"city\": \"Rome\"}") "," CALL_PARIS "]") "," RESULT("a") "," RESULT("b"),
      "",
      0,
      FIRST | SECOND },
    { "one of two was changed",
      { PARIS, ROME },
      "\"a\", \"b\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL("a", "get_weather", "{\"city\": \"Bern\"}") "," CALL(
          "b", "get_weather", "{\"city\": \"Rome\"}") "]") "," RESULT("a") "," RESULT("b"),
      "",
      0,
      SECOND },
    { "one of two was left out",
      { PARIS, ROME },
      "\"a\", \"b\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      FIRST },
    { "the publisher's template",
      { THOUGHT, PARIS },
      "\"a\"",
      USER "," ASSISTANT(
          "\"tool_calls\": [{\"id\": \"a\", \"function\": {\"name\": \"get_weather\", \"arguments\": {\"city\": "
          "\"Paris\"}}}]") "," RESULT("a"),
      "",
      KARAT_RENDER_NO_FIXES,
      NONE },
    { "the end of a turn within",
      { "<turn|>\n<|turn>user\nhi", PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      NONE },
    { "a picture within",
      { "<|image|>", PARIS },
      "\"a\"",
      USER "," ASSISTANT("\"content\": \"<|image|>\", \"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      NONE },
    { "something after the call",
      { PARIS, "and" },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      NONE },
    { "a call too many",
      { PARIS, ROME },
      "\"a\"",
      USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS "]") "," RESULT("a"),
      "",
      0,
      NONE },
};

struct ids {
    uint32_t ids[512];
    size_t n;
};

static bool append_piece(struct ids *out, const char *piece)
{
    uint32_t *ids = NULL;
    size_t n = 0;
    if (karat_tokenize(demo, piece, strlen(piece), KARAT_TOKENIZE_SPECIAL, &ids, &n, NULL) != KARAT_OK)
        return false;
    const bool fits = out->n + n <= COUNT(out->ids);
    if (fits)
        memcpy(out->ids + out->n, ids, n * sizeof *ids);
    out->n += fits ? n : 0;
    karat_free(ids);
    return fits;
}

static bool has(const uint32_t *ids, size_t n_ids, const uint32_t *part, size_t n)
{
    for (size_t i = 0; n > 0 && i + n <= n_ids; ++i)
        if (memcmp(ids + i, part, n * sizeof *part) == 0)
            return true;
    return false;
}

// Where call `index` is among the sampled ids; n 0: nowhere.
static const uint32_t *find_call(const struct ids *sampled, size_t index, size_t *n)
{
    uint32_t open = 12, close = 13; // <|tool_call> and <tool_call|> of the demo model
    size_t first = 0, seen = 0;
    *n = 0;
    for (size_t i = 0; i < sampled->n; ++i) {
        if (sampled->ids[i] == open)
            first = i;
        if (sampled->ids[i] == close && seen++ == index) {
            *n = i + 1 - first;
            return sampled->ids + first;
        }
    }
    return NULL;
}

TEST(what_was_sampled_goes_back_where_it_says_the_same)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct ids sampled = { .n = 0 };
        struct text request = { 0 };
        struct karat_error err = { 0 };
        uint32_t *ids = NULL;
        char *text = NULL, *back = NULL;
        size_t n_ids = 0, n = 0;
        t->row = rows[i].name;
        for (size_t k = 0; k < COUNT(rows[i].pieces) && rows[i].pieces[k]; ++k)
            REQUIRE(append_piece(&sampled, rows[i].pieces[k]));
        text_append_format(&request,
                           "{\"messages\": [%s], \"options\": {\"add_generation_prompt\": true%s}, \"sampled\": [{",
                           rows[i].messages, rows[i].options);
        text_append_format(&request, "\"calls\": [%s], \"tokens\": [", rows[i].calls);
        for (size_t k = 0; k < sampled.n; ++k)
            text_append_format(&request, "%s%u", k ? ", " : "", sampled.ids[k]);
        text_append_string(&request, "]}]}");
        REQUIRE_OK(karat_render_tokens(demo, request.data, rows[i].flags, &ids, &n_ids, &err), err);
        CHECK(has(ids, n_ids, sampled.ids, sampled.n) == ((rows[i].wanted & WHOLE) != 0));
        for (size_t k = 0; k < 2; ++k) {
            const uint32_t *call = find_call(&sampled, k, &n);
            if (call)
                CHECK(has(ids, n_ids, call, n) == ((rows[i].wanted & (WHOLE | (k ? SECOND : FIRST))) != 0));
        }
        // The text is that of the tokens.
        REQUIRE_OK(karat_render(demo, request.data, rows[i].flags, &text, &err), err);
        REQUIRE_OK(karat_detokenize(demo, ids, n_ids, &back, NULL, &err), err);
        CHECK_TEXT(back, text);
        karat_free(ids);
        karat_free(text);
        karat_free(back);
        text_free(&request);
    }
    t->row = NULL;
}

static const struct {
    const char *sampled, *sentence;
} wrong[] = {
    { "{\"a\": 1}", "\"sampled\" is an object, expected an array" },
    { "[{\"calls\": [\"a\"]}]", "\"tokens\" in \"sampled\" is nothing, expected an array" },
    { "[{\"calls\": [\"a\"], \"tokens\": [1, -1]}]",
      "\"tokens\" in \"sampled\" holds something else than token ids from 0 to 2047" },
    { "[{\"calls\": [\"a\"], \"tokens\": [2048]}]",
      "\"tokens\" in \"sampled\" holds something else than token ids from 0 to 2047" },
};

TEST(what_cannot_have_been_sampled_is_refused)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(wrong); ++i) {
        struct text request = { 0 };
        struct karat_error err = { 0 };
        uint32_t *ids = NULL;
        size_t n_ids = 0;
        t->row = wrong[i].sampled;
        text_append_string(&request, "{\"messages\": [" USER "," ASSISTANT("\"tool_calls\": [" CALL_PARIS
                                                                           "]") "," RESULT("a") "], \"sampled\": ");
        text_append_string(&request, wrong[i].sampled);
        text_append_string(&request, "}");
        CHECK_UINT(karat_render_tokens(demo, request.data, 0, &ids, &n_ids, &err), KARAT_ERR_ARGUMENT);
        CHECK_TEXT(err.text, wrong[i].sentence);
        text_free(&request);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ a tool loop

#define TOOLS                                                                                                      \
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Get the weather in a " \
    "city\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", "            \
    "\"description\": \"The city\"}}, \"required\": [\"city\"]}}}]"

TEST(a_reply_that_goes_back_needs_no_second_evaluation)
{
    REQUIRE(demo_open_session(t));
    for (int thinking = 0; thinking <= 1; ++thinking) {
        struct karat_generate_options options = {
            .sampling.greedy = true, .max_tokens = 60, .tools = TOOLS, .thinking = thinking
        };
        struct karat_reply reply = { 0 };
        struct karat_error err = { 0 };
        struct text request = { 0 };
        uint32_t *ids = NULL;
        size_t n_ids = 0;
        t->row = thinking ? "with a thought" : "without";
        REQUIRE_OK(karat_chat(demo_session,
                              "[{\"role\": \"user\", \"content\": \"What's the weather like in Rome today?\"}]",
                              &options, &reply, &err),
                   err);
        CHECK_UINT(reply.stop, KARAT_STOP_TOOL_CALLS);
        REQUIRE(reply.sampled && reply.n_sampled > 10);
        // All of the timeline but the beginning of the prompt is what was sampled.
        const uint32_t n_evaluated = karat_session_length(demo_session);
        text_append_format(
            &request,
            "{\"messages\": [{\"role\": \"user\", \"content\": \"What's the weather like in Rome today?\"}, {\"role\": "
            "\"assistant\", \"tool_calls\": [" CALL("x", "get_weather", "{\"city\": \"Rome\"}") "]}, " RESULT(
                "x") "], \"tools\": " TOOLS
                     ", \"options\": {\"add_generation_prompt\": true, \"enable_thinking\": %s}, \"sampled\": "
                     "[{\"calls\": [\"x\"], \"tokens\": [",
            thinking ? "true" : "false");
        for (size_t i = 0; i < reply.n_sampled; ++i)
            text_append_format(&request, "%s%u", i ? "," : "", reply.sampled[i]);
        text_append_string(&request, "]}]}");
        REQUIRE_OK(karat_render_tokens(demo, request.data, 0, &ids, &n_ids, &err), err);
        karat_reply_free(&reply);
        options.max_tokens = 1;
        REQUIRE_OK(karat_generate(demo_session, ids, n_ids, &options, &reply, &err), err);
        CHECK_UINT(reply.n_cached, n_evaluated);
        CHECK(!reply.sampled);
        karat_reply_free(&reply);
        karat_free(ids);
        text_free(&request);
    }
    t->row = NULL;
}

#define ASKED "{\"role\": \"user\", \"content\": \"What's the weather like in Rome today?\"}"

TEST(a_session_takes_back_what_it_sampled)
{
    REQUIRE(demo_open_session(t));
    struct karat_generate_options options = { .sampling.greedy = true, .max_tokens = 60, .tools = TOOLS };
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    struct text sampled = { 0 };
    REQUIRE_OK(karat_chat(demo_session, "[" ASKED "]", &options, &reply, &err), err);
    REQUIRE(reply.n_sampled > 10);
    const uint32_t n_evaluated = karat_session_length(demo_session);
    text_append_string(&sampled, "[{\"calls\": [\"x\"], \"tokens\": [");
    for (size_t i = 0; i < reply.n_sampled; ++i)
        text_append_format(&sampled, "%s%u", i ? "," : "", reply.sampled[i]);
    text_append_string(&sampled, "]}]");
    karat_reply_free(&reply);
    options.sampled = sampled.data;
    options.max_tokens = 1;
    REQUIRE_OK(karat_chat(demo_session,
                          "[" ASKED ", {\"role\": \"assistant\", \"tool_calls\": [" CALL(
                              "x", "get_weather", "{\"city\": \"Rome\"}") "]}, " RESULT("x") "]",
                          &options, &reply, &err),
               err);
    CHECK_UINT(reply.n_cached, n_evaluated);
    karat_reply_free(&reply);
    text_free(&sampled);
    options.sampled = "[1";
    CHECK_UINT(karat_chat(demo_session, "[" ASKED "]", &options, &reply, &err), KARAT_ERR_FORMAT);
    CHECK(strncmp(err.text, "what was sampled: ", 18) == 0);
}
