// engine/generate.c -- the loop: sample, take note, pass pieces on, stop.
#include <stdlib.h>

#include "base/thread.h"
#include "engine/generation.h"

// ------------------------------------------------------------------------------------------------ pieces

static bool pass_on(struct generation *g, enum karat_piece kind, struct span piece)
{
    if (piece.size_bytes > 0 && g->options->on_piece &&
        !g->options->on_piece(g->options->user, kind, (const char *)piece.data, piece.size_bytes))
        g->refused = true;
    return !g->refused;
}

// The first n bytes that the stop filter holds are final.
static void release_answer(struct generation *g, size_t n)
{
    const struct span piece = span_of(g->filter.held.data, n);
    text_append_span(&g->content, piece);
    text_append_span(&g->ready, piece);
    stop_filter_drop(&g->filter, n);
}

static bool add_answer(struct generation *g, struct span piece)
{
    g->n_answer += piece.size_bytes;
    release_answer(g, stop_filter_add(&g->filter, piece));
    return !g->filter.found;
}

// What is ready of the answer, after the tokens that it is made of.
static bool flush_answer(struct generation *g)
{
    if (g->options->on_token)
        token_log_pass(&g->log, g->ready.size_bytes, g->options->on_token, g->options->user);
    const bool go_on = pass_on(g, KARAT_PIECE_ANSWER, text_span(&g->ready));
    g->content.failed = g->content.failed || g->ready.failed;
    text_clear(&g->ready);
    return go_on;
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
    const bool go_on = flush_answer(g) && pass_on(g, KARAT_PIECE_TOOL_CALL, text_span(&call));
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
        return flush_answer(g) && pass_on(g, KARAT_PIECE_THOUGHT, event->text);
    case PARSE_EVENT_CALL:
        return add_call(g, event);
    case PARSE_EVENT_BAD_CALL:
        // Shown as written: a call that vanishes would leave the user with an empty answer.
        g->n_turn_called = SIZE_MAX;
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
    token_log_text(&g->log, n_characters);
    if (g->parser)
        return settle(g, parser_text(g->parser, piece, err));
    add_answer(g, piece);
    return KARAT_OK;
}

static enum karat_status log_token(struct generation *g, uint32_t id, struct karat_error *err)
{
    struct karat_logprob token, top[KARAT_TOP_LOGPROBS_MAX];
    const uint32_t n_vocab = g->model->shape.n_vocab, n_top = g->options->n_top < n_vocab ? g->options->n_top : n_vocab;
    if (!g->options->on_token)
        return KARAT_OK;
    logprobs_of(&token, top, n_top, karat_session_logits(g->session), n_vocab, id);
    return token_log_add(&g->log, &token, top, n_top, err);
}

// The parser has taken a token, or all there is: what became final of the answer goes out.
static enum karat_status pass_answer(struct generation *g, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    if (g->options->on_token)
        status = token_log_settle(&g->log, g->parser ? parser_n_held(g->parser) : 0, g->n_answer, err);
    g->n_answer = 0;
    if (!g->refused)
        flush_answer(g);
    return status;
}

static enum karat_status add_token(struct generation *g, uint32_t id, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct span text = tokenizer_text(g->model->tokenizer, id);
    const enum parse_control control = g->parser ? (enum parse_control)g->model->parse_kinds[id] : PARSE_NONE;
    if (control == PARSE_NONE) {
        TRY(log_token(g, id, err));
        TRY(add_text(g, stream_feed(&g->stream, text, g->characters), err));
    } else {
        TRY(add_text(g, stream_finish(&g->stream, g->characters), err));
        TRY(log_token(g, id, err));
        token_log_text(&g->log, text.size_bytes);
        TRY(settle(g, parser_control(g->parser, control, err)));
    }
    TRY(pass_answer(g, err));
cleanup:
    return status;
}

static enum karat_status finish_text(struct generation *g, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(add_text(g, stream_finish(&g->stream, g->characters), err));
    if (g->parser && !g->refused && !g->filter.found)
        TRY(settle(g, parser_finish(g->parser, err)));
    if (!g->refused)
        release_answer(g, stop_filter_finish(&g->filter));
    TRY(pass_answer(g, err));
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
        .biases = wish->biases,
        .n_biases = wish->n_biases,
        .never = model->never_sampled,
        .n_never = model->n_never_sampled,
    };
}

static bool is_end(const struct karat_model *model, uint32_t id)
{
    return id == model->control.eos || id == model->control.turn_close || id == model->control.tool_response_open;
}

static enum karat_status end(struct generation *g, enum karat_stop stop)
{
    g->stop = stop;
    g->ended = true;
    return KARAT_OK;
}

#define CHARACTER_TOKENS_MAX 4 // its bytes, one by one

