// gpu/snapshot.c -- one physical device copied into plain data.
#include "gpu/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The largest set of devices one machine is expected to show.
#define DEVICES_MAX 64

struct extensions {
    VkExtensionProperties *list;
    uint32_t count;
};

static struct extensions list_extensions(VkPhysicalDevice device)
{
    struct extensions found = { 0 };
    if (vkEnumerateDeviceExtensionProperties(device, NULL, &found.count, NULL) != VK_SUCCESS || found.count == 0)
        return (struct extensions){ 0 };
    found.list = calloc(found.count, sizeof *found.list);
    if (!found.list || vkEnumerateDeviceExtensionProperties(device, NULL, &found.count, found.list) < 0)
        found.count = 0;
    return found;
}

static bool has(const struct extensions *extensions, const char *name)
{
    for (uint32_t i = 0; i < extensions->count; ++i)
        if (strcmp(extensions->list[i].extensionName, name) == 0)
            return true;
    return false;
}

// Puts `link` in front of the chain that starts at *head.
static void chain(void **head, void *link)
{
    ((VkBaseOutStructure *)link)->pNext = *head;
    *head = link;
}

static enum gpu_kind kind_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return GPU_KIND_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return GPU_KIND_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return GPU_KIND_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return GPU_KIND_CPU;
    default:
        return GPU_KIND_OTHER;
    }
}

static enum gpu_vendor vendor_of(uint32_t vendor_id, enum gpu_kind kind)
{
    if (kind == GPU_KIND_CPU)
        return GPU_VENDOR_SOFTWARE;
    switch (vendor_id) {
    case 0x10DE:
        return GPU_VENDOR_NVIDIA;
    case 0x1002:
        return GPU_VENDOR_AMD;
    case 0x8086:
        return GPU_VENDOR_INTEL;
    default:
        return GPU_VENDOR_OTHER;
    }
}

