// ops/tails.c -- products that go on with a step on the rows they have made: as their tail for few tokens, else in a
// dispatch of its own. See shaders/lib/tail.glsl.
#include "ops/tails.h"
#include "ops/choose.h"
#include "ops/kernels.h"
#include "ops/linear.h"
#include "ops/rope.h"
#include "ops/rows.h"
#include "ops/steps.h"
#include "shared/mat_vec_join.h"
#include "shared/mat_vec_tails.h"

// A product with a tail in the making.
struct tailed {
    struct linear_choice choice; // its specialisation values; those of the step follow
    struct mat_vec_params product;
    struct mat_vec_tail_params tail;
    struct gpu_dispatch dispatch;
};

static struct gpu_view counters_of(struct gpu_view counters, enum op_counters which)
{
    return rows_view(counters, which * OP_COUNTERS_EACH * 4ull, OP_COUNTERS_EACH * 4);
}

// Whole steps and whole workgroups: the least common multiple of the two.
static uint32_t rows_of_unit(uint32_t step_rows, uint32_t group_rows)
{
    uint32_t a = step_rows, b = group_rows;
    while (b > 0) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return step_rows / a * group_rows;
}

// Fills everything but the step. step_rows: rows of W that a step needs, 0: all. False: it does not work as a tail
// here.
static bool start(struct tailed *t, const struct gpu_plan *plan, enum kernel kernel, struct gpu_view y,
                  struct gpu_view x, const struct op_weight *w, struct gpu_view counters, uint32_t step_rows,
                  uint32_t n_tokens)
{
    *t = (struct tailed){ .choice = choose_few(plan, w->n_cols, n_tokens) };
    const uint32_t group_rows = t->choice.rows_per_group, n_groups = rows_div_up(w->n_rows, group_rows);
    const uint32_t unit_rows = step_rows > 0 ? rows_of_unit(step_rows, group_rows) : n_groups * group_rows;
    const uint32_t n_columns = rows_div_up(n_tokens, t->choice.cols_per_group);
    const enum kernel wanted = kernel_of(kernel, w->type);
    if (!choose_tail(plan, n_tokens) || w->n_segments != 1 || !kernels[wanted].code ||
        rows_div_up(w->n_rows, unit_rows) * n_columns > OP_COUNTERS_EACH)
        return false;
    t->product = linear_params(w, &w->segments[0]);
    t->product.n_tokens = n_tokens;
    t->product.x_stride = w->n_cols;
    t->product.y_stride = w->n_rows;
    t->tail = (struct mat_vec_tail_params){ n_groups, unit_rows / group_rows, unit_rows };
    const struct gpu_view made = rows_view(y, 0, (uint64_t)n_tokens * w->n_rows * sizeof(float));
    t->dispatch = (struct gpu_dispatch){
        .desc = &kernels[wanted],
        .buffers = { [MAT_VEC_X] = rows_view(x, 0, (uint64_t)n_tokens * w->n_cols * sizeof(float)),
                     [MAT_VEC_Y] = made,
                     [MAT_VEC_COUNTERS] = counters },
        .grid = { n_groups, n_columns, 1 },
        .work = (uint64_t)w->n_rows * w->n_cols * n_tokens,
        .bytes = linear_bytes(w, w->n_rows, n_tokens, n_tokens),
        .label = w->label ? w->label : "linear",
    };
    return true;
}

void tails_add_norm(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view z, struct gpu_view x,
                    const struct op_weight *w, const struct op_add_norm *add, struct gpu_view counters,
                    uint32_t n_tokens)
{
    struct tailed t;
    if (!start(&t, plan, KERNEL_MAT_VEC_ADD_NORM, z, x, w, counters_of(counters, OP_COUNTERS_ADD_NORM), 0, n_tokens)) {
        linear_record(rec, plan, z, x, w, &(struct op_linear_shape){ .n_tokens = n_tokens });
        op_add_norm(rec, z, add, n_tokens);
        return;
    }
    struct mat_vec_add_norm_params params = { .product = t.product, .tail = t.tail };
    step_add_norm(t.dispatch.buffers + MAT_VEC_STEP, t.choice.spec + MAT_VEC_STEP_SPEC, &params.step, z, add, 0,
                  n_tokens);
    t.dispatch.spec = t.choice.spec;
    t.dispatch.params = &params;
    gpu_record_dispatch(rec, &t.dispatch);
}

// Where workgroups of heads of one kind count themselves: the three projections of a layer run side by side.
static enum op_counters counters_of_heads(enum op_heads_to to)
{
    return to == OP_HEADS_QUERIES ? OP_COUNTERS_QUERIES : to == OP_HEADS_VALUES ? OP_COUNTERS_VALUES : OP_COUNTERS_KEYS;
}

// A cache that takes several bindings cannot be written by one dispatch.
static bool cache_is_whole(const struct gpu_plan *plan, const struct op_heads *heads)
{
    struct cache_window window;
    return heads->to == OP_HEADS_QUERIES ||
           cache_window(&window, heads->cache, plan->max_binding_bytes, 0) == heads->cache->n_slots;
}

