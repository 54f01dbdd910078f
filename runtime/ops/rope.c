// ops/rope.c -- norm and rotation of heads, and the cache that keys and values go into.
#include "ops/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/kernels.h"
#include "ops/rows.h"
#include "ops/steps.h"

#define TABLE_POSITIONS 512 // of each half: low is position % 512, high is position / 512

enum karat_status op_rope_create(struct op_rope *out, struct gpu_device *device, const double *theta, uint32_t n_pairs,
                                 struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gpu_buffer *table = NULL;
    struct gpu_upload *upload = NULL;
    *out = (struct op_rope){ 0 };

    const uint64_t size_bytes = 2ull * TABLE_POSITIONS * n_pairs * 2 * sizeof(float);
    TRY(gpu_buffer_create(
        &table, device,
        &(struct gpu_buffer_options){ .size_bytes = size_bytes, .memory = GPU_MEMORY_DEVICE, .name = "rotation table" },
        err));
    TRY(gpu_upload_create(&upload, device, 0, err));
    for (uint32_t i = 0; i < 2 * TABLE_POSITIONS; ++i) {
        const double position = i < TABLE_POSITIONS ? i : (double)(i - TABLE_POSITIONS) * TABLE_POSITIONS;
        uint64_t done = 0, row_bytes = (uint64_t)n_pairs * 2 * sizeof(float);
        while (done < row_bytes) {
            void *memory = NULL;
            uint64_t granted = row_bytes - done;
            TRY(gpu_upload_reserve(upload, &memory, table, i * row_bytes + done, &granted, err));
            float *values = memory;
            for (uint64_t at = done / sizeof(float); at < (done + granted) / sizeof(float); ++at) {
                const double angle = position * theta[at / 2];
                *values++ = (float)(at % 2 == 0 ? cos(angle) : sin(angle));
            }
            done += granted;
        }
    }
    TRY(gpu_upload_finish(upload, err));

    *out = (struct op_rope){ .table = table, .n_pairs = n_pairs };
    table = NULL;
cleanup:
    gpu_upload_destroy(upload);
    gpu_buffer_destroy(table);
    return status;
}

void op_rope_destroy(struct op_rope *rope)
{
    gpu_buffer_destroy(rope->table);
    *rope = (struct op_rope){ 0 };
}

static struct gpu_view table_view(const struct op_rope *rope)
{
    return (struct gpu_view){ rope->table, 0, gpu_buffer_size(rope->table) };
}

static uint64_t slot_bytes(const struct op_cache *cache)
{
    return (uint64_t)cache->n_kv_heads * cache->head_size * (cache->type == OP_CACHE_F32 ? 4 : 2);
}

uint64_t op_cache_bytes(const struct op_cache *cache)
{
    return 2 * cache->n_slots * slot_bytes(cache);
}

uint32_t cache_window(struct cache_window *out, const struct op_cache *cache, uint64_t limit_bytes, uint32_t first_slot)
{
    const uint64_t per_window = limit_bytes / slot_bytes(cache) / 64 * 64;
    const uint32_t left = cache->n_slots - first_slot;
    const uint32_t n = per_window < 64 ? rows_min(64, left) : per_window < left ? (uint32_t)per_window : left;
    const uint64_t offset = first_slot * slot_bytes(cache), size_bytes = n * slot_bytes(cache);
    *out = (struct cache_window){
        .keys = { cache->keys, offset, size_bytes },
        .values = { cache->values, offset, size_bytes },
        .first_slot = first_slot,
        .n_slots = n,
    };
    return first_slot + n;
}

