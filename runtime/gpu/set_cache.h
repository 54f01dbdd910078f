// gpu/set_cache.h -- descriptor sets of one recorder, found again by the ranges they bind. Private; one thread at a
// time.
#ifndef GPU_SET_CACHE_H
#define GPU_SET_CACHE_H

#include "gpu/internal.h"

struct gpu_set_cache {
    struct gpu_device *device;
    struct set_entry *entries;
    size_t n_entries, capacity;
    uint32_t *slots; // index + 1 of an entry, 0 free; a power of two, at least twice the capacity
    size_t n_slots;
    VkDescriptorPool *pools;
    size_t n_pools;
    uint32_t left_in_pool;
    uint64_t n_growths; // how often memory was asked for
};

void gpu_set_cache_init(struct gpu_set_cache *cache, struct gpu_device *device);
void gpu_set_cache_deinit(struct gpu_set_cache *cache); // no submitted work uses the sets

// The set that binds views[0..n_views) as storage buffers 0 .. n_views - 1.
enum karat_status gpu_set_cache_get(VkDescriptorSet *out, struct gpu_set_cache *cache, const struct gpu_view *views,
                                    uint32_t n_views, struct karat_error *err);

// Forgets all sets but keeps the memory; no submitted work uses them.
void gpu_set_cache_clear(struct gpu_set_cache *cache);

#endif
