// ops/check_linear.c -- checks of products and of the store that holds their weights.
#include "ops/check_linear.h"

#include <math.h>

#include "ops/choose.h"
#include "ops/linear.h"
#include "ops/store.h"
#include "ops/twins.h"
#include "ops/twins_network.h"
#include "shared/mat_mul_cm.h"

// ------------------------------------------------------------------------------------------------ weights

// Where the halves of a block are; random bits there would be NaN or enormous now and then.
static const struct {
    enum qtype type;
    uint32_t n_halves, at[2];
} block_halves[] = {
    { QTYPE_Q8_0, 1, { 0 } },      { QTYPE_Q4_0, 1, { 0 } },    { QTYPE_Q4_1, 2, { 0, 2 } }, { QTYPE_Q5_0, 1, { 0 } },
    { QTYPE_Q5_1, 2, { 0, 2 } },   { QTYPE_Q4_K, 2, { 0, 2 } }, { QTYPE_Q5_K, 2, { 0, 2 } }, { QTYPE_Q6_K, 1, { 208 } },
    { QTYPE_Q2_K, 2, { 80, 82 } }, { QTYPE_Q3_K, 1, { 108 } },  { QTYPE_IQ4_NL, 1, { 0 } },  { QTYPE_IQ4_XS, 1, { 0 } },
    { QTYPE_F16, 1, { 0 } },
};

static void put_u16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static void random_block(struct check *c, uint8_t *block, enum qtype type)
{
    const uint32_t block_bytes = qtypes[type].block_bytes;
    for (uint32_t i = 0; i < block_bytes; ++i)
        block[i] = (uint8_t)check_random_below(c, 256);
    if (type == QTYPE_F32 || type == QTYPE_BF16) {
        const float value = check_random_normal(c);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (type == QTYPE_F32)
            put_u16(block, bits);
        put_u16(block + block_bytes - 2, bits >> 16);
    } else if (type == QTYPE_MXFP4) {
        block[0] = (uint8_t)(120 + check_random_below(c, 8));
    }
    for (size_t i = 0; i < COUNT(block_halves); ++i)
        for (uint32_t k = 0; k < block_halves[i].n_halves && block_halves[i].type == type; ++k)
            put_u16(block + block_halves[i].at[k], qtype_float_to_half(0.05f * check_random_normal(c)));
}

// Random blocks: enough distinct ones, repeated in an order that no period of a kernel matches.
static uint8_t *random_tensor(struct check *c, enum qtype type, uint64_t n_weights)
{
    enum { N_DISTINCT = 997 };
    const uint64_t n_blocks = n_weights / qtypes[type].block_len;
    const uint32_t block_bytes = qtypes[type].block_bytes;
    uint8_t *blocks = check_alloc(c, n_blocks, block_bytes);
    for (uint64_t b = 0; blocks && b < n_blocks; ++b) {
        if (b < N_DISTINCT)
            random_block(c, blocks + b * block_bytes, type);
        else
            memcpy(blocks + b * block_bytes, blocks + check_random_below(c, N_DISTINCT) * block_bytes, block_bytes);
    }
    return blocks;
}

void check_store_tensor(struct check *c, struct check_stored *out, enum qtype type, uint32_t n_cols, uint32_t n_rows,
                        uint32_t n_planes, const struct op_store_item *range, uint64_t block_limit_bytes)
{
    const uint64_t n_weights = (uint64_t)n_cols * n_rows * (n_planes > 0 ? n_planes : 1);
    const uint8_t *blocks = random_tensor(c, type, n_weights);
    float *decoded = check_alloc(c, n_weights, sizeof *decoded);
    if (!blocks || !decoded)
        return;
    qtypes[type].decode(decoded, blocks, n_weights / qtypes[type].block_len);
    out->decoded = decoded;
    out->tensor = (struct tensor_info){
        .name = span_text("check"),
        .n_dims = n_planes > 0 ? 3 : 2,
        .dims = { n_cols, n_rows, n_planes > 0 ? n_planes : 1, 1 },
        .type = type,
        .data = span_of(blocks, qtype_bytes(type, n_weights)),
    };
    struct op_store_item item = *range;
    item.tensor = &out->tensor;
    item.weight = &out->weight;
    if (c->status == KARAT_OK)
        c->status = block_limit_bytes > 0
                        ? store_create_limited(&out->store, c->device, &item, 1, block_limit_bytes, &c->err)
                        : op_store_create(&out->store, c->device, &item, 1, &c->err);
    if (c->status == KARAT_OK)
        c->status = op_store_load(out->store, NULL, NULL, NULL, &c->err);
}

