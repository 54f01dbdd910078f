// ops/twin_linear.c -- see twins.h.
#include <stddef.h>

#include "ops/twins.h"

void twin_linear(double *y, const float *x, const float *w, uint32_t n_tokens, uint32_t n_rows, uint32_t n_cols,
                 uint32_t x_stride)
{
    for (uint32_t t = 0; t < n_tokens; ++t) {
        for (uint32_t r = 0; r < n_rows; ++r) {
            double sum = 0;
            for (uint32_t c = 0; c < n_cols; ++c)
                sum += (double)w[(size_t)r * n_cols + c] * (double)x[(size_t)t * x_stride + c];
            y[(size_t)t * n_rows + r] = sum;
        }
    }
}

void twin_embed(double *y, const uint32_t *ids, const float *table, uint32_t n_tokens, uint32_t n_cols, double scale)
{
    for (uint32_t t = 0; t < n_tokens; ++t)
        for (uint32_t c = 0; c < n_cols; ++c)
            y[(size_t)t * n_cols + c] = scale * (double)table[(size_t)ids[t] * n_cols + c];
}
