// tests/unit/test_gpu_plan.c -- what would be asked of real cards, from invented snapshots of them.
#include <stddef.h>

#include "gpu/gpu.h"
#include "gpu/plan.h"
#include "test.h"

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)

// VkMemoryPropertyFlags and VkQueueFlags, as numbers: tests speak no Vulkan.
enum { LOCAL = 1, VISIBLE = 2, COHERENT = 4, CACHED = 8, AMD_COHERENT = 0x40, AMD_UNCACHED = 0x80 };
enum { GRAPHICS = 1, COMPUTE = 2, TRANSFER = 4 };
enum { F16 = 0, F32 = 1, U8 = 7, U32 = 9 };

// What every driver of Vulkan 1.3 on these cards has.
#define COMMON                                                                                                         \
    .api_version = 1u << 22 | 3u << 12, .max_workgroups = { 65535, 65535, 65535 }, .timestamp_period_ns = 1.0f,        \
    .subgroup_operations = 0xFF, .subgroup_size_control = true, .full_subgroups = true, .buffer_device_address = true, \
    .synchronization2 = true, .timeline_semaphore = true, .memory_model = true, .scalar_layout = true,                 \
    .int_dot = true, .memory_budget = true

#define LIMITS                                                                                            \
    .max_storage_range_bytes = 4 * GIB - 1, .max_allocation_bytes = 4 * GIB, .max_buffer_bytes = 4 * GIB, \
    .max_push_bytes = 256, .max_workgroup_invocations = 1024, .max_shared_bytes = 49152, .storage_alignment = 16

#define HALF .storage_8bit = true, .storage_16bit = true, .int8 = true, .int16 = true, .int64 = true, .float16 = true
#define QUEUES(...) .n_queue_families = sizeof((uint32_t[][3]){ __VA_ARGS__ }) / 12, .queue_families = { __VA_ARGS__ }
#define ONE_SHAPE(m, n, k) .coopmat = true, .n_coopmat_shapes = 1, .coopmat_shapes = { { m, n, k, F16, F16, F32, F32 } }

static const struct gpu_snapshot rtx_3060 = {
    COMMON,
    LIMITS,
    HALF,
    .name = "NVIDIA GeForce RTX 3060",
    .vendor = GPU_VENDOR_NVIDIA,
    .kind = GPU_KIND_DISCRETE,
    .n_heaps = 3,
    .heaps = { { 12288 * MIB, 11700 * MIB, true }, { 16 * GIB, 15 * GIB, false }, { 246 * MIB, 240 * MIB, true } },
    .n_memory_types = 5,
    .memory_types = { { 1, 0 },
                      { 0, LOCAL },
                      { 1, VISIBLE | COHERENT },
                      { 1, VISIBLE | COHERENT | CACHED },
                      { 2, LOCAL | VISIBLE | COHERENT } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 16, 64 }, { TRANSFER, 2, 64 }, { COMPUTE | TRANSFER, 8, 64 }),
    .subgroup_size = 32,
    .subgroup_size_min = 32,
    .subgroup_size_max = 32,
    .int_dot_accelerated = true,
    ONE_SHAPE(16, 16, 16),
};

// The same kind of card with its memory visible as a whole (Resizable BAR), on a driver without a memory budget.
static const struct gpu_snapshot rtx_4090 = {
    COMMON,
    LIMITS,
    HALF,
    .name = "NVIDIA GeForce RTX 4090",
    .vendor = GPU_VENDOR_NVIDIA,
    .kind = GPU_KIND_DISCRETE,
    .n_heaps = 2,
    .heaps = { { 24564 * MIB, 0, true }, { 32 * GIB, 0, false } },
    .n_memory_types = 5,
    .memory_types = { { 1, 0 },
                      { 0, LOCAL },
                      { 1, VISIBLE | COHERENT },
                      { 1, VISIBLE | COHERENT | CACHED },
                      { 0, LOCAL | VISIBLE | COHERENT } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 16, 64 }),
    .subgroup_size = 32,
    .subgroup_size_min = 32,
    .subgroup_size_max = 32,
    .int_dot_accelerated = true,
    ONE_SHAPE(16, 8, 16),
};

