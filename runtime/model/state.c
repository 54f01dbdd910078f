// model/state.c -- the caches of one timeline and the scratch of one step.
#include "model/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/scratch.h"

// Of offsets in the arena; no device asks for more.
#define ALIGNMENT 256
// Steps as short as this always have room for every scratch beside the others: a token, or a few drafted ones.
#define SPREAD_MIN 8

// ------------------------------------------------------------------------------------------------ sizes

// Largest widths over the layers, so that all layers share one set of scratch.
struct widths {
    uint64_t q, kv, ff, head;
    uint32_t n_heads;
};

static struct widths find_widths(const struct gemma_shape *shape)
{
    struct widths w = { 0 };
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const struct gemma_layer_shape *l = &shape->layers[i];
        const uint64_t q = (uint64_t)l->n_heads * l->head_size, kv = (uint64_t)l->n_kv_heads * l->head_size;
        w.q = q > w.q ? q : w.q;
        w.kv = kv > w.kv ? kv : w.kv;
        w.ff = l->n_ff > w.ff ? l->n_ff : w.ff;
        w.head = l->head_size > w.head ? l->head_size : w.head;
        w.n_heads = l->n_heads > w.n_heads ? l->n_heads : w.n_heads;
    }
    return w;
}

static uint64_t attention_bytes(const struct widths *w, const struct gpu_plan *plan, uint32_t n_tokens)
{
    return op_attention_scratch_bytes(plan, n_tokens, w->n_heads, (uint32_t)w->head);
}

