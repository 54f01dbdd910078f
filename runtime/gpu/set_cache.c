// gpu/set_cache.c -- see set_cache.h.
#include "gpu/set_cache.h"

#include <stdlib.h>

#define SETS_PER_POOL 256

struct bound {
    uint64_t serial, offset, size_bytes; // serial: a handle may come back after its buffer is gone, a serial never
};

struct set_entry {
    uint64_t hash;
    VkDescriptorSet set;
    uint32_t n_views;
    struct bound bound[GPU_BUFFERS_MAX];
};

void gpu_set_cache_init(struct gpu_set_cache *cache, struct gpu_device *device)
{
    *cache = (struct gpu_set_cache){ .device = device };
}

void gpu_set_cache_deinit(struct gpu_set_cache *cache)
{
    for (size_t i = 0; i < cache->n_pools; ++i)
        cache->device->vk.vkDestroyDescriptorPool(cache->device->handle, cache->pools[i], NULL);
    free(cache->pools);
    free(cache->entries);
    free(cache->slots);
}

void gpu_set_cache_clear(struct gpu_set_cache *cache)
{
    for (size_t i = 0; i < cache->n_pools; ++i)
        cache->device->vk.vkDestroyDescriptorPool(cache->device->handle, cache->pools[i], NULL);
    cache->n_pools = 0;
    cache->left_in_pool = 0;
    cache->n_entries = 0;
    if (cache->slots)
        memset(cache->slots, 0, cache->n_slots * sizeof *cache->slots);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

static void insert(struct gpu_set_cache *cache, size_t index)
{
    size_t at = (size_t)cache->entries[index].hash & (cache->n_slots - 1);
    while (cache->slots[at])
        at = (at + 1) & (cache->n_slots - 1);
    cache->slots[at] = (uint32_t)index + 1;
}

static bool grow(struct gpu_set_cache *cache)
{
    const size_t capacity = cache->capacity ? 2 * cache->capacity : SETS_PER_POOL;
    ++cache->n_growths;
    struct set_entry *entries = realloc(cache->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    cache->entries = entries;
    uint32_t *slots = calloc(2 * capacity, sizeof *slots);
    if (!slots)
        return false;
    free(cache->slots);
    cache->slots = slots;
    cache->n_slots = 2 * capacity;
    cache->capacity = capacity;
    for (size_t i = 0; i < cache->n_entries; ++i)
        insert(cache, i);
    return true;
}

static enum karat_status add_pool(struct gpu_set_cache *cache, struct karat_error *err)
{
    struct gpu_device *device = cache->device;
    enum karat_status status = KARAT_OK;
    ++cache->n_growths;
    VkDescriptorPool *pools = realloc(cache->pools, (cache->n_pools + 1) * sizeof(VkDescriptorPool));
    if (!pools)
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for descriptor sets");
    cache->pools = pools;
    TRY_VK(vkCreateDescriptorPool(
        device->handle,
        &(VkDescriptorPoolCreateInfo){ .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = SETS_PER_POOL,
                                       .poolSizeCount = 1,
                                       .pPoolSizes = &(VkDescriptorPoolSize){ VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                                              SETS_PER_POOL * GPU_BUFFERS_MAX } },
        NULL, &pools[cache->n_pools]));
    ++cache->n_pools;
    cache->left_in_pool = SETS_PER_POOL;
cleanup:
    return status;
}

static enum karat_status create_set(struct gpu_set_cache *cache, struct set_entry *entry, const struct gpu_view *views,
                                    struct karat_error *err)
{
    struct gpu_device *device = cache->device;
    enum karat_status status = KARAT_OK;
    VkDescriptorBufferInfo buffers[GPU_BUFFERS_MAX];
    if (cache->left_in_pool == 0)
        TRY(add_pool(cache, err));
    TRY_VK(vkAllocateDescriptorSets(
        device->handle,
        &(VkDescriptorSetAllocateInfo){ .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = cache->pools[cache->n_pools - 1],
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &device->set_layouts[entry->n_views] },
        &entry->set));
    --cache->left_in_pool;
    for (uint32_t i = 0; i < entry->n_views; ++i)
        buffers[i] = (VkDescriptorBufferInfo){ views[i].buffer->handle, views[i].offset, views[i].size_bytes };
    // Consecutive bindings of one kind are filled by one write.
    device->vk.vkUpdateDescriptorSets(device->handle, 1,
                                      &(VkWriteDescriptorSet){ .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                                               .dstSet = entry->set,
                                                               .descriptorCount = entry->n_views,
                                                               .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                               .pBufferInfo = buffers },
                                      0, NULL);
cleanup:
    return status;
}

enum karat_status gpu_set_cache_get(VkDescriptorSet *out, struct gpu_set_cache *cache, const struct gpu_view *views,
                                    uint32_t n_views, struct karat_error *err)
{
    struct set_entry wanted = { .hash = n_views, .n_views = n_views };
    for (uint32_t i = 0; i < n_views; ++i) {
        wanted.bound[i] = (struct bound){ views[i].buffer->serial, views[i].offset, views[i].size_bytes };
        wanted.hash = mix(mix(mix(wanted.hash, wanted.bound[i].serial), views[i].offset), views[i].size_bytes);
    }
    for (size_t at = (size_t)wanted.hash; cache->n_slots > 0; ++at) {
        const uint32_t slot = cache->slots[at & (cache->n_slots - 1)];
        if (slot == 0)
            break;
        const struct set_entry *entry = &cache->entries[slot - 1];
        if (entry->hash == wanted.hash && entry->n_views == n_views &&
            memcmp(entry->bound, wanted.bound, n_views * sizeof wanted.bound[0]) == 0) {
            *out = entry->set;
            return KARAT_OK;
        }
    }
    if (cache->n_entries == cache->capacity && !grow(cache))
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for descriptor sets");
    const enum karat_status status = create_set(cache, &wanted, views, err);
    if (status != KARAT_OK)
        return status;
    cache->entries[cache->n_entries] = wanted;
    insert(cache, cache->n_entries++);
    *out = wanted.set;
    return KARAT_OK;
}