static void read_properties(struct gpu_snapshot *out, VkPhysicalDevice device)
{
    VkPhysicalDeviceVulkan13Properties v13 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES };
    VkPhysicalDeviceVulkan12Properties v12 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES };
    VkPhysicalDeviceVulkan11Properties v11 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES };
    VkPhysicalDeviceProperties2 all = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 };
    vkGetPhysicalDeviceProperties(device, &all.properties);
    // A device older than a structure must not be handed it.
    if (all.properties.apiVersion >= VK_API_VERSION_1_2) {
        chain(&all.pNext, &v11);
        chain(&all.pNext, &v12);
    }
    if (all.properties.apiVersion >= VK_API_VERSION_1_3)
        chain(&all.pNext, &v13);
    vkGetPhysicalDeviceProperties2(device, &all);

    const VkPhysicalDeviceProperties *p = &all.properties;
    const VkPhysicalDeviceLimits *limits = &p->limits;
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof p->deviceName, p->deviceName);
    snprintf(out->driver, sizeof out->driver, "%.100s%s%.100s", v12.driverName, v12.driverInfo[0] ? " " : "",
             v12.driverInfo);
    out->kind = kind_of(p->deviceType);
    out->vendor = vendor_of(p->vendorID, out->kind);
    out->vendor_id = p->vendorID;
    out->device_id = p->deviceID;
    out->api_version = p->apiVersion;
    memcpy(out->pipeline_cache_uuid, p->pipelineCacheUUID, sizeof out->pipeline_cache_uuid);

    out->max_storage_range_bytes = limits->maxStorageBufferRange;
    out->max_allocation_bytes = v11.maxMemoryAllocationSize;
    out->max_buffer_bytes = v13.maxBufferSize;
    out->max_push_bytes = limits->maxPushConstantsSize;
    out->max_workgroup_invocations = limits->maxComputeWorkGroupInvocations;
    out->max_shared_bytes = limits->maxComputeSharedMemorySize;
    memcpy(out->max_workgroups, limits->maxComputeWorkGroupCount, sizeof out->max_workgroups);
    out->storage_alignment = (uint32_t)limits->minStorageBufferOffsetAlignment;
    out->timestamp_period_ns = limits->timestampPeriod;

    const bool in_compute = (v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    out->subgroup_size = v11.subgroupSize;
    out->subgroup_operations = in_compute ? v11.subgroupSupportedOperations : 0;
    out->subgroup_size_min = v13.minSubgroupSize ? v13.minSubgroupSize : v11.subgroupSize;
    out->subgroup_size_max = v13.maxSubgroupSize ? v13.maxSubgroupSize : v11.subgroupSize;
    out->subgroup_size_control = (v13.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    out->int_dot_accelerated = v13.integerDotProduct4x8BitPackedSignedAccelerated;
    out->int_dot_mixed_accelerated = v13.integerDotProduct4x8BitPackedMixedSignednessAccelerated;
}

static void read_features(struct gpu_snapshot *out, VkPhysicalDevice device, const struct extensions *extensions)
{
    VkPhysicalDeviceVulkan11Features v11 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES };
    VkPhysicalDeviceVulkan12Features v12 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES };
    VkPhysicalDeviceVulkan13Features v13 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES };
    struct gpu_coopmat_features coopmat = { .sType = GPU_COOPMAT_FEATURES_TYPE };
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR
    };
    VkPhysicalDeviceFaultFeaturesEXT fault = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT };
    VkPhysicalDeviceFeatures2 all = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2 };
    if (out->api_version >= VK_API_VERSION_1_2) {
        chain(&all.pNext, &v11);
        chain(&all.pNext, &v12);
    }
    if (out->api_version >= VK_API_VERSION_1_3)
        chain(&all.pNext, &v13);
    if (has(extensions, GPU_COOPMAT_EXTENSION))
        chain(&all.pNext, &coopmat);
    if (has(extensions, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME))
        chain(&all.pNext, &executable);
    if (has(extensions, VK_EXT_DEVICE_FAULT_EXTENSION_NAME))
        chain(&all.pNext, &fault);
    vkGetPhysicalDeviceFeatures2(device, &all);

    out->int16 = all.features.shaderInt16;
    out->int64 = all.features.shaderInt64;
    out->storage_16bit = v11.storageBuffer16BitAccess;
    out->storage_8bit = v12.storageBuffer8BitAccess;
    out->int8 = v12.shaderInt8;
    out->float16 = v12.shaderFloat16;
    out->scalar_layout = v12.scalarBlockLayout;
    out->buffer_device_address = v12.bufferDeviceAddress;
    out->timeline_semaphore = v12.timelineSemaphore;
    out->memory_model = v12.vulkanMemoryModel && v12.vulkanMemoryModelDeviceScope;
    out->synchronization2 = v13.synchronization2;
    out->subgroup_size_control = out->subgroup_size_control && v13.subgroupSizeControl;
    out->full_subgroups = v13.computeFullSubgroups;
    out->int_dot = v13.shaderIntegerDotProduct;
    out->coopmat = coopmat.cooperativeMatrix;
    out->executable_properties = executable.pipelineExecutableInfo;
    out->device_fault = fault.deviceFault;
    // AMD's driver without hardware behind it, which compiles for any of its chips, crashes when asked for its budget.
    out->memory_budget =
        has(extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) && strncmp(out->name, "Null hardware", 13) != 0;
    out->external_host_memory = has(extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    out->global_priority = has(extensions, VK_KHR_GLOBAL_PRIORITY_EXTENSION_NAME);
}

static void read_memory(struct gpu_snapshot *out, VkPhysicalDevice device)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
    };
    VkPhysicalDeviceMemoryProperties2 all = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2 };
    if (out->memory_budget)
        chain(&all.pNext, &budget);
    vkGetPhysicalDeviceMemoryProperties2(device, &all);

    const VkPhysicalDeviceMemoryProperties *memory = &all.memoryProperties;
    out->n_heaps = memory->memoryHeapCount;
    for (uint32_t i = 0; i < memory->memoryHeapCount; ++i) {
        // The budget is for the whole process, so what we and others in it use already comes off. It may exceed the
        // heap, and some drivers say 0 for "no idea".
        const uint64_t size = memory->memoryHeaps[i].size;
        const uint64_t granted = budget.heapBudget[i] < size ? budget.heapBudget[i] : size;
        const uint64_t used = budget.heapUsage[i];
        out->heaps[i].size_bytes = size;
        out->heaps[i].budget_bytes = granted == 0 ? 0 : used < granted ? granted - used : 1;
        out->heaps[i].device_local = (memory->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0;
    }
    out->n_memory_types = memory->memoryTypeCount;
    for (uint32_t i = 0; i < memory->memoryTypeCount; ++i) {
        out->memory_types[i].heap = memory->memoryTypes[i].heapIndex;
        out->memory_types[i].flags = memory->memoryTypes[i].propertyFlags;
    }
}

