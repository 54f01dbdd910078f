// loader/qtype.c -- the table of weight formats, and half precision.
#include "loader/qtype.h"

#include <assert.h>
#include <stdbool.h>

#include "loader/little_endian.h"
#include "loader/qtype_decode.h"

const struct qtype_info qtypes[QTYPE_COUNT] = {
#define QTYPE_ROW(enum_name, text, id, len, bytes)  \
    [QTYPE_##enum_name] = { .name = (text),         \
                            .gguf_id = (id),        \
                            .block_len = (len),     \
                            .block_bytes = (bytes), \
                            .decode = qtype_decode_##enum_name },
    QTYPE_LIST(QTYPE_ROW)
#undef QTYPE_ROW
};

enum qtype qtype_from_gguf(uint32_t gguf_id)
{
    for (int type = 0; type < QTYPE_COUNT; ++type)
        if (qtypes[type].gguf_id == gguf_id)
            return (enum qtype)type;
    return QTYPE_COUNT;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// In ASCII whatever the locale says.
static bool same_text(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b))
        ++a, ++b;
    return lower(*a) == lower(*b);
}

enum qtype qtype_from_name(const char *name)
{
    for (int type = 0; type < QTYPE_COUNT; ++type)
        if (same_text(qtypes[type].name, name))
            return (enum qtype)type;
    return QTYPE_COUNT;
}

uint64_t qtype_bytes(enum qtype type, uint64_t n_weights)
{
    const struct qtype_info *info = &qtypes[type];
    assert(n_weights % info->block_len == 0 && "rows are whole blocks: the loader has checked");
    return n_weights / info->block_len * info->block_bytes;
}

// ------------------------------------------------------------------------------------------------ half precision
// A half has 1 sign, 5 exponent (bias 15) and 10 fraction bits, a float 1, 8 (bias 127) and 23.

float qtype_half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31)
        return float_of_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent == 0) {
        // Zero and the subnormals count in steps of 2^-24, which a float holds exactly.
        const float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_of_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

// value / 2^shift, to nearest, ties to even; shift is 1 .. 31.
static uint32_t shift_rounding(uint32_t value, uint32_t shift)
{
    const uint32_t kept = value >> shift, rest = value & ((1u << shift) - 1), tie = 1u << (shift - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
}

uint16_t qtype_float_to_half(float value)
{
    const uint32_t bits = bits_of_float(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) // keep what fits of the payload and stay a quiet NaN
        return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 1023));
    if (magnitude >= 0x47800000) // 2^16 and above, infinity included
        return (uint16_t)(sign | 0x7C00);
    if (magnitude >= 0x38800000) // 2^-14: the smallest normal half; a carry may run into the exponent, up to infinity
        return (uint16_t)(sign | shift_rounding(magnitude - ((uint32_t)(127 - 15) << 23), 13));
    if (magnitude < 0x33000000) // below 2^-25, half of the smallest subnormal
        return (uint16_t)sign;
    const uint32_t exponent = magnitude >> 23, fraction = (magnitude & 0x7FFFFF) | 0x800000;
    return (uint16_t)(sign | shift_rounding(fraction, 126 - exponent)); // in steps of 2^-24
}
