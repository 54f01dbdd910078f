// gpu/upload.c -- bytes into device buffers, through a ring of staging segments.
//
// While the caller fills one segment the device copies from the others. Where device memory is host memory the caller
// writes into the buffer itself.
#include "gpu/internal.h"

#include <stdlib.h>

#define SEGMENTS 4
#define DEFAULT_STAGING_BYTES (16u << 20)
#define MIN_GRANT_BYTES (64u << 10)

struct segment {
    struct gpu_buffer *staging;
    VkCommandPool pool;
    VkCommandBuffer commands;
    uint64_t value; // the timeline reaches it when the segment may be filled again
    uint64_t used_bytes;
    bool recording;
};

struct gpu_upload {
    struct gpu_device *device;
    VkSemaphore timeline;
    uint64_t last_value;
    uint64_t segment_bytes;
    struct segment segments[SEGMENTS];
    size_t current;
};

static enum karat_status create_segment(struct gpu_upload *upload, struct segment *segment, struct karat_error *err)
{
    struct gpu_device *device = upload->device;
    enum karat_status status = KARAT_OK;
    TRY(gpu_buffer_create(&segment->staging, device,
                          &(struct gpu_buffer_options){
                              .size_bytes = upload->segment_bytes, .memory = GPU_MEMORY_UPLOAD, .name = "staging" },
                          err));
    TRY_VK(vkCreateCommandPool(device->handle,
                               &(VkCommandPoolCreateInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                                           .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                                           .queueFamilyIndex = device->plan.queue_family },
                               NULL, &segment->pool));
    TRY_VK(vkAllocateCommandBuffers(
        device->handle,
        &(VkCommandBufferAllocateInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = segment->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1 },
        &segment->commands));
cleanup:
    return status;
}

enum karat_status gpu_upload_create(struct gpu_upload **out, struct gpu_device *device, uint64_t staging_bytes,
                                    struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    struct gpu_upload *upload = calloc(1, sizeof *upload);
    if (!upload)
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for an upload");
    upload->device = device;
    const uint64_t share = (staging_bytes > 0 ? staging_bytes : DEFAULT_STAGING_BYTES) / SEGMENTS;
    upload->segment_bytes = share < MIN_GRANT_BYTES ? MIN_GRANT_BYTES : share / 16 * 16;
    TRY(gpu_check_lost(device, err));
    if (!device->plan.unified) {
        TRY_VK(vkCreateSemaphore(
            device->handle,
            &(VkSemaphoreCreateInfo){
                .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                .pNext = &(VkSemaphoreTypeCreateInfo){ .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                                       .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE },
            },
            NULL, &upload->timeline));
        for (size_t i = 0; i < SEGMENTS; ++i)
            TRY(create_segment(upload, &upload->segments[i], err));
    }
    *out = upload;
    upload = NULL;
cleanup:
    gpu_upload_destroy(upload);
    return status;
}

static enum karat_status wait_for(struct gpu_upload *upload, uint64_t value, struct karat_error *err)
{
    struct gpu_device *device = upload->device;
    enum karat_status status = KARAT_OK;
    if (value > 0)
        TRY_VK(vkWaitSemaphores(device->handle,
                                &(VkSemaphoreWaitInfo){ .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                                        .semaphoreCount = 1,
                                                        .pSemaphores = &upload->timeline,
                                                        .pValues = &value },
                                UINT64_MAX));
cleanup:
    return status;
}

void gpu_upload_destroy(struct gpu_upload *upload)
{
    if (!upload)
        return;
    struct gpu_device *device = upload->device;
    wait_for(upload, upload->last_value, NULL);
    for (size_t i = 0; i < SEGMENTS; ++i) {
        gpu_buffer_destroy(upload->segments[i].staging);
        device->vk.vkDestroyCommandPool(device->handle, upload->segments[i].pool, NULL);
    }
    device->vk.vkDestroySemaphore(device->handle, upload->timeline, NULL);
    free(upload);
}

static enum karat_status begin_segment(struct gpu_upload *upload, struct segment *segment, struct karat_error *err)
{
    struct gpu_device *device = upload->device;
    enum karat_status status = KARAT_OK;
    TRY(wait_for(upload, segment->value, err));
    TRY_VK(vkResetCommandPool(device->handle, segment->pool, 0));
    TRY_VK(vkBeginCommandBuffer(segment->commands,
                                &(VkCommandBufferBeginInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                                             .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT }));
    segment->used_bytes = 0;
    segment->recording = true;
cleanup:
    return status;
}

