// tests/kernels/test_rope.c -- norm and rotation of heads, and their way into the cache.
#include "kernels/kernel_table.h"

#define HEADS(...)              \
    &(const struct check_heads) \
    {                           \
        __VA_ARGS__             \
    }

TEST(heads_are_normed_and_turned)
{
    const struct kernel_row rows[] = {
        { "sliding, first token", check_head_norm, HEADS(1, 16, 256, 128, 0) },
        { "sliding, position 1023", check_head_norm, HEADS(1, 16, 256, 128, 1023) },
        { "sliding, across 511 and 512", check_head_norm, HEADS(4, 16, 256, 128, 510) },
        { "sliding, position 100000", check_head_norm, HEADS(1, 16, 256, 128, 100000) },
        { "the last positions", check_head_norm, HEADS(2, 2, 256, 128, 262142) },
        { "global: 64 of 256 pairs turn", check_head_norm, HEADS(3, 16, 512, 64, 1024) },
        { "global, position 200000", check_head_norm, HEADS(1, 16, 512, 64, 200000) },
        { "all pairs of a wide head", check_head_norm, HEADS(2, 4, 512, 256, 77) },
        { "an odd number of pairs", check_head_norm, HEADS(2, 3, 64, 13, 77) },
        { "a chunk", check_head_norm, HEADS(200, 16, 256, 128, 1000) },
        { "the smallest head", check_head_norm, HEADS(5, 1, 32, 16, 9) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(keys_and_values_go_into_their_slots)
{
    const struct kernel_row rows[] = {
        { "decode", check_cache_store, HEADS(1, 8, 256, 128, 0, OP_CACHE_F16, 64) },
        { "ring comes round", check_cache_store, HEADS(6, 8, 256, 128, 1022, OP_CACHE_F16, 1026) },
        { "ring at 100000", check_cache_store, HEADS(6, 8, 256, 128, 100000, OP_CACHE_F16, 1029) },
        { "as many tokens as slots", check_cache_store, HEADS(70, 2, 64, 32, 1024, OP_CACHE_F16, 70) },
        { "global", check_cache_store, HEADS(3, 2, 512, 64, 200, OP_CACHE_F16, 300) },
        { "global, values from keys", check_cache_store, HEADS(3, 2, 512, 64, 200, OP_CACHE_F16, 300, .shared = true) },
        { "values from keys, f32", check_cache_store, HEADS(3, 2, 64, 13, 20, OP_CACHE_F32, 30, .shared = true) },
        { "f32", check_cache_store, HEADS(6, 8, 256, 128, 127, OP_CACHE_F32, 130) },
        { "an odd number of pairs", check_cache_store, HEADS(2, 3, 64, 13, 77, OP_CACHE_F32, 100) },
        { "windows of 64 slots", check_cache_store, HEADS(100, 2, 64, 32, 150, OP_CACHE_F16, 300, 1) },
        { "windows, ring comes round", check_cache_store, HEADS(100, 2, 64, 32, 250, OP_CACHE_F32, 300, 65536) },
        { "a chunk", check_cache_store, HEADS(200, 8, 256, 128, 1000, OP_CACHE_F16, 1223) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(half_precision_is_rounded_to_even)
{
    // The checks of f16 caches stand on these two.
    CHECK_UINT(check_f16(0), 0);
    CHECK_UINT(check_f16(1), 0x3C00);
    CHECK_UINT(check_f16(-2), 0xC000);
    CHECK_UINT(check_f16(65504), 0x7BFF);
    CHECK_UINT(check_f16(65520), 0x7C00);
    CHECK_UINT(check_f16(0x1p-24f), 1);
    CHECK_UINT(check_f16(0x1p-14f), 0x0400);
    CHECK_UINT(check_f16(0x1.ff8p-15f), 0x03FF);
    CHECK_UINT(check_f16(0x1.ffcp-15f), 0x0400);
    CHECK_UINT(check_f16(1 + 0x1p-11f), 0x3C00);
    CHECK_UINT(check_f16(1 + 0x3p-11f), 0x3C02);
    CHECK_UINT(check_f16(0x1.fffp0f), 0x4000);
    for (uint32_t bits = 0; bits < 0x7C00; ++bits)
        if (!CHECK(check_f16(check_from_f16((uint16_t)bits)) == bits))
            return;
}
