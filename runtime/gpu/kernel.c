// gpu/kernel.c -- from a kernel row to a checked pipeline. Pipelines are made on first use and live with the device.
#include "gpu/hooks.h"
#include "gpu/internal.h"

#include <stddef.h>
#include <stdlib.h>

#include "gpu/pipeline_cache.h"

// Nobody has measured the kernel yet: what one unit of work may cost. Too high splits the first round of work finer
// than needed, too low lets it run long; the first measurement replaces it.
#define GUESS_NS_PER_WORK_CPU 1.0f
#define GUESS_NS_PER_WORK_INTEGRATED 0.03f
#define GUESS_NS_PER_WORK_DISCRETE 0.01f

enum state { MAKING, READY, FAILED };

struct entry {
    struct gpu_kernel kernel; // first: its address is what callers hold
    uint64_t hash;
    const uint32_t *code;
    size_t code_bytes;
    uint32_t n_spec, spec[GPU_SPEC_MAX];
    bool full_subgroups;
    enum state state;
};

struct gpu_kernel_table {
    struct mutex mutex;
    struct condition made; // an entry left MAKING
    struct entry **slots;  // open addressing; a power of two of them, at most half in use
    size_t n_slots, n_used;
    struct gpu_kernel_totals totals;
    struct gpu_pipeline_cache cache;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

static uint64_t hash_key(const struct gpu_kernel_desc *desc, const uint32_t *spec)
{
    uint64_t hash =
        mix(mix(desc->n_spec, (uint64_t)(uintptr_t)desc->code), desc->code_bytes * 2 + desc->full_subgroups);
    for (uint32_t i = 0; i < desc->n_spec; ++i)
        hash = mix(hash, spec[i]);
    return hash;
}

static bool is_key(const struct entry *entry, uint64_t hash, const struct gpu_kernel_desc *desc, const uint32_t *spec)
{
    return entry->hash == hash && entry->code == desc->code && entry->code_bytes == desc->code_bytes &&
           entry->n_spec == desc->n_spec && entry->full_subgroups == desc->full_subgroups &&
           (desc->n_spec == 0 || memcmp(entry->spec, spec, desc->n_spec * sizeof *spec) == 0);
}

static struct entry **find_slot(struct gpu_kernel_table *table, uint64_t hash, const struct gpu_kernel_desc *desc,
                                const uint32_t *spec)
{
    size_t i = (size_t)hash & (table->n_slots - 1);
    while (table->slots[i] && !is_key(table->slots[i], hash, desc, spec))
        i = (i + 1) & (table->n_slots - 1);
    return &table->slots[i];
}

static bool grow(struct gpu_kernel_table *table)
{
    const size_t n_slots = table->n_slots ? 2 * table->n_slots : 256;
    struct entry **slots = calloc(n_slots, sizeof(struct entry *));
    if (!slots)
        return false;
    for (size_t i = 0; i < table->n_slots; ++i) {
        if (!table->slots[i])
            continue;
        size_t at = (size_t)table->slots[i]->hash & (n_slots - 1);
        while (slots[at])
            at = (at + 1) & (n_slots - 1);
        slots[at] = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->n_slots = n_slots;
    return true;
}

// ------------------------------------------------------------------------------------------------ checking a row

static enum karat_status check_row(const struct gpu_kernel_desc *desc, const struct gpu_reflection *found,
                                   struct karat_error *err)
{
    // A C struct may end in padding that the shader's block does not have.
    const bool params_fit =
        desc->params_bytes >= found->params_bytes && desc->params_bytes <= (found->params_bytes + 15) / 16 * 16;
    if (desc->n_buffers != found->n_buffers)
        return status_fail(err, KARAT_ERR_INTERNAL, "kernel %s: the row says %u buffers, the shader has %u", desc->name,
                           desc->n_buffers, found->n_buffers);
    if (!params_fit || desc->params_bytes > GPU_PARAMS_MAX)
        return status_fail(err, KARAT_ERR_INTERNAL,
                           "kernel %s: the row says %u bytes of parameters, the shader has %u, at most %d are possible",
                           desc->name, desc->params_bytes, found->params_bytes, GPU_PARAMS_MAX);
    if (desc->claims && desc->params_bytes < sizeof(struct gpu_claim))
        return status_fail(err, KARAT_ERR_INTERNAL,
                           "kernel %s: the row says %u bytes of parameters, a claim alone takes %zu", desc->name,
                           desc->params_bytes, sizeof(struct gpu_claim));
    if (desc->n_spec != found->n_spec)
        return status_fail(err, KARAT_ERR_INTERNAL,
                           "kernel %s: the row says %u specialisation constants, the shader has %u", desc->name,
                           desc->n_spec, found->n_spec);
    return KARAT_OK;
}

static enum karat_status check_local_size(struct gpu_kernel *kernel, const struct gpu_kernel_desc *desc,
                                          const uint32_t *spec, const struct gpu_reflection *found,
                                          struct karat_error *err)
{
    const struct gpu_snapshot *seen = &kernel->device->snapshot;
    uint64_t n_threads = 1;
    for (uint32_t d = 0; d < 3; ++d) {
        const uint32_t id = found->local_size_spec[d];
        kernel->local_size[d] = id == UINT32_MAX ? found->local_size[d] : spec[id];
        n_threads = kernel->local_size[d] > seen->max_workgroup_invocations ? 0 : n_threads * kernel->local_size[d];
    }
    if (n_threads == 0 || n_threads > seen->max_workgroup_invocations)
        return status_fail(err, KARAT_ERR_UNSUPPORTED,
                           "kernel %s has workgroups of %u x %u x %u threads, %s takes 1 to %u threads", desc->name,
                           kernel->local_size[0], kernel->local_size[1], kernel->local_size[2], seen->name,
                           seen->max_workgroup_invocations);
    const uint32_t size = kernel->device->plan.subgroup_size;
    if (desc->full_subgroups && size > 0 && kernel->local_size[0] % size != 0)
        return status_fail(err, KARAT_ERR_INTERNAL,
                           "kernel %s needs full subgroups of %u threads, its workgroup is %u wide", desc->name, size,
                           kernel->local_size[0]);
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ making a pipeline

static enum karat_status create_pipeline(struct gpu_kernel *kernel, const struct gpu_kernel_desc *desc,
                                         const uint32_t *spec, struct karat_error *err)
{
    struct gpu_device *device = kernel->device;
    const struct gpu_snapshot *seen = &device->snapshot;
    enum karat_status status = KARAT_OK;
    VkShaderModule module = VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[GPU_SPEC_MAX];
    for (uint32_t i = 0; i < desc->n_spec; ++i)
        entries[i] = (VkSpecializationMapEntry){ i, i * 4, 4 };
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = device->plan.subgroup_size,
    };
    // Where there is one size only it is not asked for: a request limits the subgroups of a workgroup.
    const bool set_size =
        desc->full_subgroups && seen->subgroup_size_control && seen->subgroup_size_min < seen->subgroup_size_max;
    const bool set_full = desc->full_subgroups && seen->full_subgroups;

    TRY_VK(vkCreatePipelineLayout(device->handle,
                                  &(VkPipelineLayoutCreateInfo){
                                      .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                      .setLayoutCount = 1,
                                      .pSetLayouts = &device->set_layouts[desc->n_buffers],
                                      .pushConstantRangeCount = desc->params_bytes > 0,
                                      .pPushConstantRanges = &(VkPushConstantRange){ VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                                                                     (desc->params_bytes + 3) / 4 * 4 },
                                  },
                                  NULL, &kernel->layout));
    TRY_VK(vkCreateShaderModule(device->handle,
                                &(VkShaderModuleCreateInfo){ .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                             .codeSize = desc->code_bytes,
                                                             .pCode = desc->code },
                                NULL, &module));
    TRY_VK(vkCreateComputePipelines(
        device->handle, device->kernels->cache.handle, 1,
        &(VkComputePipelineCreateInfo){
            .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
            .flags =
                VK_PIPELINE_CREATE_DISPATCH_BASE_BIT |
                (device->timing && seen->executable_properties ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0),
            .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                       .pNext = set_size ? &size : NULL,
                       .flags = set_full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                       .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                       .module = module,
                       .pName = "main",
                       .pSpecializationInfo =
                           &(VkSpecializationInfo){ desc->n_spec, entries, desc->n_spec * sizeof *spec, spec } },
            .layout = kernel->layout,
        },
        NULL, &kernel->pipeline));
    gpu_name(device, VK_OBJECT_TYPE_PIPELINE, (uint64_t)kernel->pipeline, desc->name);
    gpu_name(device, VK_OBJECT_TYPE_PIPELINE_LAYOUT, (uint64_t)kernel->layout, desc->name);
cleanup:
    device->vk.vkDestroyShaderModule(device->handle, module, NULL);
    return status;
}

static void destroy_pipeline(struct gpu_kernel *kernel)
{
    struct gpu_device *device = kernel->device;
    device->vk.vkDestroyPipeline(device->handle, kernel->pipeline, NULL);
    device->vk.vkDestroyPipelineLayout(device->handle, kernel->layout, NULL);
    kernel->pipeline = VK_NULL_HANDLE;
    kernel->layout = VK_NULL_HANDLE;
}

// Each driver names its facts as it likes; these words were seen in RADV's, ANV's and NVIDIA's.
static const struct {
    const char *name;
    size_t offset;
} stat_names[] = {
    { "VGPRs", offsetof(struct gpu_kernel_stats, registers) },
    { "Register Count", offsetof(struct gpu_kernel_stats, registers) },
    { "Max live registers", offsetof(struct gpu_kernel_stats, registers) },
    { "Spilled VGPRs", offsetof(struct gpu_kernel_stats, spills) },
    { "Spill count", offsetof(struct gpu_kernel_stats, spills) },
    { "Scratch size", offsetof(struct gpu_kernel_stats, scratch_bytes) },
    { "Scratch Memory Size", offsetof(struct gpu_kernel_stats, scratch_bytes) },
    { "Local Memory Size", offsetof(struct gpu_kernel_stats, scratch_bytes) },
    { "LDS size", offsetof(struct gpu_kernel_stats, shared_bytes) },
    { "Workgroup Memory Size", offsetof(struct gpu_kernel_stats, shared_bytes) },
    { "Shared Memory Size", offsetof(struct gpu_kernel_stats, shared_bytes) },
};

// Facts are a luxury: whatever goes wrong leaves them unknown.
static void read_stats(struct gpu_kernel *kernel)
{
    struct gpu_device *device = kernel->device;
    VkPipelineExecutablePropertiesKHR executable = { .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR };
    VkPipelineExecutableStatisticKHR found[64];
    uint32_t n_executables = 1, n_found = COUNT(found);
    for (size_t i = 0; i < COUNT(found); ++i)
        found[i] = (VkPipelineExecutableStatisticKHR){ .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR };
    if (!device->timing || !device->snapshot.executable_properties ||
        device->vk.vkGetPipelineExecutablePropertiesKHR(
            device->handle,
            &(VkPipelineInfoKHR){ .sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = kernel->pipeline },
            &n_executables, &executable) < 0 ||
        n_executables == 0 ||
        device->vk.vkGetPipelineExecutableStatisticsKHR(
            device->handle,
            &(VkPipelineExecutableInfoKHR){ .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                            .pipeline = kernel->pipeline },
            &n_found, found) < 0)
        return;
    kernel->stats.known = true;
    kernel->stats.subgroup_size = executable.subgroupSize;
    for (uint32_t i = 0; i < n_found; ++i)
        for (size_t k = 0; k < COUNT(stat_names); ++k)
            if (strcmp(found[i].name, stat_names[k].name) == 0) {
                const bool is_wide = found[i].format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR ||
                                     found[i].format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR;
                const uint32_t value = is_wide ? (uint32_t)found[i].value.u64 : 0;
                memcpy((char *)&kernel->stats + stat_names[k].offset, &value, sizeof value);
            }
}

static enum karat_status make_kernel(struct gpu_kernel *kernel, const struct gpu_kernel_desc *desc,
                                     const uint32_t *spec, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gpu_reflection found;
    if ((status = gpu_reflect(&found, desc->code, desc->code_bytes, err)) != KARAT_OK)
        return status_context(err, status, "kernel %s", desc->name);
    TRY(check_row(desc, &found, err));
    TRY(check_local_size(kernel, desc, spec, &found, err));
    kernel->n_buffers = found.n_buffers;
    kernel->params_bytes = desc->params_bytes;
    kernel->claims = desc->claims;
    kernel->reads = found.reads;
    kernel->writes = found.writes;
    if ((status = create_pipeline(kernel, desc, spec, err)) != KARAT_OK) {
        destroy_pipeline(kernel);
        return status_context(err, status, "kernel %s", desc->name);
    }
    read_stats(kernel);
cleanup:
    return status;
}

static float guess_ns_per_work(const struct gpu_plan *plan)
{
    return plan->cpu       ? GUESS_NS_PER_WORK_CPU
           : plan->unified ? GUESS_NS_PER_WORK_INTEGRATED
                           : GUESS_NS_PER_WORK_DISCRETE;
}

// A new entry in state MAKING, in the table; NULL when memory is out. The table is locked.
static struct entry *add_entry(struct gpu_device *device, uint64_t hash, const struct gpu_kernel_desc *desc,
                               const uint32_t *spec)
{
    struct gpu_kernel_table *table = device->kernels;
    if (2 * (table->n_used + 1) > table->n_slots && !grow(table))
        return NULL;
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->kernel.device = device;
    entry->kernel.name = desc->name;
    entry->kernel.ns_per_work = guess_ns_per_work(&device->plan);
    entry->hash = hash;
    entry->code = desc->code;
    entry->code_bytes = desc->code_bytes;
    entry->n_spec = desc->n_spec;
    entry->full_subgroups = desc->full_subgroups;
    if (desc->n_spec > 0)
        memcpy(entry->spec, spec, desc->n_spec * sizeof *spec);
    entry->state = MAKING;
    *find_slot(table, hash, desc, spec) = entry;
    ++table->n_used;
    return entry;
}

enum karat_status gpu_kernel_get(const struct gpu_kernel **out, struct gpu_device *device,
                                 const struct gpu_kernel_desc *desc, const uint32_t *spec, struct karat_error *err)
{
    *out = NULL;
    if (desc->n_spec > GPU_SPEC_MAX || desc->n_buffers > GPU_BUFFERS_MAX)
        return status_fail(err, KARAT_ERR_INTERNAL,
                           "kernel %s: the row says %u buffers and %u specialisation constants, at most %d and %d fit",
                           desc->name, desc->n_buffers, desc->n_spec, GPU_BUFFERS_MAX, GPU_SPEC_MAX);
    enum karat_status status = gpu_check_lost(device, err);
    if (status != KARAT_OK)
        return status;
    struct gpu_kernel_table *table = device->kernels;
    const uint64_t hash = hash_key(desc, spec);
    mutex_lock(&table->mutex);
    struct entry *entry = *find_slot(table, hash, desc, spec);
    while (entry && entry->state == MAKING)
        condition_wait(&table->made, &table->mutex);
    if (!entry || entry->state == FAILED) {
        // The lock is not held while the driver compiles: other kernels can be had, the same one is waited for.
        if (entry)
            entry->state = MAKING;
        else
            entry = add_entry(device, hash, desc, spec);
        if (entry) {
            mutex_unlock(&table->mutex);
            const uint64_t start_ns = clock_ns();
            status = make_kernel(&entry->kernel, desc, spec, err);
            mutex_lock(&table->mutex);
            table->totals.n += status == KARAT_OK;
            table->totals.ns += clock_ns() - start_ns;
            entry->state = status == KARAT_OK ? READY : FAILED;
            condition_signal_all(&table->made);
        } else {
            status = status_fail(err, KARAT_ERR_MEMORY, "no host memory for kernel %s", desc->name);
        }
    }
    mutex_unlock(&table->mutex);
    if (status == KARAT_OK)
        *out = &entry->kernel;
    return status;
}

struct gpu_kernel_totals gpu_kernel_totals(const struct gpu_device *device)
{
    struct gpu_kernel_table *table = device->kernels;
    mutex_lock(&table->mutex);
    const struct gpu_kernel_totals totals = table->totals;
    mutex_unlock(&table->mutex);
    return totals;
}

const char *gpu_kernel_name(const struct gpu_kernel *kernel)
{
    return kernel->name;
}

const struct gpu_kernel_stats *gpu_kernel_stats(const struct gpu_kernel *kernel)
{
    return &kernel->stats;
}

enum karat_status gpu_kernels_open(struct gpu_device *device, struct karat_error *err)
{
    device->kernels = calloc(1, sizeof *device->kernels);
    if (!device->kernels || !grow(device->kernels))
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for kernels");
    device->kernels->mutex = (struct mutex)MUTEX_INIT;
    device->kernels->made = (struct condition)CONDITION_INIT;
    return gpu_pipeline_cache_open(&device->kernels->cache, device, err);
}

void gpu_kernels_close(struct gpu_device *device)
{
    struct gpu_kernel_table *table = device->kernels;
    if (!table)
        return;
    for (size_t i = 0; i < table->n_slots; ++i)
        if (table->slots[i]) {
            destroy_pipeline(&table->slots[i]->kernel);
            free(table->slots[i]);
        }
    gpu_pipeline_cache_close(&table->cache, device);
    free(table->slots);
    free(table);
    device->kernels = NULL;
}

size_t gpu_device_cache_loaded_bytes(const struct gpu_device *device)
{
    return device->kernels->cache.loaded_bytes;
}

float gpu_kernel_ns_per_work(const struct gpu_kernel *kernel)
{
    return kernel->ns_per_work;
}
