// gpu/pipeline_cache.c -- see pipeline_cache.h.
#include "gpu/pipeline_cache.h"

enum karat_status gpu_pipeline_cache_open(struct gpu_pipeline_cache *cache, struct gpu_device *device, const char *dir,
                                          struct karat_error *err)
{
    (void)dir;
    return gpu_check(device,
                     device->vk.vkCreatePipelineCache(
                         device->handle,
                         &(VkPipelineCacheCreateInfo){ .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO }, NULL,
                         &cache->handle),
                     "vkCreatePipelineCache", err);
}

void gpu_pipeline_cache_close(struct gpu_pipeline_cache *cache, struct gpu_device *device)
{
    device->vk.vkDestroyPipelineCache(device->handle, cache->handle, NULL);
}
