// top_k.comp -- the k largest of each chunk of each row, best first; equal ones by lower id.
//
//   x       f32 [n_rows][n_cols]       read
//   x_ids   u32 [n_rows][n_cols]       read; without HAS_IDS an element's id is its column
//   ids     u32 [n_rows][n_chunks][k]  written; TOP_K_NONE where a chunk has fewer than k
//   values  f32 [n_rows][n_chunks][k]  written
//
// Run twice: over chunks of the scores, then over the chunks' winners as one chunk. Each round finds the best element
// after the last winner, so no list is kept.
//
//   dispatch   (n_chunks, n_rows, 1)
//   precision  exact; NaN is below everything
//   cost       k passes over a chunk, all but the first from cache
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "shared/top_k.h"

layout(local_size_x_id = TOP_K_WG_SIZE) in;
layout(constant_id = TOP_K_HAS_IDS) const bool HAS_IDS = false;

layout(binding = TOP_K_X) readonly buffer X { float x[]; };
layout(binding = TOP_K_X_IDS) readonly buffer XIds { uint x_ids[]; };
layout(binding = TOP_K_IDS) writeonly buffer Ids { uint ids[]; };
layout(binding = TOP_K_VALUES) writeonly buffer Values { float values[]; };
layout(push_constant) uniform Params { top_k_params p; };

shared uvec2 parts[256]; // key, ~id

// Unsigned numbers in the order of the floats: 0 for NaN, and both zeros the same.
uint key_of(float value)
{
    if (isnan(value))
        return 0;
    const uint bits = floatBitsToUint(value + 0.0);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

float value_of(uint key)
{
    return uintBitsToFloat((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

// a comes after b: the smaller key, or the higher id, which is the smaller complement.
bool is_below(uvec2 a, uvec2 b)
{
    return a.x < b.x || (a.x == b.x && a.y < b.y);
}

uvec2 workgroup_best(uvec2 mine)
{
    const uint key = subgroupMax(mine.x);
    const uint id = subgroupMax(mine.x == key ? mine.y : 0);
    barrier(); // the parts of the round before may still be read
    if (subgroupElect())
        parts[gl_SubgroupID] = uvec2(key, id);
    barrier();
    uvec2 best = uvec2(0);
    [[dont_unroll]] for (uint i = 0; i < gl_NumSubgroups; ++i)
        if (is_below(best, parts[i]))
            best = parts[i];
    return best;
}

void main()
{
    const uint row = gl_WorkGroupID.y, begin = gl_WorkGroupID.x * p.chunk, end = min(begin + p.chunk, p.n_cols);
    const uint to = (row * p.n_chunks + gl_WorkGroupID.x) * p.k;
    uvec2 last = uvec2(0xFFFFFFFFu);
    [[dont_unroll]] for (uint k = 0; k < p.k; ++k) {
        uvec2 best = uvec2(0); // the complement of TOP_K_NONE
        [[dont_unroll]] for (uint i = begin + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x) {
            const uint id = HAS_IDS ? x_ids[row * p.n_cols + i] : i;
            const uvec2 mine = uvec2(key_of(x[row * p.n_cols + i]), ~id);
            if (is_below(mine, last) && is_below(best, mine))
                best = mine;
        }
        last = workgroup_best(best);
        if (gl_LocalInvocationID.x == 0) {
            ids[to + k] = ~last.y;
            values[to + k] = value_of(last.x);
        }
    }
}
