// tests/kernels/test_gpu_claims.c -- kernels whose workgroups claim their tiles: slices, counters, what comes after.
#include "gpu/hooks.h"
#include "kernels/gpu_bed.h"

// How many of the first n numbers of a buffer are not what each should be.
static uint32_t count_others(struct gpu_buffer *buffer, uint32_t n, uint32_t expected)
{
    const uint32_t *numbers = gpu_buffer_map(buffer);
    uint32_t n_others = 0;
    for (uint32_t i = 0; i < n; ++i)
        n_others += numbers[i] != expected;
    return n_others;
}

TEST(each_tile_is_claimed_once_whatever_the_slices)
{
    static const struct {
        const char *name;
        uint32_t grid[2];
    } grids[] = {
        { "one", { 1, 1 } },        { "fewer than workgroups", { 3, 2 } },
        { "along x", { 1024, 1 } }, { "along y", { 1, 1024 } },
        { "both", { 37, 50 } },     { "a few fat rows", { 341, 3 } },
    };
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const struct gpu_kernel *kernel = NULL;
    for (size_t i = 0; i < COUNT(grids); ++i) {
        const uint32_t n = grids[i].grid[0] * grids[i].grid[1];
        t->row = grids[i].name;
        const uint32_t subgroup_size = gpu_device_plan(bed.device)->subgroup_size;
        REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &claim_desc, &subgroup_size, &bed.err), bed.err);
        for (int sliced = 0; sliced < 2; ++sliced) {
            const uint64_t work = sliced ? (uint64_t)(2e9 / (double)gpu_kernel_ns_per_work(kernel)) : 0;
            memset(gpu_buffer_map(bed.y), 0, BED_BYTES);
            gpu_recorder_reset(bed.recorder);
            for (int k = 0; k < 3; ++k)
                bed_claim(&bed, bed_whole(bed.y), work, grids[i].grid[0], grids[i].grid[1], 1);
            REQUIRE_OK(bed_run(&bed), bed.err);
            CHECK_UINT(count_others(bed.y, n, 3), 0);
            CHECK_UINT(((uint32_t *)gpu_buffer_map(bed.y))[n], 0);
            const struct gpu_counters counters = bed_counters(&bed);
            CHECK(n < 40 || counters.n_dispatches >= (sliced ? 40 : 3));
            // It reads and writes: each slice, and each of the three, waits for the one before.
            CHECK_UINT(counters.n_barriers, counters.n_dispatches - 1);
        }
    }
    bed_close(t, &bed);
}

TEST(what_comes_after_slices_of_claims_waits_for_them)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const struct gpu_kernel *kernel = NULL;
    const uint32_t subgroup_size = gpu_device_plan(bed.device)->subgroup_size;
    REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &claim_desc, &subgroup_size, &bed.err), bed.err);
    bed_claim(&bed, bed_whole(bed.y), (uint64_t)(2e9 / (double)gpu_kernel_ns_per_work(kernel)), 64, 64, 1);
    const struct gpu_counters sliced = bed_counters(&bed);
    bed_scale(&bed, (struct gpu_view){ bed.z, 0, BED_BYTES / 2 }, bed_whole(bed.x), 1.0f);
    CHECK_UINT(bed_counters(&bed).n_barriers, sliced.n_barriers); // has nothing to do with it
    bed_scale(&bed, (struct gpu_view){ bed.z, BED_BYTES / 2, BED_BYTES / 2 }, bed_whole(bed.y), 1.0f);
    CHECK_UINT(bed_counters(&bed).n_barriers, sliced.n_barriers + 1);
    CHECK(sliced.n_dispatches >= 40);
    REQUIRE_OK(bed_run(&bed), bed.err);
    bed_close(t, &bed);
}

TEST(claims_run_again_in_recordings_and_after_they_were_dropped)
{
    struct bed bed;
    struct gpu_recording *recording = NULL;
    if (!bed_open(t, &bed, NULL))
        return;
    memset(gpu_buffer_map(bed.y), 0, BED_BYTES);
    REQUIRE_OK(gpu_recording_create(&recording, bed.recorder, &bed.err), bed.err);
    gpu_recording_begin(recording);
    for (int k = 0; k < 2; ++k)
        bed_claim(&bed, bed_whole(bed.y), 0, 37, 50, 1);
    REQUIRE_OK(bed_run(&bed), bed.err);
    for (uint32_t round = 2; round <= 4; ++round) {
        bed_claim(&bed, bed_whole(bed.y), 0, 37, 50, 1);
        REQUIRE_OK(gpu_recorder_discard(bed.recorder, &bed.err), bed.err);
        bed_claim(&bed, bed_whole(bed.y), 0, 37, 50, 1);
        REQUIRE_OK(bed_run(&bed), bed.err);
        CHECK(gpu_recording_is_ready(recording));
        REQUIRE_OK(gpu_recording_submit(recording, &bed.err), bed.err);
        REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
        CHECK_UINT(count_others(bed.y, 37 * 50, 2 + 3 * (round - 1)), 0);
    }
    gpu_recording_destroy(recording);
    bed_close(t, &bed);
}

TEST(counters_of_claims_are_used_again_behind_a_barrier)
{
    enum { N = 200, EACH = 64 }; // EACH u32: as far as an alignment goes
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    memset(gpu_buffer_map(bed.y), 0, BED_BYTES);
    for (uint32_t round = 1; round <= 3; ++round) {
        gpu_recorder_reset(bed.recorder);
        for (uint64_t k = 0; k < N; ++k)
            bed_claim(&bed, (struct gpu_view){ bed.y, k * EACH * 4, EACH * 4 }, 0, EACH / 4, 4, 1);
        REQUIRE_OK(bed_run(&bed), bed.err);
        CHECK_UINT(count_others(bed.y, N * EACH, round), 0);
        CHECK_UINT(bed_counters(&bed).n_barriers, 3); // nothing overlaps, but there are 64 counters
    }
    bed_close(t, &bed);
}
