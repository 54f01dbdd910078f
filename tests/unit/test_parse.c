// tests/unit/test_parse.c -- replies of the model, whole and in pieces, and the repairs of its calls.
#include "text/parse.h"

#include <stdlib.h>

#include "base/thread.h"
#include "test.h"
#include "text/chat.h"

struct reply {
    struct text thinking, content, calls, bad;
    size_t n_bad, n_empty;
};

static bool collect(void *user, const struct parse_event *event)
{
    struct reply *reply = user;
    reply->n_empty += event->text.size_bytes == 0;
    if (event->kind == PARSE_EVENT_ANSWER)
        text_append_span(&reply->content, event->text);
    if (event->kind == PARSE_EVENT_THOUGHT)
        text_append_span(&reply->thinking, event->text);
    if (event->kind == PARSE_EVENT_BAD_CALL) {
        text_append_format(&reply->bad, "%s;", event->reason);
        ++reply->n_bad;
    }
    if (event->kind == PARSE_EVENT_CALL) {
        text_append_string(&reply->calls, reply->calls.size_bytes > 0 ? ",{\"name\":" : "{\"name\":");
        text_append_json_string(&reply->calls, event->name);
        text_append_string(&reply->calls, ",\"arguments\":");
        text_append_span(&reply->calls, event->text);
        text_append_string(&reply->calls, "}");
    }
    return true;
}

static void free_reply(struct reply *reply)
{
    text_free(&reply->thinking);
    text_free(&reply->content);
    text_free(&reply->calls);
    text_free(&reply->bad);
}

// Pieces of 1 .. chunk_max bytes; chunk_max 0 is one piece.
static void feed_pieces(struct test *t, struct parser *parser, struct span raw, uint32_t chunk_max,
                        struct test_random *random)
{
    struct karat_error err = { 0 };
    while (raw.size_bytes > 0) {
        size_t size = chunk_max == 0 ? raw.size_bytes : 1 + test_random_below(random, chunk_max);
        if (size > raw.size_bytes)
            size = raw.size_bytes;
        // A copy of exactly this size lets the sanitizer see a read behind it.
        uint8_t *piece = malloc(size);
        REQUIRE(piece != NULL);
        memcpy(piece, raw.data, size);
        CHECK(parser_raw(parser, span_of(piece, size), &err) == KARAT_OK);
        free(piece);
        raw.data += size;
        raw.size_bytes -= size;
    }
    CHECK(parser_finish(parser, &err) == KARAT_OK);
}

static struct reply read_reply(struct test *t, struct span raw, bool starts_in_thought, const struct json *tools,
                               uint32_t chunk_max, struct test_random *random)
{
    struct reply reply = { 0 };
    struct parser *parser = NULL;
    const struct parser_options options = {
        .starts_in_thought = starts_in_thought, .tools = tools, .on_event = collect, .user = &reply
    };
    if (CHECK(parser_create(&parser, &options, NULL) == KARAT_OK))
        feed_pieces(t, parser, raw, chunk_max, random);
    parser_destroy(parser);
    return reply;
}

static void check_text(struct test *t, const char *what, const struct text *got, const struct json *expected)
{
    test_check(t, span_equal(text_span(got), expected->text), __FILE__, __LINE__, "%s is \"%s\", expected \"%.*s\"",
               what, got->data ? got->data : "", SPAN_ARGS(expected->text));
}

static void check_calls(struct test *t, const struct text *got, const struct json *expected)
{
    struct arena arena = { 0 };
    struct karat_error err = { 0 };
    struct json *calls = NULL;
    struct text array = { 0 };
    text_append_format(&array, "[%s]", got->data ? got->data : "");
    if (test_check(t, json_parse(&calls, &arena, text_span(&array), NULL, &err) == KARAT_OK, __FILE__, __LINE__, "%s",
                   err.text))
        test_check(t, json_equal(calls, expected), __FILE__, __LINE__, "the calls are %s", array.data);
    text_free(&array);
    arena_free(&arena);
}

static void check_case(struct test *t, const struct json *line, uint32_t chunk_max, struct test_random *random)
{
    const struct json *expected = json_find(line, "expected"), *raw = json_find(line, "raw");
    struct reply reply = read_reply(t, raw->text, json_truthy(json_find(line, "starts_in_thought")),
                                    json_find(line, "tools"), chunk_max, random);
    check_text(t, "the thought", &reply.thinking, json_find(expected, "thinking"));
    check_text(t, "the content", &reply.content, json_find(expected, "content"));
    check_calls(t, &reply.calls, json_find(expected, "tool_calls"));
    CHECK(reply.n_empty == 0);
    free_reply(&reply);
}

