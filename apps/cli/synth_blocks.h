// cli/synth_blocks.h -- random weights, written directly in a weight format.
//
// Codes are uniform random bits; the scales of each block are chosen so that the values have mean 0 and a given
// standard deviation. Nothing is quantised, so a 16 GB file takes as long as the disk does.
#ifndef CLI_SYNTH_BLOCKS_H
#define CLI_SYNTH_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

enum synth_format {
    SYNTH_F32,
    SYNTH_F16,
    SYNTH_BF16,
    SYNTH_Q8_0,
    SYNTH_Q4_0,
    SYNTH_Q4_1,
    SYNTH_Q5_0,
    SYNTH_Q5_1,
    SYNTH_Q2_K,
    SYNTH_Q3_K,
    SYNTH_Q4_K,
    SYNTH_Q5_K,
    SYNTH_Q6_K,
    SYNTH_IQ4_NL,
    SYNTH_IQ4_XS,
    SYNTH_MXFP4,
    SYNTH_N_FORMATS
};

struct synth_random {
    uint64_t state;
};
uint64_t synth_random_next(struct synth_random *random);
double synth_random_uniform(struct synth_random *random); // 0 to below 1

struct synth_format_info {
    const char *name;
    uint32_t gguf_id;           // type of a tensor
    uint32_t file_type;         // of general.file_type when most matrices have this format
    uint32_t block_len;         // weights
    uint32_t block_bytes;       // bytes
    enum synth_format fallback; // for rows that are no whole number of blocks
};
extern const struct synth_format_info synth_formats[SYNTH_N_FORMATS];

// Fills n_blocks blocks with values of mean 0 and standard deviation `deviation`.
void synth_blocks_fill(enum synth_format format, uint8_t *blocks, size_t n_blocks, double deviation,
                       struct synth_random *random);

#endif