void tails_heads(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view scratch, struct gpu_view x,
                 const struct op_weight *w, const struct op_heads *heads, struct gpu_view counters, uint32_t n_tokens)
{
    struct tailed t;
    if (!cache_is_whole(plan, heads) ||
        !start(&t, plan, KERNEL_MAT_VEC_HEADS, scratch, x, w, counters_of(counters, counters_of_heads(heads->to)),
               heads->head_size, n_tokens)) {
        linear_record(rec, plan, scratch, x, w, &(struct op_linear_shape){ .n_tokens = n_tokens });
        op_heads(rec, scratch, heads, n_tokens);
        return;
    }
    const bool cached = heads->to != OP_HEADS_QUERIES;
    struct cache_window window;
    if (cached)
        cache_window(&window, heads->cache, plan->max_binding_bytes, 0);
    struct mat_vec_heads_params params = { .product = t.product, .tail = t.tail };
    step_heads(t.dispatch.buffers + MAT_VEC_STEP, t.choice.spec + MAT_VEC_STEP_SPEC, &params.step, scratch, heads,
               cached ? &window : NULL, n_tokens);
    t.dispatch.spec = t.choice.spec;
    t.dispatch.params = &params;
    gpu_record_dispatch(rec, &t.dispatch);
}

void op_linear_heads_apart(struct gpu_recorder *rec, struct gpu_view scratch, struct gpu_view x,
                           const struct op_weight *w, const struct op_heads *heads, struct gpu_view counters,
                           uint32_t n_tokens)
{
    const struct gpu_plan *plan = gpu_recorder_plan(rec);
    const uint64_t x_bytes = (uint64_t)w->n_cols * sizeof(float), y_bytes = (uint64_t)w->n_rows * sizeof(float);
    struct tailed t;
    const bool has_tail =
        cache_is_whole(plan, heads) && start(&t, plan, KERNEL_MAT_VEC_HEADS, scratch, x, w,
                                             counters_of(counters, counters_of_heads(heads->to)), heads->head_size, 1);
    // A tail and the step by itself are compiled apart and differ in the last bits on some drivers. So what would have
    // a tail alone has it here, token by token: the weights come out of a cache from the second on.
    if (!has_tail)
        linear_record(rec, plan, scratch, x, w, &(struct op_linear_shape){ .n_tokens = n_tokens });
    for (uint32_t i = 0; i < n_tokens; ++i) {
        const struct gpu_view y = rows_view(scratch, i * y_bytes, y_bytes);
        if (has_tail)
            tails_heads(rec, plan, y, rows_view(x, i * x_bytes, x_bytes), w, &heads[i], counters, 1);
        else
            op_heads(rec, y, &heads[i], 1);
    }
}

void tails_route(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view logits, struct gpu_view x,
                 const struct op_weight *w, const struct op_route *route, const struct op_vector *expert_scale,
                 struct gpu_view counters, uint32_t n_tokens)
{
    struct tailed t;
    if (!start(&t, plan, KERNEL_MAT_VEC_ROUTE, logits, x, w, counters_of(counters, OP_COUNTERS_ROUTE), 0, n_tokens)) {
        linear_record(rec, plan, logits, x, w, &(struct op_linear_shape){ .n_tokens = n_tokens });
        op_route(rec, route, logits, expert_scale, n_tokens);
        return;
    }
    if (!step_route_check(rec, route))
        return;
    struct mat_vec_route_params params = { .product = t.product, .tail = t.tail };
    step_route(t.dispatch.buffers + MAT_VEC_STEP, t.choice.spec + MAT_VEC_STEP_SPEC, &params.step, logits, route,
               expert_scale, n_tokens);
    t.dispatch.spec = t.choice.spec;
    t.dispatch.params = &params;
    gpu_record_dispatch(rec, &t.dispatch);
    if (!choose_direct(plan, n_tokens, route->n_experts, route->n_used))
        route_sort_record(rec, plan, route, n_tokens);
}

