// tests/unit/test_choose.c -- which kernel runs a product, on devices that are not here.
#include "ops/choose.h"
#include "shared/mat_mul.h"
#include "shared/mat_mul_cm.h"
#include "shared/mat_mul_cpu.h"
#include "shared/mat_vec.h"
#include "test.h"

static const struct gpu_plan cpu = { .cpu = true, .int64 = true, .subgroup_size = 8 },
                             narrow_cpu = { .cpu = true, .subgroup_size = 4 }, gpu = { .subgroup_size = 32 };

// Cards with cooperative matrices: NVIDIA's, AMD's and Intel's shapes, and the CPU driver's for tests.
static const struct gpu_plan matrix_plans[] = {
    { .tier = GPU_TIER_COOPMAT, .subgroup_size = 32, .coopmat = { 16, 16, 16 } },
    { .tier = GPU_TIER_COOPMAT, .subgroup_size = 32, .coopmat = { 16, 8, 16 } },
    { .tier = GPU_TIER_COOPMAT, .subgroup_size = 32, .coopmat = { 16, 8, 8 } },
    { .tier = GPU_TIER_COOPMAT, .subgroup_size = 16, .coopmat = { 8, 16, 16 } },
    { .tier = GPU_TIER_COOPMAT, .subgroup_size = 8, .coopmat = { 8, 8, 8 } },
};

TEST(a_software_device_gives_each_lane_a_row)
{
    static const uint32_t n_tokens[] = { 1, 2, 8, 9, 512 };
    for (size_t i = 0; i < COUNT(n_tokens); ++i) {
        const struct linear_choice choice = choose_linear(&cpu, 2816, n_tokens[i]);
        CHECK_UINT(choice.kernel, KERNEL_MAT_MUL_CPU);
        CHECK_UINT(choice.spec[MAT_MUL_CPU_SUBGROUP], 8);
        CHECK_UINT(choice.rows_per_group, 8 * choice.spec[MAT_MUL_CPU_ROWS]);
        CHECK_UINT(choice.cols_per_group, choice.spec[MAT_MUL_CPU_COLS]);
        const struct linear_choice narrow = choose_linear(&narrow_cpu, 2816, n_tokens[i]);
        CHECK_UINT(narrow.kernel, KERNEL_MAT_VEC);
        CHECK_UINT(narrow.spec[MAT_VEC_LANES], 1);
        CHECK_UINT(narrow.rows_per_group, narrow.spec[MAT_VEC_WG_SIZE] * narrow.spec[MAT_VEC_ROWS]);
    }
}

TEST(wide_loads_are_worth_more_than_tails_and_pairs_of_weights)
{
    struct linear_choice choice;
    CHECK(!choose_tail(&cpu, 1));
    CHECK(!choose_gated(&choice, &cpu, 2816, 1));
    CHECK(choose_direct(&cpu, 1, 128, 8));
    choice = choose_pairs(&cpu, 2816, false);
    CHECK_UINT(choice.kernel, KERNEL_MAT_MUL_CPU_EXPERTS);
    CHECK(choice.spec[MAT_MUL_CPU_DIRECT]);
    CHECK_UINT(choice.cols_per_group, 1);
    CHECK(choose_tail(&narrow_cpu, 1) && choose_tail(&gpu, 8) && !choose_tail(&gpu, 9));
    CHECK(choose_gated(&choice, &narrow_cpu, 2816, 1) && choose_gated(&choice, &gpu, 2816, 1));
}

// Rows of a step that have nothing to do with each other get kernels that sum each as they sum one alone.
TEST(rows_are_kept_apart_where_a_recorder_says_so)
{
    struct gpu_plan cpu_apart = cpu, gpu_apart = gpu;
    cpu_apart.apart = gpu_apart.apart = true;
    for (uint32_t n = 1; n <= 8; ++n) {
        const struct linear_choice wide = choose_linear(&cpu_apart, 2816, n);
        CHECK_UINT(wide.kernel, KERNEL_MAT_MUL_CPU);
        CHECK_UINT(wide.spec[MAT_MUL_CPU_APART], n > 1);
        CHECK_UINT(choose_linear(&cpu, 2816, n).spec[MAT_MUL_CPU_APART], 0);
        // The lanes of a row, and so the order of its sum, are those of one column.
        const struct linear_choice few = choose_linear(&gpu_apart, 2816, n), one = choose_linear(&gpu, 2816, 1);
        CHECK_UINT(few.kernel, KERNEL_MAT_VEC);
        CHECK_UINT(few.spec[MAT_VEC_LANES], one.spec[MAT_VEC_LANES]);
        CHECK(choose_direct(&cpu_apart, n, 4, 2) && choose_direct(&gpu_apart, n, 4, 2)); // never tiles of experts
    }
    CHECK(!choose_direct(&gpu, 8, 4, 2));
}

TEST(lanes_of_a_gpu_are_busy)
{
    // 704, 2112, 2816, 4096 and 8192 columns are what the model has.
    static const struct {
        uint32_t n_cols, lanes;
    } rows[] = { { 32, 8 }, { 704, 8 }, { 2112, 16 }, { 2816, 32 }, { 4096, 32 }, { 8192, 32 } };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        const struct linear_choice choice = choose_linear(&gpu, rows[i].n_cols, 1);
        CHECK_UINT(choice.spec[MAT_VEC_LANES], rows[i].lanes);
        CHECK_UINT(choice.rows_per_group,
                   choice.spec[MAT_VEC_WG_SIZE] / choice.spec[MAT_VEC_LANES] * choice.spec[MAT_VEC_ROWS]);
    }
}

