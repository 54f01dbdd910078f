// ops/linear.h -- products: what their callers in the room share, and products as another device would run them, for
// checks. Private to the room.
#ifndef OPS_LINEAR_H
#define OPS_LINEAR_H

#include "ops/choose.h"
#include "ops/ops.h"
#include "shared/mat_vec.h"

// Format and place of a weight's rows; `segment` NULL for experts, which have planes instead.
// Bytes of n_rows rows of a weight, of n_x rows of x, and of what n_y rows of y get from them.
uint64_t linear_bytes(const struct op_weight *w, uint64_t n_rows, uint64_t n_x, uint64_t n_y);
// The same for pairs of token and expert. How many experts a prompt needs is known on the device alone: at most one per
// pair.
uint64_t linear_experts_bytes(const struct op_weight *w, uint64_t n_rows, uint64_t n_pairs, uint64_t n_x, uint64_t n_y);

struct mat_vec_params linear_params(const struct op_weight *w, const struct op_segment *segment);

// How a device with this plan multiplies this weight with n_tokens columns.
struct linear_choice linear_choose(const struct gpu_plan *plan, const struct op_weight *w, uint32_t n_tokens);

// op_linear() with the kernels that a device with this plan gets.
void linear_record(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                   const struct op_weight *w, const struct op_linear_shape *shape);

void linear_record_experts(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                           const struct op_weight *w, const struct op_route *route,
                           const struct op_experts_shape *shape);

void experts_down_record(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view m, struct gpu_view x,
                         const struct op_weight *w, const struct op_route *route, struct gpu_view scratch,
                         uint32_t n_tokens);

void linear_record_gated(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y,
                         struct gpu_view scratch, struct gpu_view x, const struct op_weight *gate,
                         const struct op_weight *up, uint32_t n_tokens);

void linear_record_experts_gated(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y,
                                 struct gpu_view scratch, struct gpu_view x, const struct op_weight *gate,
                                 const struct op_weight *up, const struct op_route *route, uint32_t n_tokens);

#endif
