// ops/check_moe.c -- checks of routing and of the join of the branches.
#include <math.h>

#include "ops/check.h"
#include "ops/choose.h"
#include "ops/twins_network.h"

void check_route(struct check *c, const void *shape)
{
    const struct check_route *s = shape;
    const uint32_t n_pairs = s->n_tokens * s->n_used;
    const uint32_t n_tiles = choose_n_tiles(c->device, s->n_tokens, s->n_experts, s->n_used);
    c->bound = 5e-6;

    const size_t n_logits = (size_t)s->n_tokens * s->n_experts;
    float *logits = check_random(c, n_logits, 3), *scale = check_random_weights(c, s->n_experts);
    uint32_t *want_ids = check_alloc(c, n_pairs, sizeof *want_ids), *want_order = check_alloc(c, n_pairs, 4);
    uint32_t(*want_tiles)[4] = check_alloc(c, n_tiles, sizeof *want_tiles);
    double *want_weights = check_alloc(c, n_pairs, sizeof *want_weights);
    if (!logits || !scale || !want_ids || !want_order || !want_tiles || !want_weights)
        return;
    for (size_t i = 0; i < n_logits; ++i) {
        if (s->ties)
            logits[i] = (float)check_random_below(c, 3);
        if (s->broken && check_random_below(c, 4) > 0)
            logits[i] = (const float[]){ INFINITY, -INFINITY, NAN }[check_random_below(c, 3)];
    }

    uint64_t bytes[4];
    op_route_bytes(bytes, gpu_device_plan(c->device), s->n_tokens, s->n_experts, s->n_used);
    const struct op_route route = {
        .ids = check_output(c, bytes[0]),
        .weights = check_output(c, bytes[1]),
        .order = check_output(c, bytes[2]),
        .tiles = check_output(c, bytes[3]),
        .n_experts = s->n_experts,
        .n_used = s->n_used,
    };
    const struct gpu_view in = check_input(c, logits, n_logits * sizeof *logits);
    const struct op_vector scale_vector = check_vector(c, scale, s->n_experts);
    if (c->status != KARAT_OK)
        return;
    op_route(c->rec, &route, in, s->no_scale ? NULL : &scale_vector, s->n_tokens);
    check_submit(c);

    for (uint32_t t = 0; t < s->n_tokens; ++t)
        twin_route(want_ids + t * s->n_used, want_weights + t * s->n_used, logits + (size_t)t * s->n_experts,
                   s->no_scale ? NULL : scale, s->n_experts, s->n_used);
    const uint32_t *got_ids = check_read(c, route.ids);
    if (!got_ids)
        return;
    if (s->broken) { // what is chosen has no meaning then, but the products must find experts
        for (uint32_t t = 0; t < s->n_tokens; ++t)
            for (uint32_t i = 0; i < s->n_used; ++i)
                for (uint32_t j = 0; j <= i; ++j)
                    if (got_ids[t * s->n_used + i] >= s->n_experts ||
                        (j < i && got_ids[t * s->n_used + i] == got_ids[t * s->n_used + j]))
                        c->error = INFINITY;
    } else {
        check_same(c, got_ids, want_ids, n_pairs * sizeof *want_ids);
        check_compare(c, check_read(c, route.weights), want_weights, n_pairs);
    }
    if (choose_direct(gpu_device_plan(c->device), s->n_tokens, s->n_experts, s->n_used))
        return; // pairs are not sorted
    if (c->error > c->bound || !twin_route_sort(want_order, want_tiles, got_ids, n_pairs, s->n_experts, n_tiles,
                                                choose_tile_pairs(c->device, s->n_tokens, s->n_experts, s->n_used)))
        c->error = INFINITY;
    check_same(c, check_read(c, route.order), want_order, n_pairs * sizeof *want_order);
    check_same(c, check_read(c, route.tiles), want_tiles, n_tiles * sizeof *want_tiles);
}

void check_join(struct check *c, const void *shape)
{
    const struct check_join *s = shape;
    const size_t n = (size_t)s->n_tokens * s->n_cols;
    c->bound = 3e-6;
    const float *r = check_random(c, n, 3), *dense = check_random(c, n, 0.5), *m = check_random(c, n, 2);
    const float *w_dense = check_random_weights(c, s->n_cols), *w_experts = check_random_weights(c, s->n_cols);
    const float *w_out = check_random_weights(c, s->n_cols), *w_next = check_random_weights(c, s->n_cols);
    const float scale = 0.375f;
    double *want = check_alloc(c, n, sizeof *want);
    float *rounded = check_alloc(c, n, sizeof *rounded);
    if (!r || !dense || !m || !w_dense || !w_experts || !w_out || !w_next || !want || !rounded)
        return;
    const struct op_vector vectors[] = { check_vector(c, w_dense, s->n_cols), check_vector(c, w_experts, s->n_cols),
                                         check_vector(c, w_out, s->n_cols), check_vector(c, &scale, 1),
                                         check_vector(c, w_next, s->n_cols) };
    const struct gpu_view m_view = check_input(c, m, n * sizeof *m);
    struct op_join join = {
        .y = check_output(c, n * sizeof *r),
        .r = check_input(c, r, n * sizeof *r),
        .dense = check_input(c, dense, n * sizeof *dense),
        .w_dense = &vectors[0],
        .w_experts = &vectors[1],
        .w_out = &vectors[2],
        .scale = s->has_scale ? &vectors[3] : NULL,
        .n_tokens = s->n_tokens,
        .eps = 1e-6f,
    };
    if (s->has_next)
        join.next = check_output(c, n * sizeof *r), join.w_next = &vectors[4];
    if (c->status != KARAT_OK)
        return;
    op_join(c->rec, m_view, &join);
    check_submit(c);
    twin_join_rows(want, &(struct twin_join){ r, dense, m, w_dense, w_experts, w_out, s->has_scale ? &scale : NULL,
                                              s->n_tokens, s->n_cols, 1e-6f });
    check_compare(c, check_read(c, join.y), want, n);
    if (!s->has_next)
        return;
    for (size_t i = 0; i < n; ++i)
        rounded[i] = (float)want[i];
    twin_rms_norm(want, rounded, w_next, s->n_tokens, s->n_cols, 1e-6);
    check_compare(c, check_read(c, join.next), want, n);
}
