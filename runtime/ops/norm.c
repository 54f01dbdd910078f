// ops/norm.c -- norms of rows, the sum that ends a branch, and the product of a gated layer.
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "ops/steps.h"
#include "shared/gelu_mul.h"
#include "shared/rms_norm.h"

static const struct gpu_plan *plan_of(const struct gpu_recorder *rec)
{
    return gpu_recorder_plan(rec);
}

void op_rms_norm(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_vector *w,
                 uint32_t n_rows, uint32_t n_cols, float eps)
{
    const struct gpu_plan *plan = plan_of(rec);
    const uint64_t row_bytes = (uint64_t)n_cols * sizeof(float);
    const uint32_t window = rows_per_window(plan, row_bytes);
    for (uint32_t row = 0; row < n_rows; row += window) {
        const uint32_t n = rows_min(window, n_rows - row);
        const struct gpu_view part = rows_view(x, row * row_bytes, n * row_bytes);
        gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                     .desc = &kernels[KERNEL_RMS_NORM],
                                     .spec =
                                         (const uint32_t[RMS_NORM_N_SPEC]){
                                             [RMS_NORM_WG_SIZE] = rows_group_size(plan, n_cols / 4),
                                             [RMS_NORM_HAS_WEIGHT] = w != NULL,
                                         },
                                     .buffers = { [RMS_NORM_X] = part,
                                                  [RMS_NORM_W] = w ? w->view : part,
                                                  [RMS_NORM_Y] = rows_view(y, row * row_bytes, n * row_bytes) },
                                     .params = &(struct rms_norm_params){ .n_cols = n_cols, .eps = eps },
                                     .grid = { n, 1, 1 },
                                     .work = (uint64_t)n * n_cols * 2,
                                     .label = "rms_norm",
                                 });
    }
}

void step_add_norm(struct gpu_view *buffers, uint32_t *spec, struct add_norm_params *params, struct gpu_view x,
                   const struct op_add_norm *add, uint32_t first_row, uint32_t n_rows)
{
    const uint64_t row_bytes = (uint64_t)add->w->n * sizeof(float), at = first_row * row_bytes;
    const uint64_t size_bytes = n_rows * row_bytes;
    buffers[ADD_NORM_X] = rows_view(x, at, size_bytes);
    buffers[ADD_NORM_R] = rows_view(add->r, at, size_bytes);
    buffers[ADD_NORM_W] = add->w->view;
    buffers[ADD_NORM_SCALE] = add->scale ? add->scale->view : add->w->view;
    buffers[ADD_NORM_Y] = rows_view(add->y, at, size_bytes);
    for (uint32_t i = 0; i < OP_NORMS_MAX; ++i) { // what is not there is neither read nor written
        const bool is_there = i < add->n_norms;
        buffers[ADD_NORM_W1 + i] = is_there ? add->norms[i].w->view : add->w->view;
        buffers[ADD_NORM_N1 + i] = rows_view(is_there ? add->norms[i].y : add->y, at, size_bytes);
    }
    spec[ADD_NORM_HAS_SCALE] = add->scale != NULL;
    spec[ADD_NORM_N_NORMS] = add->n_norms;
    *params = (struct add_norm_params){ .n_cols = add->w->n, .eps = add->eps };
}

void op_add_norm(struct gpu_recorder *rec, struct gpu_view x, const struct op_add_norm *add, uint32_t n_rows)
{
    const struct gpu_plan *plan = plan_of(rec);
    const uint32_t n_cols = add->w->n, window = rows_per_window(plan, (uint64_t)n_cols * sizeof(float));
    for (uint32_t row = 0; row < n_rows; row += window) {
        const uint32_t n = rows_min(window, n_rows - row);
        uint32_t spec[1 + ADD_NORM_N_SPEC] = { rows_group_size(plan, n_cols / 4) };
        struct add_norm_params params;
        struct gpu_dispatch dispatch = {
            .desc = &kernels[KERNEL_ADD_NORM],
            .spec = spec,
            .params = &params,
            .grid = { n, 1, 1 },
            .work = (uint64_t)n * n_cols * (3 + add->n_norms),
            .label = "add_norm",
        };
        step_add_norm(dispatch.buffers, spec + 1, &params, x, add, row, n);
        gpu_record_dispatch(rec, &dispatch);
    }
}

void op_gelu_mul(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view gu, uint32_t n_rows, uint32_t n_cols)
{
    const struct gpu_plan *plan = plan_of(rec);
    const uint64_t row_bytes = (uint64_t)n_cols * sizeof(float);
    const uint32_t window = rows_per_window(plan, 2 * row_bytes);
    for (uint32_t row = 0; row < n_rows; row += window) {
        const uint32_t n = rows_min(window, n_rows - row), n_fours = n * (n_cols / 4);
        const uint32_t per_group = plan->cpu ? rows_per_group(plan, n_fours, 512) : 256;
        gpu_record_dispatch(
            rec,
            &(struct gpu_dispatch){
                .desc = &kernels[KERNEL_GELU_MUL],
                .spec = (const uint32_t[GELU_MUL_N_SPEC]){ [GELU_MUL_WG_SIZE] = rows_group_size(plan, 256) },
                .buffers = { [GELU_MUL_GU] = rows_view(gu, row * 2 * row_bytes, n * 2 * row_bytes),
                             [GELU_MUL_Y] = rows_view(y, row * row_bytes, n * row_bytes) },
                .params = &(struct gelu_mul_params){ .n_cols = n_cols, .n_fours = n_fours, .per_group = per_group },
                .grid = { rows_div_up(n_fours, per_group), 1, 1 },
                .work = (uint64_t)n * n_cols * 16,
                .label = "gelu_mul",
            });
    }
}

bool kernel_list_norm(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    static const uint32_t widths[] = { 64, 256, 2816, 5376 };
    for (size_t i = 0; i < COUNT(widths); ++i) {
        const uint32_t size = rows_group_size(plan, widths[i] / 4);
        if (i > 0 && size == rows_group_size(plan, widths[i - 1] / 4))
            continue;
        for (uint32_t flag = 0; flag < 2; ++flag)
            if (!visit(user, KERNEL_RMS_NORM, (uint32_t[]){ size, flag }))
                return false;
        for (uint32_t n_norms = 0; n_norms <= OP_NORMS_MAX; ++n_norms)
            if (!visit(user, KERNEL_ADD_NORM, (uint32_t[]){ size, n_norms < 2, n_norms }))
                return false;
    }
    const uint32_t flat = rows_group_size(plan, 256);
    return visit(user, KERNEL_GELU_MUL, &flat);
}
