// shared/attention.h -- the signature of attention.comp.
#ifndef SHARED_ATTENTION_H
#define SHARED_ATTENTION_H
#include "shared/params.h"

#define ATTENTION_Q 0        // f32 [n_tokens][n_heads][head_size], read
#define ATTENTION_KEYS 1     // f16 or f32 [window_slots][n_kv_heads][head_size] as 16-byte words, read
#define ATTENTION_VALUES 2   // the same for values, as words, read
#define ATTENTION_STEP 3     // u32 [4], read
#define ATTENTION_OUT 4      // f32 [n_tokens][n_heads][head_size], written
#define ATTENTION_PARTS 5    // f32 [n_parts][n_tokens][n_heads][head_size + 2], written when SPLIT
#define ATTENTION_PARTS_IN 6 // the same, read by the workgroup that comes last
#define ATTENTION_COUNTERS 7 // u32 [blocks of rows][n_kv_heads], zero before and after
#define ATTENTION_N_BUFFERS 8

#define ATTENTION_WG_SIZE 0   // spec constant ids
#define ATTENTION_HEAD_SIZE 1 // a multiple of 32
#define ATTENTION_ROWS 2      // query rows per workgroup
#define ATTENTION_LANES 3     // invocations that share a key: a power of two, at most the subgroup size
#define ATTENTION_KEYS_EACH 4 // keys per invocation and tile; WG_SIZE / LANES * KEYS_EACH is a multiple of 4
#define ATTENTION_CACHE_F32 5
#define ATTENTION_SPLIT 6    // the keys are split into parts
#define ATTENTION_WINDOWED 7 // only a window of the cache's slots is bound
#define ATTENTION_N_SPEC 8

struct attention_params {
    uint32_t n_tokens;
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t window;     // positions a query sees, 0: all
    uint32_t n_slots;    // of the whole cache: a position's slot is its rest
    uint32_t first_slot; // the bound window of the cache, when WINDOWED
    uint32_t window_slots;
    uint32_t n_splits;                                     // shares that the keys of this dispatch are cut into
    uint32_t first_part;                                   // where they begin in the parts
    uint32_t n_parts;                                      // of all dispatches that share them
    uint32_t first_token;                                  // added to the step's position
    uint32_t keys_low, keys_high, values_low, values_high; // device addresses of both bindings, read when LANES is 1
};
PARAMS_SIZE(attention_params, 60);
#endif
