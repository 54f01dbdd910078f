// ops/twins.h -- what the products compute, in plain C and double. Private to the room and its tests.
#ifndef OPS_TWINS_H
#define OPS_TWINS_H

#include <stdint.h>

// y[t][r] = sum over c of w[r][c] x[t][c], with decoded weights. x [n_tokens][x_stride], y [n_tokens][n_rows]
void twin_linear(double *y, const float *x, const float *w, uint32_t n_tokens, uint32_t n_rows, uint32_t n_cols,
                 uint32_t x_stride);

// y[i] = scale * table[ids[i]]
void twin_embed(double *y, const uint32_t *ids, const float *table, uint32_t n_tokens, uint32_t n_cols, double scale);

#endif
