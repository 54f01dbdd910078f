// heads.comp -- lib/heads.glsl over all heads of a step.
//
//   dispatch   (n_items / per_group rounded up, 1, 1); a workgroup takes per_group heads, one after the other
//   cost       reads x twice, the second time from cache; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/heads.h"

layout(local_size_x_id = 0) in;
layout(push_constant) uniform Params { heads_alone_params p; };

#include "lib/heads.glsl"

void main()
{
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_items);
    [[dont_unroll]] for (uint item = begin; item < end; ++item)
        step_head(item / p.step.n_heads, item % p.step.n_heads);
}
