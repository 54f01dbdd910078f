// ops/twin_scores.c -- the soft cap in double, the largest of a row, and the draw among them.
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

float twin_penalise(float score, uint32_t count, float repeat, float presence, float frequency)
{
    if (count == 0)
        return score;
    return (score > 0 ? score / repeat : score * repeat) - (float)count * frequency - presence;
}

static bool may_be_drawn(uint32_t id, float value, uint32_t n_vocab, const struct op_sampling *sampling)
{
    for (uint32_t i = 0; i < sampling->n_never; ++i)
        if (sampling->never[i] == id)
            return false;
    return id < n_vocab && value > -INFINITY;
}

static double sum_of(const double *values, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; ++i)
        sum += values[i];
    return sum;
}

double twin_sample(uint32_t *id, const uint32_t *ids, const float *values, uint32_t n, uint32_t n_vocab,
                   const struct op_sampling *sampling, double at)
{
    uint32_t left[OP_TOP_K_MAX], n_left = 0, n_enough = 0;
    double weights[OP_TOP_K_MAX], margin = 1;
    for (uint32_t i = 0; i < n && (sampling->temperature == 0 || n_left < sampling->top_k); ++i)
        if (may_be_drawn(ids[i], values[i], n_vocab, sampling))
            left[n_left++] = i;
    *id = n_left > 0 ? ids[left[0]] : n_vocab - 1;
    if (n_left == 0 || sampling->temperature == 0)
        return margin;

    const double best = values[left[0]];
    for (uint32_t i = 0; i < n_left; ++i)
        weights[i] = (double)values[left[i]] == best ? 1 : exp((values[left[i]] - best) / sampling->temperature);
    const double all = sum_of(weights, n_left), enough = sampling->top_p < 1 ? sampling->top_p * all : 2 * all;
    while (n_enough < n_left && sum_of(weights, n_enough) < enough)
        ++n_enough;
    for (uint32_t i = 0; i < n_left; ++i) {
        margin = fmin(margin, fabs(sum_of(weights, i + 1) - enough) / all);
        margin = fmin(margin, sampling->min_p > 0 && sampling->min_p < 1 ? fabs(weights[i] - sampling->min_p) : 1);
        weights[i] = i < n_enough && weights[i] >= sampling->min_p ? weights[i] : 0;
    }
    const double kept = sum_of(weights, n_left);
    uint32_t chosen = n_left;
    for (uint32_t i = 0; i < n_left; ++i) {
        const double reached = sum_of(weights, i + 1);
        if (chosen == n_left && reached > at * kept)
            chosen = i;
        margin = fmin(margin, fabs(reached - at * kept) / kept);
    }
    *id = ids[left[chosen]];
    return margin;
}