static const struct gpu_snapshot rx_6600 = {
    COMMON,
    LIMITS,
    HALF,
    .name = "AMD Radeon RX 6600 (RADV NAVI23)",
    .vendor = GPU_VENDOR_AMD,
    .kind = GPU_KIND_DISCRETE,
    .n_heaps = 3,
    .heaps = { { 7936 * MIB, 9 * GIB, true }, { 16 * GIB, 16 * GIB, false }, { 256 * MIB, 250 * MIB, true } },
    .n_memory_types = 7,
    .memory_types = { { 0, LOCAL },
                      { 0, LOCAL },
                      { 1, VISIBLE | COHERENT },
                      { 2, LOCAL | VISIBLE | COHERENT },
                      { 1, VISIBLE | COHERENT | CACHED },
                      { 0, LOCAL | AMD_COHERENT | AMD_UNCACHED },
                      { 1, VISIBLE | COHERENT | CACHED | AMD_COHERENT | AMD_UNCACHED } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }, { COMPUTE | TRANSFER, 4, 64 }),
    .subgroup_size = 64,
    .subgroup_size_min = 32,
    .subgroup_size_max = 64,
    .int_dot_accelerated = true,
};

static const struct gpu_snapshot rx_7900_xtx = {
    COMMON,
    LIMITS,
    HALF,
    .name = "AMD Radeon RX 7900 XTX (RADV NAVI31)",
    .vendor = GPU_VENDOR_AMD,
    .kind = GPU_KIND_DISCRETE,
    .n_heaps = 2,
    .heaps = { { 32 * GIB, 32 * GIB, false }, { 24560 * MIB, 23000 * MIB, true } },
    .n_memory_types = 4,
    .memory_types = { { 1, LOCAL },
                      { 0, VISIBLE | COHERENT },
                      { 1, LOCAL | VISIBLE | COHERENT },
                      { 0, VISIBLE | COHERENT | CACHED } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }, { COMPUTE | TRANSFER, 4, 64 }),
    .subgroup_size = 64,
    .subgroup_size_min = 32,
    .subgroup_size_max = 64,
    .int_dot_accelerated = true,
    .int_dot_mixed_accelerated = true,
    ONE_SHAPE(16, 16, 16),
};

// GCN has one subgroup size only.
static const struct gpu_snapshot rx_vega = {
    COMMON,
    LIMITS,
    HALF,
    .name = "AMD Radeon RX Vega",
    .vendor = GPU_VENDOR_AMD,
    .kind = GPU_KIND_DISCRETE,
    .n_heaps = 2,
    .heaps = { { 8 * GIB, 8 * GIB, true }, { 16 * GIB, 16 * GIB, false } },
    .n_memory_types = 2,
    .memory_types = { { 0, LOCAL }, { 1, VISIBLE | COHERENT } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }),
    .subgroup_size = 64,
    .subgroup_size_min = 64,
    .subgroup_size_max = 64,
};

static const struct gpu_snapshot arc_a770 = {
    COMMON,
    LIMITS,
    HALF,
    .name = "Intel(R) Arc(tm) A770 Graphics (DG2)",
    .vendor = GPU_VENDOR_INTEL,
    .kind = GPU_KIND_DISCRETE,
    .n_heaps = 2,
    .heaps = { { 15 * GIB, 0, true }, { 24 * GIB, 0, false } },
    .n_memory_types = 3,
    .memory_types = { { 0, LOCAL }, { 1, VISIBLE | COHERENT | CACHED }, { 0, LOCAL | VISIBLE | COHERENT } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 36 }, { COMPUTE | TRANSFER, 1, 36 }),
    .subgroup_size = 32,
    .subgroup_size_min = 8,
    .subgroup_size_max = 32,
    .int_dot_accelerated = true,
    ONE_SHAPE(8, 8, 16),
};