typedef void check_line_fn(struct test *t, const struct json *line);

static size_t check_lines(struct test *t, const char *file, check_line_fn *check)
{
    size_t n_cases = 0;
    char *lines = test_read_file(test_data_path(file), NULL);
    if (!CHECK(lines != NULL))
        return 0;
    for (char *start = lines, *end; *start; start = end) {
        struct arena arena = { 0 };
        struct karat_error err = { 0 };
        struct json *line = NULL;
        char name[80];
        end = start + strcspn(start, "\n");
        if (test_check(t, json_parse(&line, &arena, span_of(start, (size_t)(end - start)), NULL, &err) == KARAT_OK,
                       __FILE__, __LINE__, "%s", err.text)) {
            snprintf(name, sizeof name, "%.*s", SPAN_ARGS(json_find(line, "name")->text));
            t->row = name;
            check(t, line);
            ++n_cases;
        }
        t->row = NULL;
        arena_free(&arena);
        end += *end == '\n';
    }
    free(lines);
    return n_cases;
}

static void check_whole(struct test *t, const struct json *line)
{
    check_case(t, line, 0, NULL);
}

static void check_bytes(struct test *t, const struct json *line)
{
    struct test_random random = { 1 };
    check_case(t, line, 1, &random);
}

static void check_chunks(struct test *t, const struct json *line)
{
    struct test_random random = { 2 };
    for (uint32_t i = 0; i < 50; ++i)
        check_case(t, line, 2 + i % 12, &random);
}

static void check_convenience(struct test *t, const struct json *line)
{
    struct arena arena = { 0 };
    struct text out = { 0 };
    struct karat_error err = { 0 };
    struct json *reply = NULL;
    CHECK(parse_reply(&out, json_find(line, "raw")->text, json_truthy(json_find(line, "starts_in_thought")),
                      json_find(line, "tools"), &err) == KARAT_OK);
    REQUIRE_OK(json_parse(&reply, &arena, text_span(&out), NULL, &err), err);
    test_check(t, json_equal(reply, json_find(line, "expected")), __FILE__, __LINE__, "the reply is %s", out.data);
    text_free(&out);
    arena_free(&arena);
}

TEST(recorded_replies_are_read_whole)
{
    const size_t n = check_lines(t, "parse_cases.jsonl", check_whole);
    CHECK_UINT(n, 54);
}

TEST(recorded_replies_are_read_byte_by_byte)
{
    const size_t n = check_lines(t, "parse_cases.jsonl", check_bytes);
    CHECK_UINT(n, 54);
}

TEST(recorded_replies_are_read_in_random_chunks)
{
    const size_t n = check_lines(t, "parse_cases.jsonl", check_chunks);
    CHECK_UINT(n, 54);
}

TEST(recorded_replies_come_as_one_object)
{
    const size_t n = check_lines(t, "parse_cases.jsonl", check_convenience);
    CHECK_UINT(n, 54);
}

// ---------------------------------------------------------------------------------------------------- more replies

struct row {
    const char *raw;
    const char *thinking, *content, *calls, *bad;
};

static const char *or_empty(const struct text *text)
{
    return text->data ? text->data : "";
}

static void check_row(struct test *t, const struct row *row, const struct json *tools)
{
    struct test_random random = { 3 };
    t->row = row->raw;
    for (uint32_t chunk_max = 0; chunk_max < 4; ++chunk_max) {
        struct reply reply = read_reply(t, span_text(row->raw), false, tools, chunk_max, &random);
        CHECK_TEXT(or_empty(&reply.thinking), row->thinking);
        CHECK_TEXT(or_empty(&reply.content), row->content);
        CHECK_TEXT(or_empty(&reply.calls), row->calls);
        CHECK_TEXT(or_empty(&reply.bad), row->bad);
        free_reply(&reply);
    }
    t->row = NULL;
}

#define Q "<|\"|>"
#define CALL(body) "<|tool_call>call:" body "<tool_call|>"

