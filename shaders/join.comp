// join.comp -- lib/join.glsl, one token per workgroup.
//
//   dispatch   (n_tokens, 1, 1)
//   requires   WG_SIZE <= 256
//   cost       reads its rows four times, three times of them from cache; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/join.h"

layout(local_size_x_id = 0) in;
layout(push_constant) uniform Params { join_params step; } p;

#include "lib/join.glsl"

void main()
{
    step_row(gl_WorkGroupID.x);
}
