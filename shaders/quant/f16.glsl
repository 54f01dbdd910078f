// quant/f16.glsl -- F16 as it is.
#define GROUP_SCALES 0
#define GROUP_OFFSETS 0
#define HEAD_GROUPS 1
#define OCTET_WORDS 4
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
    a = vec4(unpackHalf2x16(codes.word[0]), unpackHalf2x16(codes.word[1]));
    b = vec4(unpackHalf2x16(codes.word[2]), unpackHalf2x16(codes.word[3]));
}
