// ops/linear.c -- products with weights, of rows or of routed pairs.
#include "ops/linear.h"

#include "ops/choose.h"
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "shared/embed.h"
#include "shared/mat_mul_cpu.h"

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value > 0 ? value : fallback;
}

struct mat_vec_params linear_params(const struct op_weight *w, const struct op_segment *segment)
{
    return (struct mat_vec_params){
        .w_low = segment ? (uint32_t)segment->address : 0,
        .w_high = segment ? (uint32_t)(segment->address >> 32) : 0,
        .row_bytes = w->row_bytes,
        .n_rows = segment ? segment->n_rows : w->n_rows,
        .n_groups = w->n_cols / 32,
        .x_divisor = 1,
    };
}

uint64_t linear_bytes(const struct op_weight *w, uint64_t n_rows, uint64_t n_x, uint64_t n_y)
{
    return n_rows * w->row_bytes + sizeof(float) * (n_x * w->n_cols + n_y * n_rows);
}

uint64_t linear_experts_bytes(const struct op_weight *w, uint64_t n_rows, uint64_t n_pairs, uint64_t n_x, uint64_t n_y)
{
    const uint64_t n_planes = n_pairs < w->n_planes ? n_pairs : w->n_planes;
    return n_planes * n_rows * w->row_bytes + sizeof(float) * (n_x * w->n_cols + n_y * n_rows);
}

// The parameters of any product: mat_mul_cpu.comp wants to know where x is, the others end before that.
static struct mat_mul_cpu_params params_with_x(const struct mat_vec_params *product, struct gpu_view x)
{
    const uint64_t address = rows_address(x);
    return (struct mat_mul_cpu_params){ .product = *product,
                                        .x_low = (uint32_t)address,
                                        .x_high = (uint32_t)(address >> 32) };
}

// Rows [first, first + n) of x and y against all segments of the weight.
static void record_tokens(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
                          const struct linear_choice *choice, const struct op_linear_shape *shape)
{
    for (uint32_t s = 0; s < w->n_segments; ++s) {
        const struct op_segment *segment = &w->segments[s];
        struct mat_vec_params params = linear_params(w, segment);
        params.n_tokens = shape->n_tokens;
        params.x_stride = shape->x_stride;
        params.y_stride = shape->y_stride;
        params.y_offset = shape->y_offset + segment->first_row;
        const struct mat_mul_cpu_params all = params_with_x(&params, x);
        gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                     .desc = &kernels[kernel_of(choice->kernel, w->type)],
                                     .spec = choice->spec,
                                     .buffers = { [MAT_VEC_X] = x, [MAT_VEC_Y] = y },
                                     .params = &all,
                                     .grid = { rows_div_up(segment->n_rows, choice->rows_per_group),
                                               rows_div_up(params.n_tokens, choice->cols_per_group), 1 },
                                     .work = (uint64_t)segment->n_rows * w->n_cols * params.n_tokens,
                                     .bytes = linear_bytes(w, segment->n_rows, params.n_tokens, params.n_tokens),
                                     .label = w->label ? w->label : "linear",
                                 });
    }
}

struct linear_choice linear_choose(const struct gpu_plan *plan, const struct op_weight *w, uint32_t n_tokens)
{
    struct gpu_plan allowed = *plan;
    if (choose_keeps_f32(w->type, w->n_rows))
        allowed.tier = GPU_TIER_BASE;
    return choose_linear(&allowed, w->n_cols, n_tokens);
}

void linear_record(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                   const struct op_weight *w, const struct op_linear_shape *shape)
{
    struct op_linear_shape part = *shape;
    part.x_stride = or_default(shape->x_stride, w->n_cols);
    part.y_stride = or_default(shape->y_stride, w->n_rows);

    // The scores of a long prompt are larger than one binding may be.
    const uint64_t x_bytes = (uint64_t)part.x_stride * sizeof(float), y_bytes = (uint64_t)part.y_stride * sizeof(float);
    const uint32_t window = rows_per_window(plan, x_bytes > y_bytes ? x_bytes : y_bytes);
    for (uint32_t first = 0; first < shape->n_tokens; first += window) {
        part.n_tokens = rows_min(window, shape->n_tokens - first);
        const struct linear_choice choice = linear_choose(plan, w, part.n_tokens);
        record_tokens(rec, rows_view(y, first * y_bytes, part.n_tokens * y_bytes),
                      rows_view(x, first * x_bytes, part.n_tokens * x_bytes), w, &choice, &part);
    }
}

