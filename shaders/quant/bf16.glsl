// quant/bf16.glsl -- BF16, the upper half of an F32, as it is.
#define GROUP_SCALES 0
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 1

#define HEAD uint
uint load_head(uvec2 row, uint n_groups, uint h)
{
    return 0;
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    return group;
}

void load_octet(uvec2 row, uint g, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uvec4 w = Words4(row).v[4 * g + j];
    a = uintBitsToFloat(uvec4(w.x << 16, w.x & 0xFFFF0000u, w.y << 16, w.y & 0xFFFF0000u));
    b = uintBitsToFloat(uvec4(w.z << 16, w.z & 0xFFFF0000u, w.w << 16, w.w & 0xFFFF0000u));
}
