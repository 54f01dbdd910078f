// gpu/plan.c -- what we will ask of a device we have only looked at. Pure: no Vulkan call, no allocation.
#include "gpu/plan.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gpu/internal.h"

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)

static const struct {
    uint32_t bit;
    const char *name;
} subgroup_needs[] = {
    { VK_SUBGROUP_FEATURE_BASIC_BIT, "basic" },
    { VK_SUBGROUP_FEATURE_ARITHMETIC_BIT, "arithmetic" },
    { VK_SUBGROUP_FEATURE_BALLOT_BIT, "ballot" },
    { VK_SUBGROUP_FEATURE_SHUFFLE_BIT, "shuffle" },
};

static bool find_compute_family(const struct gpu_snapshot *seen, uint32_t *out)
{
    // A family that also draws is the one drivers tune first; families for compute alone are often throttled when the
    // desktop is busy, but they are better than none.
    bool found = false;
    for (uint32_t i = 0; i < seen->n_queue_families; ++i) {
        const uint32_t flags = seen->queue_families[i].flags;
        if (!(flags & VK_QUEUE_COMPUTE_BIT) || seen->queue_families[i].n_queues == 0)
            continue;
        if (!found || ((flags & VK_QUEUE_GRAPHICS_BIT) && !(seen->queue_families[*out].flags & VK_QUEUE_GRAPHICS_BIT)))
            *out = i;
        found = true;
    }
    return found;
}

