// tests/unit/test_pack.c -- packed rows hold the same weights as the file's blocks.
//
// The decoder here addresses single weights in the layout that pack.h describes; it shares nothing with pack.c but the
// description, and its arithmetic follows the kernels' (code * scale + offset in two's complement).
#include <stdlib.h>

#include "ops/pack.h"
#include "test.h"

static uint32_t bits_at(const uint8_t *bytes, uint64_t bit, uint32_t n_bits)
{
    uint32_t word = 0;
    for (uint32_t i = 0; i < n_bits; ++i)
        word |= (uint32_t)(bytes[(bit + i) / 8] >> ((bit + i) % 8) & 1) << i;
    return word;
}

static int32_t sign_extend(uint32_t value, uint32_t n_bits)
{
    return (int32_t)(value << (32 - n_bits)) >> (32 - n_bits);
}

static float half_at(const uint8_t *bytes)
{
    return qtype_half_to_float((uint16_t)(bytes[0] | bytes[1] << 8));
}

// How the planes of a format look, in bits per code and bytes.
struct layout {
    enum qtype type;
    uint32_t low_bits, high_bits, scale_bytes, head_bytes;
    bool is_signed;
};

static const struct layout layouts[] = {
    { QTYPE_Q8_0, 8, 0, 2, 0, true },   { QTYPE_Q4_0, 4, 0, 2, 0, true },    { QTYPE_Q4_1, 4, 0, 4, 0, false },
    { QTYPE_Q5_0, 4, 1, 2, 0, true },   { QTYPE_Q5_1, 4, 1, 4, 0, false },   { QTYPE_Q4_K, 4, 0, 0, 16, false },
    { QTYPE_Q5_K, 4, 1, 0, 16, false }, { QTYPE_Q6_K, 4, 2, 2, 2, true },    { QTYPE_Q2_K, 2, 0, 2, 4, false },
    { QTYPE_Q3_K, 2, 1, 2, 2, true },   { QTYPE_IQ4_NL, 4, 0, 2, 0, false }, { QTYPE_IQ4_XS, 4, 0, 0, 8, false },
    { QTYPE_MXFP4, 4, 0, 1, 0, false },
};

// Code i of a group: fours of codes take turns in the bytes of a word.
static uint32_t plane_code(const uint8_t *group, uint32_t n_bits, uint32_t i)
{
    const uint32_t codes_per_byte = 8 / n_bits, per_word = 4 * codes_per_byte;
    const uint32_t word = i / per_word, in_word = i % per_word;
    return bits_at(group, 32 * word + 8 * (in_word % 4) + n_bits * (in_word / 4), n_bits);
}

static void six_bit_pair(const uint8_t *s, uint32_t g, uint32_t *scale, uint32_t *min)
{
    *scale = g < 4 ? s[g] & 63u : (s[g + 4] & 15u) | (uint32_t)(s[g - 4] >> 6) << 4;
    *min = g < 4 ? s[g + 4] & 63u : (uint32_t)(s[g + 4] >> 4) | (uint32_t)(s[g] >> 6) << 4;
}

