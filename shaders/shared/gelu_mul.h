// shared/gelu_mul.h -- the signature of gelu_mul.comp.
#ifndef SHARED_GELU_MUL_H
#define SHARED_GELU_MUL_H
#include "shared/params.h"

#define GELU_MUL_GU 0 // f32 [n_rows][2 * n_cols], read; the gate comes first
#define GELU_MUL_Y 1  // f32 [n_rows][n_cols], written
#define GELU_MUL_N_BUFFERS 2

#define GELU_MUL_WG_SIZE 0 // spec constant id
#define GELU_MUL_N_SPEC 1

struct gelu_mul_params {
    uint32_t n_cols;    // a multiple of 4
    uint32_t n_fours;   // n_rows * n_cols / 4
    uint32_t per_group; // fours per workgroup
};
PARAMS_SIZE(gelu_mul_params, 12);
#endif
