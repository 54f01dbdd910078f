// shared/route_sort.h -- the signature of route_sort.comp.
#ifndef SHARED_ROUTE_SORT_H
#define SHARED_ROUTE_SORT_H
#include "shared/params.h"

#define ROUTE_SORT_IDS 0   // u32 [n_pairs], read: the expert of each pair
#define ROUTE_SORT_ORDER 1 // u32 [n_pairs], written
#define ROUTE_SORT_TILES 2 // u32x4 [n_tiles], written
#define ROUTE_SORT_N_BUFFERS 3

#define ROUTE_SORT_WG_SIZE 0 // spec constant id
#define ROUTE_SORT_N_SPEC 1

#define ROUTE_SORT_MAX_EXPERTS 256

struct route_sort_params {
    uint32_t n_pairs;
    uint32_t n_experts;  // at most ROUTE_SORT_MAX_EXPERTS
    uint32_t n_tiles;    // at least as many as can occur; all are written
    uint32_t tile_pairs; // pairs per tile at most
};
PARAMS_SIZE(route_sort_params, 16);
#endif
