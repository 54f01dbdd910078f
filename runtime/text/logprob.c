// text/logprob.c -- see logprob.h.
#include "text/logprob.h"

#include <float.h>
#include <math.h>
#include <string.h>

// What is so far below the best adds nothing to a sum over any vocabulary that a float could tell.
#define FAR_BELOW (-40.0f)

// exp(x) for FAR_BELOW < x <= 0, good to a float's precision: the C library's takes milliseconds for a vocabulary.
static float exp_below(float x)
{
    const float power = x * 1.44269504f;
    const int n = (int)(power - 0.5f);
    const float r = power - (float)n; // 2^power = 2^n * 2^r with |r| <= 1/2
    const float p =
        1 + r * (0.693147181f +
                 r * (0.240226507f +
                      r * (0.0555041087f + r * (0.00961812911f + r * (0.00133335581f + r * 0.000154035304f)))));
    const uint32_t bits = (uint32_t)(127 + n) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static float find_best(const float *scores, uint32_t n_scores)
{
    float best = -INFINITY;
    for (uint32_t i = 0; i < n_scores; ++i)
        best = scores[i] > best ? scores[i] : best; // not true for a NaN
    return best;
}

// The logarithm of the sum of all exponentials, relative to the best score.
static double log_of_sum(const float *scores, uint32_t n_scores, float best)
{
    double sums[4] = { 0 }; // so that additions need not wait for each other
    for (uint32_t i = 0; i < n_scores; ++i) {
        const float below = scores[i] - best;
        if (below > FAR_BELOW) // not true for a NaN
            sums[i % 4] += (double)exp_below(below);
    }
    const double sum = sums[0] + sums[1] + sums[2] + sums[3];
    return sum > 0 ? log(sum) : 0;
}

static struct karat_logprob logprob_of(const float *scores, uint32_t id, float best, double log_sum)
{
    // Two infinities have no difference; both are the best.
    const double below = scores[id] == best && best > -INFINITY ? 0 : (double)scores[id] - (double)best;
    const double value = below - log_sum;
    return (struct karat_logprob){ id, value > (double)-FLT_MAX ? (float)value : -FLT_MAX };
}

// Puts a token into its place among the n best so far.
static void insert(struct karat_logprob *top, size_t n, uint32_t id, float score)
{
    size_t at = n;
    for (; at > 0 && top[at - 1].logprob < score; --at)
        top[at] = top[at - 1];
    top[at] = (struct karat_logprob){ id, score };
}

// The likeliest with their scores. Those that are NaN come last, as if they were minus infinity.
static void find_top(struct karat_logprob *top, size_t n_top, const float *scores, uint32_t n_scores)
{
    size_t n = 0;
    for (uint32_t i = 0; i < n_scores && n_top > 0; ++i) {
        const float score = scores[i] > -INFINITY ? scores[i] : -INFINITY; // not true for a NaN
        if (n == n_top && !(score > top[n - 1].logprob))
            continue;
        n -= n == n_top;
        insert(top, n++, i, score);
    }
}

void logprobs_of(struct karat_logprob *token, struct karat_logprob *top, size_t n_top, const float *scores,
                 uint32_t n_scores, uint32_t id)
{
    const float best = find_best(scores, n_scores);
    const double log_sum = log_of_sum(scores, n_scores, best);
    *token = logprob_of(scores, id, best, log_sum);
    find_top(top, n_top, scores, n_scores);
    for (size_t i = 0; i < n_top; ++i)
        top[i] = logprob_of(scores, top[i].id, best, log_sum);
}
