// copy.comp -- y = x: what a kernel that does nothing else gets out of the memory.
//
//   x  u32x4 [n]  read
//   y  u32x4 [n]  written
//
//   dispatch   (n / per_group rounded up, 1, 1); a workgroup takes per_group consecutive elements
//   requires   nothing
//   precision  bytes are copied
//   cost       32 bytes per element; four loads are under way per lane
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/copy.h"

layout(local_size_x_id = COPY_WG_SIZE) in;

layout(binding = COPY_X, std430) restrict readonly buffer X { uvec4 x[]; };
layout(binding = COPY_Y, std430) restrict writeonly buffer Y { uvec4 y[]; };
layout(push_constant) uniform Params { copy_params p; };

void main()
{
    const uint size = gl_WorkGroupSize.x, end = min((gl_WorkGroupID.x + 1) * p.per_group, p.n);
    uint i = gl_WorkGroupID.x * p.per_group + gl_LocalInvocationID.x;
    [[dont_unroll]] for (; i + 3 * size < end; i += 4 * size) {
        const uvec4 a = x[i], b = x[i + size], c = x[i + 2 * size], d = x[i + 3 * size];
        y[i] = a;
        y[i + size] = b;
        y[i + 2 * size] = c;
        y[i + 3 * size] = d;
    }
    [[dont_unroll]] for (; i < end; i += size)
        y[i] = x[i];
}
