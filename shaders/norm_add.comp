// norm_add.comp -- y = (r + x / sqrt(mean(x^2) + eps) * w) * scale[0], one row per workgroup.
//
//   r, x   f32 [n_rows][n_cols]  read
//   w      f32 [n_cols]          read
//   scale  f32 [1]               read; ignored when HAS_SCALE is false
//   y      f32 [n_rows][n_cols]  written
//
//   dispatch   (n_rows, 1, 1)
//   requires   n_cols a multiple of 4; WG_SIZE <= 256
//   precision  squares summed in f32
//   cost       reads x twice, the second time from cache; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/norm_add.h"
#include "lib/reduce.glsl"

layout(local_size_x_id = NORM_ADD_WG_SIZE) in;
layout(constant_id = NORM_ADD_HAS_SCALE) const bool HAS_SCALE = true;

layout(binding = NORM_ADD_R) readonly buffer R { vec4 r[]; };
layout(binding = NORM_ADD_X) readonly buffer X { vec4 x[]; };
layout(binding = NORM_ADD_W) readonly buffer W { vec4 w[]; };
layout(binding = NORM_ADD_SCALE) readonly buffer Scale { float scale[]; };
layout(binding = NORM_ADD_Y) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Params { norm_add_params p; };

void main()
{
    const uint n = p.n_cols / 4, base = gl_WorkGroupID.x * n;

    float sum = 0.0;
    [[dont_unroll]] for (uint c = gl_LocalInvocationID.x; c < n; c += gl_WorkGroupSize.x)
        sum += dot(x[base + c], x[base + c]);

    const float norm = inversesqrt(workgroup_sum(sum) / float(p.n_cols) + p.eps);
    const float whole = HAS_SCALE ? scale[0] : 1.0;
    [[dont_unroll]] for (uint c = gl_LocalInvocationID.x; c < n; c += gl_WorkGroupSize.x)
        y[base + c] = (r[base + c] + x[base + c] * norm * w[c]) * whole;
}
