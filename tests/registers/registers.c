// registers.c -- what a driver's compiler makes of our kernels: registers, spills, scratch, occupancy.
//
//     registers [FIRST COUNT]     only the programs FIRST .. FIRST + COUNT - 1 of the list
//
// Compiles every kernel, with every set of specialisation values that the ops use on the first Vulkan device, runs
// nothing, and prints one line per compiled program:
//   kernel values subgroup registers spills scratch_bytes shared_bytes occupancy instructions
// A number the driver does not tell is "-". The first line is "device NAME DRIVER". Exit 77: no device that reports.
#include <volk.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"
#include "ops/kernels.h"

#ifndef VK_KHR_cooperative_matrix // Debian 12's headers are older than the extension
#define VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME "VK_KHR_cooperative_matrix"
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR ((VkStructureType)1000506000)
typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;
#endif

struct device {
    VkPhysicalDevice physical;
    VkDevice handle;
    bool coopmat;
    struct gpu_snapshot seen;
    struct gpu_plan plan;
    unsigned n_failed;
    unsigned n_seen, first, count; // programs of the list: so far, and which are wanted
};

enum column { REGISTERS, SPILLS, SCRATCH, SHARED, OCCUPANCY, INSTRUCTIONS, N_COLUMNS };

// What each driver calls its numbers; those of one column add up.
static const struct {
    const char *name;
    enum column column;
} statistics[] = {
    // RADV
    { "VGPRs", REGISTERS },
    { "Spilled VGPRs", SPILLS },
    { "Spilled SGPRs", SPILLS },
    { "Scratch size", SCRATCH },
    { "LDS size", SHARED },
    { "Subgroups per SIMD", OCCUPANCY },
    { "Instructions", INSTRUCTIONS },
    // ANV
    { "Max live registers", REGISTERS },
    { "Spill Count", SPILLS },
    { "Scratch Memory Size", SCRATCH },
    { "Workgroup Memory Size", SHARED },
    { "Instruction Count", INSTRUCTIONS },
    // NVK
    { "Number of GPRs", REGISTERS },
    { "Spills to memory", SPILLS },
    { "SLM size", SCRATCH },
    { "Max warps/SM", OCCUPANCY },
    { "Shared Memory Size", SHARED },
    { "Instruction count", INSTRUCTIONS },
};

static int skip(const char *why)
{
    printf("SKIP: %s\n", why);
    return 77;
}

static bool has_extension(VkPhysicalDevice physical, const char *name)
{
    uint32_t n = 0;
    vkEnumerateDeviceExtensionProperties(physical, NULL, &n, NULL);
    VkExtensionProperties *all = calloc(n + 1, sizeof *all);
    bool found = false;
    if (all && vkEnumerateDeviceExtensionProperties(physical, NULL, &n, all) == VK_SUCCESS)
        for (uint32_t i = 0; i < n; ++i)
            found = found || strcmp(all[i].extensionName, name) == 0;
    free(all);
    return found;
}

// Everything the device can do is switched on: which kernels fit which device is not decided here.
static bool create_device(struct device *device)
{
    const char *extensions[2] = { VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME };
    uint32_t n_extensions = 1;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR
    };
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR
    };
    VkPhysicalDeviceVulkan13Features v13 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
                                             .pNext = &executable };
    VkPhysicalDeviceVulkan12Features v12 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                             .pNext = &v13 };
    VkPhysicalDeviceVulkan11Features v11 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
                                             .pNext = &v12 };
    VkPhysicalDeviceFeatures2 features = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v11 };
    if (device->coopmat) {
        extensions[n_extensions++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
        executable.pNext = &coopmat;
    }
    vkGetPhysicalDeviceFeatures2(device->physical, &features);
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                            .queueCount = 1,
                                            .pQueuePriorities = &priority };
    const VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                      .pNext = &features,
                                      .queueCreateInfoCount = 1,
                                      .pQueueCreateInfos = &queue,
                                      .enabledExtensionCount = n_extensions,
                                      .ppEnabledExtensionNames = extensions };
    return vkCreateDevice(device->physical, &info, NULL, &device->handle) == VK_SUCCESS;
}

