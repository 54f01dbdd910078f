// tests/api/test_session.c -- one timeline of tokens, as karat.h promises it.
//
// What a session evaluates is read off its counters; whether the scores are right is told by a fresh session that never
// went back. Steps of the same size give the same bits, steps of another size nearly the same scores.
#include <stdlib.h>

#include "base/thread.h"
#include "demo.h"
#include "gpu/hooks.h"

#define N_IDS 1024
#define NEAR 1e-4 // normalised mean squared error between different ways to cut the same tokens

static struct karat_session *open_session(struct test *t, struct karat_model *model, uint32_t n_context,
                                          uint32_t n_batch)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    const struct karat_session_options options = { .n_context = n_context,
                                                   .n_batch = n_batch,
                                                   .cache = KARAT_CACHE_F32 };
    const enum karat_status status = karat_session_open(&session, model, &options, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return session;
}

// Ordinary tokens, the same for the same seed.
static void fill_ids(uint32_t *ids, size_t n, uint64_t seed, uint32_t n_vocab)
{
    struct test_random random = { seed };
    for (size_t i = 0; i < n; ++i)
        ids[i] = 300 + test_random_below(&random, n_vocab - 300);
}

static bool sync_ok(struct test *t, struct karat_session *session, const uint32_t *ids, size_t n)
{
    struct karat_error err = { 0 };
    const enum karat_status status = karat_session_sync(session, ids, n, &err);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text) &&
           CHECK_UINT(karat_session_length(session), n) && CHECK(karat_session_logits(session) != NULL);
}

// Tokens evaluated since the last call.
static uint64_t take_evaluated(struct karat_session *session)
{
    struct karat_timings timings;
    karat_session_timings(session, &timings);
    karat_session_timings_reset(session);
    return timings.prefill_tokens + timings.decode_tokens;
}

static float *copy_logits(const struct karat_session *session)
{
    float *copy = malloc(demo_facts.n_vocab * sizeof *copy);
    if (copy && karat_session_logits(session))
        memcpy(copy, karat_session_logits(session), demo_facts.n_vocab * sizeof *copy);
    return copy;
}

static double distance(const float *got, const float *want)
{
    double error = 0, scale = 0, mean = 0;
    for (uint32_t i = 0; i < demo_facts.n_vocab; ++i)
        mean += (double)want[i] / demo_facts.n_vocab;
    for (uint32_t i = 0; i < demo_facts.n_vocab; ++i) {
        error += (double)(got[i] - want[i]) * (got[i] - want[i]);
        scale += (want[i] - mean) * (want[i] - mean);
    }
    return error / scale;
}

// The session's scores are those of a session that evaluated ids[0..n) and nothing else, in the same steps if `exact`.
static void check_like_fresh(struct test *t, struct karat_session *session, const uint32_t *ids, size_t n,
                             uint32_t n_batch, bool exact)
{
    struct karat_session *fresh = open_session(t, demo, (uint32_t)n, n_batch);
    if (fresh && sync_ok(t, fresh, ids, n) && CHECK(karat_session_logits(session))) {
        const float *got = karat_session_logits(session), *want = karat_session_logits(fresh);
        const double error = distance(got, want);
        test_check(t, error <= NEAR, __FILE__, __LINE__, "the error is %.3g, expected at most %.3g", error, NEAR);
        if (exact)
            CHECK(memcmp(got, want, demo_facts.n_vocab * sizeof *got) == 0);
    }
    karat_session_close(fresh);
}

static void check_refused(struct test *t, enum karat_status got, enum karat_status want, const struct karat_error *err,
                          const char *says)
{
    CHECK_UINT(got, want);
    CHECK_UINT(err->status, want);
    test_check(t, strstr(err->text, says), __FILE__, __LINE__, "the sentence is \"%s\", expected \"%s\" in it",
               err->text, says);
}

// ------------------------------------------------------------------------------------------------ opening

