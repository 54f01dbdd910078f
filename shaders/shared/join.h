// shared/join.h -- the signature of lib/join.glsl and of join.comp, which runs it alone.
#ifndef SHARED_JOIN_H
#define SHARED_JOIN_H
#include "shared/params.h"

#define JOIN_X 0         // f32 [n_tokens][n_cols], read: the weighted sum of the experts
#define JOIN_R 1         // f32 [n_tokens][n_cols], read
#define JOIN_DENSE 2     // f32 [n_tokens][n_cols], read
#define JOIN_W_DENSE 3   // f32 [n_cols], read
#define JOIN_W_EXPERTS 4 // f32 [n_cols], read
#define JOIN_W_OUT 5     // f32 [n_cols], read
#define JOIN_SCALE 6     // f32 [1], read when HAS_SCALE
#define JOIN_W_NEXT 7    // f32 [n_cols], read when HAS_NEXT
#define JOIN_Y 8         // f32 [n_tokens][n_cols], written
#define JOIN_NEXT 9      // f32 [n_tokens][n_cols], written when HAS_NEXT
#define JOIN_N_BUFFERS 10

#define JOIN_HAS_SCALE 0 // spec constants, counted from the step's first
#define JOIN_HAS_NEXT 1
#define JOIN_N_SPEC 2

struct join_params {
    uint32_t n_cols; // elements per row, a multiple of 4
    float eps;       // added to every mean square
};
PARAMS_SIZE(join_params, 8);
#endif
