// route.comp -- lib/route.glsl over all tokens of a step.
//
//   dispatch   (n_tokens / per_group rounded up, 1, 1); a workgroup takes per_group tokens, one after the other
//   cost       n_experts^2 comparisons per token in shared memory
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/route.h"

layout(local_size_x_id = 0) in;
layout(push_constant) uniform Params { route_alone_params p; };

#include "lib/route.glsl"

void main()
{
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_tokens);
    [[dont_unroll]] for (uint token = begin; token < end; ++token)
        step_row(token);
}
