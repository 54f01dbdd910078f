// ops/twin_attention.c -- attention of one query row in double.
#include <math.h>
#include <stddef.h>

#include "ops/twins_network.h"

static double dot(const float *a, const float *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; ++i)
        sum += (double)a[i] * b[i];
    return sum;
}

void twin_attend(double *y, const float *q, const float *keys, const float *values, uint64_t stride, uint64_t n_keys,
                 uint32_t head_size)
{
    double largest = -INFINITY, weight = 0;
    for (uint64_t key = 0; key < n_keys; ++key)
        largest = fmax(largest, dot(q, keys + key * stride, head_size));
    for (uint32_t i = 0; i < head_size; ++i)
        y[i] = 0;
    for (uint64_t key = 0; key < n_keys; ++key) {
        const double share = exp(dot(q, keys + key * stride, head_size) - largest);
        weight += share;
        for (uint32_t i = 0; i < head_size; ++i)
            y[i] += share * values[key * stride + i];
    }
    for (uint32_t i = 0; i < head_size; ++i)
        y[i] /= weight;
}
