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
    uint32_t rows_per_group, cols_per_group; // of y that one workgroup makes, or tile
};

// A software device with 64-bit integers, which runs kernels made for such: mat_mul_cpu.comp, attention_cpu.comp.
bool choose_is_wide_cpu(const struct gpu_plan *plan);

// For a product with rows of n_cols weights and n_tokens columns of x.
struct linear_choice choose_linear(const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_tokens);

// Whether a product keeps f32 operands on every device: the router's, whose choice of experts would amplify roundings.
bool choose_keeps_f32(enum qtype type, uint32_t n_rows);

// The same for experts, whose columns come in tiles of at most tile_pairs.
struct linear_choice choose_experts(const struct gpu_plan *plan, uint32_t n_cols, uint32_t tile_pairs);

// The same with mat_vec.comp, for the few tokens at which it does more than a product: its tails and pairs.
struct linear_choice choose_few(const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_tokens);

// Whether a step on the rows of a product runs as its tail: worth it while one workgroup does it in the time that a
// dispatch and a barrier take, and never where products run on mat_mul_cpu.comp, which has no tails.
bool choose_tail(const struct gpu_plan *plan, uint32_t n_tokens);

// A product of two weights at once, y = gelu(W x) * (W2 x); false where two products and a dispatch for the rest are
// better.
bool choose_gated(struct linear_choice *out, const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_tokens);

// Whether a route of few tokens goes to its experts pair by pair, without sorting.
bool choose_direct(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);

// For the experts of such a route: one pair per workgroup, of one weight or, where choose_gated() would at one token,
// gated.
struct linear_choice choose_pairs(const struct gpu_plan *plan, uint32_t n_cols, bool gated);

// For their last product, summed over the n_used ranks of a token.
struct linear_choice choose_join(const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_used);

// How many pairs of one expert a tile of a route holds at most: op_route() cuts tiles by it and op_linear_experts()
// computes them.
uint32_t choose_tile_pairs(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);
uint32_t choose_plan_tile_pairs(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);

// Tiles that can occur at most: every expert may leave one tile that is not full.
uint32_t choose_n_tiles(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);
uint32_t choose_plan_n_tiles(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used);

#endif