static float packed_weight(const struct layout *l, const uint8_t *row, uint32_t n_cols, uint32_t c)
{
    static const int8_t iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
    static const int8_t e2m1[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    const uint32_t n_groups = n_cols / 32, g = c / 32, i = c % 32;
    const uint8_t *high = row + (size_t)4 * l->low_bits * n_groups;
    const uint8_t *scales = high + (size_t)4 * l->high_bits * n_groups, *scale = scales + (size_t)l->scale_bytes * g;
    const uint8_t *head = scales + (size_t)l->scale_bytes * n_groups + (size_t)l->head_bytes * (g / 8);
    uint32_t code = plane_code(row + (size_t)4 * l->low_bits * g, l->low_bits, i);
    if (l->high_bits > 0)
        code |= plane_code(high + (size_t)4 * l->high_bits * g, l->high_bits, i) << l->low_bits;
    const float q = l->is_signed ? (float)sign_extend(code, l->low_bits + l->high_bits) : (float)code;

    uint32_t s, m;
    switch (l->type) {
    case QTYPE_Q4_1:
    case QTYPE_Q5_1:
        return half_at(scale) * q + half_at(scale + 2);
    case QTYPE_Q4_K:
    case QTYPE_Q5_K:
        six_bit_pair(head + 4, g % 8, &s, &m);
        return half_at(head) * (float)s * q - half_at(head + 2) * (float)m;
    case QTYPE_Q6_K:
    case QTYPE_Q3_K:
        return half_at(head) * (float)(int8_t)scale[i / 16] * q;
    case QTYPE_Q2_K:
        return half_at(head) * (float)(scale[i / 16] & 15) * q - half_at(head + 2) * (float)(scale[i / 16] >> 4);
    case QTYPE_IQ4_NL:
        return half_at(scale) * (float)iq4[code];
    case QTYPE_IQ4_XS:
        s = bits_at(head + 4, 4 * (g % 8), 4) | bits_at(head + 2, 2 * (g % 8), 2) << 4;
        return half_at(head) * (float)((int)s - 32) * (float)iq4[code];
    case QTYPE_MXFP4:
        return ldexpf((float)e2m1[code], (int)scale[0] - 128);
    default:
        return half_at(scale) * q;
    }
}

// Random blocks whose halves stay finite: the bits that make an exponent all ones are cleared everywhere.
static void fill_blocks(uint8_t *bytes, size_t size, struct test_random *random)
{
    for (size_t i = 0; i < size; ++i)
        bytes[i] = (uint8_t)test_random_u32(random);
}

static bool finite_block(const float *weights, size_t n)
{
    for (size_t i = 0; i < n; ++i)
        if (!isfinite(weights[i]))
            return false;
    return true;
}

TEST(packed_rows_hold_the_weights_of_the_file)
{
    struct test_random random = { 7 };
    static const uint32_t widths[] = { 32, 96, 256, 704, 768, 2816 };
    static float want[3 * 2816];
    static uint8_t file[3 * 2816 * 4], packed[3 * 2816 * 4 + 64];
    for (size_t f = 0; f < COUNT(layouts); ++f) {
        const struct layout *l = &layouts[f];
        for (size_t k = 0; k < COUNT(widths); ++k) {
            const uint32_t n_cols = widths[k], n_rows = 3;
            if (!pack_fits(l->type, n_cols))
                continue;
            t->row = qtypes[l->type].name;
            const uint32_t block_len = qtypes[l->type].block_len, block_bytes = qtypes[l->type].block_bytes;
            for (uint32_t b = 0; b < n_rows * n_cols / block_len; ++b) {
                do {
                    fill_blocks(file + (size_t)b * block_bytes, block_bytes, &random);
                    qtypes[l->type].decode(want + (size_t)b * block_len, file + (size_t)b * block_bytes, 1);
                } while (!finite_block(want + (size_t)b * block_len, block_len));
            }
            const uint64_t row_bytes = pack_row_bytes(l->type, n_cols);
            CHECK_UINT(row_bytes % 16, 0);
            memset(packed, 0xA5, sizeof packed);
            pack_rows(packed, file, l->type, n_cols, n_rows);
            CHECK_UINT(packed[row_bytes * n_rows], 0xA5);
            uint32_t n_wrong = 0;
            for (uint32_t r = 0; r < n_rows; ++r)
                for (uint32_t c = 0; c < n_cols; ++c) {
                    const float got = packed_weight(l, packed + r * row_bytes, n_cols, c);
                    const float expected = want[(size_t)r * n_cols + c];
                    n_wrong += !(fabsf(got - expected) <= 1e-6f * fabsf(expected) + 1e-36f);
                }
            CHECK_UINT(n_wrong, 0);
        }
    }
    t->row = NULL;
}

TEST(plain_weights_are_copied)
{
    static const enum qtype types[] = { QTYPE_F32, QTYPE_F16, QTYPE_BF16 };
    static uint8_t file[2 * 96 * 4], packed[2 * 96 * 4];
    struct test_random random = { 8 };
    fill_blocks(file, sizeof file, &random);
    for (size_t i = 0; i < COUNT(types); ++i) {
        const uint64_t row_bytes = pack_row_bytes(types[i], 96);
        CHECK_UINT(row_bytes, 96 * qtypes[types[i]].block_bytes);
        memset(packed, 0, sizeof packed);
        pack_rows(packed, file, types[i], 96, 2);
        CHECK(memcmp(packed, file, 2 * row_bytes) == 0);
    }
}

TEST(a_packed_row_is_barely_larger_than_the_files)
{
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        t->row = qtypes[type].name;
        const double ratio = (double)pack_row_bytes(type, 8192) / (double)qtype_bytes(type, 8192);
        CHECK(ratio >= 1.0 && ratio < 1.04);
    }
    t->row = NULL;
}

TEST(rows_that_are_not_whole_groups_do_not_fit)
{
    CHECK(!pack_fits(QTYPE_F32, 0));
    CHECK(!pack_fits(QTYPE_F32, 48));
    CHECK(pack_fits(QTYPE_F32, 64));
    CHECK(!pack_fits(QTYPE_Q4_K, 704));
    CHECK(pack_fits(QTYPE_Q5_0, 704));
}
