// ops/check_heads.c -- checks of what works on heads: rotation, the cache, attention.
#include <math.h>

#include "ops/attention.h"
#include "ops/check.h"
#include "ops/rope.h"
#include "ops/twins_network.h"

#define EPS 1e-6f

// Frequencies as the model has them: 1e4 for few pairs, 1e6 for many.
static double *make_theta(struct check *c, const struct check_heads *s)
{
    double *theta = check_alloc(c, s->n_pairs + 1, sizeof *theta);
    for (uint32_t j = 0; theta && j < s->n_pairs; ++j)
        theta[j] = pow(s->head_size > 256 ? 1e6 : 1e4, -2.0 * j / s->head_size);
    return theta;
}

void check_head_norm(struct check *c, const void *shape)
{
    const struct check_heads *s = shape;
    const size_t n = (size_t)s->n_tokens * s->n_heads * s->head_size;
    c->bound = 2e-6;
    const float *x = check_random(c, n, 5), *w = check_random_weights(c, s->head_size);
    const double *theta = make_theta(c, s);
    double *want = check_alloc(c, n, sizeof *want);
    struct op_rope rope = { 0 };
    if (!x || !w || !theta || !want)
        return;
    const struct gpu_view x_view = check_input(c, x, n * sizeof *x), y = check_output(c, n * sizeof *x);
    const struct gpu_view step = check_step(c, s->first_position);
    const struct op_vector w_vector = check_vector(c, w, s->head_size);
    if (c->status == KARAT_OK)
        c->status = op_rope_create(&rope, c->device, theta, s->n_pairs, &c->err);
    if (c->status != KARAT_OK)
        return;
    op_heads(c->rec, x_view,
             &(struct op_heads){ .to = OP_HEADS_QUERIES,
                                 .rows = y,
                                 .w = &w_vector,
                                 .rope = &rope,
                                 .step = step,
                                 .n_heads = s->n_heads,
                                 .head_size = s->head_size,
                                 .eps = EPS },
             s->n_tokens);
    check_submit(c);
    for (size_t item = 0; item < (size_t)s->n_tokens * s->n_heads; ++item)
        twin_head(want + item * s->head_size, x + item * s->head_size, w, theta, s->n_pairs, s->head_size,
                  s->first_position + item / s->n_heads, EPS);
    check_compare(c, check_read(c, y), want, n);
    op_rope_destroy(&rope);
}

// A cache is read back as floats; what no token has written is the guard's NaN.
static float *widen_cache(struct check *c, const void *bytes, enum op_cache_type type, size_t n)
{
    float *values = check_alloc(c, n, sizeof *values);
    for (size_t i = 0; values && bytes && i < n; ++i)
        values[i] = type == OP_CACHE_F32 ? ((const float *)bytes)[i] : check_from_f16(((const uint16_t *)bytes)[i]);
    return values;
}

static size_t element_bytes(enum op_cache_type type)
{
    return type == OP_CACHE_F32 ? 4 : 2;
}

