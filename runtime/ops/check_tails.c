// ops/check_tails.c -- checks of products that go on with a step: the twins of the two, one after the other.
#include "ops/check_tails.h"

#include <math.h>

#include "ops/check_linear.h"
#include "ops/linear.h"
#include "ops/tails.h"
#include "ops/twins.h"
#include "ops/twins_network.h"

#define EPS 1e-6f

// Products are as exact as their sums are long; norms that follow keep relative errors.
#define BOUND 2e-5

static struct check_stored store_all(struct check *c, enum qtype type, uint32_t n_cols, uint32_t n_rows,
                                     uint32_t n_planes)
{
    struct check_stored stored = { 0 };
    check_store_tensor(c, &stored, type, n_cols, n_rows, n_planes, &(struct op_store_item){ 0 }, 0);
    return stored;
}

// What is looked at is how products and steps come together: products of f16 have checks of their own.
static struct gpu_plan plan_of(const struct check *c, bool like_gpu)
{
    struct gpu_plan plan = check_plan_like(c, like_gpu);
    plan.tier = GPU_TIER_BASE;
    return plan;
}

// W x as the step sees it.
static float *product(struct check *c, const float *x, const float *w, uint32_t n_tokens, uint32_t n_rows,
                      uint32_t n_cols)
{
    const size_t n = (size_t)n_tokens * n_rows;
    double *y = check_alloc(c, n, sizeof *y);
    float *rounded = check_alloc(c, n, sizeof *rounded);
    if (!y || !rounded)
        return NULL;
    twin_linear(y, x, w, n_tokens, n_rows, n_cols, n_cols);
    for (size_t i = 0; i < n; ++i)
        rounded[i] = (float)y[i];
    return rounded;
}

void check_linear_add_norm(struct check *c, const void *shape)
{
    const struct check_tail *s = shape;
    const size_t n = (size_t)s->n_tokens * s->n_rows, n_x = (size_t)s->n_tokens * s->n_cols;
    const struct gpu_plan plan = plan_of(c, s->like_gpu);
    c->bound = BOUND;
    struct check_stored w = store_all(c, s->type, s->n_cols, s->n_rows, 0);
    const float *x = check_random(c, n_x, 1), *r = check_random(c, n, 3), scale = 0.25f;
    const float *w_add = check_random_weights(c, s->n_rows), *w_norms[OP_NORMS_MAX];
    const struct op_vector w_vector = check_vector(c, w_add, s->n_rows), scale_vector = check_vector(c, &scale, 1);
    struct op_vector norm_vectors[OP_NORMS_MAX];
    struct op_add_norm add = {
        .y = check_output(c, n * sizeof *x),
        .r = check_input(c, r, n * sizeof *r),
        .w = &w_vector,
        .scale = s->has_scale ? &scale_vector : NULL,
        .n_norms = s->n_norms,
        .eps = EPS,
    };
    for (uint32_t i = 0; i < s->n_norms; ++i) {
        w_norms[i] = check_random_weights(c, s->n_rows);
        norm_vectors[i] = check_vector(c, w_norms[i], s->n_rows);
        add.norms[i].y = check_output(c, n * sizeof *x), add.norms[i].w = &norm_vectors[i];
    }
    const struct gpu_view x_view = check_input(c, x, n_x * sizeof *x), z = check_output(c, n * sizeof *x);
    const struct gpu_view counters = check_counters(c);
    double *want = check_alloc(c, n, sizeof *want);
    float *rounded = check_alloc(c, n, sizeof *rounded);
    if (c->status == KARAT_OK) {
        tails_add_norm(c->rec, &plan, z, x_view, &w.weight, &add, counters, s->n_tokens);
        check_submit(c);
        check_counted(c, counters);
        const float *made = product(c, x, w.decoded, s->n_tokens, s->n_rows, s->n_cols);
        if (made)
            twin_add_norm(want, r, made, w_add, s->has_scale ? &scale : NULL, s->n_tokens, s->n_rows, EPS);
        check_compare(c, check_read(c, add.y), want, n);
        for (size_t i = 0; i < n; ++i)
            rounded[i] = (float)want[i];
        for (uint32_t i = 0; i < s->n_norms; ++i) {
            twin_rms_norm(want, rounded, w_norms[i], s->n_tokens, s->n_rows, EPS);
            check_compare(c, check_read(c, add.norms[i].y), want, n);
        }
    }
    op_store_destroy(w.store);
}

