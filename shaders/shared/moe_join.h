// shared/moe_join.h -- the signature of moe_join.comp.
#ifndef SHARED_MOE_JOIN_H
#define SHARED_MOE_JOIN_H
#include "shared/params.h"

#define MOE_JOIN_R 0         // f32 [n_tokens][n_cols], read
#define MOE_JOIN_DENSE 1     // f32 [n_tokens][n_cols], read
#define MOE_JOIN_EXPERTS 2   // f32 [n_tokens][n_used][n_cols], read
#define MOE_JOIN_WEIGHTS 3   // f32 [n_tokens][n_used], read
#define MOE_JOIN_W_DENSE 4   // f32 [n_cols], read
#define MOE_JOIN_W_EXPERTS 5 // f32 [n_cols], read
#define MOE_JOIN_W_OUT 6     // f32 [n_cols], read
#define MOE_JOIN_SCALE 7     // f32 [1], read when HAS_SCALE
#define MOE_JOIN_Y 8         // f32 [n_tokens][n_cols], written
#define MOE_JOIN_N_BUFFERS 9

#define MOE_JOIN_WG_SIZE 0 // spec constant ids
#define MOE_JOIN_HAS_SCALE 1
#define MOE_JOIN_N_COLS 2 // a multiple of 4; as many floats of shared memory
#define MOE_JOIN_N_SPEC 3

struct moe_join_params {
    uint32_t n_used;
    float eps;
};
PARAMS_SIZE(moe_join_params, 8);
#endif
