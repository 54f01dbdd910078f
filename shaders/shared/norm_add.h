// shared/norm_add.h -- the signature of norm_add.comp.
#ifndef SHARED_NORM_ADD_H
#define SHARED_NORM_ADD_H
#include "shared/params.h"

#define NORM_ADD_R 0     // f32 [n_rows][n_cols], read
#define NORM_ADD_X 1     // f32 [n_rows][n_cols], read
#define NORM_ADD_W 2     // f32 [n_cols], read
#define NORM_ADD_SCALE 3 // f32 [1], read when HAS_SCALE
#define NORM_ADD_Y 4     // f32 [n_rows][n_cols], written
#define NORM_ADD_N_BUFFERS 5

#define NORM_ADD_WG_SIZE 0 // spec constant ids
#define NORM_ADD_HAS_SCALE 1
#define NORM_ADD_N_SPEC 2

struct norm_add_params {
    uint32_t n_cols; // elements per row, a multiple of 4
    float eps;       // added to the mean square
};
PARAMS_SIZE(norm_add_params, 8);
#endif
