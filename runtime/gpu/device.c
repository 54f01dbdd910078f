// gpu/device.c -- the logical device, made as the plan says.
#include "gpu/hooks.h"
#include "gpu/internal.h"

#include <stdlib.h>

#include "base/log.h"

#define DEVICES_MAX 32

enum karat_status gpu_check_lost(const struct gpu_device *device, struct karat_error *err)
{
    if (!atomic_load_explicit(&device->lost, memory_order_relaxed))
        return KARAT_OK;
    return status_fail(err, KARAT_ERR_DEVICE_LOST, "%s was lost: the driver reset it or it was removed",
                       device->snapshot.name);
}

// What the driver knows about the fault, into the log; the sentence of the error stays short.
static void log_fault(struct gpu_device *device)
{
    if (!device->snapshot.device_fault || !device->vk.vkGetDeviceFaultInfoEXT)
        return;
    VkDeviceFaultInfoEXT info = { .sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_INFO_EXT };
    VkDeviceFaultCountsEXT counts = { .sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_COUNTS_EXT };
    if (device->vk.vkGetDeviceFaultInfoEXT(device->handle, &counts, &info) >= 0)
        log_line(KARAT_LOG_ERROR, "%s: fault report: %.200s", device->snapshot.name, info.description);
}

enum karat_status gpu_check(struct gpu_device *device, VkResult result, const char *what, struct karat_error *err)
{
    if (result >= 0)
        return KARAT_OK;
    // The call's name is enough; its arguments are ours.
    const size_t length = strcspn(what, "(");
    switch (result) {
    case VK_ERROR_DEVICE_LOST:
        if (!atomic_exchange(&device->lost, true))
            log_fault(device);
        return gpu_check_lost(device, err);
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return status_fail(err, KARAT_ERR_MEMORY, "%.*s: out of host memory on %s", (int)length, what,
                           device->snapshot.name);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return status_fail(err, KARAT_ERR_DEVICE_MEMORY, "%.*s: out of device memory on %s", (int)length, what,
                           device->snapshot.name);
    default:
        return status_fail(err, KARAT_ERR_DEVICE, "%.*s: %s on %s", (int)length, what, gpu_result_text(result),
                           device->snapshot.name);
    }
}

void gpu_name(struct gpu_device *device, VkObjectType type, uint64_t handle, const char *name)
{
    if (device->names && name)
        vkSetDebugUtilsObjectNameEXT(device->handle, &(VkDebugUtilsObjectNameInfoEXT){
                                                         .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
                                                         .objectType = type,
                                                         .objectHandle = handle,
                                                         .pObjectName = name,
                                                     });
}

