// quant/f32.glsl -- F32 as it is.
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
    a = uintBitsToFloat(Words4(row).v[8 * g + 2 * j]);
    b = uintBitsToFloat(Words4(row).v[8 * g + 2 * j + 1]);
}
