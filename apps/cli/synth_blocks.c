// cli/synth_blocks.c -- random weights, written directly in a weight format.
#include "cli/synth_blocks.h"

#include <math.h>
#include <string.h>

const struct synth_format_info synth_formats[SYNTH_N_FORMATS] = {
    [SYNTH_F32] = { "F32", 0, 0, 1, 4, SYNTH_F32 },
    [SYNTH_F16] = { "F16", 1, 1, 1, 2, SYNTH_F16 },
    [SYNTH_BF16] = { "BF16", 30, 32, 1, 2, SYNTH_BF16 },
    [SYNTH_Q8_0] = { "Q8_0", 8, 7, 32, 34, SYNTH_F16 },
    [SYNTH_Q4_0] = { "Q4_0", 2, 2, 32, 18, SYNTH_F16 },
    [SYNTH_Q4_1] = { "Q4_1", 3, 3, 32, 20, SYNTH_F16 },
    [SYNTH_Q5_0] = { "Q5_0", 6, 8, 32, 22, SYNTH_F16 },
    [SYNTH_Q5_1] = { "Q5_1", 7, 9, 32, 24, SYNTH_F16 },
    [SYNTH_Q2_K] = { "Q2_K", 10, 10, 256, 84, SYNTH_Q4_0 },
    [SYNTH_Q3_K] = { "Q3_K", 11, 12, 256, 110, SYNTH_Q4_0 },
    [SYNTH_Q4_K] = { "Q4_K", 12, 15, 256, 144, SYNTH_Q5_0 },
    [SYNTH_Q5_K] = { "Q5_K", 13, 17, 256, 176, SYNTH_Q5_1 },
    [SYNTH_Q6_K] = { "Q6_K", 14, 18, 256, 210, SYNTH_Q8_0 },
    [SYNTH_IQ4_NL] = { "IQ4_NL", 20, 25, 32, 18, SYNTH_F16 },
    [SYNTH_IQ4_XS] = { "IQ4_XS", 23, 30, 256, 136, SYNTH_IQ4_NL },
    [SYNTH_MXFP4] = { "MXFP4", 39, 38, 32, 17, SYNTH_F16 },
};

uint64_t synth_random_next(struct synth_random *random) // SplitMix64
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double synth_random_uniform(struct synth_random *random)
{
    return (double)(synth_random_next(random) >> 11) * 0x1p-53;
}

static void fill_bytes(uint8_t *bytes, size_t size, struct synth_random *random)
{
    for (; size >= 8; bytes += 8, size -= 8) {
        const uint64_t word = synth_random_next(random);
        memcpy(bytes, &word, 8);
    }
    const uint64_t word = synth_random_next(random);
    memcpy(bytes, &word, size);
}

// Rounded to nearest; what is too small becomes subnormal or zero. Magnitudes stay far below the largest half.
static uint16_t to_f16(double value)
{
    const uint16_t sign = value < 0 ? 0x8000 : 0;
    int exponent;
    const double fraction = frexp(fabs(value), &exponent); // in [0.5, 1)
    if (fraction == 0 || exponent < -24)
        return sign;
    if (exponent < -13) // subnormal: units of 2^-24
        return (uint16_t)(sign | (uint16_t)lrint(ldexp(fraction, exponent + 24)));
    const long bits = lrint(ldexp(fraction, 11)) - 1024; // 0 to 1024; 1024 carries into the exponent
    return (uint16_t)(sign | (((exponent + 14) << 10) + bits));
}

static void put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

// ---------------------------------------------------------------------------------------------------- scales

// Blocks take one of 64 scales between 0.8 and 1.2 times the right one, so that no two rows are alike in size.
enum { N_SCALES = 64 };
struct scales {
    uint16_t plus[N_SCALES], minus[N_SCALES]; // f16 of +d and -d
    uint16_t offset[N_SCALES];                // f16 of d times the formats' offset (min)
};

