// shared/add_norm.h -- the signature of lib/add_norm.glsl and of add_norm.comp, which runs it alone.
#ifndef SHARED_ADD_NORM_H
#define SHARED_ADD_NORM_H
#include "shared/params.h"

#define ADD_NORM_X 0     // f32 [n_rows][n_cols], read
#define ADD_NORM_R 1     // f32 [n_rows][n_cols], read
#define ADD_NORM_W 2     // f32 [n_cols], read
#define ADD_NORM_SCALE 3 // f32 [1], read when HAS_SCALE
#define ADD_NORM_W1 4    // f32 [n_cols] each, read when there are so many norms
#define ADD_NORM_W2 5
#define ADD_NORM_W3 6
#define ADD_NORM_Y 7  // f32 [n_rows][n_cols], written
#define ADD_NORM_N1 8 // f32 [n_rows][n_cols] each, written when there are so many norms
#define ADD_NORM_N2 9
#define ADD_NORM_N3 10
#define ADD_NORM_N_BUFFERS 11

#define ADD_NORM_HAS_SCALE 0 // spec constants, counted from the step's first
#define ADD_NORM_N_NORMS 1   // 0 .. 3
#define ADD_NORM_N_SPEC 2

struct add_norm_params {
    uint32_t n_cols; // elements per row, a multiple of 4
    float eps;       // added to every mean square
};
PARAMS_SIZE(add_norm_params, 8);
#endif
