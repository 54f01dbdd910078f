// quant/q8_0.glsl -- Q8_0: 32 bytes of codes per group, then f16 d per group.
#define GROUP_SCALES 1
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 1
#define OCTET_WORDS 2
#define CODE_BITS 8
#define CODE_BIAS 128

#define HEAD uint
uint load_head(uvec2 row, uint n_groups, uint h)
{
    return 0;
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    group.scale = vec2(half_at(address_plus(row, 32 * n_groups), g));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    a = BYTES_SIGNED(codes.word[0], 8);
    b = BYTES_SIGNED(codes.word[1], 8);
}
