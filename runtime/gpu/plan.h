// gpu/plan.h -- decisions about memory that memory.c acts on. Pure; private, but tests look in.
#ifndef GPU_PLAN_H
#define GPU_PLAN_H

#include "gpu/gpu.h"

#define GPU_NO_TYPE UINT32_MAX

// The memory type for a purpose among those whose bit in `allowed` is set, or GPU_NO_TYPE.
uint32_t gpu_plan_memory_type(const struct gpu_snapshot *seen, const struct gpu_plan *plan, enum gpu_memory memory,
                              uint32_t allowed);

// Bytes of one block that small buffers of a purpose share.
uint64_t gpu_plan_block_bytes(const struct gpu_snapshot *seen, const struct gpu_plan *plan, enum gpu_memory memory);

#endif
