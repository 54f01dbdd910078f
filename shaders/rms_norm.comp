// rms_norm.comp -- y = x / sqrt(mean(x^2) + eps) * w, one row per workgroup.
//
//   x  f32 [n_rows][n_cols]  read
//   w  f32 [n_cols]          read; ignored when HAS_WEIGHT is false
//   y  f32 [n_rows][n_cols]  written
//
//   dispatch   (n_rows, 1, 1)
//   requires   n_cols a multiple of 4; WG_SIZE <= 256
//   precision  squares summed in f32
//   cost       reads x twice, the second time from cache; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/rms_norm.h"
#include "lib/reduce.glsl"

layout(local_size_x_id = RMS_NORM_WG_SIZE) in;
layout(constant_id = RMS_NORM_HAS_WEIGHT) const bool HAS_WEIGHT = true;

layout(binding = RMS_NORM_X) readonly buffer X { vec4 x[]; };
layout(binding = RMS_NORM_W) readonly buffer W { vec4 w[]; };
layout(binding = RMS_NORM_Y) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Params { rms_norm_params p; };

void main()
{
    const uint n = p.n_cols / 4, base = gl_WorkGroupID.x * n;

    float sum = 0.0;
    [[dont_unroll]] for (uint c = gl_LocalInvocationID.x; c < n; c += gl_WorkGroupSize.x)
        sum += dot(x[base + c], x[base + c]);

    const float scale = inversesqrt(workgroup_sum(sum) / float(p.n_cols) + p.eps);
    [[dont_unroll]] for (uint c = gl_LocalInvocationID.x; c < n; c += gl_WorkGroupSize.x)
        y[base + c] = x[base + c] * scale * (HAS_WEIGHT ? w[c] : vec4(1.0));
}
