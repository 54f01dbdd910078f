// ops/linear.c -- products with weights, of rows or of routed pairs.
#include "ops/linear.h"

#include "ops/choose.h"
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "shared/embed.h"
#include "shared/mat_vec.h"

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value > 0 ? value : fallback;
}

static struct mat_vec_params params_of(const struct op_weight *w)
{
    return (struct mat_vec_params){
        .row_bytes = w->row_bytes,
        .n_groups = w->n_cols / 32,
        .x_divisor = 1,
    };
}

// Rows [first, first + n) of x and y against all segments of the weight.
static void record_tokens(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
                          const struct linear_choice *choice, struct mat_vec_params params)
{
    const uint32_t y_offset = params.y_offset;
    for (uint32_t s = 0; s < w->n_segments; ++s) {
        const struct op_segment *segment = &w->segments[s];
        params.w_low = (uint32_t)segment->address;
        params.w_high = (uint32_t)(segment->address >> 32);
        params.n_rows = segment->n_rows;
        params.y_offset = y_offset + segment->first_row;
        gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                     .desc = &kernels[kernel_of(choice->kernel, w->type)],
                                     .spec = choice->spec,
                                     .buffers = { [MAT_VEC_X] = x, [MAT_VEC_Y] = y },
                                     .params = &params,
                                     .grid = { rows_div_up(segment->n_rows, choice->rows_per_group),
                                               rows_div_up(params.n_tokens, choice->cols_per_group), 1 },
                                     .work = (uint64_t)segment->n_rows * w->n_cols * params.n_tokens,
                                     .label = "linear",
                                 });
    }
}

void linear_record(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                   const struct op_weight *w, const struct op_linear_shape *shape)
{
    struct mat_vec_params params = params_of(w);
    params.x_stride = or_default(shape->x_stride, w->n_cols);
    params.y_stride = or_default(shape->y_stride, w->n_rows);
    params.y_offset = shape->y_offset;

    // The scores of a long prompt are larger than one binding may be.
    const uint64_t x_bytes = (uint64_t)params.x_stride * sizeof(float),
                   y_bytes = (uint64_t)params.y_stride * sizeof(float);
    const uint32_t window = rows_per_window(plan, x_bytes > y_bytes ? x_bytes : y_bytes);
    for (uint32_t first = 0; first < shape->n_tokens; first += window) {
        params.n_tokens = rows_min(window, shape->n_tokens - first);
        const struct linear_choice choice = choose_linear(plan, w->n_cols, params.n_tokens);
        record_tokens(rec, rows_view(y, first * y_bytes, params.n_tokens * y_bytes),
                      rows_view(x, first * x_bytes, params.n_tokens * x_bytes), w, &choice, params);
    }
}

void op_linear(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
               const struct op_linear_shape *shape)
{
    linear_record(rec, gpu_device_plan(gpu_recorder_device(rec)), y, x, w, shape);
}

void linear_record_experts(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                           const struct op_weight *w, const struct op_route *route,
                           const struct op_experts_shape *shape)
{
    const uint32_t n_pairs = shape->n_tokens * route->n_used;
    const uint32_t n_tiles = choose_plan_n_tiles(plan, shape->n_tokens, route->n_experts, route->n_used);
    const uint32_t tile_pairs = choose_plan_tile_pairs(plan, shape->n_tokens, route->n_experts, route->n_used);
    const struct linear_choice choice = choose_experts(plan, w->n_cols, tile_pairs);
    struct mat_vec_params params = params_of(w);
    params.n_rows = w->n_rows;
    params.x_stride = w->n_cols;
    params.y_stride = or_default(shape->y_stride, w->n_rows);
    params.y_offset = shape->y_offset;
    params.x_divisor = shape->x_per_pair ? 1 : route->n_used;
    gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                 .desc = &kernels[kernel_of(choice.kernel, w->type)],
                                 .spec = choice.spec,
                                 .buffers = { [MAT_VEC_X] = x,
                                              [MAT_VEC_Y] = y,
                                              [MAT_VEC_ORDER] = route->order,
                                              [MAT_VEC_TILES] = route->tiles,
                                              [MAT_VEC_PLANES] = w->planes },
                                 .params = &params,
                                 .grid = { rows_div_up(w->n_rows, choice.rows_per_group), n_tiles, 1 },
                                 .work = (uint64_t)w->n_rows * w->n_cols * n_pairs,
                                 .label = "linear_experts",
                             });
}

void op_linear_experts(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
                       const struct op_route *route, const struct op_experts_shape *shape)
{
    linear_record_experts(rec, gpu_device_plan(gpu_recorder_device(rec)), y, x, w, route, shape);
}

// Rows and numbers of columns that reach every clause of choose.c, on any device.
static const uint32_t list_widths[] = { 256, 512, 2816 }, list_tokens[] = { 1, 2, 4, 8, 16, 32, 64 };

static bool list_format(enum qtype type, const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    struct linear_choice seen[2 * COUNT(list_widths) * COUNT(list_tokens)];
    size_t n_seen = 0;
    for (size_t i = 0; i < 2 * COUNT(list_widths) * COUNT(list_tokens); ++i) {
        const uint32_t n_cols = list_widths[i / 2 % COUNT(list_widths)];
        const uint32_t n_tokens = list_tokens[i / 2 / COUNT(list_widths)];
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