// Experts are compared with those that the device's own logits lead to, since a rounding may swap two that are close.
void check_linear_route(struct check *c, const void *shape)
{
    const struct check_tail *s = shape;
    const size_t n = (size_t)s->n_tokens * s->n_rows, n_x = (size_t)s->n_tokens * s->n_cols;
    const uint32_t n_pairs = s->n_tokens * s->n_used;
    const struct gpu_plan plan = plan_of(c, s->like_gpu);
    c->bound = BOUND;
    struct check_stored w = store_all(c, s->type, s->n_cols, s->n_rows, 0);
    const float *x = check_random(c, n_x, 0.1), *scale = check_random_weights(c, s->n_rows);
    const struct op_vector scale_vector = check_vector(c, scale, s->n_rows);
    uint64_t bytes[4];
    op_route_bytes(bytes, &plan, s->n_tokens, s->n_rows, s->n_used);
    const struct op_route route = {
        .ids = check_output(c, bytes[0]),
        .weights = check_output(c, bytes[1]),
        .order = check_output(c, bytes[2]),
        .tiles = check_output(c, bytes[3]),
        .n_experts = s->n_rows,
        .n_used = s->n_used,
    };
    const struct gpu_view x_view = check_input(c, x, n_x * sizeof *x), logits = check_output(c, n * sizeof *x);
    const struct gpu_view counters = check_counters(c);
    double *want = check_alloc(c, n, sizeof *want);
    uint32_t *ids = check_alloc(c, n_pairs, sizeof *ids);
    if (c->status == KARAT_OK) {
        tails_route(c->rec, &plan, logits, x_view, &w.weight, &route, s->has_scale ? &scale_vector : NULL, counters,
                    s->n_tokens);
        check_submit(c);
        check_counted(c, counters);
        const float *got = check_read(c, logits);
        twin_linear(want, x, w.decoded, s->n_tokens, s->n_rows, s->n_cols, s->n_cols);
        check_compare(c, got, want, n);
        for (uint32_t t = 0; got && t < s->n_tokens; ++t)
            twin_route(ids + t * s->n_used, want + t * s->n_used, got + (size_t)t * s->n_rows,
                       s->has_scale ? scale : NULL, s->n_rows, s->n_used);
        check_same(c, check_read(c, route.ids), ids, n_pairs * sizeof *ids);
        check_compare(c, check_read(c, route.weights), want, n_pairs);
    }
    op_store_destroy(w.store);
}

