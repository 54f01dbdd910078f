// quant/iq4_xs.glsl -- IQ4_XS: 16 bytes of nibbles per group, then 8 bytes per 8 groups: f16 d, 8 x 2 high and 8 x 4 low scale bits.
#include "quant/iq4.glsl"

#define GROUP_SCALES 1
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 8
#define OCTET_WORDS 1
#define CODE_BITS 0
#define CODE_BIAS 0

// d and the high scale bits, then the low scale bits.
#define HEAD uvec2
uvec2 load_head(uvec2 row, uint n_groups, uint h)
{
    return words2_at(address_plus(row, 16 * n_groups), h);
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    const uint k = g & 7;
    const uint scale = (head.y >> (4 * k) & 15u) | (head.x >> (16 + 2 * k) & 3u) << 4;
    group.scale = vec2(unpackHalf2x16(head.x).x * float(int(scale) - 32));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = codes.word[0];
    a = iq4_levels(low);
    b = iq4_levels(low >> 4);
}