static const struct gpu_snapshot arc_b580 = {
    COMMON,
    LIMITS,
    HALF,
    .name = "Intel(R) Arc(tm) B580 Graphics (BMG G21)",
    .vendor = GPU_VENDOR_INTEL,
    .kind = GPU_KIND_DISCRETE,
    .n_heaps = 2,
    .heaps = { { 12 * GIB, 11 * GIB, true }, { 24 * GIB, 20 * GIB, false } },
    .n_memory_types = 2,
    .memory_types = { { 0, LOCAL }, { 1, VISIBLE | COHERENT | CACHED } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }),
    .subgroup_size = 32,
    .subgroup_size_min = 16,
    .subgroup_size_max = 32,
    .int_dot_accelerated = true,
    ONE_SHAPE(8, 16, 16),
};

static const struct gpu_snapshot intel_igpu = {
    COMMON,
    LIMITS,
    HALF,
    .name = "Intel(R) Iris(R) Xe Graphics (TGL GT2)",
    .vendor = GPU_VENDOR_INTEL,
    .kind = GPU_KIND_INTEGRATED,
    .n_heaps = 1,
    .heaps = { { 12 * GIB, 10 * GIB, true } },
    .n_memory_types = 2,
    .memory_types = { { 0, LOCAL | VISIBLE | COHERENT }, { 0, LOCAL | VISIBLE | COHERENT | CACHED } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 36 }),
    .subgroup_size = 32,
    .subgroup_size_min = 8,
    .subgroup_size_max = 32,
    .int_dot_accelerated = true,
};

// An APU as Windows shows it: a small carve-out, and the rest of the memory as a heap that is not called local.
static const struct gpu_snapshot amd_apu = {
    COMMON,
    LIMITS,
    HALF,
    .name = "AMD Radeon(TM) 780M",
    .vendor = GPU_VENDOR_AMD,
    .kind = GPU_KIND_INTEGRATED,
    .n_heaps = 2,
    .heaps = { { 16 * GIB, 15 * GIB, false }, { 512 * MIB, 400 * MIB, true } },
    .n_memory_types = 3,
    .memory_types = { { 1, LOCAL | VISIBLE | COHERENT },
                      { 0, VISIBLE | COHERENT },
                      { 0, VISIBLE | COHERENT | CACHED } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }),
    .subgroup_size = 64,
    .subgroup_size_min = 32,
    .subgroup_size_max = 64,
    .int_dot_accelerated = true,
};

static const struct gpu_snapshot lavapipe = {
    COMMON,
    HALF,
    .name = "llvmpipe (LLVM 15.0.6, 256 bits)",
    .vendor = GPU_VENDOR_SOFTWARE,
    .kind = GPU_KIND_CPU,
    .n_heaps = 1,
    .heaps = { { 24 * GIB, 20 * GIB, true } },
    .n_memory_types = 1,
    .memory_types = { { 0, LOCAL | VISIBLE | COHERENT | CACHED } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }),
    .subgroup_size = 8,
    .subgroup_size_min = 8,
    .subgroup_size_max = 8,
    .max_storage_range_bytes = 128 * MIB,
    .max_allocation_bytes = 2 * GIB,
    .max_push_bytes = 256,
    .max_workgroup_invocations = 1024,
    .max_shared_bytes = 32768,
    .storage_alignment = 16,
};