TEST(a_new_session_is_empty)
{
    struct karat_error err;
    struct karat_session *session = NULL;
    struct karat_timings timings;
    REQUIRE(demo_open(t));
    REQUIRE_OK(karat_session_open(&session, demo, NULL, &err), err);
    CHECK_UINT(karat_session_capacity(session), demo_facts.n_context_max < 8192 ? demo_facts.n_context_max : 8192);
    CHECK_UINT(karat_session_length(session), 0);
    CHECK(karat_session_logits(session) == NULL);
    karat_session_timings(session, &timings);
    CHECK(timings.prefill_tokens == 0 && timings.decode_tokens == 0 && timings.decode_bytes == 0);
    karat_session_close(session);
    karat_session_close(NULL);
}

TEST(options_out_of_range_are_refused)
{
    REQUIRE(demo_open(t));
    char most[32];
    snprintf(most, sizeof most, "%u", demo_facts.n_context_max);
    const struct {
        struct karat_session_options options;
        const char *says[2];
    } rows[] = {
        { { .n_context = demo_facts.n_context_max + 1 }, { "4097", most } },
        { { .n_context = UINT32_MAX }, { "4294967295", most } },
        { { .n_batch = 2049 }, { "2049", "2048" } },
        { { .n_batch = UINT32_MAX }, { "4294967295", "2048" } },
        { { .cache = (enum karat_cache_type)7 }, { "7", "KARAT_CACHE_F32" } },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_error err = { 0 };
        struct karat_session *session = (struct karat_session *)&err;
        const enum karat_status status = karat_session_open(&session, demo, &rows[i].options, &err);
        for (size_t k = 0; k < 2; ++k)
            check_refused(t, status, KARAT_ERR_ARGUMENT, &err, rows[i].says[k]);
        CHECK(session == NULL);
        CHECK_UINT(karat_session_open(&session, demo, &rows[i].options, NULL), KARAT_ERR_ARGUMENT);
    }
}

TEST(the_largest_options_are_accepted)
{
    REQUIRE(demo_open(t));
    struct karat_session *session = open_session(t, demo, demo_facts.n_context_max, 2048);
    if (session)
        CHECK_UINT(karat_session_capacity(session), demo_facts.n_context_max);
    karat_session_close(session);
}

TEST(a_session_needs_weights)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    REQUIRE_OK(karat_model_open(&model, NULL, &(struct karat_model_options){ .vocabulary_only = true }, &err), err);
    check_refused(t, karat_session_open(&session, model, NULL, &err), KARAT_ERR_ARGUMENT, &err, "without its weights");
    CHECK(session == NULL);
    karat_model_close(model);
}

// ------------------------------------------------------------------------------------------------ sync

TEST(what_is_refused_changes_nothing)
{
    uint32_t ids[41];
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 1, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 40, 16);
    if (session) {
        struct karat_error err = { 0 };
        check_refused(t, karat_session_sync(session, ids, 0, &err), KARAT_ERR_ARGUMENT, &err, "empty");
        check_refused(t, karat_session_sync(session, ids, 41, &err), KARAT_ERR_CONTEXT_FULL, &err, "41");
        check_refused(t, karat_session_sync(session, ids, SIZE_MAX / 8, &err), KARAT_ERR_CONTEXT_FULL, &err, "40");
        CHECK(karat_session_logits(session) == NULL);
        CHECK_UINT(karat_session_length(session), 0);
    }
    if (session && sync_ok(t, session, ids, 30)) {
        struct karat_error err = { 0 };
        float *before = copy_logits(session);
        uint32_t wrong[20];
        memcpy(wrong, ids, sizeof wrong);
        wrong[13] = demo_facts.n_vocab;
        take_evaluated(session);
        check_refused(t, karat_session_sync(session, wrong, 20, &err), KARAT_ERR_ARGUMENT, &err, "token 13 is 2048");
        wrong[13] = UINT32_MAX;
        check_refused(t, karat_session_sync(session, wrong, 20, &err), KARAT_ERR_ARGUMENT, &err, "4294967295");
        check_refused(t, karat_session_sync(session, NULL, 0, &err), KARAT_ERR_ARGUMENT, &err, "empty");
        check_refused(t, karat_session_sync(session, ids, 41, &err), KARAT_ERR_CONTEXT_FULL, &err, "41");
        CHECK_UINT(karat_session_sync(session, ids, 41, NULL), KARAT_ERR_CONTEXT_FULL);
        CHECK_UINT(karat_session_length(session), 30);
        CHECK(before && memcmp(karat_session_logits(session), before, demo_facts.n_vocab * sizeof *before) == 0);
        CHECK_UINT(take_evaluated(session), 0);
        free(before);
        // The last token that fits.
        sync_ok(t, session, ids, 40);
        CHECK_UINT(take_evaluated(session), 10);
    }
    karat_session_close(session);
}

