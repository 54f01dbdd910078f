// server/answer.c -- from the scheduler's thread to the loop's, and from letters to a reply.
#define _POSIX_C_SOURCE 200809L
#include "server/answer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/replay.h"

// ---------------------------------------------------------------------------------------------------- the mailbox

enum letter_kind { LETTER_START, LETTER_TOKEN, LETTER_PIECE, LETTER_DONE };

struct letter {
    struct letter *next;
    struct choice *choice;
    enum letter_kind kind;
    enum karat_piece piece;
    struct text text;    // of a piece
    struct token *token; // of its own
    uint32_t *sampled;   // [n_sampled], of the end
    size_t n_sampled;
    enum karat_stop stop;
    uint32_t n_prompt, n_cached, n_generated, n_thought;
    struct karat_request_times times;
    struct karat_error err; // of the end; KARAT_OK and KARAT_ERR_CANCELLED have replies
};

struct mailbox {
    pthread_mutex_t lock;
    struct letter *first, *last;
    struct event *arrival;
};

static void put(struct choice *choice, const struct letter *like)
{
    struct mailbox *box = choice->answer->server->mailbox;
    struct letter *letter = app_memory_new(1, sizeof *letter);
    *letter = *like;
    letter->choice = choice;
    pthread_mutex_lock(&box->lock);
    const bool was_empty = !box->first;
    if (was_empty)
        box->first = letter;
    else
        box->last->next = letter;
    box->last = letter;
    pthread_mutex_unlock(&box->lock);
    if (was_empty)
        event_active(box->arrival, EV_READ, 0);
}

static void on_start(void *user, uint32_t n_prompt, uint32_t n_cached)
{
    put(user, &(struct letter){ .kind = LETTER_START, .n_prompt = n_prompt, .n_cached = n_cached });
}

static void on_token(void *user, const struct karat_logprob *token, const struct karat_logprob *top, size_t n_top)
{
    struct token *copy = app_memory_new(1, sizeof *copy);
    copy->own = *token;
    copy->n_top = n_top;
    memcpy(copy->top, top, n_top * sizeof *top);
    put(user, &(struct letter){ .kind = LETTER_TOKEN, .token = copy });
}

static bool on_piece(void *user, enum karat_piece piece, const char *text, size_t size)
{
    struct letter letter = { .kind = LETTER_PIECE, .piece = piece };
    app_text_append(&letter.text, text, size);
    put(user, &letter);
    return true;
}

static void on_done(void *user, enum karat_status status, const struct karat_reply *reply,
                    const struct karat_request_times *times, const struct karat_error *err)
{
    struct letter letter = { .kind = LETTER_DONE, .times = *times };
    if (reply) {
        letter.stop = reply->stop;
        letter.n_prompt = reply->n_prompt;
        letter.n_cached = reply->n_cached;
        letter.n_generated = reply->n_generated;
        letter.n_thought = reply->n_thought;
        letter.n_sampled = reply->n_sampled;
        letter.sampled = app_memory_new(reply->n_sampled + 1, sizeof *letter.sampled);
        if (reply->n_sampled > 0)
            memcpy(letter.sampled, reply->sampled, reply->n_sampled * sizeof *letter.sampled);
    }
    if (status != KARAT_OK && err)
        letter.err = *err;
    letter.err.status = status;
    put(user, &letter);
}

// ---------------------------------------------------------------------------------------------------- life

static void destroy(struct answer *answer)
{
    for (unsigned i = 0; i < answer->n_choices; ++i) {
        struct choice *choice = &answer->choices[i];
        for (size_t k = 0; k < choice->n_calls; ++k) {
            app_text_free(&choice->calls[k].name);
            app_text_free(&choice->calls[k].arguments);
        }
        free(choice->calls);
        free(choice->tokens);
        app_text_free(&choice->content);
        app_text_free(&choice->thinking);
    }
    free(answer->choices);
    ask_free(&answer->ask);
    free(answer);
}

