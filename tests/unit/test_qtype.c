// tests/unit/test_qtype.c -- the table of weight formats, their decoders, and half precision.
#include "loader/qtype.h"

#include <stdlib.h>

#include "data/dequant_vectors.h"
#include "test.h"

TEST(every_packed_format_decodes_as_an_independent_decoder_says)
{
    unsigned n_vectors[QTYPE_COUNT] = { 0 };
    for (size_t i = 0; i < COUNT(dequant_vectors); ++i) {
        const struct dequant_vector *v = &dequant_vectors[i];
        t->row = v->format;
        const enum qtype type = qtype_from_name(v->format);
        REQUIRE(type != QTYPE_COUNT);
        ++n_vectors[type];
        float got[256];
        qtypes[type].decode(got, v->bytes, 1);
        for (uint32_t k = 0; k < qtypes[type].block_len; ++k)
            CHECK_NEAR(got[k], v->values[k], 2e-6 * fabs((double)v->values[k]));
    }
    t->row = NULL;
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        t->row = qtypes[type].name;
        CHECK_UINT(n_vectors[type], qtypes[type].block_len > 1 ? 3 : 0);
    }
}

static const struct {
    const char *name;
    uint16_t half;
    float value;
} halves[] = {
    { "zero", 0x0000, 0.0f },
    { "minus zero", 0x8000, -0.0f },
    { "the smallest subnormal", 0x0001, 0x1p-24f },
    { "minus the largest subnormal", 0x83FF, -0x1.ff8p-15f },
    { "the smallest normal", 0x0400, 0x1p-14f },
    { "one", 0x3C00, 1.0f },
    { "the number after one", 0x3C01, 0x1.004p0f },
    { "minus two", 0xC000, -2.0f },
    { "the largest", 0x7BFF, 65504.0f },
    { "infinity", 0x7C00, INFINITY },
    { "minus infinity", 0xFC00, -INFINITY },
};

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

TEST(halves_mean_what_ieee_754_says)
{
    for (size_t i = 0; i < COUNT(halves); ++i) {
        t->row = halves[i].name;
        CHECK_UINT(bits_of(qtype_half_to_float(halves[i].half)), bits_of(halves[i].value));
        CHECK_UINT(qtype_float_to_half(halves[i].value), halves[i].half);
    }
}

TEST(every_half_survives_the_way_to_float_and_back)
{
    for (uint32_t half = 0; half < 65536; ++half) {
        const float value = qtype_half_to_float((uint16_t)half);
        const bool is_nan = (half & 0x7C00) == 0x7C00 && (half & 0x3FF) != 0;
        // A signalling NaN comes back quiet.
        if (!CHECK(is_nan == (isnan(value) != 0)) ||
            !CHECK_UINT(qtype_float_to_half(value), is_nan ? half | 0x200 : half))
            return;
    }
}

static const struct {
    const char *name;
    float value;
    uint16_t half;
} roundings[] = {
    { "halfway to an odd neighbour stays even", 0x1.002p0f, 0x3C00 },
    { "halfway from an odd number goes up to even", 0x1.006p0f, 0x3C02 },
    { "a little more than halfway goes up", 0x1.002002p0f, 0x3C01 },
    { "half of the smallest subnormal is zero", 0x1p-25f, 0x0000 },
    { "a little more is the smallest subnormal", 0x1.000002p-25f, 0x0001 },
    { "minus one and a half of it goes to even", -0x1.8p-24f, 0x8002 },
    { "the largest subnormal rounds up to a normal", 0x1.ffep-15f, 0x0400 },
    { "below halfway to 65536 is the largest", 65519.99f, 0x7BFF },
    { "halfway to 65536 is infinity", 65520.0f, 0x7C00 },
    { "a huge number is infinity", -3e38f, 0xFC00 },
    { "the smallest float is zero", 0x1p-149f, 0x0000 },
};

TEST(floats_round_to_the_nearest_half_and_ties_to_even)
{
    for (size_t i = 0; i < COUNT(roundings); ++i) {
        t->row = roundings[i].name;
        CHECK_UINT(qtype_float_to_half(roundings[i].value), roundings[i].half);
    }
}

TEST(no_half_is_nearer_than_the_one_chosen)
{
    struct test_random random = { 7 };
    for (int i = 0; i < 200000; ++i) {
        const uint32_t bits = (test_random_u32(&random) & 0x807FFFFF) | (102 + test_random_below(&random, 41)) << 23;
        float value;
        memcpy(&value, &bits, 4);
        const uint16_t half = qtype_float_to_half(value);
        const double error = fabs((double)qtype_half_to_float(half) - (double)value);
        for (int step = -1; step <= 1; step += 2) {
            const uint16_t other = (uint16_t)(half + step);
            if ((other & 0x7C00) == 0x7C00 || (other ^ half) >> 15)
                continue;
            if (!CHECK(error <= fabs((double)qtype_half_to_float(other) - (double)value)))
                return;
        }
    }
}

