// y[i] = scale * x[i] + bias, for the tests of the gpu room. `rounds` repeats the work to make it long.
//
// f32 x[n], y[n]; one thread per element, workgroups along all three dimensions of a fixed, declared grid.
#version 460

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const float BIAS = 0.0;

layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) writeonly buffer Y { float y[]; };
layout(push_constant) uniform Params { uint n, rounds, grid_x, grid_y; float scale; };

void main()
{
    // Not gl_NumWorkGroups: a slice of a grid sees its own size there.
    const uint group = (gl_WorkGroupID.z * grid_y + gl_WorkGroupID.y) * grid_x + gl_WorkGroupID.x;
    const uint i = group * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (i >= n)
        return;
    float value = x[i];
    for (uint k = 1; k < rounds; ++k)
        value = value * 1.0000001 + 1e-9;
    y[i] = scale * value + BIAS;
}
