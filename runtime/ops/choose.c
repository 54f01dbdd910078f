// ops/choose.c -- see choose.h. Every clause says what was measured.
#include "ops/choose.h"

#include "shared/mat_mul.h"
#include "shared/mat_mul_cm.h"
#include "shared/mat_mul_cpu.h"
#include "shared/mat_vec.h"
#include "shared/mat_vec_join.h"
#include "shared/route.h"

// Without 64-bit integers: one lane per row, which a software device gathers lane by lane while it broadcasts x. Bodies
// have to stay short, since its compiler takes seconds for long ones.
static struct linear_choice choose_cpu_narrow(enum kernel kernel, uint32_t n_cols_wanted)
{
    const uint32_t cols = n_cols_wanted == 1 ? 1 : 4;
    return (struct linear_choice){
        .kernel = kernel,
        .spec = { [MAT_VEC_WG_SIZE] = 32,
                  [MAT_VEC_LANES] = 1,
                  [MAT_VEC_ROWS] = 4,
                  [MAT_VEC_COLS] = cols,
                  [MAT_VEC_OCTETS] = cols == 1 ? 2 : 1 },
        .rows_per_group = 32 * 4,
        .cols_per_group = cols,
    };
}

// With them the body is a whole group of weights, which up to eight columns share: on lavapipe more than three times as
// fast at 8 columns as the above at 4. It takes 28 KB of the processor's 32 KB for code: 4 rows of 12 columns and 6 of
// 8 are slower by nearly a half, 3 of 12 and 2 of 16 the same. At one column 8 rows are 1.08 times as fast as 4, and 12
// no faster. A workgroup is one subgroup, so that 704 rows leave no lane idle: 1.1 times as fast as four subgroups. A
// tail, or a second weight, would save a dispatch of 14 us, 1 % of a token in all: so there is one kernel for all
// products, and the rest runs by itself.
static struct linear_choice choose_cpu_wide(enum kernel kernel, const struct gpu_plan *plan, uint32_t n_cols_wanted)
{
    const uint32_t rows = n_cols_wanted == 1 ? 8 : 4, cols = n_cols_wanted == 1 ? 1 : n_cols_wanted <= 4 ? 4 : 8;
    return (struct linear_choice){
        .kernel = kernel,
        .spec = { [MAT_MUL_CPU_SUBGROUP] = plan->subgroup_size,
                  [MAT_MUL_CPU_ROWS] = rows,
                  [MAT_MUL_CPU_COLS] = cols,
                  [MAT_MUL_CPU_APART] = plan->apart && cols > 1 },
        .rows_per_group = plan->subgroup_size * rows,
        .cols_per_group = cols,
    };
}

// The most lanes per row that are still busy four fifths of the time: 704 columns are 22 groups, which would leave a
// third of 32 lanes idle.
static uint32_t lanes_per_row(uint32_t n_groups)
{
    for (uint32_t lanes = 32; lanes > 8; lanes /= 2) {
        const uint32_t n_steps = (n_groups + lanes - 1) / lanes;
        if (5 * n_groups >= 4 * n_steps * lanes)
            return lanes;
    }
    return 8;
}

// Few columns: the weight's bytes are the cost, and every lane reads 16 of them at a time. Two rows per lane share x
// where there is one column; with more, the sums of a second row no longer fit the 128 registers of Intel's older
// compilers and spill (tests/registers).
static struct linear_choice choose_gpu_few(enum kernel kernel, uint32_t n_cols, uint32_t n_cols_wanted)
{
    const uint32_t lanes = lanes_per_row(n_cols / 32);
    uint32_t cols = 1;
    while (cols < n_cols_wanted)
        cols *= 2;
    const uint32_t rows = cols == 1 ? 2 : 1;
    return (struct linear_choice){
        .kernel = kernel,
        .spec = { [MAT_VEC_WG_SIZE] = 128,
                  [MAT_VEC_LANES] = lanes,
                  [MAT_VEC_ROWS] = rows,
                  [MAT_VEC_COLS] = cols,
                  [MAT_VEC_OCTETS] = cols == 1 ? 4 : 1 },
        .rows_per_group = 128 / lanes * rows,
        .cols_per_group = cols,
    };
}

