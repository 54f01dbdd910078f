// shared/head_norm.h -- the signature of head_norm.comp.
#ifndef SHARED_HEAD_NORM_H
#define SHARED_HEAD_NORM_H
#include "shared/params.h"

#define HEAD_NORM_X 0    // f32 [n_tokens][n_heads][head_size], read
#define HEAD_NORM_W 1    // f32 [head_size], read
#define HEAD_NORM_ROPE 2 // f32x2 [2][512][n_pairs], read
#define HEAD_NORM_STEP 3 // u32 [4], read
#define HEAD_NORM_Y 4    // f32 [n_tokens][n_heads][head_size], written
#define HEAD_NORM_N_BUFFERS 5

#define HEAD_NORM_WG_SIZE 0 // spec constant id
#define HEAD_NORM_N_SPEC 1

struct head_norm_params {
    uint32_t n_items; // n_tokens * n_heads
    uint32_t n_heads;
    uint32_t head_size; // even
    uint32_t n_pairs;   // pairs that rotate, at most head_size / 2
    uint32_t per_group; // heads per workgroup
    float eps;
};
PARAMS_SIZE(head_norm_params, 24);
#endif