void op_linear(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
               const struct op_linear_shape *shape)
{
    linear_record(rec, gpu_recorder_plan(rec), y, x, w, shape);
}

void linear_record_experts(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                           const struct op_weight *w, const struct op_route *route,
                           const struct op_experts_shape *shape)
{
    const uint32_t n_pairs = shape->n_tokens * route->n_used;
    const bool direct = choose_direct(plan, shape->n_tokens, route->n_experts, route->n_used);
    const uint32_t n_tiles = choose_plan_n_tiles(plan, shape->n_tokens, route->n_experts, route->n_used);
    const uint32_t tile_pairs = choose_plan_tile_pairs(plan, shape->n_tokens, route->n_experts, route->n_used);
    const struct linear_choice choice =
        direct ? choose_pairs(plan, w->n_cols, false) : choose_experts(plan, w->n_cols, tile_pairs);
    struct mat_vec_params params = linear_params(w, NULL);
    params.w_low = shape->first_row * w->row_bytes;
    params.n_rows = or_default(shape->n_rows, w->n_rows);
    params.x_stride = w->n_cols;
    params.y_stride = or_default(shape->y_stride, params.n_rows);
    params.y_offset = shape->y_offset;
    params.x_divisor = shape->x_per_pair ? 1 : route->n_used;
    const struct mat_mul_cpu_params all = params_with_x(&params, x);
    gpu_record_dispatch(
        rec, &(struct gpu_dispatch){
                 .desc = &kernels[kernel_of(choice.kernel, w->type)],
                 .spec = choice.spec,
                 .buffers = { [MAT_VEC_X] = x,
                              [MAT_VEC_Y] = y,
                              [MAT_VEC_ORDER] = direct ? route->ids : route->order,
                              [MAT_VEC_TILES] = direct ? route->ids : route->tiles,
                              [MAT_VEC_PLANES] = w->planes,
                              [MAT_VEC_PLANES2] = w->planes },
                 .params = &all,
                 .grid = { rows_div_up(params.n_rows, choice.rows_per_group), direct ? n_pairs : n_tiles, 1 },
                 .work = (uint64_t)params.n_rows * w->n_cols * n_pairs,
                 .bytes = linear_experts_bytes(w, params.n_rows, n_pairs, n_pairs / params.x_divisor, n_pairs),
                 .label = w->label ? w->label : "linear_experts",
             });
}

void op_linear_experts(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
                       const struct op_route *route, const struct op_experts_shape *shape)
{
    linear_record_experts(rec, gpu_recorder_plan(rec), y, x, w, route, shape);
}

// ------------------------------------------------------------------------------------------------ gated

void linear_record_gated(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y,
                         struct gpu_view scratch, struct gpu_view x, const struct op_weight *gate,
                         const struct op_weight *up, uint32_t n_tokens)
{
    struct linear_choice choice;
    const uint32_t n_ff = gate->n_rows;
    const bool alike = gate->type == up->type && gate->n_segments == 1 && up->n_segments == 1;
    if (!alike || !choose_gated(&choice, plan, gate->n_cols, n_tokens)) {
        struct op_linear_shape half = { .n_tokens = n_tokens, .y_stride = 2 * n_ff };
        linear_record(rec, plan, scratch, x, gate, &half);
        half.y_offset = n_ff;
        linear_record(rec, plan, scratch, x, up, &half);
        op_gelu_mul(rec, y, scratch, n_tokens, n_ff);
        return;
    }
    struct mat_vec_params params = linear_params(gate, &gate->segments[0]);
    params.w2_low = (uint32_t)up->segments[0].address;
    params.w2_high = (uint32_t)(up->segments[0].address >> 32);
    params.n_tokens = n_tokens;
    params.x_stride = gate->n_cols;
    params.y_stride = n_ff;
    gpu_record_dispatch(
        rec, &(struct gpu_dispatch){
                 .desc = &kernels[kernel_of(choice.kernel, gate->type)],
                 .spec = choice.spec,
                 .buffers = { [MAT_VEC_X] = x, [MAT_VEC_Y] = y },
                 .params = &params,
                 .grid = { rows_div_up(n_ff, choice.rows_per_group), rows_div_up(n_tokens, choice.cols_per_group), 1 },
                 .work = 2ull * n_ff * gate->n_cols * n_tokens,
                 .bytes = linear_bytes(gate, n_ff, n_tokens, n_tokens) + linear_bytes(up, n_ff, 0, 0),
                 .label = gate->label ? gate->label : "linear",
             });
}

