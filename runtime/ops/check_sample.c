// ops/check_sample.c -- a whole run of draws against the twin: each leaves position and counts to the next.
#include <math.h>

#include "ops/check.h"
#include "ops/twins_network.h"

#define N_DRAWS (OP_SAMPLE_SLOTS + 1) // the last one takes the first one's slot, as its numbers are the same
#define MARGIN 1e-4                   // no draw is nearer to another answer

struct candidates {
    uint32_t *ids;
    float *values;
    uint32_t never[OP_NEVER_MAX];
};

// Distinct ids, values that fall.
static bool make_candidates(struct check *c, const struct check_sample *s, struct candidates *out)
{
    out->ids = check_alloc(c, s->n, sizeof *out->ids);
    out->values = check_random(c, s->n, 2);
    if (!out->ids || !out->values)
        return false;
    const uint32_t first = check_random_below(c, s->n_vocab);
    for (uint32_t i = 0; i < s->n; ++i) {
        out->ids[i] = (first + i * (s->n_vocab / s->n)) % s->n_vocab;
        float value = s->ties ? (float)check_random_below(c, 4) : out->values[i];
        uint32_t at = i;
        for (; at > 0 && out->values[at - 1] < value; --at)
            out->values[at] = out->values[at - 1];
        out->values[at] = value;
    }
    for (uint32_t i = 0; s->broken && i < s->n; ++i)
        if (i < 3 || i + 9 > s->n)
            out->values[i] = i < 3 ? INFINITY : i + 6 > s->n ? NAN : -INFINITY;
    if (s->broken)
        out->ids[s->n - 1] = OP_SAMPLE_NONE;
    for (uint32_t i = 0; i < s->n_never; ++i)
        out->never[i] = i + 1 == s->n_never ? OP_SAMPLE_NONE : out->ids[2 * i % s->n];
    return true;
}

// A copy of the data that the op may change and check_read() can read.
static struct gpu_view changing(struct check *c, const void *data, uint64_t size_bytes)
{
    const struct gpu_view in = check_input(c, data, size_bytes), out = check_output(c, size_bytes);
    if (c->status == KARAT_OK)
        gpu_record_copy(c->rec, out, in);
    return out;
}

// A fraction that is not near another answer. False where the cuts themselves are near one.
static bool find_clear_draw(struct check *c, const struct check_sample *s, const struct candidates *candidates,
                            const struct op_sampling *sampling, float *at, uint32_t *id)
{
    for (int attempt = 0; attempt < 100; ++attempt) {
        *at = (float)check_random_below(c, 1u << 24) / (1u << 24);
        if (twin_sample(id, candidates->ids, candidates->values, s->n, s->n_vocab, sampling, (double)*at) >= MARGIN)
            return true;
    }
    return false;
}

void check_sample(struct check *c, const void *shape)
{
    const struct check_sample *s = shape;
    struct candidates candidates = { 0 };
    const size_t results_bytes = OP_SAMPLE_SLOTS * sizeof(struct op_sample_result);
    float *scores = check_random(c, s->n_vocab, 3);
    uint32_t *counts = check_alloc(c, s->n_vocab, sizeof *counts);
    struct op_sample_draw *draws = check_alloc(c, OP_SAMPLE_SLOTS, sizeof *draws);
    struct op_sample_result *want = check_alloc(c, OP_SAMPLE_SLOTS, sizeof *want);
    struct op_sampling sampling = {
        .top_k = s->top_k, .temperature = s->temperature, .top_p = s->top_p, .min_p = s->min_p, .n_never = s->n_never
    };
    for (int attempt = 0; attempt < 100; ++attempt) {
        if (!make_candidates(c, s, &candidates) || !scores || !counts || !draws || !want)
            return;
        memcpy(sampling.never, candidates.never, sizeof sampling.never);
        if (find_clear_draw(c, s, &candidates, &sampling, &draws[0].at, &want[0].id))
            break;
    }
    for (uint32_t i = 0; i < s->n_vocab; ++i)
        counts[i] = 2 * N_DRAWS;

    uint32_t step[4] = { s->first_position, 7, 8, 9 }, next = OP_SAMPLE_NONE;
    for (uint32_t i = 0; i < OP_SAMPLE_SLOTS; ++i) {
        const uint32_t slot = (s->first_position + i) % OP_SAMPLE_SLOTS;
        if (!find_clear_draw(c, s, &candidates, &sampling, &draws[slot].at, &want[slot].id))
            c->error = INFINITY;
        draws[slot].leaving = i % 3 == 0 ? OP_SAMPLE_NONE : check_random_below(c, s->n_vocab);
        want[slot].n = s->n;
        for (uint32_t j = 0; j < s->n; ++j) {
            const uint32_t id = candidates.ids[j] < s->n_vocab ? candidates.ids[j] : s->n_vocab - 1;
            want[slot].ids[j] = candidates.ids[j];
            want[slot].scores[j] = s->has_counts ? scores[id] : candidates.values[j];
        }
    }
    struct op_sample sample = {
        .ids = check_input(c, candidates.ids, s->n * sizeof(uint32_t)),
        .values = check_input(c, candidates.values, s->n * sizeof(float)),
        .scores = check_input(c, scores, s->n_vocab * sizeof *scores),
        .draws = check_input(c, draws, OP_SAMPLE_SLOTS * sizeof *draws),
        .step = changing(c, step, sizeof step),
        .next = check_output(c, sizeof next),
        .results = changing(c, want, results_bytes), // places beyond n stay what they are
        .n = s->n,
    };
    if (s->has_counts)
        sample.counts = changing(c, counts, s->n_vocab * sizeof *counts);
    for (uint32_t slot = 0; slot < OP_SAMPLE_SLOTS && c->status == KARAT_OK; ++slot)
        gpu_record_fill(c->rec, (struct gpu_view){ sample.results.buffer, slot * sizeof *want, 8 + 4 * s->n }, 0);
    for (uint32_t i = 0; i < N_DRAWS && c->status == KARAT_OK; ++i) {
        const struct op_sample_draw *draw = &draws[(s->first_position + i) % OP_SAMPLE_SLOTS];
        op_sample(c->rec, &sample, &sampling);
        next = want[(s->first_position + i) % OP_SAMPLE_SLOTS].id;
        if (draw->leaving != OP_SAMPLE_NONE)
            --counts[draw->leaving];
        ++counts[next];
    }
    check_submit(c);
    step[0] += N_DRAWS;
    check_same(c, check_read(c, sample.step), step, sizeof step);
    check_same(c, check_read(c, sample.next), &next, sizeof next);
    if (s->has_counts)
        check_same(c, check_read(c, sample.counts), counts, s->n_vocab * sizeof *counts);
    const struct op_sample_result *got = check_read(c, sample.results);
    for (uint32_t slot = 0; got && slot < OP_SAMPLE_SLOTS; ++slot) {
        check_same(c, &got[slot], &want[slot], 8 + 4 * s->n);
        for (uint32_t j = 0; j < s->n; ++j) // a NaN may lose its payload on the way
            if (!(got[slot].scores[j] == want[slot].scores[j] || isnan(want[slot].scores[j])))
                c->error = INFINITY;
    }
}