TEST(odd_replies_are_understood)
{
    static const struct row rows[] = {
        { "thought\n<channel|>Hi", "", "Hi", "", "" },
        { "thought\nfood", "", "thought\nfood", "", "" },
        { "thought\n", "", "thought\n", "", "" },
        { "thought <channel|>Hi", "", "thought Hi", "", "" },
        { "<|channel><|channel>thought\nA<channel|>B", "A", "B", "", "" },
        { "<|channel>thought\nA <|channel>thought\nB<channel|>C", "A\nB", "C", "", "" },
        { "<|channel>thought\n \n<channel|>x<|channel>thought\nB<channel|>", "B", "x", "", "" },
        { "<|channel>thought", "", "", "", "" },
        { "<|channel>thou", "thou", "", "", "" },
        { "<|channel>thought\n\n A\n", "\n A", "", "", "" },
        { "a \n<|turn>user\nb", "", "a \n", "", "" },
        { "<|turn>user\nb", "", "", "", "" },
        { "<|turn>model", "", "", "", "" },
        { "<|turn>model\nthought\n<channel|>x", "", "x", "", "" },
        { "  lead", "", "  lead", "", "" },
        { "a <channel|> b", "", "a b", "", "" },
        { "say " Q "x" Q, "", "say " Q "x" Q, "", "" },
        { "<|channel>thought\nsay " Q "<tool_call|><channel|>x", "say " Q "<tool_call|>", "x", "", "" },
        { "a<eos>b", "", "a", "", "" },
        { "a<|tool_response>b", "", "a", "", "" },
        { "<|tool_call>call:f{x:1}<|tool_response>b", "", "", "{\"name\":\"f\",\"arguments\":{\"x\":1}}", "" },
        { "<<|channel>thought\nA<channel|><<turn|>", "A", "<<", "", "" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        check_row(t, &rows[i], NULL);
}

#define ARGS(json) "{\"name\":\"f\",\"arguments\":" json "}"

TEST(calls_are_read_or_refused_with_a_reason)
{
    static const struct row rows[] = {
        { CALL("f{x:123456789012345678901234567890,y:1.50}"), "", "",
          ARGS("{\"x\":123456789012345678901234567890,\"y\":1.50}"), "" },
        { CALL(" f {x:True,y:None,z:False}\n"), "", "", ARGS("{\"x\":true,\"y\":null,\"z\":false}"), "" },
        { "<|tool_call>\ncall:f{}<tool_call|>", "", "", ARGS("{}"), "" },
        { CALL("f{a:{b:1,b:2},:3}"), "", "", ARGS("{\"a\":{\"b\":2},\"\":3}"), "" },
        { CALL("f{x:1,}"), "", "", "", "a key is not followed by ':';" },
        { CALL("f{x:[1,]}"), "", "", "", "a value is neither quoted nor a number, list, object, true, false or null;" },
        { CALL("f{x:01}"), "", "", "", "a string or number is not as JSON has it;" },
        { CALL("f{x:1"), "", "", "", "the arguments do not end with '}';" },
        { CALL("f{x:[1}"), "", "", "", "a list does not end with ']';" },
        { CALL("f{x:1}}"), "", "", "", "something follows the arguments;" },
        { CALL("f"), "", "", "", "the call has no arguments in braces;" },
        { CALL("{}"), "", "", "", "the call names no tool;" },
        { CALL("f{x:nulla}"), "", "", "", "the arguments do not end with '}';" },
        { "<|tool_call>f{}<tool_call|>", "", "", "", "the call does not begin with \"call:\";" },
        { CALL("f{x:\"\xFF\"}"), "", "", "", "the call is not UTF-8;" },
        { CALL("f{x:" Q "a<|tool_call>b" Q "}"), "", "", ARGS("{\"x\":\"a<|tool_call>b\"}"), "" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        check_row(t, &rows[i], NULL);
}

TEST(slips_with_one_meaning_are_repaired)
{
    static const struct row rows[] = {
        { CALL("f{s:'it's', t:'b'}"), "", "", ARGS("{\"s\":\"it's\",\"t\":\"b\"}"), "" },
        { CALL("f{s:'a'"), "", "", ARGS("{\"s\":\"a\"}"), "" },
        { CALL("f{s:" Q "a'b:'c" Q ",t:'d'}"), "", "", ARGS("{\"s\":\"a'b:'c\",\"t\":\"d\"}"), "" },
        { CALL("f{o:{s:" Q "ls}}"), "", "", ARGS("{\"o\":{\"s\":\"ls\"}}"), "" },
        { CALL("f{l:[" Q "a" Q "," Q "b]}"), "", "", ARGS("{\"l\":[\"a\",\"b\"]}"), "" },
        { CALL("f{s:" Q "echo ${x}}"), "", "", ARGS("{\"s\":\"echo ${x}\"}"), "" },
        { CALL("f{s:" Q "cut"), "", "", ARGS("{\"s\":\"cut\"}"), "" },
        { CALL("f{s:bare text, n:3, t:more, and more}"), "", "",
          ARGS("{\"s\":\"bare text\",\"n\":3,\"t\":\"more, and more\"}"), "" },
        { CALL("f{s:no opener" Q "}"), "", "", ARGS("{\"s\":\"no opener\"}"), "" },
        { CALL("f{s:a {b} c, t:" Q "x" Q "}"), "", "", ARGS("{\"s\":\"a {b} c\",\"t\":\"x\"}"), "" },
        { CALL("f{n:bare}"), "", "", "", "a value is neither quoted nor a number, list, object, true, false or null;" },
        { CALL("f{u:bare}"), "", "", "", "a value is neither quoted nor a number, list, object, true, false or null;" },
        { CALL("f{s:a " Q "b" Q " c}"), "", "", "",
          "a value is neither quoted nor a number, list, object, true, false or null;" },
    };
    struct arena arena = { 0 };
    struct karat_error err = { 0 };
    struct json *tools = NULL;
    const char *document = "[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"s\":{\"type\":\"string\"},"
                           "\"t\":{\"type\":[\"string\",\"null\"]},\"n\":{\"type\":\"number\"}}}}}]";
    REQUIRE_OK(json_parse(&tools, &arena, span_text(document), NULL, &err), err);
    for (size_t i = 0; i < COUNT(rows); ++i)
        check_row(t, &rows[i], tools);
    arena_free(&arena);
}

// ---------------------------------------------------------------------------------------------------- as tokens

TEST(controls_typed_as_text_stay_text)
{
    struct reply reply = { 0 };
    struct parser *parser = NULL;
    struct karat_error err = { 0 };
    REQUIRE_OK(parser_create(&parser, &(struct parser_options){ .on_event = collect, .user = &reply }, &err), err);
    CHECK(parser_text(parser, span_text("<|channel>thought\n<turn|>"), &err) == KARAT_OK);
    CHECK(parser_control(parser, PARSE_CALL_OPEN, &err) == KARAT_OK);
    CHECK(parser_in_call(parser));
    CHECK(parser_text(parser, span_text("call:f{x:"), &err) == KARAT_OK);
    CHECK(parser_control(parser, PARSE_QUOTE, &err) == KARAT_OK);
    CHECK(parser_text(parser, span_text("<|\"|><tool_call|>"), &err) == KARAT_OK);
    CHECK(parser_control(parser, PARSE_QUOTE, &err) == KARAT_OK);
    CHECK(parser_text(parser, span_text("}"), &err) == KARAT_OK);
    CHECK(parser_control(parser, PARSE_CALL_CLOSE, &err) == KARAT_OK);
    CHECK_UINT(parser_n_calls(parser), 1);
    CHECK(!parser_stopped(parser));
    CHECK(parser_control(parser, PARSE_RESPONSE_OPEN, &err) == KARAT_OK);
    CHECK(parser_stopped(parser));
    CHECK(parser_finish(parser, &err) == KARAT_OK);
    CHECK_TEXT(or_empty(&reply.content), "<|channel>thought\n<turn|>");
    CHECK_TEXT(or_empty(&reply.calls), ARGS("{\"x\":\"<|\\\"|><tool_call|>\"}"));
    parser_destroy(parser);
    free_reply(&reply);
}

TEST(control_names_map_to_kinds)
{
    CHECK_UINT(parser_control_from_name(span_text("<|channel>")), PARSE_CHANNEL_OPEN);
    CHECK_UINT(parser_control_from_name(span_text("<eos>")), PARSE_END);
    CHECK_UINT(parser_control_from_name(span_text("<|\"|>")), PARSE_QUOTE);
    CHECK_UINT(parser_control_from_name(span_text("<|image|>")), PARSE_NONE);
    CHECK_UINT(parser_control_from_name(span_text("")), PARSE_NONE);
}

static bool refuse(void *user, const struct parse_event *event)
{
    (void)event;
    ++*(unsigned *)user;
    return false;
}

TEST(a_reader_that_has_enough_is_not_called_again)
{
    unsigned n_calls = 0;
    struct parser *parser = NULL;
    struct karat_error err = { 0 };
    REQUIRE_OK(parser_create(&parser, &(struct parser_options){ .on_event = refuse, .user = &n_calls }, &err), err);
    CHECK_UINT(parser_text(parser, span_text("a"), &err), KARAT_ERR_CANCELLED);
    const enum karat_status again = parser_text(parser, span_text("b"), &err);
    CHECK_UINT(again, KARAT_ERR_CANCELLED);
    const enum karat_status last = parser_finish(parser, &err);
    CHECK_UINT(last, KARAT_ERR_CANCELLED);
    CHECK_UINT(n_calls, 1);
    parser_destroy(parser);
}

TEST(endless_calls_and_endless_whitespace_are_bounded)
{
    struct reply reply = { 0 };
    struct parser *parser = NULL;
    struct karat_error err = { 0 };
    char block[4096];
    memset(block, ' ', sizeof block);
    REQUIRE_OK(parser_create(&parser, &(struct parser_options){ .on_event = collect, .user = &reply }, &err), err);
    for (size_t i = 0; i <= PARSE_SPACE_BYTES_MAX / sizeof block; ++i)
        CHECK(parser_text(parser, span_of(block, sizeof block), &err) == KARAT_OK);
    CHECK(reply.content.size_bytes > PARSE_SPACE_BYTES_MAX);
    CHECK(parser_control(parser, PARSE_CALL_OPEN, &err) == KARAT_OK);
    CHECK(parser_text(parser, span_text("call:f{}"), &err) == KARAT_OK);
    for (size_t i = 0; i <= PARSE_CALL_BYTES_MAX / sizeof block; ++i)
        CHECK(parser_text(parser, span_of(block, sizeof block), &err) == KARAT_OK);
    CHECK(parser_control(parser, PARSE_CALL_CLOSE, &err) == KARAT_OK);
    CHECK(parser_finish(parser, &err) == KARAT_OK);
    CHECK_TEXT(or_empty(&reply.bad), "the call is longer than the parser reads;");
    CHECK_TEXT(or_empty(&reply.calls), "");
    parser_destroy(parser);
    free_reply(&reply);
}

TEST(hostile_calls_are_refused_in_reasonable_time)
{
    static const char *const fillers[] = { "a:'b", "s:{s:1,", "s:[", "s:\"", "s:x,s:", ",", "}", "'", "<|\"|>" };
    struct arena arena = { 0 };
    struct karat_error err = { 0 };
    struct json *tools = NULL;
    const char *document = "[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"s\":{\"type\":"
                           "\"string\"}}}}}]";
    REQUIRE_OK(json_parse(&tools, &arena, span_text(document), NULL, &err), err);
    for (size_t i = 0; i < COUNT(fillers); ++i) {
        struct text raw = { 0 };
        t->row = fillers[i];
        text_append_string(&raw, "<|tool_call>call:f{");
        while (raw.size_bytes < 500000)
            text_append_string(&raw, fillers[i]);
        const uint64_t start_ns = clock_ns();
        struct reply reply = read_reply(t, text_span(&raw), false, tools, 0, NULL);
        const double seconds = (double)(clock_ns() - start_ns) * 1e-9;
        // Squares of the length would take minutes.
        test_check(t, seconds < test_seconds(20), __FILE__, __LINE__, "%.1f s", seconds);
        free_reply(&reply);
        text_free(&raw);
    }
    arena_free(&arena);
}

// ---------------------------------------------------------------------------------------------------- round trip

static struct span random_text(struct arena *arena, struct test_random *random, bool key)
{
    static const char *const pieces[] = { "a", "Zed", " ",     "\n", "\xC3\xA9", "\xF0\x9F\x9A\x80",
                                          "'", "\"",  "\\n",   "<",  "|>",       "7",
                                          "-", ".",   ":",     "{",  "}",        "[",
                                          "]", ",",   "<turn>" };
    const uint32_t n_pieces = key ? 14 : COUNT(pieces);
    struct text text = { 0 };
    // A bare key is trimmed, and one that begins with a quote is read as a JSON string.
    text_append_string(&text, key ? "k" : "");
    for (uint32_t i = test_random_below(random, 8); i > 0; --i)
        text_append_string(&text, pieces[test_random_below(random, n_pieces)]);
    text_append_string(&text, key ? "k" : "");
    const char *copy = arena_text(arena, text.data ? text.data : "", text.size_bytes);
    const struct span result = span_of(copy, text.size_bytes);
    text_free(&text);
    return result;
}

static struct span random_number(struct arena *arena, struct test_random *random)
{
    struct text text = { 0 };
    const uint64_t bits = (uint64_t)test_random_u32(random) << 32 | test_random_u32(random);
    double number = 0;
    memcpy(&number, &bits, sizeof number);
    if (test_random_below(random, 3) == 0)
        text_append_format(&text, "%llu%llu%llu", 1 + (unsigned long long)bits, (unsigned long long)bits,
                           (unsigned long long)bits);
    else if (test_random_below(random, 2) == 0 || !isfinite(number))
        text_append_format(&text, "%d", (int)(int32_t)bits);
    else
        text_append_double(&text, number);
    const char *copy = arena_text(arena, text.data, text.size_bytes);
    const struct span result = span_of(copy, text.size_bytes);
    text_free(&text);
    return result;
}

static struct json *random_value(struct arena *arena, struct test_random *random, unsigned depth)
{
    struct json *value = json_new(arena, (enum json_kind)test_random_below(random, depth < 4 ? 6 : 4));
    if (depth == 0)
        value->kind = JSON_OBJECT;
    value->boolean = value->kind == JSON_BOOL && test_random_below(random, 2);
    if (value->kind == JSON_STRING)
        value->text = random_text(arena, random, false);
    if (value->kind == JSON_NUMBER)
        value->text = random_number(arena, random);
    for (uint32_t i = value->kind >= JSON_ARRAY ? test_random_below(random, 5) : 0; i > 0; --i) {
        struct json *child = random_value(arena, random, depth + 1);
        child->key = value->kind == JSON_OBJECT ? random_text(arena, random, true) : (struct span){ 0 };
        if (value->kind == JSON_ARRAY || !json_find_span(value, child->key))
            json_append(value, child);
    }
    return value;
}

static struct json *member(struct arena *arena, struct json *object, const char *key, enum json_kind kind)
{
    struct json *value = json_new(arena, kind);
    value->key = span_text(key);
    json_append(object, value);
    return value;
}

// The call as the renderer prints it inside a conversation.
static void render_call(struct test *t, struct arena *arena, struct json *arguments, struct text *out)
{
    struct karat_error err = { 0 };
    struct chat_prompt prompt = { 0 };
    struct json *request = json_new(arena, JSON_OBJECT);
    struct json *messages = member(arena, request, "messages", JSON_ARRAY);
    struct json *message = json_new(arena, JSON_OBJECT);
    json_append(messages, message);
    member(arena, message, "role", JSON_STRING)->text = span_text("assistant");
    struct json *call = json_new(arena, JSON_OBJECT);
    json_append(member(arena, message, "tool_calls", JSON_ARRAY), call);
    struct json *function = member(arena, call, "function", JSON_OBJECT);
    member(arena, function, "name", JSON_STRING)->text = span_text("f");
    arguments->key = span_text("arguments");
    json_append(function, arguments);
    REQUIRE_OK(chat_render(&prompt, request, &(struct chat_options){ .strict = true }, &err), err);
    chat_prompt_text(&prompt, out);
    chat_prompt_free(&prompt);
}

static void check_round_trip(struct test *t, struct test_random *random)
{
    struct arena arena = { 0 };
    struct text rendered = { 0 };
    struct karat_error err = { 0 };
    struct json *arguments = random_value(&arena, random, 0), *calls = NULL;
    render_call(t, &arena, arguments, &rendered);
    const char *call = rendered.data ? strstr(rendered.data, "<|tool_call>") : NULL;
    REQUIRE(call != NULL);
    struct reply reply = read_reply(t, span_text(call), false, NULL, 0, NULL);
    REQUIRE_OK(json_parse(&calls, &arena, text_span(&reply.calls), NULL, &err), err);
    test_check(t, json_equal(json_find(calls, "arguments"), arguments), __FILE__, __LINE__, "%s became %s", call,
               or_empty(&reply.calls));
    free_reply(&reply);
    text_free(&rendered);
    arena_free(&arena);
}

TEST(random_arguments_survive_the_models_notation)
{
    struct test_random random = { 20000 };
    for (unsigned i = 0; i < 20000; ++i)
        check_round_trip(t, &random);
}
