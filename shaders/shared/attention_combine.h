// shared/attention_combine.h -- the signature of attention_combine.comp.
#ifndef SHARED_ATTENTION_COMBINE_H
#define SHARED_ATTENTION_COMBINE_H
#include "shared/params.h"

#define ATTENTION_COMBINE_PARTS 0 // f32 [n_splits][n_rows][head_size + 2], read; see shared/attention.h
#define ATTENTION_COMBINE_Y 1     // f32 [n_rows][head_size], written
#define ATTENTION_COMBINE_N_BUFFERS 2

#define ATTENTION_COMBINE_WG_SIZE 0 // spec constant id
#define ATTENTION_COMBINE_N_SPEC 1

struct attention_combine_params {
    uint32_t n_rows; // tokens times heads
    uint32_t head_size;
    uint32_t n_splits;
    uint32_t per_group; // rows per workgroup
};
PARAMS_SIZE(attention_combine_params, 16);
#endif
