// cli/bench_rounds.c -- see bench_rounds.h.
#include "cli/bench_rounds.h"

#include <stdlib.h>

#include "common/platform.h"
#include "common/text.h"

#define IDLE_MAX 100

static uint32_t random_id(struct bench_bed *bed)
{
    bed->random = bed->random * 6364136223846793005u + 1442695040888963407u;
    // The first ids are control tokens and bytes; skip them where the vocabulary is large enough.
    const uint32_t first = bed->n_vocab > 1000 ? 600 : 0;
    return first + (uint32_t)((bed->random >> 33) % (bed->n_vocab - first));
}

// New tokens in ids[from..to), the first of them another one than before.
static void renew(struct bench_bed *bed, uint32_t from, uint32_t to)
{
    const uint32_t old = bed->ids[from];
    for (uint32_t i = from; i < to; ++i)
        bed->ids[i] = random_id(bed);
    while (bed->ids[from] == old && bed->n_vocab > 1)
        bed->ids[from] = random_id(bed);
}

uint32_t bench_prefill_capacity(uint32_t n, uint32_t depth)
{
    return depth + n;
}

uint32_t bench_decode_capacity(uint32_t n, uint32_t depth)
{
    return (depth ? depth : 1) + BENCH_DECODE_WARM_UP + n;
}

void bench_bed_init(struct bench_bed *bed, struct karat_session *session, const struct karat_model *model,
                    uint32_t capacity)
{
    struct karat_model_facts facts;
    karat_model_describe(model, &facts);
    *bed = (struct bench_bed){ .session = session, .capacity = capacity, .n_vocab = facts.n_vocab, .random = 12345 };
    bed->ids = app_memory_new(capacity, sizeof *bed->ids);
    renew(bed, 0, capacity);
}

void bench_bed_deinit(struct bench_bed *bed)
{
    free(bed->ids);
    *bed = (struct bench_bed){ 0 };
}

static void finish(struct bench_bed *bed, uint64_t start_ns, struct bench_round *out)
{
    out->seconds = (double)(platform_clock_ns() - start_ns) * 1e-9;
    karat_session_timings(bed->session, &out->timings);
}

enum karat_status bench_prefill(struct bench_bed *bed, uint32_t n, uint32_t depth, struct bench_round *out,
                                struct karat_error *err)
{
    renew(bed, depth, depth + n);
    enum karat_status status = depth ? karat_session_sync(bed->session, bed->ids, depth, err) : KARAT_OK;
    karat_session_timings_reset(bed->session);
    const uint64_t start_ns = platform_clock_ns();
    if (status == KARAT_OK)
        status = karat_session_sync(bed->session, bed->ids, depth + n, err);
    finish(bed, start_ns, out);
    return status;
}

// One answer of up to `most` tokens that are evaluated; the last one that is drawn is not. Adds to *out.
static enum karat_status answer(struct bench_bed *bed, uint32_t first, uint32_t most, struct bench_round *out,
                                struct karat_error *err)
{
    struct bench_round part;
    renew(bed, first, first + 1);
    enum karat_status status = karat_session_sync(bed->session, bed->ids, first + 1, err);
    karat_session_timings_reset(bed->session);
    const uint64_t start_ns = platform_clock_ns();
    if (status == KARAT_OK)
        status = karat_generate(
            bed->session, bed->ids, first + 1,
            &(struct karat_generate_options){ .max_tokens = most + 1, .sampling = { .greedy = true } }, NULL, err);
    finish(bed, start_ns, &part);
    const struct karat_timings *t = &part.timings;
    if (t->decode_tokens == 0)
        return status;
    out->seconds += part.seconds;
    out->timings.decode_tokens += t->decode_tokens;
    out->timings.decode_ns += t->decode_ns;
    out->timings.decode_bytes += t->decode_bytes;
    out->timings.n_dispatches += t->n_dispatches;
    out->timings.n_barriers += t->n_barriers;
    out->timings.n_submits += t->n_submits;
    if (t->longest_submit_ns > out->timings.longest_submit_ns)
        out->timings.longest_submit_ns = t->longest_submit_ns;
    return status;
}

enum karat_status bench_decode(struct bench_bed *bed, uint32_t n, uint32_t depth, struct bench_round *out,
                               struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    uint32_t n_idle = 0; // answers in a row that ended at once
    *out = (struct bench_round){ 0 };
    while (out->timings.decode_tokens < n && status == KARAT_OK && n_idle < IDLE_MAX) {
        const uint64_t before = out->timings.decode_tokens;
        status = answer(bed, depth ? depth : 1, n - (uint32_t)before, out, err);
        n_idle = out->timings.decode_tokens == before ? n_idle + 1 : 0;
    }
    if (n_idle == IDLE_MAX) {
        *err = (struct karat_error){ .status = KARAT_ERR_UNSUPPORTED,
                                     .text = "every answer ends at once, so there is nothing to measure" };
        status = err->status;
    }
    return status;
}

enum karat_status bench_decode_steps(struct bench_bed *bed, uint32_t n, uint32_t depth, struct bench_round *out,
                                     struct karat_error *err)
{
    const uint32_t first = depth ? depth : 1;
    renew(bed, first, first + BENCH_DECODE_WARM_UP + n);
    enum karat_status status = karat_session_sync(bed->session, bed->ids, first, err);
    uint64_t start_ns = 0;
    for (uint32_t i = 0; i < BENCH_DECODE_WARM_UP + n && status == KARAT_OK; ++i) {
        if (i == BENCH_DECODE_WARM_UP) {
            karat_session_timings_reset(bed->session);
            start_ns = platform_clock_ns();
        }
        status = karat_session_sync(bed->session, bed->ids, first + i + 1, err);
    }
    finish(bed, start_ns, out);
    return status;
}