void check_cache_store(struct check *c, const void *shape)
{
    const struct check_heads *s = shape;
    const size_t row = (size_t)s->n_heads * s->head_size, n = s->n_tokens * row, n_cache = s->n_slots * row;
    const size_t cache_bytes = n_cache * element_bytes(s->type);
    c->bound = s->type == OP_CACHE_F32 ? 2e-6 : 6e-4; // half a step of f16 is 2^-11
    const float *k = check_random(c, n, 5), *v = check_random(c, n, 0.2), *w = check_random_weights(c, s->head_size);
    const double *theta = make_theta(c, s);
    double *want_k = check_alloc(c, n, sizeof *want_k), *want_v = check_alloc(c, n, sizeof *want_v);
    float *got_k = check_alloc(c, n, sizeof *got_k), *got_v = check_alloc(c, n, sizeof *got_v);
    bool *written = check_alloc(c, s->n_slots, sizeof *written);
    struct op_rope rope = { 0 };
    if (!k || !v || !w || !theta || !want_k || !want_v || !got_k || !got_v || !written)
        return;
    const struct gpu_view k_view = check_input(c, k, n * sizeof *k), v_view = check_input(c, v, n * sizeof *v);
    const struct gpu_view keys = check_output(c, cache_bytes), values = check_output(c, cache_bytes);
    const struct gpu_view step = check_step(c, s->first_position);
    const struct op_vector w_vector = check_vector(c, w, s->head_size);
    const struct op_cache cache = { keys.buffer, values.buffer, s->type, s->n_slots, s->n_heads, s->head_size };
    if (c->status == KARAT_OK)
        c->status = op_rope_create(&rope, c->device, theta, s->n_pairs, &c->err);
    if (c->status != KARAT_OK)
        return;
    struct op_heads heads = { .to = s->shared ? OP_HEADS_KEYS_AND_VALUES : OP_HEADS_KEYS,
                              .cache = &cache,
                              .w = &w_vector,
                              .rope = &rope,
                              .step = step,
                              .n_heads = s->n_heads,
                              .head_size = s->head_size,
                              .eps = EPS };
    const uint64_t window_bytes = s->window_bytes > 0 ? s->window_bytes : gpu_device_plan(c->device)->max_binding_bytes;
    heads_in_windows(c->rec, k_view, &heads, s->n_tokens, window_bytes);
    heads.to = OP_HEADS_VALUES;
    if (!s->shared)
        heads_in_windows(c->rec, v_view, &heads, s->n_tokens, window_bytes);
    check_submit(c);

    const float *all_k = widen_cache(c, check_read(c, keys), s->type, n_cache);
    const float *all_v = widen_cache(c, check_read(c, values), s->type, n_cache);
    for (uint32_t t = 0; all_k && all_v && t < s->n_tokens; ++t) {
        const uint32_t position = s->first_position + t, slot = position % s->n_slots;
        written[slot] = true;
        memcpy(got_k + t * row, all_k + slot * row, row * sizeof *got_k);
        memcpy(got_v + t * row, all_v + slot * row, row * sizeof *got_v);
        for (uint32_t h = 0; h < s->n_heads; ++h) {
            const size_t at = t * row + (size_t)h * s->head_size;
            twin_head(want_k + at, k + at, w, theta, s->n_pairs, s->head_size, position, EPS);
            twin_head(want_v + at, (s->shared ? k : v) + at, NULL, NULL, 0, s->head_size, position, EPS);
        }
    }
    check_compare(c, got_k, want_k, n);
    check_compare(c, got_v, want_v, n);
    // Other slots keep what they held: the guard, whose upper half is a NaN in f16 as well.
    for (size_t i = 0; all_k && all_v && i < n_cache; ++i)
        if (!written[i / row] && (i % 2 == 1 || s->type == OP_CACHE_F32) && !(isnan(all_k[i]) && isnan(all_v[i])))
            c->error = INFINITY;
    op_rope_destroy(&rope);
}

// Random keys or values in the slots that the step sees, NaN in all others: a key that leaks in shows.
static void *make_cache(struct check *c, float **plain, const struct check_attention *s, uint32_t n_slots,
                        uint32_t oldest, double scale)
{
    const size_t row = (size_t)s->n_kv_heads * s->head_size;
    void *cache = check_alloc(c, n_slots * row, element_bytes(s->type));
    *plain = check_alloc(c, n_slots * row, sizeof **plain);
    if (!cache || !*plain)
        return NULL;
    for (size_t i = 0; i < n_slots * row; ++i)
        (*plain)[i] = NAN;
    for (uint32_t position = oldest; position < s->first_position + s->n_tokens; ++position)
        for (size_t i = 0; i < row; ++i)
            (*plain)[position % n_slots * row + i] = check_random_normal(c) * (float)scale;
    for (size_t i = 0; i < n_slots * row; ++i) {
        if (s->type == OP_CACHE_F32) {
            ((float *)cache)[i] = (*plain)[i];
        } else {
            ((uint16_t *)cache)[i] = check_f16((*plain)[i]);
            (*plain)[i] = check_from_f16(((uint16_t *)cache)[i]);
        }
    }
    return cache;
}

// Keys and values of one KV head in order of position, for the twin.
struct history {
    float *keys, *values;
};

