// ops/choose.c -- see choose.h.
#include "ops/choose.h"

uint32_t choose_tile_pairs(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    (void)device, (void)n_experts, (void)n_used;
    return n_tokens > 8 ? 8 : 1;
}

uint32_t choose_n_tiles(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    const uint32_t n_pairs = n_tokens * n_used;
    const uint32_t n_tiles = n_pairs / choose_tile_pairs(device, n_tokens, n_experts, n_used) + n_experts;
    return n_tiles < n_pairs ? n_tiles : n_pairs;
}
