// shared/heads.h -- the signature of lib/heads.glsl and of heads.comp, which runs it alone.
#ifndef SHARED_HEADS_H
#define SHARED_HEADS_H
#include "shared/params.h"

#define HEADS_X 0    // f32 [n_tokens][n_heads][head_size], read
#define HEADS_W 1    // f32 [head_size], read when TURNED
#define HEADS_ROPE 2 // f32x2 [2][512][n_pairs], read when TURNED
#define HEADS_STEP 3 // u32 [4], read
#define HEADS_OUT 4  // f32 rows, or words of a cache when CACHED, written
#define HEADS_OUT2 5 // the same, written when BOTH
#define HEADS_N_BUFFERS 6

#define HEADS_TURNED 0 // spec constants, counted from the step's first: with weight and rotation
#define HEADS_CACHED 1 // out has a row per slot of a cache, not per token
#define HEADS_F16 2    // out holds halves
#define HEADS_BOTH 3   // also the row before weight and rotation
#define HEADS_N_SPEC 4

struct heads_params {
    uint32_t n_heads;
    uint32_t head_size;    // a multiple of 4
    uint32_t n_pairs;      // pairs that rotate, 1 .. head_size / 2
    uint32_t n_slots;      // of the whole cache: a position's slot is its rest
    uint32_t first_slot;   // the bound window of the cache begins here ...
    uint32_t window_slots; // ... and has this many slots; others are left alone
    float eps;             // added to the mean square
};
PARAMS_SIZE(heads_params, 28);

struct heads_alone_params { // of heads.comp
    PARAMS_OF(heads_params) step;
    uint32_t n_items;   // n_tokens * n_heads
    uint32_t per_group; // items per workgroup
};
PARAMS_SIZE(heads_alone_params, 36);
#endif