// Root of the mean square of the factors 0.8 to 1.2.
static double spread_rms(void)
{
    double sum = 0;
    for (int i = 0; i < N_SCALES; ++i) {
        const double factor = 0.8 + 0.4 * i / (N_SCALES - 1);
        sum += factor * factor;
    }
    return sqrt(sum / N_SCALES);
}

static void prepare_scales(struct scales *scales, double d, double offset)
{
    const double rms = spread_rms();
    for (int i = 0; i < N_SCALES; ++i) {
        const double value = d * (0.8 + 0.4 * i / (N_SCALES - 1)) / rms;
        scales->plus[i] = to_f16(value);
        scales->minus[i] = to_f16(-value);
        scales->offset[i] = to_f16(value * offset);
    }
}

// ---------------------------------------------------------------------------------------------------- plain numbers

static void fill_f32(uint8_t *out, size_t n, double deviation, struct synth_random *random)
{
    const double width = deviation * sqrt(12.0); // of a uniform distribution
    for (size_t i = 0; i < n; ++i) {
        const float value = (float)((synth_random_uniform(random) - 0.5) * width);
        memcpy(out + 4 * i, &value, 4);
    }
}

static void fill_f16(uint8_t *out, size_t n, double deviation, struct synth_random *random)
{
    // All halves come from a table, because converting each one would be slower than the disk.
    uint16_t values[4096];
    for (int i = 0; i < 4096; ++i)
        values[i] = to_f16((i - 2047.5) / 4096 * deviation * sqrt(12.0));
    for (size_t i = 0; i < n; i += 4) {
        uint64_t word = synth_random_next(random);
        for (size_t k = i; k < n && k < i + 4; ++k, word >>= 16)
            put_u16(out + 2 * k, values[word & 4095]);
    }
}

