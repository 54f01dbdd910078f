// ops/tails.h -- products with tails as another device would run them, for checks. Private to the room.
//
// The ops of the same names in ops.h pass the device's own plan.
#ifndef OPS_TAILS_H
#define OPS_TAILS_H

#include "ops/ops.h"

void tails_add_norm(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view z, struct gpu_view x,
                    const struct op_weight *w, const struct op_add_norm *add, struct gpu_view counters,
                    uint32_t n_tokens);
void tails_heads(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view scratch, struct gpu_view x,
                 const struct op_weight *w, const struct op_heads *heads, struct gpu_view counters, uint32_t n_tokens);
void tails_route(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view logits, struct gpu_view x,
                 const struct op_weight *w, const struct op_route *route, const struct op_vector *expert_scale,
                 struct gpu_view counters, uint32_t n_tokens);

void tails_join(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view m, struct gpu_view x,
                const struct op_weight *w, const struct op_route *route, const struct op_join *join,
                struct gpu_view scratch, struct gpu_view counters);

#endif
