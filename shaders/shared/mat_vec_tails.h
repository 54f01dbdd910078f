// shared/mat_vec_tails.h -- the signatures of mat_vec.comp with a step as its tail.
#ifndef SHARED_MAT_VEC_TAILS_H
#define SHARED_MAT_VEC_TAILS_H
#include "shared/add_norm.h"
#include "shared/heads.h"
#include "shared/mat_vec.h"
#include "shared/route.h"

#define MAT_VEC_COUNTERS 2 // u32 [columns of workgroups][units], zero before and after
#define MAT_VEC_STEP 3     // the first of the step's bindings
#define MAT_VEC_N_BUFFERS_ADD_NORM (MAT_VEC_STEP + ADD_NORM_N_BUFFERS)
#define MAT_VEC_N_BUFFERS_HEADS (MAT_VEC_STEP + HEADS_N_BUFFERS)
#define MAT_VEC_N_BUFFERS_ROUTE (MAT_VEC_STEP + ROUTE_N_BUFFERS)

#define MAT_VEC_STEP_SPEC MAT_VEC_N_SPEC // the first of the step's specialisation ids

// A unit is a run of rows that a step can work on alone: some heads, or all rows.
struct mat_vec_tail_params {
    uint32_t n_groups;        // workgroups along the rows
    uint32_t groups_per_unit; // of them, a unit each; the last unit may have fewer
    uint32_t rows_per_unit;
};
PARAMS_SIZE(mat_vec_tail_params, 12);

struct mat_vec_add_norm_params {
    PARAMS_OF(mat_vec_params) product;
    PARAMS_OF(mat_vec_tail_params) tail;
    PARAMS_OF(add_norm_params) step;
};
PARAMS_SIZE(mat_vec_add_norm_params, 68);

struct mat_vec_heads_params {
    PARAMS_OF(mat_vec_params) product;
    PARAMS_OF(mat_vec_tail_params) tail;
    PARAMS_OF(heads_params) step;
};
PARAMS_SIZE(mat_vec_heads_params, 88);

struct mat_vec_route_params {
    PARAMS_OF(mat_vec_params) product;
    PARAMS_OF(mat_vec_tail_params) tail;
    PARAMS_OF(route_params) step;
};
PARAMS_SIZE(mat_vec_route_params, 68);
#endif