static enum karat_status submit_segment(struct gpu_upload *upload, struct karat_error *err)
{
    struct gpu_device *device = upload->device;
    struct segment *segment = &upload->segments[upload->current];
    enum karat_status status = KARAT_OK;
    if (!segment->recording)
        return KARAT_OK;
    segment->recording = false;
    upload->current = (upload->current + 1) % SEGMENTS;
    // Later work on the queue sees the bytes without knowing about this upload.
    device->vk.vkCmdPipelineBarrier2(
        segment->commands,
        &(VkDependencyInfo){
            .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
            .memoryBarrierCount = 1,
            .pMemoryBarriers = &(VkMemoryBarrier2){
                .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
                .srcStageMask = VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
                .srcAccessMask = VK_ACCESS_2_TRANSFER_WRITE_BIT,
                .dstStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
                .dstAccessMask = VK_ACCESS_2_SHADER_READ_BIT | VK_ACCESS_2_SHADER_WRITE_BIT |
                                 VK_ACCESS_2_TRANSFER_READ_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT } });
    TRY_VK(vkEndCommandBuffer(segment->commands));
    mutex_lock(&device->queue_mutex);
    const VkResult result = device->vk.vkQueueSubmit2(
        device->queue, 1,
        &(VkSubmitInfo2){
            .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
            .commandBufferInfoCount = 1,
            .pCommandBufferInfos = &(VkCommandBufferSubmitInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
                                                                 .commandBuffer = segment->commands },
            .signalSemaphoreInfoCount = 1,
            .pSignalSemaphoreInfos = &(VkSemaphoreSubmitInfo){ .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
                                                               .semaphore = upload->timeline,
                                                               .value = upload->last_value + 1,
                                                               .stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT } },
        VK_NULL_HANDLE);
    mutex_unlock(&device->queue_mutex);
    TRY(gpu_check(device, result, "vkQueueSubmit2", err));
    segment->value = ++upload->last_value;
cleanup:
    return status;
}

enum karat_status gpu_upload_reserve(struct gpu_upload *upload, void **memory, struct gpu_buffer *dst, uint64_t offset,
                                     uint64_t *size_bytes, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *memory = NULL;
    if (offset > dst->size_bytes || *size_bytes > dst->size_bytes - offset)
        return status_fail(err, KARAT_ERR_INTERNAL, "upload: %llu bytes at %llu do not lie in a buffer of %llu",
                           (unsigned long long)*size_bytes, (unsigned long long)offset,
                           (unsigned long long)dst->size_bytes);
    TRY(gpu_check_lost(upload->device, err));
    // What the host reaches anyway needs no detour; whole cards that do are rare enough to keep one road for weights.
    if (dst->map && (upload->device->plan.unified || dst->memory == GPU_MEMORY_UPLOAD)) {
        *memory = dst->map + offset;
        return KARAT_OK;
    }
    const uint64_t least = *size_bytes < MIN_GRANT_BYTES ? *size_bytes : MIN_GRANT_BYTES;
    struct segment *segment = &upload->segments[upload->current];
    if (segment->recording && upload->segment_bytes - segment->used_bytes < least) {
        TRY(submit_segment(upload, err));
        segment = &upload->segments[upload->current];
    }
    if (!segment->recording)
        TRY(begin_segment(upload, segment, err));
    const uint64_t left = upload->segment_bytes - segment->used_bytes;
    if (*size_bytes > left)
        *size_bytes = left / 16 * 16;
    *memory = segment->staging->map + segment->used_bytes;
    if (*size_bytes > 0)
        upload->device->vk.vkCmdCopyBuffer(segment->commands, segment->staging->handle, dst->handle, 1,
                                           &(VkBufferCopy){ segment->used_bytes, offset, *size_bytes });
    segment->used_bytes += (*size_bytes + 15) / 16 * 16;
cleanup:
    return status;
}

enum karat_status gpu_upload_finish(struct gpu_upload *upload, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(gpu_check_lost(upload->device, err));
    if (!upload->device->plan.unified) {
        TRY(submit_segment(upload, err));
        TRY(wait_for(upload, upload->last_value, err));
    }
cleanup:
    return status;
}
