// tests/kernels/test_gpu_memory.c -- buffers, uploads, kernels on disk and from many threads, on a device.
#include "base/thread.h"
#include "gpu/hooks.h"
#include "kernels/gpu_bed.h"

#define MIB (1024ull * 1024)

static const struct gpu_device_options nowhere = { .pipeline_cache_dir = "" };

TEST(small_buffers_share_blocks_and_give_everything_back)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    struct gpu_buffer *buffers[500] = { 0 };
    struct test_random random = { 1 };
    const uint64_t before = gpu_device_used_bytes(bed.device);
    for (int round = 0; round < 4; ++round) {
        for (size_t i = 0; i < COUNT(buffers); ++i) {
            if (test_random_below(&random, 3) == 0) {
                gpu_buffer_destroy(buffers[i]);
                buffers[i] = NULL;
            }
            const struct gpu_buffer_options options = { 1 + test_random_below(&random, 100000), GPU_MEMORY_DEVICE,
                                                        "s" };
            if (!buffers[i])
                REQUIRE_OK(gpu_buffer_create(&buffers[i], bed.device, &options, &bed.err), bed.err);
            CHECK_UINT(gpu_buffer_address(buffers[i]) % 16, 0);
        }
        // No two of them overlap or touch.
        for (size_t i = 0; i < COUNT(buffers); ++i)
            for (size_t k = 0; k < i; ++k) {
                const uint64_t a = gpu_buffer_address(buffers[i]), b = gpu_buffer_address(buffers[k]);
                CHECK(a + gpu_buffer_size(buffers[i]) + 256 <= b || b + gpu_buffer_size(buffers[k]) + 256 <= a);
            }
    }
    CHECK(gpu_device_used_bytes(bed.device) <= before + 256 * MIB); // one block, not five hundred allocations
    for (size_t i = 0; i < COUNT(buffers); ++i)
        gpu_buffer_destroy(buffers[i]);
    CHECK_UINT(gpu_device_used_bytes(bed.device), before);
    bed_close(t, &bed);
}

TEST(the_last_bytes_of_a_large_buffer_are_reachable)
{
    struct bed bed;
    struct gpu_buffer *large = NULL;
    if (!bed_open(t, &bed, NULL))
        return;
    const uint64_t size = 192 * MIB, end = size - BED_BYTES;
    REQUIRE_OK(gpu_buffer_create(&large, bed.device, &(struct gpu_buffer_options){ size, GPU_MEMORY_DEVICE, "large" },
                                 &bed.err),
               bed.err);
    bed_scale(&bed, (struct gpu_view){ large, end, BED_BYTES }, bed_whole(bed.x), 2.0f);
    gpu_record_copy(bed.recorder, bed_whole(bed.y), (struct gpu_view){ large, end, BED_BYTES });
    bed_scale(&bed, bed_whole(bed.z), (struct gpu_view){ large, end, BED_BYTES }, 2.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 2.0f), 0);
    CHECK_UINT(bed_count_wrong(bed.z, 0, BED_FLOATS, 4.0f), 0);
    gpu_buffer_destroy(large);
    bed_close(t, &bed);
}

TEST(running_out_of_memory_is_one_sentence)
{
    struct bed bed;
    struct gpu_buffer *first = NULL, *second = NULL;
    char want[400];
    if (!bed_open(t, &bed, &(struct gpu_device_options){ .pipeline_cache_dir = "", .vram_limit_bytes = 160 * MIB }))
        return;
    const struct gpu_plan *plan = gpu_device_plan(bed.device);
    CHECK(plan->budget_bytes <= 160 * MIB);
    const struct gpu_buffer_options most = { 100 * MIB, GPU_MEMORY_DEVICE, "experts 0..15" };
    REQUIRE_OK(gpu_buffer_create(&first, bed.device, &most, &bed.err), bed.err);
    CHECK(gpu_buffer_create(&second, bed.device, &most, &bed.err) == KARAT_ERR_DEVICE_MEMORY);
    CHECK(second == NULL);
    const double free_mib = (double)(plan->budget_bytes - gpu_device_used_bytes(bed.device)) / (double)MIB;
    snprintf(want, sizeof want,
             "\"experts 0..15\" needs 100.0 MiB of device memory, %.1f MiB of %.1f MiB are free on %s", free_mib,
             (double)plan->budget_bytes / (double)MIB, gpu_device_snapshot(bed.device)->name);
    if (plan->unified) // elsewhere the bed's own buffers lie in another heap, and the driver may have less
        CHECK_TEXT(bed.err.text, want);
    gpu_buffer_destroy(first);
    REQUIRE_OK(gpu_buffer_create(&second, bed.device, &most, &bed.err), bed.err);
    gpu_buffer_destroy(second);
    CHECK(gpu_buffer_create(&second, bed.device, &(struct gpu_buffer_options){ 0, GPU_MEMORY_DEVICE, "none" },
                            &bed.err) == KARAT_ERR_ARGUMENT);
    CHECK(gpu_buffer_create(&second, bed.device,
                            &(struct gpu_buffer_options){ plan->max_allocation_bytes + 1, GPU_MEMORY_DEVICE, "vast" },
                            &bed.err) == KARAT_ERR_ARGUMENT);
    bed_close(t, &bed);
}

