// pair_sum.comp -- the outputs of a token's experts, weighed and added up, for a slab of columns.
//
//     m[t][c] = sum over ranks of weights[t][rank] * pairs[t][rank][c]
//
//   pairs    f32 [n_tokens][n_used][n_cols]   read
//   weights  f32 [n_tokens][n_used]           read
//   m        f32 [n_tokens][m_stride]         written at m_offset + c
//
//   dispatch   (n_fours / per_group rounded up, 1, 1); a workgroup takes per_group consecutive groups of four columns
//   requires   n_cols, m_stride and m_offset multiples of 4
//   precision  f32, ranks in order
//   cost       reads pairs once
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/pair_sum.h"

layout(local_size_x_id = PAIR_SUM_WG_SIZE) in;

layout(binding = PAIR_SUM_PAIRS) readonly buffer Pairs { vec4 pairs[]; };
layout(binding = PAIR_SUM_WEIGHTS) readonly buffer Weights { float weights[]; };
layout(binding = PAIR_SUM_M) writeonly buffer M { vec4 m[]; };
layout(push_constant) uniform Params { pair_sum_params p; };

void main()
{
    const uint n = p.n_cols / 4;
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_fours);
    [[dont_unroll]] for (uint i = begin + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x) {
        const uint token = i / n, c = i % n, pair = token * p.n_used;
        vec4 sum = vec4(0.0);
        [[dont_unroll]] for (uint k = 0; k < p.n_used; ++k)
            sum += weights[pair + k] * pairs[(pair + k) * n + c];
        m[(token * p.m_stride + p.m_offset) / 4 + c] = sum;
    }
}