// Many columns: arithmetic is the cost, and tiles in shared memory use each decoded weight COLS times.
static struct linear_choice choose_gpu_many(enum kernel kernel, uint32_t n_cols_wanted)
{
    const uint32_t cols = n_cols_wanted <= 16 ? 16 : n_cols_wanted <= 32 ? 32 : 64;
    return (struct linear_choice){
        .kernel = kernel,
        .spec = { [MAT_MUL_COLS] = cols },
        .rows_per_group = MAT_MUL_ROWS,
        .cols_per_group = cols,
    };
}

// Many columns where the device multiplies matrices. The taller and wider the tile, the more often a decoded weight and
// a column of x are used, and the fewer workgroups there are to fill the device. No more than 64 sums to a lane fit its
// registers; subgroups of 16 lanes are Intel's, where 32 spill already (tests/registers).
static struct linear_choice choose_gpu_matrix(enum kernel kernel, const struct gpu_plan *plan, uint32_t n_cols_wanted)
{
    const bool is_narrow = plan->subgroup_size == 16;
    const uint32_t rows = n_cols_wanted <= 64 || is_narrow ? 64 : 128;
    const uint32_t cols = n_cols_wanted <= 32 ? 32 : n_cols_wanted < 1024 || is_narrow ? 64 : 128;
    const uint32_t wg_size = cols == 128 || (cols == 64 && is_narrow) ? 256 : 128;
    // The part of a subgroup is as near to a square as powers of two allow.
    const uint32_t area = rows * cols / (wg_size / plan->subgroup_size);
    uint32_t sub_rows = plan->coopmat.m;
    while (sub_rows * sub_rows < area)
        sub_rows *= 2;
    return (struct linear_choice){
        .kernel = kernel,
        .spec = { [MAT_MUL_CM_WG_SIZE] = wg_size,
                  [MAT_MUL_CM_ROWS] = rows,
                  [MAT_MUL_CM_COLS] = cols,
                  [MAT_MUL_CM_SUB_ROWS] = sub_rows,
                  [MAT_MUL_CM_SUB_COLS] = area / sub_rows,
                  [MAT_MUL_CM_M] = plan->coopmat.m,
                  [MAT_MUL_CM_N] = plan->coopmat.n,
                  [MAT_MUL_CM_K] = plan->coopmat.k },
        .rows_per_group = rows,
        .cols_per_group = cols,
    };
}

#define MAT_VEC_COLS_MAX 8

bool choose_is_wide_cpu(const struct gpu_plan *plan)
{
    return plan->cpu && plan->int64;
}

static bool multiplies_matrices(const struct gpu_plan *plan)
{
    return plan->tier == GPU_TIER_COOPMAT;
}

struct linear_choice choose_few(const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_tokens)
{
    return plan->cpu ? choose_cpu_narrow(KERNEL_MAT_VEC, n_tokens) : choose_gpu_few(KERNEL_MAT_VEC, n_cols, n_tokens);
}

struct linear_choice choose_linear(const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_tokens)
{
    if (choose_is_wide_cpu(plan))
        return choose_cpu_wide(KERNEL_MAT_MUL_CPU, plan, n_tokens);
    if (plan->cpu || n_tokens <= MAT_VEC_COLS_MAX)
        return choose_few(plan, n_cols, n_tokens);
    if (multiplies_matrices(plan))
        return choose_gpu_matrix(KERNEL_MAT_MUL_CM, plan, n_tokens);
    return choose_gpu_many(KERNEL_MAT_MUL, n_tokens);
}

bool choose_keeps_f32(enum qtype type, uint32_t n_rows)
{
    return type == QTYPE_F32 && n_rows <= ROUTE_MAX_EXPERTS;
}

