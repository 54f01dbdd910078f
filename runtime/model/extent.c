// model/extent.c -- some positions of a timeline, kept in a state of their own, and how they are copied.
//
// A state of n slots to a layer holds position p in slot p % n, whatever n is: so a ring, a whole timeline and what was
// kept of either are copied into each other alike.
#include <assert.h>
#include <stdlib.h>

#include "model/state.h"

static struct op_cache extent_cache(const struct gemma_shape *shape, uint32_t layer, const struct gemma_extent *extent,
                                    enum op_cache_type type)
{
    const struct gemma_layer_shape *l = &shape->layers[layer];
    return (struct op_cache){
        .type = type,
        .n_slots = l->sliding ? extent->end - extent->first : extent->n_full,
        .n_kv_heads = l->n_kv_heads,
        .head_size = l->head_size,
    };
}

uint64_t gemma_extent_bytes(const struct gemma_shape *shape, const struct gemma_extent *extent, enum op_cache_type type)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const struct op_cache cache = extent_cache(shape, i, extent, type);
        total += op_cache_bytes(&cache);
    }
    return total;
}

enum karat_status gemma_state_create_extent(struct gemma_state **out, const struct gemma_shape *shape,
                                            const struct gemma_extent *extent, enum op_cache_type type,
                                            enum gpu_memory memory, struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gemma_state *state = calloc(1, sizeof *state);
    *out = NULL;
    if (!state || !(state->caches = calloc(shape->n_layers, sizeof *state->caches)))
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for a part of a timeline"));
    state->n_layers = shape->n_layers;
    for (uint32_t i = 0; i < shape->n_layers; ++i)
        state->caches[i] = extent_cache(shape, i, extent, type);
    TRY(state_create_caches(state, memory, device, err));
    *out = state;
    state = NULL;
cleanup:
    gemma_state_destroy(state);
    return status;
}

static uint64_t position_bytes(const struct op_cache *cache) // of keys or of values
{
    struct op_cache one = *cache;
    one.n_slots = 1;
    return op_cache_bytes(&one) / 2;
}

static struct gpu_view slots_view(struct gpu_buffer *half, uint64_t slot_bytes, uint32_t first, uint32_t n)
{
    return (struct gpu_view){ half, first * slot_bytes, n * slot_bytes };
}

// In runs that neither of the two breaks off at the end of its slots.
static void copy_positions(struct gpu_recorder *rec, const struct op_cache *to, const struct op_cache *from,
                           uint32_t first, uint32_t end)
{
    const uint64_t bytes = position_bytes(to);
    assert(to->type == from->type && end - first <= to->n_slots && end - first <= from->n_slots);
    for (uint32_t p = first, n; p < end; p += n) {
        const uint32_t at = p % to->n_slots, from_at = p % from->n_slots;
        n = end - p;
        n = n < to->n_slots - at ? n : to->n_slots - at;
        n = n < from->n_slots - from_at ? n : from->n_slots - from_at;
        gpu_record_copy(rec, slots_view(to->keys, bytes, at, n), slots_view(from->keys, bytes, from_at, n));
        gpu_record_copy(rec, slots_view(to->values, bytes, at, n), slots_view(from->values, bytes, from_at, n));
    }
}

void gemma_state_copy(struct gpu_recorder *rec, const struct gemma_shape *shape, struct gemma_state *to,
                      const struct gemma_state *from, const struct gemma_extent *extent)
{
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const bool sliding = shape->layers[i].sliding;
        copy_positions(rec, &to->caches[i], &from->caches[i], sliding ? extent->first : 0,
                       sliding ? extent->end : extent->n_full);
    }
}
