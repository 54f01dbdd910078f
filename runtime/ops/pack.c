// ops/pack.c -- see pack.h.
//
// A format is a row of the table below: how wide its planes are, how to read the 32 codes of a group, and how to write
// what is not codes. Codes travel as eight words of four bytes each, so that a step handles four weights.
#include "ops/pack.h"

#include <assert.h>
#include <string.h>

#define LOW_NIBBLES 0x0F0F0F0Fu
#define LOW_PAIRS 0x03030303u
#define LOW_BITS 0x01010101u

struct pack_format {
    uint8_t low_bits, high_bits; // of a code; low_bits 0: weights are copied as they are
    uint8_t flip;                // exclusive-or that turns a code into two's complement
    uint8_t scale_bytes;         // per group
    uint8_t head_bytes;          // per block of 8 groups
    void (*read_codes)(uint32_t codes[8], const uint8_t *block, uint32_t group);
    void (*write_scales)(uint8_t *scale, uint8_t *head, const uint8_t *block); // of all groups of a block
};

static uint32_t load_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void store_u32(uint8_t *bytes, uint32_t word)
{
    bytes[0] = (uint8_t)word;
    bytes[1] = (uint8_t)(word >> 8);
    bytes[2] = (uint8_t)(word >> 16);
    bytes[3] = (uint8_t)(word >> 24);
}

// ------------------------------------------------------------------------------------------------ codes

// The legacy formats keep weights 0..15 in the low nibbles of 16 bytes and 16..31 in the high ones.
static void read_nibbles(uint32_t codes[8], const uint8_t *bytes)
{
    for (int m = 0; m < 4; ++m) {
        const uint32_t word = load_u32(bytes + 4 * m);
        codes[m] = word & LOW_NIBBLES;
        codes[m + 4] = word >> 4 & LOW_NIBBLES;
    }
}

// Bit 4 of code i is bit i of `high`.
static void add_fifth_bits(uint32_t codes[8], uint32_t high)
{
    for (int m = 0; m < 8; ++m) {
        const uint32_t bits = high >> (4 * m);
        codes[m] |= (bits & 1u) << 4 | (bits & 2u) << 11 | (bits & 4u) << 18 | (bits & 8u) << 25;
    }
}

static void read_q8_0(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    (void)group;
    for (int m = 0; m < 8; ++m)
        codes[m] = load_u32(block + 2 + 4 * m);
}

static void read_q4_0(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    (void)group;
    read_nibbles(codes, block + 2);
}

static void read_q4_1(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    (void)group;
    read_nibbles(codes, block + 4);
}

static void read_q5_0(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    (void)group;
    read_nibbles(codes, block + 6);
    add_fifth_bits(codes, load_u32(block + 2));
}

static void read_q5_1(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    (void)group;
    read_nibbles(codes, block + 8);
    add_fifth_bits(codes, load_u32(block + 4));
}

static void read_mxfp4(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    (void)group;
    read_nibbles(codes, block + 1);
}

static void read_iq4_xs(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    read_nibbles(codes, block + 8 + 16 * group);
}

// Two groups share 32 bytes: one has the low nibbles, the other the high ones.
static void read_q4_k(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    for (int m = 0; m < 8; ++m)
        codes[m] = load_u32(block + 16 + 32 * (group >> 1) + 4 * m) >> (4 * (group & 1)) & LOW_NIBBLES;
}

static void read_q5_k(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    for (int m = 0; m < 8; ++m) {
        const uint32_t low = load_u32(block + 48 + 32 * (group >> 1) + 4 * m) >> (4 * (group & 1)) & LOW_NIBBLES;
        codes[m] = low | (load_u32(block + 16 + 4 * m) >> group & LOW_BITS) << 4;
    }
}

static void read_q6_k(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    const uint32_t half = group >> 2, k = group & 3;
    for (int m = 0; m < 8; ++m) {
        const uint32_t low = load_u32(block + 64 * half + 32 * (k & 1) + 4 * m) >> (4 * (k >> 1)) & LOW_NIBBLES;
        codes[m] = low | (load_u32(block + 128 + 32 * half + 4 * m) >> (2 * k) & LOW_PAIRS) << 4;
    }
}

