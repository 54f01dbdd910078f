// quant/mxfp4.glsl -- MXFP4: 16 bytes of nibbles per group, then an exponent byte per group.
#define GROUP_SCALES 1
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 1
#define OCTET_WORDS 1
#define CODE_BITS 0
#define CODE_BIAS 0

// Twice the E2M1 number in the low four bits: 0 1 2 3 4 6 8 12 and their negatives.
float e2m1_doubled(uint code)
{
    const uint exponent = code >> 1 & 3u, mantissa = code & 1u;
    const uint size = exponent == 0 ? mantissa : (2u | mantissa) << (exponent - 1);
    return float((code & 8u) == 0 ? int(size) : -int(size));
}

vec4 e2m1_doubled_bytes(uint w)
{
    return vec4(e2m1_doubled(w), e2m1_doubled(w >> 8), e2m1_doubled(w >> 16), e2m1_doubled(w >> 24));
}

#define HEAD uint
uint load_head(uvec2 row, uint n_groups, uint h)
{
    return 0;
}

weight_group load_group(uvec2 row, uint n_groups, uint g, HEAD head)
{
    weight_group group;
    // 2^(e - 128); e = 0 and 1 are the subnormals 2^-128 and 2^-127.
    const uint e = Words(address_plus(row, 16 * n_groups)).v[g >> 2] >> (8 * (g & 3)) & 255u;
    group.scale = vec2(uintBitsToFloat(e < 2 ? 0x00200000u << e : (e - 1) << 23));
    return group;
}

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    const uint low = codes.word[0];
    a = e2m1_doubled_bytes(low);
    b = e2m1_doubled_bytes(low >> 4);
}
