// quant/f32.glsl -- F32 as it is.
#define GROUP_SCALES 0
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 1
#define OCTET_WORDS 8
#define CODE_BITS 0
#define CODE_BIAS 0

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

void decode_octet(octet_codes codes, uint j, weight_group group, out vec4 a, out vec4 b)
{
    a = uintBitsToFloat(uvec4(codes.word[0], codes.word[1], codes.word[2], codes.word[3]));
    b = uintBitsToFloat(uvec4(codes.word[4], codes.word[5], codes.word[6], codes.word[7]));
}