// What a product's twin computes with. Cooperative matrices hold f16: the twin rounds its operands in the same way, so
// that the bound is about the sums alone. Weights are decoded in f32, by whatever order of operations, before they are
// rounded, which tips one in some thousands to the other side.
#define BOUND_F32 1e-5
#define BOUND_F16 5e-5

static const float *rounded(struct check *c, const float *values, size_t n, float scale)
{
    const float limit = MAT_MUL_CM_HALF_MAX;
    float *out = check_alloc(c, n, sizeof *out);
    for (size_t i = 0; out && i < n; ++i) {
        const float value = values[i] / scale;
        out[i] = scale * check_from_f16(check_f16(value > limit ? limit : value < -limit ? -limit : value));
    }
    return out;
}

static void use_precision(struct check *c, enum kernel kernel, const float **w, size_t n_w, const float **x, size_t n_x)
{
    const bool is_f16 = kernel == KERNEL_MAT_MUL_CM || kernel == KERNEL_MAT_MUL_CM_EXPERTS;
    c->bound = is_f16 ? BOUND_F16 : BOUND_F32;
    if (!is_f16 || !*w || !*x)
        return;
    *w = rounded(c, *w, n_w, 1);
    *x = rounded(c, *x, n_x, MAT_MUL_CM_X_SCALE);
}

struct gpu_plan check_plan_like(const struct check *c, bool like_gpu)
{
    struct gpu_plan plan = *gpu_device_plan(c->device);
    if (like_gpu)
        plan.cpu = false;
    return plan;
}

// Picks the columns that should be written out of rows of `stride`; the others must hold what was there before.
static const float *written(struct check *c, const float *rows, uint32_t n_rows, uint32_t stride, uint32_t offset,
                            uint32_t n)
{
    float *out = check_alloc(c, (size_t)n_rows * n, sizeof *out);
    for (uint32_t r = 0; out && rows && r < n_rows; ++r) {
        const float *row = rows + (size_t)r * stride;
        memcpy(out + (size_t)r * n, row + offset, n * sizeof *out);
        for (uint32_t i = 0; i < stride; ++i)
            if ((i < offset || i >= offset + n) && !isnan(row[i]))
                c->error = INFINITY;
    }
    return rows ? out : NULL;
}

// ------------------------------------------------------------------------------------------------ checks

void check_linear(struct check *c, const void *shape)
{
    const struct check_linear_shape *s = shape;
    const uint32_t x_stride = s->n_cols + s->x_extra, y_stride = s->n_rows + s->y_extra;
    const size_t n_x = (size_t)s->n_tokens * x_stride, n_y = (size_t)s->n_tokens * y_stride;
    const struct gpu_plan plan = check_plan_like(c, s->like_gpu);
    struct check_stored stored = { 0 };
    check_store_tensor(c, &stored, s->type, s->n_cols, s->first_row + s->n_rows + s->n_more_rows, 0,
                       &(struct op_store_item){ .first_row = s->first_row, .n_rows = s->n_rows }, s->block_limit_bytes);
    const float *x = check_random(c, n_x, s->x_scale > 0 ? s->x_scale : 1), *twin_x = x, *twin_w = stored.decoded;
    use_precision(c, linear_choose(&plan, &stored.weight, s->n_tokens).kernel, &twin_w,
                  (size_t)(s->first_row + s->n_rows) * s->n_cols, &twin_x, n_x);
    double *want = check_alloc(c, (size_t)s->n_tokens * s->n_rows, sizeof *want);
    const struct gpu_view in = check_input(c, x, n_x * sizeof *x), out = check_output(c, n_y * sizeof *x);
    if (c->status == KARAT_OK) {
        linear_record(
            c->rec, &plan, out, in, &stored.weight,
            &(struct op_linear_shape){
                .n_tokens = s->n_tokens, .x_stride = x_stride, .y_stride = y_stride, .y_offset = s->y_offset });
        check_submit(c);
        twin_linear(want, twin_x, twin_w + (size_t)s->first_row * s->n_cols, s->n_tokens, s->n_rows, s->n_cols,
                    x_stride);
        check_compare(c, written(c, check_read(c, out), s->n_tokens, y_stride, s->y_offset, s->n_rows), want,
                      (size_t)s->n_tokens * s->n_rows);
    }
    op_store_destroy(stored.store);
}

