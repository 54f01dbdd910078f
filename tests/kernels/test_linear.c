// tests/kernels/test_linear.c -- products against their twin over the decoded weights, every format.
#include "kernels/kernel_table.h"
#include "ops/check_linear.h"

#define LINEAR(...)                    \
    &(const struct check_linear_shape) \
    {                                  \
        __VA_ARGS__                    \
    }
#define EXPERTS(...)                    \
    &(const struct check_experts_shape) \
    {                                   \
        __VA_ARGS__                     \
    }

TEST(every_format_at_every_number_of_columns)
{
    static const uint32_t n_tokens[] = { 1, 3, 9 };
    for (int type = 0; type < QTYPE_COUNT; ++type)
        for (size_t i = 0; i < COUNT(n_tokens); ++i) {
            char name[64];
            snprintf(name, sizeof name, "%s, %u tokens", qtypes[type].name, n_tokens[i]);
            const struct check_linear_shape shape = { (enum qtype)type, 67, 2816, n_tokens[i] };
            kernel_table_run(t, &(struct kernel_row){ name, check_linear, &shape }, 1);
        }
}

TEST(rows_columns_and_tokens_of_the_model)
{
    const struct kernel_row rows[] = {
        { "one row", check_linear, LINEAR(QTYPE_Q4_K, 1, 2816, 1) },
        { "three rows, one group", check_linear, LINEAR(QTYPE_Q5_0, 3, 32, 1) },
        { "router", check_linear, LINEAR(QTYPE_F32, 128, 2816, 1) },
        { "dense gate", check_linear, LINEAR(QTYPE_Q4_K, 2112, 2816, 1) },
        { "dense down", check_linear, LINEAR(QTYPE_Q8_0, 2816, 2112, 1) },
        { "expert down alone", check_linear, LINEAR(QTYPE_Q5_0, 2816, 704, 2) },
        { "attention out", check_linear, LINEAR(QTYPE_Q4_K, 704, 4096, 8) },
        { "attention out, global", check_linear, LINEAR(QTYPE_Q6_K, 256, 8192, 1) },
        { "an odd number of groups", check_linear, LINEAR(QTYPE_Q4_0, 65, 32 * 7, 5) },
        { "33 tokens", check_linear, LINEAR(QTYPE_Q4_K, 128, 2816, 33) },
        { "512 tokens", check_linear, LINEAR(QTYPE_Q8_0, 96, 256, 512) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(strides_and_ranges_of_rows)
{
    const struct kernel_row rows[] = {
        { "y in the second half of wider rows", check_linear,
          LINEAR(QTYPE_Q8_0, 64, 256, 3, .y_extra = 64, .y_offset = 64) },
        { "x inside wider rows", check_linear, LINEAR(QTYPE_Q8_0, 40, 256, 9, .x_extra = 12) },
        { "the middle rows of a tensor", check_linear,
          LINEAR(QTYPE_Q4_K, 50, 256, 1, .first_row = 21, .n_more_rows = 30) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(a_weight_of_many_segments_is_one_matrix)
{
    const struct kernel_row rows[] = {
        { "five rows to a block", check_linear, LINEAR(QTYPE_Q4_K, 67, 2816, 1, .block_limit_bytes = 8000) },
        { "a row to a block, strided", check_linear,
          LINEAR(QTYPE_Q8_0, 7, 256, 9, .y_extra = 9, .y_offset = 4, .block_limit_bytes = 300) },
        { "experts, two planes to a block", check_experts,
          EXPERTS(QTYPE_Q8_0, 9, 2, 16, 256, 3, .block_limit_bytes = 10000) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(experts_of_the_model)
{
    const struct kernel_row rows[] = {
        { "gate, one token", check_experts, EXPERTS(QTYPE_Q4_K, 16, 8, 704, 512, 1, .y_extra = 704) },
        { "up, one token", check_experts, EXPERTS(QTYPE_Q4_K, 16, 8, 704, 512, 1, .y_extra = 704, .y_offset = 704) },
        { "down, one token", check_experts, EXPERTS(QTYPE_Q5_0, 16, 8, 512, 704, 1, .x_per_pair = true) },
        { "gate, few pairs each", check_experts, EXPERTS(QTYPE_Q4_K, 16, 8, 96, 512, 5) },
        { "down, few pairs each", check_experts, EXPERTS(QTYPE_Q5_0, 16, 8, 96, 704, 5, .x_per_pair = true) },
        { "gate, many pairs each", check_experts, EXPERTS(QTYPE_Q4_K, 8, 4, 33, 256, 61) },
        { "down, many pairs each", check_experts, EXPERTS(QTYPE_Q8_0, 8, 4, 32, 96, 61, .x_per_pair = true) },
        { "the first half of fused rows", check_experts,
          EXPERTS(QTYPE_Q8_0, 8, 4, 32, 96, 3, .n_more_rows = 32, .block_limit_bytes = 8000) },
        { "the second half of fused rows", check_experts, EXPERTS(QTYPE_Q8_0, 8, 4, 32, 96, 3, .first_row = 32) },
        { "Q6_K", check_experts, EXPERTS(QTYPE_Q6_K, 8, 2, 40, 256, 1) },
        { "F16", check_experts, EXPERTS(QTYPE_F16, 8, 2, 40, 96, 1) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(kernels_of_gpus_agree_too)
{
    const struct kernel_row rows[] = {
        { "32 lanes a row", check_linear, LINEAR(QTYPE_Q4_K, 37, 2816, 1, .like_gpu = true) },
        { "16 lanes a row", check_linear, LINEAR(QTYPE_Q8_0, 37, 2112, 2, .like_gpu = true) },
        { "8 lanes a row", check_linear, LINEAR(QTYPE_Q5_0, 37, 704, 3, .like_gpu = true) },
        { "Q6_K", check_linear, LINEAR(QTYPE_Q6_K, 37, 2816, 1, .like_gpu = true) },
        { "F32", check_linear, LINEAR(QTYPE_F32, 37, 2816, 1, .like_gpu = true) },
        { "5 tokens", check_linear, LINEAR(QTYPE_Q4_0, 70, 256, 5, .like_gpu = true) },
        { "experts", check_experts, EXPERTS(QTYPE_Q4_K, 8, 2, 40, 512, 1, .like_gpu = true) },
        { "experts, tiles of 8", check_experts,
          EXPERTS(QTYPE_Q5_0, 8, 4, 33, 96, 15, .x_per_pair = true, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(tiles_in_shared_memory_agree_too)
{
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        const struct check_linear_shape shape = { (enum qtype)type, 67, 512, 9, .like_gpu = true };
        kernel_table_run(t, &(struct kernel_row){ qtypes[type].name, check_linear, &shape }, 1);
    }
    const struct kernel_row rows[] = {
        { "33 tokens, strided", check_linear,
          LINEAR(QTYPE_Q5_0, 130, 704, 33, .x_extra = 8, .y_extra = 70, .y_offset = 70, .like_gpu = true) },
        { "129 tokens", check_linear, LINEAR(QTYPE_Q4_K, 64, 2816, 129, .like_gpu = true) },
        { "three segments", check_linear,
          LINEAR(QTYPE_Q5_0, 150, 704, 9, .block_limit_bytes = 30000, .like_gpu = true) },
        { "experts, tiles of 16", check_experts, EXPERTS(QTYPE_Q5_0, 8, 4, 70, 96, 40, .like_gpu = true) },
        { "experts, tiles of 32", check_experts,
          EXPERTS(QTYPE_Q4_K, 4, 2, 70, 256, 90, .x_per_pair = true, .y_extra = 9, .y_offset = 5, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}
