// ops/moe.c -- where each token goes, and how its two branches come together.
#include "ops/choose.h"
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "shared/moe_join.h"
#include "shared/route.h"
#include "shared/route_sort.h"

void op_route_bytes(uint64_t bytes[4], const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts,
                    uint32_t n_used)
{
    // Fewer tokens may be cut into smaller tiles, and so into more of them.
    uint32_t n_tiles = 1;
    for (uint32_t n = 1; n <= n_tokens; ++n)
        n_tiles = rows_max(n_tiles, choose_n_tiles(device, n, n_experts, n_used));
    const uint64_t n_pairs = (uint64_t)n_tokens * n_used;
    bytes[0] = n_pairs * sizeof(uint32_t);
    bytes[1] = n_pairs * sizeof(float);
    bytes[2] = n_pairs * sizeof(uint32_t);
    bytes[3] = n_tiles * 4ull * sizeof(uint32_t);
}

static void record_route(struct gpu_recorder *rec, const struct op_route *route, struct gpu_view logits,
                         const struct op_vector *expert_scale, uint32_t n_tokens)
{
    const struct gpu_plan *plan = gpu_device_plan(gpu_recorder_device(rec));
    const uint32_t per_group = rows_per_group(plan, n_tokens, 1);
    const uint64_t n_pairs = (uint64_t)n_tokens * route->n_used;
    const struct gpu_view seen = rows_view(logits, 0, (uint64_t)n_tokens * route->n_experts * sizeof(float));
    gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                 .desc = &kernels[KERNEL_ROUTE],
                                 .spec =
                                     (const uint32_t[ROUTE_N_SPEC]){
                                         [ROUTE_WG_SIZE] = rows_group_size(plan, route->n_experts),
                                         [ROUTE_HAS_SCALE] = expert_scale != NULL,
                                     },
                                 .buffers = { [ROUTE_LOGITS] = seen,
                                              [ROUTE_SCALE] = expert_scale ? expert_scale->view : seen,
                                              [ROUTE_IDS] = rows_view(route->ids, 0, n_pairs * sizeof(uint32_t)),
                                              [ROUTE_WEIGHTS] = rows_view(route->weights, 0, n_pairs * sizeof(float)) },
                                 .params = &(struct route_params){ .n_tokens = n_tokens,
                                                                   .n_experts = route->n_experts,
                                                                   .n_used = route->n_used,
                                                                   .per_group = per_group },
                                 .grid = { rows_div_up(n_tokens, per_group), 1, 1 },
                                 .work = (uint64_t)n_tokens * route->n_experts * route->n_experts,
                                 .label = "route",
                             });
}

static void record_sort(struct gpu_recorder *rec, const struct op_route *route, uint32_t n_tokens)
{
    const struct gpu_device *device = gpu_recorder_device(rec);
    const struct gpu_plan *plan = gpu_device_plan(device);
    const uint32_t n_pairs = n_tokens * route->n_used;
    const uint32_t n_tiles = choose_n_tiles(device, n_tokens, route->n_experts, route->n_used);
    gpu_record_dispatch(
        rec, &(struct gpu_dispatch){
                 .desc = &kernels[KERNEL_ROUTE_SORT],
                 .spec = (const uint32_t[ROUTE_SORT_N_SPEC]){ [ROUTE_SORT_WG_SIZE] =
                                                                  rows_group_size(plan, route->n_experts) },
                 .buffers = { [ROUTE_SORT_IDS] = rows_view(route->ids, 0, n_pairs * sizeof(uint32_t)),
                              [ROUTE_SORT_ORDER] = rows_view(route->order, 0, n_pairs * sizeof(uint32_t)),
                              [ROUTE_SORT_TILES] = rows_view(route->tiles, 0, n_tiles * 4ull * sizeof(uint32_t)) },
                 .params =
                     &(struct route_sort_params){
                         .n_pairs = n_pairs,
                         .n_experts = route->n_experts,
                         .n_tiles = n_tiles,
                         .tile_pairs = choose_tile_pairs(device, n_tokens, route->n_experts, route->n_used),
                     },
                 .grid = { 1, 1, 1 },
                 .work = 2ull * n_pairs * route->n_experts,
                 .label = "route_sort",
             });
}

void op_route(struct gpu_recorder *rec, const struct op_route *route, struct gpu_view logits,
              const struct op_vector *expert_scale, uint32_t n_tokens)
{
    if (route->n_experts > ROUTE_MAX_EXPERTS || route->n_used > ROUTE_MAX_USED || route->n_used > route->n_experts) {
        struct karat_error err;
        gpu_record_fail(rec,
                        status_fail(&err, KARAT_ERR_UNSUPPORTED,
                                    "%u of %u experts per token; at most %d of %d can be routed", route->n_used,
                                    route->n_experts, ROUTE_MAX_USED, ROUTE_MAX_EXPERTS),
                        &err);
        return;
    }
    record_route(rec, route, logits, expert_scale, n_tokens);
    record_sort(rec, route, n_tokens);
}

void op_moe_join(struct gpu_recorder *rec, const struct op_join *join, const struct op_route *route)
{
    const struct gpu_plan *plan = gpu_device_plan(gpu_recorder_device(rec));
    const uint64_t row_bytes = (uint64_t)join->n_cols * sizeof(float);
    const uint32_t window = rows_per_window(plan, row_bytes * route->n_used);
    for (uint32_t token = 0; token < join->n_tokens; token += window) {
        const uint32_t n = rows_min(window, join->n_tokens - token);
        const uint64_t at = token * row_bytes, size = n * row_bytes;
        const uint64_t weight_bytes = route->n_used * sizeof(float);
        gpu_record_dispatch(
            rec,
            &(struct gpu_dispatch){
                .desc = &kernels[KERNEL_MOE_JOIN],
                .spec =
                    (const uint32_t[MOE_JOIN_N_SPEC]){
                        [MOE_JOIN_WG_SIZE] = rows_group_size(plan, join->n_cols / 4),
                        [MOE_JOIN_HAS_SCALE] = join->scale != NULL,
                        [MOE_JOIN_N_COLS] = join->n_cols,
                    },
                .buffers = { [MOE_JOIN_R] = rows_view(join->r, at, size),
                             [MOE_JOIN_DENSE] = rows_view(join->dense, at, size),
                             [MOE_JOIN_EXPERTS] = rows_view(join->experts, at * route->n_used, size * route->n_used),
                             [MOE_JOIN_WEIGHTS] = rows_view(route->weights, token * weight_bytes, n * weight_bytes),
                             [MOE_JOIN_W_DENSE] = join->w_dense->view,
                             [MOE_JOIN_W_EXPERTS] = join->w_experts->view,
                             [MOE_JOIN_W_OUT] = join->w_out->view,
                             [MOE_JOIN_SCALE] = join->scale ? join->scale->view : join->w_out->view,
                             [MOE_JOIN_Y] = rows_view(join->y, at, size) },
                .params = &(struct moe_join_params){ .n_used = route->n_used, .eps = join->eps },
                .grid = { n, 1, 1 },
                .work = (uint64_t)n * join->n_cols * (route->n_used + 8),
                .label = "moe_join",
            });
    }
}

bool kernel_list_moe(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t experts = rows_group_size(plan, 128), cols = rows_group_size(plan, 2816 / 4);
    return visit(user, KERNEL_ROUTE, (uint32_t[]){ experts, 1 }) && visit(user, KERNEL_ROUTE_SORT, &experts) &&
           visit(user, KERNEL_MOE_JOIN, (uint32_t[]){ cols, 1, 2816 });
}