void tails_join(struct gpu_recorder *rec, const struct gpu_plan *plan, struct gpu_view m, struct gpu_view x,
                const struct op_weight *w, const struct op_route *route, const struct op_join *join,
                struct gpu_view scratch, struct gpu_view counters)
{
    const uint32_t n_tokens = join->n_tokens, n_pairs = n_tokens * route->n_used;
    if (!choose_tail(plan, n_tokens) || !choose_direct(plan, n_tokens, route->n_experts, route->n_used)) {
        experts_down_record(rec, plan, m, x, w, route, scratch, n_tokens);
        op_join(rec, m, join);
        return;
    }
    struct linear_choice choice = choose_join(plan, w->n_cols, route->n_used);
    const uint32_t n_groups = rows_div_up(w->n_rows, choice.rows_per_group);
    struct mat_vec_join_all_params params = { .product = { .row_bytes = w->row_bytes,
                                                           .n_rows = w->n_rows,
                                                           .n_groups = w->n_cols / 32,
                                                           .n_used = route->n_used,
                                                           .n_workgroups = n_groups } };
    struct gpu_dispatch dispatch = {
        .desc = &kernels[kernel_of(choice.kernel, w->type)],
        .spec = choice.spec,
        .buffers = { [MAT_VEC_X] = rows_view(x, 0, (uint64_t)n_pairs * w->n_cols * sizeof(float)),
                     [MAT_VEC_Y] = m,
                     [MAT_VEC_JOIN_IDS] = rows_view(route->ids, 0, n_pairs * sizeof(uint32_t)),
                     [MAT_VEC_JOIN_WEIGHTS] = rows_view(route->weights, 0, n_pairs * sizeof(float)),
                     [MAT_VEC_JOIN_PLANES] = w->planes,
                     [MAT_VEC_JOIN_COUNTERS] = counters_of(counters, OP_COUNTERS_JOIN) },
        .params = &params,
        .grid = { n_groups, n_tokens, 1 },
        .work = (uint64_t)w->n_rows * w->n_cols * n_pairs,
        .bytes = linear_experts_bytes(w, w->n_rows, n_pairs, n_pairs, n_tokens),
        .label = w->label ? w->label : "linear_experts",
    };
    step_join(dispatch.buffers + MAT_VEC_JOIN_STEP, choice.spec + MAT_VEC_JOIN_STEP_SPEC, &params.step, m, join, 0,
              n_tokens);
    gpu_record_dispatch(rec, &dispatch);
}

// ------------------------------------------------------------------------------------------------ ops

static const struct gpu_plan *plan_of(const struct gpu_recorder *rec)
{
    return gpu_recorder_plan(rec);
}

void op_linear_add_norm(struct gpu_recorder *rec, struct gpu_view z, struct gpu_view x, const struct op_weight *w,
                        const struct op_add_norm *add, struct gpu_view counters, uint32_t n_tokens)
{
    tails_add_norm(rec, plan_of(rec), z, x, w, add, counters, n_tokens);
}

void op_linear_heads(struct gpu_recorder *rec, struct gpu_view scratch, struct gpu_view x, const struct op_weight *w,
                     const struct op_heads *heads, struct gpu_view counters, uint32_t n_tokens)
{
    tails_heads(rec, plan_of(rec), scratch, x, w, heads, counters, n_tokens);
}

void op_linear_route(struct gpu_recorder *rec, struct gpu_view logits, struct gpu_view x, const struct op_weight *w,
                     const struct op_route *route, const struct op_vector *expert_scale, struct gpu_view counters,
                     uint32_t n_tokens)
{
    tails_route(rec, plan_of(rec), logits, x, w, route, expert_scale, counters, n_tokens);
}

void op_experts_join(struct gpu_recorder *rec, struct gpu_view m, struct gpu_view x, const struct op_weight *w,
                     const struct op_route *route, const struct op_join *join, struct gpu_view scratch,
                     struct gpu_view counters)
{
    tails_join(rec, plan_of(rec), m, x, w, route, join, scratch, counters);
}

// ------------------------------------------------------------------------------------------------ listing

// What decode uses of a format: a single token, and as many as a draft has.
bool kernel_list_tails(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    static const uint32_t n_tokens[] = { 1, 4 };
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        struct linear_choice choice = choose_join(plan, 704, 8), gated;
        const bool is_gated = choose_gated(&gated, plan, 2816, 1);
        const struct linear_choice pairs = choose_pairs(plan, 2816, is_gated);
        choice.spec[MAT_VEC_JOIN_STEP_SPEC] = choice.spec[MAT_VEC_JOIN_STEP_SPEC + 1] = true;
        if ((choose_tail(plan, 1) && !visit(user, kernel_of(choice.kernel, (enum qtype)type), choice.spec)) ||
            !visit(user, kernel_of(pairs.kernel, (enum qtype)type), pairs.spec) ||
            (is_gated && !visit(user, kernel_of(gated.kernel, (enum qtype)type), gated.spec)))
            return false;
        for (size_t i = 0; i < COUNT(n_tokens) && choose_tail(plan, n_tokens[i]); ++i) {
            choice = choose_few(plan, 2816, n_tokens[i]);
            uint32_t *step = choice.spec + MAT_VEC_STEP_SPEC;
            step[ADD_NORM_N_NORMS] = 3;
            if (!visit(user, kernel_of(KERNEL_MAT_VEC_ADD_NORM, (enum qtype)type), choice.spec))
                return false;
            step[HEADS_TURNED] = step[HEADS_CACHED] = step[HEADS_F16] = true;
            step[HEADS_BOTH] = false;
            if (!visit(user, kernel_of(KERNEL_MAT_VEC_HEADS, (enum qtype)type), choice.spec))
                return false;
            step[ROUTE_HAS_SCALE] = true;
            const enum kernel route = kernel_of(KERNEL_MAT_VEC_ROUTE, (enum qtype)type);
            if (kernels[route].code && !visit(user, route, choice.spec))
                return false;
        }
    }
    return true;
}
