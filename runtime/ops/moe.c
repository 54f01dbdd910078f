// ops/moe.c -- where each token goes, and how its two branches come together.
#include "ops/choose.h"
#include "ops/kernels.h"
#include "ops/linear.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "ops/steps.h"
#include "shared/pair_sum.h"
#include "shared/route_sort.h"

void op_route_bytes(uint64_t bytes[4], const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts,
                    uint32_t n_used)
{
    // Fewer tokens may be cut into smaller tiles, and so into more of them; so may those of a recorder whose tier is
    // lower than the device's.
    struct gpu_plan lowest = *plan;
    lowest.tier = GPU_TIER_BASE;
    uint32_t n_tiles = 1;
    for (uint32_t n = 1; n <= n_tokens; ++n) {
        n_tiles = rows_max(n_tiles, choose_plan_n_tiles(plan, n, n_experts, n_used));
        n_tiles = rows_max(n_tiles, choose_plan_n_tiles(&lowest, n, n_experts, n_used));
    }
    const uint64_t n_pairs = (uint64_t)n_tokens * n_used;
    bytes[0] = n_pairs * sizeof(uint32_t);
    bytes[1] = n_pairs * sizeof(float);
    bytes[2] = n_pairs * sizeof(uint32_t);
    bytes[3] = n_tiles * 4ull * sizeof(uint32_t);
}

bool step_route_check(struct gpu_recorder *rec, const struct op_route *route)
{
    struct karat_error err;
    if (route->n_experts <= ROUTE_MAX_EXPERTS && route->n_used <= ROUTE_MAX_USED && route->n_used <= route->n_experts)
        return true;
    gpu_record_fail(rec,
                    status_fail(&err, KARAT_ERR_UNSUPPORTED,
                                "%u of %u experts per token; at most %d of %d can be routed", route->n_used,
                                route->n_experts, ROUTE_MAX_USED, ROUTE_MAX_EXPERTS),
                    &err);
    return false;
}

void step_route(struct gpu_view *buffers, uint32_t *spec, struct route_params *params, struct gpu_view logits,
                const struct op_route *route, const struct op_vector *expert_scale, uint32_t n_tokens)
{
    const uint64_t n_pairs = (uint64_t)n_tokens * route->n_used;
    buffers[ROUTE_LOGITS] = rows_view(logits, 0, (uint64_t)n_tokens * route->n_experts * sizeof(float));
    buffers[ROUTE_SCALE] = expert_scale ? expert_scale->view : buffers[ROUTE_LOGITS];
    buffers[ROUTE_IDS] = rows_view(route->ids, 0, n_pairs * sizeof(uint32_t));
    buffers[ROUTE_WEIGHTS] = rows_view(route->weights, 0, n_pairs * sizeof(float));
    spec[ROUTE_HAS_SCALE] = expert_scale != NULL;
    *params = (struct route_params){ .n_experts = route->n_experts, .n_used = route->n_used };
}

static void record_route(struct gpu_recorder *rec, const struct op_route *route, struct gpu_view logits,
                         const struct op_vector *expert_scale, uint32_t n_tokens)
{
    const struct gpu_plan *plan = gpu_recorder_plan(rec);
    const uint32_t per_group = rows_per_group(plan, n_tokens, 1);
    uint32_t spec[1 + ROUTE_N_SPEC] = { rows_group_size(plan, route->n_experts) };
    struct route_alone_params params = { .n_tokens = n_tokens, .per_group = per_group };
    struct gpu_dispatch dispatch = {
        .desc = &kernels[KERNEL_ROUTE],
        .spec = spec,
        .params = &params,
        .grid = { rows_div_up(n_tokens, per_group), 1, 1 },
        .work = (uint64_t)n_tokens * route->n_experts * route->n_experts,
        .label = "route",
    };
    step_route(dispatch.buffers, spec + 1, &params.step, logits, route, expert_scale, n_tokens);
    gpu_record_dispatch(rec, &dispatch);
}

