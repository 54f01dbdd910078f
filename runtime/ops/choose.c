// ops/choose.c -- see choose.h. Every clause says what was measured.
#include "ops/choose.h"

#include <assert.h>

#include "shared/mat_vec.h"

// One lane per row: a software device gathers loads lane by lane but broadcasts x in one instruction. Two rows per lane
// share each x; eight columns share each weight. Longer bodies lose more to spills than they save, and cost seconds in
// the driver's compiler.
static struct linear_choice choose_cpu(enum kernel kernel, uint32_t n_cols_wanted)
{
    const uint32_t cols = n_cols_wanted == 1 ? 1 : n_cols_wanted <= 4 ? 4 : 8;
    const uint32_t rows = cols == 4 ? 4 : 2;
    return (struct linear_choice){
        .kernel = kernel,
        .spec = { [MAT_VEC_WG_SIZE] = 32,
                  [MAT_VEC_LANES] = 1,
                  [MAT_VEC_ROWS] = rows,
                  [MAT_VEC_COLS] = cols,
                  [MAT_VEC_OCTETS] = 1 },
        .rows_per_group = 32 * rows,
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

static struct linear_choice choose_gpu(enum kernel kernel, uint32_t n_cols, uint32_t n_cols_wanted)
{
    const uint32_t lanes = lanes_per_row(n_cols / 32);
    uint32_t cols = 1;
    while (cols < n_cols_wanted && cols < 8)
        cols *= 2;
    return (struct linear_choice){
        .kernel = kernel,
        .spec = { [MAT_VEC_WG_SIZE] = 128,
                  [MAT_VEC_LANES] = lanes,
                  [MAT_VEC_ROWS] = 2,
                  [MAT_VEC_COLS] = cols,
                  [MAT_VEC_OCTETS] = cols <= 2 ? 4 : 1 },
        .rows_per_group = 128 / lanes * 2,
        .cols_per_group = cols,
    };
}

struct linear_choice choose_linear(const struct gpu_plan *plan, uint32_t n_rows, uint32_t n_cols, uint32_t n_tokens)
{
    (void)n_rows;
    return plan->cpu ? choose_cpu(KERNEL_MAT_VEC, n_tokens) : choose_gpu(KERNEL_MAT_VEC, n_cols, n_tokens);
}

struct linear_choice choose_experts(const struct gpu_plan *plan, uint32_t n_rows, uint32_t n_cols, uint32_t tile_pairs)
{
    (void)n_rows;
    const struct linear_choice choice = plan->cpu ? choose_cpu(KERNEL_MAT_VEC_EXPERTS, tile_pairs)
                                                  : choose_gpu(KERNEL_MAT_VEC_EXPERTS, n_cols, tile_pairs);
    assert(choice.cols_per_group == tile_pairs);
    return choice;
}

uint32_t choose_tile_pairs(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    (void)device;
    // A tile that is not full computes its first columns again, so tiles grow with the pairs an expert can expect.
    const uint32_t n_pairs = n_tokens * n_used;
    return n_pairs <= n_experts ? 1 : n_pairs < 4 * n_experts ? 4 : 8;
}

uint32_t choose_n_tiles(const struct gpu_device *device, uint32_t n_tokens, uint32_t n_experts, uint32_t n_used)
{
    const uint32_t n_pairs = n_tokens * n_used;
    const uint32_t n_tiles = n_pairs / choose_tile_pairs(device, n_tokens, n_experts, n_used) + n_experts;
    return n_tiles < n_pairs ? n_tiles : n_pairs;
}
