// mat_vec.comp -- y[t][r] = sum over c of W[r][c] x[t][c], up to COLS columns t per workgroup.
//
//   W      one of the weight formats, rows at w + r * row_bytes (device address), read
//   x      f32 [n_tokens][x_stride]   read
//   y      f32 [n_tokens][y_stride]   written at y_offset + r
//   PAIRED: y = gelu(W x) * (W2 x), of two weights alike in format and shape
//   -DEXPERTS: the columns are the pairs of tile gl_WorkGroupID.y and W is the plane of the tile's expert; DIRECT: the
//              column is pair gl_WorkGroupID.y
//   -DTAIL_ADD_NORM, -DTAIL_HEADS, -DTAIL_ROUTE: a step on the finished rows follows; see lib/tail.glsl
//
//   dispatch   (n_rows / rows per workgroup, n_tokens / COLS or n_tiles or n_pairs, 1), rounded up;
//              rows per workgroup = WG_SIZE / LANES * ROWS, half as many when PAIRED
//   requires   32 columns per group, x_stride a multiple of 4, WG_SIZE a multiple of LANES and of the subgroup size
//   precision  f32 sums in groups of 8
//   cost       W once per COLS columns. LANES > 1 reads consecutive groups in consecutive lanes, as GPUs like it.
//              LANES = 1 gives each lane a row of its own: no reduction, and x reaches all lanes by broadcasts, which
//              software devices do in one instruction while they gather loads lane by lane.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/mat_vec_tails.h"
#include "lib/gelu.glsl"
#if defined(TAIL_ADD_NORM) || defined(TAIL_HEADS) || defined(TAIL_ROUTE)
#define TAIL
#endif

layout(local_size_x_id = MAT_VEC_WG_SIZE) in; // before anything that asks for gl_WorkGroupSize
#include "lib/row_product.glsl"

layout(constant_id = MAT_VEC_PAIRED) const bool PAIRED = false;
layout(constant_id = MAT_VEC_DIRECT) const bool DIRECT = false;
const uint Y_ROWS = PAIRED ? ROWS / 2 : ROWS; // rows of y per lane

#ifdef TAIL
layout(binding = MAT_VEC_Y, std430) coherent writeonly buffer Y {
    float y[];
};
#else
layout(binding = MAT_VEC_Y, std430) writeonly buffer Y {
    float y[];
};
#endif
#ifdef EXPERTS
layout(binding = MAT_VEC_ORDER, std430) readonly buffer Order {
    uint order[];
};
layout(binding = MAT_VEC_TILES, std430) readonly buffer Tiles {
    uvec4 tiles[];
};
layout(binding = MAT_VEC_PLANES, std430) readonly buffer Planes {
    uvec2 planes[];
};
layout(binding = MAT_VEC_PLANES2, std430) readonly buffer Planes2 {
    uvec2 planes2[];
};
#endif
#ifdef TAIL
#define STEP_BINDING MAT_VEC_STEP
#define STEP_SPEC MAT_VEC_STEP_SPEC
#define STEP_INPUT coherent readonly
#define TAIL_COUNTERS MAT_VEC_COUNTERS
#endif
#if defined(TAIL_ADD_NORM)
layout(push_constant) uniform Params { mat_vec_add_norm_params p; };
#include "lib/add_norm.glsl"
#elif defined(TAIL_HEADS)
layout(push_constant) uniform Params { mat_vec_heads_params p; };
#include "lib/heads.glsl"
#elif defined(TAIL_ROUTE)
layout(push_constant) uniform Params { mat_vec_route_params p; };
#include "lib/route.glsl"
#else
layout(push_constant) uniform Params {
    mat_vec_params product;
} p;
#endif
#ifdef TAIL
#include "lib/tail.glsl"
#endif

// Steps on rows that are finished with this workgroup, for its columns of x.
#ifdef TAIL
void tail(uint first_token, uint n_tokens)
{
    const uint unit = gl_WorkGroupID.x / p.tail.groups_per_unit;
    const uint n_units = (p.tail.n_groups + p.tail.groups_per_unit - 1) / p.tail.groups_per_unit;
    const uint n_peers = min(p.tail.n_groups - unit * p.tail.groups_per_unit, p.tail.groups_per_unit);
    if (!comes_last(gl_WorkGroupID.y * n_units + unit, n_peers))
        return;
    [[dont_unroll]] for (uint token = first_token; token < first_token + n_tokens; ++token) {
#ifdef TAIL_HEADS
        const uint first_row = unit * p.tail.rows_per_unit;
        const uint end_row = min(first_row + p.tail.rows_per_unit, p.product.n_rows);
        [[dont_unroll]] for (uint row = first_row; row < end_row; row += p.step.head_size)
            step_head(token, row / p.step.head_size);
#else
        step_row(token);
#endif
    }
}
#endif

void main()
{
    uvec2 w = uvec2(p.product.w_low, p.product.w_high), w2 = uvec2(p.product.w2_low, p.product.w2_high);
#ifdef EXPERTS
    uvec4 tile;
    if (DIRECT)
        tile = uvec4(order[gl_WorkGroupID.y], 0, 1, 0);
    else
        tile = tiles[gl_WorkGroupID.y];
    const uint n_cols = min(tile.z, COLS);
    if (n_cols == 0)
        return;
    w = address_plus(planes[tile.x], p.product.w_low);
    w2 = address_plus(planes2[tile.x], p.product.w_low);
    for (uint t = 0; t < COLS; ++t) {
        const uint pair = DIRECT ? gl_WorkGroupID.y : order[tile.y + min(t, n_cols - 1)];
        x_at[t] = pair / p.product.x_divisor * p.product.x_stride;
        y_at[t] = pair * p.product.y_stride + p.product.y_offset;
    }
#else
    const uint first = gl_WorkGroupID.y * COLS, n_cols = min(p.product.n_tokens - first, COLS);
    for (uint t = 0; t < COLS; ++t) {
        x_at[t] = (first + min(t, n_cols - 1)) * p.product.x_stride;
        y_at[t] = (first + t) * p.product.y_stride + p.product.y_offset;
    }
#endif

    uint lane, slot;
    find_lane(lane, slot);
    const uint n_slots = gl_WorkGroupSize.x / LANES;
    const uint row = (gl_WorkGroupID.x * n_slots + slot) * Y_ROWS;

    // Lanes beyond the last row compute it once more, so that every lane takes part in broadcasts and sums.
    n_groups = p.product.n_groups;
    for (uint r = 0; r < ROWS; ++r)
        row_at[r] = address_plus(r < Y_ROWS ? w : w2,
                                 min(row + r % Y_ROWS, p.product.n_rows - 1) * p.product.row_bytes);
    for (uint i = 0; i < ROWS * COLS; ++i)
        sums[i] = 0;
    add_row(lane);

    for (uint r = 0; r < Y_ROWS; ++r) {
        for (uint t = 0; t < COLS; ++t) {
            float sum = row_sum(sums[r * COLS + t], lane);
            if (PAIRED)
                sum = gelu(sum) * row_sum(sums[(r + ROWS / 2) * COLS + t], lane);
            if (lane == 0 && row + r < p.product.n_rows && t < n_cols)
                y[y_at[t] + row + r] = sum;
        }
    }
#ifdef TAIL
    tail(first, n_cols);
#endif
}