void step_heads(struct gpu_view *buffers, uint32_t *spec, struct heads_params *params, struct gpu_view x,
                const struct op_heads *heads, const struct cache_window *window, uint32_t n_tokens)
{
    const bool turned = heads->to != OP_HEADS_VALUES, both = heads->to == OP_HEADS_KEYS_AND_VALUES;
    const uint64_t size_bytes = (uint64_t)n_tokens * heads->n_heads * heads->head_size * sizeof(float);
    buffers[HEADS_X] = rows_view(x, 0, size_bytes);
    buffers[HEADS_W] = turned ? heads->w->view : buffers[HEADS_X];
    buffers[HEADS_ROPE] = turned ? table_view(heads->rope) : buffers[HEADS_X];
    buffers[HEADS_STEP] = rows_view(heads->step, 0, OP_STEP_BYTES);
    buffers[HEADS_OUT] = !window                        ? rows_view(heads->rows, 0, size_bytes)
                         : heads->to == OP_HEADS_VALUES ? window->values
                                                        : window->keys;
    buffers[HEADS_OUT2] = both ? window->values : buffers[HEADS_OUT];
    spec[HEADS_TURNED] = turned;
    spec[HEADS_CACHED] = window != NULL;
    spec[HEADS_F16] = window && heads->cache->type == OP_CACHE_F16;
    spec[HEADS_BOTH] = both;
    *params = (struct heads_params){ .n_heads = heads->n_heads,
                                     .head_size = heads->head_size,
                                     .n_pairs = turned ? heads->rope->n_pairs : 1,
                                     .n_slots = window ? heads->cache->n_slots : 1,
                                     .first_slot = window ? window->first_slot : 0,
                                     .window_slots = window ? window->n_slots : 1,
                                     .eps = heads->eps };
}

static void record_heads(struct gpu_recorder *rec, struct gpu_view x, const struct op_heads *heads,
                         const struct cache_window *window, uint32_t n_tokens)
{
    const struct gpu_plan *plan = gpu_recorder_plan(rec);
    const uint32_t n_items = n_tokens * heads->n_heads, per_group = rows_per_group(plan, n_items, 8);
    uint32_t spec[1 + HEADS_N_SPEC] = { rows_group_size(plan, heads->head_size / 8) };
    struct heads_alone_params params = { .n_items = n_items, .per_group = per_group };
    const uint64_t in_bytes = (uint64_t)n_items * heads->head_size * sizeof(float);
    const uint64_t n_out = heads->to == OP_HEADS_KEYS_AND_VALUES ? 2 : 1;
    struct gpu_dispatch dispatch = {
        .desc = &kernels[KERNEL_HEADS],
        .spec = spec,
        .params = &params,
        .grid = { rows_div_up(n_items, per_group), 1, 1 },
        .work = (uint64_t)n_items * heads->head_size * 6,
        .bytes = in_bytes + n_out * (window ? n_tokens * slot_bytes(heads->cache) : in_bytes),
        .label = "heads",
    };
    step_heads(dispatch.buffers, spec + 1, &params.step, x, heads, window, n_tokens);
    gpu_record_dispatch(rec, &dispatch);
}

void heads_in_windows(struct gpu_recorder *rec, struct gpu_view x, const struct op_heads *heads, uint32_t n_tokens,
                      uint64_t window_bytes)
{
    if (heads->to == OP_HEADS_QUERIES) {
        record_heads(rec, x, heads, NULL, n_tokens);
        return;
    }
    struct cache_window window;
    for (uint32_t slot = 0; slot < heads->cache->n_slots;) {
        slot = cache_window(&window, heads->cache, window_bytes, slot);
        record_heads(rec, x, heads, &window, n_tokens);
    }
}

void op_heads(struct gpu_recorder *rec, struct gpu_view x, const struct op_heads *heads, uint32_t n_tokens)
{
    heads_in_windows(rec, x, heads, n_tokens, gpu_recorder_plan(rec)->max_binding_bytes);
}

bool kernel_list_rope(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    // Turned, cached, halves, both: queries, then keys, values and both in either type of cache.
    static const uint32_t kinds[][HEADS_N_SPEC] = { { 1, 0, 0, 0 }, { 1, 1, 1, 0 }, { 0, 1, 1, 0 }, { 1, 1, 1, 1 },
                                                    { 1, 1, 0, 0 }, { 0, 1, 0, 0 }, { 1, 1, 0, 1 } };
    for (size_t i = 0; i < COUNT(kinds); ++i) {
        uint32_t spec[1 + HEADS_N_SPEC] = { rows_group_size(plan, 64) };
        memcpy(spec + 1, kinds[i], sizeof kinds[i]);
        if (!visit(user, KERNEL_HEADS, spec))
            return false;
    }
    return true;
}
