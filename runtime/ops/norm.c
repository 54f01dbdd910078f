// ops/norm.c -- norms of rows, and the product of a gated layer.
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "shared/gelu_mul.h"
#include "shared/norm_add.h"
#include "shared/rms_norm.h"

static const struct gpu_plan *plan_of(const struct gpu_recorder *rec)
{
    return gpu_device_plan(gpu_recorder_device(rec));
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

void op_norm_add(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view r, struct gpu_view x,
                 const struct op_vector *w, const struct op_vector *scale, uint32_t n_rows, uint32_t n_cols, float eps)
{
    const struct gpu_plan *plan = plan_of(rec);
    const uint64_t row_bytes = (uint64_t)n_cols * sizeof(float);
    const uint32_t window = rows_per_window(plan, row_bytes);
    for (uint32_t row = 0; row < n_rows; row += window) {
        const uint32_t n = rows_min(window, n_rows - row);
        gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                     .desc = &kernels[KERNEL_NORM_ADD],
                                     .spec =
                                         (const uint32_t[NORM_ADD_N_SPEC]){
                                             [NORM_ADD_WG_SIZE] = rows_group_size(plan, n_cols / 4),
                                             [NORM_ADD_HAS_SCALE] = scale != NULL,
                                         },
                                     .buffers = { [NORM_ADD_R] = rows_view(r, row * row_bytes, n * row_bytes),
                                                  [NORM_ADD_X] = rows_view(x, row * row_bytes, n * row_bytes),
                                                  [NORM_ADD_W] = w->view,
                                                  [NORM_ADD_SCALE] = scale ? scale->view : w->view,
                                                  [NORM_ADD_Y] = rows_view(y, row * row_bytes, n * row_bytes) },
                                     .params = &(struct norm_add_params){ .n_cols = n_cols, .eps = eps },
                                     .grid = { n, 1, 1 },
                                     .work = (uint64_t)n * n_cols * 3,
                                     .label = "norm_add",
                                 });
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
    for (size_t i = 0; i < COUNT(widths); ++i)
        for (uint32_t flag = 0; flag < 2; ++flag) {
            const uint32_t spec[] = { rows_group_size(plan, widths[i] / 4), flag };
            if (i > 0 && spec[0] == rows_group_size(plan, widths[i - 1] / 4))
                continue;
            if (!visit(user, KERNEL_RMS_NORM, spec) || !visit(user, KERNEL_NORM_ADD, spec))
                return false;
        }
    const uint32_t flat = rows_group_size(plan, 256);
    return visit(user, KERNEL_GELU_MUL, &flat);
}