void check_linear_heads(struct check *c, const void *shape)
{
    const struct check_linear_heads *s = shape;
    const uint32_t n_rows = s->n_heads * s->head_size, n_slots = s->first_position + s->n_tokens;
    const size_t n = (size_t)s->n_tokens * n_rows, n_x = (size_t)s->n_tokens * s->n_cols;
    const bool cached = s->to != OP_HEADS_QUERIES, f16 = cached && s->cache == OP_CACHE_F16;
    const struct gpu_plan plan = plan_of(c, s->like_gpu);
    c->bound = f16 ? 6e-4 : BOUND;
    struct check_stored w = store_all(c, s->type, s->n_cols, n_rows, 0);
    const float *x = check_random(c, n_x, 1), *norm = check_random_weights(c, s->head_size);
    double *theta = check_alloc(c, s->n_pairs + 1, sizeof *theta), *want = check_alloc(c, n, sizeof *want);
    for (uint32_t j = 0; theta && j < s->n_pairs; ++j)
        theta[j] = pow(1e4, -2.0 * j / s->head_size);
    const uint64_t row_bytes = (uint64_t)n_rows * (f16 ? 2 : 4), cache_bytes = n_slots * row_bytes;
    const struct gpu_view x_view = check_input(c, x, n_x * sizeof *x), made = check_output(c, n * sizeof *x);
    const struct gpu_view keys = check_output(c, cached ? cache_bytes : n * sizeof *x);
    const struct gpu_view values = check_output(c, cache_bytes), step = check_step(c, s->first_position);
    const struct op_vector norm_vector = check_vector(c, norm, s->head_size);
    const struct gpu_view counters = check_counters(c);
    const struct op_cache cache = { keys.buffer, values.buffer, s->cache, n_slots, s->n_heads, s->head_size };
    struct op_rope rope = { 0 };
    if (c->status == KARAT_OK)
        c->status = op_rope_create(&rope, c->device, theta, s->n_pairs, &c->err);
    if (c->status == KARAT_OK) {
        tails_heads(c->rec, &plan, made, x_view, &w.weight,
                    &(struct op_heads){ s->to, keys, &cache, &norm_vector, &rope, step, s->n_heads, s->head_size, EPS },
                    counters, s->n_tokens);
        check_submit(c);
        check_counted(c, counters);
        const float *heads = product(c, x, w.decoded, s->n_tokens, n_rows, s->n_cols);
        // Once for what is turned, once for values.
        for (int plain = 0; heads && plain < 2; ++plain) {
            const bool written = plain ? s->to >= OP_HEADS_VALUES : s->to != OP_HEADS_VALUES;
            const uint8_t *bytes = written ? check_read(c, plain ? values : keys) : NULL;
            float *got = check_alloc(c, n, sizeof *got);
            if (!bytes || !got)
                continue;
            bytes += cached ? s->first_position * row_bytes : 0;
            for (size_t i = 0; i < n; ++i)
                got[i] = f16 ? check_from_f16(((const uint16_t *)(const void *)bytes)[i])
                             : ((const float *)(const void *)bytes)[i];
            for (size_t i = 0; i < (size_t)s->n_tokens * s->n_heads; ++i)
                twin_head(want + i * s->head_size, heads + i * s->head_size, plain ? NULL : norm, plain ? NULL : theta,
                          plain ? 0 : s->n_pairs, s->head_size, s->first_position + i / s->n_heads, EPS);
            check_compare(c, got, want, n);
        }
    }
    op_rope_destroy(&rope);
    op_store_destroy(w.store);
}

static uint32_t *random_experts(struct check *c, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    uint32_t *ids = check_alloc(c, (size_t)n_tokens * n_used, sizeof *ids);
    for (uint32_t t = 0; ids && t < n_tokens; ++t) {
        const uint32_t first = check_random_below(c, n_experts);
        for (uint32_t k = 0; k < n_used; ++k) // all different, in no order
            ids[t * n_used + k] = (first + 3 * k + (n_experts % 3 == 0 ? k / (n_experts / 3) : 0)) % n_experts;
    }
    return ids;
}

void check_gated(struct check *c, const void *shape)
{
    const struct check_tail *s = shape;
    const uint32_t n_used = s->n_experts > 0 ? s->n_used : 1, n_pairs = s->n_tokens * n_used;
    const size_t n = (size_t)n_pairs * s->n_rows, n_x = (size_t)s->n_tokens * s->n_cols;
    const struct gpu_plan plan = plan_of(c, s->like_gpu);
    c->bound = BOUND;
    struct check_stored gate = store_all(c, s->type, s->n_cols, s->n_rows, s->n_experts);
    struct check_stored up = store_all(c, s->type, s->n_cols, s->n_rows, s->n_experts);
    const float *x = check_random(c, n_x, 0.3);
    uint32_t *ids = random_experts(c, s->n_tokens, s->n_experts > 0 ? s->n_experts : 1, n_used);
    const struct gpu_view x_view = check_input(c, x, n_x * sizeof *x), y = check_output(c, n * sizeof *x);
    const struct gpu_view scratch = check_output(c, 2 * n * sizeof *x);
    const struct op_route route = { .ids = check_input(c, ids, n_pairs * sizeof *ids),
                                    .n_experts = s->n_experts,
                                    .n_used = n_used };
    double *want = check_alloc(c, n, sizeof *want);
    float *both = check_alloc(c, 2 * s->n_rows, sizeof *both);
    if (c->status == KARAT_OK) {
        if (s->n_experts > 0)
            linear_record_experts_gated(c->rec, &plan, y, scratch, x_view, &gate.weight, &up.weight, &route,
                                        s->n_tokens);
        else
            linear_record_gated(c->rec, &plan, y, scratch, x_view, &gate.weight, &up.weight, s->n_tokens);
        check_submit(c);
        for (uint32_t pair = 0; pair < n_pairs; ++pair) {
            const size_t plane = s->n_experts > 0 ? (size_t)ids[pair] * s->n_rows * s->n_cols : 0;
            const float *row = x + (size_t)(pair / n_used) * s->n_cols;
            const float *g = product(c, row, gate.decoded + plane, 1, s->n_rows, s->n_cols);
            const float *u = product(c, row, up.decoded + plane, 1, s->n_rows, s->n_cols);
            if (!g || !u)
                break;
            memcpy(both, g, s->n_rows * sizeof *both);
            memcpy(both + s->n_rows, u, s->n_rows * sizeof *both);
            twin_gelu_mul(want + (size_t)pair * s->n_rows, both, 1, s->n_rows);
        }
        check_compare(c, check_read(c, y), want, n);
    }
    op_store_destroy(gate.store);
    op_store_destroy(up.store);
}

