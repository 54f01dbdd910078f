// tests/prefix_bed.c -- see prefix_bed.h.
#include "prefix_bed.h"

#define SECONDS_MAX 120.0 // for whatever is waited for

struct karat_scheduler *bed_scheduler(struct test *t, uint32_t n_slots, uint64_t prefix_bytes)
{
    struct karat_error err = { 0 };
    struct karat_scheduler *scheduler = NULL;
    const struct karat_scheduler_options options = {
        .n_slots = n_slots, .n_context = 1024, .n_batch = BATCH, .prefix_bytes = prefix_bytes
    };
    const enum karat_status status = karat_scheduler_open(&scheduler, demo, &options, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return scheduler;
}

void bed_fill(uint32_t *ids, size_t n, uint64_t seed)
{
    struct test_random random = { seed };
    for (size_t i = 0; i < n; ++i)
        ids[i] = 300 + test_random_below(&random, demo_facts.n_vocab - 300);
}

// ------------------------------------------------------------------------------------------------ requests

static void note(struct asked *a)
{
    condition_signal_all(&a->changed);
    mutex_unlock(&a->mutex);
}

static void on_start(void *user, uint32_t n_prompt, uint32_t n_cached)
{
    struct asked *a = user;
    mutex_lock(&a->mutex);
    a->n_prompt = n_prompt;
    a->n_cached = n_cached;
    a->started = true;
    condition_signal_all(&a->changed);
    while (a->holds && !a->released)
        condition_wait(&a->changed, &a->mutex);
    mutex_unlock(&a->mutex);
    if (a->cancels)
        karat_scheduler_cancel(a->scheduler, a->ticket);
}

static bool on_piece(void *user, enum karat_piece kind, const char *text, size_t size)
{
    struct asked *a = user;
    (void)kind;
    mutex_lock(&a->mutex);
    text_append(&a->answer, text, size);
    note(a);
    return true;
}

static void on_done(void *user, enum karat_status status, const struct karat_reply *reply,
                    const struct karat_request_times *times, const struct karat_error *err)
{
    struct asked *a = user;
    (void)times;
    (void)err;
    mutex_lock(&a->mutex);
    a->status = status;
    a->n_generated = reply ? reply->n_generated : 0;
    a->done = true;
    note(a);
}

void asked_open(struct asked *a, struct karat_scheduler *scheduler, uint32_t max_tokens)
{
    *a = (struct asked){
        .mutex = MUTEX_INIT,
        .changed = CONDITION_INIT,
        .scheduler = scheduler,
        .options = { .max_tokens = max_tokens, .sampling.greedy = true, .on_piece = on_piece },
    };
}

bool asked_submit(struct test *t, struct asked *a, const uint32_t *ids, size_t n_ids)
{
    struct karat_error err = { 0 };
    a->options.user = a;
    const struct karat_request request = {
        .ids = ids,
        .n_ids = n_ids,
        .generate = &a->options,
        .on_start = on_start,
        .on_done = on_done,
        .user = a,
    };
    mutex_lock(&a->mutex);
    const enum karat_status status = karat_scheduler_submit(a->scheduler, &request, &a->ticket, &err);
    mutex_unlock(&a->mutex);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
}

bool asked_wait(struct test *t, struct asked *a, const bool *what)
{
    const uint64_t start_ns = clock_ns();
    for (;;) {
        mutex_lock(&a->mutex);
        const bool there = *what;
        mutex_unlock(&a->mutex);
        if (there)
            return true;
        if ((double)(clock_ns() - start_ns) > test_seconds(SECONDS_MAX) * 1e9)
            return test_check(t, false, __FILE__, __LINE__, "nothing came within %g s", SECONDS_MAX);
        clock_sleep_ms(1);
    }
}

void asked_release(struct asked *a)
{
    mutex_lock(&a->mutex);
    a->released = true;
    note(a);
}

// An answer of just so many tokens: all are about as likely, and an end is none of those that were tried.
void asked_make_long(struct asked *a, uint32_t n_tokens)
{
    a->options.max_tokens = n_tokens;
    a->options.sampling = (struct karat_sampling){ .temperature = 50, .top_k = 2048, .top_p = 1, .seed = 5 };
}

uint32_t bed_ask(struct test *t, struct karat_scheduler *s, const uint32_t *ids, size_t n_ids, uint32_t n_long)
{
    struct asked a;
    asked_open(&a, s, 1);
    if (n_long > 0)
        asked_make_long(&a, n_long);
    if (asked_submit(t, &a, ids, n_ids) && asked_wait(t, &a, &a.done)) {
        CHECK_UINT(a.status, KARAT_OK);
        if (n_long > 0)
            CHECK_UINT(a.n_generated, n_long);
    }
    text_free(&a.answer);
    return a.n_cached;
}

// ------------------------------------------------------------------------------------------------ sessions

struct karat_session *bed_session(struct test *t)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    const struct karat_session_options options = { .n_context = 600, .n_batch = BATCH };
    const enum karat_status status = karat_session_open(&session, demo, &options, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return session;
}

bool bed_sync(struct test *t, struct karat_session *session, const uint32_t *ids, uint32_t n, uint32_t n_known)
{
    struct karat_error err = { 0 };
    uint32_t n_kept = 0;
    session_clear_cancel(session);
    const enum karat_status status = session_sync(session, ids, n, &n_kept, &err);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text) && CHECK_UINT(n_kept, n_known);
}

bool bed_advance(struct test *t, struct karat_session *session, uint32_t id)
{
    struct karat_error err = { 0 };
    return CHECK_UINT(session_advance_begin(session, id, &err), KARAT_OK) &&
           CHECK_UINT(session_advance_end(session, &err), KARAT_OK);
}
