// shared/softcap.h -- the signature of softcap.comp.
#ifndef SHARED_SOFTCAP_H
#define SHARED_SOFTCAP_H
#include "shared/params.h"

#define SOFTCAP_X 0 // f32 [n], read
#define SOFTCAP_Y 1 // f32 [n], written
#define SOFTCAP_N_BUFFERS 2

#define SOFTCAP_WG_SIZE 0 // spec constant id
#define SOFTCAP_N_SPEC 1

struct softcap_params {
    uint32_t n;         // elements
    uint32_t per_group; // elements per workgroup
    float cap;
};
PARAMS_SIZE(softcap_params, 12);
#endif
