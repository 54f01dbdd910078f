// shared/embed.h -- the signature of embed.comp.
#ifndef SHARED_EMBED_H
#define SHARED_EMBED_H
#include "params.h"

#define EMBED_IDS 0 // u32 [n_tokens], read
#define EMBED_Y 1   // f32 [n_tokens][32 * n_groups], written
#define EMBED_N_BUFFERS 2

#define EMBED_WG_SIZE 0 // specialisation ids
#define EMBED_N_SPEC 1

#define EMBED_LANES 64 // the value of EMBED_WG_SIZE in use

struct embed_params {
    uint32_t w_low, w_high; // device address of row first_row of the table
    uint32_t row_bytes;     // bytes between rows of the table
    uint32_t first_row;     // rows of the table in this segment: tokens of others are left alone
    uint32_t n_rows;
    uint32_t n_groups; // columns of the table / 32
    float scale;
};
PARAMS_SIZE(embed_params, 28);
#endif
