// gelu_mul.comp -- y = gelu(g) * u, gelu in its tanh form.
//
//   gu  f32 [n_rows][2 * n_cols]  read; a row is g, then u
//   y   f32 [n_rows][n_cols]      written
//
//   dispatch   (n_fours / per_group rounded up, 1, 1); a workgroup takes per_group consecutive groups of four elements
//   requires   n_cols a multiple of 4
//   precision  the argument of tanh is clamped to +-20, where some drivers overflow
//   cost       12 bytes per element
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/gelu_mul.h"
#include "lib/gelu.glsl"

layout(local_size_x_id = GELU_MUL_WG_SIZE) in;

layout(binding = GELU_MUL_GU) readonly buffer GU { vec4 gu[]; };
layout(binding = GELU_MUL_Y) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Params { gelu_mul_params p; };

void main()
{
    const uint n = p.n_cols / 4;
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_fours);
    [[dont_unroll]] for (uint i = begin + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x) {
        const uint at = i + i / n * n; // rows of gu are twice as long
        y[i] = gelu(gu[at]) * gu[at + n];
    }
}
