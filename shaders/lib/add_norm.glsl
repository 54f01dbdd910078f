// lib/add_norm.glsl -- the step  y = (r + x / sqrt(mean(x^2) + eps) * w) * scale[0], then up to three norms of y:
//     n_i = y / sqrt(mean(y^2) + eps) * w_i
//
//   x, r           f32 [n_rows][n_cols]  read
//   w, w_i         f32 [n_cols]          read
//   scale          f32 [1]               read; ignored when HAS_SCALE is false
//   y, n_i         f32 [n_rows][n_cols]  written
//
//   requires   n_cols a multiple of 4
//   precision  squares summed in f32; y is made again for its norms instead of being kept
#include "lib/step.glsl"
#include "lib/reduce.glsl"
#include "shared/add_norm.h"

layout(constant_id = STEP_SPEC + ADD_NORM_HAS_SCALE) const bool HAS_SCALE = true;
layout(constant_id = STEP_SPEC + ADD_NORM_N_NORMS) const uint N_NORMS = 0;

layout(binding = STEP_BINDING + ADD_NORM_X) STEP_INPUT buffer AddX { vec4 add_x[]; };
layout(binding = STEP_BINDING + ADD_NORM_R) readonly buffer AddR { vec4 add_r[]; };
layout(binding = STEP_BINDING + ADD_NORM_W) readonly buffer AddW { vec4 add_w[]; };
layout(binding = STEP_BINDING + ADD_NORM_SCALE) readonly buffer AddScale { float add_scale[]; };
layout(binding = STEP_BINDING + ADD_NORM_W1) readonly buffer AddW1 { vec4 add_w1[]; };
layout(binding = STEP_BINDING + ADD_NORM_W2) readonly buffer AddW2 { vec4 add_w2[]; };
layout(binding = STEP_BINDING + ADD_NORM_W3) readonly buffer AddW3 { vec4 add_w3[]; };
layout(binding = STEP_BINDING + ADD_NORM_Y) writeonly buffer AddY { vec4 add_y[]; };
layout(binding = STEP_BINDING + ADD_NORM_N1) writeonly buffer AddN1 { vec4 add_n1[]; };
layout(binding = STEP_BINDING + ADD_NORM_N2) writeonly buffer AddN2 { vec4 add_n2[]; };
layout(binding = STEP_BINDING + ADD_NORM_N3) writeonly buffer AddN3 { vec4 add_n3[]; };

// Every invocation of the workgroup must call.
void step_row(uint row)
{
    const uint n = p.step.n_cols / 4, base = row * n;

    float sum = 0.0;
    [[dont_unroll]] for (uint c = gl_LocalInvocationID.x; c < n; c += gl_WorkGroupSize.x)
        sum += dot(add_x[base + c], add_x[base + c]);
    const float norm = inversesqrt(workgroup_sum(sum) / float(p.step.n_cols) + p.step.eps);
    const float whole = HAS_SCALE ? add_scale[0] : 1.0;

    sum = 0.0;
    [[dont_unroll]] for (uint c = gl_LocalInvocationID.x; c < n; c += gl_WorkGroupSize.x) {
        const vec4 y = (add_r[base + c] + add_x[base + c] * norm * add_w[c]) * whole;
        add_y[base + c] = y;
        sum += dot(y, y);
    }
    if (N_NORMS == 0)
        return;
    const float next = inversesqrt(workgroup_sum(sum) / float(p.step.n_cols) + p.step.eps);
    [[dont_unroll]] for (uint c = gl_LocalInvocationID.x; c < n; c += gl_WorkGroupSize.x) {
        const vec4 y = (add_r[base + c] + add_x[base + c] * norm * add_w[c]) * whole * next;
        add_n1[base + c] = y * add_w1[c];
        if (N_NORMS > 1)
            add_n2[base + c] = y * add_w2[c];
        if (N_NORMS > 2)
            add_n3[base + c] = y * add_w3[c];
    }
}
