// quant/q5_0.glsl -- Q5_0: 16 bytes of low nibbles per group, then 4 bytes of high bits per group (together code - 16 in
// two's complement), then f16 d per group.
#define GROUP_SCALES 1
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 1
#define OCTET_WORDS 1
#define CODE_BITS 5
#define CODE_BIAS 16

#define HEAD uint
uint load_head(uvec2 row, uint n_groups, uint h)
{
    return 0;
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    group.bits.x = Words(address_plus(row, 16 * n_groups)).v[g];
    group.scale = vec2(half_at(address_plus(row, 20 * n_groups), g));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = codes.word[0], high = group.bits.x >> (2 * j);
    a = BYTES_SIGNED((low & 0x0F0F0F0Fu) | (high & 0x01010101u) << 4, 5);
    b = BYTES_SIGNED((low >> 4 & 0x0F0F0F0Fu) | (high << 3 & 0x10101010u), 5);
}
