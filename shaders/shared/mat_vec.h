// shared/mat_vec.h -- the signature of mat_vec.comp.
#ifndef SHARED_MAT_VEC_H
#define SHARED_MAT_VEC_H
#include "params.h"

#define MAT_VEC_X 0 // f32 [..][x_stride], read
#define MAT_VEC_Y 1 // f32 [..][y_stride], written
#define MAT_VEC_ORDER \
    2 // experts only: u32 [n_pairs], pairs sorted by expert, read; when DIRECT the experts of the pairs
#define MAT_VEC_TILES 3   // experts only: u32x4 [n_tiles], read
#define MAT_VEC_PLANES 4  // experts only: u32x2 [n_experts], device addresses, read
#define MAT_VEC_PLANES2 5 // the same of the second weight, read when PAIRED
#define MAT_VEC_N_BUFFERS 2
#define MAT_VEC_N_BUFFERS_EXPERTS 6

#define MAT_VEC_WG_SIZE 0 // specialisation ids
#define MAT_VEC_LANES 1   // lanes that share a row: 1, or a power of two up to WG_SIZE
#define MAT_VEC_ROWS 2    // rows per lane
#define MAT_VEC_COLS 3    // columns of x, or pairs of a tile, per workgroup
#define MAT_VEC_OCTETS 4  // octets of weights per step: 1, 2 or 4; more is longer code
#define MAT_VEC_PAIRED 5  // y = gelu(W x) * (W2 x); half of a lane's rows are of W2, so ROWS is even
#define MAT_VEC_DIRECT 6  // experts only: a workgroup per pair, whose expert is in ORDER; there are no tiles
#define MAT_VEC_N_SPEC 7  // ids 0 .. 4 belong to lib/row_product.glsl

struct mat_vec_params {
    uint32_t w_low, w_high;   // device address of the first row; experts: w_low bytes from a plane's first row to it
    uint32_t w2_low, w2_high; // of the second weight, when PAIRED
    uint32_t row_bytes;       // bytes between rows of the weight
    uint32_t n_rows;          // of the weight, in this segment or slab
    uint32_t n_groups;        // columns of the weight / 32
    uint32_t n_tokens;        // rows of x; unused with experts
    uint32_t x_stride;        // elements between rows of x, a multiple of 4
    uint32_t y_stride;        // elements between rows of y
    uint32_t y_offset;        // element of a row of y that belongs to the first row of the weight
    uint32_t x_divisor;       // experts only: row of x = pair / x_divisor
};
PARAMS_SIZE(mat_vec_params, 48);
#endif
