// ops/check_tails.h -- checks of products that go on with a step. Private to the room and its tests.
#ifndef OPS_CHECK_TAILS_H
#define OPS_CHECK_TAILS_H

#include "ops/check.h"

struct check_tail {
    enum qtype type;
    uint32_t n_rows, n_cols, n_tokens;
    uint32_t n_norms;   // of add_norm
    bool has_scale;     // of add_norm, route and join
    uint32_t n_experts; // of gated experts and join; 0: a gated product without experts
    uint32_t n_used;    // of route, gated experts and join
    bool like_gpu;      // the kernels that a GPU would get
};
check_fn check_linear_add_norm, check_linear_route, check_gated, check_experts_join;

struct check_linear_heads {
    enum qtype type;
    enum op_heads_to to;
    uint32_t n_heads, head_size, n_pairs, n_cols, n_tokens, first_position;
    enum op_cache_type cache;
    bool like_gpu;
};
check_fn check_linear_heads;

#endif
