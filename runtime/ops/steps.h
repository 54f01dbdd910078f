// ops/steps.h -- the steps of shaders/lib that run alone or as the tail of a product: their operands, constants and
// parameters as their signatures (shared/*.h) want them. Private to the room.
#ifndef OPS_STEPS_H
#define OPS_STEPS_H

#include "ops/ops.h"
#include "shared/add_norm.h"
#include "shared/heads.h"
#include "shared/join.h"
#include "shared/route.h"

// One step ready to be recorded: bindings and specialisation values from the step's first on. `buffers` and `spec`
// point into a dispatch that is being filled.

// Rows [first_row, first_row + n_rows) of x and of everything that has rows.
void step_add_norm(struct gpu_view *buffers, uint32_t *spec, struct add_norm_params *params, struct gpu_view x,
                   const struct op_add_norm *add, uint32_t first_row, uint32_t n_rows);

// A window of the cache's slots; see cache_window(). NULL: rows of queries.
struct cache_window;
void step_heads(struct gpu_view *buffers, uint32_t *spec, struct heads_params *params, struct gpu_view x,
                const struct op_heads *heads, const struct cache_window *window, uint32_t n_tokens);

void step_route(struct gpu_view *buffers, uint32_t *spec, struct route_params *params, struct gpu_view logits,
                const struct op_route *route, const struct op_vector *expert_scale, uint32_t n_tokens);

void step_join(struct gpu_view *buffers, uint32_t *spec, struct join_params *params, struct gpu_view m,
               const struct op_join *join, uint32_t first_token, uint32_t n_tokens);

// Whether a route of so many experts can be recorded; if not, the recorder has failed with a sentence.
bool step_route_check(struct gpu_recorder *rec, const struct op_route *route);

// The pairs of all tokens sorted by expert, and their tiles.
void route_sort_record(struct gpu_recorder *rec, const struct gpu_plan *plan, const struct op_route *route,
                       uint32_t n_tokens);

#endif
