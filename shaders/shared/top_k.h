// shared/top_k.h -- the signature of top_k.comp.
#ifndef SHARED_TOP_K_H
#define SHARED_TOP_K_H
#include "shared/params.h"

#define TOP_K_X 0      // f32 [n_rows][n_cols], read
#define TOP_K_X_IDS 1  // u32 [n_rows][n_cols], read when HAS_IDS: the id of each element
#define TOP_K_IDS 2    // u32 [n_rows][n_chunks][k], written
#define TOP_K_VALUES 3 // f32 [n_rows][n_chunks][k], written
#define TOP_K_COUNTS 4 // u32 [n_cols], read when HAS_COUNTS: how often each column's token is among the last ones
#define TOP_K_N_BUFFERS 5

#define TOP_K_WG_SIZE 0 // spec constant ids
#define TOP_K_HAS_IDS 1
#define TOP_K_HAS_COUNTS 2
#define TOP_K_N_SPEC 3

#define TOP_K_NONE 0xFFFFFFFFu // id of a place that no element fills

struct top_k_params {
    uint32_t n_cols;
    uint32_t chunk; // columns per workgroup
    uint32_t n_chunks;
    uint32_t k;
    float repeat, presence, frequency; // penalties, with HAS_COUNTS
};
PARAMS_SIZE(top_k_params, 28);
#endif
