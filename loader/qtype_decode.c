// loader/qtype_decode.c -- every weight format decoded plainly: the twin that kernels are measured against, and the
// reader for small jobs on the host.
//
// Each decoder begins with its block's layout: what lies at which byte. `half` is a 16-bit float, s8 a signed byte, `d`
// the scale of the block. Products are formed in the order (d * scale) * code, as the formats' own encoders assume.
#include "loader/qtype_decode.h"

#include "loader/little_endian.h"

#define BLOCK 32        // weights in a small block
#define SUPER_BLOCK 256 // weights in a super-block

static float load_half(const uint8_t *p)
{
    return qtype_half_to_float(load_u16(p));
}

// ------------------------------------------------------------------------------------------------ plain numbers

void qtype_decode_F32(float *out, const uint8_t *blocks, size_t n_blocks)
{
    for (size_t i = 0; i < n_blocks; ++i)
        out[i] = load_f32(blocks + 4 * i);
}

void qtype_decode_F16(float *out, const uint8_t *blocks, size_t n_blocks)
{
    for (size_t i = 0; i < n_blocks; ++i)
        out[i] = load_half(blocks + 2 * i);
}

// The upper half of a float.
void qtype_decode_BF16(float *out, const uint8_t *blocks, size_t n_blocks)
{
    for (size_t i = 0; i < n_blocks; ++i)
        out[i] = float_of_bits((uint32_t)load_u16(blocks + 2 * i) << 16);
}

// ------------------------------------------------------------------------------------------------ blocks of 32
// Four-bit codes lie in 16 bytes: weight i < 16 is the low nibble of byte i, weight i + 16 the high nibble.

// 0: half d, 2: s8 codes[32]
void qtype_decode_Q8_0(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 34, out += BLOCK) {
        const float d = load_half(b);
        for (int i = 0; i < 32; ++i)
            out[i] = d * (float)(int8_t)b[2 + i];
    }
}

// 0: half d, 2: codes; value d * (code - 8)
void qtype_decode_Q4_0(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 18, out += BLOCK) {
        const float d = load_half(b);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * (float)((b[2 + i] & 15) - 8);
            out[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
        }
    }
}

// 0: half d, 2: half m, 4: codes; value d * code + m
void qtype_decode_Q4_1(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 20, out += BLOCK) {
        const float d = load_half(b), m = load_half(b + 2);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * (float)(b[4 + i] & 15) + m;
            out[i + 16] = d * (float)(b[4 + i] >> 4) + m;
        }
    }
}

// The fifth bits of a block are one 32-bit number: bit i belongs to weight i.
static int code5(int low, uint32_t fifth_bits, int i)
{
    return low | (int)(fifth_bits >> i & 1) << 4;
}

// 0: half d, 2: u32 fifth bits, 6: codes; value d * (code - 16)
void qtype_decode_Q5_0(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 22, out += BLOCK) {
        const float d = load_half(b);
        const uint32_t fifth_bits = load_u32(b + 2);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * (float)(code5(b[6 + i] & 15, fifth_bits, i) - 16);
            out[i + 16] = d * (float)(code5(b[6 + i] >> 4, fifth_bits, i + 16) - 16);
        }
    }
}

// 0: half d, 2: half m, 4: u32 fifth bits, 8: codes; value d * code + m
void qtype_decode_Q5_1(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 24, out += BLOCK) {
        const float d = load_half(b), m = load_half(b + 2);
        const uint32_t fifth_bits = load_u32(b + 4);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * (float)code5(b[8 + i] & 15, fifth_bits, i) + m;
            out[i + 16] = d * (float)code5(b[8 + i] >> 4, fifth_bits, i + 16) + m;
        }
    }
}

// Codes of the IQ4 formats are indices into this uneven ladder.
static const int8_t iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

// 0: half d, 2: codes
void qtype_decode_IQ4_NL(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 18, out += BLOCK) {
        const float d = load_half(b);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * (float)iq4_values[b[2 + i] & 15];
            out[i + 16] = d * (float)iq4_values[b[2 + i] >> 4];
        }
    }
}

// Twice the sixteen values of a four-bit float (1 sign, 2 exponent, 1 fraction bit), so that they are whole numbers.
static const int8_t e2m1_doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

// 0: exponent e, 1: codes; value 2^(e - 128) * doubled. The standard calls e = 255 not a number; files do not use it,
// and like other readers this one lets it be the next power of two.
void qtype_decode_MXFP4(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 17, out += BLOCK) {
        // The two smallest scales are subnormal: their exponent is a place in the fraction.
        const float scale = float_of_bits(b[0] < 2 ? 0x00200000u << b[0] : (uint32_t)(b[0] - 1) << 23);
        for (int i = 0; i < 16; ++i) {
            out[i] = scale * (float)e2m1_doubled[b[1 + i] & 15];
            out[i + 16] = scale * (float)e2m1_doubled[b[1 + i] >> 4];
        }
    }
}

// ------------------------------------------------------------------------------------------------ blocks of 256

