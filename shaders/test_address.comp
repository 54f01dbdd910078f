// y[i] += w[i] where w is reached by its device address, for the tests of the gpu room.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require

layout(local_size_x = 64) in;

layout(buffer_reference, buffer_reference_align = 16) readonly buffer Words { uint w[]; };

layout(binding = 0) buffer Y { uint y[]; };
layout(push_constant) uniform Params { uvec2 address; uint n; };

void main()
{
    const uint i = gl_GlobalInvocationID.x;
    if (i < n)
        y[i] += Words(address).w[i];
}