// 32-bit words only, and no budget.
static const struct gpu_snapshot swiftshader = {
    COMMON,
    .name = "SwiftShader Device (Subzero)",
    .vendor = GPU_VENDOR_SOFTWARE,
    .kind = GPU_KIND_CPU,
    .n_heaps = 1,
    .heaps = { { 2 * GIB, 0, true } },
    .n_memory_types = 1,
    .memory_types = { { 0, LOCAL | VISIBLE | COHERENT | CACHED } },
    QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }),
    .subgroup_size = 4,
    .subgroup_size_min = 4,
    .subgroup_size_max = 4,
    .storage_alignment = 256,
    .max_storage_range_bytes = GIB,
    .max_allocation_bytes = GIB,
    .max_push_bytes = 128,
    .max_workgroup_invocations = 256,
    .max_shared_bytes = 32768,
};

static const struct {
    const struct gpu_snapshot *seen;
    uint64_t vram_limit_bytes;
    struct gpu_plan plan;
    uint32_t device_type, upload_type, readback_type;
} plans[] = {
    { &rtx_3060,
      0,
      { GPU_TIER_COOPMAT, true, true, false, false, 32, 0, 0, false, 11444 * MIB, GIB, GIB, { 16, 16, 16 } },
      1,
      2,
      3 },
    { &rtx_4090,
      0,
      { GPU_TIER_COOPMAT,
        true,
        true,
        false,
        false,
        32,
        0,
        0,
        false,
        24564 * MIB - 24564 * MIB / 8,
        GIB,
        GIB,
        { 16, 8, 16 } },
      1,
      2,
      3 },
    { &rx_6600,
      0, // the driver grants more than the heap holds
      { GPU_TIER_FLOAT16, true, true, false, false, 32, 0, 0, false, 7680 * MIB, GIB, GIB, { 0, 0, 0 } },
      0,
      2,
      4 },
    { &rx_7900_xtx,
      8 * GIB,
      { GPU_TIER_COOPMAT, true, true, false, false, 32, 0, 1, false, 8 * GIB, GIB, GIB, { 16, 16, 16 } },
      0,
      1,
      3 },
    { &rx_vega,
      0,
      { GPU_TIER_FLOAT16, false, true, false, false, 64, 0, 0, false, 8 * GIB - 256 * MIB, GIB, GIB, { 0, 0, 0 } },
      0,
      1,
      1 },
    { &arc_a770,
      0, // a budget of 0 means that nobody knows
      { GPU_TIER_FLOAT16, true, true, false, false, 16, 0, 0, false, 15 * GIB - 15 * GIB / 8, GIB, GIB, { 0, 0, 0 } },
      0,
      1,
      1 },
    { &arc_b580,
      100 * GIB,
      { GPU_TIER_COOPMAT, true, true, false, false, 16, 0, 0, false, 11 * GIB - 256 * MIB, GIB, GIB, { 8, 16, 16 } },
      0,
      1,
      1 },
    { &intel_igpu,
      0,
      { GPU_TIER_FLOAT16, true, true, false, false, 16, 0, 0, true, 10 * GIB - 256 * MIB, GIB, GIB, { 0, 0, 0 } },
      1,
      0,
      1 },
    { &amd_apu,
      0,
      { GPU_TIER_FLOAT16, true, true, false, false, 32, 0, 0, true, 15 * GIB - 256 * MIB, GIB, GIB, { 0, 0, 0 } },
      1,
      0,
      2 },
    { &lavapipe,
      0,
      { GPU_TIER_FLOAT16, false, true, true, false, 8, 0, 0, true, 20 * GIB - 256 * MIB, GIB, 128 * MIB, { 0, 0, 0 } },
      0,
      0,
      0 },
    { &swiftshader,
      0,
      { GPU_TIER_BASE,
        false,
        false,
        true,
        false,
        4,
        0,
        0,
        true,
        2 * GIB - 256 * MIB,
        512 * MIB,
        512 * MIB,
        { 0, 0, 0 } },
      0,
      0,
      0 },
};

