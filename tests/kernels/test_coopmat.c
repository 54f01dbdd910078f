// tests/kernels/test_coopmat.c -- products of cooperative matrices against a twin that rounds its operands to f16.
//
// The kernels are those of a GPU, whatever the device; on a device without cooperative matrices there is nothing to
// see.
#include "kernels/kernel_table.h"
#include "ops/check_linear.h"

#define LINEAR(...)                    \
    &(const struct check_linear_shape) \
    {                                  \
        __VA_ARGS__, .like_gpu = true  \
    }
#define EXPERTS(...)                    \
    &(const struct check_experts_shape) \
    {                                   \
        __VA_ARGS__, .like_gpu = true   \
    }

static bool has_matrices(struct test *t)
{
    const struct gpu_device *device = kernel_device(t);
    if (device && gpu_device_plan(device)->tier != GPU_TIER_COOPMAT)
        t->skipped = "the device multiplies no cooperative matrices";
    return device && !t->skipped;
}

static void run(struct test *t, const struct kernel_row *rows, size_t n_rows)
{
    if (has_matrices(t))
        kernel_table_run(t, rows, n_rows);
}

TEST(every_format)
{
    for (int type = 0; type < QTYPE_COUNT && has_matrices(t); ++type) {
        const struct check_linear_shape linear = { (enum qtype)type, 67, 512, 9, .like_gpu = true };
        const struct check_experts_shape experts = { (enum qtype)type, 4, 2, 67, 256, 20, .like_gpu = true };
        run(t, &(struct kernel_row){ qtypes[type].name, check_linear, &linear }, 1);
        run(t, &(struct kernel_row){ qtypes[type].name, check_experts, &experts }, 1);
    }
}

TEST(every_tile_and_every_edge)
{
    const struct kernel_row rows[] = {
        { "one row, one group, 9 tokens", check_linear, LINEAR(QTYPE_Q8_0, 1, 32, 9) },
        { "a tile of 64 x 32, full", check_linear, LINEAR(QTYPE_Q4_K, 64, 256, 32) },
        { "one token beyond 32", check_linear, LINEAR(QTYPE_Q4_K, 65, 256, 33) },
        { "a tile of 64 x 64, full", check_linear, LINEAR(QTYPE_Q4_K, 64, 256, 64) },
        { "one token beyond 64", check_linear, LINEAR(QTYPE_Q4_K, 129, 256, 65) },
        { "a row short of 128", check_linear, LINEAR(QTYPE_Q4_K, 127, 256, 127) },
        { "1030 tokens", check_linear, LINEAR(QTYPE_Q5_0, 130, 96, 1030) },
        { "F32, more rows than a router", check_linear, LINEAR(QTYPE_F32, 300, 96, 17) },
        { "an odd number of groups", check_linear, LINEAR(QTYPE_Q4_0, 70, 32 * 7, 17) },
    };
    run(t, rows, COUNT(rows));
}

TEST(rows_and_columns_of_the_model)
{
    const struct kernel_row rows[] = {
        { "dense gate", check_linear, LINEAR(QTYPE_Q4_K, 2112, 2816, 10) },
        { "dense down", check_linear, LINEAR(QTYPE_Q8_0, 256, 2112, 70) },
        { "attention out, global", check_linear, LINEAR(QTYPE_Q6_K, 128, 8192, 20) },
        { "expert gate", check_experts, EXPERTS(QTYPE_Q4_K, 4, 2, 704, 2816, 20) },
        { "expert down", check_experts, EXPERTS(QTYPE_Q5_0, 4, 2, 192, 704, 20, .x_per_pair = true) },
    };
    run(t, rows, COUNT(rows));
}

TEST(strides_ranges_and_segments)
{
    const struct kernel_row rows[] = {
        { "strided", check_linear, LINEAR(QTYPE_Q5_0, 130, 704, 33, .x_extra = 8, .y_extra = 70, .y_offset = 70) },
        { "the middle rows of a tensor", check_linear,
          LINEAR(QTYPE_Q4_K, 50, 256, 9, .first_row = 21, .n_more_rows = 30) },
        { "three segments", check_linear, LINEAR(QTYPE_Q5_0, 150, 704, 9, .block_limit_bytes = 30000) },
    };
    run(t, rows, COUNT(rows));
}

TEST(experts_with_tiles_full_and_not)
{
    const struct kernel_row rows[] = {
        { "tiles of 32", check_experts, EXPERTS(QTYPE_Q5_0, 8, 4, 70, 96, 20) },
        { "tiles of 64", check_experts, EXPERTS(QTYPE_Q8_0, 8, 4, 70, 96, 100, .x_per_pair = true) },
        { "gate of fused rows", check_experts,
          EXPERTS(QTYPE_Q4_K, 4, 2, 70, 256, 90, .y_extra = 9, .y_offset = 5, .n_more_rows = 70) },
        { "up of fused rows", check_experts, EXPERTS(QTYPE_Q4_K, 4, 2, 70, 256, 90, .first_row = 70) },
    };
    run(t, rows, COUNT(rows));
}

TEST(experts_in_slabs)
{
    const struct check_down_shape shape = { QTYPE_Q5_0, 4, 2, 320, 704, 20, .slab_rows = 128, .like_gpu = true };
    run(t, &(struct kernel_row){ "three slabs", check_experts_down, &shape }, 1);
}

// Beyond the range of f16 on the way in: divided, they fit, and past a million they are cut off, never infinite.
TEST(large_activations_do_not_overflow)
{
    const struct kernel_row rows[] = {
        { "ten thousands", check_linear, LINEAR(QTYPE_Q8_0, 64, 256, 16, .x_scale = 1e5) },
        { "millions", check_linear, LINEAR(QTYPE_Q8_0, 64, 256, 16, .x_scale = 1e7) },
        { "thousandths", check_linear, LINEAR(QTYPE_Q8_0, 64, 256, 16, .x_scale = 1e-3) },
    };
    run(t, rows, COUNT(rows));
}
