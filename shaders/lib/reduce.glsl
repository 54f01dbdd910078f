// lib/reduce.glsl -- sums over a workgroup, for any subgroup size.
//
// Every invocation must call, in uniform control flow. The result is the same in all of them.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_EXT_control_flow_attributes : require

shared vec2 reduce_parts[256];

vec2 workgroup_sum(vec2 value)
{
    const vec2 part = subgroupAdd(value);
    barrier(); // the parts of the call before may still be read
    if (subgroupElect())
        reduce_parts[gl_SubgroupID] = part;
    barrier();
    vec2 sum = vec2(0.0);
    [[dont_unroll]] for (uint i = 0; i < gl_NumSubgroups; ++i)
        sum += reduce_parts[i];
    return sum;
}

float workgroup_sum(float value)
{
    return workgroup_sum(vec2(value, 0.0)).x;
}