TEST(many_tokens_go_through_tiles)
{
    static const struct {
        uint32_t n_tokens;
        enum kernel kernel;
        uint32_t cols_per_group;
    } rows[] = {
        { 1, KERNEL_MAT_VEC, 1 },  { 3, KERNEL_MAT_VEC, 4 },   { 8, KERNEL_MAT_VEC, 8 },
        { 9, KERNEL_MAT_MUL, 16 }, { 17, KERNEL_MAT_MUL, 32 }, { 512, KERNEL_MAT_MUL, 64 },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        const struct linear_choice choice = choose_linear(&gpu, 2816, rows[i].n_tokens);
        CHECK_UINT(choice.kernel, rows[i].kernel);
        CHECK_UINT(choice.cols_per_group, rows[i].cols_per_group);
    }
}

TEST(matrices_cut_a_tile_into_equal_parts)
{
    static const uint32_t n_tokens[] = { 9, 32, 33, 64, 65, 512, 1024, 2048 };
    for (size_t i = 0; i < COUNT(matrix_plans) * COUNT(n_tokens); ++i) {
        const struct gpu_plan *plan = &matrix_plans[i / COUNT(n_tokens)];
        const struct linear_choice choice = choose_linear(plan, 2816, n_tokens[i % COUNT(n_tokens)]);
        const uint32_t *spec = choice.spec, wg_size = spec[MAT_MUL_CM_WG_SIZE];
        const uint32_t rows = spec[MAT_MUL_CM_ROWS], cols = spec[MAT_MUL_CM_COLS];
        const uint32_t sub_rows = spec[MAT_MUL_CM_SUB_ROWS], sub_cols = spec[MAT_MUL_CM_SUB_COLS];
        CHECK_UINT(choice.kernel, KERNEL_MAT_MUL_CM);
        CHECK_UINT(choice.rows_per_group, rows);
        CHECK_UINT(choice.cols_per_group, cols);
        // What the shader requires.
        CHECK_UINT(sub_rows % plan->coopmat.m, 0);
        CHECK_UINT(sub_cols % plan->coopmat.n, 0);
        CHECK(sub_cols > 0 && rows % sub_rows == 0 && cols % sub_cols == 0);
        CHECK_UINT(rows / sub_rows * (cols / sub_cols) * plan->subgroup_size, wg_size);
        CHECK_UINT(4 * rows % wg_size, 0);
        CHECK_UINT(8 * cols % wg_size, 0);
        CHECK(4 * rows / wg_size <= 4);
        CHECK(wg_size <= 256);
        // What every device has.
        const uint32_t block_bytes = 4 * plan->coopmat.m * plan->coopmat.n * (wg_size / plan->subgroup_size);
        CHECK(80 * (rows + cols) + block_bytes <= 32768);
    }
}

TEST(the_router_is_not_rounded)
{
    CHECK(choose_keeps_f32(QTYPE_F32, 128));
    CHECK(!choose_keeps_f32(QTYPE_F32, 2816));
    CHECK(!choose_keeps_f32(QTYPE_Q8_0, 128));
}

TEST(an_expert_of_few_pairs_is_decoded_once)
{
    const struct gpu_plan *plan = &matrix_plans[0];
    CHECK_UINT(choose_plan_tile_pairs(plan, 1, 128, 8), 1);
    CHECK_UINT(choose_plan_tile_pairs(plan, 63, 128, 8), 4);
    CHECK_UINT(choose_plan_tile_pairs(plan, 64, 128, 8), 32);
    CHECK_UINT(choose_plan_tile_pairs(plan, 512, 128, 8), 64);
    CHECK_UINT(choose_experts(plan, 704, 32).kernel, KERNEL_MAT_MUL_CM_EXPERTS);
    CHECK_UINT(choose_experts(plan, 704, 4).kernel, KERNEL_MAT_VEC_EXPERTS);
}

TEST(experts_compute_exactly_the_tiles_of_the_route)
{
    const struct gpu_plan *plans[] = { &cpu, &narrow_cpu, &gpu, &matrix_plans[0], &matrix_plans[3] };
    for (size_t i = 0; i < COUNT(plans); ++i)
        for (uint32_t n_tokens = 1; n_tokens <= 4096; n_tokens = n_tokens * 3 / 2 + 1) {
            const uint32_t pairs = choose_plan_tile_pairs(plans[i], n_tokens, 128, 8);
            CHECK_UINT(choose_experts(plans[i], 704, pairs).cols_per_group, pairs);
        }
}

TEST(one_token_has_one_pair_to_a_tile)
{
    CHECK_UINT(choose_plan_tile_pairs(&gpu, 1, 128, 8), 1);
    CHECK_UINT(choose_plan_n_tiles(&gpu, 1, 128, 8), 8);
}

TEST(tiles_suffice_for_any_spread_of_pairs)
{
    // The worst spread: every expert that can leaves one pair over.
    for (uint32_t n_tokens = 1; n_tokens <= 1024; n_tokens = n_tokens * 2 + 1) {
        const uint32_t n_pairs = n_tokens * 8, pairs = choose_plan_tile_pairs(&gpu, n_tokens, 128, 8);
        const uint32_t n_over = n_pairs < 128 ? n_pairs : 128;
        CHECK(choose_plan_n_tiles(&gpu, n_tokens, 128, 8) >= n_over + (n_pairs - n_over) / pairs);
    }
}