TEST(the_same_tokens_again_cost_nothing)
{
    uint32_t ids[50];
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 2, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 64, 16);
    if (session && sync_ok(t, session, ids, 50)) {
        float *before = copy_logits(session);
        CHECK_UINT(take_evaluated(session), 50);
        sync_ok(t, session, ids, 50);
        CHECK_UINT(take_evaluated(session), 0);
        CHECK(before && memcmp(karat_session_logits(session), before, demo_facts.n_vocab * sizeof *before) == 0);
        for (uint32_t i = 0; before && i < demo_facts.n_vocab; ++i)
            CHECK(isfinite(before[i]) && fabsf(before[i]) <= 30.0f);
        check_like_fresh(t, session, ids, 50, 16, true);
        free(before);
    }
    karat_session_close(session);
}

// After a first sync to `from` tokens, a second one that shares `common` of them and has `to`.
static const struct step {
    const char *name;
    uint32_t from, common, to;
    uint32_t evaluated; // by the second sync
    bool exact;         // it evaluates from the beginning, like a fresh session
} steps[] = {
    // Window 64 and batch 16 keep 80 positions.
    { "longer by one", 50, 50, 51, 1, false },
    { "longer by many", 50, 50, 90, 40, false },
    { "another last token", 50, 49, 50, 1, false },
    { "another end", 50, 30, 60, 30, false },
    { "shorter: the last token is evaluated for its scores", 50, 30, 30, 1, false },
    { "one token is left", 50, 1, 1, 1, true },
    { "nothing in common", 50, 0, 40, 40, true },
    { "back while the rings were never full", 80, 3, 20, 17, false },
    { "back to where no window reaches what was overwritten", 81, 64, 70, 6, false },
    { "position 63 sees position 0, which is lost", 81, 63, 70, 70, true },
    { "back by what the rings hold beside the window", 200, 183, 190, 7, false },
    { "shorter, within the rings", 200, 184, 184, 1, false },
    // Set aside in time: the end of the last whole step, 192, with a little before it, and of one in the middle, 96.
    { "one more than the rings hold", 200, 182, 190, 8, false },
    { "in front of what was set aside last", 200, 150, 190, 94, true },
    { "back to the middle", 200, 96, 110, 14, true },
    { "a little before the middle", 200, 90, 110, 20, false },
    { "in front of all that was set aside", 200, 75, 110, 110, true },
    { "shorter, beyond the rings", 200, 100, 100, 4, true },
    { "far beyond the rings", 200, 10, 210, 210, true },
};

TEST(only_what_is_new_is_evaluated)
{
    REQUIRE(demo_open(t));
    CHECK_UINT(demo_facts.sliding_window, 64);
    for (size_t i = 0; i < COUNT(steps); ++i) {
        const struct step *s = &steps[i];
        uint32_t first[256], second[256];
        t->row = s->name;
        fill_ids(first, COUNT(first), 3, demo_facts.n_vocab);
        fill_ids(second, COUNT(second), 4, demo_facts.n_vocab);
        memcpy(second, first, s->common * sizeof *second);
        if (first[s->common] == second[s->common])
            second[s->common] ^= 1;
        struct karat_session *session = open_session(t, demo, 256, 16);
        if (session && sync_ok(t, session, first, s->from)) {
            CHECK_UINT(take_evaluated(session), s->from);
            sync_ok(t, session, second, s->to);
            CHECK_UINT(take_evaluated(session), s->evaluated);
            check_like_fresh(t, session, second, s->to, 16, s->exact);
        }
        karat_session_close(session);
    }
    t->row = NULL;
}

