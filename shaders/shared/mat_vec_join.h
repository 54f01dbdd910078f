// shared/mat_vec_join.h -- the signature of mat_vec_join.comp; what it shares with mat_vec.comp is named there.
#ifndef SHARED_MAT_VEC_JOIN_H
#define SHARED_MAT_VEC_JOIN_H
#include "shared/join.h"
#include "shared/mat_vec.h"

#define MAT_VEC_JOIN_IDS 2      // u32 [n_tokens][n_used], read
#define MAT_VEC_JOIN_WEIGHTS 3  // f32 [n_tokens][n_used], read
#define MAT_VEC_JOIN_PLANES 4   // u32x2 [n_experts], device addresses, read
#define MAT_VEC_JOIN_COUNTERS 5 // u32 [n_tokens], zero before and after
#define MAT_VEC_JOIN_STEP 6     // the first of the step's bindings
#define MAT_VEC_JOIN_N_BUFFERS (MAT_VEC_JOIN_STEP + JOIN_N_BUFFERS)

#define MAT_VEC_JOIN_PARTS 5 // spec id, after those of the inner product: sets of lanes that share the ranks of a row
#define MAT_VEC_JOIN_STEP_SPEC 6 // the first of the step's
#define MAT_VEC_JOIN_N_SPEC (MAT_VEC_JOIN_STEP_SPEC + JOIN_N_SPEC)

struct mat_vec_join_params {
    uint32_t row_bytes;    // bytes between rows of the weight
    uint32_t n_rows;       // of the weight
    uint32_t n_groups;     // columns of the weight / 32
    uint32_t n_used;       // ranks
    uint32_t n_workgroups; // along the rows
};
PARAMS_SIZE(mat_vec_join_params, 20);

struct mat_vec_join_all_params {
    PARAMS_OF(mat_vec_join_params) product;
    PARAMS_OF(join_params) step;
};
PARAMS_SIZE(mat_vec_join_all_params, 28);
#endif
