// quant/q6_k.glsl -- Q6_K: 16 bytes of low nibbles per group, then 8 bytes of high bit pairs per group (together code - 32 in two's
// complement), then two int8 scales per group, then f16 d per 8 groups.
#define GROUP_SCALES 2
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 8
#define OCTET_WORDS 1
#define CODE_BITS 6
#define CODE_BIAS 32

// d.
#define HEAD float
float load_head(uvec2 row, uint n_groups, uint h)
{
    return half_at(address_plus(row, 26 * n_groups), h);
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    group.bits.xy = words2_at(address_plus(row, 16 * n_groups), g);
    const int scales = int(u16_at(address_plus(row, 24 * n_groups), g));
    group.scale = head * vec2(bitfieldExtract(scales, 0, 8), bitfieldExtract(scales, 8, 8));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = codes.word[0], high = (j < 2 ? group.bits.x : group.bits.y) >> (4 * (j & 1));
    a = BYTES_SIGNED((low & 0x0F0F0F0Fu) | (high & 0x03030303u) << 4, 6);
    b = BYTES_SIGNED((low >> 4 & 0x0F0F0F0Fu) | (high << 2 & 0x30303030u), 6);
}
