// ops/rope.c -- norm and rotation of heads, and the cache that keys and values go into.
#include "ops/rope.h"

#include <math.h>
#include <stdlib.h>

#include "ops/kernels.h"
#include "ops/rows.h"
#include "shared/cache_store.h"
#include "shared/head_norm.h"

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

void op_head_norm_rope(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_vector *w,
                       const struct op_rope *rope, struct gpu_view step, uint32_t n_tokens, uint32_t n_heads,
                       uint32_t head_size, float eps)
{
    const struct gpu_plan *plan = gpu_device_plan(gpu_recorder_device(rec));
    const uint32_t n_items = n_tokens * n_heads, per_group = rows_per_group(plan, n_items, 8);
    const uint64_t size_bytes = (uint64_t)n_items * head_size * sizeof(float);
    gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                 .desc = &kernels[KERNEL_HEAD_NORM],
                                 .spec = (const uint32_t[HEAD_NORM_N_SPEC]){ [HEAD_NORM_WG_SIZE] =
                                                                                 rows_group_size(plan, head_size / 8) },
                                 .buffers = { [HEAD_NORM_X] = rows_view(x, 0, size_bytes),
                                              [HEAD_NORM_W] = w->view,
                                              [HEAD_NORM_ROPE] = table_view(rope),
                                              [HEAD_NORM_STEP] = rows_view(step, 0, OP_STEP_BYTES),
                                              [HEAD_NORM_Y] = rows_view(y, 0, size_bytes) },
                                 .params = &(struct head_norm_params){ .n_items = n_items,
                                                                       .n_heads = n_heads,
                                                                       .head_size = head_size,
                                                                       .n_pairs = rope->n_pairs,
                                                                       .per_group = per_group,
                                                                       .eps = eps },
                                 .grid = { rows_div_up(n_items, per_group), 1, 1 },
                                 .work = (uint64_t)n_items * head_size * 6,
                                 .label = "head_norm",
                             });
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

void cache_store_in_windows(struct gpu_recorder *rec, const struct op_cache *cache, struct gpu_view k,
                            struct gpu_view v, const struct op_vector *k_norm, const struct op_rope *rope,
                            struct gpu_view step, uint32_t n_tokens, float eps, uint64_t window_bytes)
{
    const struct gpu_plan *plan = gpu_device_plan(gpu_recorder_device(rec));
    const uint32_t n_items = n_tokens * cache->n_kv_heads, per_group = rows_per_group(plan, n_items, 8);
    const uint64_t size_bytes = (uint64_t)n_items * cache->head_size * sizeof(float);
    struct cache_window window;
    for (uint32_t slot = 0; slot < cache->n_slots;) {
        slot = cache_window(&window, cache, window_bytes, slot);
        gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                     .desc = &kernels[KERNEL_CACHE_STORE],
                                     .spec =
                                         (const uint32_t[CACHE_STORE_N_SPEC]){
                                             [CACHE_STORE_WG_SIZE] = rows_group_size(plan, cache->head_size / 8),
                                             [CACHE_STORE_IS_F32] = cache->type == OP_CACHE_F32,
                                         },
                                     .buffers = { [CACHE_STORE_K] = rows_view(k, 0, size_bytes),
                                                  [CACHE_STORE_V] = rows_view(v, 0, size_bytes),
                                                  [CACHE_STORE_W] = k_norm->view,
                                                  [CACHE_STORE_ROPE] = table_view(rope),
                                                  [CACHE_STORE_STEP] = rows_view(step, 0, OP_STEP_BYTES),
                                                  [CACHE_STORE_KEYS] = window.keys,
                                                  [CACHE_STORE_VALUES] = window.values },
                                     .params = &(struct cache_store_params){ .n_items = n_items,
                                                                             .n_kv_heads = cache->n_kv_heads,
                                                                             .head_size = cache->head_size,
                                                                             .n_pairs = rope->n_pairs,
                                                                             .n_slots = cache->n_slots,
                                                                             .first_slot = window.first_slot,
                                                                             .window_slots = window.n_slots,
                                                                             .per_group = per_group,
                                                                             .eps = eps },
                                     .grid = { rows_div_up(n_items, per_group), 1, 1 },
                                     .work = (uint64_t)n_items * cache->head_size * 8,
                                     .label = "cache_store",
                                 });
    }
}

void op_cache_store(struct gpu_recorder *rec, const struct op_cache *cache, struct gpu_view k, struct gpu_view v,
                    const struct op_vector *k_norm, const struct op_rope *rope, struct gpu_view step, uint32_t n_tokens,
                    float eps)
{
    const uint64_t limit_bytes = gpu_device_plan(gpu_recorder_device(rec))->max_binding_bytes;
    cache_store_in_windows(rec, cache, k, v, k_norm, rope, step, n_tokens, eps, limit_bytes);
}

bool kernel_list_rope(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t size = rows_group_size(plan, 64);
    return visit(user, KERNEL_HEAD_NORM, &size) && visit(user, KERNEL_CACHE_STORE, (uint32_t[]){ size, 0 }) &&
           visit(user, KERNEL_CACHE_STORE, (uint32_t[]){ size, 1 });
}
