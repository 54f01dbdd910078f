// ops/scores.c -- what happens to the scores of the vocabulary.
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "shared/sample.h"
#include "shared/softcap.h"
#include "shared/top_k.h"

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
    const struct op_penalties *penalties;
};

static void record_selection(struct gpu_recorder *rec, const struct selection *s)
{
    const struct gpu_plan *plan = plan_of(rec);
    const uint64_t row_bytes = (uint64_t)s->n_cols * sizeof(float);
    const uint64_t out_bytes = (uint64_t)s->n_chunks * s->k * sizeof(uint32_t);
    const uint32_t window = rows_per_window(plan, row_bytes), chunk = rows_div_up(s->n_cols, s->n_chunks);
    const struct op_penalties none = { 0 }, *penalties = s->penalties ? s->penalties : &none;
    for (uint32_t row = 0; row < s->n_rows; row += window) {
        const uint32_t n = rows_min(window, s->n_rows - row);
        const struct gpu_view x = rows_view(s->x, row * row_bytes, n * row_bytes);
        gpu_record_dispatch(
            rec, &(struct gpu_dispatch){
                     .desc = &kernels[KERNEL_TOP_K],
                     .spec =
                         (const uint32_t[TOP_K_N_SPEC]){
                             [TOP_K_WG_SIZE] = rows_group_size(plan, chunk),
                             [TOP_K_HAS_IDS] = s->has_ids,
                             [TOP_K_HAS_COUNTS] = s->penalties != NULL,
                         },
                     .buffers = { [TOP_K_X] = x,
                                  [TOP_K_X_IDS] = s->has_ids ? rows_view(s->x_ids, row * row_bytes, n * row_bytes) : x,
                                  [TOP_K_COUNTS] = s->penalties ? s->penalties->counts : x,
                                  [TOP_K_IDS] = rows_view(s->ids, row * out_bytes, n * out_bytes),
                                  [TOP_K_VALUES] = rows_view(s->values, row * out_bytes, n * out_bytes) },
                     .params = &(struct top_k_params){ .n_cols = s->n_cols,
                                                       .chunk = chunk,
                                                       .n_chunks = s->n_chunks,
                                                       .k = s->k,
                                                       .repeat = penalties->repeat,
                                                       .presence = penalties->presence,
                                                       .frequency = penalties->frequency },
                     .grid = { s->n_chunks, n, 1 },
                     .work = (uint64_t)n * s->n_cols * s->k,
                     .label = "top_k",
                 });
    }
}

void op_top_k(struct gpu_recorder *rec, struct gpu_view ids, struct gpu_view values, struct gpu_view x,
              const struct op_penalties *penalties, struct gpu_view scratch, uint32_t n_rows, uint32_t n_cols,
              uint32_t k)
{
    if (k < 1 || k > OP_TOP_K_MAX || k > n_cols) {
        struct karat_error err;
        gpu_record_fail(rec,
                        status_fail(&err, KARAT_ERR_INTERNAL, "the %u largest of %u are wanted; 1 to %d are possible",
                                    k, n_cols, OP_TOP_K_MAX),
                        &err);
        return;
    }
    struct selection s = { .x = x, .ids = ids, .values = values, .n_rows = n_rows, .n_cols = n_cols, .k = k };
    s.penalties = penalties;
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

void op_sample(struct gpu_recorder *rec, const struct op_sample *sample, const struct op_sampling *sampling)
{
    if (sample->n < 1 || sample->n > OP_TOP_K_MAX || sampling->n_never > OP_NEVER_MAX) {
        struct karat_error err;
        gpu_record_fail(rec,
                        status_fail(&err, KARAT_ERR_INTERNAL,
                                    "a token of %u candidates without %u is wanted; 1 to %d without %d are possible",
                                    sample->n, sampling->n_never, OP_TOP_K_MAX, OP_NEVER_MAX),
                        &err);
        return;
    }
    const bool has_counts = sample->counts.size_bytes > 0;
    struct sample_params params = {
        .n = sample->n,
        .top_k = sampling->temperature > 0 ? sampling->top_k : 1,
        .n_vocab = (uint32_t)(sample->scores.size_bytes / sizeof(float)),
        .n_never = sampling->n_never,
        .temperature = sampling->temperature,
        .top_p = sampling->top_p,
        .min_p = sampling->min_p,
    };
    memcpy(params.never, sampling->never, sizeof params.never);
    gpu_record_dispatch(
        rec,
        &(struct gpu_dispatch){
            .desc = &kernels[KERNEL_SAMPLE],
            .spec =
                (const uint32_t[SAMPLE_N_SPEC]){
                    [SAMPLE_WG_SIZE] = rows_group_size(plan_of(rec), sample->n), [SAMPLE_HAS_COUNTS] = has_counts },
            .buffers = { [SAMPLE_IDS] = sample->ids,
                         [SAMPLE_VALUES] = sample->values,
                         [SAMPLE_SCORES] = sample->scores,
                         [SAMPLE_DRAWS] = sample->draws,
                         [SAMPLE_STEP] = sample->step,
                         [SAMPLE_NEXT] = sample->next,
                         [SAMPLE_COUNTS] = has_counts ? sample->counts : sample->next,
                         [SAMPLE_RESULTS] = sample->results },
            .params = &params,
            .grid = { 1, 1, 1 },
            .label = "sample",
        });
}

_Static_assert(sizeof(struct op_sample_result) == SAMPLE_RESULT_WORDS * sizeof(uint32_t), "drifted from sample.comp");
_Static_assert(OP_TOP_K_MAX == SAMPLE_MAX && OP_NEVER_MAX == SAMPLE_NEVER_MAX && OP_SAMPLE_SLOTS == SAMPLE_SLOTS &&
                   OP_SAMPLE_NONE == SAMPLE_NONE,
               "drifted from sample.comp");

bool kernel_list_scores(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t size = rows_group_size(plan, 256), few = rows_group_size(plan, 1),
                   all = rows_group_size(plan, OP_TOP_K_MAX);
    return visit(user, KERNEL_SOFTCAP, &size) && visit(user, KERNEL_TOP_K, (uint32_t[]){ size, 0, 0 }) &&
           visit(user, KERNEL_TOP_K, (uint32_t[]){ size, 0, 1 }) &&
           visit(user, KERNEL_TOP_K, (uint32_t[]){ size, 1, 0 }) &&
           visit(user, KERNEL_SAMPLE, (uint32_t[]){ few, 0 }) && visit(user, KERNEL_SAMPLE, (uint32_t[]){ few, 1 }) &&
           (all == few ||
            (visit(user, KERNEL_SAMPLE, (uint32_t[]){ all, 0 }) && visit(user, KERNEL_SAMPLE, (uint32_t[]){ all, 1 })));
}