TEST(every_card_gets_the_plan_that_suits_it)
{
    struct karat_error err;
    for (size_t i = 0; i < COUNT(plans); ++i) {
        const struct gpu_plan *want = &plans[i].plan;
        struct gpu_plan plan;
        t->row = plans[i].seen->name;
        REQUIRE_OK(gpu_plan_make(&plan, plans[i].seen, plans[i].vram_limit_bytes, &err), err);
        CHECK_UINT(plan.tier, want->tier);
        CHECK_UINT(plan.int_dot, want->int_dot);
        CHECK_UINT(plan.int64, want->int64);
        CHECK_UINT(plan.cpu, want->cpu);
        CHECK_UINT(plan.subgroup_size, want->subgroup_size);
        CHECK_UINT(plan.queue_family, want->queue_family);
        CHECK_UINT(plan.heap, want->heap);
        CHECK_UINT(plan.unified, want->unified);
        CHECK_UINT(plan.budget_bytes, want->budget_bytes);
        CHECK_UINT(plan.max_allocation_bytes, want->max_allocation_bytes);
        CHECK_UINT(plan.max_binding_bytes, want->max_binding_bytes);
        CHECK_UINT(plan.coopmat.m, want->coopmat.m);
        CHECK_UINT(plan.coopmat.n, want->coopmat.n);
        CHECK_UINT(plan.coopmat.k, want->coopmat.k);
        CHECK_UINT(gpu_plan_memory_type(plans[i].seen, &plan, GPU_MEMORY_DEVICE, ~0u), plans[i].device_type);
        CHECK_UINT(gpu_plan_memory_type(plans[i].seen, &plan, GPU_MEMORY_UPLOAD, ~0u), plans[i].upload_type);
        CHECK_UINT(gpu_plan_memory_type(plans[i].seen, &plan, GPU_MEMORY_READBACK, ~0u), plans[i].readback_type);
        const uint64_t block = gpu_plan_block_bytes(plans[i].seen, &plan, GPU_MEMORY_DEVICE);
        CHECK(block >= 64 * MIB && block <= 256 * MIB);
    }
}

TEST(a_buffer_that_may_not_live_somewhere_does_not)
{
    struct karat_error err;
    struct gpu_plan plan;
    REQUIRE_OK(gpu_plan_make(&plan, &rtx_3060, 0, &err), err);
    CHECK_UINT(gpu_plan_memory_type(&rtx_3060, &plan, GPU_MEMORY_UPLOAD, 1u << 4), 4);
    CHECK_UINT(gpu_plan_memory_type(&rtx_3060, &plan, GPU_MEMORY_DEVICE, 1u << 4), 4);
    CHECK_UINT(gpu_plan_memory_type(&rtx_3060, &plan, GPU_MEMORY_READBACK, 1u << 1), GPU_NO_TYPE);
    CHECK_UINT(gpu_plan_memory_type(&rtx_3060, &plan, GPU_MEMORY_DEVICE, 0), GPU_NO_TYPE);
}

static const struct {
    const char *name;
    size_t offset, size;
    uint32_t value;
    const char *sentence;
} refusals[] = {
    { "old driver", offsetof(struct gpu_snapshot, api_version), 4, 1u << 22 | 2u << 12,
      "NVIDIA GeForce RTX 3060 has Vulkan 1.2, karat needs 1.3: a newer driver may help" },
    { "no queue", offsetof(struct gpu_snapshot, n_queue_families), 4, 0,
      "NVIDIA GeForce RTX 3060 has no compute queue" },
    { "no addresses", offsetof(struct gpu_snapshot, buffer_device_address), 1, 0,
      "NVIDIA GeForce RTX 3060 lacks bufferDeviceAddress, which karat needs" },
    { "no synchronisation", offsetof(struct gpu_snapshot, synchronization2), 1, 0,
      "NVIDIA GeForce RTX 3060 lacks synchronization2, which karat needs" },
    { "no timeline", offsetof(struct gpu_snapshot, timeline_semaphore), 1, 0,
      "NVIDIA GeForce RTX 3060 lacks timelineSemaphore, which karat needs" },
    { "small workgroups", offsetof(struct gpu_snapshot, max_workgroup_invocations), 4, 128,
      "NVIDIA GeForce RTX 3060 lacks 256 threads per workgroup, which karat needs" },
    { "no shuffle", offsetof(struct gpu_snapshot, subgroup_operations), 4, 0x0F,
      "NVIDIA GeForce RTX 3060 lacks shuffle subgroup operations, which karat needs" },
};