static VkPipelineLayout create_layout(VkDevice device, const struct gpu_kernel_desc *desc, VkDescriptorSetLayout *set)
{
    VkDescriptorSetLayoutBinding bindings[GPU_BUFFERS_MAX];
    for (uint32_t i = 0; i < desc->n_buffers; ++i)
        bindings[i] = (VkDescriptorSetLayoutBinding){ .binding = i,
                                                      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                      .descriptorCount = 1,
                                                      .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
    const VkDescriptorSetLayoutCreateInfo set_info = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                       .bindingCount = desc->n_buffers,
                                                       .pBindings = bindings };
    const VkPushConstantRange push = { .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = GPU_PARAMS_MAX };
    VkPipelineLayoutCreateInfo info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                        .setLayoutCount = 1,
                                        .pSetLayouts = set,
                                        .pushConstantRangeCount = 1,
                                        .pPushConstantRanges = &push };
    VkPipelineLayout layout = VK_NULL_HANDLE;
    if (vkCreateDescriptorSetLayout(device, &set_info, NULL, set) == VK_SUCCESS)
        vkCreatePipelineLayout(device, &info, NULL, &layout);
    return layout;
}

// As runtime/gpu/kernel.c makes it, except that the driver is asked to keep its statistics.
static VkPipeline create_pipeline(const struct device *device, VkPipelineLayout layout,
                                  const struct gpu_kernel_desc *desc, const uint32_t *spec)
{
    const VkShaderModuleCreateInfo module_info = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                   .codeSize = desc->code_bytes,
                                                   .pCode = desc->code };
    VkShaderModule shader;
    if (vkCreateShaderModule(device->handle, &module_info, NULL, &shader) != VK_SUCCESS)
        return VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[GPU_SPEC_MAX];
    for (uint32_t i = 0; i < desc->n_spec; ++i)
        entries[i] = (VkSpecializationMapEntry){ .constantID = i, .offset = 4 * i, .size = 4 };
    const VkSpecializationInfo special = {
        .mapEntryCount = desc->n_spec, .pMapEntries = entries, .dataSize = 4 * desc->n_spec, .pData = spec
    };
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = device->plan.subgroup_size,
    };
    const bool set_size = desc->full_subgroups && device->seen.subgroup_size_control;
    const bool set_full = desc->full_subgroups && device->seen.full_subgroups;
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR,
        .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                   .pNext = set_size ? &size : NULL,
                   .flags = set_full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0u,
                   .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                   .module = shader,
                   .pName = "main",
                   .pSpecializationInfo = &special },
        .layout = layout,
    };
    VkPipeline pipeline = VK_NULL_HANDLE;
    vkCreateComputePipelines(device->handle, VK_NULL_HANDLE, 1, &info, NULL, &pipeline);
    vkDestroyShaderModule(device->handle, shader, NULL);
    return pipeline;
}

static uint64_t value_of(const VkPipelineExecutableStatisticKHR *statistic)
{
    switch (statistic->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return statistic->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
        return (uint64_t)statistic->value.f64;
    default:
        return statistic->value.u64;
    }
}

static void print_executable(VkDevice device, VkPipeline pipeline, uint32_t index, uint32_t subgroup_size)
{
    const VkPipelineExecutableInfoKHR info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                               .pipeline = pipeline,
                                               .executableIndex = index };
    VkPipelineExecutableStatisticKHR found[64];
    uint32_t n = COUNT(found);
    for (uint32_t i = 0; i < n; ++i)
        found[i] = (VkPipelineExecutableStatisticKHR){ .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR };
    if (vkGetPipelineExecutableStatisticsKHR(device, &info, &n, found) < 0)
        n = 0;
    uint64_t sums[N_COLUMNS] = { 0 };
    bool known[N_COLUMNS] = { false };
    for (uint32_t i = 0; i < n; ++i) {
        if (getenv("REGISTERS_VERBOSE"))
            fprintf(stderr, "    %s = %llu\n", found[i].name, (unsigned long long)value_of(&found[i]));
        for (size_t j = 0; j < COUNT(statistics); ++j)
            if (strcmp(found[i].name, statistics[j].name) == 0) {
                sums[statistics[j].column] += value_of(&found[i]);
                known[statistics[j].column] = true;
            }
    }
    printf("%u", subgroup_size);
    for (int i = 0; i < N_COLUMNS; ++i)
        if (known[i])
            printf("\t%llu", (unsigned long long)sums[i]);
        else
            printf("\t-");
    printf("\n");
}