void op_linear_gated(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view scratch, struct gpu_view x,
                     const struct op_weight *gate, const struct op_weight *up, uint32_t n_tokens)
{
    linear_record_gated(rec, gpu_recorder_plan(rec), y, scratch, x, gate, up, n_tokens);
}

void linear_record_experts_gated(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y,
                                 struct gpu_view scratch, struct gpu_view x, const struct op_weight *gate,
                                 const struct op_weight *up, const struct op_route *route, uint32_t n_tokens)
{
    const uint32_t n_ff = gate->n_rows, n_pairs = n_tokens * route->n_used;
    struct linear_choice choice;
    if (gate->type != up->type || !choose_direct(plan, n_tokens, route->n_experts, route->n_used) ||
        !choose_gated(&choice, plan, gate->n_cols, 1)) {
        struct op_experts_shape half = { .n_tokens = n_tokens, .y_stride = 2 * n_ff };
        linear_record_experts(rec, plan, scratch, x, gate, route, &half);
        half.y_offset = n_ff;
        linear_record_experts(rec, plan, scratch, x, up, route, &half);
        op_gelu_mul(rec, y, scratch, n_pairs, n_ff);
        return;
    }
    choice = choose_pairs(plan, gate->n_cols, true);
    struct mat_vec_params params = linear_params(gate, NULL);
    params.x_stride = gate->n_cols;
    params.y_stride = n_ff;
    params.x_divisor = route->n_used;
    gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                 .desc = &kernels[kernel_of(choice.kernel, gate->type)],
                                 .spec = choice.spec,
                                 .buffers = { [MAT_VEC_X] = x,
                                              [MAT_VEC_Y] = y,
                                              [MAT_VEC_ORDER] = route->ids,
                                              [MAT_VEC_TILES] = route->ids,
                                              [MAT_VEC_PLANES] = gate->planes,
                                              [MAT_VEC_PLANES2] = up->planes },
                                 .params = &params,
                                 .grid = { rows_div_up(n_ff, choice.rows_per_group), n_pairs, 1 },
                                 .work = 2ull * n_ff * gate->n_cols * n_pairs,
                                 .bytes = linear_experts_bytes(gate, n_ff, n_pairs, n_tokens, n_pairs) +
                                          linear_experts_bytes(up, n_ff, n_pairs, 0, 0),
                                 .label = gate->label ? gate->label : "linear_experts",
                             });
}

void op_experts_gated(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view scratch, struct gpu_view x,
                      const struct op_weight *gate, const struct op_weight *up, const struct op_route *route,
                      uint32_t n_tokens)
{
    linear_record_experts_gated(rec, gpu_recorder_plan(rec), y, scratch, x, gate, up, route, n_tokens);
}

// Rows and numbers of columns that reach every clause of choose.c, on any device.
static const uint32_t list_widths[] = { 256, 512, 2816 }, list_tokens[] = { 1, 2, 4, 8, 16, 32, 64, 65, 1024 };

static bool list_format(enum qtype type, const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t largest_tile = choose_plan_tile_pairs(plan, 1u << 16, 128, 8);
    struct linear_choice seen[2 * COUNT(list_widths) * COUNT(list_tokens)];
    size_t n_seen = 0;
    for (size_t i = 0; i < 2 * COUNT(list_widths) * COUNT(list_tokens); ++i) {
        const uint32_t n_cols = list_widths[i / 2 % COUNT(list_widths)];
        const uint32_t n_tokens = list_tokens[i / 2 / COUNT(list_widths)];
        if (i % 2 == 1 && n_tokens > largest_tile)
            continue;
        const struct linear_choice choice =
            i % 2 == 0 ? choose_linear(plan, n_cols, n_tokens) : choose_experts(plan, n_cols, n_tokens);
        size_t k = 0;
        while (k < n_seen && memcmp(&seen[k], &choice, sizeof choice) != 0)
            ++k;
        if (k < n_seen)
            continue;
        seen[n_seen++] = choice;
        if (!visit(user, kernel_of(choice.kernel, type), choice.spec))
            return false;
    }
    return true;
}

bool kernel_list_linear(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t embed_spec[EMBED_N_SPEC] = { [EMBED_WG_SIZE] = EMBED_LANES };
    for (int type = 0; type < QTYPE_COUNT; ++type)
        if (!visit(user, kernel_of(KERNEL_EMBED, (enum qtype)type), embed_spec) ||
            !list_format((enum qtype)type, plan, visit, user))
            return false;
    return true;
}
