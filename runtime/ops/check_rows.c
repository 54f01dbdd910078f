// ops/check_rows.c -- checks of what works on rows: norms, products of a gate, scores.
#include <math.h>

#include "ops/check.h"
#include "ops/twins_network.h"

#define EPS 1e-6f

static double scale_of(const struct check_rows *s)
{
    return s->scale > 0 ? s->scale : 1;
}

void check_rms_norm(struct check *c, const void *shape)
{
    const struct check_rows *s = shape;
    const size_t n = (size_t)s->n_rows * s->n_cols;
    c->bound = 2e-6;
    const float *x = check_random(c, n, scale_of(s)), *w = check_random_weights(c, s->n_cols);
    double *want = check_alloc(c, n, sizeof *want);
    if (!x || !w || !want)
        return;
    const struct gpu_view x_view = check_input(c, x, n * sizeof *x), y = check_output(c, n * sizeof *x);
    const struct op_vector w_vector = check_vector(c, w, s->n_cols);
    if (c->status != KARAT_OK)
        return;
    op_rms_norm(c->rec, y, x_view, s->has_weight ? &w_vector : NULL, s->n_rows, s->n_cols, EPS);
    check_submit(c);
    twin_rms_norm(want, x, s->has_weight ? w : NULL, s->n_rows, s->n_cols, EPS);
    check_compare(c, check_read(c, y), want, n);
}

void check_add_norm(struct check *c, const void *shape)
{
    const struct check_rows *s = shape;
    const size_t n = (size_t)s->n_rows * s->n_cols;
    c->bound = 2e-6;
    const float *x = check_random(c, n, scale_of(s)), *r = check_random(c, n, 3), scale = 0.0625f;
    const float *w = check_random_weights(c, s->n_cols), *w_norms[OP_NORMS_MAX];
    double *want = check_alloc(c, n, sizeof *want);
    float *rounded = check_alloc(c, n, sizeof *rounded);
    if (!x || !r || !w || !want || !rounded)
        return;
    const struct gpu_view x_view = check_input(c, x, n * sizeof *x);
    const struct op_vector w_vector = check_vector(c, w, s->n_cols), scale_vector = check_vector(c, &scale, 1);
    struct op_vector norm_vectors[OP_NORMS_MAX];
    struct op_add_norm add = {
        .y = check_output(c, n * sizeof *x),
        .r = check_input(c, r, n * sizeof *r),
        .w = &w_vector,
        .scale = s->has_weight ? &scale_vector : NULL,
        .n_norms = s->n_norms,
        .eps = EPS,
    };
    for (uint32_t i = 0; i < s->n_norms; ++i) {
        w_norms[i] = check_random_weights(c, s->n_cols);
        norm_vectors[i] = check_vector(c, w_norms[i], s->n_cols);
        add.norms[i].y = check_output(c, n * sizeof *x), add.norms[i].w = &norm_vectors[i];
    }
    if (c->status != KARAT_OK)
        return;
    op_add_norm(c->rec, x_view, &add, s->n_rows);
    check_submit(c);
    twin_add_norm(want, r, x, w, s->has_weight ? &scale : NULL, s->n_rows, s->n_cols, EPS);
    check_compare(c, check_read(c, add.y), want, n);
    for (size_t i = 0; i < n; ++i)
        rounded[i] = (float)want[i];
    for (uint32_t i = 0; i < s->n_norms; ++i) {
        twin_rms_norm(want, rounded, w_norms[i], s->n_rows, s->n_cols, EPS);
        check_compare(c, check_read(c, add.norms[i].y), want, n);
    }
}

void check_gelu_mul(struct check *c, const void *shape)
{
    const struct check_rows *s = shape;
    const size_t n = (size_t)s->n_rows * s->n_cols;
    c->bound = 2e-6;
    const float *gu = check_random(c, 2 * n, scale_of(s));
    double *want = check_alloc(c, n, sizeof *want);
    if (!gu || !want)
        return;
    const struct gpu_view in = check_input(c, gu, 2 * n * sizeof *gu), y = check_output(c, n * sizeof *gu);
    if (c->status != KARAT_OK)
        return;
    op_gelu_mul(c->rec, y, in, s->n_rows, s->n_cols);
    check_submit(c);
    twin_gelu_mul(want, gu, s->n_rows, s->n_cols);
    check_compare(c, check_read(c, y), want, n);
}

