// gpu/memory.c -- buffers: which memory they live in, and how small ones share it.
//
// A block is one VkDeviceMemory, mapped for as long as it lives where the host can reach it. Buffers lie in a block in
// the order of their offsets; a new one takes the first gap that is wide enough. A large buffer has a block of its own.
#include <stdio.h>
#include <stdlib.h>

#include "gpu/internal.h"
#include "gpu/plan.h"

// Wide enough for every storage alignment that drivers report, and for 16-byte loads through addresses.
#define ALIGNMENT 256
#define SHARED_BLOCK_BYTES_MIN (16u << 20)
// Between neighbours, so that a kernel that reads on past the end of a buffer by its address meets nobody's bytes
// first: a checker of addresses takes those of any buffer for good ones.
#define GAP_BYTES ALIGNMENT

struct gpu_block {
    VkDeviceMemory handle;
    uint32_t type;
    uint64_t size_bytes;
    uint8_t *map;
    struct gpu_buffer *first;
    bool shared; // by small buffers; else it is one buffer's own
    struct gpu_block *next;
};

static const char *const memory_names[] = {
    [GPU_MEMORY_DEVICE] = "device",
    [GPU_MEMORY_UPLOAD] = "upload",
    [GPU_MEMORY_READBACK] = "readback",
};

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

// What is free for us in a heap: our allowance, and what the driver grants at this moment.
static uint64_t free_bytes(const struct gpu_device *device, uint32_t heap)
{
    const uint64_t size = device->snapshot.heaps[heap].size_bytes, used = device->heap_used_bytes[heap];
    uint64_t allowed = heap == device->plan.heap ? device->plan.budget_bytes : size;
    allowed = allowed > used ? allowed - used : 0;
    if (!device->snapshot.memory_budget || device->snapshot.heaps[heap].budget_bytes == 0)
        return allowed;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
    };
    VkPhysicalDeviceMemoryProperties2 all = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                              .pNext = &budget };
    vkGetPhysicalDeviceMemoryProperties2(device->physical, &all);
    const uint64_t granted = budget.heapBudget[heap] < size ? budget.heapBudget[heap] : size;
    const uint64_t left = granted > budget.heapUsage[heap] ? granted - budget.heapUsage[heap] : 0;
    return left < allowed ? left : allowed;
}

static void unlink_block(struct gpu_device *device, struct gpu_block *block)
{
    struct gpu_block **at = &device->blocks;
    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
}

static void destroy_block(struct gpu_device *device, struct gpu_block *block)
{
    device->heap_used_bytes[device->snapshot.memory_types[block->type].heap] -= block->size_bytes;
    device->vk.vkFreeMemory(device->handle, block->handle, NULL);
    free(block);
}

// A new block in front of the list; VK_ERROR_OUT_OF_DEVICE_MEMORY also where it would exceed our own budget.
static VkResult create_block(struct gpu_device *device, uint32_t type, uint64_t size_bytes, const char *name)
{
    const uint32_t heap = device->snapshot.memory_types[type].heap;
    if (heap == device->plan.heap && device->heap_used_bytes[heap] + size_bytes > device->plan.budget_bytes)
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    struct gpu_block *block = calloc(1, sizeof *block);
    if (!block)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    block->type = type;
    block->size_bytes = size_bytes;
    VkResult result = device->vk.vkAllocateMemory(
        device->handle,
        &(VkMemoryAllocateInfo){
            .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
            .pNext = &(VkMemoryAllocateFlagsInfo){ .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                                   .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT },
            .allocationSize = size_bytes,
            .memoryTypeIndex = type,
        },
        NULL, &block->handle);
    if (result == VK_SUCCESS && (device->snapshot.memory_types[type].flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)) {
        void *map = NULL;
        result = device->vk.vkMapMemory(device->handle, block->handle, 0, VK_WHOLE_SIZE, 0, &map);
        block->map = map;
    }
    if (result != VK_SUCCESS) {
        device->vk.vkFreeMemory(device->handle, block->handle, NULL);
        free(block);
        return result;
    }
    gpu_name(device, VK_OBJECT_TYPE_DEVICE_MEMORY, (uint64_t)block->handle, name);
    device->heap_used_bytes[heap] += size_bytes;
    block->next = device->blocks;
    device->blocks = block;
    return VK_SUCCESS;
}

