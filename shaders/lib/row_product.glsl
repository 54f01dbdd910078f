// lib/row_product.glsl -- the inner part of products with few columns: a lane's share of ROWS rows times COLS columns.
//
// The including shader fills row_at, x_at and n_groups, clears sums, calls add_row() and then row_sum() of each
// sum.// LANES > 1 reads consecutive groups in consecutive lanes, as GPUs like it. LANES = 1 gives each lane a row of its own:
// no reduction, and x reaches all lanes by broadcasts, which software devices do in one instruction while they gather
// loads lane by lane.
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "shared/mat_vec.h"
#include "quant/weights.glsl"

layout(constant_id = MAT_VEC_LANES) const uint LANES = 1;
layout(constant_id = MAT_VEC_ROWS) const uint ROWS = 2;
layout(constant_id = MAT_VEC_COLS) const uint COLS = 1;
layout(constant_id = MAT_VEC_OCTETS) const uint OCTETS = 1;

layout(binding = MAT_VEC_X, std430) readonly buffer X {
    float x[];
};
layout(binding = MAT_VEC_X, std430) readonly buffer X4 {
    vec4 x4[];
};

shared float partial[LANES > 1 ? gl_WorkGroupSize.x : 1];

uint n_groups;               // of 32 columns
uvec2 row_at[ROWS];          // device addresses
uint x_at[COLS], y_at[COLS]; // elements
float sums[ROWS * COLS];

// Which of a row's lanes this invocation is, and which of the workgroup's sets of lanes. A row's lanes are in one subgroup
// where they fit; otherwise they are neighbours in the workgroup.
void find_lane(out uint lane, out uint slot)
{
    const bool fits = LANES <= gl_SubgroupSize;
    const uint index = fits ? gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID : gl_LocalInvocationID.x;
    lane = index % LANES;
    slot = index / LANES;
}

// The values 8 j .. 8 j + 7 of group g of column t.
void load_x(uint t, uint g, uint j, out vec4 a, out vec4 b)
{
    const uint at = x_at[t] + 32 * g + 8 * j;
    if (LANES > 1) {
        a = x4[at / 4];
        b = x4[at / 4 + 1];
    } else if (gl_SubgroupSize >= 8) {
        const float mine = x[at + (gl_SubgroupInvocationID & 7)];
        a = vec4(subgroupBroadcast(mine, 0), subgroupBroadcast(mine, 1), subgroupBroadcast(mine, 2),
                 subgroupBroadcast(mine, 3));
        b = vec4(subgroupBroadcast(mine, 4), subgroupBroadcast(mine, 5), subgroupBroadcast(mine, 6),
                 subgroupBroadcast(mine, 7));
    } else {
        const uint lane = gl_SubgroupInvocationID & 3;
        const float m = x[at + lane], n = x[at + 4 + lane];
        a = vec4(subgroupBroadcast(m, 0), subgroupBroadcast(m, 1), subgroupBroadcast(m, 2), subgroupBroadcast(m, 3));
        b = vec4(subgroupBroadcast(n, 0), subgroupBroadcast(n, 1), subgroupBroadcast(n, 2), subgroupBroadcast(n, 3));
    }
}

// What an octet of a row adds to the sum of a column: the dot product of the codes takes the scale afterwards. A column
// is summed in this one way whatever the number of columns, so that it gets the same bits beside others as alone.
float octet_sum(uint j, vec4 a, vec4 b, vec4 xa, vec4 xb, float x_sum, weight_group group)
{
    float sum = dot(a, xa) + dot(b, xb);
#if GROUP_SCALES > 0
    sum *= GROUP_SCALES == 1 || j < 2 ? group.scale.x : group.scale.y;
#endif
#if GROUP_OFFSETS
    sum += (GROUP_SCALES == 1 || j < 2 ? group.offset.x : group.offset.y) * x_sum;
#endif
    return sum;
}

// One column.
void add_octet_one(uint g, uint j, weight_group groups[ROWS])
{
    vec4 xa, xb;
    load_x(0, g, j, xa, xb);
    const float x_sum = dot(xa + xb, vec4(1));
    for (uint r = 0; r < ROWS; ++r) {
        vec4 a, b;
        load_octet(row_at[r], g, j, groups[r], a, b);
        sums[r] += octet_sum(j, a, b, xa, xb, x_sum, groups[r]);
    }
}

// Several columns: the codes are read once for all of them.
void add_octet_many(uint g, uint j, weight_group groups[ROWS])
{
    vec4 a[ROWS], b[ROWS];
#ifdef EXPERTS
    // Rows that are to be kept apart go pair by pair; tiles need not sum alike, and whole weights take fewer registers.
    for (uint r = 0; r < ROWS; ++r)
        load_weights(row_at[r], g, j, groups[r], a[r], b[r]);
#else
    for (uint r = 0; r < ROWS; ++r)
        load_octet(row_at[r], g, j, groups[r], a[r], b[r]);
#endif
    for (uint t = 0; t < COLS; ++t) {
        vec4 xa, xb;
        load_x(t, g, j, xa, xb);
#ifdef EXPERTS
        for (uint r = 0; r < ROWS; ++r)
            sums[r * COLS + t] += dot(a[r], xa) + dot(b[r], xb);
#else
        const float x_sum = dot(xa + xb, vec4(1));
        for (uint r = 0; r < ROWS; ++r)
            sums[r * COLS + t] += octet_sum(j, a[r], b[r], xa, xb, x_sum, groups[r]);
#endif
    }
}

void add_group(uint g, HEAD head[ROWS])
{
    weight_group groups[ROWS];
    for (uint r = 0; r < ROWS; ++r)
        groups[r] = load_group(row_at[r], n_groups, g, head[r]);
    [[dont_unroll]] for (uint j0 = 0; j0 < 4; j0 += OCTETS) {
        for (uint j = 0; j < OCTETS; ++j) {
            if (COLS == 1)
                add_octet_one(g, j0 + j, groups);
            else
                add_octet_many(g, j0 + j, groups);
        }
    }
}

void add_row(uint lane)
{
    HEAD head[ROWS];
    if (LANES > 1 || HEAD_GROUPS == 1) {
        [[dont_unroll]] for (uint g = lane; g < n_groups; g += LANES) {
            for (uint r = 0; r < ROWS; ++r)
                head[r] = load_head(row_at[r], n_groups, g / HEAD_GROUPS);
            add_group(g, head);
        }
    } else {
        [[dont_unroll]] for (uint g0 = 0; g0 < n_groups; g0 += HEAD_GROUPS) {
            for (uint r = 0; r < ROWS; ++r)
                head[r] = load_head(row_at[r], n_groups, g0 / HEAD_GROUPS);
            [[dont_unroll]] for (uint g = g0; g < g0 + HEAD_GROUPS; ++g)
                add_group(g, head);
        }
    }
}

// The sum over the lanes of a row, valid in lane 0.
float row_sum(float mine, uint lane)
{
    if (LANES <= gl_SubgroupSize) {
        for (uint width = LANES / 2; width > 0; width /= 2)
            mine += subgroupShuffleXor(mine, width);
        return mine;
    }
    barrier();
    partial[gl_LocalInvocationID.x] = mine;
    for (uint width = LANES / 2; width > 0; width /= 2) {
        barrier();
        if (lane < width)
            partial[gl_LocalInvocationID.x] += partial[gl_LocalInvocationID.x + width];
    }
    return partial[gl_LocalInvocationID.x];
}