static const struct {
    const char *name;
    enum qtype type;
    uint8_t bytes[4];
    uint32_t float_bits;
} plain[] = {
    { "F32: pi", QTYPE_F32, { 0xDB, 0x0F, 0x49, 0x40 }, 0x40490FDB },
    { "F32: the smallest subnormal", QTYPE_F32, { 1, 0, 0, 0 }, 1 },
    { "F32: minus infinity", QTYPE_F32, { 0, 0, 0x80, 0xFF }, 0xFF800000 },
    { "F32: a NaN keeps its bits", QTYPE_F32, { 0x34, 0x12, 0xC0, 0x7F }, 0x7FC01234 },
    { "F16: minus two", QTYPE_F16, { 0x00, 0xC0 }, 0xC0000000 },
    { "F16: a subnormal", QTYPE_F16, { 0x02, 0x00 }, 0x34000000 },
    { "F16: infinity", QTYPE_F16, { 0x00, 0x7C }, 0x7F800000 },
    { "BF16: one", QTYPE_BF16, { 0x80, 0x3F }, 0x3F800000 },
    { "BF16: a subnormal", QTYPE_BF16, { 0x01, 0x80 }, 0x80010000 },
    { "BF16: infinity", QTYPE_BF16, { 0x80, 0x7F }, 0x7F800000 },
    { "BF16: a NaN", QTYPE_BF16, { 0xC1, 0x7F }, 0x7FC10000 },
};

TEST(plain_formats_decode_bit_by_bit)
{
    for (size_t i = 0; i < COUNT(plain); ++i) {
        t->row = plain[i].name;
        float got;
        qtypes[plain[i].type].decode(&got, plain[i].bytes, 1);
        CHECK_UINT(bits_of(got), plain[i].float_bits);
    }
}

TEST(mxfp4_scales_reach_into_the_subnormals)
{
    uint8_t block[17] = { 0, 1 }; // weight 0 is half of the scale, which the doubled table counts as 1
    float got[32];
    for (int e = 0; e < 256; ++e) {
        block[0] = (uint8_t)e;
        qtypes[QTYPE_MXFP4].decode(got, block, 1);
        CHECK_NEAR(got[0], ldexp(1.0, e - 128), 0.0);
        CHECK_NEAR(got[1], 0.0, 0.0);
    }
}

// Any bytes are legal input; blocks stand alone; nothing is written or read beyond them (the sanitizers look).
TEST(many_blocks_decode_like_one_after_the_other)
{
    enum { N = 5 };
    struct test_random random = { 3 };
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        const struct qtype_info *info = &qtypes[type];
        t->row = info->name;
        uint8_t *blocks = malloc(N * info->block_bytes);
        float *all = malloc(N * info->block_len * sizeof *all), *one = malloc(info->block_len * sizeof *one);
        REQUIRE(blocks && all && one);
        for (int round = 0; round < 50; ++round) {
            for (size_t i = 0; i < N * info->block_bytes; ++i)
                blocks[i] = (uint8_t)test_random_u32(&random);
            info->decode(all, blocks, N);
            for (size_t i = 0; i < N; ++i) {
                info->decode(one, blocks + i * info->block_bytes, 1);
                CHECK(memcmp(one, all + i * info->block_len, info->block_len * sizeof *one) == 0);
            }
        }
        info->decode(NULL, NULL, 0);
        free(blocks);
        free(all);
        free(one);
    }
}

TEST(the_table_finds_formats_by_id_and_by_name)
{
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        t->row = qtypes[type].name;
        CHECK_UINT(qtype_from_gguf(qtypes[type].gguf_id), type);
        CHECK_UINT(qtype_from_name(qtypes[type].name), type);
        CHECK_UINT(qtype_bytes((enum qtype)type, 3 * 256), 3 * 256 / qtypes[type].block_len * qtypes[type].block_bytes);
    }
    t->row = NULL;
    CHECK_UINT(qtype_from_name("q4_k"), QTYPE_Q4_K);
    CHECK_UINT(qtype_from_name("Q4_"), QTYPE_COUNT);
    CHECK_UINT(qtype_from_name("Q4_K_M"), QTYPE_COUNT);
    CHECK_UINT(qtype_from_name(""), QTYPE_COUNT);
    CHECK_UINT(qtype_from_gguf(40), QTYPE_COUNT);
    CHECK_UINT(qtype_from_gguf(UINT32_MAX), QTYPE_COUNT);
    CHECK_UINT(qtype_bytes(QTYPE_Q6_K, 2816ull * 262144), 605552640);
}
