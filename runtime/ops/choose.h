// ops/choose.h -- which kernel runs a product, with which specialisation and grid. Pure: no Vulkan, no allocation.
#ifndef OPS_CHOOSE_H
#define OPS_CHOOSE_H

#include "gpu/gpu.h"
#include "loader/qtype.h"

// How many pairs of one expert a tile of a route holds at most: op_route() cuts tiles by it and op_linear_experts()
// computes them.
uint32_t choose_tile_pairs(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);

// Tiles that can occur at most: every expert may leave one tile that is not full.
uint32_t choose_n_tiles(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);

#endif