void answer_cancel(struct answer *answer)
{
    for (unsigned i = 0; i < answer->n_submitted; ++i)
        if (!answer->choices[i].done && answer->server->scheduler)
            karat_scheduler_cancel(answer->server->scheduler, answer->choices[i].ticket);
}

static void on_client_gone(void *user)
{
    struct answer *answer = user;
    answer->gone = true;
    answer_cancel(answer);
}

static void fail(struct answer *answer, const struct fault *fault)
{
    if (answer->failed)
        return;
    answer->failed = true;
    answer->fault = *fault;
    answer_cancel(answer);
}

// The reply, once the last choice has ended.
static void conclude(struct answer *answer)
{
    struct exchange *x = answer->exchange;
    struct text body = { 0 };
    if (x)
        x->on_close = NULL;
    if (!x) {
        answer->writer->end(answer);
    } else if (answer->failed) {
        exchange_fail(x, &answer->fault);
    } else if (answer->begun) {
        answer->writer->end(answer);
        exchange_stream_end(x);
    } else {
        if (!answer->gone)
            answer->writer->whole(answer, &body);
        exchange_reply(x, 200, "application/json; charset=utf-8", &body);
    }
    app_text_free(&body);
    destroy(answer);
}

// A prompt that is too long is worth two numbers: clients cut their history by them.
static void count_prompt(const struct answer *answer, const struct choice *choice, struct fault *fault)
{
    const struct ask *ask = &answer->ask;
    struct karat_scheduler_counts counts;
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    karat_scheduler_counts(answer->server->scheduler, &counts);
    if (ask->n_prompts)
        n_ids = ask->prompts[choice->index / ask->n_choices].n_ids;
    else
        karat_render_tokens(answer->server->model, ask->chat.data, 0, &ids, &n_ids, NULL);
    karat_free(ids);
    fault->n_prompt = (uint32_t)n_ids;
    fault->n_context = counts.n_context;
    snprintf(fault->message, sizeof fault->message,
             "the request exceeds the available context size: the prompt has %u tokens, the context %u",
             fault->n_prompt, fault->n_context);
}

static bool submit(struct answer *answer, struct choice *choice)
{
    const struct ask *ask = &answer->ask;
    struct karat_generate_options generate = ask->generate;
    struct karat_error err = { 0 };
    generate.on_piece = on_piece;
    generate.on_token = ask->logprobs ? on_token : NULL;
    generate.user = choice;
    generate.sampling.seed += choice->index;
    if (generate.sampling.seed == 0)
        generate.sampling.seed = 1;
    struct karat_request request = {
        .generate = &generate,
        .on_start = on_start,
        .on_done = on_done,
        .user = choice,
    };
    if (ask->n_prompts) {
        request.ids = ask->prompts[choice->index / ask->n_choices].ids;
        request.n_ids = ask->prompts[choice->index / ask->n_choices].n_ids;
    } else {
        request.chat = ask->chat.data;
    }
    if (karat_scheduler_submit(answer->server->scheduler, &request, &choice->ticket, &err) == KARAT_OK)
        return true;
    struct fault fault;
    fault_from(&fault, &err);
    if (fault.kind == ERROR_CONTEXT)
        count_prompt(answer, choice, &fault);
    fail(answer, &fault);
    return false;
}

static struct answer *create(struct server *server, struct ask *ask, const struct writer *writer)
{
    struct answer *answer = app_memory_new(1, sizeof *answer);
    answer->server = server;
    answer->ask = *ask;
    *ask = (struct ask){ 0 };
    answer->ask.generate.stop = (const char *const *)answer->ask.stops;
    answer->writer = writer;
    answer->created = server_now();
    answer->n_choices = answer->ask.n_choices * (answer->ask.n_prompts ? (unsigned)answer->ask.n_prompts : 1);
    answer->choices = app_memory_new(answer->n_choices, sizeof *answer->choices);
    const int n = snprintf(answer->id, sizeof answer->id, "%s", writer->id_prefix);
    server_random_name(answer->id + n, 32);
    server->n_requests++;
    for (unsigned i = 0; i < answer->n_choices; ++i) {
        answer->choices[i].answer = answer;
        answer->choices[i].index = i;
    }
    return answer;
}

