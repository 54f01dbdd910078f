// quant/weights.glsl -- the weight format chosen by -DFORMAT_<NAME>, read in groups of 32 along a row.
//
// Every quant/<name>.glsl says
//     GROUP_SCALES   how many scales a group has: 0 (codes are the weights), 1, or 2 (one per 16 weights)
//     GROUP_OFFSETS  1 when a weight is code * scale + offset, 0 when it is code * scale
//     HEAD_GROUPS    groups that share a head: 8 for the 256-weight formats, else 1
//     OCTET_WORDS    words that the codes of 8 weights take in the row's first plane: 1, 2, 4 or 8, or 0 where
//                    load_group() has read them
//     CODE_BITS      bits of a code that decode_octet() takes from a byte, 0 where it makes numbers in another way
//     CODE_BIAS      what codes are too large by where they are read with -DCODES_IN_PLACE (words.glsl)
// and defines
//     HEAD load_head(row, n_groups, h)                  what the groups h * HEAD_GROUPS ... share
//     weight_group load_group(row, n_groups, g, head)   what the 32 weights of a group share
//     decode_octet(codes, j, group, a, b)               the codes 8 j .. 8 j + 7 of the group, as f32
// where `row` is the device address of the row. Rows are laid out by ops/pack.c: planes, one after the other. Kernels
// that keep an octet at a time stay small, which software devices need: their compilers take seconds for long bodies.
#include "quant/words.glsl"

struct weight_group {
    vec2 scale, offset; // for the first and the last 16 weights
    uvec4 bits;         // what the format's decode_octet() wants to have at hand
};

struct octet_codes {
    uint word[8]; // OCTET_WORDS of them
};

#if defined(FORMAT_F32)
#include "quant/f32.glsl"
#elif defined(FORMAT_F16)
#include "quant/f16.glsl"
#elif defined(FORMAT_BF16)
#include "quant/bf16.glsl"
#elif defined(FORMAT_Q8_0)
#include "quant/q8_0.glsl"
#elif defined(FORMAT_Q4_0)
#include "quant/q4_0.glsl"
#elif defined(FORMAT_Q4_1)
#include "quant/q4_1.glsl"
#elif defined(FORMAT_Q5_0)
#include "quant/q5_0.glsl"
#elif defined(FORMAT_Q5_1)
#include "quant/q5_1.glsl"
#elif defined(FORMAT_Q4_K)
#include "quant/q4_k.glsl"
#elif defined(FORMAT_Q5_K)
#include "quant/q5_k.glsl"
#elif defined(FORMAT_Q6_K)
#include "quant/q6_k.glsl"
#elif defined(FORMAT_Q2_K)
#include "quant/q2_k.glsl"
#elif defined(FORMAT_Q3_K)
#include "quant/q3_k.glsl"
#elif defined(FORMAT_IQ4_NL)
#include "quant/iq4_nl.glsl"
#elif defined(FORMAT_IQ4_XS)
#include "quant/iq4_xs.glsl"
#elif defined(FORMAT_MXFP4)
#include "quant/mxfp4.glsl"
#else
#error "compile with -DFORMAT_<NAME>"
#endif

#ifdef CODES_IN_PLACE
// What makes number k of a or b of decode_octet() a code plus CODE_BIAS.
float code_factor(uint k)
{
    return CODE_BITS == 0 || (CODE_BITS == 8 && k == 3) ? 1 : 1.0 / float(1u << (8 * k));
}
#endif

void load_octet(uvec2 row, uint g, uint j, weight_group group, out vec4 a, out vec4 b)
{
    octet_codes codes;
    const uint octet = 4 * g + j;
#if OCTET_WORDS == 1
    codes.word[0] = Words(row).v[octet];
#elif OCTET_WORDS == 2
    const uvec2 w = Words2(row).v[octet];
    codes.word[0] = w.x;
    codes.word[1] = w.y;
#else
    for (uint i = 0; i < OCTET_WORDS; i += 4) {
        const uvec4 w = Words4(row).v[(OCTET_WORDS * octet + i) / 4];
        codes.word[i] = w.x;
        codes.word[i + 1] = w.y;
        codes.word[i + 2] = w.z;
        codes.word[i + 3] = w.w;
    }
#endif
    decode_octet(codes, j, group, a, b);
}

// Codes to weights.
void scale_octet(uint j, weight_group group, inout vec4 a, inout vec4 b)
{
#if GROUP_SCALES > 0
    const float scale = GROUP_SCALES == 1 || j < 2 ? group.scale.x : group.scale.y;
    a *= scale;
    b *= scale;
#endif
#if GROUP_OFFSETS
    const float offset = GROUP_SCALES == 1 || j < 2 ? group.offset.x : group.offset.y;
    a += offset;
    b += offset;
#endif
}

// The weights 8 j .. 8 j + 7 of a group.
void load_weights(uvec2 row, uint g, uint j, weight_group group, out vec4 a, out vec4 b)
{
    load_octet(row, g, j, group, a, b);
    scale_octet(j, group, a, b);
}