uint64_t attention_part_bytes(const struct gemma_shape *shape, const struct gpu_plan *plan)
{
    const struct widths w = find_widths(shape);
    return (attention_bytes(&w, plan, 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

// Bytes of one scratch in steps of up to `t` tokens and n_rows rows of scores; the order of enum scratch.
static uint64_t scratch_bytes(enum scratch which, const struct gemma_shape *shape, uint32_t n_tokens, uint32_t n_rows,
                              uint32_t n_parts, const struct gpu_plan *plan)
{
    const struct widths w = find_widths(shape);
    const uint64_t t = n_tokens, pairs = t * shape->n_experts_used, f32 = sizeof(float);
    uint64_t route[4] = { 0 };
    if (which >= SCRATCH_ROUTE_IDS && which <= SCRATCH_ROUTE_TILES && shape->n_experts > 0)
        op_route_bytes(route, plan, n_tokens, shape->n_experts, shape->n_experts_used);
    switch (which) {
    case SCRATCH_H:
    case SCRATCH_MID:
    case SCRATCH_NORM:
    case SCRATCH_OUT:
        return t * shape->n_embd * f32;
    case SCRATCH_NORM_ROUTER:
    case SCRATCH_NORM_EXPERTS:
    case SCRATCH_EXPERT_SUM:
        return shape->n_experts > 0 ? t * shape->n_embd * f32 : 0;
    case SCRATCH_Q_RAW:
    case SCRATCH_Q:
    case SCRATCH_ATTENDED:
        return t * w.q * f32;
    case SCRATCH_K_RAW:
    case SCRATCH_V_RAW:
        return t * w.kv * f32;
    case SCRATCH_ATTENTION:
        return n_parts > 1 ? n_parts * attention_part_bytes(shape, plan) : attention_bytes(&w, plan, n_tokens);
    case SCRATCH_GATE_UP:
        return t * 2 * w.ff * f32;
    case SCRATCH_ACTIVE:
        return t * w.ff * f32;
    case SCRATCH_ROUTER:
        return t * shape->n_experts * f32;
    case SCRATCH_ROUTE_IDS:
    case SCRATCH_ROUTE_WEIGHTS:
    case SCRATCH_ROUTE_ORDER:
    case SCRATCH_ROUTE_TILES:
        return route[which - SCRATCH_ROUTE_IDS];
    case SCRATCH_EXPERT_GATE_UP:
        return pairs * 2 * shape->n_ff_expert * f32;
    case SCRATCH_EXPERT_ACTIVE:
        return pairs * shape->n_ff_expert * f32;
    case SCRATCH_EXPERT_OUT:
        return op_experts_down_scratch_bytes(n_tokens, shape->n_experts_used, shape->n_embd);
    case SCRATCH_HEAD_IN:
        return (uint64_t)n_rows * shape->n_embd * f32;
    case SCRATCH_HEAD_RAW:
    case SCRATCH_SCORES:
        return (uint64_t)n_rows * shape->n_vocab * f32;
    case SCRATCH_COUNT:
        break;
    }
    return 0;
}

// Kernels bind these whole; everything else is cut into windows where it is larger than a binding.
static bool is_bound_whole(enum scratch which)
{
    switch (which) {
    case SCRATCH_Q_RAW:
    case SCRATCH_Q:
    case SCRATCH_K_RAW:
    case SCRATCH_V_RAW:
    case SCRATCH_ATTENTION:
    case SCRATCH_EXPERT_GATE_UP:
    case SCRATCH_EXPERT_ACTIVE:
    case SCRATCH_EXPERT_OUT:
    case SCRATCH_EXPERT_SUM:
        return true;
    default:
        return false;
    }
}

static void list_spans(struct scratch_span spans[SCRATCH_COUNT], const struct gemma_shape *shape, uint32_t n_tokens,
                       uint32_t n_rows, uint32_t n_parts, const struct gpu_plan *plan)
{
    static const uint32_t alive[SCRATCH_COUNT] = {
#define SCRATCH_ALIVE(name, text, phases) [SCRATCH_##name] = (phases),
        SCRATCH_LIST(SCRATCH_ALIVE)
#undef SCRATCH_ALIVE
    };
    for (int i = 0; i < SCRATCH_COUNT; ++i)
        spans[i] =
            (struct scratch_span){ scratch_bytes((enum scratch)i, shape, n_tokens, n_rows, n_parts, plan), alive[i] };
}

// The arena for all steps that the options allow, and where everything lies in it.
struct layout {
    uint64_t arena_bytes;
    uint32_t n_spread; // steps of up to so many tokens are spread, longer ones packed
    struct scratch_span spread[SCRATCH_COUNT], packed[SCRATCH_COUNT];
    uint64_t spread_at[SCRATCH_COUNT], packed_at[SCRATCH_COUNT];
};

static uint64_t lay_spread(struct layout *out, const struct gemma_shape *shape,
                           const struct gemma_state_options *options, const struct gpu_plan *plan)
{
    const uint32_t n = out->n_spread;
    list_spans(out->spread, shape, n, n < options->n_rows ? n : options->n_rows, options->n_parts, plan);
    return scratch_spread(out->spread_at, out->spread, SCRATCH_COUNT, ALIGNMENT);
}

static void lay_out(struct layout *out, const struct gemma_shape *shape, const struct gemma_state_options *options,
                    const struct gpu_plan *plan)
{
    list_spans(out->packed, shape, options->n_batch, options->n_rows, options->n_parts, plan);
    out->arena_bytes = scratch_pack(out->packed_at, out->packed, SCRATCH_COUNT, ALIGNMENT);
    out->n_spread = options->n_batch < SPREAD_MIN ? options->n_batch : SPREAD_MIN;
    const uint64_t least = lay_spread(out, shape, options, plan);
    out->arena_bytes = least > out->arena_bytes ? least : out->arena_bytes;
    // What the long steps need anyway serves longer ones, too.
    for (out->n_spread = options->n_batch; lay_spread(out, shape, options, plan) > out->arena_bytes;)
        out->n_spread = out->n_spread / 2 > SPREAD_MIN ? out->n_spread / 2 : SPREAD_MIN;
}

static uint32_t ring_slots(const struct gemma_shape *shape, const struct gemma_state_options *options)
{
    const uint64_t wanted = (uint64_t)shape->window + options->n_batch;
    return wanted < options->n_context ? (uint32_t)wanted : options->n_context;
}

static struct op_cache cache_shape(const struct gemma_shape *shape, uint32_t layer,
                                   const struct gemma_state_options *options)
{
    const struct gemma_layer_shape *l = &shape->layers[layer];
    return (struct op_cache){
        .type = options->cache,
        .n_slots = l->sliding ? ring_slots(shape, options) : options->n_context,
        .n_kv_heads = l->n_kv_heads,
        .head_size = l->head_size,
    };
}

static uint64_t counters_bytes(const struct gemma_state_options *options)
{
    return (uint64_t)OP_COUNTERS_BYTES * (options->n_parts > 1 ? options->n_parts : 1);
}

struct gemma_state_bytes gemma_state_size(const struct gemma_shape *shape, const struct gemma_state_options *options,
                                          const struct gpu_plan *plan)
{
    struct gemma_state_bytes total = { 0 };
    struct layout layout;
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const struct op_cache cache = cache_shape(shape, i, options);
        total.cache += op_cache_bytes(&cache);
    }
    lay_out(&layout, shape, options, plan);
    total.scratch = layout.arena_bytes;
    total.scratch += counters_bytes(options) + feedback_bytes(shape, options->n_batch, options->n_parts);
    return total;
}

static bool fits_device(const struct gemma_shape *shape, const struct gemma_state_options *options,
                        const struct gpu_plan *plan)
{
    struct layout layout;
    lay_out(&layout, shape, options, plan);
    for (int i = 0; i < SCRATCH_COUNT; ++i)
        if (is_bound_whole((enum scratch)i) && layout.packed[i].size_bytes > plan->max_binding_bytes)
            return false;
    return layout.arena_bytes <= plan->max_allocation_bytes;
}

void gemma_state_fit(struct gemma_state_options *options, const struct gemma_shape *shape, const struct gpu_plan *plan)
{
    const uint32_t n_rows = options->n_rows;
    options->n_rows = 1;
    while (options->n_batch > 1 && !fits_device(shape, options, plan))
        options->n_batch = (options->n_batch + 1) / 2;
    options->n_rows = n_rows < options->n_batch ? n_rows : options->n_batch;
    while (options->n_rows > 1 && !fits_device(shape, options, plan))
        options->n_rows = (options->n_rows + 1) / 2;
}

// ------------------------------------------------------------------------------------------------ life

static void place(struct gpu_view views[SCRATCH_COUNT], struct gpu_buffer *arena, const struct scratch_span *spans,
                  const uint64_t *offsets)
{
    for (int i = 0; i < SCRATCH_COUNT; ++i)
        views[i] = (struct gpu_view){ spans[i].size_bytes > 0 ? arena : NULL, offsets[i], spans[i].size_bytes };
}

// Lays the scratch out in the arena, which may not be there yet; returns how large it must be.
static uint64_t place_scratch(struct gemma_workspace *workspace, const struct gemma_shape *shape,
                              const struct gpu_plan *plan)
{
    struct layout layout;
    lay_out(&layout, shape, &workspace->options, plan);
    workspace->n_spread = layout.n_spread;
    place(workspace->spread, workspace->arena, layout.spread, layout.spread_at);
    place(workspace->packed, workspace->arena, layout.packed, layout.packed_at);
    return layout.arena_bytes;
}

static enum karat_status outline_workspace(struct gemma_workspace **out, const struct gemma_shape *shape,
                                           const struct gemma_state_options *options, const struct gpu_plan *plan,
                                           struct karat_error *err)
{
    struct gemma_workspace *workspace = *out = calloc(1, sizeof *workspace);
    if (!workspace)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the state of a session");
    workspace->options = *options;
    place_scratch(workspace, shape, plan);
    workspace->counters.size_bytes = counters_bytes(options);
    return KARAT_OK;
}

enum karat_status gemma_workspace_create(struct gemma_workspace **out, const struct gemma_shape *shape,
                                         const struct gemma_state_options *options, struct gpu_device *device,
                                         struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gemma_workspace *workspace = NULL;
    const struct gpu_plan *plan = gpu_device_plan(device);
    const uint64_t scores_bytes = (uint64_t)options->n_rows * shape->n_vocab * sizeof(float);
    *out = NULL;
    TRY(outline_workspace(&workspace, shape, options, plan, err));
    const uint64_t arena_bytes = place_scratch(workspace, shape, plan);
    TRY(gpu_buffer_create(&workspace->arena, device,
                          &(struct gpu_buffer_options){ arena_bytes, GPU_MEMORY_DEVICE, "scratch" }, err));
    place_scratch(workspace, shape, plan);
    TRY(gpu_buffer_create(&workspace->counters.buffer, device,
                          &(struct gpu_buffer_options){ counters_bytes(options), GPU_MEMORY_DEVICE, "counters" }, err));
    TRY(feedback_create(&workspace->feedback, shape, options->n_batch, options->n_parts, device, err));
    if (scores_bytes > 0)
        TRY(gpu_buffer_create(&workspace->scores, device,
                              &(struct gpu_buffer_options){ scores_bytes, GPU_MEMORY_READBACK, "scores" }, err));
    *out = workspace;
    workspace = NULL;
cleanup:
    gemma_workspace_destroy(workspace);
    return status;
}

void gemma_workspace_destroy(struct gemma_workspace *workspace)
{
    if (!workspace)
        return;
    gpu_buffer_destroy(workspace->arena);
    gpu_buffer_destroy(workspace->counters.buffer);
    feedback_destroy(&workspace->feedback);
    gpu_buffer_destroy(workspace->scores);
    free(workspace);
}

enum karat_status state_create_caches(struct gemma_state *state, enum gpu_memory memory, struct gpu_device *device,
                                      struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (uint32_t i = 0; i < state->n_layers; ++i) {
        struct op_cache *cache = &state->caches[i];
        char name[64];
        const uint64_t half_bytes = op_cache_bytes(cache) / 2;
        if (half_bytes == 0)
            continue;
        snprintf(name, sizeof name, "keys of layer %" PRIu32, i);
        TRY(gpu_buffer_create(&cache->keys, device, &(struct gpu_buffer_options){ half_bytes, memory, name }, err));
        snprintf(name, sizeof name, "values of layer %" PRIu32, i);
        TRY(gpu_buffer_create(&cache->values, device, &(struct gpu_buffer_options){ half_bytes, memory, name }, err));
    }
cleanup:
    return status;
}

// The caches' shapes without their buffers.
static enum karat_status outline_caches(struct gemma_state **out, const struct gemma_shape *shape,
                                        const struct gemma_state_options *options, struct karat_error *err)
{
    *out = NULL;
    struct gemma_state *state = calloc(1, sizeof *state);
    struct op_cache *caches = calloc(shape->n_layers, sizeof *caches);
    if (!state || !caches) {
        free(state);
        free(caches);
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the state of a session");
    }
    state->n_context = options->n_context;
    state->n_layers = shape->n_layers;
    state->n_ring = ring_slots(shape, options);
    state->caches = caches;
    for (uint32_t i = 0; i < shape->n_layers; ++i)
        caches[i] = cache_shape(shape, i, options);
    *out = state;
    return KARAT_OK;
}

enum karat_status gemma_state_outline(struct gemma_state **out, const struct gemma_shape *shape,
                                      const struct gemma_state_options *options, const struct gpu_plan *plan,
                                      struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gemma_state *state = NULL;
    *out = NULL;
    TRY(outline_caches(&state, shape, options, err));
    TRY(outline_workspace(&state->own, shape, options, plan, err));
    state->workspace = state->own;
    *out = state;
    state = NULL;
cleanup:
    gemma_state_destroy(state);
    return status;
}

enum karat_status gemma_state_create(struct gemma_state **out, const struct gemma_shape *shape,
                                     const struct gemma_state_options *options, struct gemma_workspace *workspace,
                                     struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gemma_state *state = NULL;
    *out = NULL;
    TRY(outline_caches(&state, shape, options, err));
    TRY(state_create_caches(state, GPU_MEMORY_DEVICE, device, err));
    if (!workspace)
        TRY(gemma_workspace_create(&state->own, shape, options, device, err));
    state->workspace = workspace ? workspace : state->own;
    *out = state;
    state = NULL;
cleanup:
    gemma_state_destroy(state);
    return status;
}

void gemma_state_destroy(struct gemma_state *state)
{
    if (!state)
        return;
    for (uint32_t i = 0; state->caches && i < state->n_layers; ++i) {
        gpu_buffer_destroy(state->caches[i].keys);
        gpu_buffer_destroy(state->caches[i].values);
    }
    gemma_workspace_destroy(state->own);
    free(state->caches);
    free(state);
}

uint32_t gemma_state_ring(const struct gemma_state *state)
{
    return state->n_ring;
}

const float *gemma_state_scores(const struct gemma_state *state)
{
    return gemma_workspace_scores(state->workspace);
}

const float *gemma_workspace_scores(const struct gemma_workspace *workspace)
{
    return gpu_buffer_map(workspace->scores);
}

uint64_t gemma_cache_bytes_read(const struct gemma_shape *shape, const struct gemma_state *state, uint32_t position)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const struct op_cache *cache = &state->caches[i];
        const uint64_t seen = (uint64_t)position + 1;
        const uint64_t read = shape->layers[i].sliding && seen > shape->window ? shape->window : seen;
        total += op_cache_bytes(cache) / cache->n_slots * read;
    }
    return total;
}
