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

// op_heads() with windows as small as a test wishes; the op passes the device's limit.
void heads_in_windows(struct gpu_recorder *rec, struct gpu_view x, const struct op_heads *heads, uint32_t n_tokens,
                      uint64_t window_bytes);

#endif
