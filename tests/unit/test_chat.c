// tests/unit/test_chat.c -- the renderer against the publisher's template, and the corrections of the default mode.
#include "text/chat.h"

#include <stdlib.h>

#include "test.h"

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

// Renders and checks; expected NULL wants a refusal.
static void check_rendered(struct test *t, const struct json *request, const struct chat_options *options,
                           struct span expected, bool refused)
{
    struct chat_prompt prompt;
    struct karat_error err = { 0 };
    struct text text = { 0 };
    const enum karat_status status = chat_render(&prompt, request, options, &err);
    if (refused) {
        test_check(t, status == KARAT_ERR_ARGUMENT, __FILE__, __LINE__, "status %d, expected a refusal", status);
    } else if (test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text)) {
        chat_prompt_text(&prompt, &text);
        test_check(t, span_equal(text_span(&text), expected), __FILE__, __LINE__,
                   "rendered is\n    \"%s\", expected\n    \"%.*s\"", text.data, (int)expected.size_bytes,
                   (const char *)expected.data);
    }
    chat_prompt_free(&prompt);
    text_free(&text);
}

static void check_case(struct test *t, const struct json *request)
{
    const struct json *rendered = json_find(request, "rendered"), *small = json_find(request, "rendered_small");
    const bool refused = json_is(rendered, JSON_NULL);
    const struct span text = refused ? (struct span){ 0 } : rendered->text;
    check_rendered(t, request, &(struct chat_options){ .strict = true }, text, refused);
    check_rendered(t, request, &(struct chat_options){ .strict = true, .small = true }, small ? small->text : text,
                   refused);
}

// Every line of the file is one case: a request with its `name` and the text that the template prints for it.
static size_t check_cases(struct test *t, const char *file)
{
    size_t size = 0, n_cases = 0;
    char *lines = test_read_file(test_data_path(file), &size);
    if (!CHECK(lines != NULL))
        return 0;
    for (char *line = lines, *end; *line; line = end) {
        struct arena arena = { 0 };
        struct karat_error err = { 0 };
        struct json *request = NULL;
        char name[80];
        end = line + strcspn(line, "\n");
        if (test_check(t, json_parse(&request, &arena, span_of(line, (size_t)(end - line)), NULL, &err) == KARAT_OK,
                       __FILE__, __LINE__, "%s", err.text)) {
            snprintf(name, sizeof name, "%.*s", SPAN_ARGS(json_find(request, "name")->text));
            t->row = name;
            check_case(t, request);
            ++n_cases;
        }
        t->row = NULL;
        arena_free(&arena);
        end += *end == '\n';
    }
    free(lines);
    return n_cases;
}

TEST(strict_mode_prints_what_the_publishers_template_prints)
{
    const size_t n_cases = check_cases(t, "chat_cases.jsonl");
    CHECK_UINT(n_cases, 111);
}

TEST(strict_mode_prints_what_the_template_prints_for_random_conversations)
{
    const size_t n_cases = check_cases(t, "chat_random.jsonl");
    CHECK_UINT(n_cases, 300);
}

struct row {
    const char *name, *request;
    const char *expected; // the whole text, or the beginning of the refusal
    struct chat_options options;
};

static void check_row(struct test *t, const struct row *row)
{
    struct arena arena = { 0 };
    struct karat_error err = { 0 };
    struct json *request = NULL;
    struct chat_prompt prompt = { 0 };
    struct text text = { 0 };
    t->row = row->name;
    REQUIRE_OK(json_parse(&request, &arena, span_text(row->request), NULL, &err), err);
    if (chat_render(&prompt, request, &row->options, &err) == KARAT_OK)
        chat_prompt_text(&prompt, &text);
    else
        text_append_string(&text, err.text);
    if (row->expected[0] == '<')
        CHECK_TEXT(text.data, row->expected);
    else
        test_check(t, starts_with(text.data, row->expected), __FILE__, __LINE__,
                   "the refusal is\n    \"%s\", expected\n    \"%s...\"", text.data, row->expected);
    chat_prompt_free(&prompt);
    text_free(&text);
    arena_free(&arena);
    t->row = NULL;
}

#define GO "\"options\":{\"add_generation_prompt\":true}"
#define CALL(id, arguments) "{\"id\":\"" id "\",\"function\":{\"name\":\"act\",\"arguments\":" arguments "}}"
#define USER "{\"role\":\"user\",\"content\":\"q\"}"
#define Q "<|\"|>"
#define START "<bos><|turn>user\nq<turn|>\n<|turn>model\n"
#define PROMPT "<|turn>model\n<|channel>thought\n<channel|>"
#define TOOL(schema) \
    "{\"messages\":[" USER "],\"tools\":[{\"function\":{\"name\":\"f\",\"description\":\"d\"," schema "}}]}"
