// add_norm.comp -- lib/add_norm.glsl, one row per workgroup.
//
//   dispatch   (n_rows, 1, 1)
//   requires   WG_SIZE <= 256
//   cost       reads x three times, twice of them from cache; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/add_norm.h"

layout(local_size_x_id = 0) in;
layout(push_constant) uniform Params { add_norm_params step; } p;

#include "lib/add_norm.glsl"

void main()
{
    step_row(gl_WorkGroupID.x);
}
