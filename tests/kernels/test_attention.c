// tests/kernels/test_attention.c -- attention over full caches and rings against its twin.
#include "kernels/kernel_table.h"
#include "ops/attention.h"

#define ATTENTION(...)              \
    &(const struct check_attention) \
    {                               \
        __VA_ARGS__                 \
    }

TEST(decode_sees_what_it_should)
{
    const struct kernel_row rows[] = {
        { "the first token", check_attention, ATTENTION(1, 16, 8, 256, 1024, 0) },
        { "window just not full", check_attention, ATTENTION(1, 16, 8, 256, 1024, 1022) },
        { "window just full", check_attention, ATTENTION(1, 16, 8, 256, 1024, 1023) },
        { "window one beyond", check_attention, ATTENTION(1, 16, 8, 256, 1024, 1024) },
        { "ring far out", check_attention, ATTENTION(1, 16, 8, 256, 1024, 100000, .n_slots = 1536) },
        { "global, first token", check_attention, ATTENTION(1, 16, 2, 512, 0, 0) },
        { "global, 3000 keys", check_attention, ATTENTION(1, 16, 2, 512, 0, 2999) },
        { "global, f32 cache", check_attention, ATTENTION(1, 16, 2, 512, 0, 700, OP_CACHE_F32) },
        { "scores as far apart as unscaled heads make them", check_attention,
          ATTENTION(1, 16, 2, 512, 0, 700, .score_scale = 30) },
        { "100000 keys", check_attention, ATTENTION(1, 4, 1, 64, 0, 99999) },
        { "recorded for far more keys than there are", check_attention,
          ATTENTION(1, 16, 2, 512, 0, 5, .n_slots = 4096, .last_position = 4095) },
        { "recorded for a full window, at the start", check_attention,
          ATTENTION(1, 16, 8, 256, 1024, 3, .last_position = 100000) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(prompts_see_what_they_should)
{
    const struct kernel_row rows[] = {
        { "two tokens", check_attention, ATTENTION(2, 16, 8, 256, 1024, 40) },
        { "three tokens across the window's edge", check_attention, ATTENTION(3, 16, 8, 256, 1024, 1022) },
        { "five tokens, global", check_attention, ATTENTION(5, 16, 2, 512, 0, 1000) },
        { "eight tokens, ring far out", check_attention, ATTENTION(8, 16, 8, 256, 1024, 100000) },
        { "a chunk from the start", check_attention, ATTENTION(128, 16, 8, 256, 1024, 0) },
        { "a chunk from the start, global", check_attention, ATTENTION(100, 16, 2, 512, 0, 0) },
        { "longer than the window", check_attention, ATTENTION(150, 4, 2, 64, 64, 0) },
        { "longer than the window, ring far out", check_attention, ATTENTION(150, 4, 2, 64, 64, 100000) },
        { "512 tokens, small window", check_attention, ATTENTION(512, 4, 2, 64, 100, 1023) },
        { "more keys than weights are kept of", check_attention, ATTENTION(30, 4, 2, 64, 0, 2500) },
        { "the same in f32", check_attention, ATTENTION(30, 4, 2, 64, 0, 2500, OP_CACHE_F32) },
        { "rows in two bindings", check_attention, ATTENTION(100, 16, 1, 64, 0, 0, .window_bytes = 16384) },
        { "a ring that comes round among those keys", check_attention, ATTENTION(30, 4, 2, 64, 2000, 7000) },
        { "scores as far apart as unscaled heads make them", check_attention,
          ATTENTION(9, 16, 2, 512, 0, 700, .score_scale = 30) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(every_head_size_and_group_works)
{
    const struct kernel_row rows[] = {
        { "head size 32", check_attention, ATTENTION(3, 2, 1, 32, 0, 100) },
        { "head size 64", check_attention, ATTENTION(3, 4, 2, 64, 0, 100) },
        { "head size 96", check_attention, ATTENTION(3, 4, 2, 96, 0, 100) },
        { "head size 128", check_attention, ATTENTION(3, 4, 2, 128, 0, 100) },
        { "head size 160, f32", check_attention, ATTENTION(3, 4, 2, 160, 0, 100, OP_CACHE_F32) },
        { "head size 384", check_attention, ATTENTION(1, 4, 2, 384, 0, 100) },
        { "head size 32, a chunk", check_attention, ATTENTION(13, 2, 1, 32, 0, 100) },
        { "head size 96, a chunk", check_attention, ATTENTION(13, 4, 2, 96, 0, 100) },
        { "head size 160, f32, a chunk", check_attention, ATTENTION(13, 4, 2, 160, 0, 100, OP_CACHE_F32) },
        { "head size 384, a chunk", check_attention, ATTENTION(13, 4, 2, 384, 0, 100) },
        { "no groups", check_attention, ATTENTION(9, 4, 4, 64, 0, 100) },
        { "groups of three", check_attention, ATTENTION(9, 6, 2, 64, 50, 100) },
        { "groups of sixteen", check_attention, ATTENTION(3, 32, 2, 128, 0, 300) },
        { "groups of twenty", check_attention, ATTENTION(3, 20, 1, 128, 0, 300) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(a_cache_larger_than_a_binding_is_read_in_windows)
{
    const struct kernel_row rows[] = {
        { "decode, all slots in use", check_attention, ATTENTION(1, 4, 2, 64, 0, 511, .window_bytes = 1) },
        { "decode, later windows empty", check_attention,
          ATTENTION(1, 4, 2, 64, 0, 70, .n_slots = 512, .window_bytes = 1) },
        { "three tokens, f32", check_attention, ATTENTION(3, 4, 2, 64, 0, 300, OP_CACHE_F32, .window_bytes = 1) },
        { "ring come round", check_attention, ATTENTION(5, 4, 2, 64, 128, 1000, .n_slots = 200, .window_bytes = 1) },
        { "a chunk longer than the scratch of all windows", check_attention,
          ATTENTION(700, 4, 2, 64, 0, 100, .window_bytes = 1) },
        { "global layer, two windows", check_attention,
          ATTENTION(2, 16, 2, 512, 0, 600, .n_slots = 640, .window_bytes = 384 * 2048) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

// What a GPU gets, with as many lanes per key as the subgroup here has. Few rows: a software driver compiles for
// seconds what a GPU's compiler makes of a full block.
TEST(the_cut_for_a_gpu_agrees_as_well)
{
    const struct kernel_row rows[] = {
        { "decode, window", check_attention, ATTENTION(1, 16, 8, 256, 1024, 1500, .lanes = 8) },
        { "decode, many splits", check_attention, ATTENTION(1, 4, 2, 128, 0, 3000, .lanes = 8) },
        { "decode, four lanes", check_attention, ATTENTION(1, 4, 2, 128, 0, 300, .lanes = 4) },
        { "decode, no shuffles", check_attention, ATTENTION(1, 4, 2, 128, 0, 600, .lanes = 1) },
        { "head size 512, f32", check_attention, ATTENTION(1, 2, 1, 512, 0, 100, OP_CACHE_F32, .lanes = 8) },
        { "a chunk", check_attention, ATTENTION(40, 2, 1, 64, 30, 100, .lanes = 8) },
        { "head size 96, windows of slots", check_attention,
          ATTENTION(1, 4, 2, 96, 128, 1000, .n_slots = 200, .lanes = 8, .window_bytes = 1) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

static const struct attention_limits
    limits_of_gpu = { .lanes = 8, .subgroup_size = 32, .shared_bytes = 32768, .window_bytes = 1 << 30 },
    limits_of_cpu = {
        .cpu = true, .wide = true, .lanes = 1, .subgroup_size = 8, .shared_bytes = 32768, .window_bytes = 1 << 27
    };

TEST(eight_rows_take_the_kernel_of_software_devices_where_it_fits)
{
    const struct op_cache sliding = { .type = OP_CACHE_F16, .n_slots = 1535, .n_kv_heads = 8, .head_size = 256 };
    const struct op_cache global = { .type = OP_CACHE_F16, .n_slots = 1 << 18, .n_kv_heads = 2, .head_size = 512 };
    const struct op_attention_shape prompt = { 512, 16, 1024, 511 }, few = { 3, 16, 1024, 511 };
    struct attention_limits narrow = limits_of_cpu, tight = limits_of_cpu;
    narrow.wide = false;
    tight.window_bytes = 1 << 20;
    CHECK(attention_cpu_fits(&limits_of_cpu, &sliding, &prompt));
    CHECK(attention_cpu_fits(&limits_of_cpu, &sliding, &(struct op_attention_shape){ 4, 16, 1024, 511 }));
    CHECK(!attention_cpu_fits(&limits_of_cpu, &sliding, &few)); // six rows, tiles have eight
    CHECK(attention_cpu_fits(&limits_of_cpu, &(struct op_cache){ NULL, NULL, OP_CACHE_F16, 4096, 2, 512 },
                             &(struct op_attention_shape){ 1, 16, 0, 4095 })); // decode with groups of eight
    CHECK(!attention_cpu_fits(&limits_of_cpu, &global, &prompt));              // 512 MiB of keys are bound in windows
    CHECK(!attention_cpu_fits(&narrow, &sliding, &prompt));
    CHECK(!attention_cpu_fits(&tight, &sliding, &prompt));
    CHECK(!attention_cpu_fits(&limits_of_gpu, &sliding, &prompt));
    CHECK(attention_scratch_bytes(&limits_of_cpu, 4, 2, 64) >= attention_cpu_scratch_bytes());
}

TEST(scratch_does_not_grow_with_the_square_of_the_prompt)
{
    const struct attention_limits gpu = limits_of_gpu, cpu = limits_of_cpu;
    CHECK(attention_scratch_bytes(&gpu, 2048, 16, 512) < 40u << 20);
    CHECK(attention_scratch_bytes(&cpu, 2048, 16, 512) < 40u << 20);
    // What the choice splits always fits.
    static const uint32_t tokens[] = { 1, 2, 3, 7, 8, 9, 31, 64, 200, 511, 512, 2048 };
    for (size_t i = 0; i < COUNT(tokens); ++i)
        for (uint32_t size = 64; size <= 512; size *= 2)
            for (uint32_t far = 0; far < 2; ++far) {
                const struct op_attention_shape shape = { tokens[i], 16, 0, far ? 131071 : tokens[i] - 1 };
                const struct attention_limits *limits[] = { &gpu, &cpu };
                for (size_t l = 0; l < COUNT(limits); ++l) {
                    const struct attention_tiling tiling = attention_choose(limits[l], &shape, 2, size);
                    const uint64_t used = tiling.n_splits > 1 ? (uint64_t)tiling.n_splits * tokens[i] * 16 : 0;
                    CHECK(used * (size + 2) * 4 <= attention_scratch_bytes(limits[l], tokens[i], 16, size));
                }
            }
}