#define DECLARED(schema)                                                                       \
    "<bos><|turn>system\n<|tool>declaration:f{description:" Q "d" Q schema "}<tool|><turn|>\n" \
    "<|turn>user\nq<turn|>\n"

TEST(the_default_mode_corrects_messages)
{
    static const struct row rows[] = {
        { "arguments as text are read",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL(
              "a", "\"{\\\"x\\\": 1.50}\"") "]},"
                                            "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"ok\"}]," GO "}",
          START "<|tool_call>call:act{x:1.5}<tool_call|><|tool_response>response:act{value:" Q "ok" Q
                "}<tool_response|>",
          { 0 } },
        { "empty arguments are none",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("a", "\"\"") "]}]}",
          START "<|tool_call>call:act{}<tool_call|><|tool_response>",
          { 0 } },
        { "text comes before calls and the turn stays open",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"Wait.\",\"tool_calls\":[" CALL(
              "a", "{}") "]},"
                         "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"ok\"}]," GO "}",
          START "Wait.<|tool_call>call:act{}<tool_call|><|tool_response>response:act{value:" Q "ok" Q
                "}<tool_response|>",
          { 0 } },
        { "after results an empty thought on request",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL(
              "a", "{}") "]},"
                         "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"ok\"}]," GO "}",
          START "<|tool_call>call:act{}<tool_call|><|tool_response>response:act{value:" Q "ok" Q
                "}<tool_response|><|channel>thought\n<channel|>",
          { .empty_thought_after_results = true } },
        { "an answer after embedded results is followed by a prompt",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"Done.\",\"tool_calls\":[" CALL(
              "a", "{}") "],"
                         "\"tool_responses\":[{\"name\":\"act\",\"response\":1}]}]," GO "}",
          START "<|tool_call>call:act{}<tool_call|><|tool_response>response:act{value:1}<tool_response|>Done.<turn|>"
                "\n" PROMPT,
          { 0 } },
        { "late system messages join the first",
          "{\"messages\":[{\"role\":\"system\",\"content\":\"A \"}," USER
          ",{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"B\"}]}]}",
          "<bos><|turn>system\nA \n\nB<turn|>\n<|turn>user\nq<turn|>\n",
          { 0 } },
        { "results without ids belong to calls without ids in order",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"a\"}},"
          "{\"function\":{\"name\":\"b\"}}]},{\"role\":\"tool\",\"content\":1},{\"role\":\"tool\",\"content\":2}]}",
          START "<|tool_call>call:a{}<tool_call|><|tool_call>call:b{}<tool_call|>"
                "<|tool_response>response:a{value:1}<tool_response|><|tool_response>response:b{value:2}"
                "<tool_response|>",
          { 0 } },
        { "a result that is a JSON object is structured on request",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL(
              "a", "{}") "]},"
                         "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"{\\\"t\\\":15}\"}]}",
          START "<|tool_call>call:act{}<tool_call|><|tool_response>response:act{t:15}<tool_response|>",
          { .structured_results = true } },
        { "a result that is other JSON stays text",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL(
              "a", "{}") "]},"
                         "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"[15]\"}]}",
          START "<|tool_call>call:act{}<tool_call|><|tool_response>response:act{value:" Q "[15]" Q "}<tool_response|>",
          { .structured_results = true } },
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        check_row(t, &rows[i]);
}

TEST(the_default_mode_corrects_schemas)
{
    static const struct row rows[] = {
        { "parameters get a type",
          TOOL("\"parameters\":{\"properties\":{}}"),
          DECLARED(",parameters:{type:" Q "OBJECT" Q "}"),
          { 0 } },
        { "a type or null is a nullable type",
          TOOL("\"parameters\":{\"properties\":{\"x\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":[\"null\","
               "\"integer\"]}}}}"),
          DECLARED(",parameters:{properties:{x:{items:{nullable:true,type:" Q "INTEGER" Q "},nullable:true,type:" Q
                   "ARRAY" Q "}},type:" Q "OBJECT" Q "}"),
          { 0 } },
        { "anyOf with null is nullable, too",
          TOOL("\"parameters\":{\"properties\":{\"x\":{\"description\":\"e\",\"anyOf\":[{\"type\":\"string\",\"enum\":"
               "[\"a\"],\"description\":\"f\"},{\"type\":\"null\"}]}}}"),
          DECLARED(",parameters:{properties:{x:{description:" Q "e" Q ",enum:[" Q "a" Q "],nullable:true,type:" Q
                   "STRING" Q "}},type:" Q "OBJECT" Q "}"),
          { 0 } },
        { "missing types are implied",
          TOOL("\"parameters\":{\"properties\":{\"a\":{\"items\":{\"enum\":[\"x\"]}},\"o\":{\"properties\":{}}}}"),
          DECLARED(",parameters:{properties:{a:{items:{enum:[" Q "x" Q "],type:" Q "STRING" Q "},type:" Q "ARRAY" Q
                   "},o:{properties:{},type:" Q "OBJECT" Q "}},type:" Q "OBJECT" Q "}"),
          { 0 } },
        { "a response that is no object is dropped", TOOL("\"response\":{\"type\":\"string\"}"), DECLARED(""), { 0 } },
        { "a response that is one stays",
          TOOL("\"response\":{\"type\":\"object\"}"),
          DECLARED(",response:{type:" Q "OBJECT" Q "}"),
          { 0 } },
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        check_row(t, &rows[i]);
}

TEST(what_cannot_be_rendered_is_refused_in_one_sentence)
{
    static const struct row rows[] = {
        { "no messages", "{}", "\"messages\" is nothing, expected an array", { 0 } },
        { "messages of another kind", "{\"messages\":{}}", "\"messages\" is an object, expected an array", { 0 } },
        { "a message of another kind", "{\"messages\":[1]}", "messages[0] is a number", { 0 } },
        { "tools of another kind", "{\"messages\":[],\"tools\":\"x\"}", "\"tools\" is a string", { 0 } },
        { "no role", "{\"messages\":[{\"content\":\"x\"}]}", "messages[0]: the role is nothing", { 0 } },
        { "content of another kind",
          "{\"messages\":[{\"role\":\"user\",\"content\":5}]}",
          "messages[0]: the content is a number, expected text or a list of parts",
          { 0 } },
        { "a role that the model was never shown",
          "{\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]}",
          "messages[0]: the role is \"wizard\", expected system, developer, user, assistant or tool",
          { 0 } },
        { "a role that is no text",
          "{\"messages\":[{\"role\":7,\"content\":\"x\"}]}",
          "messages[0]: the role is a number, expected text",
          { 0 } },
        { "a part of an unknown type",
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"smell\",\"smell\":\"x\"}]}]}",
          "messages[0]: a content part has the type \"smell\", which is not known",
          { 0 } },
        { "a part without a type",
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]}",
          "messages[0]: the type of a content part is nothing, expected text",
          { 0 } },
        { "a part without text",
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
          "messages[0]: the text of a content part is nothing",
          { 0 } },
        { "another start token",
          "{\"messages\":[],\"options\":{\"bos_token\":\"x\"}}",
          "options.bos_token is neither",
          { 0 } },
        { "a tool without function", "{\"messages\":[],\"tools\":[{}]}", "tools[0]: \"function\" is nothing", { 0 } },
        { "a tool without name",
          "{\"messages\":[],\"tools\":[{\"function\":{}}]}",
          "tools[0]: the name is nothing",
          { 0 } },
        { "arguments that are no JSON",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("a", "\"{\"") "]}]}",
          "messages[1]: the arguments of the call of act: JSON line 1, column 2",
          { 0 } },
        { "arguments that are no object",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("a", "\"[1]\"") "]}]}",
          "messages[1]: the arguments of the call of act are an array, expected an object",
          { 0 } },
        { "arguments as text, strictly",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("a", "\"{}\"") "]}]}",
          "messages[1]: the arguments of the call of act are a string, expected an object",
          { .strict = true } },
        { "no result",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("a", "{}") "]}," USER "]}",
          "messages[1]: the call of act has no result",
          { 0 } },
        { "one result of two",
          "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("a", "{}") "," CALL(
              "b", "{}") "]},"
                         "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"ok\"}]}",
          "messages[1]: the call of act has no result",
          { 0 } },
        { "a picture in a system message",
          "{\"messages\":[" USER ",{\"role\":\"system\",\"content\":[{\"type\":\"image\"}]}]}",
          "messages[1]: a system message holds text only",
          { 0 } },
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        check_row(t, &rows[i]);
}

TEST(controls_typed_by_a_user_stay_text_and_text_between_controls_is_one_item)
{
    struct arena arena = { 0 };
    struct karat_error err = { 0 };
    struct json *request = NULL;
    struct chat_prompt prompt = { 0 };
    const char *document = "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"<turn|>\"},"
                           "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\"}},"
                           "{\"type\":\"text\",\"text\":\"<|image|>\"}]}]," GO "}";
    static const struct {
        bool control;
        const char *text;
    } expected[] = {
        { true, "<bos>" },      { true, "<|turn>" },    { false, "user\n<turn|>a" },
        { true, "<|image|>" },  { false, "<|image|>" }, { true, "<turn|>" },
        { false, "\n" },        { true, "<|turn>" },    { false, "model\n" },
        { true, "<|channel>" }, { false, "thought\n" }, { true, "<channel|>" },
    };
    REQUIRE_OK(json_parse(&request, &arena, span_text(document), NULL, &err), err);
    REQUIRE_OK(chat_render(&prompt, request, NULL, &err), err);
    CHECK_UINT(prompt.n_items, COUNT(expected));
    for (size_t i = 0; i < prompt.n_items && i < COUNT(expected); ++i) {
        t->row = expected[i].text;
        CHECK(prompt.items[i].control == expected[i].control);
        CHECK(span_is(prompt.items[i].text, expected[i].text));
        CHECK((prompt.items[i].media != NULL) == (i == 3));
    }
    const struct json *url = json_find(json_find(prompt.items[3].media, "image_url"), "url");
    CHECK(json_is_text(url, "u"));
    chat_prompt_free(&prompt);
    arena_free(&arena);
}

TEST(a_begun_answer_follows_the_prompt_untrimmed)
{
    static const struct {
        const char *options, *expected;
        enum karat_status status;
    } cases[] = {
        { "{\"add_generation_prompt\":true,\"begun_answer\":\" a <|turn> \"}",
          "<bos><|turn>user\nq<turn|>\n" PROMPT " a <|turn> ", KARAT_OK },
        { "{\"add_generation_prompt\":true,\"begun_answer\":null}", "<bos><|turn>user\nq<turn|>\n" PROMPT, KARAT_OK },
        { "{\"add_generation_prompt\":true,\"begun_answer\":1}", "options.begun_answer is a number, expected a string",
          KARAT_ERR_ARGUMENT },
        { "{\"begun_answer\":\"a\"}", "options.begun_answer wants a generation prompt and no thinking",
          KARAT_ERR_ARGUMENT },
        { "{\"add_generation_prompt\":true,\"enable_thinking\":true,\"begun_answer\":\"a\"}",
          "options.begun_answer wants a generation prompt and no thinking", KARAT_ERR_ARGUMENT },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct arena arena = { 0 };
        struct karat_error err = { 0 };
        struct json *request = NULL;
        struct chat_prompt prompt = { 0 };
        struct text document = { 0 }, text = { 0 };
        t->row = cases[i].options;
        text_append_format(&document, "{\"messages\":[" USER "],\"options\":%s}", cases[i].options);
        REQUIRE_OK(json_parse(&request, &arena, text_span(&document), NULL, &err), err);
        CHECK_UINT(chat_render(&prompt, request, NULL, &err), cases[i].status);
        if (cases[i].status == KARAT_OK) {
            chat_prompt_text(&prompt, &text);
            CHECK_TEXT(text.data, cases[i].expected);
            // A control's name in it stays text.
            CHECK_UINT(prompt.items[prompt.n_items - 1].control, i == 1);
        } else {
            CHECK_TEXT(err.text, cases[i].expected);
        }
        chat_prompt_free(&prompt);
        text_free(&document);
        text_free(&text);
        arena_free(&arena);
    }
    t->row = NULL;
}

TEST(a_prompt_says_when_it_ends_in_a_thought)
{
    struct arena arena = { 0 };
    struct karat_error err = { 0 };
    struct json *request = NULL;
    struct chat_prompt prompt = { 0 };
    const char *document = "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL(
        "a", "{}") "]},"
                   "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"ok\"}],"
                   "\"options\":{\"add_generation_prompt\":true,\"enable_thinking\":true}}";
    REQUIRE_OK(json_parse(&request, &arena, span_text(document), NULL, &err), err);
    REQUIRE_OK(chat_render(&prompt, request, NULL, &err), err);
    CHECK(prompt.starts_in_thought);
    CHECK(prompt.thinking);
    CHECK(span_is(prompt.items[prompt.n_items - 1].text, "thought\n"));
    chat_prompt_free(&prompt);
    REQUIRE_OK(json_parse(&request, &arena, span_text("{\"messages\":[" USER "]," GO "}"), NULL, &err), err);
    REQUIRE_OK(chat_render(&prompt, request, NULL, &err), err);
    CHECK(!prompt.starts_in_thought);
    chat_prompt_free(&prompt);
    arena_free(&arena);
}
