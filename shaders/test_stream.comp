// test_stream.comp -- reads n words4 at a device address and nothing else: what bandwidth a kernel can hope for.
//
//   y  f32 [4096]  written, so that the reads are not left out
//
//   dispatch   (groups, 1, 1); workgroup i reads the i-th of `groups` equal parts, 16 bytes per lane and load
#version 460
#extension GL_GOOGLE_include_directive : require
#include "quant/words.glsl"

layout(local_size_x = 32) in;
layout(binding = 0, std430) writeonly buffer Y {
    float y[];
};
layout(push_constant) uniform Params {
    uint low, high, n_words4, n_parts;
} p;

void main()
{
    Words4 w = Words4(uvec2(p.low, p.high));
    const uint n = p.n_words4 / p.n_parts, first = gl_WorkGroupID.x * n;
    uvec4 sum = uvec4(0);
    [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i + 96 < n; i += 128)
        sum += w.v[first + i] + w.v[first + i + 32] + w.v[first + i + 64] + w.v[first + i + 96];
    y[gl_GlobalInvocationID.x % 4096] = float(sum.x ^ sum.y ^ sum.z ^ sum.w);
}
