// shared/cache_store.h -- the signature of cache_store.comp.
#ifndef SHARED_CACHE_STORE_H
#define SHARED_CACHE_STORE_H
#include "shared/params.h"

#define CACHE_STORE_K 0      // f32 [n_tokens][n_kv_heads][head_size], read
#define CACHE_STORE_V 1      // f32 [n_tokens][n_kv_heads][head_size], read
#define CACHE_STORE_W 2      // f32 [head_size], read
#define CACHE_STORE_ROPE 3   // f32x2 [2][512][n_pairs], read
#define CACHE_STORE_STEP 4   // u32 [4], read
#define CACHE_STORE_KEYS 5   // f16 or f32 [window_slots][n_kv_heads][head_size] as words, written
#define CACHE_STORE_VALUES 6 // the same for values, written
#define CACHE_STORE_N_BUFFERS 7

#define CACHE_STORE_WG_SIZE 0 // spec constant ids
#define CACHE_STORE_IS_F32 1
#define CACHE_STORE_N_SPEC 2

struct cache_store_params {
    uint32_t n_items; // n_tokens * n_kv_heads
    uint32_t n_kv_heads;
    uint32_t head_size;    // a multiple of 4
    uint32_t n_pairs;      // pairs that rotate, at most head_size / 2
    uint32_t n_slots;      // of the whole cache: a position's slot is its rest
    uint32_t first_slot;   // the bound window of the cache begins here ...
    uint32_t window_slots; // ... and has this many slots; others are left alone
    uint32_t per_group;    // items per workgroup
    float eps;
};
PARAMS_SIZE(cache_store_params, 36);
#endif
