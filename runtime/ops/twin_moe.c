// ops/twin_moe.c -- routing and the join of the branches in double.
#include <math.h>
#include <stddef.h>

#include "ops/twins_network.h"

void twin_route(uint32_t *ids, double *weights, const float *logits, const float *expert_scale, uint32_t n_experts,
                uint32_t n_used)
{
    twin_top_k(ids, logits, n_experts, n_used);
    double sum = 0;
    for (uint32_t i = 0; i < n_used; ++i)
        sum += weights[i] = exp((double)logits[ids[i]] - logits[ids[0]]);
    for (uint32_t i = 0; i < n_used; ++i)
        weights[i] *= (expert_scale ? expert_scale[ids[i]] : 1.0) / sum;
}

bool twin_route_sort(uint32_t *order, uint32_t (*tiles)[4], const uint32_t *ids, uint32_t n_pairs, uint32_t n_experts,
                     uint32_t n_tiles, uint32_t tile_pairs)
{
    uint32_t n = 0, tile = 0;
    for (uint32_t expert = 0; expert < n_experts; ++expert) {
        const uint32_t first = n;
        for (uint32_t pair = 0; pair < n_pairs; ++pair)
            if (ids[pair] == expert)
                order[n++] = pair;
        for (uint32_t at = first; at < n; at += tile_pairs, ++tile) {
            if (tile == n_tiles)
                return false;
            tiles[tile][0] = expert;
            tiles[tile][1] = at;
            tiles[tile][2] = n - at < tile_pairs ? n - at : tile_pairs;
            tiles[tile][3] = 0;
        }
    }
    for (; tile < n_tiles; ++tile)
        tiles[tile][0] = tiles[tile][1] = tiles[tile][2] = tiles[tile][3] = 0;
    return true;
}

static double rms_scale(const double *x, uint32_t n, double eps)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; ++i)
        sum += x[i] * x[i];
    return 1 / sqrt(sum / n + eps);
}

void twin_pair_sum(double *m, const double *pairs, const float *weights, uint32_t n_tokens, uint32_t n_used,
                   uint32_t n_cols)
{
    for (uint32_t t = 0; t < n_tokens; ++t, m += n_cols)
        for (uint32_t i = 0; i < n_cols; ++i) {
            m[i] = 0;
            for (uint32_t k = 0; k < n_used; ++k)
                m[i] += weights[t * n_used + k] * pairs[((size_t)t * n_used + k) * n_cols + i];
        }
}

void twin_join_rows(double *y, const struct twin_join *join)
{
    const uint32_t n = join->n_cols;
    for (uint32_t t = 0; t < join->n_tokens; ++t, y += n) {
        const float *r = join->r + (size_t)t * n, *dense = join->dense + (size_t)t * n, *m = join->m + (size_t)t * n;
        for (uint32_t i = 0; i < n; ++i)
            y[i] = (double)m[i];
        const double mixed_scale = rms_scale(y, n, join->eps);
        double dense_sum = 0;
        for (uint32_t i = 0; i < n; ++i)
            dense_sum += (double)dense[i] * dense[i];
        const double dense_scale = 1 / sqrt(dense_sum / n + join->eps);
        for (uint32_t i = 0; i < n; ++i)
            y[i] = dense[i] * dense_scale * join->w_dense[i] + y[i] * mixed_scale * join->w_experts[i];
        const double scale = rms_scale(y, n, join->eps);
        for (uint32_t i = 0; i < n; ++i)
            y[i] = (r[i] + y[i] * scale * join->w_out[i]) * (join->scale ? join->scale[0] : 1.0);
    }
}
