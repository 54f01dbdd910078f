// shared/route.h -- the signature of lib/route.glsl and of route.comp, which runs it alone.
#ifndef SHARED_ROUTE_H
#define SHARED_ROUTE_H
#include "shared/params.h"

#define ROUTE_LOGITS 0  // f32 [n_tokens][n_experts], read
#define ROUTE_SCALE 1   // f32 [n_experts], read when HAS_SCALE
#define ROUTE_IDS 2     // u32 [n_tokens][n_used], written
#define ROUTE_WEIGHTS 3 // f32 [n_tokens][n_used], written
#define ROUTE_N_BUFFERS 4

#define ROUTE_HAS_SCALE 0 // spec constants, counted from the step's first
#define ROUTE_N_SPEC 1

#define ROUTE_MAX_EXPERTS 256
#define ROUTE_MAX_USED 16

struct route_params {
    uint32_t n_experts; // at most ROUTE_MAX_EXPERTS
    uint32_t n_used;    // at most n_experts and ROUTE_MAX_USED
};
PARAMS_SIZE(route_params, 8);

struct route_alone_params { // of route.comp
    PARAMS_OF(route_params) step;
    uint32_t n_tokens;
    uint32_t per_group; // tokens per workgroup
};
PARAMS_SIZE(route_alone_params, 16);
#endif
