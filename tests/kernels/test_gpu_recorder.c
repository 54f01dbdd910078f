// tests/kernels/test_gpu_recorder.c -- dispatches, copies, barriers, slices and submissions on a device.
#include "gpu/gpu.h"
#include "spv/test_address.h"
#include "spv/test_scale.h"
#include "test.h"

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

TEST(a_dispatch_computes)
{
    struct karat_error err;
    struct gpu_device *device = NULL;
    struct gpu_recorder *recorder = NULL;
    struct gpu_buffer *x = NULL, *y = NULL;
    enum karat_status status =
        gpu_device_create(&device, &(struct gpu_device_options){ .pipeline_cache_dir = "" }, &err);
    if (status == KARAT_ERR_NO_DEVICE)
        SKIP("no Vulkan device");
    REQUIRE_OK(status, err);
    REQUIRE_OK(gpu_recorder_create(&recorder, device, &err), err);
    REQUIRE_OK(gpu_buffer_create(&x, device, &(struct gpu_buffer_options){ 4096, GPU_MEMORY_UPLOAD, "x" }, &err), err);
    REQUIRE_OK(gpu_buffer_create(&y, device, &(struct gpu_buffer_options){ 4096, GPU_MEMORY_READBACK, "y" }, &err),
               err);
    for (uint32_t i = 0; i < 1024; ++i)
        ((float *)gpu_buffer_map(x))[i] = (float)i;
    gpu_record_dispatch(recorder, &(struct gpu_dispatch){
                                      .desc = &scale_desc,
                                      .spec = (const uint32_t[]){ 64, 0x3F800000 },
                                      .buffers = { { x, 0, 4096 }, { y, 0, 4096 } },
                                      .params = &(struct scale_params){ 1024, 1, 16, 1, 2.0f },
                                      .grid = { 16, 1, 1 },
                                  });
    REQUIRE_OK(gpu_recorder_submit(recorder, &err), err);
    REQUIRE_OK(gpu_recorder_wait(recorder, &err), err);
    for (uint32_t i = 0; i < 1024; ++i)
        CHECK_NEAR(((float *)gpu_buffer_map(y))[i], 2.0f * (float)i + 1.0f, 0);
    gpu_buffer_destroy(x);
    gpu_buffer_destroy(y);
    gpu_recorder_destroy(recorder);
    gpu_device_destroy(device);
    CHECK_UINT(gpu_validation_messages(), 0);
}