void route_sort_record(struct gpu_recorder *rec, const struct gpu_plan *plan, const struct op_route *route,
                       uint32_t n_tokens)
{
    const uint32_t n_pairs = n_tokens * route->n_used;
    const uint32_t n_tiles = choose_plan_n_tiles(plan, n_tokens, route->n_experts, route->n_used);
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
                         .tile_pairs = choose_plan_tile_pairs(plan, n_tokens, route->n_experts, route->n_used),
                     },
                 .grid = { 1, 1, 1 },
                 .work = 2ull * n_pairs * route->n_experts,
                 .label = "route_sort",
             });
}

void op_route(struct gpu_recorder *rec, const struct op_route *route, struct gpu_view logits,
              const struct op_vector *expert_scale, uint32_t n_tokens)
{
    const struct gpu_plan *plan = gpu_recorder_plan(rec);
    if (!step_route_check(rec, route))
        return;
    record_route(rec, route, logits, expert_scale, n_tokens);
    if (!choose_direct(plan, n_tokens, route->n_experts, route->n_used))
        route_sort_record(rec, plan, route, n_tokens);
}

// ------------------------------------------------------------------------------------------------ down and together

#define SLAB_ROWS 128u // a slab is a multiple: what the widest workgroups of products make
#define SLABS_BYTES (48u << 20)

uint64_t op_experts_down_scratch_bytes(uint32_t n_tokens, uint32_t n_used, uint32_t n_rows)
{
    const uint64_t row_bytes = (uint64_t)n_tokens * n_used * sizeof(float);
    const uint64_t all = row_bytes * n_rows, least = row_bytes * rows_min(n_rows, SLAB_ROWS);
    return all < SLABS_BYTES ? all : least > SLABS_BYTES ? least : SLABS_BYTES;
}

// Rows of a weight that one slab of outputs takes; 0: not even the smallest slab fits.
static uint32_t slab_rows(uint64_t scratch_bytes, uint32_t n_pairs, uint32_t n_rows)
{
    const uint64_t fits = scratch_bytes / sizeof(float) / n_pairs;
    return fits >= n_rows ? n_rows : (uint32_t)(fits - fits % SLAB_ROWS);
}

static void record_pair_sum(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view m,
                            struct gpu_view pairs, const struct op_route *route, uint32_t n_tokens,
                            struct pair_sum_params params)
{
    const uint64_t n_pairs = (uint64_t)n_tokens * route->n_used;
    params.n_used = route->n_used;
    params.n_fours = n_tokens * (params.n_cols / 4);
    params.per_group = plan->cpu ? rows_per_group(plan, params.n_fours, 512) : 256;
    gpu_record_dispatch(
        rec, &(struct gpu_dispatch){
                 .desc = &kernels[KERNEL_PAIR_SUM],
                 .spec = (const uint32_t[PAIR_SUM_N_SPEC]){ [PAIR_SUM_WG_SIZE] = rows_group_size(plan, 256) },
                 .buffers = { [PAIR_SUM_PAIRS] = pairs,
                              [PAIR_SUM_WEIGHTS] = rows_view(route->weights, 0, n_pairs * sizeof(float)),
                              [PAIR_SUM_M] = rows_view(m, 0, (uint64_t)n_tokens * params.m_stride * sizeof(float)) },
                 .params = &params,
                 .grid = { rows_div_up(params.n_fours, params.per_group), 1, 1 },
                 .work = n_pairs * params.n_cols,
                 .label = "pair_sum",
             });
}

