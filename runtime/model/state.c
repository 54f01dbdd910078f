// model/state.c -- the caches of one timeline and the scratch of one step.
#include "model/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// ------------------------------------------------------------------------------------------------ sizes

// Largest widths over the layers, so that all layers share one set of scratch buffers.
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

// Bytes of one scratch buffer; the order of enum scratch.
static uint64_t scratch_bytes(enum scratch which, const struct gemma_shape *shape,
                              const struct gemma_state_options *options, const struct gpu_device *device)
{
    const struct widths w = find_widths(shape);
    const uint64_t t = options->n_batch, pairs = t * shape->n_experts_used, f32 = sizeof(float);
    uint64_t route[4] = { 0 };
    if (which >= SCRATCH_ROUTE_IDS && which <= SCRATCH_ROUTE_TILES && shape->n_experts > 0)
        op_route_bytes(route, device, options->n_batch, shape->n_experts, shape->n_experts_used);
    switch (which) {
    case SCRATCH_H:
    case SCRATCH_MID:
    case SCRATCH_NORM:
    case SCRATCH_OUT:
        return t * shape->n_embd * f32;
    case SCRATCH_NORM_ROUTER:
    case SCRATCH_NORM_EXPERTS:
    case SCRATCH_EXPERTS_SUM:
        return shape->n_experts > 0 ? t * shape->n_embd * f32 : 0;
    case SCRATCH_Q_RAW:
    case SCRATCH_Q:
    case SCRATCH_ATTENDED:
        return t * w.q * f32;
    case SCRATCH_K_RAW:
    case SCRATCH_V_RAW:
        return t * w.kv * f32;
    case SCRATCH_ATTENTION:
        return op_attention_scratch_bytes(device, options->n_batch, w.n_heads, (uint32_t)w.head);
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
        return pairs * shape->n_embd * f32;
    case SCRATCH_HEAD_IN:
        return (uint64_t)options->n_rows * shape->n_embd * f32;
    case SCRATCH_HEAD_RAW:
    case SCRATCH_SCORES:
        return (uint64_t)options->n_rows * shape->n_vocab * f32;
    case SCRATCH_COUNT:
        break;
    }
    return 0;
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

struct gemma_state_bytes gemma_state_size(const struct gemma_shape *shape, const struct gemma_state_options *options,
                                          const struct gpu_device *device)
{
    struct gemma_state_bytes total = { 0 };
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const struct op_cache cache = cache_shape(shape, i, options);
        total.cache += op_cache_bytes(&cache);
    }
    for (int i = 0; i < SCRATCH_COUNT; ++i)
        total.scratch += scratch_bytes((enum scratch)i, shape, options, device);
    total.scratch += OP_COUNTERS_BYTES;
    return total;
}

uint32_t gemma_batch_max(const struct gemma_shape *shape, const struct gpu_device *device, uint32_t wanted)
{
    const uint64_t limit = gpu_device_plan(device)->max_binding_bytes;
    struct gemma_state_options options = { .n_batch = wanted, .n_rows = 0 };
    while (options.n_batch > 1) {
        uint64_t largest = 0;
        for (int i = 0; i < SCRATCH_COUNT; ++i) {
            const uint64_t bytes = scratch_bytes((enum scratch)i, shape, &options, device);
            largest = bytes > largest ? bytes : largest;
        }
        if (largest <= limit)
            break;
        options.n_batch = (options.n_batch + 1) / 2;
    }
    return options.n_batch;
}

// ------------------------------------------------------------------------------------------------ life

static const char *const scratch_names[SCRATCH_COUNT] = {
#define SCRATCH_NAME(name, text) [SCRATCH_##name] = (text),
    SCRATCH_LIST(SCRATCH_NAME)
#undef SCRATCH_NAME
};

