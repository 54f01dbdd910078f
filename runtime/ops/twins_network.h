// ops/twins_network.h -- what the kernels compute, in plain C and double: norms, heads, attention, experts, scores.
//
// The arguments are those of the ops of the same names (see ops.h); inputs are what the kernels read, outputs are
// unrounded. Private to the room and its tests.
#ifndef OPS_TWINS_NETWORK_H
#define OPS_TWINS_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "ops/ops.h"

void twin_rms_norm(double *y, const float *x, const float *w, uint32_t n_rows, uint32_t n_cols, double eps);
void twin_add_norm(double *y, const float *r, const float *x, const float *w, const float *scale, uint32_t n_rows,
                   uint32_t n_cols, double eps);
void twin_gelu_mul(double *y, const float *gu, uint32_t n_rows, uint32_t n_cols);

// One head: y = rope(rms(x) * w) at a position. theta [n_pairs]; w and theta may be NULL: no weight, no rotation.
void twin_head(double *y, const float *x, const float *w, const double *theta, uint32_t n_pairs, uint32_t head_size,
               uint64_t position, double eps);

// One query row over keys and values [n_keys][head_size] that follow each other at `stride` elements.
void twin_attend(double *y, const float *q, const float *keys, const float *values, uint64_t stride, uint64_t n_keys,
                 uint32_t head_size);

// One token: ids and weights [n_used].
void twin_route(uint32_t *ids, double *weights, const float *logits, const float *expert_scale, uint32_t n_experts,
                uint32_t n_used);

// order [n_pairs] and tiles [n_tiles][4] from ids [n_pairs]; false when the tiles do not fit.
bool twin_route_sort(uint32_t *order, uint32_t (*tiles)[4], const uint32_t *ids, uint32_t n_pairs, uint32_t n_experts,
                     uint32_t n_tiles, uint32_t tile_pairs);

// m[t] = sum over ranks of weights[t][rank] * pairs[t][rank]. pairs [n_tokens][n_used][n_cols], m [n_tokens][n_cols]
void twin_pair_sum(double *m, const double *pairs, const float *weights, uint32_t n_tokens, uint32_t n_used,
                   uint32_t n_cols);

struct twin_join {
    const float *r, *dense, *m;                       // rows as in struct op_join
    const float *w_dense, *w_experts, *w_out, *scale; // scale may be NULL
    uint32_t n_tokens, n_cols;
    double eps;
};
void twin_join_rows(double *y, const struct twin_join *join);

void twin_softcap(double *y, const float *x, uint32_t n, double cap);

// One row: the ids of the k largest, best first, ties by lower id.
void twin_top_k(uint32_t *ids, const float *x, uint32_t n_cols, uint32_t k);

// A score after the penalties of a token that is `count` times among the last ones.
float twin_penalise(float score, uint32_t count, float repeat, float presence, float frequency);

// One draw from n candidates, best first, at the fraction `at`. Returns how far the nearest other answer is, as a
// fraction of the probabilities: an f32 kernel may differ below its own precision.
double twin_sample(uint32_t *id, const uint32_t *ids, const float *values, uint32_t n, uint32_t n_vocab,
                   const struct op_sampling *sampling, double at);

#endif
