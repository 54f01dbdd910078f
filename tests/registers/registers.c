// registers.c -- what a driver's compiler makes of our kernels: registers, spills, scratch, occupancy.
//
// Reads lines "kernel variant file.spv [value of constant 0] [1] ..." from standard input, compiles each for the first
// Vulkan device, runs nothing, and prints one line per compiled program:
//   kernel variant subgroup registers spills scratch_bytes shared_bytes occupancy instructions
// A number the driver does not tell is "-". The first line is "device NAME, DRIVER". Exit 77: no device that reports.
#define VOLK_IMPLEMENTATION
#include <volk.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BINDINGS_MAX 64
#define SPEC_MAX 32

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
};

struct module {
    uint32_t *code;
    size_t n_words;
    uint32_t bindings; // bit i: binding i of set 0 is used
    bool coopmat;
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
    { "SLM Size", SCRATCH },
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

static bool read_module(struct module *module, const char *path)
{
    *module = (struct module){ 0 };
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    const size_t limit = 4u << 20;
    module->code = malloc(limit);
    if (module->code)
        module->n_words = fread(module->code, 1, limit, file) / 4;
    fclose(file);
    if (module->n_words < 5 || module->code[0] != 0x07230203)
        return false;
    // Set 0 alone is used, and all of its bindings are storage buffers: the numbers are enough for a layout.
    for (size_t at = 5; at < module->n_words;) {
        const uint32_t *word = module->code + at, length = word[0] >> 16, op = word[0] & 0xFFFF;
        if (length == 0 || at + length > module->n_words)
            return false;
        if (op == 17 && word[1] == 6022) // OpCapability CooperativeMatrixKHR
            module->coopmat = true;
        if (op == 71 && word[2] == 33 && word[3] < 32) // OpDecorate x Binding n
            module->bindings |= 1u << word[3];
        at += length;
    }
    return true;
}

static VkPipelineLayout create_layout(VkDevice device, uint32_t bindings, VkDescriptorSetLayout *set)
{
    VkDescriptorSetLayoutBinding list[32];
    uint32_t n = 0;
    for (uint32_t i = 0; i < 32; ++i)
        if (bindings >> i & 1)
            list[n++] = (VkDescriptorSetLayoutBinding){ .binding = i,
                                                        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                        .descriptorCount = 1,
                                                        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
    const VkDescriptorSetLayoutCreateInfo set_info = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                       .bindingCount = n,
                                                       .pBindings = list };
    const VkPushConstantRange push = { .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 128 };
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

static VkPipeline create_pipeline(VkDevice device, VkPipelineLayout layout, const struct module *module,
                                  const uint32_t *spec, uint32_t n_spec)
{
    const VkShaderModuleCreateInfo module_info = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                   .codeSize = module->n_words * 4,
                                                   .pCode = module->code };
    VkShaderModule shader;
    if (vkCreateShaderModule(device, &module_info, NULL, &shader) != VK_SUCCESS)
        return VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[SPEC_MAX];
    for (uint32_t i = 0; i < n_spec; ++i)
        entries[i] = (VkSpecializationMapEntry){ .constantID = i, .offset = 4 * i, .size = 4 };
    const VkSpecializationInfo special = {
        .mapEntryCount = n_spec, .pMapEntries = entries, .dataSize = 4 * n_spec, .pData = spec
    };
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR,
        .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                   .flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT,
                   .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                   .module = shader,
                   .pName = "main",
                   .pSpecializationInfo = &special },
        .layout = layout,
    };
    VkPipeline pipeline = VK_NULL_HANDLE;
    vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline);
    vkDestroyShaderModule(device, shader, NULL);
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

// One line of the list.
static bool compile(const struct device *device, char *line)
{
    const char *kernel = strtok(line, " \t\n"), *variant = strtok(NULL, " \t\n"), *path = strtok(NULL, " \t\n");
    if (!path)
        return true;
    uint32_t spec[SPEC_MAX], n_spec = 0;
    for (char *word; n_spec < SPEC_MAX && (word = strtok(NULL, " \t\n"));)
        spec[n_spec++] = (uint32_t)strtoul(word, NULL, 0);
    struct module module;
    if (!read_module(&module, path)) {
        fprintf(stderr, "%s: not SPIR-V\n", path);
        free(module.code);
        return false;
    }
    bool done = true;
    // Unbuffered, so that the last line names the kernel if the driver's compiler dies on it.
    fprintf(stderr, "%s %s\n", kernel, variant);
    if (module.coopmat && !device->coopmat) {
        free(module.code);
        return true;
    }
    VkDescriptorSetLayout set = VK_NULL_HANDLE;
    const VkPipelineLayout layout = create_layout(device->handle, module.bindings, &set);
    const VkPipeline pipeline = create_pipeline(device->handle, layout, &module, spec, n_spec);
    if (!pipeline) {
        fprintf(stderr, "%s %s: does not compile\n", kernel, variant);
        done = false;
    } else {
        const VkPipelineInfoKHR info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline };
        VkPipelineExecutablePropertiesKHR programs[8];
        uint32_t n = COUNT(programs);
        for (uint32_t i = 0; i < n; ++i)
            programs[i] =
                (VkPipelineExecutablePropertiesKHR){ .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR };
        vkGetPipelineExecutablePropertiesKHR(device->handle, &info, &n, programs);
        for (uint32_t i = 0; i < n; ++i) {
            printf("%s\t%s\t", kernel, variant);
            print_executable(device->handle, pipeline, i, programs[i].subgroupSize);
        }
        vkDestroyPipeline(device->handle, pipeline, NULL);
    }
    vkDestroyPipelineLayout(device->handle, layout, NULL);
    vkDestroyDescriptorSetLayout(device->handle, set, NULL);
    free(module.code);
    return done;
}

int main(void)
{
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
    struct device device = { 0 };
    vkEnumeratePhysicalDevices(instance, &n, &device.physical);
    if (n == 0)
        return skip("no Vulkan device");
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

    int failures = 0;
    char line[4096];
    while (fgets(line, sizeof line, stdin))
        failures += !compile(&device, line);
    vkDestroyDevice(device.handle, NULL);
    vkDestroyInstance(instance, NULL);
    return failures > 0;
}