struct linear_choice choose_experts(const struct gpu_plan *plan, uint32_t n_cols, uint32_t tile_pairs)
{
    if (plan->cpu)
        return plan->int64 ? choose_cpu_wide(KERNEL_MAT_MUL_CPU_EXPERTS, plan, tile_pairs)
                           : choose_cpu_narrow(KERNEL_MAT_VEC_EXPERTS, tile_pairs);
    if (tile_pairs <= MAT_VEC_COLS_MAX)
        return choose_gpu_few(KERNEL_MAT_VEC_EXPERTS, n_cols, tile_pairs);
    if (multiplies_matrices(plan))
        return choose_gpu_matrix(KERNEL_MAT_MUL_CM_EXPERTS, plan, tile_pairs);
    return choose_gpu_many(KERNEL_MAT_MUL_EXPERTS, tile_pairs);
}

bool choose_tail(const struct gpu_plan *plan, uint32_t n_tokens)
{
    return !choose_is_wide_cpu(plan) && n_tokens <= MAT_VEC_COLS_MAX;
}

// Half of a lane's rows are of the second weight.
static struct linear_choice gated(struct linear_choice choice)
{
    choice.spec[MAT_VEC_PAIRED] = true;
    choice.rows_per_group /= 2;
    return choice;
}

bool choose_gated(struct linear_choice *out, const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_tokens)
{
    // On a GPU a lane has two rows at one column only.
    if (choose_is_wide_cpu(plan) || n_tokens > (plan->cpu ? MAT_VEC_COLS_MAX : 1))
        return false;
    *out = gated(choose_few(plan, n_cols, n_tokens));
    return true;
}

bool choose_direct(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    return plan->apart || choose_plan_tile_pairs(plan, n_tokens, n_experts, n_used) == 1;
}

struct linear_choice choose_pairs(const struct gpu_plan *plan, uint32_t n_cols, bool is_gated)
{
    if (choose_is_wide_cpu(plan)) {
        struct linear_choice wide = choose_cpu_wide(KERNEL_MAT_MUL_CPU_EXPERTS, plan, 1);
        wide.spec[MAT_MUL_CPU_DIRECT] = true;
        return wide;
    }
    struct linear_choice choice = choose_few(plan, n_cols, 1);
    choice.kernel = KERNEL_MAT_VEC_EXPERTS;
    choice.spec[MAT_VEC_DIRECT] = true;
    return is_gated ? gated(choice) : choice;
}

struct linear_choice choose_join(const struct gpu_plan *plan, uint32_t n_cols, uint32_t n_used)
{
    // A row of an expert is short, and there are few rows: on a GPU four sets of lanes share the ranks.
    const uint32_t parts = plan->cpu || n_used < 4 ? 1 : 4;
    struct linear_choice choice = choose_few(plan, n_cols, 1);
    const uint32_t wg_size = choice.spec[MAT_VEC_WG_SIZE];
    choice.kernel = KERNEL_MAT_VEC_JOIN;
    choice.spec[MAT_VEC_JOIN_PARTS] = parts;
    choice.rows_per_group = wg_size / choice.spec[MAT_VEC_LANES] / parts * choice.spec[MAT_VEC_ROWS];
    return choice;
}

uint32_t choose_plan_tile_pairs(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    // A tile that is not full computes its columns all the same, so tiles grow with the pairs an expert can expect.
    const uint32_t n_pairs = n_tokens * n_used;
    if (n_pairs <= n_experts)
        return 1;
    if (n_pairs < 4 * n_experts || (plan->cpu && !plan->int64))
        return 4;
    if (plan->cpu)
        return 8;
    // Matrices cost little where columns are missing, and the weights of an expert are decoded once per tile.
    if (multiplies_matrices(plan))
        return n_pairs < 16 * n_experts ? 32 : 64;
    if (n_pairs < 12 * n_experts)
        return 8;
    return n_pairs < 24 * n_experts ? 16 : 32;
}

uint32_t choose_plan_n_tiles(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    const uint32_t n_pairs = n_tokens * n_used;
    const uint32_t n_tiles = n_pairs / choose_plan_tile_pairs(plan, n_tokens, n_experts, n_used) + n_experts;
    return n_tiles < n_pairs ? n_tiles : n_pairs;
}

uint32_t choose_tile_pairs(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    return choose_plan_tile_pairs(gpu_device_plan(device), n_tokens, n_experts, n_used);
}

uint32_t choose_n_tiles(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    return choose_plan_n_tiles(gpu_device_plan(device), n_tokens, n_experts, n_used);
}
