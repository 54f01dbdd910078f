// tests/kernels/test_moe.c -- routing, sorting by expert, and the join of the branches against their twins.
#include "kernels/kernel_table.h"
#include "ops/check_linear.h"

#define ROUTE(...)              \
    &(const struct check_route) \
    {                           \
        __VA_ARGS__             \
    }
#define JOIN(...)              \
    &(const struct check_join) \
    {                          \
        __VA_ARGS__            \
    }
#define DOWN(...)                    \
    &(const struct check_down_shape) \
    {                                \
        __VA_ARGS__                  \
    }

TEST(tokens_go_to_their_largest_experts)
{
    const struct kernel_row rows[] = {
        { "decode", check_route, ROUTE(1, 128, 8) },
        { "two tokens", check_route, ROUTE(2, 128, 8) },
        { "eight tokens", check_route, ROUTE(8, 128, 8) },
        { "nine tokens", check_route, ROUTE(9, 128, 8) },
        { "a chunk", check_route, ROUTE(512, 128, 8) },
        { "the largest step", check_route, ROUTE(2048, 128, 8) },
        { "no scale", check_route, ROUTE(5, 128, 8, .no_scale = true) },
        { "ties go to the lower expert", check_route, ROUTE(40, 128, 8, .ties = true) },
        { "a small model", check_route, ROUTE(17, 8, 2) },
        { "a number of experts that four does not divide", check_route, ROUTE(17, 10, 3) },
        { "every expert is used", check_route, ROUTE(6, 8, 8) },
        { "one expert", check_route, ROUTE(6, 1, 1) },
        { "the most that fits", check_route, ROUTE(20, 256, 16) },
        { "NaN and infinities still name experts", check_route, ROUTE(40, 128, 8, .broken = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(branches_are_joined)
{
    const struct kernel_row rows[] = {
        { "decode", check_join, JOIN(1, 2816, true, true) },
        { "no scale", check_join, JOIN(2, 2816, false, true) },
        { "nothing follows", check_join, JOIN(3, 2816, true) },
        { "a chunk", check_join, JOIN(100, 2816, true, true) },
        { "a small model", check_join, JOIN(7, 64, true) },
        { "a wide model", check_join, JOIN(2, 5376, true, true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(experts_go_down_in_slabs_and_are_summed)
{
    const struct kernel_row rows[] = {
        { "decode", check_experts_down, DOWN(QTYPE_Q5_0, 16, 8, 512, 704, 1) },
        { "one slab", check_experts_down, DOWN(QTYPE_Q8_0, 8, 4, 260, 96, 61) },
        { "three slabs, the last one narrow", check_experts_down,
          DOWN(QTYPE_Q8_0, 8, 4, 260, 96, 61, .slab_rows = 128) },
        { "a scratch between one slab and two", check_experts_down,
          DOWN(QTYPE_Q4_K, 4, 2, 384, 256, 5, .slab_rows = 200) },
        { "decode in slabs", check_experts_down, DOWN(QTYPE_Q6_K, 8, 2, 260, 256, 1, .slab_rows = 128) },
        { "one expert", check_experts_down, DOWN(QTYPE_F16, 1, 1, 132, 32, 7, .slab_rows = 128) },
        { "a GPU, decode", check_experts_down, DOWN(QTYPE_Q5_0, 16, 8, 260, 704, 1, .like_gpu = true) },
        { "a GPU, few pairs each, in slabs", check_experts_down,
          DOWN(QTYPE_Q5_0, 8, 4, 260, 96, 15, .slab_rows = 128, .like_gpu = true) },
        { "a GPU, tiles in shared memory, in slabs", check_experts_down,
          DOWN(QTYPE_Q8_0, 4, 2, 260, 96, 90, .slab_rows = 128, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(a_scratch_without_room_for_a_slab_is_refused)
{
    struct karat_error err = { 0 };
    struct check c;
    struct gpu_device *device = kernel_device(t);
    if (!device)
        return;
    REQUIRE_OK(check_init(&c, device, &err), err);
    const struct check_down_shape shape = { QTYPE_Q8_0, 8, 4, 260, 96, 61, .slab_rows = 127 };
    CHECK(check_run(&c, check_experts_down, &shape, &err) == KARAT_ERR_INTERNAL);
    CHECK_TEXT(err.text, "experts_down: 244 pairs of 260 rows do not go through a scratch of 123952 bytes");
    check_deinit(&c);
}

TEST(scratch_of_experts_is_bounded_and_always_holds_a_slab)
{
    uint64_t before = 0;
    for (uint32_t n = 1; n <= 2048; ++n) {
        const uint64_t bytes = op_experts_down_scratch_bytes(n, 8, 2816);
        CHECK(bytes >= before && bytes <= 48u << 20 && bytes >= 128ull * n * 8 * sizeof(float));
        before = bytes;
    }
    CHECK_UINT(op_experts_down_scratch_bytes(1, 8, 2816), 8 * 2816 * 4);
    CHECK_UINT(op_experts_down_scratch_bytes(2048, 8, 2816), 16384 * 768 * 4);
    CHECK_UINT(op_experts_down_scratch_bytes(2048, 128, 2816), 2048u * 128 * 128 * 4); // the smallest slab is larger
}
