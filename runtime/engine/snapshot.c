// engine/snapshot.c -- see snapshot.h.
#include "engine/snapshot.h"

#include <stdlib.h>

#include "base/log.h"
#include "engine/engine.h"

#define GIB ((uint64_t)1 << 30)
#define HOST_MAX (4 * GIB) // of memory that programs share

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// Memory that the device reaches and that is not its own.
static uint64_t host_heap_bytes(const struct gpu_plan *plan, const struct gpu_snapshot *seen)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < seen->n_heaps; ++i)
        if (i != plan->heap && !seen->heaps[i].device_local && seen->heaps[i].size_bytes > most)
            most = seen->heaps[i].size_bytes;
    return most;
}

struct snapshot_bytes snapshot_budget(const struct gpu_plan *plan, const struct gpu_snapshot *seen, uint64_t free_bytes,
                                      uint64_t wish)
{
    const bool shared = plan->unified || plan->cpu;
    const uint64_t host = shared ? 0 : host_heap_bytes(plan, seen);
    if (wish > 0) {
        const uint64_t device = smaller(wish, free_bytes);
        return (struct snapshot_bytes){ device, smaller(wish - device, host) };
    }
    if (shared)
        return (struct snapshot_bytes){ smaller(free_bytes / 4, HOST_MAX), 0 };
    return (struct snapshot_bytes){ free_bytes / 2, smaller(host / 8, HOST_MAX) };
}

enum karat_status snapshot_store_create(struct snapshot_store **out, const struct karat_model *model,
                                        enum op_cache_type cache, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct snapshot_store *store = calloc(1, sizeof *store);
    *out = NULL;
    if (!store)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for what is kept of prompts");
    store->model = model;
    store->cache = cache;
    TRY(gpu_recorder_create(&store->recorder, model->device, err));
    *out = store;
    store = NULL;
cleanup:
    snapshot_store_destroy(store);
    return status;
}

bool snapshot_store_give_up(struct snapshot_store *store)
{
    return store->give_up && store->give_up(store->user);
}

uint64_t snapshot_store_used(const struct snapshot_store *store)
{
    return store->all.device - store->left.device + store->all.host - store->left.host;
}

void snapshot_store_destroy(struct snapshot_store *store)
{
    if (!store)
        return;
    gpu_recorder_destroy(store->recorder);
    free(store);
}

void snapshot_store_set_budget(struct snapshot_store *store, uint64_t wish)
{
    const struct gpu_device *device = store->model->device;
    store->all =
        snapshot_budget(gpu_device_plan(device), gpu_device_snapshot(device), session_free_bytes(store->model), wish);
    store->left = store->all;
}

static bool holds(const struct snapshot_store *store, const struct gemma_extent *extent, struct snapshot_bytes room)
{
    const uint64_t bytes = gemma_extent_bytes(&store->model->shape, extent, store->cache);
    return bytes <= room.device || bytes <= room.host;
}

bool snapshot_fits(const struct snapshot_store *store, const struct gemma_extent *extent)
{
    return holds(store, extent, store->left);
}

bool snapshot_could_fit(const struct snapshot_store *store, const struct gemma_extent *extent)
{
    return holds(store, extent, store->all);
}

static enum karat_status finish_copy(struct snapshot_store *store, struct karat_error *err)
{
    const enum karat_status status = gpu_recorder_submit(store->recorder, err);
    const enum karat_status wait_status = gpu_recorder_wait(store->recorder, status == KARAT_OK ? err : NULL);
    return status == KARAT_OK ? wait_status : status;
}

// On the device, else in host memory, as far as the budget goes.
static bool allocate(struct snapshot *out, struct snapshot_store *store, const struct gemma_extent *extent,
                     uint64_t spare)
{
    const struct gemma_shape *shape = &store->model->shape;
    const uint64_t bytes = gemma_extent_bytes(shape, extent, store->cache);
    const struct {
        enum gpu_memory memory;
        uint64_t *left;
    } places[] = { { GPU_MEMORY_DEVICE, &store->left.device }, { GPU_MEMORY_READBACK, &store->left.host } };
    if (bytes == 0 || bytes + spare > store->left.device + store->left.host)
        return false;
    for (size_t i = 0; i < sizeof places / sizeof *places && !out->state; ++i) {
        struct karat_error err;
        if (bytes > *places[i].left)
            continue;
        if (gemma_state_create_extent(&out->state, shape, extent, store->cache, places[i].memory, store->model->device,
                                      &err) != KARAT_OK) {
            log_line(KARAT_LOG_DEBUG, "nothing is kept of a prompt there: %s", err.text);
            continue;
        }
        *places[i].left -= bytes;
        *(i == 0 ? &out->bytes.device : &out->bytes.host) = bytes;
    }
    return out->state != NULL;
}

bool snapshot_take(struct snapshot *out, struct snapshot_store *store, const struct gemma_extent *extent,
                   const struct snapshot_piece *pieces, size_t n_pieces, uint64_t spare)
{
    *out = (struct snapshot){ .extent = *extent };
    if (!allocate(out, store, extent, spare))
        return false;
    for (size_t i = 0; i < n_pieces; ++i)
        gemma_state_copy(store->recorder, &store->model->shape, out->state, pieces[i].state, &pieces[i].extent);
    if (finish_copy(store, NULL) == KARAT_OK)
        return true;
    snapshot_drop(out, store);
    return false;
}

void snapshot_drop(struct snapshot *snapshot, struct snapshot_store *store)
{
    if (snapshot->state) {
        gemma_state_destroy(snapshot->state);
        store->left.device += snapshot->bytes.device;
        store->left.host += snapshot->bytes.host;
    }
    *snapshot = (struct snapshot){ 0 };
}

enum karat_status snapshot_restore(struct snapshot_store *store, struct gemma_state *to, const struct gemma_state *ring,
                                   const struct gemma_state *full, uint32_t first, uint32_t n, struct karat_error *err)
{
    const struct gemma_shape *shape = &store->model->shape;
    if (ring != to)
        gemma_state_copy(store->recorder, shape, to, ring, &(struct gemma_extent){ first, n, 0 });
    if (full != to)
        gemma_state_copy(store->recorder, shape, to, full, &(struct gemma_extent){ 0, 0, n });
    return finish_copy(store, err);
}