static void attend_row(double *want, const struct check_attention *s, const float *q, const struct history *cache,
                       const struct history *own, uint32_t n_slots, uint32_t token, uint32_t head)
{
    const uint32_t position = s->first_position + token, kv_head = head / (s->n_heads / s->n_kv_heads);
    const uint32_t first = s->window > 0 && position + 1 > s->window ? position + 1 - s->window : 0;
    const uint32_t n_keys = position + 1 - first, size = s->head_size;
    for (uint32_t i = 0; i < n_keys; ++i) {
        const size_t at = ((size_t)((first + i) % n_slots) * s->n_kv_heads + kv_head) * size;
        memcpy(own->keys + (size_t)i * size, cache->keys + at, size * sizeof *own->keys);
        memcpy(own->values + (size_t)i * size, cache->values + at, size * sizeof *own->values);
    }
    twin_attend(want, q + ((size_t)token * s->n_heads + head) * size, own->keys, own->values, size, n_keys, size);
}

void check_attention(struct check *c, const void *shape)
{
    const struct check_attention *s = shape;
    const uint32_t end = s->first_position + s->n_tokens, size = s->head_size;
    const uint32_t n_slots = s->n_slots > 0 ? s->n_slots : s->window > 0 ? s->window + s->n_tokens - 1 : end;
    const uint32_t oldest = s->window > 0 && s->first_position + 1 > s->window ? s->first_position + 1 - s->window : 0;
    const size_t n = (size_t)s->n_tokens * s->n_heads * size;
    c->bound = 1e-5;

    const double score_scale = s->score_scale > 0 ? s->score_scale : 2;
    const float *q = check_random(c, n, score_scale / sqrt(size));
    struct history plain = { 0 };
    const struct history own = { check_alloc(c, (size_t)end * size, 4), check_alloc(c, (size_t)end * size, 4) };
    const void *keys = make_cache(c, &plain.keys, s, n_slots, oldest, 1);
    const void *values = make_cache(c, &plain.values, s, n_slots, oldest, 1);
    if (!q || !keys || !values || !own.keys || !own.values)
        return;
    const uint64_t cache_bytes = (uint64_t)n_slots * s->n_kv_heads * size * element_bytes(s->type);
    const struct gpu_view keys_view = check_input(c, keys, cache_bytes),
                          values_view = check_input(c, values, cache_bytes);
    const struct op_cache cache = { keys_view.buffer, values_view.buffer, s->type, n_slots, s->n_kv_heads, size };
    const struct gpu_view q_view = check_input(c, q, n * sizeof *q), y = check_output(c, n * sizeof *q);
    const struct gpu_view step = check_step(c, s->first_position);
    if (c->status != KARAT_OK)
        return;

    const struct op_attention_shape op = { s->n_tokens, s->n_heads, s->window,
                                           s->last_position > 0 ? s->last_position : end - 1 };
    struct attention_limits limits = attention_limits_of(c->device);
    if (s->window_bytes > 0)
        limits.window_bytes = s->window_bytes;
    if (s->lanes > 0) {
        limits.cpu = limits.wide = false;
        limits.lanes = s->lanes < limits.subgroup_size ? s->lanes : limits.subgroup_size;
        limits.subgroup_size = s->lanes == 4 ? 16 : 32; // as Intel has them, as others have
    }
    const struct gpu_view counters = check_counters(c);
    const struct gpu_view scratch = check_output(c, attention_scratch_bytes(&limits, s->n_tokens, s->n_heads, size));
    if (c->status != KARAT_OK)
        return;
    attention_record(c->rec, y, q_view, &cache, step, scratch, counters, &op, &limits);
    check_submit(c);
    check_read(c, scratch); // for its guard
    check_counted(c, counters);

    // All rows of a few tokens; the twin would take minutes for every token of a long prompt.
    const float *got = check_read(c, y);
    const size_t row = (size_t)s->n_heads * size;
    double *want = check_alloc(c, row, sizeof *want);
    const uint32_t stride = s->n_tokens > 12 ? s->n_tokens / 6 + 1 : 1;
    for (uint32_t i = 0; got && want && c->status == KARAT_OK; ++i) {
        const uint32_t token = i * stride < s->n_tokens ? i * stride : s->n_tokens - 1;
        for (uint32_t head = 0; head < s->n_heads; ++head)
            attend_row(want + (size_t)head * size, s, q, &plain, &own, n_slots, token, head);
        check_compare(c, got + token * row, want, row);
        if (token == s->n_tokens - 1)
            break;
    }
    for (size_t i = 0; got && i < n; ++i) // tokens without a twin have at least finite results
        if (!isfinite(got[i]))
            c->error = INFINITY;
}
