// tests/kernels/test_probe.c -- the kernel that copies, and what it says of the memory.
#include "kernels/kernel_table.h"

#define ROWS(...)              \
    &(const struct check_rows) \
    {                          \
        __VA_ARGS__            \
    }

TEST(bytes_are_copied)
{
    const struct kernel_row rows[] = {
        { "one element", check_copy, ROWS(1, 4) },
        { "fewer than a workgroup takes", check_copy, ROWS(1, 1020) },
        { "as many as a workgroup takes", check_copy, ROWS(1, 4 * 4096) },
        { "one more", check_copy, ROWS(1, 4 * 4097) },
        { "16 MiB less one element", check_copy, ROWS(1, (4 << 20) - 4) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(views_that_do_not_match_are_refused)
{
    static const struct {
        const char *name;
        uint64_t from_bytes, to_bytes;
        const char *says;
    } rows[] = {
        { "unequal", 64, 128, "copy: 64 bytes into 128; equal multiples of 16 are expected" },
        { "no multiple of 16", 40, 40, "copy: 40 bytes into 40; equal multiples of 16 are expected" },
    };
    struct gpu_device *device = kernel_device(t);
    struct gpu_recorder *rec = NULL;
    struct gpu_buffer *buffer = NULL;
    struct karat_error err = { 0 };
    if (!device)
        return;
    REQUIRE_OK(gpu_recorder_create(&rec, device, &err), err);
    REQUIRE_OK(
        gpu_buffer_create(&buffer, device, &(struct gpu_buffer_options){ .size_bytes = 4096, .name = "b" }, &err), err);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        t->row = rows[i].name;
        op_copy(rec, (struct gpu_view){ buffer, 0, rows[i].to_bytes },
                (struct gpu_view){ buffer, 2048, rows[i].from_bytes });
        CHECK_UINT(gpu_recorder_submit(rec, &err), KARAT_ERR_INTERNAL);
        CHECK_TEXT(err.text, rows[i].says);
    }
    t->row = NULL;
    gpu_recorder_destroy(rec);
    gpu_buffer_destroy(buffer);
}

TEST(the_probe_finds_a_bandwidth_and_gives_its_memory_back)
{
    struct gpu_device *device = kernel_device(t);
    struct karat_error err = { 0 };
    double bytes_per_second = 0;
    if (!device)
        return;
    const uint64_t before = gpu_device_used_bytes(device);
    REQUIRE_OK(op_probe_bandwidth(&bytes_per_second, device, &err), err);
    CHECK(bytes_per_second > 1e6 && bytes_per_second < 1e15); // anything from an emulator to what nobody builds
    CHECK_UINT(gpu_device_used_bytes(device), before);
    if (getenv("KARAT_TEST_VERBOSE"))
        printf("  %.2f GB/s\n", bytes_per_second * 1e-9);
}

TEST(a_device_without_room_for_the_probe_says_so)
{
    struct gpu_device *device = NULL;
    struct karat_error err = { 0 };
    double bytes_per_second = 1;
    const enum karat_status status =
        gpu_device_create(&device, &(struct gpu_device_options){ .vram_limit_bytes = 1 << 20 }, &err);
    if (status == KARAT_ERR_NO_DEVICE)
        SKIP("no Vulkan device");
    REQUIRE_OK(status, err);
    CHECK_UINT(op_probe_bandwidth(&bytes_per_second, device, &err), KARAT_ERR_DEVICE_MEMORY);
    CHECK(strstr(err.text, "to measure its bandwidth, which takes at least 4 MiB") != NULL);
    CHECK(bytes_per_second == 0);
    gpu_device_destroy(device);
}
