// ops/twin_scores.c -- the soft cap in double, and the largest of a row.
#include <math.h>

#include "ops/twins_network.h"

void twin_softcap(double *y, const float *x, uint32_t n, double cap)
{
    for (uint32_t i = 0; i < n; ++i)
        y[i] = cap * tanh(x[i] / cap);
}

// NaN comes after everything else.
static bool is_better(const float *x, uint32_t a, uint32_t b)
{
    if (isnan(x[a]) || isnan(x[b]))
        return isnan(x[a]) == isnan(x[b]) ? a < b : isnan(x[b]);
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

void twin_top_k(uint32_t *ids, const float *x, uint32_t n_cols, uint32_t k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_cols; ++i) {
        uint32_t at = n;
        while (at > 0 && is_better(x, i, ids[at - 1]))
            --at;
        if (at == k)
            continue;
        n += n < k;
        for (uint32_t j = n - 1; j > at; --j)
            ids[j] = ids[j - 1];
        ids[at] = i;
    }
}
