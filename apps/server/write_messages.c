// server/write_messages.c -- replies of /v1/messages.
#include <stdio.h>
#include <string.h>

#include "server/answer.h"

// What block is open in the stream.
enum { NOTHING, THOUGHT, ANSWER };

static const char *stop_reason(const struct choice *choice)
{
    switch (choice->stop) {
    case KARAT_STOP_TOOL_CALLS:
        return "tool_use";
    case KARAT_STOP_LENGTH:
    case KARAT_STOP_CONTEXT:
        return "max_tokens";
    case KARAT_STOP_TEXT:
        return "stop_sequence";
    case KARAT_STOP_END:
    case KARAT_STOP_CANCELLED:
        break;
    }
    return "end_turn";
}

// Which of several stop texts it was the library does not tell.
static void add_stop(struct text *out, const struct choice *choice)
{
    const struct ask *ask = &choice->answer->ask;
    app_text_format(out, "\"stop_reason\":\"%s\",\"stop_sequence\":", stop_reason(choice));
    if (choice->stop == KARAT_STOP_TEXT && ask->n_stops == 1)
        app_text_json(out, ask->stops[0], strlen(ask->stops[0]));
    else
        app_text_add(out, "null");
}

static void add_usage(struct text *out, const struct choice *choice)
{
    app_text_format(out,
                    "\"usage\":{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":%u,"
                    "\"output_tokens\":%u}",
                    choice->n_prompt - choice->n_cached, choice->n_cached, choice->n_generated);
}

static void add_head(struct text *out, const struct answer *answer)
{
    app_text_format(out, "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", answer->id);
    app_text_json(out, app_text_of(&answer->server->alias), answer->server->alias.size);
}

// ---------------------------------------------------------------------------------------------------- streams

static void send_event(struct answer *answer, const char *event, struct text *out)
{
    answer_event(answer, event, out);
    app_text_free(out);
}

static void begin(struct answer *answer)
{
    struct text out = { 0 };
    app_text_add(&out, "{\"type\":\"message_start\",\"message\":");
    add_head(&out, answer);
    app_text_add(&out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
    add_usage(&out, &answer->choices[0]);
    app_text_add(&out, "}}");
    send_event(answer, "message_start", &out);
    app_text_add(&out, "{\"type\":\"ping\"}");
    send_event(answer, "ping", &out);
}

static void send_delta(struct answer *answer, const char *type, const char *name, const char *text, size_t size)
{
    struct text out = { 0 };
    app_text_format(&out, "{\"type\":\"content_block_delta\",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":",
                    answer->n_items, type, name);
    app_text_json(&out, text, size);
    app_text_add(&out, "}}");
    send_event(answer, "content_block_delta", &out);
}

static void open_block(struct answer *answer, const char *block)
{
    struct text out = { 0 };
    app_text_format(&out, "{\"type\":\"content_block_start\",\"index\":%u,\"content_block\":%s}", answer->n_items,
                    block);
    send_event(answer, "content_block_start", &out);
}

static void close_block(struct choice *choice)
{
    struct answer *answer = choice->answer;
    struct text out = { 0 };
    if (choice->phase == THOUGHT)
        send_delta(answer, "signature_delta", "signature", "", 0);
    app_text_format(&out, "{\"type\":\"content_block_stop\",\"index\":%u}", answer->n_items++);
    send_event(answer, "content_block_stop", &out);
    choice->phase = NOTHING;
}

static void send_call(struct choice *choice)
{
    const struct call *call = &choice->calls[choice->n_calls - 1];
    struct text block = { 0 };
    app_text_format(&block, "{\"type\":\"tool_use\",\"id\":\"toolu_%s\",\"name\":", call->id + 5);
    app_text_json(&block, app_text_of(&call->name), call->name.size);
    app_text_add(&block, ",\"input\":{}}");
    open_block(choice->answer, block.data);
    send_delta(choice->answer, "input_json_delta", "partial_json", app_text_of(&call->arguments), call->arguments.size);
    close_block(choice);
    app_text_free(&block);
}

static void piece(struct choice *choice, enum karat_piece kind, const char *text, size_t size)
{
    const bool thought = kind == KARAT_PIECE_THOUGHT;
    const unsigned wanted = kind == KARAT_PIECE_TOOL_CALL ? NOTHING : thought ? THOUGHT : ANSWER;
    if (choice->phase != NOTHING && choice->phase != wanted)
        close_block(choice);
    if (kind == KARAT_PIECE_TOOL_CALL) {
        send_call(choice);
        return;
    }
    if (choice->phase == NOTHING)
        open_block(choice->answer, thought ? "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"
                                           : "{\"type\":\"text\",\"text\":\"\"}");
    choice->phase = wanted;
    if (thought)
        send_delta(choice->answer, "thinking_delta", "thinking", text, size);
    else
        send_delta(choice->answer, "text_delta", "text", text, size);
}

static void choice_end(struct choice *choice)
{
    if (choice->phase != NOTHING)
        close_block(choice);
}

static void end(struct answer *answer)
{
    struct text out = { 0 };
    app_text_add(&out, "{\"type\":\"message_delta\",\"delta\":{");
    add_stop(&out, &answer->choices[0]);
    app_text_add(&out, "},");
    add_usage(&out, &answer->choices[0]);
    app_text_add(&out, "}");
    send_event(answer, "message_delta", &out);
    app_text_add(&out, "{\"type\":\"message_stop\"}");
    send_event(answer, "message_stop", &out);
}

// ---------------------------------------------------------------------------------------------------- whole replies

static void whole(struct answer *answer, struct text *out)
{
    const struct choice *choice = &answer->choices[0];
    const char *comma = "";
    add_head(out, answer);
    app_text_add(out, ",\"content\":[");
    if (choice->thinking.size) {
        app_text_add(out, "{\"type\":\"thinking\",\"thinking\":");
        app_text_json(out, choice->thinking.data, choice->thinking.size);
        app_text_add(out, ",\"signature\":\"\"}");
        comma = ",";
    }
    if (choice->content.size) {
        app_text_format(out, "%s{\"type\":\"text\",\"text\":", comma);
        app_text_json(out, choice->content.data, choice->content.size);
        app_text_add(out, "}");
        comma = ",";
    }
    for (size_t i = 0; i < choice->n_calls; ++i, comma = ",") {
        const struct call *call = &choice->calls[i];
        app_text_format(out, "%s{\"type\":\"tool_use\",\"id\":\"toolu_%s\",\"name\":", comma, call->id + 5);
        app_text_json(out, app_text_of(&call->name), call->name.size);
        app_text_format(out, ",\"input\":%s}", call->arguments.size ? call->arguments.data : "{}");
    }
    app_text_add(out, "],");
    add_stop(out, choice);
    app_text_add(out, ",");
    add_usage(out, choice);
    app_text_add(out, "}");
}

const struct writer writer_messages = { "msg_", begin, piece, choice_end, end, whole };
