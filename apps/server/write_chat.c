// server/write_chat.c -- replies of /v1/chat/completions.
#include <string.h>

#include "server/answer.h"
#include "server/logprobs.h"

static void add_head(struct text *out, const struct answer *answer, const char *object)
{
    app_text_format(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", answer->id, object,
                    (long long)answer->created);
    app_text_json(out, app_text_of(&answer->server->alias), answer->server->alias.size);
    app_text_add(out, ",\"system_fingerprint\":\"b" KARAT_VERSION "\"");
}

static void add_usage(struct text *out, const struct answer *answer)
{
    const struct usage u = answer_usage(answer);
    app_text_format(out,
                    ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":%u},"
                    "\"completion_tokens_details\":{\"reasoning_tokens\":%u}}",
                    u.prompt, u.completion, u.prompt + u.completion, u.cached, u.thought);
}

static void add_timings(struct text *out, const struct answer *answer)
{
    app_text_add(out, ",\"timings\":");
    answer_write_timings(out, &answer->choices[answer->n_choices - 1]);
}

// ---------------------------------------------------------------------------------------------------- streams

// One chunk with one choice. `delta` is what stands between the braces; tokens that were not told yet come with it.
static void send_chunk(struct choice *choice, const struct text *delta, const char *finish_reason)
{
    struct answer *answer = choice->answer;
    struct text out = { 0 };
    add_head(&out, answer, "chat.completion.chunk");
    app_text_format(&out, ",\"choices\":[{\"index\":%u,\"delta\":{%s},\"logprobs\":", choice->index,
                    app_text_of(delta));
    if (choice->n_told < choice->n_tokens)
        logprobs_write_chat(&out, choice);
    else
        app_text_add(&out, "null");
    app_text_add(&out, ",\"finish_reason\":");
    app_text_format(&out, finish_reason ? "\"%s\"}]" : "null}]", finish_reason);
    // The last chunk that has choices carries the timings.
    if (finish_reason && answer->n_done + 1 == answer->n_choices)
        add_timings(&out, answer);
    app_text_add(&out, "}");
    answer_event(answer, NULL, &out);
    app_text_free(&out);
}

static void begin(struct answer *answer)
{
    struct text delta = { 0 };
    app_text_add(&delta, "\"role\":\"assistant\",\"content\":null");
    for (unsigned i = 0; i < answer->n_choices; ++i)
        send_chunk(&answer->choices[i], &delta, NULL);
    app_text_free(&delta);
}

// A header with an empty string of arguments, then the arguments: what clients put together is one JSON text.
static void send_call(struct choice *choice)
{
    const struct call *call = &choice->calls[choice->n_calls - 1];
    struct text delta = { 0 };
    app_text_format(&delta,
                    "\"tool_calls\":[{\"index\":%zu,\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":",
                    choice->n_calls - 1, call->id);
    app_text_json(&delta, app_text_of(&call->name), call->name.size);
    app_text_add(&delta, ",\"arguments\":\"\"}}]");
    send_chunk(choice, &delta, NULL);
    app_text_clear(&delta);
    app_text_format(&delta, "\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":", choice->n_calls - 1);
    app_text_json(&delta, app_text_of(&call->arguments), call->arguments.size);
    app_text_add(&delta, "}}]");
    send_chunk(choice, &delta, NULL);
    app_text_free(&delta);
}

static void piece(struct choice *choice, enum karat_piece kind, const char *text, size_t size)
{
    struct text delta = { 0 };
    if (kind == KARAT_PIECE_TOOL_CALL) {
        send_call(choice);
        return;
    }
    if (kind == KARAT_PIECE_THOUGHT && choice->answer->ask.hide_thoughts)
        return;
    app_text_add(&delta, kind == KARAT_PIECE_THOUGHT ? "\"reasoning_content\":" : "\"content\":");
    app_text_json(&delta, text, size);
    send_chunk(choice, &delta, NULL);
    app_text_free(&delta);
}

static void choice_end(struct choice *choice)
{
    const struct text nothing = { 0 };
    send_chunk(choice, &nothing, answer_finish_reason(choice));
}

static void end(struct answer *answer)
{
    struct text out = { 0 };
    if (answer->ask.include_usage) {
        add_head(&out, answer, "chat.completion.chunk");
        app_text_add(&out, ",\"choices\":[]");
        add_usage(&out, answer);
        app_text_add(&out, "}");
        answer_event(answer, NULL, &out);
        app_text_clear(&out);
    }
    app_text_add(&out, "[DONE]");
    answer_event(answer, NULL, &out);
    app_text_free(&out);
}

// ---------------------------------------------------------------------------------------------------- whole replies

static void add_calls(struct text *out, const struct choice *choice)
{
    app_text_add(out, ",\"tool_calls\":[");
    for (size_t i = 0; i < choice->n_calls; ++i) {
        const struct call *call = &choice->calls[i];
        app_text_format(out, "%s{\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", i ? "," : "", call->id);
        app_text_json(out, app_text_of(&call->name), call->name.size);
        app_text_add(out, ",\"arguments\":");
        app_text_json(out, app_text_of(&call->arguments), call->arguments.size);
        app_text_add(out, "}}");
    }
    app_text_add(out, "]");
}

static void add_choice(struct text *out, struct choice *choice)
{
    app_text_format(out, "{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":", choice->index);
    if (choice->content.size == 0 && choice->n_calls > 0)
        app_text_add(out, "null");
    else
        app_text_json(out, app_text_of(&choice->content), choice->content.size);
    if (choice->thinking.size > 0 && !choice->answer->ask.hide_thoughts) {
        app_text_add(out, ",\"reasoning_content\":");
        app_text_json(out, choice->thinking.data, choice->thinking.size);
    }
    if (choice->n_calls > 0)
        add_calls(out, choice);
    app_text_add(out, "},\"logprobs\":");
    logprobs_write_chat(out, choice);
    app_text_format(out, ",\"finish_reason\":\"%s\"}", answer_finish_reason(choice));
}

static void whole(struct answer *answer, struct text *out)
{
    add_head(out, answer, "chat.completion");
    app_text_add(out, ",\"choices\":[");
    for (unsigned i = 0; i < answer->n_choices; ++i) {
        app_text_add(out, i ? "," : "");
        add_choice(out, &answer->choices[i]);
    }
    app_text_add(out, "]");
    add_usage(out, answer);
    add_timings(out, answer);
    app_text_add(out, "}");
}

const struct writer writer_chat = { "chatcmpl-", begin, piece, choice_end, end, whole };