TEST(a_card_that_lacks_something_is_refused_by_name)
{
    for (size_t i = 0; i < COUNT(refusals); ++i) {
        struct karat_error err;
        struct gpu_plan plan;
        struct gpu_snapshot seen = rtx_3060;
        t->row = refusals[i].name;
        memcpy((char *)&seen + refusals[i].offset, &refusals[i].value, refusals[i].size);
        CHECK(gpu_plan_make(&plan, &seen, 0, &err) == KARAT_ERR_UNSUPPORTED);
        CHECK_TEXT(err.text, refusals[i].sentence);
    }
}

TEST(a_lone_compute_queue_serves)
{
    struct karat_error err;
    struct gpu_plan plan;
    struct gpu_snapshot seen = rtx_3060;
    seen.queue_families[0].flags = GRAPHICS;
    REQUIRE_OK(gpu_plan_make(&plan, &seen, 0, &err), err);
    CHECK_UINT(plan.queue_family, 2);
}

TEST(cooperative_matrices_of_other_types_do_not_count)
{
    struct karat_error err;
    struct gpu_plan plan;
    struct gpu_snapshot seen = rtx_3060;
    seen.coopmat_shapes[0] = (struct gpu_coopmat_shape){ 16, 16, 32, U8, U8, U32, U32 };
    REQUIRE_OK(gpu_plan_make(&plan, &seen, 0, &err), err);
    CHECK_UINT(plan.tier, GPU_TIER_FLOAT16);
}

TEST(the_largest_usable_shape_is_taken)
{
    struct karat_error err;
    struct gpu_plan plan;
    struct gpu_snapshot seen = rtx_3060;
    const struct gpu_coopmat_shape shapes[] = {
        { 16, 8, 8, F16, F16, F32, F32 },   { 16, 16, 16, F16, F16, F16, F16 }, // sums of f16
        { 16, 16, 16, F16, F16, F32, F32 }, { 16, 8, 16, F16, F16, F32, F32 },
        { 64, 64, 16, F16, F16, F32, F32 }, { 16, 16, 64, F16, F16, F32, F32 }, // beyond what kernels cut
        { 12, 16, 16, F16, F16, F32, F32 },
    };
    seen.n_coopmat_shapes = COUNT(shapes);
    memcpy(seen.coopmat_shapes, shapes, sizeof shapes);
    REQUIRE_OK(gpu_plan_make(&plan, &seen, 0, &err), err);
    CHECK_UINT(plan.tier, GPU_TIER_COOPMAT);
    CHECK_UINT(plan.coopmat.m, 16);
    CHECK_UINT(plan.coopmat.n, 16);
    CHECK_UINT(plan.coopmat.k, 16);
    seen.coopmat_shapes[2] = seen.coopmat_shapes[6];
    REQUIRE_OK(gpu_plan_make(&plan, &seen, 0, &err), err);
    CHECK_UINT(plan.coopmat.n, 8);
}

