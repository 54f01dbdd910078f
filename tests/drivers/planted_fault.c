// planted_fault.c -- one fault on purpose. .ci/run wants to see the validation layer report it before it believes the
// layer's silence about the tests. `planted_fault NAME`; exit 77: no device.
#include <stdio.h>
#include <string.h>

#include "gpu/internal.h"
#include "ops/ops.h"
#include "spv/test_scale.h"

enum { N_ROWS = 64, N_COLS = 32 };

// A buffer that nobody destroys: for the check of objects' lives.
static enum karat_status forget_buffer(struct gpu_device *device, struct karat_error *err)
{
    struct gpu_buffer *forgotten;
    return gpu_buffer_create(&forgotten, device, &(struct gpu_buffer_options){ .size_bytes = 64 }, err);
}

// Two fills of the same bytes without a barrier: for the check of synchronisation. The recorder does not let such a
// pair pass, so it is written by hand.
static enum karat_status leave_out_barrier(struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gpu_buffer *buffer = NULL;
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer commands;
    TRY(gpu_buffer_create(&buffer, device, &(struct gpu_buffer_options){ .size_bytes = 64 }, err));
    TRY_VK(vkCreateCommandPool(device->handle,
                               &(VkCommandPoolCreateInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                                           .queueFamilyIndex = device->plan.queue_family },
                               NULL, &pool));
    TRY_VK(vkAllocateCommandBuffers(
        device->handle,
        &(VkCommandBufferAllocateInfo){
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = pool, .commandBufferCount = 1 },
        &commands));
    TRY_VK(vkBeginCommandBuffer(commands,
                                &(VkCommandBufferBeginInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO }));
    device->vk.vkCmdFillBuffer(commands, buffer->handle, 0, 64, 1);
    device->vk.vkCmdFillBuffer(commands, buffer->handle, 0, 64, 2);
    TRY_VK(vkEndCommandBuffer(commands));
cleanup:
    device->vk.vkDestroyCommandPool(device->handle, pool, NULL);
    gpu_buffer_destroy(buffer);
    return status;
}

// A kernel's store beyond its binding, 256 bytes into a buffer of which only half is bound: for the check of
// descriptors on the GPU. No op binds less than its shape needs, so the kernel is the room's own.
static enum karat_status store_too_far(struct gpu_device *device, struct karat_error *err)
{
    static const struct gpu_kernel_desc scale = { .name = "test_scale",
                                                  .code = spv_test_scale,
                                                  .code_bytes = sizeof spv_test_scale,
                                                  .n_buffers = 2,
                                                  .params_bytes = 20,
                                                  .n_spec = 2 };
    const struct {
        uint32_t n, rounds, grid_x, grid_y;
        float scale;
    } params = { N_ROWS, 1, 1, 1, 1.0f };
    const uint64_t bytes = N_ROWS * sizeof(float);
    enum karat_status status = KARAT_OK;
    struct gpu_buffer *x = NULL, *y = NULL;
    struct gpu_recorder *recorder = NULL;
    TRY(gpu_buffer_create(&x, device, &(struct gpu_buffer_options){ .size_bytes = bytes }, err));
    TRY(gpu_buffer_create(&y, device, &(struct gpu_buffer_options){ .size_bytes = 2 * bytes }, err));
    TRY(gpu_recorder_create(&recorder, device, err));
    gpu_record_fill(recorder, (struct gpu_view){ x, 0, bytes }, 0);
    gpu_record_dispatch(recorder, &(struct gpu_dispatch){ .desc = &scale,
                                                          .spec = (const uint32_t[]){ N_ROWS, 0 },
                                                          .buffers = { { x, 0, bytes }, { y, bytes, bytes / 2 } },
                                                          .params = &params,
                                                          .grid = { 1, 1, 1 } });
    TRY(gpu_recorder_submit(recorder, err));
    TRY(gpu_recorder_wait(recorder, err));
cleanup:
    gpu_recorder_destroy(recorder);
    gpu_buffer_destroy(x);
    gpu_buffer_destroy(y);
    return status;
}

// A product of one row more than the weights in memory have, read through their address and on into the next buffer:
// for the check of addresses on the GPU.
static enum karat_status load_too_far(struct gpu_device *device, struct karat_error *err)
{
    const uint32_t row_bytes = N_COLS * sizeof(float), y_bytes = (N_ROWS + 1) * sizeof(float);
    enum karat_status status = KARAT_OK;
    struct gpu_buffer *weights = NULL, *x = NULL, *y = NULL;
    struct gpu_recorder *recorder = NULL;
    TRY(gpu_buffer_create(&weights, device, &(struct gpu_buffer_options){ .size_bytes = N_ROWS * row_bytes }, err));
    TRY(gpu_buffer_create(&x, device, &(struct gpu_buffer_options){ .size_bytes = row_bytes }, err));
    TRY(gpu_buffer_create(&y, device, &(struct gpu_buffer_options){ .size_bytes = y_bytes }, err));
    TRY(gpu_recorder_create(&recorder, device, err));
    const struct op_segment rows = { .address = gpu_buffer_address(weights), .n_rows = N_ROWS + 1 };
    const struct op_weight w = { .type = QTYPE_F32,
                                 .n_cols = N_COLS,
                                 .n_rows = N_ROWS + 1,
                                 .n_planes = 1,
                                 .row_bytes = row_bytes,
                                 .n_segments = 1,
                                 .segments = &rows };
    gpu_record_fill(recorder, (struct gpu_view){ weights, 0, N_ROWS * row_bytes }, 0);
    gpu_record_fill(recorder, (struct gpu_view){ x, 0, row_bytes }, 0);
    op_linear(recorder, (struct gpu_view){ y, 0, y_bytes }, (struct gpu_view){ x, 0, row_bytes }, &w,
              &(struct op_linear_shape){ .n_tokens = 1 });
    TRY(gpu_recorder_submit(recorder, err));
    TRY(gpu_recorder_wait(recorder, err));
cleanup:
    gpu_recorder_destroy(recorder);
    gpu_buffer_destroy(weights);
    gpu_buffer_destroy(x);
    gpu_buffer_destroy(y);
    return status;
}

static const struct fault {
    const char *name;
    enum karat_status (*plant)(struct gpu_device *device, struct karat_error *err);
} faults[] = {
    { "life", forget_buffer },
    { "barrier", leave_out_barrier },
    { "store", store_too_far },
    { "address", load_too_far },
};

static const struct fault *find_fault(const char *name)
{
    for (size_t i = 0; i < COUNT(faults); ++i)
        if (strcmp(faults[i].name, name) == 0)
            return &faults[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct fault *fault = argc == 2 ? find_fault(argv[1]) : NULL;
    struct karat_error err = { 0 };
    struct gpu_device *device = NULL;
    if (!fault) {
        fprintf(stderr, "planted_fault life|barrier|store|address\n");
        return 2;
    }
    enum karat_status status = gpu_device_create(&device, &(struct gpu_device_options){ 0 }, &err);
    if (status == KARAT_ERR_NO_DEVICE) {
        printf("SKIP: %s\n", err.text);
        return 77;
    }
    if (status == KARAT_OK)
        status = fault->plant(device, &err);
    gpu_device_destroy(device);
    if (status != KARAT_OK)
        fprintf(stderr, "planted_fault %s: %s\n", fault->name, err.text);
    return status == KARAT_OK ? 0 : 1;
}
