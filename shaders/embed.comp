// embed.comp -- y[t] = scale * W[ids[t]], one octet of columns per lane.
//
//   W    one of the weight formats, rows at w + r * row_bytes (device address), read
//   ids  u32 [n_tokens]                  read
//   y    f32 [n_tokens][32 * n_groups]   written where ids[t] lies in this segment
//
//   dispatch   (4 * n_groups / WG_SIZE rounded up, n_tokens, 1)
//   precision  f32; the decoded weight times scale
//   cost       one row per token; launch-bound
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/embed.h"
#include "quant/weights.glsl"

layout(local_size_x_id = EMBED_WG_SIZE) in;

layout(binding = EMBED_IDS, std430) readonly buffer Ids {
    uint ids[];
};
layout(binding = EMBED_Y, std430) writeonly buffer Y {
    vec4 y[];
};
layout(push_constant) uniform Params {
    embed_params p;
};

void main()
{
    const uint octet = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
    const uint row = ids[t] - p.first_row; // wraps for rows before the segment, which fails the test below as well
    if (octet >= 4 * p.n_groups || row >= p.n_rows)
        return;

    const uint g = octet / 4;
    const uvec2 at = address_plus(uvec2(p.w_low, p.w_high), row * p.row_bytes);
    vec4 a, b;
    load_weights(at, g, octet % 4, load_group(at, p.n_groups, g, load_head(at, p.n_groups, g / HEAD_GROUPS)), a, b);
    y[(t * p.n_groups * 4 + octet) * 2] = a * p.scale;
    y[(t * p.n_groups * 4 + octet) * 2 + 1] = b * p.scale;
}
