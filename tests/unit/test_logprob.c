// tests/unit/test_logprob.c -- how likely the model finds a token.
#include <float.h>
#include <math.h>

#include "test.h"
#include "text/text.h"

#define N 6

static const struct {
    const char *name;
    float scores[N];
    uint32_t id;
    double logprob;
    uint32_t top[3];
} cases[] = {
    { "all alike", { 3, 3, 3, 3, 3, 3 }, 4, -1.791759469228055, { 0, 1, 2 } },
    { "one leads", { 0, 0, 2, 0, 0, 0 }, 2, -0.516814, { 2, 0, 1 } },
    { "one of the others", { 0, 0, 2, 0, 0, 0 }, 5, -2.516814, { 2, 0, 1 } },
    { "far below", { 0, -200, 0, -200, -200, -200 }, 1, -200.693147, { 0, 2, 1 } },
    { "scores of any size", { 1e30f, 0, 0, 0, 0, 0 }, 1, -1e30, { 0, 1, 2 } },
    { "minus infinity", { -INFINITY, 1, 0, -1, 0, 0 }, 0, -FLT_MAX, { 1, 2, 4 } },
    { "no number", { 1, NAN, 0, 0, -1, -1 }, 1, -FLT_MAX, { 0, 2, 3 } },
    { "nothing but those", { NAN, -INFINITY, NAN, NAN, NAN, NAN }, 0, -FLT_MAX, { 0, 1, 2 } },
    { "infinity", { 0, INFINITY, 0, 0, 0, 0 }, 1, 0, { 1, 0, 2 } },
    { "below infinity", { 0, INFINITY, 0, 0, 0, 0 }, 0, -FLT_MAX, { 1, 0, 2 } },
};

TEST(log_probabilities_are_those_of_the_softmax_and_always_finite)
{
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct karat_logprob token, top[3];
        t->row = cases[i].name;
        logprobs_of(&token, top, 3, cases[i].scores, N, cases[i].id);
        CHECK_UINT(token.id, cases[i].id);
        CHECK_NEAR(token.logprob, cases[i].logprob, 1e-5 + 1e-7 * fabs(cases[i].logprob));
        for (size_t k = 0; k < 3; ++k) {
            CHECK_UINT(top[k].id, cases[i].top[k]);
            CHECK(isfinite(top[k].logprob) && (k == 0 || top[k].logprob <= top[k - 1].logprob));
        }
    }
    t->row = NULL;
}

TEST(all_tokens_together_are_certain)
{
    enum { N_MANY = 5000 };
    static float scores[N_MANY];
    struct test_random random = { 7 };
    double sum = 0;
    for (size_t i = 0; i < N_MANY; ++i)
        scores[i] = test_random_float(&random, -15, 15);
    for (uint32_t i = 0; i < N_MANY; ++i) {
        struct karat_logprob token, best[1];
        logprobs_of(&token, best, 1, scores, N_MANY, i);
        sum += exp((double)token.logprob);
        CHECK(token.logprob <= best[0].logprob);
    }
    CHECK_NEAR(sum, 1, 1e-5);
}