static bool is_power_of_two(uint32_t value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

// The largest shape that multiplies f16 and adds in f32: the fewer instructions, the fewer loads of operands. NULL
// where there is none that kernels can use.
static const struct gpu_coopmat_shape *find_coopmat(const struct gpu_snapshot *seen)
{
    const struct gpu_coopmat_shape *best = NULL;
    for (uint32_t i = 0; i < seen->n_coopmat_shapes; ++i) {
        const struct gpu_coopmat_shape *s = &seen->coopmat_shapes[i];
        if (s->a_type != GPU_COOPMAT_FLOAT16 || s->b_type != GPU_COOPMAT_FLOAT16 || s->c_type != GPU_COOPMAT_FLOAT32 ||
            s->result_type != GPU_COOPMAT_FLOAT32)
            continue;
        if (!is_power_of_two(s->m) || !is_power_of_two(s->n) || !is_power_of_two(s->k) || s->m < 8 || s->m > 16 ||
            s->n < 8 || s->n > 16 || s->k < 8 || s->k > 32)
            continue;
        if (!best || s->m * s->n * s->k > best->m * best->n * best->k)
            best = s;
    }
    return best;
}

// Some drivers offer cooperative matrices that are slow or wrong.
static bool trusts_coopmat(const struct gpu_snapshot *seen)
{
    switch (seen->vendor) {
    case GPU_VENDOR_AMD:
        // The proprietary driver offers them on every card, in software before RDNA 3, which is the first with
        // products of mixed sign.
        return seen->int_dot_mixed_accelerated;
    case GPU_VENDOR_INTEL:
        // Arc A (Xe-HPG) got slower by them; only Xe2 and later have matrices 16 columns wide.
        return find_coopmat(seen)->n >= 16;
    default:
        return true;
    }
}

static bool knows_subgroup_size(const struct gpu_snapshot *seen)
{
    return seen->full_subgroups && (seen->subgroup_size_control || seen->subgroup_size_min == seen->subgroup_size_max);
}

static enum gpu_tier choose_tier(const struct gpu_snapshot *seen)
{
    if (!seen->float16 || !seen->storage_16bit || !seen->storage_8bit || !seen->int8 || !seen->int16)
        return GPU_TIER_BASE;
    if (!seen->coopmat || !seen->memory_model || !find_coopmat(seen) || !knows_subgroup_size(seen))
        return GPU_TIER_FLOAT16;
    return trusts_coopmat(seen) ? GPU_TIER_COOPMAT : GPU_TIER_FLOAT16;
}

static uint32_t choose_subgroup_size(const struct gpu_snapshot *seen)
{
    if (!seen->subgroup_size_control)
        return seen->subgroup_size;
    // 32 lanes suit RDNA's and NVIDIA's registers; Intel's widest size halves the registers of a lane.
    uint32_t size = seen->vendor == GPU_VENDOR_INTEL ? 16 : seen->vendor == GPU_VENDOR_AMD ? 32 : seen->subgroup_size;
    if (size < seen->subgroup_size_min)
        size = seen->subgroup_size_min;
    if (size > seen->subgroup_size_max)
        size = seen->subgroup_size_max;
    return size;
}

// The heap that holds weights: the largest device-local one. A device without memory of its own calls a small part of
// the host's its own and reads the rest as fast, so there the largest heap serves.
static uint32_t find_main_heap(const struct gpu_snapshot *seen)
{
    const bool shares = seen->kind == GPU_KIND_INTEGRATED || seen->kind == GPU_KIND_CPU;
    uint32_t best = 0;
    for (uint32_t i = 1; i < seen->n_heaps; ++i) {
        if (shares && seen->heaps[i].size_bytes != seen->heaps[best].size_bytes) {
            if (seen->heaps[i].size_bytes > seen->heaps[best].size_bytes)
                best = i;
            continue;
        }
        const bool better_kind = seen->heaps[i].device_local && !seen->heaps[best].device_local;
        const bool same_kind = seen->heaps[i].device_local == seen->heaps[best].device_local;
        if (better_kind || (same_kind && seen->heaps[i].size_bytes > seen->heaps[best].size_bytes))
            best = i;
    }
    return best;
}

static bool is_unified(const struct gpu_snapshot *seen, uint32_t heap)
{
    const uint32_t needed = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    if (seen->kind != GPU_KIND_INTEGRATED && seen->kind != GPU_KIND_CPU)
        return false;
    for (uint32_t i = 0; i < seen->n_memory_types; ++i)
        if (seen->memory_types[i].heap == heap && (seen->memory_types[i].flags & needed) == needed)
            return true;
    return false;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t choose_budget(const struct gpu_snapshot *seen, uint32_t heap, uint64_t vram_limit_bytes)
{
    // An unknown budget leaves the desktop an eighth; a known one already knows the desktop and keeps a small reserve
    // for what the driver allocates behind our back.
    const uint64_t size = seen->heaps[heap].size_bytes, granted = least(seen->heaps[heap].budget_bytes, size);
    const uint64_t reserve = least(granted / 16, 256 * MIB);
    const uint64_t budget = granted == 0 ? size - size / 8 : granted - reserve;
    return vram_limit_bytes > 0 ? least(budget, vram_limit_bytes) : budget;
}

enum karat_status gpu_plan_make(struct gpu_plan *out, const struct gpu_snapshot *seen, uint64_t vram_limit_bytes,
                                struct karat_error *err)
{
    const struct {
        bool there;
        const char *name;
    } needs[] = {
        { seen->buffer_device_address, "bufferDeviceAddress" },
        { seen->synchronization2, "synchronization2" },
        { seen->timeline_semaphore, "timelineSemaphore" },
        { seen->max_push_bytes >= GPU_PARAMS_MAX, "128 bytes of push constants" },
        { seen->max_workgroup_invocations >= 256, "256 threads per workgroup" },
        { seen->max_shared_bytes >= 32768, "32 KiB of shared memory" },
    };
    uint32_t family = 0;
    *out = (struct gpu_plan){ 0 };
    if (seen->api_version < VK_API_VERSION_1_3)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "%s has Vulkan %u.%u, karat needs 1.3: a newer driver may help",
                           seen->name, VK_API_VERSION_MAJOR(seen->api_version),
                           VK_API_VERSION_MINOR(seen->api_version));
    if (!find_compute_family(seen, &family))
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "%s has no compute queue", seen->name);
    for (size_t i = 0; i < COUNT(needs); ++i)
        if (!needs[i].there)
            return status_fail(err, KARAT_ERR_UNSUPPORTED, "%s lacks %s, which karat needs", seen->name, needs[i].name);
    for (size_t i = 0; i < COUNT(subgroup_needs); ++i)
        if (!(seen->subgroup_operations & subgroup_needs[i].bit))
            return status_fail(err, KARAT_ERR_UNSUPPORTED, "%s lacks %s subgroup operations, which karat needs",
                               seen->name, subgroup_needs[i].name);

    const uint32_t heap = find_main_heap(seen);
    // A single allocation near the size of the heap fails on drivers that say it is allowed.
    uint64_t max_allocation = least(GIB, seen->heaps[heap].size_bytes / 4);
    if (seen->max_allocation_bytes > 0)
        max_allocation = least(max_allocation, seen->max_allocation_bytes);
    if (seen->max_buffer_bytes > 0)
        max_allocation = least(max_allocation, seen->max_buffer_bytes);
    max_allocation &= ~(uint64_t)0xFFFF;
    *out = (struct gpu_plan){
        .tier = choose_tier(seen),
        .int_dot = seen->int_dot && seen->int_dot_accelerated,
        .int64 = seen->int64,
        .cpu = seen->kind == GPU_KIND_CPU,
        .subgroup_size = choose_subgroup_size(seen),
        .queue_family = family,
        .heap = heap,
        .unified = is_unified(seen, heap),
        .budget_bytes = choose_budget(seen, heap, vram_limit_bytes),
        .max_allocation_bytes = max_allocation,
        .max_binding_bytes = least(seen->max_storage_range_bytes, max_allocation),
    };
    if (out->tier == GPU_TIER_COOPMAT) {
        const struct gpu_coopmat_shape *shape = find_coopmat(seen);
        out->coopmat.m = shape->m;
        out->coopmat.n = shape->n;
        out->coopmat.k = shape->k;
    }
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ choosing a device

static int kind_rank(enum gpu_kind kind)
{
    switch (kind) {
    case GPU_KIND_DISCRETE:
        return 4;
    case GPU_KIND_INTEGRATED:
        return 3;
    case GPU_KIND_VIRTUAL:
        return 2;
    case GPU_KIND_OTHER:
        return 1;
    default:
        return 0;
    }
}

// Those we cannot use come last, so that they are chosen only by name or number, and then refused with the reason.
static bool is_better(const struct gpu_snapshot *a, const struct gpu_snapshot *b)
{
    struct gpu_plan plan;
    const bool a_works = gpu_plan_make(&plan, a, 0, NULL) == KARAT_OK;
    const bool b_works = gpu_plan_make(&plan, b, 0, NULL) == KARAT_OK;
    if (a_works != b_works)
        return a_works;
    if (kind_rank(a->kind) != kind_rank(b->kind))
        return kind_rank(a->kind) > kind_rank(b->kind);
    return a->heaps[find_main_heap(a)].size_bytes > b->heaps[find_main_heap(b)].size_bytes;
}

static bool contains(const char *text, const char *part)
{
    for (; *text; ++text) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            ++i;
        if (!part[i])
            return true;
    }
    return false;
}

