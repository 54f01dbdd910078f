// engine/generate.c -- the loop: sample, take note, pass pieces on, stop.
#include <stdlib.h>

#include "base/thread.h"
#include "engine/engine.h"
#include "engine/stop.h"

// One answer in the making. Text takes the way token -> stream (whole characters) -> parser (chat only) -> stop filter
// -> the caller and the reply.
struct generation {
    struct karat_session *session;
    const struct karat_generate_options *options;
    struct parser *parser; // NULL without a chat format
    struct stream stream;
    struct stop_filter filter;
    char *characters; // [STREAM_OUT_BYTES(longest token)]
    struct text content, thinking, calls;
    size_t n_calls;
    uint32_t n_generated;
    enum karat_stop stop;
    bool refused; // on_piece returned false
};

// ------------------------------------------------------------------------------------------------ pieces

static bool pass_on(struct generation *g, enum karat_piece kind, struct span piece)
{
    if (piece.size_bytes > 0 && g->options->on_piece &&
        !g->options->on_piece(g->options->user, kind, (const char *)piece.data, piece.size_bytes))
        g->refused = true;
    return !g->refused;
}

// The first n bytes that the stop filter holds are final.
static bool release_answer(struct generation *g, size_t n)
{
    const struct span piece = span_of(g->filter.held.data, n);
    text_append_span(&g->content, piece);
    const bool go_on = pass_on(g, KARAT_PIECE_ANSWER, piece);
    stop_filter_drop(&g->filter, n);
    return go_on && !g->filter.found;
}

static bool add_answer(struct generation *g, struct span piece)
{
    return release_answer(g, stop_filter_add(&g->filter, piece));
}

static bool add_call(struct generation *g, const struct parse_event *event)
{
    struct text call = { 0 };
    text_append_string(&call, "{\"name\":");
    text_append_json_string(&call, event->name);
    text_append_string(&call, ",\"arguments\":");
    text_append_span(&call, event->text);
    text_append_char(&call, '}');
    if (g->n_calls++ > 0)
        text_append_char(&g->calls, ',');
    text_append_span(&g->calls, text_span(&call));
    g->calls.failed = g->calls.failed || call.failed;
    const bool go_on = pass_on(g, KARAT_PIECE_TOOL_CALL, text_span(&call));
    text_free(&call);
    return go_on;
}

static bool on_event(void *user, const struct parse_event *event)
{
    struct generation *g = user;
    switch (event->kind) {
    case PARSE_EVENT_ANSWER:
        return add_answer(g, event->text);
    case PARSE_EVENT_THOUGHT:
        text_append_span(&g->thinking, event->text);
        return pass_on(g, KARAT_PIECE_THOUGHT, event->text);
    case PARSE_EVENT_CALL:
        return add_call(g, event);
    case PARSE_EVENT_BAD_CALL:
        // Shown as written: a call that vanishes would leave the user with an empty answer.
        return add_answer(g, event->text);
    }
    return true;
}

// A callback that wants no more is not an error of the parser.
static enum karat_status settle(struct generation *g, enum karat_status status)
{
    return status == KARAT_ERR_CANCELLED && (g->refused || g->filter.found) ? KARAT_OK : status;
}

static enum karat_status add_text(struct generation *g, size_t n_characters, struct karat_error *err)
{
    const struct span piece = span_of(g->characters, n_characters);
    if (n_characters == 0)
        return KARAT_OK;
    if (g->parser)
        return settle(g, parser_text(g->parser, piece, err));
    add_answer(g, piece);
    return KARAT_OK;
}

static enum karat_status add_token(struct generation *g, uint32_t id, struct karat_error *err)
{
    const struct karat_model *model = g->session->model;
    const enum parse_control control = g->parser ? (enum parse_control)model->parse_kinds[id] : PARSE_NONE;
    enum karat_status status = KARAT_OK;
    if (control == PARSE_NONE)
        return add_text(g, stream_feed(&g->stream, tokenizer_text(model->tokenizer, id), g->characters), err);
    if ((status = add_text(g, stream_finish(&g->stream, g->characters), err)) != KARAT_OK)
        return status;
    return settle(g, parser_control(g->parser, control, err));
}

static enum karat_status finish_text(struct generation *g, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(add_text(g, stream_finish(&g->stream, g->characters), err));
    if (g->parser && !g->refused && !g->filter.found)
        TRY(settle(g, parser_finish(g->parser, err)));
    if (!g->refused)
        release_answer(g, stop_filter_finish(&g->filter));
cleanup:
    return status;
}

// ------------------------------------------------------------------------------------------------ sampling

