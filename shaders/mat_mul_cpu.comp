// mat_mul_cpu.comp -- y[t][r] = sum over c of W[r][c] x[t][c] on software devices, up to COLS columns t per tile.
//
//   W, x, y, -DEXPERTS and DIRECT as in mat_vec.comp; x is read at its device address, its binding tells the recorder and
//   serves bound_word()
//
//   grid       (n_rows / (SUBGROUP * ROWS), n_tokens / COLS or n_tiles or n_pairs), rounded up; see lib/claim.glsl
//   requires   32 columns per group, x_stride a multiple of 4, 64-bit integers; the workgroup is one full subgroup
//   precision  f32; one column: sums in groups of 16
//   cost       W once per COLS columns, x once per SUBGROUP * ROWS rows; see lib/row_product_cpu.glsl
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/mat_mul_cpu.h"

layout(local_size_x_id = MAT_MUL_CPU_SUBGROUP) in;
layout(constant_id = MAT_MUL_CPU_SUBGROUP) const uint SUBGROUP = 8;
layout(constant_id = MAT_MUL_CPU_ROWS) const uint ROWS = 4;
layout(constant_id = MAT_MUL_CPU_COLS) const uint COLS = 8;
layout(constant_id = MAT_MUL_CPU_APART) const bool APART = false;
layout(constant_id = MAT_MUL_CPU_DIRECT) const bool DIRECT = false;
#include "lib/row_product_cpu.glsl"

layout(binding = MAT_VEC_X, std430) readonly buffer X {
    float x[];
};
layout(binding = MAT_VEC_Y, std430) writeonly buffer Y {
    float y[];
};
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
#endif
layout(push_constant) uniform Params {
    mat_mul_cpu_params p;
};
#include "lib/claim.glsl"

uint bound_word()
{
    return floatBitsToUint(x[0]);
}

// Rows of the weight by place.x, columns by place.y.
void make_tile(uvec2 place)
{
    uvec2 w = uvec2(p.product.w_low, p.product.w_high);
    uint x_row[COLS], y_row[COLS];
#ifdef EXPERTS
    uvec4 tile;
    if (DIRECT)
        tile = uvec4(order[place.y], 0, 1, 0);
    else
        tile = tiles[place.y];
    const uint n_cols = min(tile.z, COLS);
    w = address_plus(planes[tile.x], p.product.w_low);
    [[unroll]] for (uint t = 0; t < COLS; ++t) {
        y_row[t] = DIRECT ? place.y : order[tile.y + min(t, max(n_cols, 1) - 1)];
        x_row[t] = y_row[t] / p.product.x_divisor;
    }
#else
    const uint first = place.y * COLS, n_cols = min(p.product.n_tokens - first, COLS);
    [[unroll]] for (uint t = 0; t < COLS; ++t)
        x_row[t] = y_row[t] = first + min(t, n_cols - 1);
#endif

    // Rows beyond the last are its copies, columns beyond the last too: neither is written.
    const uint row = (place.x * SUBGROUP + gl_SubgroupInvocationID) * ROWS;
    n_groups = n_cols > 0 ? p.product.n_groups : 0;
    unknown_zero = p.x_low & 3;
    [[unroll]] for (uint r = 0; r < ROWS; ++r)
        row_at[r] = address_plus(w, min(row + r, p.product.n_rows - 1) * p.product.row_bytes);
    [[unroll]] for (uint t = 0; t < COLS; ++t)
        x_at[t] = address_plus(uvec2(p.x_low, p.x_high), 4 * p.product.x_stride * x_row[t]);
    [[unroll]] for (uint i = 0; i < ROWS * COLS; ++i)
        sums[i] = 0;
    add_row();

    [[unroll]] for (uint t = 0; t < COLS; ++t)
        [[unroll]] for (uint r = 0; r < ROWS; ++r)
            if (t < n_cols && row + r < p.product.n_rows)
                y[y_row[t] * p.product.y_stride + p.product.y_offset + row + r] = sums[r * COLS + t];
}

void main()
{
    uvec2 place;
    [[dont_unroll]] while (claim_tile(place))
        make_tile(place);
}
