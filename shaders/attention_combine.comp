// attention_combine.comp -- joins what attention.comp found in the splits of the keys.
//
//   parts  f32 [n_splits][n_rows][head_size + 2]  read: sums of a split, its largest score, its weight
//   y      f32 [n_rows][head_size]                written
//
//   dispatch   (n_rows / per_group rounded up, 1, 1); a workgroup takes per_group rows, one after the other
//   precision  f32; a split without keys has weight zero
//   cost       reads parts once
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/attention_combine.h"

layout(local_size_x_id = ATTENTION_COMBINE_WG_SIZE) in;

layout(binding = ATTENTION_COMBINE_PARTS) readonly buffer Parts { vec2 parts[]; };
layout(binding = ATTENTION_COMBINE_Y) writeonly buffer Y { vec2 y[]; };
layout(push_constant) uniform Params { attention_combine_params p; };

void main()
{
    const uint size = p.head_size / 2, stride = size + 1;
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_rows);
    [[dont_unroll]] for (uint row = begin; row < end; ++row) {
        float largest = -1e30;
        [[dont_unroll]] for (uint s = 0; s < p.n_splits; ++s)
            largest = max(largest, parts[(s * p.n_rows + row) * stride + size].x);

        [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < size; i += gl_WorkGroupSize.x) {
            vec2 sum = vec2(0.0);
            float weight = 0.0;
            [[dont_unroll]] for (uint s = 0; s < p.n_splits; ++s) {
                const uint at = (s * p.n_rows + row) * stride;
                const vec2 stats = parts[at + size];
                const float share = stats.y > 0.0 ? exp(stats.x - largest) : 0.0;
                sum += share * parts[at + i];
                weight += share * stats.y;
            }
            y[row * size + i] = sum / max(weight, 1e-30);
        }
    }
}
