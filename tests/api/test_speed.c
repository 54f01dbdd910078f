// tests/api/test_speed.c -- what karat.h tells about time: phases on the device, and the memory's bandwidth.
#include <stdlib.h>

#include "karat.h"
#include "test.h"

#define N_PROMPT 48
#define N_DECODE 6
#define PHASES_MAX 256

static struct karat_model *open_demo(struct test *t)
{
    struct karat_error err = { 0 };
    struct karat_model *demo = NULL;
    const enum karat_status status = karat_model_open(&demo, NULL, NULL, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return demo;
}

// A session that has evaluated a prompt and is about to decode; NULL, with the test skipped, on a device without clock.
static struct karat_session *open_timed(struct test *t, struct karat_model *demo, uint32_t ids[N_PROMPT + N_DECODE])
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    const struct karat_session_options options = { .n_context = 128, .timing = true };
    const enum karat_status status = karat_session_open(&session, demo, &options, &err);
    if (status == KARAT_ERR_UNSUPPORTED && strstr(err.text, "has no clock")) {
        t->skipped = "the device has no timestamps";
        return NULL;
    }
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    for (uint32_t i = 0; i < N_PROMPT + N_DECODE; ++i)
        ids[i] = 300 + 7 * i;
    if (session)
        test_check(t, karat_session_sync(session, ids, N_PROMPT, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return session;
}

static const struct karat_phase *find(const struct karat_phase *phases, size_t n, const char *name)
{
    for (size_t i = 0; i < n; ++i)
        if (strcmp(phases[i].name, name) == 0)
            return &phases[i];
    return NULL;
}

TEST(phases_add_up_to_the_steps_and_their_bytes_to_the_weights)
{
    struct karat_phase phases[PHASES_MAX];
    struct karat_error err = { 0 };
    struct karat_timings timings;
    uint32_t ids[N_PROMPT + N_DECODE];
    struct karat_model *demo = open_demo(t);
    REQUIRE(demo);
    struct karat_session *session = open_timed(t, demo, ids);
    if (!session) {
        karat_model_close(demo);
        return;
    }
    karat_session_timings_reset(session);
    CHECK_UINT(karat_session_phases(session, phases, PHASES_MAX), 0);
    for (size_t n = N_PROMPT + 1; n <= N_PROMPT + N_DECODE; ++n)
        REQUIRE_OK(karat_session_sync(session, ids, n, &err), err);
    karat_session_timings(session, &timings);
    const size_t n = karat_session_phases(session, phases, PHASES_MAX);
    REQUIRE(n > 0 && n < PHASES_MAX);

    uint64_t ns = 0, bytes = 0, n_dispatches = 0;
    for (size_t i = 0; i < n; ++i) {
        ns += phases[i].ns;
        bytes += phases[i].bytes;
        n_dispatches += phases[i].kernel[0] ? phases[i].n : 0;
        CHECK(phases[i].name[0] && phases[i].n > 0);
        CHECK(i == 0 || phases[i - 1].ns >= phases[i].ns);
    }
    CHECK_UINT(n_dispatches, timings.n_dispatches);
    // The caller's time holds the device's; what the host adds depends on the machine's other load.
    CHECK(ns <= timings.decode_ns);
    test_check(t, ns > timings.decode_ns / 20, __FILE__, __LINE__, "phases take %.3f ms of %.3f ms", (double)ns * 1e-6,
               (double)timings.decode_ns * 1e-6);
    // Weights and cache are most of what a token moves, and all of it is in the phases.
    CHECK(bytes >= timings.decode_bytes);
    CHECK(bytes < 3 * timings.decode_bytes);

    // A product is called like its tensor and knows its kernel; one dispatch per layer and token.
    struct karat_model_facts facts;
    karat_model_describe(demo, &facts);
    const struct karat_phase *q = find(phases, n, "attn_q"), *head = find(phases, n, "output");
    if (CHECK(q && head)) {
        CHECK(strncmp(q->kernel, "mat_", 4) == 0);
        CHECK(head->n >= N_DECODE); // more where it had to be sliced
        CHECK(q->bytes > q->n * facts.n_embd * 4);
    }
    // Fewer places than phases: the longest.
    struct karat_phase few[2];
    CHECK_UINT(karat_session_phases(session, few, 2), n);
    CHECK(few[0].ns == phases[0].ns && few[1].ns == phases[1].ns);
    karat_session_timings_reset(session);
    CHECK_UINT(karat_session_phases(session, phases, PHASES_MAX), 0);
    karat_session_close(session);
    karat_model_close(demo);
}

TEST(a_session_without_timing_has_no_phases_but_a_longest_submission)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    struct karat_timings timings;
    struct karat_phase phase;
    const uint32_t ids[] = { 300, 301, 302 };
    struct karat_model *demo = open_demo(t);
    REQUIRE(demo);
    REQUIRE_OK(karat_session_open(&session, demo, &(struct karat_session_options){ .n_context = 64 }, &err), err);
    REQUIRE_OK(karat_session_sync(session, ids, 3, &err), err);
    CHECK_UINT(karat_session_phases(session, &phase, 1), 0);
    karat_session_timings(session, &timings);
    CHECK(timings.longest_submit_ns > 0 && timings.longest_submit_ns <= timings.prefill_ns);
    karat_session_timings_reset(session);
    karat_session_timings(session, &timings);
    CHECK_UINT(timings.longest_submit_ns, 0);
    karat_session_close(session);
    karat_model_close(demo);
}

TEST(the_time_for_the_weights_is_told)
{
    struct karat_model_facts facts;
    struct karat_model *vocabulary = NULL;
    struct karat_error err = { 0 };
    struct karat_model *demo = open_demo(t);
    REQUIRE(demo);
    karat_model_describe(demo, &facts);
    CHECK(facts.weights_ns > 0);
    REQUIRE_OK(karat_model_open(&vocabulary, NULL, &(struct karat_model_options){ .vocabulary_only = true }, &err),
               err);
    karat_model_describe(vocabulary, &facts);
    CHECK_UINT(facts.weights_ns, 0);
    double bandwidth = 1;
    CHECK_UINT(karat_model_bandwidth(vocabulary, KARAT_BANDWIDTH_KNOWN, &bandwidth, &err), KARAT_ERR_ARGUMENT);
    CHECK_TEXT(err.text, "the model was opened without its weights");
    CHECK(bandwidth == 0);
    karat_model_close(vocabulary);
    karat_model_close(demo);
}

TEST(the_bandwidth_is_measured_once_and_kept)
{
    static const char dir[] = "bandwidth.tmp";
    struct karat_model *model = NULL;
    struct karat_error err = { 0 };
    double known = 1, first = 0, second = 0;
    const struct karat_model_options kept = { .pipeline_cache_dir = dir };
    const enum karat_status status = karat_model_open(&model, NULL, &kept, &err);
    REQUIRE_OK(status, err);
    // A run before this one may have left its number; measuring again replaces it.
    REQUIRE_OK(karat_model_bandwidth(model, KARAT_BANDWIDTH_AGAIN, &first, &err), err);
    CHECK(first > 0);
    REQUIRE_OK(karat_model_bandwidth(model, KARAT_BANDWIDTH_MEASURED, &second, &err), err);
    CHECK_NEAR(second, first, 1);
    karat_model_close(model);

    REQUIRE_OK(karat_model_open(&model, NULL, &kept, &err), err);
    REQUIRE_OK(karat_model_bandwidth(model, KARAT_BANDWIDTH_KNOWN, &known, &err), err);
    CHECK_NEAR(known, first, 1);
    karat_model_close(model);

    // Without a place to keep it, it is never known.
    REQUIRE_OK(karat_model_open(&model, NULL, &(struct karat_model_options){ .pipeline_cache_dir = "" }, &err), err);
    REQUIRE_OK(karat_model_bandwidth(model, KARAT_BANDWIDTH_MEASURED, &second, &err), err);
    CHECK(second > 0);
    REQUIRE_OK(karat_model_bandwidth(model, KARAT_BANDWIDTH_KNOWN, &known, &err), err);
    CHECK(known == 0);
    karat_model_close(model);
}