// One or two digits count devices; more are part of a name, such as 4090.
static bool is_index(const char *wish)
{
    const size_t length = strlen(wish);
    return length > 0 && length <= 2 && strspn(wish, "0123456789") == length;
}

static void list_names(char *text, size_t size, const struct gpu_snapshot *seen, size_t n)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && used < size; ++i) {
        const int written = snprintf(text + used, size - used, "%s%zu: %s", i > 0 ? ", " : "", i, seen[i].name);
        used += written > 0 ? (size_t)written : 0;
    }
}

enum karat_status gpu_plan_choose(size_t *out, const struct gpu_snapshot *seen, size_t n, const char *wish,
                                  struct karat_error *err)
{
    char names[700];
    if (n == 0)
        return status_fail(err, KARAT_ERR_NO_DEVICE, "there is no Vulkan device");
    if (wish && wish[0] == '\0')
        wish = NULL;
    size_t best = n;
    const bool by_index = wish && is_index(wish);
    if (by_index && strtoul(wish, NULL, 10) < n)
        best = (size_t)strtoul(wish, NULL, 10);
    for (size_t i = 0; i < n && !by_index; ++i)
        if ((!wish || contains(seen[i].name, wish)) && (best == n || is_better(&seen[i], &seen[best])))
            best = i;
    if (best == n) {
        list_names(names, sizeof names, seen, n);
        return status_fail(err, KARAT_ERR_NO_DEVICE, "no device matches \"%.100s\"; there is %s", wish, names);
    }
    *out = best;
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ memory types

#define UNUSABLE                                                                  \
    (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | \
     VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD)

struct preference {
    uint32_t needs, likes, avoids;
};

static struct preference prefer(const struct gpu_plan *plan, enum gpu_memory memory)
{
    const uint32_t local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, visible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
                   host = visible | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    switch (memory) {
    case GPU_MEMORY_UPLOAD:
        // Device memory that the host sees is scarce (256 MB on many cards): leave it alone.
        return (struct preference){ host, plan->unified ? local : 0, plan->unified ? 0 : local };
    case GPU_MEMORY_READBACK:
        return (struct preference){ host, cached, plan->unified ? 0 : local };
    default:
        return plan->unified ? (struct preference){ host, local | cached, 0 }
                             : (struct preference){ local, 0, visible };
    }
}

uint32_t gpu_plan_memory_type(const struct gpu_snapshot *seen, const struct gpu_plan *plan, enum gpu_memory memory,
                              uint32_t allowed)
{
    const struct preference wish = prefer(plan, memory);
    uint32_t best = GPU_NO_TYPE;
    uint64_t best_score = 0;
    for (uint32_t i = 0; i < seen->n_memory_types; ++i) {
        const uint32_t flags = seen->memory_types[i].flags;
        if (!(allowed >> i & 1) || (flags & wish.needs) != wish.needs || (flags & UNUSABLE))
            continue;
        // The heap decides before taste does for the device's own memory; sizes in MiB stay below 2^40.
        const uint64_t size = seen->heaps[seen->memory_types[i].heap].size_bytes / MIB;
        const uint64_t taste = 2 * ((flags & wish.likes) == wish.likes) + ((flags & wish.avoids) == 0);
        const bool is_home = memory == GPU_MEMORY_DEVICE && seen->memory_types[i].heap == plan->heap;
        const uint64_t score = 1 + size + (taste << 40) + ((uint64_t)is_home << 48);
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

uint64_t gpu_plan_block_bytes(const struct gpu_snapshot *seen, const struct gpu_plan *plan, enum gpu_memory memory)
{
    // Memory for the host's side of a transfer stays small: it takes room from weights on shared heaps.
    if (memory != GPU_MEMORY_DEVICE)
        return least(16 * MIB, plan->max_allocation_bytes);
    const uint64_t share = seen->heaps[plan->heap].size_bytes / 64 / MIB * MIB;
    const uint64_t block = share < 64 * MIB ? 64 * MIB : least(share, 256 * MIB);
    return least(block, plan->max_allocation_bytes);
}