// Sends x to y through `upload` in pieces of changing size.
static void send(struct test *t, struct bed *bed, struct gpu_upload *upload)
{
    struct test_random random = { 3 };
    uint64_t sent = 0;
    while (sent < BED_BYTES) {
        void *memory = NULL;
        uint64_t size = 1 + test_random_below(&random, 150000);
        if (size > BED_BYTES - sent)
            size = BED_BYTES - sent;
        const uint64_t wanted = size;
        REQUIRE_OK(gpu_upload_reserve(upload, &memory, bed->y, sent, &size, &bed->err), bed->err);
        CHECK(size <= wanted && (size >= 65536 || size == wanted) && (size % 16 == 0 || size == wanted));
        memcpy(memory, (char *)gpu_buffer_map(bed->x) + sent, size);
        sent += size;
    }
    REQUIRE_OK(gpu_upload_finish(upload, &bed->err), bed->err);
}

TEST(an_upload_arrives_through_any_ring)
{
    static const struct {
        const char *name;
        uint64_t staging_bytes;
        bool unified;
    } rings[] = {
        { "the smallest ring", 1, false },
        { "a ring of odd size", 500001, false },
        { "the usual ring", 0, false },
        { "no ring", 0, true },
    };
    for (size_t i = 0; i < COUNT(rings); ++i) {
        struct bed bed;
        struct gpu_upload *upload = NULL;
        t->row = rings[i].name;
        if (!bed_open(t, &bed, NULL))
            return;
        // The road of a card with memory of its own, wherever the test runs.
        struct gpu_plan *plan = (struct gpu_plan *)gpu_device_plan(bed.device);
        const bool is_unified = plan->unified;
        plan->unified = rings[i].unified;
        if (is_unified || !rings[i].unified) {
            REQUIRE_OK(gpu_upload_create(&upload, bed.device, rings[i].staging_bytes, &bed.err), bed.err);
            for (int round = 0; round < 8; ++round) {
                for (uint32_t k = 0; k < BED_FLOATS; ++k)
                    bed_floats(bed.x)[k] = (float)k * (float)(round + 1);
                send(t, &bed, upload);
                bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.y), 2.0f);
                REQUIRE_OK(bed_run(&bed), bed.err);
                CHECK_UINT(bed_count_wrong(bed.z, 0, BED_FLOATS, 2.0f * (float)(round + 1)), 0);
            }
            uint64_t size = 16;
            void *memory = NULL;
            CHECK(gpu_upload_reserve(upload, &memory, bed.y, BED_BYTES - 8, &size, &bed.err) == KARAT_ERR_INTERNAL);
        }
        gpu_upload_destroy(upload);
        plan->unified = is_unified;
        bed_close(t, &bed);
    }
}

TEST(a_row_that_disagrees_with_its_shader_is_refused)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const struct gpu_kernel *kernel = NULL;
    const uint32_t threads = gpu_device_snapshot(bed.device)->max_workgroup_invocations;
    struct {
        const char *sentence;
        enum karat_status status;
        struct gpu_kernel_desc desc;
        uint32_t n_threads;
    } rows[] = {
        { "the row says 3 buffers, the shader has 2", KARAT_ERR_INTERNAL, scale_desc, 64 },
        { "the row says 8 bytes of parameters, the shader has 20", KARAT_ERR_INTERNAL, scale_desc, 64 },
        { "the row says 48 bytes of parameters, the shader has 20", KARAT_ERR_INTERNAL, scale_desc, 64 },
        { "the row says 1 specialisation constants, the shader has 2", KARAT_ERR_INTERNAL, scale_desc, 64 },
        { "kernel test_scale: a kernel of 20 bytes is not SPIR-V", KARAT_ERR_FORMAT, scale_desc, 64 },
        { "kernel test_scale has workgroups of", KARAT_ERR_UNSUPPORTED, scale_desc, threads + 1 },
        { "kernel test_scale has workgroups of 0 x 1 x 1 threads", KARAT_ERR_UNSUPPORTED, scale_desc, 0 },
        { "needs full subgroups of", KARAT_ERR_INTERNAL, scale_desc, 1 },
        { "the row says 20 bytes of parameters, a claim alone takes 24", KARAT_ERR_INTERNAL, scale_desc, 64 },
    };
    rows[0].desc.n_buffers = 3;
    rows[1].desc.params_bytes = 8;
    rows[2].desc.params_bytes = 48;
    rows[3].desc.n_spec = 1;
    rows[4].desc.code = (const uint32_t[5]){ 0 };
    rows[4].desc.code_bytes = 20;
    rows[7].desc.full_subgroups = true;
    rows[8].desc.claims = true;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        t->row = rows[i].sentence;
        CHECK(gpu_kernel_get(&kernel, bed.device, &rows[i].desc, (const uint32_t[]){ rows[i].n_threads, 0 },
                             &bed.err) == rows[i].status);
        test_check(t, strstr(bed.err.text, rows[i].sentence) != NULL, __FILE__, __LINE__, "%s", bed.err.text);
        CHECK(kernel == NULL);
    }
    bed_close(t, &bed);
}