// Whether the thought ends here because it has used its budget. A character that was begun is finished before.
static bool must_end_thought(const struct generation *g)
{
    const uint32_t most = g->options->max_thought;
    const bool in_character = g->stream.n_pending > 0 && g->n_thought < most + CHARACTER_TOKENS_MAX - 1;
    return most > 0 && g->n_thought >= most && !in_character && g->parser && parser_in_thought(g->parser) &&
           g->model->control.channel_close != TOKEN_NONE;
}

enum karat_status generation_draw(struct generation *g, uint32_t *id, struct karat_error *err)
{
    struct matcher *matcher = g->constraint.matcher;
    if (must_end_thought(g)) {
        *id = g->model->control.channel_close;
        return matcher ? matcher_accept(matcher, *id, err) : KARAT_OK;
    }
    return matcher ? constraint_sample(&g->constraint, g->session, id, err) : session_sample(g->session, id, err);
}

enum karat_status generation_take(struct generation *g, uint32_t id, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct karat_session *session = g->session;
    const uint32_t max_tokens = g->options->max_tokens;
    const size_t n_calls = g->n_calls;
    ++g->n_generated;
    if (is_end(g->model, id))
        return end(g, KARAT_STOP_END);
    sampler_accept(session->sampler, id);
    if (g->keeps_turn)
        TRY(token_ids_push(&g->turn, id, err));
    TRY(add_token(g, id, err));
    if (g->n_calls > n_calls && g->n_turn_called != SIZE_MAX)
        g->n_turn_called = g->turn.n_ids;
    g->n_thought += g->parser && parser_thinks(g->parser);
    if (g->refused || g->filter.found)
        return end(g, g->filter.found ? KARAT_STOP_TEXT : KARAT_STOP_CANCELLED);
    if (max_tokens > 0 && g->n_generated >= max_tokens)
        return end(g, KARAT_STOP_LENGTH);
    if (session->n_ids >= session->n_context)
        return end(g, KARAT_STOP_CONTEXT);
cleanup:
    return status;
}

enum karat_status generation_next(struct generation *g, uint32_t *id, struct karat_error *err)
{
    const enum karat_status status = generation_draw(g, id, err);
    return status == KARAT_OK ? generation_take(g, *id, err) : status;
}

enum karat_status generation_advance(struct generation *g, uint32_t id, struct karat_error *err)
{
    const enum karat_status status = session_advance_begin(g->session, id, err);
    if (status != KARAT_OK)
        return status;
    constraint_prepare(&g->constraint);
    return session_advance_end(g->session, err);
}

enum karat_status generation_run_ahead(struct generation *g, uint32_t max_tokens, struct karat_error *err)
{
    // Masks are made on the host, so the device cannot draw; nor does it hand over the scores of what it has drawn.
    const bool on_host = g->constraint.matcher || g->options->on_token;
    return on_host ? ahead_end(g->session, err) : ahead_begin(g->session, max_tokens, err);
}

// Until something ends the answer.
static enum karat_status run_loop(struct generation *g, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    uint32_t id = 0;
    TRY(generation_run_ahead(g, g->options->max_tokens, err));
    while ((status = generation_next(g, &id, err)) == KARAT_OK && !g->ended)
        TRY(generation_advance(g, id, err));
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
    free(reply->sampled);
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
    reply->n_thought = g->n_thought;
    TRY(take_text(&reply->content, &g->content, err));
    TRY(take_text(&reply->thinking, &g->thinking, err));
    TRY(take_text(&reply->tool_calls, &calls, err));
    if (g->n_turn_called > 0 && g->n_turn_called != SIZE_MAX) {
        reply->sampled = g->turn.ids;
        reply->n_sampled = g->n_turn_called;
        g->turn = (struct token_ids){ 0 };
    }
cleanup:
    text_free(&calls);
    if (status != KARAT_OK)
        karat_reply_free(reply);
    return status;
}

// ------------------------------------------------------------------------------------------------ life

enum karat_status generation_check(const struct karat_model *model, const struct karat_generate_options *options,
                                   struct karat_error *err)
{
    const struct sampler_options sampling = sampling_options(model, &options->sampling);
    if (options->n_top > KARAT_TOP_LOGPROBS_MAX)
        return status_fail(err, KARAT_ERR_ARGUMENT,
                           "%u log probabilities were asked for at each token, at most %d are kept", options->n_top,
                           KARAT_TOP_LOGPROBS_MAX);
    return sampler_check(&sampling, model->shape.n_vocab, err);
}

