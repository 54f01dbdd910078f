// tests/fuzz/fuzz_parse.c -- any reply gives the same events whole and in pieces, and every call has an object.
//
// The first byte holds the start state and the size of the pieces, the rest is the raw reply.
#include <stdlib.h>

#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char tools_text[] =
    "[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{"
    "\"s\":{\"type\":\"string\"},\"t\":{\"type\":\"string\"},\"n\":{\"type\":\"number\"}}}}}]";

static void demand(bool holds)
{
    if (!holds)
        abort();
}

struct reply {
    struct text thinking, content, calls;
};

static bool collect(void *user, const struct parse_event *event)
{
    struct reply *reply = user;
    struct arena arena = { 0 };
    struct json *arguments = NULL;
    switch (event->kind) {
    case PARSE_EVENT_ANSWER:
        demand(event->text.size_bytes > 0);
        text_append_span(&reply->content, event->text);
        break;
    case PARSE_EVENT_THOUGHT:
        demand(event->text.size_bytes > 0);
        text_append_span(&reply->thinking, event->text);
        break;
    case PARSE_EVENT_CALL:
        demand(event->name.size_bytes > 0);
        demand(json_parse(&arguments, &arena, event->text, NULL, NULL) == KARAT_OK);
        demand(json_is(arguments, JSON_OBJECT));
        text_append_span(&reply->calls, event->name);
        text_append_span(&reply->calls, event->text);
        break;
    case PARSE_EVENT_BAD_CALL:
        demand(event->reason && event->reason[0]);
        text_append_string(&reply->calls, event->reason);
        break;
    }
    arena_free(&arena);
    return true;
}

static void read_reply(struct reply *reply, struct span raw, bool in_thought, const struct json *tools, size_t piece)
{
    const struct parser_options options = {
        .starts_in_thought = in_thought, .tools = tools, .on_event = collect, .user = reply
    };
    struct parser *parser = NULL;
    demand(parser_create(&parser, &options, NULL) == KARAT_OK);
    for (size_t at = 0; at < raw.size_bytes; at += piece) {
        const size_t size = raw.size_bytes - at < piece ? raw.size_bytes - at : piece;
        demand(parser_raw(parser, span_of(raw.data + at, size), NULL) == KARAT_OK);
    }
    demand(parser_finish(parser, NULL) == KARAT_OK);
    demand(parser_stopped(parser));
    parser_destroy(parser);
}

static void free_reply(struct reply *reply)
{
    text_free(&reply->thinking);
    text_free(&reply->content);
    text_free(&reply->calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = { 0 };
    struct json *tools = NULL;
    struct reply whole = { 0 }, pieces = { 0 };
    if (size == 0)
        return 0;
    demand(json_parse(&tools, &arena, span_text(tools_text), NULL, NULL) == KARAT_OK);
    const struct span raw = span_of(data + 1, size - 1);
    read_reply(&whole, raw, data[0] & 1, tools, size);
    read_reply(&pieces, raw, data[0] & 1, tools, 1 + (data[0] >> 1) % 16);
    demand(span_equal(text_span(&whole.thinking), text_span(&pieces.thinking)));
    demand(span_equal(text_span(&whole.content), text_span(&pieces.content)));
    demand(span_equal(text_span(&whole.calls), text_span(&pieces.calls)));
    free_reply(&whole);
    free_reply(&pieces);
    arena_free(&arena);
    return 0;
}