static void submit_all(struct answer *answer)
{
    while (answer->n_submitted < answer->n_choices && submit(answer, &answer->choices[answer->n_submitted]))
        answer->n_submitted++;
    if (answer->n_submitted == 0)
        conclude(answer);
}

void answer_start(struct exchange *exchange, struct ask *ask, const struct writer *writer)
{
    struct answer *answer = create(exchange->server, ask, writer);
    answer->exchange = exchange;
    exchange->on_close = on_client_gone;
    exchange->user = answer;
    submit_all(answer);
}

void answer_start_unattended(struct server *server, struct ask *ask, const struct writer *writer, void *user)
{
    struct answer *answer = create(server, ask, writer);
    answer->user = user;
    answer->begun = true;
    answer->writer->begin(answer);
    submit_all(answer);
}

// ---------------------------------------------------------------------------------------------------- letters

static void begin(struct answer *answer)
{
    if (answer->begun || answer->failed || answer->gone || answer->ask.stream.number == 0)
        return;
    answer->begun = true;
    exchange_stream_begin(answer->exchange);
    answer->writer->begin(answer);
}

static void add_call(struct choice *choice, const struct text *text)
{
    struct json json = { 0 };
    struct call call = { 0 };
    struct text why = { 0 };
    if (app_json_parse(&json, text->data, text->size, &why)) {
        app_json_content(&json, app_json_member(&json, 0, "name"), &call.name);
        app_json_raw(&json, app_json_member(&json, 0, "arguments"), &call.arguments);
    }
    memcpy(call.id, "call_", 5);
    server_random_name(call.id + 5, 24);
    choice->calls = app_memory_resize(choice->calls, choice->n_calls + 1, sizeof call);
    choice->calls[choice->n_calls++] = call;
    app_json_free(&json);
    app_text_free(&why);
}

static void take_piece(struct choice *choice, enum karat_piece kind, const struct text *text)
{
    struct answer *answer = choice->answer;
    if (answer->failed || answer->gone)
        return;
    if (kind == KARAT_PIECE_TOOL_CALL) {
        add_call(choice, text);
    } else {
        struct text *whole = kind == KARAT_PIECE_ANSWER ? &choice->content : &choice->thinking;
        app_text_append(whole, text->data, text->size);
    }
    if (answer->begun)
        answer->writer->piece(choice, kind, text->data, text->size);
}

static void take_token(struct choice *choice, const struct token *token)
{
    // Grows to powers of two.
    if ((choice->n_tokens & (choice->n_tokens - 1)) == 0)
        choice->tokens =
            app_memory_resize(choice->tokens, choice->n_tokens ? 2 * choice->n_tokens : 1, sizeof *choice->tokens);
    choice->tokens[choice->n_tokens++] = *token;
}

static void take_end(struct choice *choice, const struct letter *letter)
{
    struct answer *answer = choice->answer;
    choice->done = true;
    choice->stop = letter->stop;
    choice->n_prompt = letter->n_prompt;
    choice->n_cached = letter->n_cached;
    choice->n_generated = letter->n_generated;
    choice->n_thought = letter->n_thought;
    choice->times = letter->times;
    replay_keep(answer->server->replay, choice, letter->sampled, letter->n_sampled);
    // No other cancel is left than that of a client that left, or of the server's end.
    struct fault fault;
    if (letter->err.status == KARAT_ERR_CANCELLED) {
        fault_set(&fault, ERROR_UNAVAILABLE, NULL, "the server is being stopped");
        fail(answer, &fault);
    } else if (letter->err.status != KARAT_OK) {
        fault_from(&fault, &letter->err);
        answer->server->lost = answer->server->lost || letter->err.status == KARAT_ERR_DEVICE_LOST;
        fail(answer, &fault);
    }
    if (answer->begun && !answer->failed && !answer->gone)
        answer->writer->choice_end(choice);
    if (++answer->n_done == answer->n_submitted)
        conclude(answer);
}

