// ops/linear.h -- products as another device would run them, for checks. Private to the room.
#ifndef OPS_LINEAR_H
#define OPS_LINEAR_H

#include "ops/ops.h"

// op_linear() with the kernels that a device with this plan gets.
void linear_record(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                   const struct op_weight *w, const struct op_linear_shape *shape);

void linear_record_experts(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view y, struct gpu_view x,
                           const struct op_weight *w, const struct op_route *route,
                           const struct op_experts_shape *shape);

#endif