static enum karat_status create_scratch(struct gemma_state *state, const struct gemma_shape *shape,
                                        struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (int i = 0; i < SCRATCH_COUNT; ++i) {
        const uint64_t size_bytes = scratch_bytes((enum scratch)i, shape, &state->options, device);
        if (size_bytes == 0)
            continue;
        struct gpu_buffer *buffer = NULL;
        const struct gpu_buffer_options options = { size_bytes, GPU_MEMORY_DEVICE, scratch_names[i] };
        TRY(gpu_buffer_create(&buffer, device, &options, err));
        state->scratch[i] = (struct gpu_view){ buffer, 0, size_bytes };
    }
    state->counters.size_bytes = OP_COUNTERS_BYTES;
    TRY(gpu_buffer_create(&state->counters.buffer, device,
                          &(struct gpu_buffer_options){ OP_COUNTERS_BYTES, GPU_MEMORY_DEVICE, "counters" }, err));
cleanup:
    return status;
}

static enum karat_status create_caches(struct gemma_state *state, const struct gemma_shape *shape,
                                       struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        struct op_cache *cache = &state->caches[i];
        char name[64];
        *cache = cache_shape(shape, i, &state->options);
        const uint64_t half_bytes = op_cache_bytes(cache) / 2;
        snprintf(name, sizeof name, "keys of layer %" PRIu32, i);
        TRY(gpu_buffer_create(&cache->keys, device, &(struct gpu_buffer_options){ half_bytes, GPU_MEMORY_DEVICE, name },
                              err));
        snprintf(name, sizeof name, "values of layer %" PRIu32, i);
        TRY(gpu_buffer_create(&cache->values, device,
                              &(struct gpu_buffer_options){ half_bytes, GPU_MEMORY_DEVICE, name }, err));
    }
cleanup:
    return status;
}

static enum karat_status create_host_buffers(struct gemma_state *state, const struct gemma_shape *shape,
                                             struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const uint64_t ids_bytes = (uint64_t)state->options.n_batch * sizeof(uint32_t);
    const uint64_t scores_bytes = (uint64_t)state->options.n_rows * shape->n_vocab * sizeof(float);
    TRY(gpu_buffer_create(&state->ids, device,
                          &(struct gpu_buffer_options){ ids_bytes, GPU_MEMORY_UPLOAD, "token ids" }, err));
    TRY(gpu_buffer_create(&state->step, device,
                          &(struct gpu_buffer_options){ OP_STEP_BYTES, GPU_MEMORY_UPLOAD, "step" }, err));
    if (scores_bytes > 0)
        TRY(gpu_buffer_create(&state->scores, device,
                              &(struct gpu_buffer_options){ scores_bytes, GPU_MEMORY_READBACK, "scores" }, err));
cleanup:
    return status;
}

enum karat_status gemma_state_create(struct gemma_state **out, const struct gemma_shape *shape,
                                     const struct gemma_state_options *options, struct gpu_device *device,
                                     struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    struct gemma_state *state = calloc(1, sizeof *state);
    if (!state)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the state of a session");
    state->options = *options;
    state->n_layers = shape->n_layers;
    state->n_ring = ring_slots(shape, options);
    state->caches = calloc(shape->n_layers, sizeof *state->caches);
    if (!state->caches)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for the state of a session"));
    TRY(create_caches(state, shape, device, err));
    TRY(create_scratch(state, shape, device, err));
    TRY(create_host_buffers(state, shape, device, err));
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
    for (int i = 0; i < SCRATCH_COUNT; ++i)
        gpu_buffer_destroy(state->scratch[i].buffer);
    gpu_buffer_destroy(state->counters.buffer);
    gpu_buffer_destroy(state->ids);
    gpu_buffer_destroy(state->step);
    gpu_buffer_destroy(state->scores);
    free(state->caches);
    free(state);
}

uint32_t gemma_state_ring(const struct gemma_state *state)
{
    return state->n_ring;
}

const float *gemma_state_scores(const struct gemma_state *state)
{
    return gpu_buffer_map(state->scores);
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
