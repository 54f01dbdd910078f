// ops/attention.h -- how attention is cut into workgroups. Private to the room.
#ifndef OPS_ATTENTION_H
#define OPS_ATTENTION_H

#include "ops/kernels.h"
#include "ops/ops.h"

// What the choice depends on besides the shape.
struct attention_limits {
    bool cpu;               // few fat workgroups
    bool wide;              // a software device with 64-bit integers: attention_cpu.comp where it fits
    uint32_t lanes;         // invocations that may share a key by shuffles; 1 where shuffles are missing
    uint32_t subgroup_size; // a workgroup is a multiple of it
    uint32_t shared_bytes;  // of a workgroup
    uint64_t window_bytes;  // of one binding of keys or values
};

struct attention_limits attention_limits_of(const struct gpu_device *device);

// Specialisation of the kernel and splits of the keys.
struct attention_tiling {
    uint32_t wg_size, rows, lanes, keys_each;
    uint32_t n_splits;
};

// Pure.
struct attention_tiling attention_choose(const struct attention_limits *limits, const struct op_attention_shape *shape,
                                         uint32_t n_kv_heads, uint32_t head_size);

// Keys that one token sees at most, and that n_tokens see together: of those each is read once.
struct attention_keys {
    uint64_t of_one, of_all;
};
struct attention_keys attention_count(const struct op_attention_shape *shape, uint32_t n_tokens);

uint64_t attention_scratch_bytes(const struct attention_limits *limits, uint32_t n_tokens, uint32_t n_heads,
                                 uint32_t head_size);

// Whether attention_cpu.comp makes it: enough rows to fill a tile, and a cache that one binding holds.
bool attention_cpu_fits(const struct attention_limits *limits, const struct op_cache *cache,
                        const struct op_attention_shape *shape);

// Tokens [0, shape->n_tokens) of y and q, which are the step's from first_token on.
void attention_cpu_record(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view q, const struct op_cache *cache,
                          struct gpu_view step, struct gpu_view scratch, const struct op_attention_shape *shape,
                          uint32_t first_token, uint32_t subgroup_size);

// Of the scratch, for the weights of keys.
uint64_t attention_cpu_scratch_bytes(void);

// Its part of kernel_list_attention().
bool attention_cpu_list(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);

// op_attention() under limits that a test wishes; the op passes the device's.
void attention_record(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view q, const struct op_cache *cache,
                      struct gpu_view step, struct gpu_view scratch, struct gpu_view counters,
                      const struct op_attention_shape *shape, const struct attention_limits *limits);

#endif
