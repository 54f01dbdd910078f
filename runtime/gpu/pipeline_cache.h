// gpu/pipeline_cache.h -- compiled kernels on disk, one file per device and driver. Private.
#ifndef GPU_PIPELINE_CACHE_H
#define GPU_PIPELINE_CACHE_H

#include "gpu/internal.h"

struct gpu_pipeline_cache {
    VkPipelineCache handle;
    size_t loaded_bytes; // of the driver's data that came from disk
};

// A missing, damaged or foreign file only means an empty cache.
enum karat_status gpu_pipeline_cache_open(struct gpu_pipeline_cache *cache, struct gpu_device *device,
                                          struct karat_error *err);
void gpu_pipeline_cache_close(struct gpu_pipeline_cache *cache, struct gpu_device *device); // saves what is new

#endif