void check_embed(struct check *c, const void *shape)
{
    const struct check_linear_shape *s = shape;
    const size_t n_y = (size_t)s->n_tokens * s->n_cols;
    const float scale = 53.0659966f; // the square root of 2816
    struct check_stored stored = { 0 };
    c->bound = 1e-6;
    check_store_tensor(c, &stored, s->type, s->n_cols, s->n_rows, 0, &(struct op_store_item){ 0 },
                       s->block_limit_bytes);
    uint32_t *ids = check_alloc(c, s->n_tokens, sizeof *ids);
    double *want = check_alloc(c, n_y, sizeof *want);
    for (uint32_t t = 0; ids && t < s->n_tokens; ++t)
        ids[t] = t == 0 ? s->n_rows - 1 : check_random_below(c, s->n_rows);
    const struct gpu_view in = check_input(c, ids, s->n_tokens * sizeof *ids);
    const struct gpu_view out = check_output(c, n_y * sizeof(float));
    if (c->status == KARAT_OK) {
        op_embed(c->rec, out, in, &stored.weight, s->n_tokens, scale);
        check_submit(c);
        twin_embed(want, ids, stored.decoded, s->n_tokens, s->n_cols, (double)scale);
        check_compare(c, check_read(c, out), want, n_y);
    }
    op_store_destroy(stored.store);
}

// Pairs sorted by expert and cut into tiles, as op_route() leaves them.
static void sort_pairs(struct check *c, const struct gpu_plan *plan, struct op_route *route, const uint32_t *ids,
                       uint32_t n_tokens)
{
    const uint32_t n_pairs = n_tokens * route->n_used;
    const uint32_t tile_pairs = choose_plan_tile_pairs(plan, n_tokens, route->n_experts, route->n_used);
    const uint32_t n_tiles = choose_plan_n_tiles(plan, n_tokens, route->n_experts, route->n_used);
    uint32_t *order = check_alloc(c, n_pairs, sizeof *order);
    uint32_t(*tiles)[4] = check_alloc(c, n_tiles, sizeof *tiles);
    uint32_t n_sorted = 0, n_cut = 0;
    for (uint32_t e = 0; order && tiles && e < route->n_experts; ++e) {
        const uint32_t first = n_sorted;
        for (uint32_t pair = 0; pair < n_pairs; ++pair)
            if (ids[pair] == e)
                order[n_sorted++] = pair;
        for (uint32_t at = first; at < n_sorted; at += tile_pairs, ++n_cut) {
            if (n_cut == n_tiles) {
                c->error = INFINITY;
                return;
            }
            tiles[n_cut][0] = e;
            tiles[n_cut][1] = at;
            tiles[n_cut][2] = n_sorted - at < tile_pairs ? n_sorted - at : tile_pairs;
        }
    }
    route->ids = check_input(c, ids, n_pairs * sizeof *ids); // few tokens go by these alone
    route->order = check_input(c, order, n_pairs * sizeof *order);
    route->tiles = check_input(c, tiles, n_tiles * sizeof *tiles);
}

// Some experts are liked more, as in life, so that tiles come full, partly full and not at all.
static const uint32_t *random_route(struct check *c, const struct gpu_plan *plan, struct op_route *route,
                                    uint32_t n_tokens)
{
    const uint32_t n_pairs = n_tokens * route->n_used;
    uint32_t *ids = check_alloc(c, n_pairs, sizeof *ids);
    for (uint32_t pair = 0; ids && pair < n_pairs; ++pair)
        ids[pair] = check_random_below(c, check_random_below(c, route->n_experts) + 1);
    if (ids)
        sort_pairs(c, plan, route, ids, n_tokens);
    return ids;
}

