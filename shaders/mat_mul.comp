// mat_mul.comp -- y[t][r] = sum over c of W[r][c] x[t][c], ROWS x COLS of y per workgroup.
//
//   W, x, y and -DEXPERTS as in mat_vec.comp
//
//   dispatch   (n_rows / ROWS, n_tokens / COLS or n_tiles, 1), rounded up
//   requires   32 columns per group, x_stride a multiple of 4, 128 invocations,
//              (ROWS + 1 + COLS + 1) * 128 bytes of shared memory: 16.6 KiB at 64 x 64
//   precision  f32 throughout
//   cost       W once per COLS columns, x once per ROWS rows; per step of 32 columns each invocation decodes two octets
//              and multiplies 4 rows by COLS / 8 columns, four values at a time out of shared memory
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/mat_mul.h"
#include "quant/weights.glsl"

layout(local_size_x = MAT_MUL_WG_SIZE) in;
layout(constant_id = MAT_MUL_COLS) const uint COLS = 64;
const uint ROWS = MAT_MUL_ROWS, WG_SIZE = MAT_MUL_WG_SIZE;
const uint ROW_LANES = 16, COL_LANES = 8; // the workgroup as a rectangle over y
const uint MY_ROWS = ROWS / ROW_LANES, MY_COLS = COLS / COL_LANES;

layout(binding = MAT_VEC_X, std430) readonly buffer X {
    vec4 x[];
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
    mat_vec_params p;
};

// Fours of columns of the weight, slowest; the padding keeps the writes of neighbours in different banks.
shared vec4 w_tile[8][ROWS + 1];
shared vec4 x_tile[8][COLS + 1];

uvec4 tile; // experts: expert, first index into order, pairs

uint x_row(uint t)
{
#ifdef EXPERTS
    return order[tile.y + t] / p.x_divisor;
#else
    return tile.y + t;
#endif
}

uint y_row(uint t)
{
#ifdef EXPERTS
    return order[tile.y + t];
#else
    return tile.y + t;
#endif
}

// Rows beyond the last are its copies, columns beyond the last are copies too: neither is written.
void fill_w(uvec2 w, uint first_row, uint g)
{
    for (uint i = gl_LocalInvocationID.x; i < 4 * ROWS; i += WG_SIZE) {
        const uint r = i / 4, j = i % 4;
        const uvec2 at = address_plus(w, min(first_row + r, p.n_rows - 1) * p.row_bytes);
        const weight_group group = load_group(at, p.n_groups, g, load_head(at, p.n_groups, g / HEAD_GROUPS));
        vec4 a, b;
        load_weights(at, g, j, group, a, b);
        w_tile[2 * j][r] = a;
        w_tile[2 * j + 1][r] = b;
    }
}

void fill_x(uint g)
{
    for (uint i = gl_LocalInvocationID.x; i < 8 * COLS; i += WG_SIZE) {
        const uint t = i / 8, k = i % 8;
        x_tile[k][t] = x[x_row(min(t, tile.z - 1)) * (p.x_stride / 4) + 8 * g + k];
    }
}

void main()
{
    uvec2 w = uvec2(p.w_low, p.w_high);
#ifdef EXPERTS
    tile = tiles[gl_WorkGroupID.y];
    if (tile.z == 0)
        return;
    w = address_plus(planes[tile.x], p.w_low);
#else
    tile.y = gl_WorkGroupID.y * COLS;
    tile.z = p.n_tokens - tile.y;
#endif
    tile.z = min(tile.z, COLS);

    const uint first_row = gl_WorkGroupID.x * ROWS;
    const uint row_lane = gl_LocalInvocationID.x % ROW_LANES, col_lane = gl_LocalInvocationID.x / ROW_LANES;
    float sums[MY_ROWS * MY_COLS];
    for (uint i = 0; i < MY_ROWS * MY_COLS; ++i)
        sums[i] = 0;

    [[dont_unroll]] for (uint g = 0; g < p.n_groups; ++g) {
        barrier();
        fill_w(w, first_row, g);
        fill_x(g);
        barrier();
        [[dont_unroll]] for (uint k = 0; k < 8; ++k) {
            vec4 ws[MY_ROWS];
            for (uint i = 0; i < MY_ROWS; ++i)
                ws[i] = w_tile[k][row_lane + ROW_LANES * i];
            for (uint t = 0; t < MY_COLS; ++t) {
                const vec4 xs = x_tile[k][col_lane + COL_LANES * t];
                for (uint i = 0; i < MY_ROWS; ++i)
                    sums[t * MY_ROWS + i] += dot(ws[i], xs);
            }
        }
    }

    for (uint t = 0; t < MY_COLS; ++t) {
        const uint col = col_lane + COL_LANES * t;
        if (col >= tile.z)
            continue;
        const uint at = y_row(col) * p.y_stride + p.y_offset + first_row;
        for (uint i = 0; i < MY_ROWS; ++i) {
            const uint row = row_lane + ROW_LANES * i;
            if (first_row + row < p.n_rows)
                y[at + row] = sums[t * MY_ROWS + i];
        }
    }
}