TEST(full_subgroups_have_the_size_of_the_plan)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const struct gpu_kernel *kernel = NULL;
    struct gpu_kernel_desc desc = scale_desc;
    desc.full_subgroups = true;
    REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &desc, (const uint32_t[]){ 64, 0 }, &bed.err), bed.err);
    CHECK_TEXT(gpu_kernel_name(kernel), "test_scale");
    bed_close(t, &bed);
}

// ------------------------------------------------------------------------------------------------ threads

#define THREADS 4
#define KERNELS 6

struct work {
    struct gpu_device *device;
    const struct gpu_kernel *kernels[KERNELS];
    struct gpu_buffer *buffers[50];
    struct karat_error err;
    enum karat_status status;
};

static void make_things(void *user)
{
    struct work *work = user;
    for (uint32_t i = 0; i < KERNELS && work->status == KARAT_OK; ++i)
        work->status =
            gpu_kernel_get(&work->kernels[i], work->device, &scale_desc, (const uint32_t[]){ 32, i }, &work->err);
    for (size_t i = 0; i < COUNT(work->buffers) && work->status == KARAT_OK; ++i)
        work->status =
            gpu_buffer_create(&work->buffers[i], work->device,
                              &(struct gpu_buffer_options){ 5000 + i, GPU_MEMORY_UPLOAD, "mine" }, &work->err);
    for (size_t i = 0; i < COUNT(work->buffers); i += 2) {
        gpu_buffer_destroy(work->buffers[i]);
        work->buffers[i] = NULL;
    }
}

TEST(threads_share_kernels_and_memory)
{
    struct bed bed;
    static struct work work[THREADS];
    struct thread *threads[THREADS];
    if (!bed_open(t, &bed, NULL))
        return;
    for (size_t i = 0; i < THREADS; ++i) {
        work[i] = (struct work){ .device = bed.device };
        threads[i] = thread_start(make_things, &work[i]);
        CHECK(threads[i] != NULL);
    }
    for (size_t i = 0; i < THREADS; ++i)
        thread_join(threads[i]);
    for (size_t i = 0; i < THREADS; ++i) {
        CHECK(work[i].status == KARAT_OK);
        for (size_t k = 0; k < KERNELS; ++k)
            CHECK(work[i].kernels[k] && work[i].kernels[k] == work[0].kernels[k]);
        for (size_t k = 0; k < COUNT(work[i].buffers); ++k)
            gpu_buffer_destroy(work[i].buffers[k]);
    }
    bed_close(t, &bed);
}

TEST(devices_live_side_by_side)
{
    struct bed first, second;
    if (!bed_open(t, &first, NULL))
        return;
    REQUIRE(bed_open(t, &second, &nowhere));
    bed_scale(&first, bed_whole(first.y), bed_whole(first.x), 2.0f);
    bed_scale(&second, bed_whole(second.y), bed_whole(second.x), 3.0f);
    REQUIRE_OK(bed_run(&first), first.err);
    bed_close(t, &first);
    REQUIRE_OK(bed_run(&second), second.err);
    CHECK_UINT(bed_count_wrong(second.y, 0, BED_FLOATS, 3.0f), 0);
    bed_close(t, &second);
}

// ------------------------------------------------------------------------------------------------ kernels on disk