static void read_queues(struct gpu_snapshot *out, VkPhysicalDevice device)
{
    VkQueueFamilyProperties families[GPU_QUEUE_FAMILIES_MAX];
    uint32_t count = COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families);
    out->n_queue_families = count;
    for (uint32_t i = 0; i < count; ++i) {
        out->queue_families[i].flags = families[i].queueFlags;
        out->queue_families[i].n_queues = families[i].queueCount;
        out->queue_families[i].timestamp_bits = families[i].timestampValidBits;
    }
}

static void read_coopmat(struct gpu_snapshot *out, VkInstance instance, VkPhysicalDevice device)
{
    const gpu_coopmat_properties_fn get =
        (gpu_coopmat_properties_fn)vkGetInstanceProcAddr(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    if (!out->coopmat || !get)
        return;
    struct gpu_coopmat_properties found[128];
    for (size_t i = 0; i < COUNT(found); ++i)
        found[i] = (struct gpu_coopmat_properties){ .sType = GPU_COOPMAT_PROPERTIES_TYPE };
    uint32_t count = COUNT(found);
    if (get(device, &count, found) < 0)
        return;
    for (uint32_t i = 0; i < count && out->n_coopmat_shapes < GPU_COOPMAT_SHAPES_MAX; ++i) {
        const struct gpu_coopmat_properties *p = &found[i];
        if (p->scope == GPU_COOPMAT_SCOPE_SUBGROUP && !p->saturatingAccumulation)
            out->coopmat_shapes[out->n_coopmat_shapes++] =
                (struct gpu_coopmat_shape){ p->MSize, p->NSize, p->KSize, p->AType, p->BType, p->CType, p->ResultType };
    }
}

static void take_snapshot(struct gpu_snapshot *out, VkInstance instance, VkPhysicalDevice device)
{
    *out = (struct gpu_snapshot){ 0 };
    const struct extensions extensions = list_extensions(device);
    read_properties(out, device);
    read_features(out, device, &extensions);
    read_memory(out, device);
    read_queues(out, device);
    read_coopmat(out, instance, device);
    free(extensions.list);
}

enum karat_status gpu_snapshot_devices(VkInstance instance, struct gpu_snapshot *seen, VkPhysicalDevice *devices,
                                       size_t capacity, size_t *n_out, struct karat_error *err)
{
    VkPhysicalDevice found[DEVICES_MAX];
    uint32_t count = COUNT(found);
    *n_out = 0;
    const VkResult result = vkEnumeratePhysicalDevices(instance, &count, found);
    // The loader says so, too, when no driver has a device.
    if (result < 0 && result != VK_ERROR_INITIALIZATION_FAILED)
        return status_fail(err, KARAT_ERR_NO_DEVICE, "the Vulkan drivers do not list their devices: %s",
                           gpu_result_text(result));
    if (result < 0 || count == 0)
        return status_fail(err, KARAT_ERR_NO_DEVICE, "the installed Vulkan drivers found no device");
    for (uint32_t i = 0; i < count && i < capacity; ++i) {
        take_snapshot(&seen[i], instance, found[i]);
        if (devices)
            devices[i] = found[i];
    }
    *n_out = count;
    return KARAT_OK;
}

enum karat_status gpu_snapshot_all(struct gpu_snapshot *seen, size_t capacity, size_t *n_out, struct karat_error *err)
{
    VkInstance instance = VK_NULL_HANDLE;
    *n_out = 0;
    enum karat_status status = gpu_instance_open(&instance, err);
    if (status != KARAT_OK)
        return status;
    status = gpu_snapshot_devices(instance, seen, NULL, capacity, n_out, err);
    gpu_instance_close();
    return status;
}