TEST(going_back_again_and_again_stays_right)
{
    uint32_t ids[256];
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 5, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 256, 16);
    struct test_random random = { 6 };
    uint32_t n = 1;
    for (int i = 0; session && i < 40; ++i) {
        // Mostly forward, sometimes a little back, sometimes far.
        const uint32_t kind = test_random_below(&random, 8);
        const uint32_t by = test_random_below(&random, 24) + 1;
        n = kind == 0 ? by : kind < 3 ? (n > by ? n - by : 1) : n + by < 250 ? n + by : 250;
        char row[64];
        snprintf(row, sizeof row, "round %d, %u tokens", i, n);
        t->row = row;
        ids[n - 1] = 300 + test_random_below(&random, 1000);
        if (!sync_ok(t, session, ids, n))
            break;
        if (i % 4 == 3)
            check_like_fresh(t, session, ids, n, 16, false);
    }
    t->row = NULL;
    karat_session_close(session);
}

TEST(the_size_of_steps_does_not_matter)
{
    static const uint32_t sizes[] = { 1, 2, 7, 16, 33, 89, 90, 2048 };
    uint32_t ids[90];
    float *want = NULL;
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 7, demo_facts.n_vocab);
    for (size_t i = 0; i < COUNT(sizes); ++i) {
        struct karat_timings timings = { 0 };
        char row[32];
        snprintf(row, sizeof row, "steps of %u", sizes[i]);
        t->row = row;
        struct karat_session *session = open_session(t, demo, 100, sizes[i]);
        if (session && sync_ok(t, session, ids, COUNT(ids))) {
            karat_session_timings(session, &timings);
            const uint64_t n_single = sizes[i] == 1 ? 90 : sizes[i] == 89 ? 1 : 0;
            CHECK_UINT(timings.decode_tokens, n_single);
            CHECK_UINT(timings.prefill_tokens, 90 - n_single);
            CHECK((timings.decode_ns > 0) == (n_single > 0) && (timings.prefill_ns > 0) == (n_single < 90));
            CHECK((timings.decode_bytes > 0) == (n_single > 0));
            CHECK(timings.n_dispatches > 0 && timings.n_submits > 0);
            if (!want)
                want = copy_logits(session);
            else
                CHECK(distance(karat_session_logits(session), want) < NEAR);
            karat_session_timings_reset(session);
            karat_session_timings(session, &timings);
            CHECK(timings.decode_tokens + timings.prefill_tokens + timings.decode_ns + timings.prefill_ns == 0);
            CHECK(timings.decode_bytes + timings.n_dispatches + timings.n_barriers + timings.n_submits == 0);
        }
        karat_session_close(session);
    }
    t->row = NULL;
    free(want);
}

// ------------------------------------------------------------------------------------------------ evaluate

struct rows {
    struct karat_session *cancel; // called with at row `last`
    size_t n, last;               // rows seen; the callback returns false at the last one
    bool in_order;
    float *at_20, *at_end;
};

static bool take_row(void *user, size_t index, const float *logits)
{
    struct rows *rows = user;
    rows->in_order = (rows->n == 0 || rows->in_order) && index == rows->n;
    ++rows->n;
    if (index == 20 && rows->at_20)
        memcpy(rows->at_20, logits, demo_facts.n_vocab * sizeof *logits);
    if (rows->at_end)
        memcpy(rows->at_end, logits, demo_facts.n_vocab * sizeof *logits);
    if (index == rows->last && rows->cancel) {
        karat_session_cancel(rows->cancel);
        return true;
    }
    return index != rows->last;
}

