// tests/kernels/gpu_bed.h -- a device, a recorder and three buffers for the gpu room's own tests.
#ifndef GPU_BED_H
#define GPU_BED_H

#include <stdlib.h>

#include "gpu/gpu.h"
#include "spv/test_address.h"
#include "spv/test_claim.h"
#include "spv/test_scale.h"
#include "test.h"

#define BED_FLOATS 65536
#define BED_BYTES (BED_FLOATS * 4)

struct scale_params {
    uint32_t n, rounds, grid_x, grid_y;
    float scale;
};

static const struct gpu_kernel_desc scale_desc = {
    .name = "test_scale",
    .code = spv_test_scale,
    .code_bytes = sizeof spv_test_scale,
    .n_buffers = 2,
    .params_bytes = sizeof(struct scale_params),
    .n_spec = 2,
};

struct test_claim_params {
    uint32_t grid_x;
    struct gpu_claim claim;
};

static const struct gpu_kernel_desc claim_desc = {
    .name = "test_claim",
    .code = spv_test_claim,
    .code_bytes = sizeof spv_test_claim,
    .n_buffers = 1,
    .params_bytes = sizeof(struct test_claim_params),
    .n_spec = 1,
    .claims = true,
    .full_subgroups = true,
};

struct bed {
    struct karat_error err;
    struct gpu_device *device;
    struct gpu_recorder *recorder;
    struct gpu_buffer *x, *y, *z; // BED_FLOATS each; x[i] = i, the others are NAN; the host reaches all
};

static inline void bed_close(struct test *t, struct bed *bed)
{
    gpu_recorder_destroy(bed->recorder);
    gpu_buffer_destroy(bed->x);
    gpu_buffer_destroy(bed->y);
    gpu_buffer_destroy(bed->z);
    gpu_device_destroy(bed->device);
    *bed = (struct bed){ 0 };
    CHECK_UINT(gpu_validation_messages(), 0);
}

static inline float *bed_floats(struct gpu_buffer *buffer)
{
    return gpu_buffer_map(buffer);
}

static inline bool bed_open(struct test *t, struct bed *bed, const struct gpu_device_options *options)
{
    const struct gpu_device_options nowhere = { .pipeline_cache_dir = "" };
    *bed = (struct bed){ 0 };
    enum karat_status status = gpu_device_create(&bed->device, options ? options : &nowhere, &bed->err);
    if (status == KARAT_ERR_NO_DEVICE) {
        static char reason[1100];
        snprintf(reason, sizeof reason, "%s", bed->err.text);
        t->skipped = reason;
        return false;
    }
    struct gpu_buffer_options buffer = { BED_BYTES, GPU_MEMORY_READBACK, "bed" };
    if (status == KARAT_OK)
        status = gpu_recorder_create(&bed->recorder, bed->device, &bed->err);
    if (status == KARAT_OK)
        status = gpu_buffer_create(&bed->x, bed->device, &buffer, &bed->err);
    if (status == KARAT_OK)
        status = gpu_buffer_create(&bed->y, bed->device, &buffer, &bed->err);
    if (status == KARAT_OK)
        status = gpu_buffer_create(&bed->z, bed->device, &buffer, &bed->err);
    if (!test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", bed->err.text))
        return false;
    for (uint32_t i = 0; i < BED_FLOATS; ++i) {
        bed_floats(bed->x)[i] = (float)i;
        bed_floats(bed->y)[i] = bed_floats(bed->z)[i] = NAN;
    }
    return true;
}

static inline struct gpu_view bed_whole(struct gpu_buffer *buffer)
{
    return (struct gpu_view){ buffer, 0, gpu_buffer_size(buffer) };
}

// dst[i] = scale * src[i] for as many floats as dst has, in workgroups of 64 threads spread over `grid`.
static inline void bed_scale_grid(struct bed *bed, struct gpu_view dst, struct gpu_view src, float scale,
                                  uint32_t rounds, uint64_t work, uint32_t grid_x, uint32_t grid_y, uint32_t grid_z)
{
    const struct scale_params params = { (uint32_t)(dst.size_bytes / 4), rounds, grid_x, grid_y, scale };
    gpu_record_dispatch(bed->recorder, &(struct gpu_dispatch){
                                           .desc = &scale_desc,
                                           .spec = (const uint32_t[]){ 64, 0 },
                                           .buffers = { src, dst },
                                           .params = &params,
                                           .grid = { grid_x, grid_y, grid_z },
                                           .work = work,
                                           .label = "scale",
                                       });
}

static inline void bed_scale(struct bed *bed, struct gpu_view dst, struct gpu_view src, float scale)
{
    bed_scale_grid(bed, dst, src, scale, 1, 0, (uint32_t)((dst.size_bytes / 4 + 63) / 64), 1, 1);
}

// One more in each of dst's u32 of the grid.
static inline void bed_claim(struct bed *bed, struct gpu_view dst, uint64_t work, uint32_t grid_x, uint32_t grid_y,
                             uint32_t grid_z)
{
    const uint32_t subgroup_size = gpu_device_plan(bed->device)->subgroup_size;
    gpu_record_dispatch(bed->recorder, &(struct gpu_dispatch){
                                           .desc = &claim_desc,
                                           .spec = &subgroup_size,
                                           .buffers = { dst },
                                           .params = &(struct test_claim_params){ .grid_x = grid_x },
                                           .grid = { grid_x, grid_y, grid_z },
                                           .work = work,
                                           .label = "claim",
                                       });
}

static inline struct gpu_counters bed_counters(const struct bed *bed)
{
    struct gpu_counters counters;
    gpu_recorder_counters(bed->recorder, &counters);
    return counters;
}

static inline enum karat_status bed_run(struct bed *bed)
{
    const enum karat_status status = gpu_recorder_submit(bed->recorder, &bed->err);
    return status == KARAT_OK ? gpu_recorder_wait(bed->recorder, &bed->err) : status;
}

// How many of buffer[first, first + n) are not scale * i.
static inline uint32_t bed_count_wrong(struct gpu_buffer *buffer, uint32_t first, uint32_t n, float scale)
{
    uint32_t n_wrong = 0;
    for (uint32_t i = first; i < first + n; ++i)
        n_wrong += !(bed_floats(buffer)[i] == scale * (float)i);
    return n_wrong;
}

#endif