static void cache_path(char *path, size_t size, const char *dir, const struct gpu_snapshot *seen, const char *what)
{
    size_t used = (size_t)snprintf(path, size, "%s/%04x-%04x-", dir, seen->vendor_id, seen->device_id);
    for (size_t i = 0; i < 16; ++i)
        used += (size_t)snprintf(path + used, size - used, "%02x", seen->pipeline_cache_uuid[i]);
    snprintf(path + used, size - used, ".%s", what);
}

// One life of a device that compiles a kernel; returns what its cache brought from disk.
static size_t live(struct test *t, const char *dir, struct gpu_snapshot *seen)
{
    struct bed bed;
    const struct gpu_kernel *kernel = NULL;
    if (!bed_open(t, &bed, &(struct gpu_device_options){ .pipeline_cache_dir = dir }))
        return 0;
    const size_t loaded = gpu_device_cache_loaded_bytes(bed.device);
    *seen = *gpu_device_snapshot(bed.device);
    CHECK(gpu_kernel_get(&kernel, bed.device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed.err) == KARAT_OK);
    bed_close(t, &bed);
    return loaded;
}

TEST(compiled_kernels_are_found_again_and_damage_is_noticed)
{
    static const char dir[] = "gpu-cache.tmp/kernels"; // neither folder exists
    struct gpu_snapshot seen = { 0 };
    char path[300];
    size_t loaded = live(t, dir, &seen);
    CHECK_UINT(loaded, 0);
    if (t->skipped)
        return;
    cache_path(path, sizeof path, dir, &seen, "pipelines");
    size_t size = 0;
    char *bytes = test_read_file(path, &size);
    if (!bytes)
        SKIP("this driver's pipeline cache stays empty");
    const size_t data_bytes = size - 24;
    loaded = live(t, dir, &seen);
    CHECK_UINT(loaded, data_bytes);
    for (size_t at = 0; at < size; at += 1 + size / 20) {
        bytes[at] ^= 0x10;
        FILE *file = fopen(path, "wb");
        REQUIRE(file && fwrite(bytes, 1, size, file) == size);
        fclose(file);
        loaded = live(t, dir, &seen);
        CHECK_UINT(loaded, 0);
        bytes[at] ^= 0x10;
    }
    loaded = live(t, dir, &seen);
    CHECK(loaded > 0); // the last damage was mended on the way out
    FILE *file = fopen(path, "wb");
    REQUIRE(file && fwrite(bytes, 1, size / 2, file) == size / 2);
    fclose(file);
    loaded = live(t, dir, &seen);
    CHECK_UINT(loaded, 0);
    remove(path);
    free(bytes);
}

TEST(numbers_about_a_device_are_kept_and_damaged_ones_are_not_believed)
{
    static const struct {
        const char *text;
        uint64_t want; // 0: damaged
    } rows[] = { { "123456789012\n", 123456789012 },
                 { "1\n", 1 },
                 { "18446744073709551615\n", UINT64_MAX },
                 { "", 0 },
                 { "\n", 0 },
                 { "12", 0 },
                 { "12\n\n", 0 },
                 { "012\n", 0 },
                 { "-12\n", 0 },
                 { "1e9\n", 0 },
                 { "18446744073709551616\n", 0 },
                 { "123456789012345678901234567890123456789012345678901234567890123456789\n", 0 } };
    static const char dir[] = "gpu-cache.tmp/notes";
    struct bed bed;
    char path[300];
    uint64_t value = 7;
    if (!bed_open(t, &bed, &(struct gpu_device_options){ .pipeline_cache_dir = dir }))
        return;
    cache_path(path, sizeof path, dir, gpu_device_snapshot(bed.device), "speed");
    remove(path);
    CHECK(!gpu_device_recall(bed.device, "speed", &value));
    gpu_device_note(bed.device, "speed", 42);
    CHECK(gpu_device_recall(bed.device, "speed", &value));
    CHECK_UINT(value, 42);
    CHECK(!gpu_device_recall(bed.device, "height", &value));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        FILE *file = fopen(path, "wb");
        REQUIRE(file && fwrite(rows[i].text, 1, strlen(rows[i].text), file) == strlen(rows[i].text));
        fclose(file);
        t->row = rows[i].text;
        value = 7;
        CHECK_UINT(gpu_device_recall(bed.device, "speed", &value), rows[i].want > 0);
        CHECK_UINT(value, rows[i].want > 0 ? rows[i].want : 7);
    }
    t->row = NULL;
    remove(path);
    bed_close(t, &bed);

    if (!bed_open(t, &bed, &(struct gpu_device_options){ .pipeline_cache_dir = "" }))
        return;
    gpu_device_note(bed.device, "speed", 42);
    CHECK(!gpu_device_recall(bed.device, "speed", &value));
    bed_close(t, &bed);
}