TEST(evaluate_hands_over_every_row)
{
    uint32_t ids[50];
    struct karat_error err = { 0 };
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 8, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 64, 16);
    struct rows rows = { .last = SIZE_MAX,
                         .at_20 = calloc(demo_facts.n_vocab, sizeof(float)),
                         .at_end = calloc(demo_facts.n_vocab, sizeof(float)) };
    // What was there before does not matter.
    if (session && sync_ok(t, session, ids + 5, 30)) {
        take_evaluated(session);
        CHECK_UINT(karat_session_evaluate(session, ids, 50, take_row, &rows, &err), KARAT_OK);
        CHECK_UINT(rows.n, 50);
        CHECK(rows.in_order);
        CHECK_UINT(karat_session_length(session), 50);
        CHECK_UINT(take_evaluated(session), 50);
        // And a sync to the same tokens gives the last row.
        sync_ok(t, session, ids, 50);
        CHECK(distance(karat_session_logits(session), rows.at_end) < NEAR);
        sync_ok(t, session, ids, 21);
        CHECK(distance(karat_session_logits(session), rows.at_20) < NEAR);

        check_refused(t, karat_session_evaluate(session, ids, 0, take_row, &rows, &err), KARAT_ERR_ARGUMENT, &err,
                      "empty");
        check_refused(t, karat_session_evaluate(session, ids, 65, take_row, &rows, &err), KARAT_ERR_CONTEXT_FULL, &err,
                      "65");
        CHECK_UINT(karat_session_length(session), 21);
        CHECK_UINT(rows.n, 50);
    }
    free(rows.at_20);
    free(rows.at_end);
    karat_session_close(session);
}

TEST(evaluate_stops_when_told_so)
{
    uint32_t ids[50];
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 9, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 64, 16);
    // In the middle of a step, at its end, at the very first and the very last row.
    static const size_t last_rows[] = { 3, 15, 0, 49 };
    for (size_t i = 0; session && i < COUNT(last_rows); ++i) {
        struct karat_error err = { 0 };
        struct rows rows = { .last = last_rows[i] };
        check_refused(t, karat_session_evaluate(session, ids, 50, take_row, &rows, &err), KARAT_ERR_CANCELLED, &err,
                      "cancelled");
        CHECK_UINT(rows.n, last_rows[i] + 1);
        const uint32_t n = karat_session_length(session);
        CHECK(n > last_rows[i] && n <= 50 && (n % 16 == 0 || n == 50));
        // What the session holds now is worth keeping, and its scores are those of its last token.
        sync_ok(t, session, ids, n);
        check_like_fresh(t, session, ids, n, 16, false);
    }
    karat_session_close(session);
}

// ------------------------------------------------------------------------------------------------ cancel

TEST(a_cancel_without_a_running_call_does_nothing)
{
    uint32_t ids[20];
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 10, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 64, 16);
    if (session) {
        karat_session_cancel(session);
        sync_ok(t, session, ids, 20);
        karat_session_cancel(session);
        CHECK(karat_session_logits(session) != NULL);
        sync_ok(t, session, ids, 10);
    }
    karat_session_close(session);
}

TEST(a_cancel_from_the_callback_ends_the_call)
{
    uint32_t ids[50];
    struct karat_error err = { 0 };
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 11, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 64, 16);
    struct rows rows = { .last = 5, .cancel = session };
    if (session) {
        check_refused(t, karat_session_evaluate(session, ids, 50, take_row, &rows, &err), KARAT_ERR_CANCELLED, &err,
                      "cancelled");
        CHECK_UINT(karat_session_length(session), 16);
        CHECK_UINT(rows.n, 16); // rows that were there already
        sync_ok(t, session, ids, 50);
        check_like_fresh(t, session, ids, 50, 16, false);
    }
    karat_session_close(session);
}

// Cancels once after a while, then every millisecond until told to stop: the call may not have begun yet.
struct canceller {
    struct karat_session *session;
    unsigned delay_ms;
    int stop;
    uint64_t first_ns;
};

static void cancel_soon(void *user)
{
    struct canceller *c = user;
    clock_sleep_ms(c->delay_ms);
    c->first_ns = clock_ns();
    while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
        karat_session_cancel(c->session);
        clock_sleep_ms(1);
    }
}