static void read_q2_k(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    for (int m = 0; m < 8; ++m)
        codes[m] = load_u32(block + 16 + 32 * (group >> 2) + 4 * m) >> (2 * (group & 3)) & LOW_PAIRS;
}

static void read_q3_k(uint32_t codes[8], const uint8_t *block, uint32_t group)
{
    for (int m = 0; m < 8; ++m) {
        const uint32_t low = load_u32(block + 32 + 32 * (group >> 2) + 4 * m) >> (2 * (group & 3)) & LOW_PAIRS;
        codes[m] = low | (load_u32(block + 4 * m) >> group & LOW_BITS) << 2;
    }
}

// ------------------------------------------------------------------------------------------------ scales

// d of the legacy formats leads the block.
static void write_d(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    (void)head;
    memcpy(scale, block, 2);
}

static void write_d_m(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    (void)head;
    memcpy(scale, block, 4);
}

static void write_exponent(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    (void)head;
    *scale = *block;
}

static void write_head_16(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    (void)scale;
    memcpy(head, block, 16);
}

static void write_head_8(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    (void)scale;
    memcpy(head, block, 8);
}

static void write_q6_k(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    memcpy(scale, block + 192, 16);
    memcpy(head, block + 208, 2);
}

static void write_q2_k(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    memcpy(scale, block, 16);
    memcpy(head, block + 80, 4);
}

// The 6-bit scales become int8, as Q6_K has them.
static void write_q3_k(uint8_t *scale, uint8_t *head, const uint8_t *block)
{
    for (uint32_t s = 0; s < 16; ++s) {
        const uint32_t low = block[96 + (s & 7)] >> (4 * (s >> 3)) & 15u;
        const uint32_t high = block[104 + (s & 3)] >> (2 * (s >> 2)) & 3u;
        scale[s] = (uint8_t)((low | high << 4) - 32);
    }
    memcpy(head, block + 108, 2);
}

// ------------------------------------------------------------------------------------------------ the table

static const struct pack_format formats[QTYPE_COUNT] = {
    //               low high flip scale head
    [QTYPE_F32] = { 0 },
    [QTYPE_F16] = { 0 },
    [QTYPE_BF16] = { 0 },
    [QTYPE_Q8_0] = { 8, 0, 0, 2, 0, read_q8_0, write_d },
    [QTYPE_Q4_0] = { 4, 0, 8, 2, 0, read_q4_0, write_d },
    [QTYPE_Q4_1] = { 4, 0, 0, 4, 0, read_q4_1, write_d_m },
    [QTYPE_Q5_0] = { 4, 1, 16, 2, 0, read_q5_0, write_d },
    [QTYPE_Q5_1] = { 4, 1, 0, 4, 0, read_q5_1, write_d_m },
    [QTYPE_Q4_K] = { 4, 0, 0, 0, 16, read_q4_k, write_head_16 },
    [QTYPE_Q5_K] = { 4, 1, 0, 0, 16, read_q5_k, write_head_16 },
    [QTYPE_Q6_K] = { 4, 2, 32, 2, 2, read_q6_k, write_q6_k },
    [QTYPE_Q2_K] = { 2, 0, 0, 2, 4, read_q2_k, write_q2_k },
    [QTYPE_Q3_K] = { 2, 1, 4, 2, 2, read_q3_k, write_q3_k },
    [QTYPE_IQ4_NL] = { 4, 0, 0, 2, 0, read_q4_0, write_d },
    [QTYPE_IQ4_XS] = { 4, 0, 0, 0, 8, read_iq4_xs, write_head_8 },
    [QTYPE_MXFP4] = { 4, 0, 0, 1, 0, read_mxfp4, write_exponent },
};

bool pack_fits(enum qtype type, uint64_t n_cols)
{
    return n_cols > 0 && n_cols % PACK_GROUP == 0 && n_cols % qtypes[type].block_len == 0;
}

uint64_t pack_row_bytes(enum qtype type, uint64_t n_cols)
{
    assert(pack_fits(type, n_cols));
    const struct pack_format *format = &formats[type];
    const uint64_t n_groups = n_cols / PACK_GROUP;
    if (format->low_bits == 0)
        return n_cols * qtypes[type].block_bytes;
    const uint64_t group_bytes = 4u * (format->low_bits + format->high_bits) + format->scale_bytes;
    return (n_groups * group_bytes + n_groups / 8 * format->head_bytes + 15) / 16 * 16;
}

