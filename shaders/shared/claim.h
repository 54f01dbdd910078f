// shared/claim.h -- the last parameters of a kernel whose workgroups claim their tiles (lib/claim.glsl). The recorder
// fills them: they are struct gpu_claim.
#ifndef SHARED_CLAIM_H
#define SHARED_CLAIM_H
#include "params.h"

struct claim_params {
    uint32_t counter_low, counter_high; // device address of a u32 that is 0 before and after
    uint32_t first_x, first_y;          // the slice of the grid to be made
    uint32_t n_x;                       // its width
    uint32_t n_tiles;                   // of the slice
};
PARAMS_SIZE(claim_params, 24);
#endif