static enum karat_status create_handle(struct gpu_device *device, struct karat_error *err)
{
    const struct gpu_snapshot *seen = &device->snapshot;
    const char *extensions[8];
    uint32_t n_extensions = 0;
    VkPhysicalDeviceFaultFeaturesEXT fault = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT,
                                               .deviceFault = VK_TRUE };
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE,
    };
    struct gpu_coopmat_features coopmat = { .sType = GPU_COOPMAT_FEATURES_TYPE, .cooperativeMatrix = VK_TRUE };
    VkPhysicalDeviceVulkan13Features v13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
        .synchronization2 = VK_TRUE,
        .maintenance4 = VK_TRUE,
        .subgroupSizeControl = seen->subgroup_size_control,
        .computeFullSubgroups = seen->full_subgroups,
        .shaderIntegerDotProduct = seen->int_dot,
    };
    VkPhysicalDeviceVulkan12Features v12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = &v13,
        .bufferDeviceAddress = VK_TRUE,
        .timelineSemaphore = VK_TRUE,
        .scalarBlockLayout = seen->scalar_layout,
        .vulkanMemoryModel = seen->memory_model,
        .vulkanMemoryModelDeviceScope = seen->memory_model,
        .storageBuffer8BitAccess = seen->storage_8bit,
        .shaderInt8 = seen->int8,
        .shaderFloat16 = seen->float16,
    };
    VkPhysicalDeviceVulkan11Features v11 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
                                             .pNext = &v12,
                                             .storageBuffer16BitAccess = seen->storage_16bit };
    VkPhysicalDeviceFeatures2 features = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                           .pNext = &v11,
                                           .features = { .shaderInt16 = seen->int16, .shaderInt64 = seen->int64 } };
    if (device->plan.tier == GPU_TIER_COOPMAT) {
        coopmat.pNext = features.pNext;
        features.pNext = &coopmat;
        extensions[n_extensions++] = GPU_COOPMAT_EXTENSION;
    }
    if (seen->executable_properties && device->timing) {
        executable.pNext = features.pNext;
        features.pNext = &executable;
        extensions[n_extensions++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    }
    if (seen->device_fault) {
        fault.pNext = features.pNext;
        features.pNext = &fault;
        extensions[n_extensions++] = VK_EXT_DEVICE_FAULT_EXTENSION_NAME;
    }
    if (seen->memory_budget)
        extensions[n_extensions++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;

    const VkResult result = vkCreateDevice(device->physical,
                                           &(VkDeviceCreateInfo){
                                               .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                               .pNext = &features,
                                               .queueCreateInfoCount = 1,
                                               .pQueueCreateInfos =
                                                   &(VkDeviceQueueCreateInfo){
                                                       .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                                       .queueFamilyIndex = device->plan.queue_family,
                                                       .queueCount = 1,
                                                       .pQueuePriorities = (const float[]){ 1.0f },
                                                   },
                                               .enabledExtensionCount = n_extensions,
                                               .ppEnabledExtensionNames = extensions,
                                           },
                                           NULL, &device->handle);
    if (result != VK_SUCCESS)
        return gpu_check(device, result, "vkCreateDevice", err);
    volkLoadDeviceTable(&device->vk, device->handle);
    device->vk.vkGetDeviceQueue(device->handle, device->plan.queue_family, 0, &device->queue);
    return KARAT_OK;
}

// A kernel's interface is a number of storage buffers, so a handful of layouts serves all kernels.
static enum karat_status create_set_layouts(struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    VkDescriptorSetLayoutBinding bindings[GPU_BUFFERS_MAX];
    for (uint32_t i = 0; i < GPU_BUFFERS_MAX; ++i)
        bindings[i] = (VkDescriptorSetLayoutBinding){ .binding = i,
                                                      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                      .descriptorCount = 1,
                                                      .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
    for (uint32_t n = 0; n <= GPU_BUFFERS_MAX; ++n)
        TRY_VK(vkCreateDescriptorSetLayout(
            device->handle,
            &(VkDescriptorSetLayoutCreateInfo){ .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                .bindingCount = n,
                                                .pBindings = bindings },
            NULL, &device->set_layouts[n]));
cleanup:
    return status;
}

static bool pretends_gpu;

void gpu_device_pretend_gpu(bool pretend)
{
    pretends_gpu = pretend;
}

enum karat_status gpu_device_create(struct gpu_device **out, const struct gpu_device_options *options,
                                    struct karat_error *err)
{
    const struct gpu_device_options defaults = { 0 };
    enum karat_status status = KARAT_OK;
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice physical[DEVICES_MAX];
    struct gpu_snapshot *seen = NULL;
    size_t n_devices = 0, index = 0;
    *out = NULL;
    if (!options)
        options = &defaults;
    struct gpu_device *device = calloc(1, sizeof *device);
    seen = calloc(DEVICES_MAX, sizeof *seen);
    if (!device || !seen) {
        status = status_fail(err, KARAT_ERR_MEMORY, "no host memory for a device");
        goto cleanup;
    }
    device->queue_mutex = (struct mutex)MUTEX_INIT;
    device->memory_mutex = (struct mutex)MUTEX_INIT;
    device->timing = options->timing;

    TRY(gpu_instance_open(&instance, err));
    device->instance_open = true;
    device->names = gpu_instance_has_names();
    TRY(gpu_snapshot_devices(instance, seen, physical, DEVICES_MAX, &n_devices, err));
    if (n_devices > DEVICES_MAX)
        n_devices = DEVICES_MAX;
    TRY(gpu_plan_choose(&index, seen, n_devices, options->wish, err));
    device->snapshot = seen[index];
    device->physical = physical[index];
    TRY(gpu_plan_make(&device->plan, &device->snapshot, options->vram_limit_bytes, err));
    device->plan.cpu = device->plan.cpu && !pretends_gpu;
    TRY(create_handle(device, err));
    TRY(create_set_layouts(device, err));
    gpu_notes_locate(device, options->pipeline_cache_dir);
    TRY(gpu_kernels_open(device, err));
    *out = device;
    device = NULL;
cleanup:
    gpu_device_destroy(device);
    free(seen);
    return status;
}

void gpu_device_destroy(struct gpu_device *device)
{
    if (!device)
        return;
    if (device->handle) {
        device->vk.vkDeviceWaitIdle(device->handle);
        gpu_kernels_close(device);
        gpu_memory_close(device);
        for (uint32_t n = 0; n <= GPU_BUFFERS_MAX; ++n)
            device->vk.vkDestroyDescriptorSetLayout(device->handle, device->set_layouts[n], NULL);
        device->vk.vkDestroyDevice(device->handle, NULL);
    }
    if (device->instance_open)
        gpu_instance_close();
    free(device);
}

const struct gpu_snapshot *gpu_device_snapshot(const struct gpu_device *device)
{
    return &device->snapshot;
}

const struct gpu_plan *gpu_device_plan(const struct gpu_device *device)
{
    return &device->plan;
}

void gpu_device_lose(struct gpu_device *device)
{
    atomic_store(&device->lost, true);
}

void gpu_device_exhaust(struct gpu_device *device, bool exhausted)
{
    atomic_store(&device->exhausted, exhausted);
}
