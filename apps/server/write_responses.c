// server/write_responses.c -- replies of /v1/responses: items, and for each the events of its life.
#include <string.h>

#include "server/answer.h"
#include "server/logprobs.h"
#include "server/responses.h"

// What item is open in the stream.
enum { NOTHING, THOUGHT, ANSWER };

static const char *part_of(const struct answer *answer)
{
    return answer->id + 5; // behind "resp_"; the items' ids differ by their number
}

static void add_string(struct text *out, const char *before, const struct text *string)
{
    app_text_add(out, before);
    app_text_json(out, app_text_of(string), string->size);
}

// ---------------------------------------------------------------------------------------------------- items

static void add_reasoning(struct text *out, const struct choice *choice, unsigned index, bool ended)
{
    app_text_format(out, "{\"id\":\"rs_%s%u\",\"type\":\"reasoning\",\"summary\":[],\"content\":[",
                    part_of(choice->answer), index);
    if (ended) {
        add_string(out, "{\"type\":\"reasoning_text\",\"text\":", &choice->thinking);
        app_text_add(out, "}");
    }
    app_text_format(out, "],\"status\":\"%s\"}", ended ? "completed" : "in_progress");
}

static void add_message(struct text *out, const struct choice *choice, unsigned index, bool ended)
{
    app_text_format(out, "{\"id\":\"msg_%s%u\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[",
                    part_of(choice->answer), index);
    if (ended) {
        add_string(out, "{\"type\":\"output_text\",\"text\":", &choice->content);
        app_text_add(out, ",\"annotations\":[],\"logprobs\":");
        logprobs_write_list(out, choice, 0);
        app_text_add(out, "}");
    }
    app_text_format(out, "],\"status\":\"%s\"}", ended ? "completed" : "in_progress");
}

static void add_call(struct text *out, const struct answer *answer, const struct call *call, unsigned index, bool ended)
{
    static const struct text nothing = { 0 };
    app_text_format(out, "{\"id\":\"fc_%s%u\",\"type\":\"function_call\",\"call_id\":\"%s\"", part_of(answer), index,
                    call->id);
    add_string(out, ",\"name\":", &call->name);
    add_string(out, ",\"arguments\":", ended ? &call->arguments : &nothing);
    app_text_format(out, ",\"status\":\"%s\"}", ended ? "completed" : "in_progress");
}

// ---------------------------------------------------------------------------------------------------- the response

static bool is_incomplete(const struct choice *choice)
{
    return choice->stop == KARAT_STOP_LENGTH || choice->stop == KARAT_STOP_CONTEXT;
}

static void add_response(struct text *out, const struct answer *answer, const char *status, bool with_output)
{
    const struct choice *choice = &answer->choices[0];
    unsigned n = 0;
    app_text_format(out, "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\"", answer->id,
                    (long long)answer->created, status);
    add_string(out, ",\"error\":null,\"instructions\":null,\"metadata\":{},\"model\":", &answer->server->alias);
    app_text_add(out, strcmp(status, "incomplete") == 0 ? ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"
                                                        : ",\"incomplete_details\":null");
    app_text_add(out, ",\"output\":[");
    if (with_output && choice->thinking.size)
        add_reasoning(out, choice, n++, true);
    if (with_output && (choice->content.size || choice->n_calls == 0)) {
        app_text_add(out, n ? "," : "");
        add_message(out, choice, n++, true);
    }
    for (size_t i = 0; with_output && i < choice->n_calls; ++i) {
        app_text_add(out, n ? "," : "");
        add_call(out, answer, &choice->calls[i], n++, true);
    }
    app_text_add(out, "],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],\"temperature\":null,"
                      "\"top_p\":null,\"previous_response_id\":");
    if (answer->ask.previous.size)
        add_string(out, "", &answer->ask.previous);
    else
        app_text_add(out, "null");
    app_text_format(out, ",\"store\":%s,\"usage\":", answer->ask.forget ? "false" : "true");
    if (with_output)
        app_text_format(out,
                        "{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":%u},\"output_tokens\":%u,"
                        "\"output_tokens_details\":{\"reasoning_tokens\":%u},\"total_tokens\":%u}}",
                        choice->n_prompt, choice->n_cached, choice->n_generated, choice->n_thought,
                        choice->n_prompt + choice->n_generated);
    else
        app_text_add(out, "null}");
}

// ---------------------------------------------------------------------------------------------------- streams

// {"type": EVENT, "sequence_number": N and what `rest` adds
static void send_event(struct answer *answer, const char *event, struct text *rest)
{
    struct text out = { 0 };
    app_text_format(&out, "{\"type\":\"%s\",\"sequence_number\":%u", event, answer->sequence++);
    app_text_append(&out, rest->data, rest->size);
    app_text_add(&out, "}");
    answer_event(answer, event, &out);
    app_text_free(&out);
    app_text_free(rest);
}

static void send_response(struct answer *answer, const char *event, const char *status, bool with_output)
{
    struct text out = { 0 };
    app_text_add(&out, ",\"response\":");
    add_response(&out, answer, status, with_output);
    send_event(answer, event, &out);
}

static void begin(struct answer *answer)
{
    send_response(answer, "response.created", "in_progress", false);
    send_response(answer, "response.in_progress", "in_progress", false);
}

static struct text place(const struct choice *choice, const char *prefix)
{
    struct text out = { 0 };
    app_text_format(&out, ",\"item_id\":\"%s_%s%u\",\"output_index\":%u,\"content_index\":0", prefix,
                    part_of(choice->answer), choice->answer->n_items, choice->answer->n_items);
    return out;
}