void check_experts_join(struct check *c, const void *shape)
{
    const struct check_tail *s = shape;
    const uint32_t n_pairs = s->n_tokens * s->n_used, n_cols = s->n_rows; // columns of the join
    const size_t n = (size_t)s->n_tokens * n_cols, n_x = (size_t)n_pairs * s->n_cols;
    const struct gpu_plan plan = plan_of(c, s->like_gpu);
    c->bound = BOUND;
    struct check_stored w = store_all(c, s->type, s->n_cols, s->n_rows, s->n_experts);
    const float *x = check_random(c, n_x, 1), *weights = check_random_weights(c, n_pairs), scale = 0.375f;
    const float *r = check_random(c, n, 3), *dense = check_random(c, n, 0.5);
    const uint32_t *ids = random_experts(c, s->n_tokens, s->n_experts, s->n_used);
    const float *ws[4];
    struct op_vector vectors[4];
    for (int i = 0; i < 4; ++i) {
        ws[i] = check_random_weights(c, n_cols);
        vectors[i] = check_vector(c, ws[i], n_cols);
    }
    const struct op_vector scale_vector = check_vector(c, &scale, 1);
    const struct op_route route = { .ids = check_input(c, ids, n_pairs * sizeof *ids),
                                    .weights = check_input(c, weights, n_pairs * sizeof *weights),
                                    .n_experts = s->n_experts,
                                    .n_used = s->n_used };
    const struct op_join join = {
        .y = check_output(c, n * sizeof *r),
        .r = check_input(c, r, n * sizeof *r),
        .dense = check_input(c, dense, n * sizeof *dense),
        .next = check_output(c, n * sizeof *r),
        .w_dense = &vectors[0],
        .w_experts = &vectors[1],
        .w_out = &vectors[2],
        .scale = s->has_scale ? &scale_vector : NULL,
        .w_next = &vectors[3],
        .n_tokens = s->n_tokens,
        .eps = EPS,
    };
    const struct gpu_view x_view = check_input(c, x, n_x * sizeof *x), m = check_output(c, n * sizeof *r);
    const struct gpu_view scratch =
        check_output(c, op_experts_down_scratch_bytes(s->n_tokens, s->n_used, n_cols)); // where there is no tail
    const struct gpu_view counters = check_counters(c);
    double *want = check_alloc(c, n, sizeof *want);
    float *mixed = check_alloc(c, n, sizeof *mixed);
    if (c->status == KARAT_OK) {
        tails_join(c->rec, &plan, m, x_view, &w.weight, &route, &join, scratch, counters);
        check_submit(c);
        check_counted(c, counters);
        for (uint32_t pair = 0; pair < n_pairs; ++pair) {
            const float *made = product(c, x + (size_t)pair * s->n_cols,
                                        w.decoded + (size_t)ids[pair] * s->n_rows * s->n_cols, 1, s->n_rows, s->n_cols);
            for (uint32_t i = 0; made && i < n_cols; ++i)
                mixed[(size_t)(pair / s->n_used) * n_cols + i] += weights[pair] * made[i];
        }
        twin_join_rows(want, &(struct twin_join){ r, dense, mixed, ws[0], ws[1], ws[2], s->has_scale ? &scale : NULL,
                                                  s->n_tokens, n_cols, EPS });
        check_compare(c, check_read(c, join.y), want, n);
        for (size_t i = 0; i < n; ++i)
            mixed[i] = (float)want[i];
        twin_rms_norm(want, mixed, ws[3], s->n_tokens, n_cols, EPS);
        check_compare(c, check_read(c, join.next), want, n);
    }
    op_store_destroy(w.store);
}
