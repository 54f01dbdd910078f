// ops/choose.h -- which kernel runs a product, with which specialisation and grid. Pure: no Vulkan, no allocation.
#ifndef OPS_CHOOSE_H
#define OPS_CHOOSE_H

#include "gpu/gpu.h"
#include "loader/qtype.h"
#include "ops/kernels.h"

// How a product runs: `kernel` is the first of a family, to which the weight's format is added.
struct linear_choice {
    enum kernel kernel;
    uint32_t spec[GPU_SPEC_MAX];
    uint32_t rows_per_group, cols_per_group; // of y that one workgroup makes
};

// For a product with rows of n_cols weights and n_tokens columns of x.
struct linear_choice choose_linear(const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_tokens);

// The same for experts, whose columns come in tiles of at most tile_pairs.
struct linear_choice choose_experts(const struct gpu_plan *plan, uint32_t n_cols, uint32_t tile_pairs);

// How many pairs of one expert a tile of a route holds at most: op_route() cuts tiles by it and op_linear_experts()
// computes them.
uint32_t choose_tile_pairs(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);
uint32_t choose_plan_tile_pairs(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);

// Tiles that can occur at most: every expert may leave one tile that is not full.
uint32_t choose_n_tiles(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);
uint32_t choose_plan_n_tiles(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);

#endif