static void send_item(struct choice *choice, const char *event, enum karat_piece kind, bool ended)
{
    struct answer *answer = choice->answer;
    const unsigned index = answer->n_items;
    struct text out = { 0 };
    app_text_format(&out, ",\"output_index\":%u,\"item\":", index);
    if (kind == KARAT_PIECE_THOUGHT)
        add_reasoning(&out, choice, index, ended);
    else if (kind == KARAT_PIECE_ANSWER)
        add_message(&out, choice, index, ended);
    else
        add_call(&out, answer, &choice->calls[choice->n_calls - 1], index, ended);
    send_event(answer, event, &out);
}

static void send_part(struct choice *choice, const char *event, const char *prefix, const char *type,
                      const struct text *text)
{
    struct text out = place(choice, prefix);
    app_text_format(&out, ",\"part\":{\"type\":\"%s\"", type);
    add_string(&out, ",\"text\":", text);
    if (*prefix == 'm') {
        app_text_add(&out, ",\"annotations\":[],\"logprobs\":");
        logprobs_write_list(&out, choice, text->size ? 0 : choice->n_tokens);
    }
    app_text_add(&out, "}");
    send_event(choice->answer, event, &out);
}

static void open_item(struct choice *choice, unsigned kind)
{
    static const struct text nothing = { 0 };
    if (kind == THOUGHT) {
        send_item(choice, "response.output_item.added", KARAT_PIECE_THOUGHT, false);
    } else {
        send_item(choice, "response.output_item.added", KARAT_PIECE_ANSWER, false);
        send_part(choice, "response.content_part.added", "msg", "output_text", &nothing);
    }
    choice->phase = kind;
}

static void close_item(struct choice *choice)
{
    struct text out = { 0 };
    if (choice->phase == THOUGHT) {
        out = place(choice, "rs");
        add_string(&out, ",\"text\":", &choice->thinking);
        send_event(choice->answer, "response.reasoning_text.done", &out);
        send_item(choice, "response.output_item.done", KARAT_PIECE_THOUGHT, true);
    } else {
        out = place(choice, "msg");
        app_text_add(&out, ",\"logprobs\":");
        logprobs_write_list(&out, choice, 0);
        add_string(&out, ",\"text\":", &choice->content);
        send_event(choice->answer, "response.output_text.done", &out);
        send_part(choice, "response.content_part.done", "msg", "output_text", &choice->content);
        send_item(choice, "response.output_item.done", KARAT_PIECE_ANSWER, true);
    }
    choice->answer->n_items++;
    choice->phase = NOTHING;
}

static void send_call(struct choice *choice)
{
    static const char *const events[] = { "response.function_call_arguments.delta",
                                          "response.function_call_arguments.done" };
    const struct call *call = &choice->calls[choice->n_calls - 1];
    send_item(choice, "response.output_item.added", KARAT_PIECE_TOOL_CALL, false);
    for (int i = 0; i < 2; ++i) {
        struct text out = place(choice, "fc");
        if (i == 1)
            add_string(&out, ",\"name\":", &call->name);
        add_string(&out, i == 0 ? ",\"delta\":" : ",\"arguments\":", &call->arguments);
        send_event(choice->answer, events[i], &out);
    }
    send_item(choice, "response.output_item.done", KARAT_PIECE_TOOL_CALL, true);
    choice->answer->n_items++;
}

static void piece(struct choice *choice, enum karat_piece kind, const char *text, size_t size)
{
    const bool thought = kind == KARAT_PIECE_THOUGHT;
    const unsigned wanted = kind == KARAT_PIECE_TOOL_CALL ? NOTHING : thought ? THOUGHT : ANSWER;
    if (choice->phase != NOTHING && choice->phase != wanted)
        close_item(choice);
    if (kind == KARAT_PIECE_TOOL_CALL) {
        send_call(choice);
        return;
    }
    if (choice->phase == NOTHING)
        open_item(choice, wanted);
    struct text out = place(choice, thought ? "rs" : "msg");
    if (!thought) {
        app_text_add(&out, ",\"logprobs\":");
        logprobs_write_list(&out, choice, choice->n_told);
        choice->n_told = choice->n_tokens;
    }
    app_text_add(&out, ",\"delta\":");
    app_text_json(&out, text, size);
    send_event(choice->answer, thought ? "response.reasoning_text.delta" : "response.output_text.delta", &out);
}

static void choice_end(struct choice *choice)
{
    if (choice->phase == NOTHING && choice->answer->n_items == 0) // an answer without a character is one all the same
        open_item(choice, ANSWER);
    if (choice->phase != NOTHING)
        close_item(choice);
}

static void end(struct answer *answer)
{
    const bool incomplete = is_incomplete(&answer->choices[0]);
    struct text body = { 0 }, out = { 0 };
    add_response(&body, answer, incomplete ? "incomplete" : "completed", true);
    responses_keep(answer->server->responses, answer, &body);
    app_text_add(&out, ",\"response\":");
    app_text_append(&out, body.data, body.size);
    send_event(answer, incomplete ? "response.incomplete" : "response.completed", &out);
    app_text_free(&body);
}

static void whole(struct answer *answer, struct text *out)
{
    add_response(out, answer, is_incomplete(&answer->choices[0]) ? "incomplete" : "completed", true);
    responses_keep(answer->server->responses, answer, out);
}

const struct writer writer_responses = { "resp_", begin, piece, choice_end, end, whole };
