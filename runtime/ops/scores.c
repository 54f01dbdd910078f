// ops/scores.c -- what happens to the scores of the vocabulary.
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "shared/softcap.h"
#include "shared/top_k.h"

#define TOP_K_MAX 64

static const struct gpu_plan *plan_of(const struct gpu_recorder *rec)
{
    return gpu_recorder_plan(rec);
}

void op_softcap(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, uint32_t n, float cap)
{
    const struct gpu_plan *plan = plan_of(rec);
    const uint32_t window = rows_per_window(plan, sizeof(float));
    for (uint32_t at = 0; at < n; at += rows_min(window, n - at)) {
        const uint32_t part = rows_min(window, n - at);
        const uint32_t per_group = plan->cpu ? rows_per_group(plan, part, 2048) : 1024;
        const uint64_t offset = (uint64_t)at * sizeof(float), size_bytes = (uint64_t)part * sizeof(float);
        gpu_record_dispatch(
            rec, &(struct gpu_dispatch){
                     .desc = &kernels[KERNEL_SOFTCAP],
                     .spec = (const uint32_t[SOFTCAP_N_SPEC]){ [SOFTCAP_WG_SIZE] = rows_group_size(plan, 256) },
                     .buffers = { [SOFTCAP_X] = rows_view(x, offset, size_bytes),
                                  [SOFTCAP_Y] = rows_view(y, offset, size_bytes) },
                     .params = &(struct softcap_params){ .n = part, .per_group = per_group, .cap = cap },
                     .grid = { rows_div_up(part, per_group), 1, 1 },
                     .work = (uint64_t)part * 16,
                     .label = "softcap",
                 });
    }
}

// Columns of the first pass are cut into at most this many chunks, whatever the device.
#define MAX_CHUNKS 64

static uint32_t count_chunks(bool cpu, uint32_t n_cols)
{
    const uint32_t chunk = cpu ? 32768 : 2048;
    return rows_min(rows_div_up(n_cols, chunk), MAX_CHUNKS);
}

uint64_t op_top_k_scratch_bytes(uint32_t n_rows, uint32_t n_cols, uint32_t k)
{
    // Ids, then values; each part begins at an aligned offset. The device's own cut may need less.
    const uint64_t part = (uint64_t)n_rows * count_chunks(false, n_cols) * k * sizeof(uint32_t);
    return 2 * ((part + 255) / 256 * 256);
}

struct selection {
    struct gpu_view x, x_ids, ids, values;
    uint32_t n_rows, n_cols, n_chunks, k;
    bool has_ids;
};

static void record_selection(struct gpu_recorder *rec, const struct selection *s)
{
    const struct gpu_plan *plan = plan_of(rec);
    const uint64_t row_bytes = (uint64_t)s->n_cols * sizeof(float);
    const uint64_t out_bytes = (uint64_t)s->n_chunks * s->k * sizeof(uint32_t);
    const uint32_t window = rows_per_window(plan, row_bytes), chunk = rows_div_up(s->n_cols, s->n_chunks);
    for (uint32_t row = 0; row < s->n_rows; row += window) {
        const uint32_t n = rows_min(window, s->n_rows - row);
        const struct gpu_view x = rows_view(s->x, row * row_bytes, n * row_bytes);
        gpu_record_dispatch(
            rec,
            &(struct gpu_dispatch){
                .desc = &kernels[KERNEL_TOP_K],
                .spec =
                    (const uint32_t[TOP_K_N_SPEC]){
                        [TOP_K_WG_SIZE] = rows_group_size(plan, chunk),
                        [TOP_K_HAS_IDS] = s->has_ids,
                    },
                .buffers = { [TOP_K_X] = x,
                             [TOP_K_X_IDS] = s->has_ids ? rows_view(s->x_ids, row * row_bytes, n * row_bytes) : x,
                             [TOP_K_IDS] = rows_view(s->ids, row * out_bytes, n * out_bytes),
                             [TOP_K_VALUES] = rows_view(s->values, row * out_bytes, n * out_bytes) },
                .params =
                    &(struct top_k_params){ .n_cols = s->n_cols, .chunk = chunk, .n_chunks = s->n_chunks, .k = s->k },
                .grid = { s->n_chunks, n, 1 },
                .work = (uint64_t)n * s->n_cols * s->k,
                .label = "top_k",
            });
    }
}

void op_top_k(struct gpu_recorder *rec, struct gpu_view ids, struct gpu_view values, struct gpu_view x,
              struct gpu_view scratch, uint32_t n_rows, uint32_t n_cols, uint32_t k)
{
    if (k < 1 || k > TOP_K_MAX || k > n_cols) {
        struct karat_error err;
        gpu_record_fail(rec,
                        status_fail(&err, KARAT_ERR_INTERNAL, "the %u largest of %u are wanted; 1 to %d are possible",
                                    k, n_cols, TOP_K_MAX),
                        &err);
        return;
    }
    struct selection s = { .x = x, .ids = ids, .values = values, .n_rows = n_rows, .n_cols = n_cols, .k = k };
    s.n_chunks = count_chunks(plan_of(rec)->cpu, n_cols);
    if (s.n_chunks > 1) {
        const uint64_t part = (uint64_t)n_rows * s.n_chunks * k * sizeof(uint32_t);
        s.ids = rows_view(scratch, 0, part);
        s.values = rows_view(scratch, (part + 255) / 256 * 256, part);
        record_selection(rec, &s);
        s = (struct selection){ .x = s.values,
                                .x_ids = s.ids,
                                .ids = ids,
                                .values = values,
                                .has_ids = true,
                                .n_rows = n_rows,
                                .n_cols = s.n_chunks * k,
                                .n_chunks = 1,
                                .k = k };
    }
    record_selection(rec, &s);
}

bool kernel_list_scores(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t size = rows_group_size(plan, 256);
    return visit(user, KERNEL_SOFTCAP, &size) && visit(user, KERNEL_TOP_K, (uint32_t[]){ size, 0 }) &&
           visit(user, KERNEL_TOP_K, (uint32_t[]){ size, 1 });
}
