// mat_mul_cm.comp -- y[t][r] = sum over c of W[r][c] x[t][c] with cooperative matrices, ROWS x COLS of y per workgroup.
//
//   W, x, y and -DEXPERTS as in mat_vec.comp
//
//   dispatch   (n_rows / ROWS, n_tokens / COLS or n_tiles, 1), rounded up
//   requires   VK_KHR_cooperative_matrix with M x N x K of f16 and f32 accumulators; full subgroups of a known size, of
//              which ROWS / SUB_ROWS * COLS / SUB_COLS make a workgroup; 4 ROWS and 8 COLS multiples of WG_SIZE;
//              32 columns per group, x_stride a multiple of 4; 80 (ROWS + COLS) bytes of shared memory and
//              4 M N per subgroup: 28 KiB at 128 x 128
//   precision  weights are decoded and scaled in f32, then rounded to f16, as is x / 16; products and sums are f32.
//              The division keeps activations up to 2^20 in f16's range, which ends at 65504 and which nothing in the
//              model guarantees for gelu(gate) * up. It costs no accuracy: results of x above 2^-10 have all their bits,
//              and those below are off by 2^-21 at most. What is larger still is clamped, so that no infinity arises.
//   cost       as mat_mul.comp; the next step's operands are loaded and decoded while this step's are multiplied
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "shared/mat_mul_cm.h"
#include "quant/weights.glsl"

layout(local_size_x_id = MAT_MUL_CM_WG_SIZE) in;
layout(constant_id = MAT_MUL_CM_ROWS) const uint ROWS = 64;
layout(constant_id = MAT_MUL_CM_COLS) const uint COLS = 64;
layout(constant_id = MAT_MUL_CM_SUB_ROWS) const uint SUB_ROWS = 32;
layout(constant_id = MAT_MUL_CM_SUB_COLS) const uint SUB_COLS = 32;
layout(constant_id = MAT_MUL_CM_M) const uint M = 16;
layout(constant_id = MAT_MUL_CM_N) const uint N = 16;
layout(constant_id = MAT_MUL_CM_K) const uint K = 16;

const uint WG_SIZE = gl_WorkGroupSize.x;
const uint ROW_BLOCKS = SUB_ROWS / M, COL_BLOCKS = SUB_COLS / N; // of a subgroup
const uint N_SUBGROUPS = ROWS / SUB_ROWS * (COLS / SUB_COLS);
const uint MY_OCTETS = 4 * ROWS / WG_SIZE, MY_FOURS = 8 * COLS / WG_SIZE; // of a step, per invocation: weights, x

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

// One step of 32 columns in fours; eight fours and two of padding, so that the reads of eight rows meet all banks.
const uint STRIDE = 10;
shared f16vec4 w_tile[ROWS * STRIDE];
shared f16vec4 x_tile[COLS * STRIDE];
shared float y_block[N_SUBGROUPS * M * N];

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

f16vec4 to_half(vec4 v)
{
    return clamp(f16vec4(v), f16vec4(-MAT_MUL_CM_HALF_MAX), f16vec4(MAT_MUL_CM_HALF_MAX));
}

// The operands of a step on their way to shared memory. An invocation's octets are neighbours in one row.
f16vec4 w_next[2 * MY_OCTETS], x_next[MY_FOURS];

// Rows beyond the last are its copies, columns beyond the last are copies too: neither is written.
void fetch(uvec2 w_row, uint g)
{
    const uint i = gl_LocalInvocationID.x;
    const weight_group group = load_group(w_row, p.n_groups, g, load_head(w_row, p.n_groups, g / HEAD_GROUPS));
    [[unroll]] for (uint o = 0; o < MY_OCTETS; ++o) {
        vec4 a, b;
        load_weights(w_row, g, (MY_OCTETS * i + o) % 4, group, a, b);
        w_next[2 * o] = to_half(a);
        w_next[2 * o + 1] = to_half(b);
    }
    [[unroll]] for (uint f = 0; f < MY_FOURS; ++f) {
        const uint t = (i + WG_SIZE * f) / 8, k = i % 8;
        x_next[f] = to_half(x[x_row(min(t, tile.z - 1)) * (p.x_stride / 4) + 8 * g + k] / MAT_MUL_CM_X_SCALE);
    }
}

