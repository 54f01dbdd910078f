// tests/bench/streams.c -- see streams.h.
//
// A scheduler reads one prompt after the other while the answers there are go on, so the first answers are some tokens
// ahead when the clock starts; they all go on until it stops, and then they are cancelled. The callbacks share one
// thread, and the round is theirs while it runs.
#include "streams.h"

#include <stdio.h>

static uint64_t count_decoded(struct streams *s)
{
    struct karat_scheduler_counts counts;
    karat_scheduler_counts(s->scheduler, &counts);
    return counts.decode_tokens;
}

static void on_progress(void *user, uint32_t n_done, uint32_t n_prompt)
{
    struct streams *s = user;
    if (n_done < n_prompt || --s->round.n_reading > 0)
        return;
    s->round.n_before = count_decoded(s);
    s->round.start_ns = clock_ns();
}

// A pass is counted before its tokens are drawn. A token whose text is not final yet makes no piece: then the next one
// stops the clock, and what was generated until then is counted.
static bool on_piece(void *user, enum karat_piece kind, const char *text, size_t size)
{
    (void)kind, (void)text, (void)size;
    struct streams *s = user;
    struct streams_round *round = &s->round;
    if (round->n_reading > 0 || round->ended)
        return true;
    const uint64_t n = count_decoded(s) - round->n_before;
    if (round->ns == 0 && n >= round->n_wanted) {
        round->n_tokens = n;
        round->ns = clock_ns() - round->start_ns;
    }
    return round->ns == 0;
}

static void on_done(void *user, enum karat_status status, const struct karat_reply *reply,
                    const struct karat_request_times *times, const struct karat_error *err)
{
    (void)times;
    struct streams *s = user;
    struct streams_round *round = &s->round;
    mutex_lock(&s->mutex);
    if (status == KARAT_OK && round->ns == 0) {
        round->ended = true;
        round->stop = reply->stop;
    }
    if (status != KARAT_OK && status != KARAT_ERR_CANCELLED && round->status == KARAT_OK) {
        round->status = status;
        round->err = *err;
    }
    --s->n_running;
    condition_signal_all(&s->changed);
    mutex_unlock(&s->mutex);
}

static enum karat_status prepare(struct streams *s, uint32_t n, struct karat_error *err)
{
    if (s->scheduler && s->n_slots == n)
        return KARAT_OK;
    karat_scheduler_close(s->scheduler);
    s->scheduler = NULL;
    s->n_slots = n;
    const struct karat_scheduler_options options = {
        .n_slots = n, .n_context = s->n_context, .n_batch = s->n_batch, .prefix_bytes = 1
    };
    return karat_scheduler_open(&s->scheduler, s->model, &options, err);
}

static enum karat_status submit(struct streams *s, const struct streams_prompt *prompt, uint64_t *ticket,
                                struct karat_error *err)
{
    const struct karat_generate_options generate = { .sampling = { .greedy = true }, .on_piece = on_piece, .user = s };
    const struct karat_request request = { .ids = prompt->ids,
                                           .n_ids = prompt->n_ids,
                                           .generate = &generate,
                                           .on_progress = on_progress,
                                           .on_done = on_done,
                                           .user = s };
    mutex_lock(&s->mutex);
    ++s->n_running;
    mutex_unlock(&s->mutex);
    const enum karat_status status = karat_scheduler_submit(s->scheduler, &request, ticket, err);
    mutex_lock(&s->mutex);
    s->n_running -= status != KARAT_OK;
    mutex_unlock(&s->mutex);
    return status;
}

// The first answer that ends ends the round: the clock was stopped, or there is nothing to measure.
static void wait_for_end(struct streams *s, uint32_t n_submitted)
{
    mutex_lock(&s->mutex);
    while (s->n_running == s->round.n_streams)
        condition_wait(&s->changed, &s->mutex);
    mutex_unlock(&s->mutex);
    for (uint32_t i = 0; i < n_submitted; ++i)
        karat_scheduler_cancel(s->scheduler, s->round.tickets[i]);
    mutex_lock(&s->mutex);
    while (s->n_running > 0)
        condition_wait(&s->changed, &s->mutex);
    mutex_unlock(&s->mutex);
}

enum karat_status streams_decode(struct streams *s, const struct streams_prompt *prompts, uint32_t n, uint32_t n_tokens,
                                 struct streams_speed *out, struct karat_error *err)
{
    struct streams_round *round = &s->round;
    uint32_t n_submitted = 0;
    *out = (struct streams_speed){ 0 };
    *round = (struct streams_round){ .n_streams = n, .n_reading = n, .n_wanted = (uint64_t)n * n_tokens };
    enum karat_status status = prepare(s, n, err);
    for (; n_submitted < n && status == KARAT_OK; n_submitted += status == KARAT_OK)
        status = submit(s, &prompts[n_submitted], &round->tickets[n_submitted], err);
    wait_for_end(s, n_submitted);
    if (status == KARAT_OK && round->status != KARAT_OK) {
        *err = round->err;
        status = round->status;
    }
    if (status == KARAT_OK && round->ended && round->stop == KARAT_STOP_CONTEXT) {
        *err = (struct karat_error){ .status = KARAT_ERR_CONTEXT_FULL };
        snprintf(err->text, sizeof err->text, "an answer filled its %u tokens before the measurement was over",
                 s->n_context);
        status = err->status;
    }
    if (status == KARAT_OK && !round->ended)
        *out = (struct streams_speed){ round->n_tokens, (double)round->ns * 1e-9 };
    return status;
}

void streams_deinit(struct streams *s)
{
    karat_scheduler_close(s->scheduler);
    *s = (struct streams){ 0 };
}