static void print_programs(VkDevice device, VkPipeline pipeline, const char *kernel, const char *values)
{
    const VkPipelineInfoKHR info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline };
    VkPipelineExecutablePropertiesKHR programs[8];
    uint32_t n = COUNT(programs);
    for (uint32_t i = 0; i < n; ++i)
        programs[i] =
            (VkPipelineExecutablePropertiesKHR){ .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR };
    vkGetPipelineExecutablePropertiesKHR(device, &info, &n, programs);
    for (uint32_t i = 0; i < n; ++i) {
        printf("%s\t%s\t", kernel, values);
        print_executable(device, pipeline, i, programs[i].subgroupSize);
    }
}

// A kernel_visit_fn.
static bool compile(void *user, enum kernel kernel, const uint32_t *spec)
{
    struct device *device = user;
    const struct gpu_kernel_desc *desc = &kernels[kernel];
    const unsigned index = device->n_seen++;
    if (!desc->code || index < device->first || index - device->first >= device->count)
        return true;
    char values[16 * GPU_SPEC_MAX] = "-";
    for (uint32_t i = 0, used = 0; i < desc->n_spec; ++i)
        used += (uint32_t)snprintf(values + used, sizeof values - used, "%s%u", i > 0 ? "," : "", spec[i]);
    // Unbuffered, so that the last line names the kernel if the driver's compiler dies on it.
    fprintf(stderr, "%s %s\n", desc->name, values);
    VkDescriptorSetLayout set = VK_NULL_HANDLE;
    const VkPipelineLayout layout = create_layout(device->handle, desc, &set);
    const VkPipeline pipeline = create_pipeline(device, layout, desc, spec);
    if (pipeline) {
        print_programs(device->handle, pipeline, desc->name, values);
    } else {
        fprintf(stderr, "%s %s: does not compile\n", desc->name, values);
        ++device->n_failed;
    }
    vkDestroyPipeline(device->handle, pipeline, NULL);
    vkDestroyPipelineLayout(device->handle, layout, NULL);
    vkDestroyDescriptorSetLayout(device->handle, set, NULL);
    return true;
}

int main(int argc, char **argv)
{
    static struct device device = { .count = UINT32_MAX };
    if (argc == 3) {
        device.first = (unsigned)atoi(argv[1]);
        device.count = (unsigned)atoi(argv[2]);
    }
    struct karat_error err;
    size_t n_seen;
    if (gpu_snapshot_all(&device.seen, 1, &n_seen, &err) != KARAT_OK ||
        gpu_plan_make(&device.plan, &device.seen, 0, &err) != KARAT_OK)
        return skip(err.text);
    if (volkInitialize() != VK_SUCCESS)
        return skip("no Vulkan loader");
    const VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                            .apiVersion = VK_API_VERSION_1_3 };
    const VkInstanceCreateInfo instance_info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                                 .pApplicationInfo = &application };
    VkInstance instance;
    if (vkCreateInstance(&instance_info, NULL, &instance) != VK_SUCCESS)
        return skip("no Vulkan driver");
    volkLoadInstance(instance);
    uint32_t n = 1;
    vkEnumeratePhysicalDevices(instance, &n, &device.physical);
    if (!has_extension(device.physical, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME))
        return skip("the driver reports no statistics");
    device.coopmat = has_extension(device.physical, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    if (!create_device(&device))
        return skip("the device cannot be opened");
    volkLoadDevice(device.handle);

    VkPhysicalDeviceDriverProperties driver = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES };
    VkPhysicalDeviceProperties2 properties = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                               .pNext = &driver };
    vkGetPhysicalDeviceProperties2(device.physical, &properties);
    printf("device\t%s\t%s\n", properties.properties.deviceName, driver.driverInfo);

    const struct gpu_plan *plan = &device.plan;
    (void)kernel_list_all(plan, compile, &device);
    vkDestroyDevice(device.handle, NULL);
    vkDestroyInstance(instance, NULL);
    return device.n_failed > 0;
}