void put()
{
    const uint i = gl_LocalInvocationID.x;
    [[unroll]] for (uint o = 0; o < 2 * MY_OCTETS; ++o)
        w_tile[MY_OCTETS * i / 4 * STRIDE + 2 * (MY_OCTETS * i % 4) + o] = w_next[o];
    [[unroll]] for (uint f = 0; f < MY_FOURS; ++f)
        x_tile[(i + WG_SIZE * f) / 8 * STRIDE + i % 8] = x_next[f];
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
    const uint my_row = min(first_row + MY_OCTETS * gl_LocalInvocationID.x / 4, p.n_rows - 1);
    const uvec2 w_row = address_plus(w, my_row * p.row_bytes);
    const uint sub_row = gl_SubgroupID % (ROWS / SUB_ROWS) * SUB_ROWS;
    const uint sub_col = gl_SubgroupID / (ROWS / SUB_ROWS) * SUB_COLS;
    // Arrays of matrices stay in main: drivers keep those of functions or of the whole module in memory.
    coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[ROW_BLOCKS * COL_BLOCKS];
    [[unroll]] for (uint i = 0; i < ROW_BLOCKS * COL_BLOCKS; ++i)
        sums[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0);

    fetch(w_row, 0);
    [[dont_unroll]] for (uint g = 0; g < p.n_groups; ++g) {
        barrier();
        put();
        barrier();
        if (g + 1 < p.n_groups)
            fetch(w_row, g + 1);
        if (sub_col >= tile.z)
            continue;
        [[unroll]] for (uint k = 0; k < 32; k += K) {
            coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> xs[COL_BLOCKS];
            [[unroll]] for (uint j = 0; j < COL_BLOCKS; ++j)
                coopMatLoad(xs[j], x_tile, (sub_col + N * j) * STRIDE + k / 4, STRIDE,
                            gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0; i < ROW_BLOCKS; ++i) {
                coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> ws;
                coopMatLoad(ws, w_tile, (sub_row + M * i) * STRIDE + k / 4, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint j = 0; j < COL_BLOCKS; ++j)
                    sums[i * COL_BLOCKS + j] = coopMatMulAdd(ws, xs[j], sums[i * COL_BLOCKS + j]);
            }
        }
    }

    // Block by block through shared memory, where rows of y are told apart and what lies beyond the edges is left out.
    // All subgroups do so: on a software device the barriers of a subgroup are those of its workgroup. The inner loop over
    // blocks is there to be unrolled: an array of matrices that is indexed by a variable leaves the registers.
    const uint at = gl_SubgroupID * M * N;
    [[dont_unroll]] for (uint block = 0; block < ROW_BLOCKS * COL_BLOCKS; ++block) {
        [[unroll]] for (uint i = 0; i < ROW_BLOCKS * COL_BLOCKS; ++i)
            if (i == block)
                coopMatStore(sums[i], y_block, at, M, gl_CooperativeMatrixLayoutColumnMajor);
        subgroupBarrier();
        const uint row0 = first_row + sub_row + block / COL_BLOCKS * M, col0 = sub_col + block % COL_BLOCKS * N;
        [[dont_unroll]] for (uint e = gl_SubgroupInvocationID; e < M * N; e += WG_SIZE / N_SUBGROUPS) {
            const uint row = row0 + e % M, col = col0 + e / M;
            if (row < p.n_rows && col < tile.z)
                y[y_row(col) * p.y_stride + p.y_offset + row] = MAT_MUL_CM_X_SCALE * y_block[at + e];
        }
        subgroupBarrier();
    }
}
