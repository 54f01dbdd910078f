// head_norm.comp -- y = rope(x / sqrt(mean(x^2) + eps) * w), per head.
//
//   x     f32 [n_tokens][n_heads][head_size]  read
//   w     f32 [head_size]                     read
//   rope  f32x2 [2][512][n_pairs]             read; see lib/rope.glsl
//   step  u32 [4]                             read; the first token's position
//   y     f32 [n_tokens][n_heads][head_size]  written
//
//   dispatch   (n_items / per_group rounded up, 1, 1); a workgroup takes per_group heads, one after the other
//   requires   head_size even; pairs from n_pairs on pass through unturned
//   precision  f32; the rotation is as good as f32 at every position
//   cost       reads x twice, the second time from cache; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/head_norm.h"
#define ROPE_TABLE HEAD_NORM_ROPE
#include "lib/reduce.glsl"
#include "lib/rope.glsl"

layout(local_size_x_id = HEAD_NORM_WG_SIZE) in;

layout(binding = HEAD_NORM_X) readonly buffer X { float x[]; };
layout(binding = HEAD_NORM_W) readonly buffer W { float w[]; };
layout(binding = HEAD_NORM_STEP) readonly buffer Step { uint first_position; };
layout(binding = HEAD_NORM_Y) writeonly buffer Y { float y[]; };
layout(push_constant) uniform Params { head_norm_params p; };

void main()
{
    const uint half_size = p.head_size / 2;
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_items);
    [[dont_unroll]] for (uint item = begin; item < end; ++item) {
        const uint base = item * p.head_size;
        const uint position = first_position + item / p.n_heads;

        float sum = 0.0;
        [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < p.head_size; i += gl_WorkGroupSize.x)
            sum += x[base + i] * x[base + i];
        const float scale = inversesqrt(workgroup_sum(sum) / float(p.head_size) + p.eps);

        [[dont_unroll]] for (uint j = gl_LocalInvocationID.x; j < half_size; j += gl_WorkGroupSize.x) {
            vec2 pair = scale * vec2(x[base + j] * w[j], x[base + j + half_size] * w[j + half_size]);
            if (j < p.n_pairs)
                pair = rope_apply(rope_turn(position, p.n_pairs, j), pair.x, pair.y);
            y[base + j] = pair.x;
            y[base + j + half_size] = pair.y;
        }
    }
}
