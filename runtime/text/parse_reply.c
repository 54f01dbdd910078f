// text/parse_reply.c -- a whole raw reply as one JSON object.
#include "text/parse.h"

struct reply {
    struct text thinking, content, calls;
};

static bool collect(void *user, const struct parse_event *event)
{
    struct reply *reply = user;
    switch (event->kind) {
    case PARSE_EVENT_ANSWER:
        text_append_span(&reply->content, event->text);
        break;
    case PARSE_EVENT_THOUGHT:
        text_append_span(&reply->thinking, event->text);
        break;
    case PARSE_EVENT_CALL:
        text_append_string(&reply->calls, reply->calls.size_bytes > 0 ? ",{\"name\":" : "{\"name\":");
        text_append_json_string(&reply->calls, event->name);
        text_append_string(&reply->calls, ",\"arguments\":");
        text_append_span(&reply->calls, event->text);
        text_append_char(&reply->calls, '}');
        break;
    case PARSE_EVENT_BAD_CALL:
        break;
    }
    return !reply->content.failed && !reply->thinking.failed && !reply->calls.failed;
}

enum karat_status parse_reply(struct text *out, struct span raw, bool starts_in_thought, const struct json *tools,
                              struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct reply reply = { 0 };
    struct parser *parser = NULL;
    const struct parser_options options = {
        .starts_in_thought = starts_in_thought, .tools = tools, .on_event = collect, .user = &reply
    };
    TRY(parser_create(&parser, &options, err));
    TRY(parser_raw(parser, raw, err));
    TRY(parser_finish(parser, err));
    text_append_string(out, "{\"thinking\":");
    text_append_json_string(out, text_span(&reply.thinking));
    text_append_string(out, ",\"content\":");
    text_append_json_string(out, text_span(&reply.content));
    text_append_string(out, ",\"tool_calls\":[");
    text_append_span(out, text_span(&reply.calls));
    text_append_string(out, "]}");
    TRY(text_check(out, "the reply", err));
cleanup:
    // The only reason for which collect() asks to stop.
    if (status == KARAT_ERR_CANCELLED)
        status = status_fail(err, KARAT_ERR_MEMORY, "the reply does not fit into memory");
    parser_destroy(parser);
    text_free(&reply.thinking);
    text_free(&reply.content);
    text_free(&reply.calls);
    return status;
}
