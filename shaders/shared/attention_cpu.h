// shared/attention_cpu.h -- the signature of attention_cpu.comp.
#ifndef SHARED_ATTENTION_CPU_H
#define SHARED_ATTENTION_CPU_H
#include "claim.h"

#define ATTENTION_CPU_Q 0       // f32 [n_tokens][n_heads][head_size], read
#define ATTENTION_CPU_KEYS 1    // f16 or f32 [n_slots][n_kv_heads][head_size], read
#define ATTENTION_CPU_VALUES 2  // the same for values, read
#define ATTENTION_CPU_STEP 3    // u32 [4], read
#define ATTENTION_CPU_OUT 4     // f32 [n_tokens][n_heads][head_size], written
#define ATTENTION_CPU_WEIGHTS 5 // f32 [workgroups][ATTENTION_CPU_CHUNK][ATTENTION_CPU_COLS], written and read
#define ATTENTION_CPU_N_BUFFERS 6

#define ATTENTION_CPU_SUBGROUP 0 // specialisation id: lanes of a subgroup, which is the workgroup; 4, 8 or 16
#define ATTENTION_CPU_N_SPEC 1

#define ATTENTION_CPU_COLS 8     // query rows per tile
#define ATTENTION_CPU_CHUNK 1024 // keys whose weights are kept at a time: a multiple of 64

struct attention_cpu_params {
    uint32_t n_tokens;
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t head_size;   // a multiple of 32
    uint32_t window;      // positions a query sees, 0: all
    uint32_t n_slots;     // of the cache: a position's slot is its rest
    uint32_t first_token; // added to the step's position
    uint32_t q_low, q_high, keys_low, keys_high, values_low, values_high, y_low, y_high, weights_low, weights_high;
    PARAMS_OF(claim_params) claim;
};
PARAMS_SIZE(attention_cpu_params, 92);
#endif