// The planes of one row, as the writers advance through them.
struct planes {
    uint8_t *low, *high, *scale, *head;
};

// Nibbles 8j .. 8j + 3 go to the low halves of a word's bytes, the next four to the high halves; narrower planes stack
// fours of codes in the same way.
static inline void write_codes(struct planes *to, const uint32_t codes[8], const struct pack_format *format)
{
    if (format->low_bits == 8)
        for (int m = 0; m < 8; ++m)
            store_u32(to->low + 4 * m, codes[m]);
    else if (format->low_bits == 4)
        for (int j = 0; j < 4; ++j)
            store_u32(to->low + 4 * j, (codes[2 * j] & LOW_NIBBLES) | (codes[2 * j + 1] & LOW_NIBBLES) << 4);
    else
        for (int j = 0; j < 2; ++j) {
            uint32_t word = 0;
            for (int m = 0; m < 4; ++m)
                word |= (codes[4 * j + m] & LOW_PAIRS) << (2 * m);
            store_u32(to->low + 4 * j, word);
        }
    if (format->high_bits == 1) {
        uint32_t word = 0;
        for (int m = 0; m < 8; ++m)
            word |= (codes[m] >> format->low_bits & LOW_BITS) << m;
        store_u32(to->high, word);
    } else if (format->high_bits == 2) {
        for (int j = 0; j < 2; ++j) {
            uint32_t word = 0;
            for (int m = 0; m < 4; ++m)
                word |= (codes[4 * j + m] >> format->low_bits & LOW_PAIRS) << (2 * m);
            store_u32(to->high + 4 * j, word);
        }
    }
    to->low += 4 * format->low_bits;
    to->high += 4 * format->high_bits;
}

// Inlined once per format, so that the compiler sees constants in place of the table's numbers and functions.
static inline __attribute__((always_inline)) void pack_row(uint8_t *out, const uint8_t *row, enum qtype type,
                                                           uint32_t block_len, uint32_t block_bytes, uint64_t n_cols)
{
    const struct pack_format *format = &formats[type];
    const uint64_t n_groups = n_cols / PACK_GROUP, n_blocks = n_cols / block_len;
    const uint32_t groups_per_block = block_len / PACK_GROUP;
    struct planes to = { .low = out };
    to.high = to.low + n_groups * 4 * format->low_bits;
    to.scale = to.high + n_groups * 4 * format->high_bits;
    to.head = to.scale + n_groups * format->scale_bytes;

    for (uint64_t b = 0; b < n_blocks; ++b) {
        const uint8_t *block = row + b * block_bytes;
        for (uint32_t g = 0; g < groups_per_block; ++g) {
            uint32_t codes[8];
            format->read_codes(codes, block, g);
            for (int m = 0; m < 8; ++m)
                codes[m] ^= format->flip * LOW_BITS;
            write_codes(&to, codes, format);
        }
        format->write_scales(to.scale, to.head, block);
        to.scale += groups_per_block * format->scale_bytes;
        to.head += format->head_bytes;
    }
    uint8_t *end = out + pack_row_bytes(type, n_cols);
    memset(to.head, 0, (size_t)(end - to.head));
}

void pack_rows(uint8_t *out, const uint8_t *rows, enum qtype type, uint64_t n_cols, uint64_t n_rows)
{
    const uint64_t out_bytes = pack_row_bytes(type, n_cols), row_bytes = qtype_bytes(type, n_cols);
    switch (type) {
#define PACK_CASE(name, text, id, block_len, block_bytes)                                                          \
    case QTYPE_##name:                                                                                             \
        if (formats[QTYPE_##name].low_bits == 0) /* whole groups of plain weights are multiples of 16 already */   \
            memcpy(out, rows, n_rows *row_bytes);                                                                  \
        else                                                                                                       \
            for (uint64_t r = 0; r < n_rows; ++r)                                                                  \
                pack_row(out + r * out_bytes, rows + r * row_bytes, QTYPE_##name, block_len, block_bytes, n_cols); \
        break;
        QTYPE_LIST(PACK_CASE)
#undef PACK_CASE
    case QTYPE_COUNT:
        break;
    }
}