void check_softcap(struct check *c, const void *shape)
{
    const struct check_rows *s = shape;
    const size_t n = (size_t)s->n_rows * s->n_cols;
    c->bound = 2e-6;
    const float *x = check_random(c, n, scale_of(s));
    double *want = check_alloc(c, n, sizeof *want);
    if (!x || !want)
        return;
    const struct gpu_view in = check_input(c, x, n * sizeof *x), y = check_output(c, n * sizeof *x);
    if (c->status != KARAT_OK)
        return;
    op_softcap(c->rec, y, in, (uint32_t)n, 30);
    check_submit(c);
    twin_softcap(want, x, (uint32_t)n, 30);
    check_compare(c, check_read(c, y), want, n);
}

// Bytes are bytes: the twin is the input itself.
void check_copy(struct check *c, const void *shape)
{
    const struct check_rows *s = shape;
    const size_t n = (size_t)s->n_rows * s->n_cols;
    const float *x = check_random(c, n, scale_of(s));
    if (!x)
        return;
    const struct gpu_view in = check_input(c, x, n * sizeof *x), y = check_output(c, n * sizeof *x);
    if (c->status != KARAT_OK)
        return;
    op_copy(c->rec, y, in);
    check_submit(c);
    check_same(c, check_read(c, y), x, n * sizeof *x);
}

void check_top_k(struct check *c, const void *shape)
{
    const struct check_top_k *s = shape;
    const size_t n = (size_t)s->n_rows * s->n_cols, n_best = (size_t)s->n_rows * s->k;
    float *x = check_random(c, n, 10), *want_values = check_alloc(c, n_best, sizeof *want_values);
    uint32_t *want = check_alloc(c, n_best, sizeof *want);
    if (!x || !want || !want_values)
        return;
    for (size_t i = 0; i < n; ++i) {
        if (s->ties)
            x[i] = (float)check_random_below(c, 7) - 3; // the zeros among them come with both signs
        if (s->ties && x[i] == 0 && check_random_below(c, 2))
            x[i] = -0.0f;
        // In some of the columns that the kernel looks at together, and of these the last has but one.
        if (s->crowded && i % 64 < 20)
            x[i] = (float)((i * 7919) % n) / (float)n + (i % 64 < 19 ? 1000 : 500);
        if (s->broken && check_random_below(c, 4) > 0)
            x[i] = (const float[]){ INFINITY, -INFINITY, NAN }[check_random_below(c, 3)];
    }
    uint32_t *counts = check_alloc(c, s->n_cols, sizeof *counts);
    struct op_penalties penalties = { .repeat = 2, .presence = 0.25f, .frequency = 0.5f }; // exact in f32
    for (size_t i = 0; counts && i < s->n_cols; ++i)
        counts[i] = check_random_below(c, 4) ? 0 : check_random_below(c, 3);
    penalties.counts = check_input(c, counts, s->n_cols * sizeof *counts);
    const struct gpu_view in = check_input(c, x, n * sizeof *x);
    const struct gpu_view ids = check_output(c, n_best * sizeof(uint32_t)), values = check_output(c, n_best * 4);
    const struct gpu_view scratch = check_output(c, op_top_k_scratch_bytes(s->n_rows, s->n_cols, s->k));
    if (c->status != KARAT_OK)
        return;
    op_top_k(c->rec, ids, values, in, s->penalties ? &penalties : NULL, scratch, s->n_rows, s->n_cols, s->k);
    check_submit(c);
    for (size_t i = 0; s->penalties && i < n; ++i)
        x[i] = twin_penalise(x[i], counts[i % s->n_cols], penalties.repeat, penalties.presence, penalties.frequency);
    for (uint32_t row = 0; row < s->n_rows; ++row) {
        twin_top_k(want + row * s->k, x + (size_t)row * s->n_cols, s->n_cols, s->k);
        for (uint32_t i = 0; i < s->k; ++i)
            want_values[row * s->k + i] = x[(size_t)row * s->n_cols + want[row * s->k + i]];
    }
    check_same(c, check_read(c, ids), want, n_best * sizeof *want);
    check_read(c, scratch);
    const float *got = check_read(c, values);
    for (size_t i = 0; got && i < n_best; ++i) // as numbers: zeros may lose their sign, NaN its payload
        if (!(got[i] == want_values[i] || (isnan(got[i]) && isnan(want_values[i]))))
            c->error = INFINITY;
}
