// quant/f16.glsl -- F16 as it is.
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
    a = vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
    b = vec4(unpackHalf2x16(w.z), unpackHalf2x16(w.w));
}
