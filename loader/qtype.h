// loader/qtype.h -- the table of weight formats.
#ifndef LOADER_QTYPE_H
#define LOADER_QTYPE_H

#include <stddef.h>
#include <stdint.h>

// Every weight format the runtime reads. To add one: a line here, a row in qtype.c, a decoder in qtype_decode.c, a row
// in ops/pack.c, shaders/quant/<name>.glsl.
//       enum name, printed name, GGUF type id, weights per block, bytes per block
#define QTYPE_LIST(X)                 \
    X(F32, "F32", 0, 1, 4)            \
    X(F16, "F16", 1, 1, 2)            \
    X(BF16, "BF16", 30, 1, 2)         \
    X(Q8_0, "Q8_0", 8, 32, 34)        \
    X(Q4_0, "Q4_0", 2, 32, 18)        \
    X(Q4_1, "Q4_1", 3, 32, 20)        \
    X(Q5_0, "Q5_0", 6, 32, 22)        \
    X(Q5_1, "Q5_1", 7, 32, 24)        \
    X(Q4_K, "Q4_K", 12, 256, 144)     \
    X(Q5_K, "Q5_K", 13, 256, 176)     \
    X(Q6_K, "Q6_K", 14, 256, 210)     \
    X(Q2_K, "Q2_K", 10, 256, 84)      \
    X(Q3_K, "Q3_K", 11, 256, 110)     \
    X(IQ4_NL, "IQ4_NL", 20, 32, 18)   \
    X(IQ4_XS, "IQ4_XS", 23, 256, 136) \
    X(MXFP4, "MXFP4", 39, 32, 17)

enum qtype {
#define QTYPE_ENUM(name, text, id, block_len, block_bytes) QTYPE_##name,
    QTYPE_LIST(QTYPE_ENUM)
#undef QTYPE_ENUM
        QTYPE_COUNT
};

struct qtype_info {
    const char *name;
    uint32_t gguf_id;
    uint32_t block_len; // weights per block; rows are whole blocks
    uint32_t block_bytes;
    // Decodes n_blocks blocks that lie side by side: out[n_blocks * block_len]. Any bytes are legal input.
    void (*decode)(float *out, const uint8_t *blocks, size_t n_blocks);
};

extern const struct qtype_info qtypes[QTYPE_COUNT];

// The format with this GGUF type id, or QTYPE_COUNT.
enum qtype qtype_from_gguf(uint32_t gguf_id);

// The format with this name (any case), or QTYPE_COUNT.
enum qtype qtype_from_name(const char *name);

// Bytes of n_weights that lie side by side; n_weights is whole blocks (asserted).
uint64_t qtype_bytes(enum qtype type, uint64_t n_weights);

float qtype_half_to_float(uint16_t half);
uint16_t qtype_float_to_half(float value); // to nearest, ties to even

#endif