// Links the buffer into the first gap of the block that holds it.
static bool place_in_block(struct gpu_block *block, struct gpu_buffer *buffer, uint64_t alignment)
{
    struct gpu_buffer *previous = NULL, *next = block->first;
    for (;;) {
        const uint64_t before = previous ? previous->offset + previous->reserved_bytes + GAP_BYTES : 0;
        const uint64_t begin = round_up(before, alignment), end = begin + buffer->reserved_bytes;
        if (next ? end + GAP_BYTES <= next->offset : end <= block->size_bytes) {
            buffer->block = block;
            buffer->offset = begin;
            buffer->previous = previous;
            buffer->next = next;
            *(previous ? &previous->next : &block->first) = buffer;
            if (next)
                next->previous = buffer;
            return true;
        }
        if (!next)
            return false;
        previous = next;
        next = next->next;
    }
}

// Shared blocks grow with what is in use, so that what stays free in the last of them is at most a thirty-second part.
static uint64_t shared_block_bytes(const struct gpu_device *device, uint32_t type, enum gpu_memory memory)
{
    const uint64_t largest = gpu_plan_block_bytes(&device->snapshot, &device->plan, memory);
    const uint64_t used = device->heap_used_bytes[device->snapshot.memory_types[type].heap];
    uint64_t size_bytes = SHARED_BLOCK_BYTES_MIN;
    while (2 * size_bytes <= used / 32)
        size_bytes *= 2;
    return size_bytes < largest ? size_bytes : largest;
}

static VkResult place(struct gpu_device *device, struct gpu_buffer *buffer, const struct gpu_buffer_options *options,
                      const VkMemoryRequirements *needs, uint32_t type)
{
    const uint64_t shared_bytes = shared_block_bytes(device, type, options->memory);
    const uint64_t alignment = needs->alignment > ALIGNMENT ? needs->alignment : ALIGNMENT;
    const bool small = buffer->reserved_bytes <= shared_bytes / 4;
    for (struct gpu_block *block = device->blocks; small && block; block = block->next)
        if (block->type == type && block->shared && place_in_block(block, buffer, alignment))
            return VK_SUCCESS;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (small)
        result = create_block(device, type, shared_bytes, memory_names[options->memory]);
    if (small && result == VK_SUCCESS)
        device->blocks->shared = true;
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        result = create_block(device, type, buffer->reserved_bytes, options->name);
    if (result == VK_SUCCESS)
        place_in_block(device->blocks, buffer, alignment);
    return result;
}

static enum karat_status fail_memory(struct gpu_device *device, const struct gpu_buffer_options *options, uint32_t type,
                                     struct karat_error *err)
{
    const uint32_t heap = device->snapshot.memory_types[type].heap;
    return status_fail(
        err, KARAT_ERR_DEVICE_MEMORY, "\"%.80s\" needs %.1f MiB of %s memory, %.1f MiB of %.1f MiB are free on %s",
        options->name, mib(options->size_bytes), memory_names[options->memory], mib(free_bytes(device, heap)),
        mib(heap == device->plan.heap ? device->plan.budget_bytes : device->snapshot.heaps[heap].size_bytes),
        device->snapshot.name);
}

static enum karat_status bind_memory(struct gpu_device *device, struct gpu_buffer *buffer,
                                     const struct gpu_buffer_options *options, struct karat_error *err)
{
    VkMemoryRequirements needs;
    device->vk.vkGetBufferMemoryRequirements(device->handle, buffer->handle, &needs);
    const uint32_t type = gpu_plan_memory_type(&device->snapshot, &device->plan, options->memory, needs.memoryTypeBits);
    if (type == GPU_NO_TYPE)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "%s has no %s memory", device->snapshot.name,
                           memory_names[options->memory]);
    buffer->reserved_bytes = round_up(needs.size, ALIGNMENT);
    mutex_lock(&device->memory_mutex);
    const VkResult result =
        atomic_load(&device->exhausted) ? VK_ERROR_OUT_OF_DEVICE_MEMORY : place(device, buffer, options, &needs, type);
    if (result == VK_SUCCESS)
        buffer->serial = ++device->next_serial;
    enum karat_status status = KARAT_OK;
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        status = fail_memory(device, options, type, err);
    else
        status = gpu_check(device, result, "vkAllocateMemory", err);
    mutex_unlock(&device->memory_mutex);
    if (status != KARAT_OK)
        return status;
    return gpu_check(
        device, device->vk.vkBindBufferMemory(device->handle, buffer->handle, buffer->block->handle, buffer->offset),
        "vkBindBufferMemory", err);
}