static struct sampler_options sampling_options(const struct karat_model *model, const struct karat_sampling *wish)
{
    const struct karat_model_facts *facts = &model->facts;
    const bool greedy = wish->greedy || wish->temperature < 0;
    return (struct sampler_options){
        // Written so that what is no number reaches the sampler, which refuses it.
        .temperature = greedy                   ? 0
                       : wish->temperature == 0 ? facts->temperature
                                                : wish->temperature,
        .top_k = wish->top_k > 0 ? wish->top_k : facts->top_k,
        .top_p = wish->top_p == 0 ? facts->top_p : wish->top_p,
        .min_p = wish->min_p,
        .repeat_penalty = wish->repeat_penalty,
        .presence_penalty = wish->presence_penalty,
        .frequency_penalty = wish->frequency_penalty,
        .penalty_window = wish->repeat_window,
        .seed = wish->seed ? wish->seed : clock_ns(),
        .never = model->never_sampled,
        .n_never = model->n_never_sampled,
    };
}

static bool is_end(const struct karat_model *model, uint32_t id)
{
    return id == model->control.eos || id == model->control.turn_close || id == model->control.tool_response_open;
}

// Samples until something ends the answer; g->stop says what.
static enum karat_status run_loop(struct generation *g, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct karat_session *session = g->session;
    const uint32_t max_tokens = g->options->max_tokens;
    TRY(ahead_begin(session, max_tokens, err));
    for (;;) {
        uint32_t id = 0;
        TRY(session_sample(session, &id, err));
        ++g->n_generated;
        if (is_end(session->model, id)) {
            g->stop = KARAT_STOP_END;
            break;
        }
        sampler_accept(session->sampler, id);
        TRY(add_token(g, id, err));
        if (g->refused || g->filter.found) {
            g->stop = g->filter.found ? KARAT_STOP_TEXT : KARAT_STOP_CANCELLED;
            break;
        }
        if (max_tokens > 0 && g->n_generated >= max_tokens) {
            g->stop = KARAT_STOP_LENGTH;
            break;
        }
        if (session->n_ids >= session->n_context) {
            g->stop = KARAT_STOP_CONTEXT;
            break;
        }
        TRY(session_advance(session, id, err));
    }
cleanup:
    return status;
}

// ------------------------------------------------------------------------------------------------ replies

void karat_reply_free(struct karat_reply *reply)
{
    if (!reply)
        return;
    free(reply->content);
    free(reply->thinking);
    free(reply->tool_calls);
    *reply = (struct karat_reply){ 0 };
}

static enum karat_status take_text(char **out, struct text *text, struct karat_error *err)
{
    const enum karat_status status = text_check(text, "the reply", err);
    if (status != KARAT_OK)
        return status;
    *out = text->data ? text_take(text, NULL) : calloc(1, 1);
    return *out ? KARAT_OK : status_fail(err, KARAT_ERR_MEMORY, "no memory for the reply");
}

static enum karat_status fill_reply(struct karat_reply *reply, struct generation *g, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct text calls = { 0 };
    text_append_char(&calls, '[');
    text_append_span(&calls, text_span(&g->calls));
    text_append_char(&calls, ']');
    calls.failed = calls.failed || g->calls.failed;
    reply->stop = g->stop == KARAT_STOP_END && g->n_calls > 0 ? KARAT_STOP_TOOL_CALLS : g->stop;
    reply->n_generated = g->n_generated;
    TRY(take_text(&reply->content, &g->content, err));
    TRY(take_text(&reply->thinking, &g->thinking, err));
    TRY(take_text(&reply->tool_calls, &calls, err));
cleanup:
    text_free(&calls);
    if (status != KARAT_OK)
        karat_reply_free(reply);
    return status;
}

// The whole of it: sync to the prompt, loop, fill the reply. `parser` NULL: no chat format.
static enum karat_status generate(struct generation *g, const uint32_t *ids, size_t n_ids, struct karat_reply *reply,
                                  struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct karat_model *model = g->session->model;
    const struct sampler_options sampling = sampling_options(model, &g->options->sampling);
    uint32_t n_kept = 0;

    g->filter.stops = g->options->stop;
    g->filter.n_stops = g->options->n_stop;
    g->characters = calloc(1, STREAM_OUT_BYTES(tokenizer_text_bytes_max(model->tokenizer)));
    if (!g->characters)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for an answer"));
    TRY(sampler_begin(g->session->sampler, &sampling, err));
    if ((status = session_sync(g->session, ids, n_ids, &n_kept, err)) == KARAT_OK) {
        for (size_t i = 0; i < n_ids; ++i)
            sampler_accept(g->session->sampler, ids[i]);
        status = run_loop(g, err);
    }
    if (status == KARAT_ERR_CANCELLED)
        g->stop = KARAT_STOP_CANCELLED;
    else if (status != KARAT_OK)
        goto cleanup;

    const enum karat_status end_status = finish_text(g, status == KARAT_OK ? err : NULL);
    if (status == KARAT_OK) {
        // What was held back until the end may be refused, or complete a stop text, as late as now.
        status = end_status;
        g->stop = g->refused ? KARAT_STOP_CANCELLED : g->filter.found ? KARAT_STOP_TEXT : g->stop;
    }
    if (reply && (status == KARAT_OK || status == KARAT_ERR_CANCELLED)) {
        reply->n_prompt = (uint32_t)n_ids;
        reply->n_cached = n_kept;
        const enum karat_status fill_status = fill_reply(reply, g, status == KARAT_OK ? err : NULL);
        status = status == KARAT_OK ? fill_status : status;
    }
cleanup:
    free(g->characters);
    text_free(&g->filter.held);
    text_free(&g->content);
    text_free(&g->thinking);
    text_free(&g->calls);
    return status;
}

