// quant/q2_k.glsl -- Q2_K: 8 bytes of bit pairs per group, then two bytes (scale low, min high nibble) per group, then f16 d and
// dmin per 8 groups.
#define GROUP_SCALES 2
#define GROUP_OFFSETS 1
#define HEAD_GROUPS 8
#define OCTET_WORDS 0
#define CODE_BITS 2
#define CODE_BIAS 0

// d and dmin.
#define HEAD vec2
vec2 load_head(uvec2 row, uint n_groups, uint h)
{
    return unpackHalf2x16(Words(address_plus(row, 10 * n_groups)).v[h]);
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    group.bits.xy = words2_at(row, g);
    const uint pairs = u16_at(address_plus(row, 8 * n_groups), g);
    group.scale = head.x * vec2(int(pairs & 15u), int(pairs >> 8 & 15u));
    group.offset = -head.y * vec2(int(pairs >> 4 & 15u), int(pairs >> 12));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = (j < 2 ? group.bits.x : group.bits.y) >> (4 * (j & 1));
    a = BYTES_UNSIGNED(low, 2);
    b = BYTES_UNSIGNED(low >> 2, 2);
}
