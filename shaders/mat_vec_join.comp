// mat_vec_join.comp -- y[t][r] = sum over ranks k of weights[t][k] * (W[ids[t][k]] x[t][k])[r]: the experts' last product,
// summed where it is made; then the step of lib/join.glsl ends the layer, as a tail (lib/tail.glsl).
//
//   W        one of the weight formats, rows of plane e at planes[e] + r * row_bytes, read
//   x        f32 [n_tokens][n_used][n_cols]  read
//   ids      u32 [n_tokens][n_used]          read
//   weights  f32 [n_tokens][n_used]          read
//   y        f32 [n_tokens][n_rows]          written
//
//   dispatch   (n_rows / rows per workgroup rounded up, n_tokens, 1); rows per workgroup = WG_SIZE / LANES / PARTS * ROWS
//   requires   as mat_vec.comp, COLS = 1, PARTS a power of two
//   precision  f32
//   cost       each chosen plane once per token; PARTS sets of lanes share the ranks of a row, so that a device with many
//              processors has enough workgroups
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/mat_vec_join.h"
layout(local_size_x_id = MAT_VEC_WG_SIZE) in; // before anything that asks for gl_WorkGroupSize
#include "lib/row_product.glsl"

layout(constant_id = MAT_VEC_JOIN_PARTS) const uint PARTS = 1;

#define STEP_BINDING MAT_VEC_JOIN_STEP
#define STEP_SPEC MAT_VEC_JOIN_STEP_SPEC
#define STEP_INPUT coherent readonly
#define TAIL_COUNTERS MAT_VEC_JOIN_COUNTERS

layout(binding = MAT_VEC_Y) coherent writeonly buffer Y { float y[]; };
layout(binding = MAT_VEC_JOIN_IDS) readonly buffer Ids { uint ids[]; };
layout(binding = MAT_VEC_JOIN_WEIGHTS) readonly buffer Weights { float weights[]; };
layout(binding = MAT_VEC_JOIN_PLANES) readonly buffer Planes { uvec2 planes[]; };
layout(push_constant) uniform Params { mat_vec_join_all_params p; };

shared float part_sums[PARTS > 1 ? gl_WorkGroupSize.x : 1];

#include "lib/join.glsl"
#include "lib/tail.glsl"

// This part's share of the ranks.
void add_ranks(uint token, uint first_row, uint lane, uint part)
{
    float total[ROWS];
    for (uint r = 0; r < ROWS; ++r)
        total[r] = 0;
    [[dont_unroll]] for (uint k = part; k < p.product.n_used; k += PARTS) {
        const uint pair = token * p.product.n_used + k;
        const uvec2 plane = planes[ids[pair]];
        x_at[0] = pair * 32 * n_groups;
        for (uint r = 0; r < ROWS; ++r) {
            row_at[r] = address_plus(plane, min(first_row + r, p.product.n_rows - 1) * p.product.row_bytes);
            sums[r] = 0;
        }
        add_row(lane);
        for (uint r = 0; r < ROWS; ++r)
            total[r] += weights[pair] * sums[r];
    }
    for (uint r = 0; r < ROWS; ++r)
        sums[r] = row_sum(total[r], lane);
}

void main()
{
    uint lane, slot;
    find_lane(lane, slot);
    const uint n_slots = gl_WorkGroupSize.x / LANES / PARTS;
    const uint part = slot / n_slots, token = gl_WorkGroupID.y;
    const uint row = (gl_WorkGroupID.x * n_slots + slot % n_slots) * ROWS;
    n_groups = p.product.n_groups;

    add_ranks(token, row, lane, part);
    for (uint r = 0; r < ROWS; ++r) {
        float sum = sums[r];
        if (PARTS > 1) {
            barrier();
            if (lane == 0)
                part_sums[slot] = sum;
            barrier();
            sum = 0;
            for (uint other = 0; other < PARTS; ++other)
                sum += part_sums[other * n_slots + slot % n_slots];
        }
        if (lane == 0 && part == 0 && row + r < p.product.n_rows)
            y[token * p.product.n_rows + row + r] = sum;
    }
    if (comes_last(token, p.product.n_workgroups))
        step_row(token);
}
