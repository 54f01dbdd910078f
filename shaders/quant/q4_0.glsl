// quant/q4_0.glsl -- Q4_0: 16 bytes of nibbles (code - 8, two's complement) per group, then f16 d per group.
#define GROUP_SCALES 1
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 1
#define OCTET_WORDS 1
#define CODE_BITS 4
#define CODE_BIAS 8

#define HEAD uint
uint load_head(uvec2 row, uint n_groups, uint h)
{
    return 0;
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    group.scale = vec2(half_at(address_plus(row, 16 * n_groups), g));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = codes.word[0];
    a = BYTES_SIGNED(low, 4);
    b = BYTES_SIGNED(low >> 4, 4);
}
