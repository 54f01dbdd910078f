// shared/mat_mul_cpu.h -- the signature of mat_mul_cpu.comp. Operands are those of mat_mul.comp.
#ifndef SHARED_MAT_MUL_CPU_H
#define SHARED_MAT_MUL_CPU_H
#include "claim.h"
#include "mat_mul.h"

#define MAT_MUL_CPU_SUBGROUP 0 // specialisation ids: lanes of a subgroup, which is the workgroup; 4 or more
#define MAT_MUL_CPU_ROWS 1     // rows per lane
#define MAT_MUL_CPU_COLS 2     // columns of x, or pairs of a tile of experts, at a time
#define MAT_MUL_CPU_APART 3    // several columns: each gets the bits that it has with COLS = 1
#define MAT_MUL_CPU_DIRECT 4   // experts only, COLS = 1: a tile per pair, as in mat_vec.comp
#define MAT_MUL_CPU_N_SPEC 5

struct mat_mul_cpu_params {
    PARAMS_OF(mat_vec_params) product;
    uint32_t x_low, x_high; // device address of x
    PARAMS_OF(claim_params) claim;
};
PARAMS_SIZE(mat_mul_cpu_params, 80);
#endif