enum karat_status gpu_buffer_create(struct gpu_buffer **out, struct gpu_device *device,
                                    const struct gpu_buffer_options *options, struct karat_error *err)
{
    struct gpu_buffer_options wish = *options;
    enum karat_status status = KARAT_OK;
    struct gpu_buffer *buffer = NULL;
    *out = NULL;
    if (!wish.name)
        wish.name = "buffer";
    if (wish.size_bytes == 0 || wish.size_bytes > device->plan.max_allocation_bytes)
        return status_fail(err, KARAT_ERR_ARGUMENT, "\"%.80s\" has %llu bytes, a buffer on %s has 1 to %llu", wish.name,
                           (unsigned long long)wish.size_bytes, device->snapshot.name,
                           (unsigned long long)device->plan.max_allocation_bytes);
    TRY(gpu_check_lost(device, err));
    buffer = calloc(1, sizeof *buffer);
    if (!buffer)
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for \"%.80s\"", wish.name);
    buffer->device = device;
    buffer->size_bytes = wish.size_bytes;
    buffer->memory = wish.memory;
    TRY_VK(vkCreateBuffer(device->handle,
                          &(VkBufferCreateInfo){
                              .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                              // Whole words, so that a fill and a 32-bit view reach the last byte.
                              .size = round_up(wish.size_bytes, 16),
                              .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                       VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
                          },
                          NULL, &buffer->handle));
    gpu_name(device, VK_OBJECT_TYPE_BUFFER, (uint64_t)buffer->handle, wish.name);
    TRY(bind_memory(device, buffer, &wish, err));
    buffer->map = buffer->block->map ? buffer->block->map + buffer->offset : NULL;
    buffer->address = device->vk.vkGetBufferDeviceAddress(
        device->handle, &(VkBufferDeviceAddressInfo){ .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                                      .buffer = buffer->handle });
    *out = buffer;
    buffer = NULL;
cleanup:
    gpu_buffer_destroy(buffer);
    return status;
}

void gpu_buffer_destroy(struct gpu_buffer *buffer)
{
    if (!buffer)
        return;
    struct gpu_device *device = buffer->device;
    device->vk.vkDestroyBuffer(device->handle, buffer->handle, NULL);
    struct gpu_block *block = buffer->block;
    if (block) {
        mutex_lock(&device->memory_mutex);
        *(buffer->previous ? &buffer->previous->next : &block->first) = buffer->next;
        if (buffer->next)
            buffer->next->previous = buffer->previous;
        if (!block->first) {
            unlink_block(device, block);
            destroy_block(device, block);
        }
        mutex_unlock(&device->memory_mutex);
    }
    free(buffer);
}

void gpu_memory_close(struct gpu_device *device)
{
    while (device->blocks) {
        struct gpu_block *block = device->blocks;
        device->blocks = block->next;
        destroy_block(device, block);
    }
}

uint64_t gpu_device_used_bytes(const struct gpu_device *device)
{
    struct mutex *mutex = (struct mutex *)&device->memory_mutex;
    uint64_t used = 0;
    mutex_lock(mutex);
    for (uint32_t i = 0; i < device->snapshot.n_heaps; ++i)
        if (device->snapshot.heaps[i].device_local || i == device->plan.heap)
            used += device->heap_used_bytes[i];
    mutex_unlock(mutex);
    return used;
}

uint64_t gpu_buffer_size(const struct gpu_buffer *buffer)
{
    return buffer ? buffer->size_bytes : 0;
}

uint64_t gpu_buffer_address(const struct gpu_buffer *buffer)
{
    return buffer ? buffer->address : 0;
}

void *gpu_buffer_map(struct gpu_buffer *buffer)
{
    return buffer ? buffer->map : NULL;
}