void check_experts(struct check *c, const void *shape)
{
    const struct check_experts_shape *s = shape;
    const uint32_t n_pairs = s->n_tokens * s->n_used, n_x_rows = s->x_per_pair ? n_pairs : s->n_tokens;
    const uint32_t y_stride = s->n_rows + s->y_extra;
    const size_t n_x = (size_t)n_x_rows * s->n_cols, n_y = (size_t)n_pairs * y_stride;
    const struct gpu_plan plan = check_plan_like(c, s->like_gpu);
    struct op_route route = { .n_experts = s->n_experts, .n_used = s->n_used };
    struct check_stored stored = { 0 };
    const uint32_t plane_rows = s->first_row + s->n_rows + s->n_more_rows;
    check_store_tensor(c, &stored, s->type, s->n_cols, plane_rows, s->n_experts,
                       &(struct op_store_item){ .first_row = s->first_row, .n_rows = s->n_rows }, s->block_limit_bytes);
    const uint32_t *ids = random_route(c, &plan, &route, s->n_tokens);
    const float *x = check_random(c, n_x, 1), *twin_x = x, *twin_w = stored.decoded;
    const uint32_t tile_pairs = choose_plan_tile_pairs(&plan, s->n_tokens, s->n_experts, s->n_used);
    use_precision(c, choose_experts(&plan, s->n_cols, tile_pairs).kernel, &twin_w,
                  (size_t)plane_rows * s->n_experts * s->n_cols, &twin_x, n_x);
    double *want = check_alloc(c, (size_t)n_pairs * s->n_rows, sizeof *want);
    const struct gpu_view in = check_input(c, x, n_x * sizeof *x), out = check_output(c, n_y * sizeof *x);
    if (c->status == KARAT_OK) {
        linear_record_experts(
            c->rec, &plan, out, in, &stored.weight, &route,
            &(struct op_experts_shape){
                .n_tokens = s->n_tokens, .x_per_pair = s->x_per_pair, .y_stride = y_stride, .y_offset = s->y_offset });
        check_submit(c);
        for (uint32_t pair = 0; pair < n_pairs; ++pair)
            twin_linear(want + (size_t)pair * s->n_rows,
                        twin_x + (size_t)(s->x_per_pair ? pair : pair / s->n_used) * s->n_cols,
                        twin_w + ((size_t)ids[pair] * plane_rows + s->first_row) * s->n_cols, 1, s->n_rows, s->n_cols,
                        s->n_cols);
        check_compare(c, written(c, check_read(c, out), n_pairs, y_stride, s->y_offset, s->n_rows), want,
                      (size_t)n_pairs * s->n_rows);
    }
    op_store_destroy(stored.store);
}

void check_experts_down(struct check *c, const void *shape)
{
    const struct check_down_shape *s = shape;
    const uint32_t n_pairs = s->n_tokens * s->n_used;
    const size_t n_x = (size_t)n_pairs * s->n_cols, n_m = (size_t)s->n_tokens * s->n_rows;
    const struct gpu_plan plan = check_plan_like(c, s->like_gpu);
    struct op_route route = { .n_experts = s->n_experts, .n_used = s->n_used };
    struct check_stored stored = { 0 };
    check_store_tensor(c, &stored, s->type, s->n_cols, s->n_rows, s->n_experts, &(struct op_store_item){ 0 }, 0);
    const uint32_t *ids = random_route(c, &plan, &route, s->n_tokens);
    const float *x = check_random(c, n_x, 1), *twin_x = x, *twin_w = stored.decoded;
    const float *weights = check_random(c, n_pairs, 1);
    const uint32_t tile_pairs = choose_plan_tile_pairs(&plan, s->n_tokens, s->n_experts, s->n_used);
    use_precision(c, choose_experts(&plan, s->n_cols, tile_pairs).kernel, &twin_w,
                  (size_t)s->n_experts * s->n_rows * s->n_cols, &twin_x, n_x);
    double *pairs = check_alloc(c, (size_t)n_pairs * s->n_rows, sizeof *pairs);
    double *want = check_alloc(c, n_m, sizeof *want);
    const struct gpu_view in = check_input(c, x, n_x * sizeof *x), out = check_output(c, n_m * sizeof *x);
    route.weights = check_input(c, weights, n_pairs * sizeof *weights);
    const uint64_t slab_bytes = (uint64_t)n_pairs * s->slab_rows * sizeof(float);
    const struct gpu_view scratch = check_output(
        c, s->slab_rows > 0 ? slab_bytes : op_experts_down_scratch_bytes(s->n_tokens, s->n_used, s->n_rows));
    if (c->status == KARAT_OK) {
        experts_down_record(c->rec, &plan, out, in, &stored.weight, &route, scratch, s->n_tokens);
        check_submit(c);
        for (uint32_t pair = 0; pair < n_pairs; ++pair)
            twin_linear(pairs + (size_t)pair * s->n_rows, twin_x + (size_t)pair * s->n_cols,
                        twin_w + (size_t)ids[pair] * s->n_rows * s->n_cols, 1, s->n_rows, s->n_cols, s->n_cols);
        twin_pair_sum(want, pairs, weights, s->n_tokens, s->n_used, s->n_rows);
        check_compare(c, check_read(c, out), want, n_m);
        check_read(c, scratch);
    }
    op_store_destroy(stored.store);
}