// What drivers promise and do not keep.
TEST(cooperative_matrices_are_not_trusted_everywhere)
{
    const struct gpu_snapshot windows_rdna2 = {
        COMMON,
        LIMITS,
        HALF,
        .name = "AMD Radeon RX 6800 XT",
        .driver = "AMD proprietary driver 24.10.1 (AMD proprietary shader compiler)",
        .vendor = GPU_VENDOR_AMD,
        .kind = GPU_KIND_DISCRETE,
        .n_heaps = 1,
        .heaps = { { 16 * GIB, 15 * GIB, true } },
        QUEUES({ GRAPHICS | COMPUTE | TRANSFER, 1, 64 }),
        .subgroup_size = 64,
        .subgroup_size_min = 32,
        .subgroup_size_max = 64,
        .int_dot_accelerated = true,
        ONE_SHAPE(16, 16, 16),
    };
    struct gpu_snapshot windows_rdna3 = windows_rdna2, sizeless = rtx_4090, lanes_vary = rtx_4090,
                        unmodelled = rtx_4090;
    windows_rdna3.int_dot_mixed_accelerated = true;
    sizeless.full_subgroups = false;
    lanes_vary.subgroup_size_control = false;
    lanes_vary.subgroup_size_min = 16;
    unmodelled.memory_model = false;
    const struct {
        const char *name;
        const struct gpu_snapshot *seen;
        enum gpu_tier tier;
    } rows[] = {
        { "RDNA 2 with AMD's own driver", &windows_rdna2, GPU_TIER_FLOAT16 },
        { "RDNA 3 with AMD's own driver", &windows_rdna3, GPU_TIER_COOPMAT },
        { "Arc A770", &arc_a770, GPU_TIER_FLOAT16 },
        { "Arc B580", &arc_b580, GPU_TIER_COOPMAT },
        { "no full subgroups", &sizeless, GPU_TIER_FLOAT16 },
        { "subgroups of any size", &lanes_vary, GPU_TIER_FLOAT16 },
        { "no memory model", &unmodelled, GPU_TIER_FLOAT16 },
    };
    struct karat_error err;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct gpu_plan plan;
        t->row = rows[i].name;
        REQUIRE_OK(gpu_plan_make(&plan, rows[i].seen, 0, &err), err);
        CHECK_UINT(plan.tier, rows[i].tier);
    }
}

TEST(the_best_device_is_chosen_unless_another_is_wished)
{
    struct karat_error err;
    struct gpu_snapshot old = rtx_4090;
    old.api_version = 1u << 22 | 1u << 12;
    const struct gpu_snapshot seen[] = { lavapipe, intel_igpu, rx_6600, arc_b580, old };
    static const struct {
        const char *wish;
        enum karat_status status;
        size_t index;
    } wishes[] = {
        { NULL, KARAT_OK, 3 },
        { "", KARAT_OK, 3 },
        { "0", KARAT_OK, 0 },
        { "4", KARAT_OK, 4 }, // by number even what cannot work: the plan then says why
        { "radeon", KARAT_OK, 2 },
        { "LLVM", KARAT_OK, 0 },
        { "intel", KARAT_OK, 3 },
        { "4090", KARAT_OK, 4 },
        { "6600", KARAT_OK, 2 },
        { "5", KARAT_ERR_NO_DEVICE, 0 }, // a number, not the 5 in a name
        { "voodoo", KARAT_ERR_NO_DEVICE, 0 },
    };
    for (size_t i = 0; i < COUNT(wishes); ++i) {
        size_t index = 99;
        t->row = wishes[i].wish ? wishes[i].wish : "no wish";
        CHECK(gpu_plan_choose(&index, seen, COUNT(seen), wishes[i].wish, &err) == wishes[i].status);
        if (wishes[i].status == KARAT_OK)
            CHECK_UINT(index, wishes[i].index);
    }
    t->row = NULL;
    CHECK_TEXT(err.text, "no device matches \"voodoo\"; there is 0: llvmpipe (LLVM 15.0.6, 256 bits), "
                         "1: Intel(R) Iris(R) Xe Graphics (TGL GT2), 2: AMD Radeon RX 6600 (RADV NAVI23), "
                         "3: Intel(R) Arc(tm) B580 Graphics (BMG G21), 4: NVIDIA GeForce RTX 4090");
    size_t index = 0;
    CHECK(gpu_plan_choose(&index, seen, 0, NULL, &err) == KARAT_ERR_NO_DEVICE);
}