enum karat_status karat_generate(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                 const struct karat_generate_options *options, struct karat_reply *reply,
                                 struct karat_error *err)
{
    const struct karat_generate_options defaults = { 0 };
    struct generation g = { .session = session, .options = options ? options : &defaults };
    if (reply)
        *reply = (struct karat_reply){ 0 };
    session_clear_cancel(session);
    return generate(&g, ids, n_ids, reply, err);
}

// ------------------------------------------------------------------------------------------------ chat

static struct json *new_bool(struct arena *arena, const char *key, bool value)
{
    struct json *json = json_new(arena, JSON_BOOL);
    if (json) {
        json->boolean = value;
        json->key = span_text(key);
    }
    return json;
}

static struct json *read_member(struct arena *arena, const char *key, const char *document, struct karat_error *err)
{
    struct json *value = NULL;
    enum karat_status status = json_parse(&value, arena, span_text(document), NULL, err);
    if (status != KARAT_OK) {
        status_context(err, status, "the %s", key);
        return NULL;
    }
    value->key = span_text(key);
    return value;
}

// {"messages", "tools", "options"} as chat_render() takes it.
static enum karat_status build_request(struct json **out, struct json **tools_out, struct arena *arena,
                                       const char *messages, const struct karat_generate_options *options,
                                       struct karat_error *err)
{
    struct karat_error why = { .status = KARAT_ERR_MEMORY, .text = "no memory for the conversation" };
    struct json *request = json_new(arena, JSON_OBJECT), *wishes = json_new(arena, JSON_OBJECT);
    struct json *conversation = read_member(arena, "messages", messages, &why);
    struct json *tools = options->tools && conversation ? read_member(arena, "tools", options->tools, &why) : NULL;
    struct json *thinking = new_bool(arena, "enable_thinking", options->thinking);
    struct json *prompt = new_bool(arena, "add_generation_prompt", true);
    if (!request || !wishes || !conversation || (options->tools && !tools) || !thinking || !prompt) {
        if (err)
            *err = why;
        return why.status;
    }
    wishes->key = span_text("options");
    json_append(wishes, thinking);
    json_append(wishes, prompt);
    json_append(request, conversation);
    if (tools)
        json_append(request, tools);
    json_append(request, wishes);
    *out = request;
    *tools_out = tools;
    return KARAT_OK;
}

static enum karat_status refuse_media(const struct chat_prompt *prompt, struct karat_error *err)
{
    for (size_t i = 0; i < prompt->n_items; ++i)
        if (prompt->items[i].media)
            return status_fail(err, KARAT_ERR_UNSUPPORTED,
                               "the conversation holds a %.*s part; only text is read so far",
                               SPAN_ARGS(prompt->items[i].text));
    return KARAT_OK;
}

enum karat_status karat_chat(struct karat_session *session, const char *messages,
                             const struct karat_generate_options *options, struct karat_reply *reply,
                             struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct karat_generate_options defaults = { 0 };
    struct generation g = { .session = session, .options = options ? options : &defaults };
    struct arena arena = { 0 };
    struct json *request = NULL, *tools = NULL;
    struct chat_prompt prompt = { 0 };
    struct token_ids ids = { 0 };
    if (reply)
        *reply = (struct karat_reply){ 0 };
    session_clear_cancel(session);

    TRY(build_request(&request, &tools, &arena, messages, g.options, err));
    TRY(chat_render(&prompt, request, NULL, err));
    TRY(refuse_media(&prompt, err));
    TRY(engine_prompt_ids(session->model, &prompt, &ids, err));
    const struct parser_options parser_options = {
        .starts_in_thought = prompt.starts_in_thought,
        .tools = tools,
        .on_event = on_event,
        .user = &g,
    };
    TRY(parser_create(&g.parser, &parser_options, err));
    TRY(generate(&g, ids.ids, ids.n_ids, reply, err));
cleanup:
    parser_destroy(g.parser);
    token_ids_free(&ids);
    chat_prompt_free(&prompt);
    arena_free(&arena);
    return status;
}
