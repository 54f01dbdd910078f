// gpu/pipeline_cache.c -- see pipeline_cache.h.
//
// Our own header stands in front of the driver's data: some drivers crash on damaged data, so it is checked here.
#include "gpu/pipeline_cache.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file_map.h"
#include "base/file_save.h"
#include "base/log.h"

#define MAGIC 0x3163706B61726174u // "tarakpc1": ours, first version
#define SAVE_MAX_BYTES ((size_t)256 << 20)

struct file_header {
    uint64_t magic, data_bytes, checksum;
};

static uint64_t checksum(const uint8_t *data, size_t size)
{
    uint64_t sum = 14695981039346656037u; // FNV-1a
    for (size_t i = 0; i < size; ++i)
        sum = (sum ^ data[i]) * 1099511628211u;
    return sum;
}

// The driver's bytes inside the file, or an empty span when they are not what this device's driver wrote.
static struct span find_data(struct span file, const struct gpu_snapshot *seen)
{
    struct file_header ours;
    VkPipelineCacheHeaderVersionOne theirs;
    if (file.size_bytes < sizeof ours + sizeof theirs)
        return (struct span){ 0 };
    const struct span data = span_of(file.data + sizeof ours, file.size_bytes - sizeof ours);
    memcpy(&ours, file.data, sizeof ours);
    memcpy(&theirs, data.data, sizeof theirs);
    if (ours.magic != MAGIC || ours.data_bytes != data.size_bytes ||
        ours.checksum != checksum(data.data, data.size_bytes) ||
        theirs.headerVersion != VK_PIPELINE_CACHE_HEADER_VERSION_ONE || theirs.vendorID != seen->vendor_id ||
        theirs.deviceID != seen->device_id ||
        memcmp(theirs.pipelineCacheUUID, seen->pipeline_cache_uuid, VK_UUID_SIZE) != 0)
        return (struct span){ 0 };
    return data;
}

enum karat_status gpu_pipeline_cache_open(struct gpu_pipeline_cache *cache, struct gpu_device *device,
                                          struct karat_error *err)
{
    struct file_map file = { 0 };
    struct span data = { 0 };
    char path[GPU_PATH_MAX];
    if (gpu_note_path(path, device, "pipelines") && file_map_open(&file, path, NULL) == KARAT_OK) {
        data = find_data(file.bytes, &device->snapshot);
        if (data.size_bytes == 0)
            log_line(KARAT_LOG_WARNING, "%s is damaged or from another driver; kernels are compiled anew", path);
    }
    cache->loaded_bytes = data.size_bytes;
    const VkResult result = device->vk.vkCreatePipelineCache(
        device->handle,
        &(VkPipelineCacheCreateInfo){ .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = data.size_bytes,
                                      .pInitialData = data.data },
        NULL, &cache->handle);
    file_map_close(&file);
    return gpu_check(device, result, "vkCreatePipelineCache", err);
}

static void save(struct gpu_pipeline_cache *cache, struct gpu_device *device)
{
    size_t size = 0;
    char path[GPU_PATH_MAX];
    if (!gpu_note_path(path, device, "pipelines"))
        return;
    if (device->vk.vkGetPipelineCacheData(device->handle, cache->handle, &size, NULL) != VK_SUCCESS ||
        size <= sizeof(VkPipelineCacheHeaderVersionOne) || size == cache->loaded_bytes || size > SAVE_MAX_BYTES)
        return;
    uint8_t *bytes = malloc(sizeof(struct file_header) + size);
    if (!bytes)
        return;
    uint8_t *data = bytes + sizeof(struct file_header);
    if (device->vk.vkGetPipelineCacheData(device->handle, cache->handle, &size, data) == VK_SUCCESS) {
        struct karat_error err;
        const struct file_header header = { MAGIC, size, checksum(data, size) };
        memcpy(bytes, &header, sizeof header);
        if (file_save(path, span_of(bytes, sizeof header + size), &err) != KARAT_OK)
            log_line(KARAT_LOG_WARNING, "compiled kernels are not kept: %s", err.text);
    }
    free(bytes);
}

void gpu_pipeline_cache_close(struct gpu_pipeline_cache *cache, struct gpu_device *device)
{
    if (!cache->handle)
        return;
    if (!atomic_load(&device->lost))
        save(cache, device);
    device->vk.vkDestroyPipelineCache(device->handle, cache->handle, NULL);
    cache->handle = VK_NULL_HANDLE;
}
