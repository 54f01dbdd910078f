// lib/join.glsl -- the step that joins the two branches of a layer and ends it, then the next layer's input norm:
//     y = (r + rms(rms(dense) * w_dense + rms(x) * w_experts) * w_out) * scale[0],   next = rms(y) * w_next
//
//   x                                  f32 [n_tokens][n_cols]  read: the weighted sum of the experts
//   r, dense                           f32 [n_tokens][n_cols]  read
//   w_dense, w_experts, w_out, w_next  f32 [n_cols]            read
//   scale                              f32 [1]                 read; ignored when HAS_SCALE is false
//   y, next                            f32 [n_tokens][n_cols]  written
//
//   requires   n_cols a multiple of 4
//   precision  f32; rows are made again for each sum instead of being kept
#include "lib/step.glsl"
#include "lib/reduce.glsl"
#include "shared/join.h"

layout(constant_id = STEP_SPEC + JOIN_HAS_SCALE) const bool HAS_SCALE = true;
layout(constant_id = STEP_SPEC + JOIN_HAS_NEXT) const bool HAS_NEXT = true;

layout(binding = STEP_BINDING + JOIN_X) STEP_INPUT buffer JoinX { vec4 join_x[]; };
layout(binding = STEP_BINDING + JOIN_R) readonly buffer JoinR { vec4 join_r[]; };
layout(binding = STEP_BINDING + JOIN_DENSE) readonly buffer JoinDense { vec4 join_dense[]; };
layout(binding = STEP_BINDING + JOIN_W_DENSE) readonly buffer JoinWDense { vec4 w_dense[]; };
layout(binding = STEP_BINDING + JOIN_W_EXPERTS) readonly buffer JoinWExperts { vec4 w_experts[]; };
layout(binding = STEP_BINDING + JOIN_W_OUT) readonly buffer JoinWOut { vec4 w_out[]; };
layout(binding = STEP_BINDING + JOIN_SCALE) readonly buffer JoinScale { float join_scale[]; };
layout(binding = STEP_BINDING + JOIN_W_NEXT) readonly buffer JoinWNext { vec4 w_next[]; };
layout(binding = STEP_BINDING + JOIN_Y) writeonly buffer JoinY { vec4 join_y[]; };
layout(binding = STEP_BINDING + JOIN_NEXT) writeonly buffer JoinNext { vec4 join_next[]; };

vec4 joined(uint base, uint c, vec2 norms)
{
    return join_dense[base + c] * norms.x * w_dense[c] + join_x[base + c] * norms.y * w_experts[c];
}

// Every invocation of the workgroup must call.
void step_row(uint token)
{
    const uint n = p.step.n_cols / 4, base = token * n, me = gl_LocalInvocationID.x;
    const float n_cols = float(p.step.n_cols);

    vec2 sums = vec2(0.0);
    [[dont_unroll]] for (uint c = me; c < n; c += gl_WorkGroupSize.x)
        sums += vec2(dot(join_dense[base + c], join_dense[base + c]), dot(join_x[base + c], join_x[base + c]));
    const vec2 norms = inversesqrt(workgroup_sum(sums) / n_cols + p.step.eps);

    float sum = 0.0;
    [[dont_unroll]] for (uint c = me; c < n; c += gl_WorkGroupSize.x) {
        const vec4 both = joined(base, c, norms);
        sum += dot(both, both);
    }
    const float norm = inversesqrt(workgroup_sum(sum) / n_cols + p.step.eps);

    const float whole = HAS_SCALE ? join_scale[0] : 1.0;
    sum = 0.0;
    [[dont_unroll]] for (uint c = me; c < n; c += gl_WorkGroupSize.x) {
        const vec4 y = (join_r[base + c] + joined(base, c, norms) * norm * w_out[c]) * whole;
        join_y[base + c] = y;
        sum += dot(y, y);
    }
    if (!HAS_NEXT)
        return;
    const float next = inversesqrt(workgroup_sum(sum) / n_cols + p.step.eps);
    [[dont_unroll]] for (uint c = me; c < n; c += gl_WorkGroupSize.x)
        join_next[base + c] = (join_r[base + c] + joined(base, c, norms) * norm * w_out[c]) * whole * next * w_next[c];
}
