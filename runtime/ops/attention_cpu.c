// ops/attention_cpu.c -- attention over a cache on software devices, for eight rows or more of a KV head.
#include "shared/attention_cpu.h"
#include <assert.h>

#include "ops/attention.h"
#include "ops/kernels.h"
#include "ops/rope.h"
#include "ops/rows.h"

uint64_t attention_cpu_scratch_bytes(void)
{
    return (uint64_t)GPU_CLAIM_WORKGROUPS * ATTENTION_CPU_CHUNK * ATTENTION_CPU_COLS * sizeof(float);
}

// A tile is nearly four times as fast as a workgroup of attention.comp, so that the two which a decoded token makes on
// a layer with two KV heads take as long as eight of those, on a processor with as many cores.
bool attention_cpu_fits(const struct attention_limits *limits, const struct op_cache *cache,
                        const struct op_attention_shape *shape)
{
    struct cache_window window;
    return limits->wide && shape->n_tokens * (shape->n_heads / cache->n_kv_heads) >= ATTENTION_CPU_COLS &&
           cache_window(&window, cache, limits->window_bytes, 0) == cache->n_slots;
}

void attention_cpu_record(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view q, const struct op_cache *cache,
                          struct gpu_view step, struct gpu_view scratch, const struct op_attention_shape *shape,
                          uint32_t first_token, uint32_t subgroup_size)
{
    const uint32_t n_rows = shape->n_tokens * (shape->n_heads / cache->n_kv_heads);
    const struct attention_keys n = attention_count(shape, shape->n_tokens);
    const struct gpu_view keys = { cache->keys, 0, op_cache_bytes(cache) / 2 };
    const struct gpu_view values = { cache->values, 0, op_cache_bytes(cache) / 2 };
    const struct gpu_view weights = rows_view(scratch, 0, attention_cpu_scratch_bytes());
    assert(weights.size_bytes <= scratch.size_bytes && "what lies behind would be overwritten");
    const uint64_t q_at = rows_address(q), y_at = rows_address(y), weights_at = rows_address(weights),
                   keys_at = rows_address(keys), values_at = rows_address(values);
    gpu_record_dispatch(
        rec, &(struct gpu_dispatch){
                 .desc = &kernels[cache->type == OP_CACHE_F32 ? KERNEL_ATTENTION_CPU_F32 : KERNEL_ATTENTION_CPU_F16],
                 .spec = (const uint32_t[ATTENTION_CPU_N_SPEC]){ [ATTENTION_CPU_SUBGROUP] = subgroup_size },
                 .buffers = { [ATTENTION_CPU_Q] = q,
                              [ATTENTION_CPU_KEYS] = keys,
                              [ATTENTION_CPU_VALUES] = values,
                              [ATTENTION_CPU_STEP] = rows_view(step, 0, OP_STEP_BYTES),
                              [ATTENTION_CPU_OUT] = y,
                              [ATTENTION_CPU_WEIGHTS] = weights },
                 .params = &(struct attention_cpu_params){ .n_tokens = shape->n_tokens,
                                                           .n_heads = shape->n_heads,
                                                           .n_kv_heads = cache->n_kv_heads,
                                                           .head_size = cache->head_size,
                                                           .window = shape->window,
                                                           .n_slots = cache->n_slots,
                                                           .first_token = first_token,
                                                           .q_low = (uint32_t)q_at,
                                                           .q_high = (uint32_t)(q_at >> 32),
                                                           .keys_low = (uint32_t)keys_at,
                                                           .keys_high = (uint32_t)(keys_at >> 32),
                                                           .values_low = (uint32_t)values_at,
                                                           .values_high = (uint32_t)(values_at >> 32),
                                                           .y_low = (uint32_t)y_at,
                                                           .y_high = (uint32_t)(y_at >> 32),
                                                           .weights_low = (uint32_t)weights_at,
                                                           .weights_high = (uint32_t)(weights_at >> 32) },
                 .grid = { rows_div_up(n_rows, ATTENTION_CPU_COLS), cache->n_kv_heads, 1 },
                 .work = 2 * n.of_one * shape->n_tokens * shape->n_heads * cache->head_size,
                 .bytes = op_cache_bytes(cache) / cache->n_slots * n.of_all + q.size_bytes + y.size_bytes,
                 .label = shape->window > 0 ? "attention.window" : "attention.full",
             });
}

bool attention_cpu_list(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t spec[ATTENTION_CPU_N_SPEC] = { [ATTENTION_CPU_SUBGROUP] = plan->subgroup_size };
    return visit(user, KERNEL_ATTENTION_CPU_F16, spec) && visit(user, KERNEL_ATTENTION_CPU_F32, spec);
}
