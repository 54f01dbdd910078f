// shared/sample.h -- the signature of sample.comp.
#ifndef SHARED_SAMPLE_H
#define SHARED_SAMPLE_H
#include "shared/params.h"

#define SAMPLE_IDS 0     // u32 [n], read
#define SAMPLE_VALUES 1  // f32 [n], read: after penalties
#define SAMPLE_SCORES 2  // f32 [n_vocab], read with HAS_COUNTS: before them
#define SAMPLE_DRAWS 3   // u32x2 [SAMPLE_SLOTS], read
#define SAMPLE_STEP 4    // u32 [4], read and written
#define SAMPLE_NEXT 5    // u32 [1], written
#define SAMPLE_COUNTS 6  // u32 [n_vocab], read and written with HAS_COUNTS
#define SAMPLE_RESULTS 7 // u32 [SAMPLE_SLOTS][SAMPLE_RESULT_WORDS], written
#define SAMPLE_N_BUFFERS 8

#define SAMPLE_WG_SIZE 0 // spec constant ids
#define SAMPLE_HAS_COUNTS 1
#define SAMPLE_N_SPEC 2

#define SAMPLE_MAX 80 // candidates
#define SAMPLE_NEVER_MAX 12
#define SAMPLE_SLOTS 16 // steps whose numbers and results are kept
#define SAMPLE_RESULT_WORDS (2 + 2 * SAMPLE_MAX)
#define SAMPLE_NONE 0xFFFFFFFFu // no token

struct sample_params {
    uint32_t n;     // candidates, at most SAMPLE_MAX
    uint32_t top_k; // of them that may be drawn, once the never ones are out
    uint32_t n_vocab;
    uint32_t n_never;
    uint32_t never[SAMPLE_NEVER_MAX];
    float temperature; // 0: the best
    float top_p;       // 1: all
    float min_p;       // 0: all
};
PARAMS_SIZE(sample_params, 76);
#endif