TEST(a_long_prefill_is_cancelled_from_another_thread)
{
    static const unsigned delays_ms[] = { 0, 3, 10, 30, 31, 32, 33, 100 };
    static uint32_t ids[3000];
    uint64_t slowest_ns = 0;
    unsigned n_cancelled = 0;
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 12, demo_facts.n_vocab);
    struct karat_session *session = open_session(t, demo, 3000, 64);
    for (size_t i = 0; session && i < COUNT(delays_ms); ++i) {
        struct canceller canceller = { .session = session, .delay_ms = delays_ms[i] };
        struct karat_error err = { 0 };
        char row[32];
        snprintf(row, sizeof row, "after %u ms", delays_ms[i]);
        t->row = row;
        ids[0] = 300 + (uint32_t)i; // nothing can be kept
        struct thread *thread = thread_start(cancel_soon, &canceller);
        const enum karat_status status = karat_session_sync(session, ids, 3000, &err);
        const uint64_t end_ns = clock_ns();
        __atomic_store_n(&canceller.stop, 1, __ATOMIC_RELEASE);
        thread_join(thread);

        const uint32_t n = karat_session_length(session);
        if (status == KARAT_OK) {
            CHECK_UINT(n, 3000); // a fast device was done before
            continue;
        }
        ++n_cancelled;
        check_refused(t, status, KARAT_ERR_CANCELLED, &err, "cancelled");
        CHECK(n < 3000 && n % 64 == 0);
        CHECK(karat_session_logits(session) == NULL);
        slowest_ns = end_ns - canceller.first_ns > slowest_ns ? end_ns - canceller.first_ns : slowest_ns;
        // The session goes on where it was, and is right.
        take_evaluated(session);
        sync_ok(t, session, ids, n + 20);
        CHECK_UINT(take_evaluated(session), 20);
        check_like_fresh(t, session, ids, n + 20, 64, true);
    }
    t->row = NULL;
    printf("  cancelled %u times, the slowest took %.0f ms\n", n_cancelled, (double)slowest_ns / 1e6);
    CHECK(n_cancelled > 0);
    // The promise is 100 ms; a busy machine with a software device gets more.
    CHECK((double)slowest_ns * 1e-9 < test_seconds(2));
    karat_session_close(session);
}

// ------------------------------------------------------------------------------------------------ threads

struct worker {
    struct karat_model *model;
    struct karat_session *session;
    uint32_t ids[60];
    float *logits;
    enum karat_status status;
    struct karat_error err;
};

// A prefill, single tokens, a step back, and on.
static void work(void *user)
{
    struct worker *w = user;
    const struct karat_session_options options = { .n_context = 64, .n_batch = 16 };
    w->status = karat_session_open(&w->session, w->model, &options, &w->err);
    for (size_t n = 40; w->status == KARAT_OK && n <= 50; ++n)
        w->status = karat_session_sync(w->session, w->ids, n, &w->err);
    if (w->status == KARAT_OK)
        w->status = karat_session_sync(w->session, w->ids, 30, &w->err);
    if (w->status == KARAT_OK)
        w->status = karat_session_sync(w->session, w->ids, COUNT(w->ids), &w->err);
    if (w->status == KARAT_OK)
        w->logits = copy_logits(w->session);
    karat_session_close(w->session);
}

TEST(sessions_on_two_threads_answer_as_if_alone)
{
    REQUIRE(demo_open(t));
    struct worker *alone = calloc(2, sizeof *alone), *together = calloc(2, sizeof *together);
    struct thread *threads[2] = { 0 };
    REQUIRE(alone && together);
    for (int i = 0; i < 2; ++i) {
        alone[i].model = together[i].model = demo;
        fill_ids(alone[i].ids, COUNT(alone[i].ids), 20 + (uint64_t)i, demo_facts.n_vocab);
        fill_ids(together[i].ids, COUNT(together[i].ids), 20 + (uint64_t)i, demo_facts.n_vocab);
        work(&alone[i]);
    }
    for (int i = 0; i < 2; ++i)
        CHECK((threads[i] = thread_start(work, &together[i])) != NULL);
    for (int i = 0; i < 2; ++i)
        thread_join(threads[i]);
    for (int i = 0; i < 2; ++i) {
        test_check(t, alone[i].status == KARAT_OK, __FILE__, __LINE__, "%s", alone[i].err.text);
        test_check(t, together[i].status == KARAT_OK, __FILE__, __LINE__, "%s", together[i].err.text);
        if (CHECK(alone[i].logits && together[i].logits))
            CHECK(memcmp(alone[i].logits, together[i].logits, demo_facts.n_vocab * sizeof(float)) == 0);
    }
    if (alone[0].logits && alone[1].logits)
        CHECK(distance(alone[0].logits, alone[1].logits) > NEAR); // they were not asked the same
    for (int i = 0; i < 2; ++i) {
        free(alone[i].logits);
        free(together[i].logits);
    }
    free(alone);
    free(together);
}

