// gpu/hooks.h -- what only tests ask of the room.
#ifndef GPU_HOOKS_H
#define GPU_HOOKS_H

#include "gpu/gpu.h"

// From now on the device behaves as after VK_ERROR_DEVICE_LOST.
void gpu_device_lose(struct gpu_device *device);

// From now on, or no longer, the device has no memory for any buffer.
void gpu_device_exhaust(struct gpu_device *device, bool exhausted);

// Devices made from now on take themselves for a GPU, whatever they are, and get its kernels.
void gpu_device_pretend_gpu(bool pretend);

// How often the recorder asked host or driver for memory; the same work again adds nothing.
uint64_t gpu_recorder_growths(const struct gpu_recorder *recorder);

// Bytes of the driver's data that came from the pipeline cache's file.
size_t gpu_device_cache_loaded_bytes(const struct gpu_device *device);

// Measured nanoseconds per unit of a kernel's work.
float gpu_kernel_ns_per_work(const struct gpu_kernel *kernel);

#endif
