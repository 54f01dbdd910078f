// quant/q3_k.glsl -- Q3_K: 8 bytes of low bit pairs per group, then 4 bytes of high bits per group (together code - 4 in two's
// complement), then two int8 scales per group, then f16 d per 8 groups.
#define GROUP_SCALES 2
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 8
#define OCTET_WORDS 0
#define CODE_BITS 3
#define CODE_BIAS 4

// d.
#define HEAD float
float load_head(uvec2 row, uint n_groups, uint h)
{
    return half_at(address_plus(row, 14 * n_groups), h);
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    group.bits.xy = words2_at(row, g);
    group.bits.z = Words(address_plus(row, 8 * n_groups)).v[g];
    const int scales = int(u16_at(address_plus(row, 12 * n_groups), g));
    group.scale = head * vec2(bitfieldExtract(scales, 0, 8), bitfieldExtract(scales, 8, 8));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = (j < 2 ? group.bits.x : group.bits.y) >> (4 * (j & 1)), high = group.bits.z >> (2 * j);
    a = BYTES_SIGNED((low & 0x03030303u) | (high & 0x01010101u) << 2, 3);
    b = BYTES_SIGNED((low >> 2 & 0x03030303u) | (high << 1 & 0x04040404u), 3);
}