// ------------------------------------------------------------------------------------------------ another model

static uint64_t barriers_of_a_token(struct test *t, struct karat_model *model, uint32_t n_vocab)
{
    struct karat_session *session = open_session(t, model, 64, 0);
    uint32_t ids[3];
    struct karat_timings timings = { 0 };
    fill_ids(ids, 3, 5, n_vocab);
    if (sync_ok(t, session, ids, 2)) {
        karat_session_timings_reset(session);
        sync_ok(t, session, ids, 3);
        karat_session_timings(session, &timings);
    }
    karat_session_close(session);
    CHECK(timings.n_barriers > 0);
    return timings.n_barriers;
}

// By the kernels that a GPU gets. Software devices, for which a barrier is cheap, may have steps that stand alone.
TEST(a_decoded_token_passes_few_barriers)
{
    if (!demo_open(t))
        return;
    struct karat_error err;
    struct karat_model *model = NULL;
    gpu_device_pretend_gpu(true);
    const enum karat_status status = karat_model_open(&model, NULL, NULL, &err);
    gpu_device_pretend_gpu(false);
    REQUIRE_OK(status, err);
    const uint64_t n = barriers_of_a_token(t, model, demo_facts.n_vocab),
                   n_here = barriers_of_a_token(t, demo, demo_facts.n_vocab);
    printf("  %llu barriers as on a GPU, %llu on this device\n", (unsigned long long)n, (unsigned long long)n_here);
    CHECK(n <= 6 * demo_facts.n_layers + 5); // six phases per layer; embedding, its norm, and the head
    CHECK(n_here <= 18 * demo_facts.n_layers + 5);
    karat_model_close(model);
}

TEST(a_random_model_goes_back_as_well)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    char path[4096];
    uint32_t ids[120];
    const char *folder = getenv("KARAT_TEST_MODELS");
    if (!folder)
        SKIP("KARAT_TEST_MODELS says no folder of generated models");
    snprintf(path, sizeof path, "%s/q4_k_m.gguf", folder);
    FILE *file = fopen(path, "rb");
    if (!file)
        SKIP("the generated model q4_k_m.gguf is not there");
    fclose(file);
    REQUIRE(demo_open(t));
    REQUIRE_OK(karat_model_open(&model, path, NULL, &err), err);
    // The helpers look at these; the demo model's come back below.
    struct karat_model *const kept = demo;
    demo = model;
    karat_model_describe(model, &demo_facts);
    struct karat_session *session = open_session(t, model, 120, 8);
    fill_ids(ids, COUNT(ids), 30, demo_facts.n_vocab);
    if (session && sync_ok(t, session, ids, 120)) {
        ids[117] ^= 1;
        take_evaluated(session);
        sync_ok(t, session, ids, 119);
        CHECK_UINT(take_evaluated(session), 2);
        check_like_fresh(t, session, ids, 119, 8, false);
        ids[20] ^= 1;
        sync_ok(t, session, ids, 118);
        CHECK_UINT(take_evaluated(session), demo_facts.sliding_window + 8 >= 120 ? 98 : 118);
        check_like_fresh(t, session, ids, 118, 8, false);
    }
    karat_session_close(session);
    demo = kept;
    karat_model_describe(demo, &demo_facts);
    karat_model_close(model);
}