static void open_letter(struct letter *letter)
{
    struct choice *choice = letter->choice;
    switch (letter->kind) {
    case LETTER_START:
        choice->n_prompt = letter->n_prompt;
        choice->n_cached = letter->n_cached;
        begin(choice->answer);
        break;
    case LETTER_TOKEN:
        take_token(choice, letter->token);
        break;
    case LETTER_PIECE:
        take_piece(choice, letter->piece, &letter->text);
        break;
    case LETTER_DONE:
        begin(choice->answer);
        take_end(choice, letter);
        break;
    }
    app_text_free(&letter->text);
    free(letter->token);
    free(letter->sampled);
    free(letter);
}

void mailbox_empty(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    struct letter *letter = box->first;
    box->first = box->last = NULL;
    pthread_mutex_unlock(&box->lock);
    while (letter) {
        struct letter *next = letter->next;
        open_letter(letter);
        letter = next;
    }
}

static void on_arrival(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    mailbox_empty(user);
}

struct mailbox *mailbox_create(struct event_base *base)
{
    struct mailbox *box = app_memory_new(1, sizeof *box);
    pthread_mutex_init(&box->lock, NULL);
    box->arrival = event_new(base, -1, EV_PERSIST, on_arrival, box);
    return box;
}

void mailbox_destroy(struct mailbox *box)
{
    if (!box)
        return;
    event_free(box->arrival);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

// ---------------------------------------------------------------------------------------------------- for the writers

void answer_event(struct answer *answer, const char *event, const struct text *data)
{
    exchange_stream_send(answer->exchange, event, app_text_of(data), data->size);
}

const char *answer_finish_reason(const struct choice *choice)
{
    switch (choice->stop) {
    case KARAT_STOP_TOOL_CALLS:
        return "tool_calls";
    case KARAT_STOP_LENGTH:
    case KARAT_STOP_CONTEXT:
        return "length";
    case KARAT_STOP_END:
    case KARAT_STOP_TEXT:
    case KARAT_STOP_CANCELLED:
        break;
    }
    return "stop";
}

struct usage answer_usage(const struct answer *answer)
{
    struct usage usage = { 0 };
    for (unsigned i = 0; i < answer->n_choices; ++i) {
        usage.completion += answer->choices[i].n_generated;
        usage.thought += answer->choices[i].n_thought;
        if (i % answer->ask.n_choices == 0) {
            usage.prompt += answer->choices[i].n_prompt;
            usage.cached += answer->choices[i].n_cached;
        }
    }
    return usage;
}

static void add_rate(struct text *out, const char *name, uint32_t n, uint64_t ns)
{
    const double ms = (double)ns * 1e-6;
    app_text_format(out, "\"%s_n\":%u,\"%s_ms\":%.3f,\"%s_per_token_ms\":%.3f,\"%s_per_second\":%.3f", name, n, name,
                    ms, name, n ? ms / n : 0, name, ns ? n * 1e9 / (double)ns : 0);
}

void answer_write_timings(struct text *out, const struct choice *choice)
{
    const struct karat_request_times *t = &choice->times;
    app_text_format(out, "{\"cache_n\":%u,", choice->n_cached);
    add_rate(out, "prompt", choice->n_prompt - choice->n_cached, t->prefill_ns);
    app_text_add(out, ",");
    add_rate(out, "predicted", choice->n_generated, t->decode_ns);
    app_text_add(out, "}");
}
