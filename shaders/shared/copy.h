// shared/copy.h -- the signature of copy.comp.
#ifndef SHARED_COPY_H
#define SHARED_COPY_H
#include "shared/params.h"

#define COPY_X 0 // u32x4 [n], read
#define COPY_Y 1 // u32x4 [n], written
#define COPY_N_BUFFERS 2

#define COPY_WG_SIZE 0 // spec constant id
#define COPY_N_SPEC 1

struct copy_params {
    uint32_t n;         // elements of 16 bytes
    uint32_t per_group; // elements per workgroup
};
PARAMS_SIZE(copy_params, 8);
#endif