void experts_down_record(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view m, struct gpu_view x,
                         const struct op_weight *w, const struct op_route *route, struct gpu_view scratch,
                         uint32_t n_tokens)
{
    const uint32_t n_pairs = n_tokens * route->n_used, slab = slab_rows(scratch.size_bytes, n_pairs, w->n_rows);
    if (slab == 0 || w->n_rows % 4 != 0) {
        struct karat_error err;
        gpu_record_fail(rec,
                        status_fail(&err, KARAT_ERR_INTERNAL,
                                    "experts_down: %u pairs of %u rows do not go through a scratch of %llu bytes",
                                    n_pairs, w->n_rows, (unsigned long long)scratch.size_bytes),
                        &err);
        return;
    }
    for (uint32_t first = 0; first < w->n_rows; first += slab) {
        const uint32_t n = rows_min(slab, w->n_rows - first);
        const struct gpu_view pairs = rows_view(scratch, 0, (uint64_t)n_pairs * n * sizeof(float));
        linear_record_experts(
            rec, plan, pairs, x, w, route,
            &(struct op_experts_shape){ .n_tokens = n_tokens, .x_per_pair = true, .first_row = first, .n_rows = n });
        record_pair_sum(rec, plan, m, pairs, route, n_tokens,
                        (struct pair_sum_params){ .n_cols = n, .m_stride = w->n_rows, .m_offset = first });
    }
}

void op_experts_down(struct gpu_recorder *rec, struct gpu_view m, struct gpu_view x, const struct op_weight *w,
                     const struct op_route *route, struct gpu_view scratch, uint32_t n_tokens)
{
    experts_down_record(rec, gpu_recorder_plan(rec), m, x, w, route, scratch, n_tokens);
}

void step_join(struct gpu_view *buffers, uint32_t *spec, struct join_params *params, struct gpu_view m,
               const struct op_join *join, uint32_t first_token, uint32_t n_tokens)
{
    const uint32_t n_cols = join->w_out->n;
    const uint64_t row_bytes = (uint64_t)n_cols * sizeof(float), at = first_token * row_bytes;
    const uint64_t size_bytes = n_tokens * row_bytes;
    buffers[JOIN_X] = rows_view(m, at, size_bytes);
    buffers[JOIN_R] = rows_view(join->r, at, size_bytes);
    buffers[JOIN_DENSE] = rows_view(join->dense, at, size_bytes);
    buffers[JOIN_W_DENSE] = join->w_dense->view;
    buffers[JOIN_W_EXPERTS] = join->w_experts->view;
    buffers[JOIN_W_OUT] = join->w_out->view;
    buffers[JOIN_SCALE] = join->scale ? join->scale->view : join->w_out->view;
    buffers[JOIN_W_NEXT] = join->w_next ? join->w_next->view : join->w_out->view;
    buffers[JOIN_Y] = rows_view(join->y, at, size_bytes);
    buffers[JOIN_NEXT] = rows_view(join->w_next ? join->next : join->y, at, size_bytes);
    spec[JOIN_HAS_SCALE] = join->scale != NULL;
    spec[JOIN_HAS_NEXT] = join->w_next != NULL;
    *params = (struct join_params){ .n_cols = n_cols, .eps = join->eps };
}

void op_join(struct gpu_recorder *rec, struct gpu_view m, const struct op_join *join)
{
    const struct gpu_plan *plan = gpu_recorder_plan(rec);
    const uint32_t n_cols = join->w_out->n, window = rows_per_window(plan, (uint64_t)n_cols * sizeof(float));
    for (uint32_t token = 0; token < join->n_tokens; token += window) {
        const uint32_t n = rows_min(window, join->n_tokens - token);
        uint32_t spec[1 + JOIN_N_SPEC] = { rows_group_size(plan, n_cols / 4) };
        struct join_params params;
        struct gpu_dispatch dispatch = {
            .desc = &kernels[KERNEL_JOIN],
            .spec = spec,
            .params = &params,
            .grid = { n, 1, 1 },
            .work = (uint64_t)n * n_cols * 12,
            .label = "join",
        };
        step_join(dispatch.buffers, spec + 1, &params, m, join, token, n);
        gpu_record_dispatch(rec, &dispatch);
    }
}

bool kernel_list_moe(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    const uint32_t experts = rows_group_size(plan, 128), cols = rows_group_size(plan, 2816 / 4);
    const uint32_t flat = rows_group_size(plan, 256);
    return visit(user, KERNEL_ROUTE, (uint32_t[]){ experts, 1 }) && visit(user, KERNEL_ROUTE_SORT, &experts) &&
           visit(user, KERNEL_PAIR_SUM, &flat) && visit(user, KERNEL_JOIN, (uint32_t[]){ cols, 1, 1 });
}
