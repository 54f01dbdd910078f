// shared/pair_sum.h -- the signature of pair_sum.comp.
#ifndef SHARED_PAIR_SUM_H
#define SHARED_PAIR_SUM_H
#include "shared/params.h"

#define PAIR_SUM_PAIRS 0   // f32 [n_tokens][n_used][n_cols], read
#define PAIR_SUM_WEIGHTS 1 // f32 [n_tokens][n_used], read
#define PAIR_SUM_M 2       // f32 [n_tokens][m_stride], written
#define PAIR_SUM_N_BUFFERS 3

#define PAIR_SUM_WG_SIZE 0 // spec constant id
#define PAIR_SUM_N_SPEC 1

struct pair_sum_params {
    uint32_t n_cols; // of pairs, a multiple of 4
    uint32_t n_used;
    uint32_t n_fours;            // n_tokens * n_cols / 4
    uint32_t m_stride, m_offset; // elements, multiples of 4
    uint32_t per_group;          // fours per workgroup
};
PARAMS_SIZE(pair_sum_params, 24);
#endif
