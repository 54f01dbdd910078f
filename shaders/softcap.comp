// softcap.comp -- y = cap * tanh(x / cap).
//
//   x  f32 [n]  read
//   y  f32 [n]  written
//
//   dispatch   (n / per_group rounded up, 1, 1); a workgroup takes per_group consecutive elements
//   precision  the argument of tanh is clamped to +-20, where some drivers overflow; small ones, where others cancel,
//              go by its series
//   cost       8 bytes per element
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/softcap.h"

layout(local_size_x_id = SOFTCAP_WG_SIZE) in;

layout(binding = SOFTCAP_X) readonly buffer X { float x[]; };
layout(binding = SOFTCAP_Y) writeonly buffer Y { float y[]; };
layout(push_constant) uniform Params { softcap_params p; };

float soft(float x)
{
    const float s = x * x;
    if (s < 0.04)
        return x * (1.0 - s * (1.0 / 3.0 - s * (2.0 / 15.0 - s * (17.0 / 315.0))));
    return tanh(clamp(x, -20.0, 20.0));
}

void main()
{
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n);
    [[dont_unroll]] for (uint i = begin + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x)
        y[i] = p.cap * soft(x[i] / p.cap);
}
