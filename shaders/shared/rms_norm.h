// shared/rms_norm.h -- the signature of rms_norm.comp.
#ifndef SHARED_RMS_NORM_H
#define SHARED_RMS_NORM_H
#include "shared/params.h"

#define RMS_NORM_X 0 // f32 [n_rows][n_cols], read
#define RMS_NORM_W 1 // f32 [n_cols], read when HAS_WEIGHT
#define RMS_NORM_Y 2 // f32 [n_rows][n_cols], written
#define RMS_NORM_N_BUFFERS 3

#define RMS_NORM_WG_SIZE 0 // spec constant ids
#define RMS_NORM_HAS_WEIGHT 1
#define RMS_NORM_N_SPEC 2

struct rms_norm_params {
    uint32_t n_cols; // elements per row, a multiple of 4
    float eps;       // added to the mean square
};
PARAMS_SIZE(rms_norm_params, 8);
#endif
