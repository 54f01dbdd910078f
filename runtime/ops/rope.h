// ops/rope.h -- a cache bound in windows of its slots, because a binding may be smaller than a buffer. Private to the
// room.
#ifndef OPS_ROPE_H
#define OPS_ROPE_H

#include "ops/ops.h"

struct cache_window {
    struct gpu_view keys, values;
    uint32_t first_slot, n_slots;
};

// The window of at most limit_bytes (and at least 64 slots) that begins at first_slot; returns where the next begins,
// n_slots of the cache after the last.
uint32_t cache_window(struct cache_window *out, const struct op_cache *cache, uint64_t limit_bytes,
                      uint32_t first_slot);

// op_cache_store() with windows as small as a test wishes; the op passes the device's limit.
void cache_store_in_windows(struct gpu_recorder *rec, const struct op_cache *cache, struct gpu_view k,
                            struct gpu_view v, const struct op_vector *k_norm, const struct op_rope *rope,
                            struct gpu_view step, uint32_t n_tokens, float eps, uint64_t window_bytes);

#endif