enum karat_status generation_open(struct generation *g, const struct karat_model *model, const struct prompt *prompt,
                                  const struct karat_generate_options *options, struct karat_error *err)
{
    *g = (struct generation){ .model = model, .options = options };
    g->filter.stops = options->stop;
    g->filter.n_stops = options->n_stop;
    g->characters = calloc(1, STREAM_OUT_BYTES(tokenizer_text_bytes_max(model->tokenizer)));
    if (!g->characters)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for an answer");
    const struct constraint_prompt constraint = { prompt->may_think, prompt->starts_in_thought, prompt->begun,
                                                  prompt->tools };
    const enum karat_status status = constraint_open(&g->constraint, model, options, &constraint, err);
    if (status != KARAT_OK || !prompt->is_chat)
        return status;
    g->keeps_turn = prompt->tools;
    for (size_t i = prompt->n_history; g->keeps_turn && i < prompt->ids.n_ids; ++i)
        if (token_ids_push(&g->turn, prompt->ids.ids[i], err) != KARAT_OK)
            return KARAT_ERR_MEMORY;
    const struct parser_options parser = {
        .starts_in_thought = prompt->starts_in_thought,
        .tools = prompt->tools,
        .on_event = on_event,
        .user = g,
    };
    return parser_create(&g->parser, &parser, err);
}

void generation_close(struct generation *g)
{
    constraint_free(&g->constraint);
    parser_destroy(g->parser);
    free(g->characters);
    token_log_free(&g->log);
    token_ids_free(&g->turn);
    text_free(&g->filter.held);
    text_free(&g->ready);
    text_free(&g->content);
    text_free(&g->thinking);
    text_free(&g->calls);
}

enum karat_status generation_begin(struct generation *g, struct karat_session *session, struct karat_error *err)
{
    const struct sampler_options sampling = sampling_options(g->model, &g->options->sampling);
    g->session = session;
    return sampler_begin(session->sampler, &sampling, err);
}

void generation_accept(struct generation *g, const uint32_t *ids, size_t n_ids)
{
    for (size_t i = 0; i < n_ids; ++i)
        sampler_accept(g->session->sampler, ids[i]);
}

enum karat_status generation_finish(struct generation *g, enum karat_status status, struct karat_reply *reply,
                                    struct karat_error *err)
{
    if (status == KARAT_ERR_CANCELLED)
        g->stop = KARAT_STOP_CANCELLED;
    else if (status != KARAT_OK)
        return status;

    const enum karat_status end_status = finish_text(g, status == KARAT_OK ? err : NULL);
    if (status == KARAT_OK) {
        // What was held back until the end may be refused, or complete a stop text, as late as now.
        status = end_status;
        g->stop = g->refused ? KARAT_STOP_CANCELLED : g->filter.found ? KARAT_STOP_TEXT : g->stop;
    }
    if (reply && (status == KARAT_OK || status == KARAT_ERR_CANCELLED)) {
        reply->n_prompt = g->n_prompt;
        reply->n_cached = g->n_kept;
        const enum karat_status fill_status = fill_reply(reply, g, status == KARAT_OK ? err : NULL);
        status = status == KARAT_OK ? fill_status : status;
    }
    return status;
}

// The whole of it: sync to the prompt, loop, fill the reply.
static enum karat_status generate(struct karat_session *session, const struct prompt *prompt,
                                  const struct karat_generate_options *options, struct karat_reply *reply,
                                  struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct generation g = { 0 };
    const uint32_t *ids = prompt->ids.ids;
    const size_t n_ids = prompt->ids.n_ids;
    TRY(generation_check(session->model, options, err));
    TRY(generation_open(&g, session->model, prompt, options, err));
    TRY(generation_begin(&g, session, err));
    g.n_prompt = (uint32_t)n_ids;
    if ((status = session_sync(session, ids, n_ids, &g.n_kept, err)) == KARAT_OK) {
        generation_accept(&g, ids, n_ids);
        status = run_loop(&g, err);
    }
    status = generation_finish(&g, status, reply, err);
cleanup:
    generation_close(&g);
    return status;
}

static const struct karat_generate_options defaults;

enum karat_status karat_generate(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                 const struct karat_generate_options *options, struct karat_reply *reply,
                                 struct karat_error *err)
{
    const struct prompt prompt = { .ids = { .ids = (uint32_t *)ids, .n_ids = n_ids } };
    if (reply)
        *reply = (struct karat_reply){ 0 };
    session_clear_cancel(session);
    return generate(session, &prompt, options ? options : &defaults, reply, err);
}

// ------------------------------------------------------------------------------------------------ chat

enum karat_status karat_chat(struct karat_session *session, const char *messages,
                             const struct karat_generate_options *options, struct karat_reply *reply,
                             struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct arena arena = { 0 };
    struct json *request = NULL;
    struct prompt prompt = { 0 };
    options = options ? options : &defaults;
    if (reply)
        *reply = (struct karat_reply){ 0 };
    session_clear_cancel(session);

    TRY(prompt_build_request(&request, &arena, messages, options, err));
    TRY(prompt_read(&prompt, session->model, request, err));
    TRY(generate(session, &prompt, options, reply, err));
cleanup:
    prompt_free(&prompt);
    arena_free(&arena);
    return status;
}