// 0: scales[16] (low nibble scale, high nibble minimum; one per 16 weights), 16: codes[64], 80: half d, 82: half dmin.
// Weight 128 n + 32 j + l has the code at bits 2 j of codes[32 n + l].
void qtype_decode_Q2_K(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 84, out += SUPER_BLOCK) {
        const float d = load_half(b + 80), dmin = load_half(b + 82);
        for (int i = 0; i < 256; ++i) {
            const int n = i >> 7, j = i >> 5 & 3, l = i & 31;
            const int code = b[16 + 32 * n + l] >> 2 * j & 3, scales = b[i >> 4];
            out[i] = d * (float)(scales & 15) * (float)code - dmin * (float)(scales >> 4);
        }
    }
}

// The six-bit scale of sub-block s of a Q3_K block: low four bits in bytes 0..7, high two in bytes 8..11.
static int scale_q3(const uint8_t scales[12], int s)
{
    const int low = scales[s & 7] >> 4 * (s >> 3) & 15, high = scales[8 + (s & 3)] >> 2 * (s >> 2) & 3;
    return (low | high << 4) - 32;
}

// 0: third bits[32], 32: low codes[64], 96: scales[12], 108: half d. Weight 128 n + 32 j + l has its low code at bits
// 2 j of codes[32 n + l] and its third bit at bit 4 n + j of third[l]; a third bit of 0 subtracts 4.
void qtype_decode_Q3_K(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 110, out += SUPER_BLOCK) {
        const float d = load_half(b + 108);
        for (int i = 0; i < 256; ++i) {
            const int n = i >> 7, j = i >> 5 & 3, l = i & 31;
            const int low = b[32 + 32 * n + l] >> 2 * j & 3, third = b[l] >> (4 * n + j) & 1;
            out[i] = d * (float)scale_q3(b + 96, i >> 4) * (float)(low - (third ? 0 : 4));
        }
    }
}

// The six-bit scale and minimum of group g of a Q4_K or Q5_K block. Groups 0..3 lie plainly; the later ones are spread
// over the four last bytes and the top bits of the others.
static void scale_and_min(const uint8_t s[12], int g, int *scale, int *min)
{
    if (g < 4) {
        *scale = s[g] & 63;
        *min = s[g + 4] & 63;
    } else {
        *scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        *min = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}

// 0: half d, 2: half dmin, 4: scales[12], 16: codes[128]. Group g of 32 weights has the codes 32 (g / 2) + l, low
// nibbles for even groups; value (d * scale) * code - dmin * min
void qtype_decode_Q4_K(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 144) {
        const float d = load_half(b), dmin = load_half(b + 2);
        for (int g = 0; g < 8; ++g, out += 32) {
            int scale, min;
            scale_and_min(b + 4, g, &scale, &min);
            const uint8_t *codes = b + 16 + 32 * (g >> 1);
            for (int l = 0; l < 32; ++l)
                out[l] = d * (float)scale * (float)(codes[l] >> 4 * (g & 1) & 15) - dmin * (float)min;
        }
    }
}

// As Q4_K, with bit g of fifth[l] above the code. 0: half d, 2: half dmin, 4: scales[12], 16: fifth[32], 48: codes[128]
void qtype_decode_Q5_K(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 176) {
        const float d = load_half(b), dmin = load_half(b + 2);
        for (int g = 0; g < 8; ++g, out += 32) {
            int scale, min;
            scale_and_min(b + 4, g, &scale, &min);
            const uint8_t *codes = b + 48 + 32 * (g >> 1), *fifth = b + 16;
            for (int l = 0; l < 32; ++l) {
                const int code = (codes[l] >> 4 * (g & 1) & 15) | (fifth[l] >> g & 1) << 4;
                out[l] = d * (float)scale * (float)code - dmin * (float)min;
            }
        }
    }
}

// 0: low codes[128], 128: high codes[64], 192: s8 scales[16], 208: half d. Weight 128 n + 32 k + l has its low four
// bits in low[64 n + 32 (k % 2) + l], the high nibble for k >= 2, and its high two at bits 2 k of high[32 n + l].
void qtype_decode_Q6_K(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 210, out += SUPER_BLOCK) {
        const float d = load_half(b + 208);
        for (int i = 0; i < 256; ++i) {
            const int n = i >> 7, k = i >> 5 & 3, l = i & 31;
            const int low = b[64 * n + 32 * (k & 1) + l] >> 4 * (k >> 1) & 15;
            const int high = b[128 + 32 * n + l] >> 2 * k & 3;
            out[i] = d * (float)(int8_t)b[192 + (i >> 4)] * (float)((low | high << 4) - 32);
        }
    }
}

// 0: half d, 2: u16 high scale bits, 4: low scale nibbles[4], 8: codes[128]. Each group g of 32 weights is laid out
// like an IQ4_NL block in codes[16 g ..] and has a six-bit scale that counts from -32.
void qtype_decode_IQ4_XS(float *out, const uint8_t *b, size_t n_blocks)
{
    for (; n_blocks > 0; --n_blocks, b += 136) {
        const float d = load_half(b);
        const int high_scales = load_u16(b + 2);
        for (int g = 0; g < 8; ++g, out += 32) {
            const int scale = (b[4 + (g >> 1)] >> 4 * (g & 1) & 15) | (high_scales >> 2 * g & 3) << 4;
            const uint8_t *codes = b + 8 + 16 * g;
            for (int l = 0; l < 16; ++l) {
                out[l] = d * (float)(scale - 32) * (float)iq4_values[codes[l] & 15];
                out[l + 16] = d * (float)(scale - 32) * (float)iq4_values[codes[l] >> 4];
            }
        }
    }
}
