// quant/q5_1.glsl -- Q5_1: 16 bytes of low nibbles per group, then 4 bytes of high bits per group, then f16 d and m per group.
#define GROUP_SCALES 1
#define GROUP_OFFSETS 1
#define HEAD_GROUPS 1
#define OCTET_WORDS 1
#define CODE_BITS 5
#define CODE_BIAS 0

#define HEAD uint
uint load_head(uvec2 row, uint n_groups, uint h)
{
    return 0;
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    group.bits.x = Words(address_plus(row, 16 * n_groups)).v[g];
    const vec2 dm = unpackHalf2x16(Words(address_plus(row, 20 * n_groups)).v[g]);
    group.scale = vec2(dm.x);
    group.offset = vec2(dm.y);
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = codes.word[0], high = group.bits.x >> (2 * j);
    a = BYTES_UNSIGNED((low & 0x0F0F0F0Fu) | (high & 0x01010101u) << 4, 5);
    b = BYTES_UNSIGNED((low >> 4 & 0x0F0F0F0Fu) | (high << 3 & 0x10101010u), 5);
}
