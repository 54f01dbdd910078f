// moe_join.comp -- joins the two branches of a layer and ends it; one token per workgroup.
//
//     m = sum over ranks of weights[t][rank] * experts[t][rank]
//     y = (r + rms(rms(dense) * w_dense + rms(m) * w_experts) * w_out) * scale[0]
//
//   r, dense                    f32 [n_tokens][n_cols]          read
//   experts                     f32 [n_tokens][n_used][n_cols]  read
//   weights                     f32 [n_tokens][n_used]          read
//   w_dense, w_experts, w_out   f32 [n_cols]                    read
//   scale                       f32 [1]                         read; ignored when HAS_SCALE is false
//   y                           f32 [n_tokens][n_cols]          written
//
//   dispatch   (n_tokens, 1, 1)
//   requires   n_cols a multiple of 4; n_cols floats and 2 KiB of shared memory
//   precision  f32
//   cost       reads experts once; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/moe_join.h"
#include "lib/reduce.glsl"

layout(local_size_x_id = MOE_JOIN_WG_SIZE) in;
layout(constant_id = MOE_JOIN_HAS_SCALE) const bool HAS_SCALE = true;
layout(constant_id = MOE_JOIN_N_COLS) const uint N_COLS = 2816;

layout(binding = MOE_JOIN_R) readonly buffer R { vec4 r[]; };
layout(binding = MOE_JOIN_DENSE) readonly buffer Dense { vec4 dense[]; };
layout(binding = MOE_JOIN_EXPERTS) readonly buffer Experts { vec4 experts[]; };
layout(binding = MOE_JOIN_WEIGHTS) readonly buffer Weights { float weights[]; };
layout(binding = MOE_JOIN_W_DENSE) readonly buffer WDense { vec4 w_dense[]; };
layout(binding = MOE_JOIN_W_EXPERTS) readonly buffer WExperts { vec4 w_experts[]; };
layout(binding = MOE_JOIN_W_OUT) readonly buffer WOut { vec4 w_out[]; };
layout(binding = MOE_JOIN_SCALE) readonly buffer Scale { float scale[]; };
layout(binding = MOE_JOIN_Y) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Params { moe_join_params p; };

shared vec4 row[N_COLS / 4]; // each invocation comes back to its own elements only

void main()
{
    const uint n = N_COLS / 4, token = gl_WorkGroupID.x, me = gl_LocalInvocationID.x;

    vec2 sums = vec2(0.0);
    [[dont_unroll]] for (uint c = me; c < n; c += gl_WorkGroupSize.x) {
        vec4 mixed = vec4(0.0);
        [[dont_unroll]] for (uint k = 0; k < p.n_used; ++k)
            mixed += weights[token * p.n_used + k] * experts[(token * p.n_used + k) * n + c];
        row[c] = mixed;
        sums += vec2(dot(dense[token * n + c], dense[token * n + c]), dot(mixed, mixed));
    }
    const vec2 norms = inversesqrt(workgroup_sum(sums) / float(N_COLS) + p.eps);

    float sum = 0.0;
    [[dont_unroll]] for (uint c = me; c < n; c += gl_WorkGroupSize.x) {
        const vec4 both = dense[token * n + c] * norms.x * w_dense[c] + row[c] * norms.y * w_experts[c];
        row[c] = both;
        sum += dot(both, both);
    }
    const float norm = inversesqrt(workgroup_sum(sum) / float(N_COLS) + p.eps);

    const float whole = HAS_SCALE ? scale[0] : 1.0;
    [[dont_unroll]] for (uint c = me; c < n; c += gl_WorkGroupSize.x)
        y[token * n + c] = (r[token * n + c] + row[c] * norm * w_out[c]) * whole;
}