static void fill_bf16(uint8_t *out, size_t n, double deviation, struct synth_random *random)
{
    uint16_t values[4096];
    for (int i = 0; i < 4096; ++i) {
        const float value = (float)((i - 2047.5) / 4096 * deviation * sqrt(12.0));
        uint32_t bits;
        memcpy(&bits, &value, 4);
        values[i] = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
    for (size_t i = 0; i < n; i += 4) {
        uint64_t word = synth_random_next(random);
        for (size_t k = i; k < n && k < i + 4; ++k, word >>= 16)
            put_u16(out + 2 * k, values[word & 4095]);
    }
}

// ---------------------------------------------------------------------------------------------------- blocks
//
// Each function writes the scale fields of one block whose codes are random bits already. `bits` is fresh randomness.
// Formats whose codes are not centred take both signs of d, or an offset of just the mean, so that the mean is 0.

typedef void finish_fn(uint8_t *block, const struct scales *scales, uint64_t bits);

static void finish_signed(uint8_t *block, const struct scales *scales, uint64_t bits) // Q4_0, Q5_0, IQ4_NL, Q8_0
{
    put_u16(block, bits & 64 ? scales->plus[bits & 63] : scales->minus[bits & 63]);
}

static void finish_q8_0(uint8_t *block, const struct scales *scales, uint64_t bits)
{
    finish_signed(block, scales, bits);
    for (int i = 2; i < 34; ++i) // -128 never occurs in real files
        block[i] = block[i] == 0x80 ? 0x81 : block[i];
}

static void finish_offset(uint8_t *block, const struct scales *scales, uint64_t bits) // Q4_1, Q5_1
{
    put_u16(block, scales->plus[bits & 63]);
    put_u16(block + 2, scales->offset[bits & 63]);
}

// 6-bit scales of 32 to 63 for 8 groups; the mins are the same numbers, dmin carries the ratio.
static void finish_q45_k(uint8_t *block, const struct scales *scales, uint64_t bits)
{
    put_u16(block, scales->plus[bits & 63]);
    put_u16(block + 2, scales->offset[bits & 63]);
    bits >>= 6;
    uint8_t group[8];
    for (int g = 0; g < 8; ++g, bits >>= 5)
        group[g] = (uint8_t)(32 | (bits & 31));
    uint8_t *packed = block + 4;
    for (int g = 0; g < 4; ++g) {
        packed[g] = (uint8_t)(group[g] | (group[g + 4] >> 4) << 6);
        packed[g + 4] = packed[g];
        packed[g + 8] = (uint8_t)((group[g + 4] & 15) | (group[g + 4] & 15) << 4);
    }
}

static void finish_q2_k(uint8_t *block, const struct scales *scales, uint64_t bits)
{
    put_u16(block + 80, scales->plus[bits & 63]);
    put_u16(block + 82, scales->offset[bits & 63]);
    bits >>= 6;
    for (int s = 0; s < 16; ++s, bits >>= 3) {
        const uint8_t scale = (uint8_t)(8 | (bits & 7));
        block[s] = (uint8_t)(scale | scale << 4);
    }
}

// 6-bit scales around 32: 32 +- (16 to 31).
static void finish_q3_k(uint8_t *block, const struct scales *scales, uint64_t bits)
{
    put_u16(block + 108, scales->plus[bits & 63]);
    uint8_t scale[16];
    struct synth_random random = { bits };
    const uint64_t more = synth_random_next(&random), signs = more >> 32;
    for (int s = 0; s < 16; ++s) {
        const int size = 16 + (int)(s < 8 ? (more >> (4 * s)) & 15 : (bits >> (4 * (s - 8))) & 15);
        scale[s] = (uint8_t)(signs >> s & 1 ? 32 + size : 32 - size);
    }
    uint8_t *packed = block + 96;
    for (int s = 0; s < 8; ++s)
        packed[s] = (uint8_t)((scale[s] & 15) | (scale[s + 8] & 15) << 4);
    for (int s = 0; s < 4; ++s)
        packed[8 + s] =
            (uint8_t)(scale[s] >> 4 | (scale[s + 4] >> 4) << 2 | (scale[s + 8] >> 4) << 4 | (scale[s + 12] >> 4) << 6);
}

static void finish_q6_k(uint8_t *block, const struct scales *scales, uint64_t bits)
{
    put_u16(block + 208, scales->plus[bits & 63]);
    struct synth_random random = { bits };
    const uint64_t low = synth_random_next(&random), high = synth_random_next(&random);
    for (int s = 0; s < 16; ++s) {
        const int byte = (int)((s < 8 ? low >> (8 * s) : high >> (8 * (s - 8))) & 255);
        const int size = 64 + (byte & 63);
        block[192 + s] = (uint8_t)(int8_t)(byte & 64 ? size : -size);
    }
}

static void finish_iq4_xs(uint8_t *block, const struct scales *scales, uint64_t bits)
{
    put_u16(block, scales->plus[bits & 63]);
    bits >>= 6;
    unsigned high = 0;
    for (int g = 0; g < 8; ++g, bits >>= 5) {
        const int size = 16 + (int)(bits & 15), scale = bits & 16 ? 32 + size : 32 - size;
        block[4 + g / 2] = (uint8_t)(g & 1 ? (block[4 + g / 2] & 15) | (scale & 15) << 4 : scale & 15);
        high |= (unsigned)(scale >> 4) << (2 * g);
    }
    put_u16(block + 2, (uint16_t)high);
}

// ---------------------------------------------------------------------------------------------------- per format

// Mean square of the numbers from..to.
static double mean_square(int from, int to)
{
    double sum = 0;
    for (int i = from; i <= to; ++i)
        sum += (double)i * i;
    return sum / (to - from + 1);
}

static double iq4_mean_square(void)
{
    static const int values[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
    double sum = 0;
    for (int i = 0; i < 16; ++i)
        sum += values[i] * values[i];
    return sum / 16;
}

// How the values of a block relate to its d: their mean square for d = 1, and min / d where there is one.
static void statistics(enum synth_format format, double *square, double *offset, finish_fn **finish)
{
    *offset = 0;
    switch (format) {
    case SYNTH_Q8_0:
        *square = mean_square(-127, 127), *finish = finish_q8_0;
        break;
    case SYNTH_Q4_0:
        *square = mean_square(-8, 7), *finish = finish_signed;
        break;
    case SYNTH_Q5_0:
        *square = mean_square(-16, 15), *finish = finish_signed;
        break;
    case SYNTH_IQ4_NL:
        *square = iq4_mean_square(), *finish = finish_signed;
        break;
    case SYNTH_Q4_1:
        *square = mean_square(0, 15) - 7.5 * 7.5, *offset = -7.5, *finish = finish_offset;
        break;
    case SYNTH_Q5_1:
        *square = mean_square(0, 31) - 15.5 * 15.5, *offset = -15.5, *finish = finish_offset;
        break;
    case SYNTH_Q2_K:
        *square = (mean_square(0, 3) - 1.5 * 1.5) * mean_square(8, 15), *offset = 1.5, *finish = finish_q2_k;
        break;
    case SYNTH_Q3_K:
        *square = mean_square(-4, 3) * mean_square(16, 31), *finish = finish_q3_k;
        break;
    case SYNTH_Q4_K:
        *square = (mean_square(0, 15) - 7.5 * 7.5) * mean_square(32, 63), *offset = 7.5, *finish = finish_q45_k;
        break;
    case SYNTH_Q5_K:
        *square = (mean_square(0, 31) - 15.5 * 15.5) * mean_square(32, 63), *offset = 15.5, *finish = finish_q45_k;
        break;
    case SYNTH_Q6_K:
        *square = mean_square(-32, 31) * mean_square(64, 127), *finish = finish_q6_k;
        break;
    default: // SYNTH_IQ4_XS
        *square = iq4_mean_square() * mean_square(16, 31), *finish = finish_iq4_xs;
        break;
    }
}

// MXFP4 has powers of two for scales: two neighbouring ones, mixed so that the variance is right on average.
static void fill_mxfp4(uint8_t *blocks, size_t n_blocks, double deviation, struct synth_random *random)
{
    const double square = 2 * (0 + 1 + 4 + 9 + 16 + 36 + 64 + 144) / 16.0; // of the doubled values
    const double scale = deviation / sqrt(square);
    const int low = (int)floor(log2(scale));
    const double ratio = scale * scale / ldexp(1, 2 * low); // 1 to 4
    const uint8_t threshold = (uint8_t)((ratio - 1) / 3 * 255);
    fill_bytes(blocks, n_blocks * 17, random);
    for (size_t b = 0; b < n_blocks; ++b)
        blocks[17 * b] = (uint8_t)(low + 128 + (blocks[17 * b] < threshold));
}

void synth_blocks_fill(enum synth_format format, uint8_t *blocks, size_t n_blocks, double deviation,
                       struct synth_random *random)
{
    struct scales scales;
    double square, offset;
    finish_fn *finish;
    switch (format) {
    case SYNTH_F32:
        fill_f32(blocks, n_blocks, deviation, random);
        return;
    case SYNTH_F16:
        fill_f16(blocks, n_blocks, deviation, random);
        return;
    case SYNTH_BF16:
        fill_bf16(blocks, n_blocks, deviation, random);
        return;
    case SYNTH_MXFP4:
        fill_mxfp4(blocks, n_blocks, deviation, random);
        return;
    default:
        break;
    }
    statistics(format, &square, &offset, &finish);
    prepare_scales(&scales, deviation / sqrt(square), offset);
    const size_t size = synth_formats[format].block_bytes;
    fill_bytes(blocks, n_blocks * size, random);
    for (size_t b = 0; b < n_blocks; ++b)
        finish(blocks + b * size, &scales, synth_random_next(random));
}
