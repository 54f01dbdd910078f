// tests/unit/test_sampler.c -- which token comes next.
#include <math.h>
#include <stdlib.h>

#include "base/thread.h"
#include "test.h"
#include "text/text.h"

#define N 8 // tokens in the small vocabularies

static struct sampler *start(struct test *t, uint32_t n_vocab, const struct sampler_options *options)
{
    struct sampler *sampler = NULL;
    struct karat_error err = { 0 };
    if (!test_check(t, sampler_create(&sampler, n_vocab, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text))
        return NULL;
    test_check(t, sampler_begin(sampler, options, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return sampler;
}

static uint32_t sample(struct test *t, struct sampler *sampler, const float *logits)
{
    uint32_t id = UINT32_MAX;
    struct karat_error err = { 0 };
    test_check(t, sampler_sample(sampler, logits, &id, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return id;
}

static void check_sample(struct test *t, struct sampler *sampler, const float *logits, uint32_t want)
{
    const uint32_t id = sample(t, sampler, logits);
    CHECK_UINT(id, want);
}

TEST(greedy_takes_the_best_and_the_lower_id_among_equals)
{
    static const uint32_t never[] = { 3 };
    static const struct {
        const char *name;
        float logits[N];
        uint32_t want;
        size_t n_never;
    } cases[] = {
        { "the best", { 0, 1, 5, 2, 3, 4, -1, 0 }, 2, 0 },
        { "the first of equals", { 0, 7, 1, 7, 7, 2, 0, 0 }, 1, 0 },
        { "all equal", { 0, 0, 0, 0, 0, 0, 0, 0 }, 0, 0 },
        { "a NaN is passed over", { NAN, 1, NAN, 2, NAN, 1, 0, NAN }, 3, 0 },
        { "infinity is a score", { 1, 2, INFINITY, 3, INFINITY, 0, 0, 0 }, 2, 0 },
        { "minus infinity is none",
          { -INFINITY, -INFINITY, -3, -INFINITY, -4, -INFINITY, -INFINITY, -INFINITY },
          2,
          0 },
        { "the best is ruled out", { 0, 1, 2, 9, 3, 0, 0, 0 }, 4, 1 },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        t->row = cases[i].name;
        struct sampler *sampler = start(t, N, &(struct sampler_options){ .never = never, .n_never = cases[i].n_never });
        check_sample(t, sampler, cases[i].logits, cases[i].want);
        sampler_destroy(sampler);
    }
}

TEST(without_a_usable_score_sampling_fails_in_one_sentence)
{
    static const struct {
        const char *name;
        float temperature, value;
    } cases[] = { { "greedy, NaN", 0, NAN }, { "warm, NaN", 1, NAN }, { "warm, minus infinity", 1, -INFINITY } };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        float logits[N];
        uint32_t id = 77;
        struct karat_error err = { 0 };
        t->row = cases[i].name;
        for (size_t j = 0; j < N; ++j)
            logits[j] = cases[i].value;
        struct sampler *sampler = start(t, N, &(struct sampler_options){ .temperature = cases[i].temperature });
        CHECK(sampler_sample(sampler, logits, &id, &err) == KARAT_ERR_ARGUMENT);
        CHECK_TEXT(err.text, "none of the 8 scores can be sampled: each is NaN, minus infinity or ruled out");
        CHECK_UINT(id, 77);
        sampler_destroy(sampler);
    }
}

#define N_DRAWS 40000

// The definition of the chain in the plainest way: sort, then cut.
static void expect(const struct sampler_options *options, const float *logits, double p[N])
{
    uint32_t order[N];
    for (uint32_t i = 0; i < N; ++i) {
        uint32_t at = i;
        for (; at > 0 && logits[order[at - 1]] < logits[i]; --at)
            order[at] = order[at - 1];
        order[at] = i;
    }
    const size_t k = options->top_k == 0 || options->top_k > N ? N : options->top_k;
    double sum = 0, reached = 0, kept = 0;
    memset(p, 0, N * sizeof *p);
    for (size_t i = 0; i < k; ++i)
        sum += exp((double)(logits[order[i]] - logits[order[0]]) / (double)options->temperature);
    for (size_t i = 0; i < k; ++i) {
        const double weight = exp((double)(logits[order[i]] - logits[order[0]]) / (double)options->temperature);
        const bool in_p = options->top_p == 0 || options->top_p == 1 || reached < (double)options->top_p;
        reached += weight / sum;
        if (in_p && weight >= (double)options->min_p)
            kept += p[order[i]] = weight;
    }
    for (size_t i = 0; i < N; ++i)
        p[i] /= kept;
}

TEST(tokens_come_as_often_as_the_chain_says)
{
    static const float logits[N] = { 1.5f, -1.0f, 2.0f, 0.5f, 2.0f, -3.0f, 1.0f, 0.0f };
    static const struct {
        const char *name;
        struct sampler_options options;
    } cases[] = {
        { "plain", { .temperature = 1 } },
        { "cold", { .temperature = 0.5f } },
        { "hot", { .temperature = 3 } },
        { "top-k", { .temperature = 1, .top_k = 3 } },
        { "top-k cuts between equals", { .temperature = 1, .top_k = 1 } },
        { "top-k above the vocabulary", { .temperature = 1, .top_k = 100 } },
        { "top-p", { .temperature = 1, .top_p = 0.8f } },
        { "top-p after the temperature", { .temperature = 3, .top_p = 0.5f } },
        { "top-p so small that one stays", { .temperature = 1, .top_p = 1e-6f } },
        { "min-p", { .temperature = 1, .min_p = 0.3f } },
        { "min-p of one keeps the equals", { .temperature = 1, .min_p = 1 } },
        { "the recommended chain", { .temperature = 1, .top_k = 6, .top_p = 0.95f } },
        { "all together", { .temperature = 1.5f, .top_k = 6, .top_p = 0.9f, .min_p = 0.2f } },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct sampler_options options = cases[i].options;
        double p[N], chi_square = 0;
        uint32_t counts[N] = { 0 }, n_kinds = 0;
        t->row = cases[i].name;
        options.seed = 1000 + i;
        expect(&options, logits, p);
        struct sampler *sampler = start(t, N, &options);
        for (int draw = 0; draw < N_DRAWS; ++draw) {
            const uint32_t id = sample(t, sampler, logits);
            if (!CHECK(id < N))
                break;
            ++counts[id];
        }
        for (size_t id = 0; id < N; ++id) {
            const double want = p[id] * N_DRAWS;
            n_kinds += p[id] > 0;
            if (p[id] == 0)
                CHECK_UINT(counts[id], 0);
            else
                chi_square += (counts[id] - want) * (counts[id] - want) / want;
        }
        // Of 7 degrees of freedom or fewer, one in 100,000 is above 36.
        test_check(t, chi_square < 36, __FILE__, __LINE__, "chi-square %.1f over %u tokens, below 36 expected",
                   chi_square, n_kinds);
        sampler_destroy(sampler);
    }
}

TEST(the_same_seed_gives_the_same_tokens_on_every_system)
{
    // Fixed for good: a change here is a change of what users get from their seeds.
    static const uint32_t want[] = { 4, 0, 2, 2, 0, 6, 2, 4, 2, 4, 2, 3, 3, 3, 4, 1, 0, 3, 0, 4, 7, 0, 4, 4 };
    static const float logits[N] = { 1.5f, -1.0f, 2.0f, 0.5f, 2.0f, -3.0f, 1.0f, 0.0f };
    struct sampler *sampler = start(t, N, &(struct sampler_options){ .temperature = 1.25f, .seed = 42 });
    for (int round = 0; round < 2; ++round) {
        for (size_t i = 0; i < COUNT(want); ++i)
            check_sample(t, sampler, logits, want[i]);
        struct karat_error err;
        REQUIRE_OK(sampler_begin(sampler, &(struct sampler_options){ .temperature = 1.25f, .seed = 42 }, &err), err);
    }
    sampler_destroy(sampler);
}

TEST(penalties_follow_the_window)
{
    static const float logits[N] = { 2.0f, 1.9f, -1.0f, -2.0f, 0, 0, 0, 0 };
    static const struct {
        const char *name;
        struct sampler_options options;
        uint32_t accepted[6], n_accepted, want;
    } cases[] = {
        { "none without history", { .repeat_penalty = 2 }, { 0 }, 0, 0 },
        { "none of strength one", { .repeat_penalty = 1 }, { 0 }, 1, 0 },
        { "repeat divides a positive score", { .repeat_penalty = 2 }, { 0 }, 1, 1 },
        { "presence counts once", { .presence_penalty = 0.05f }, { 0, 0, 0 }, 3, 0 },
        { "presence takes off", { .presence_penalty = 0.15f }, { 0 }, 1, 1 },
        { "frequency counts each time", { .frequency_penalty = 0.05f }, { 0, 0, 0 }, 3, 1 },
        { "frequency of one is not enough", { .frequency_penalty = 0.05f }, { 0 }, 1, 0 },
        { "a token leaves the window", { .repeat_penalty = 2, .penalty_window = 2 }, { 0, 5, 6 }, 3, 0 },
        { "a token is still in the window", { .repeat_penalty = 2, .penalty_window = 3 }, { 0, 5, 6 }, 3, 1 },
        { "twice accepted, once left", { .frequency_penalty = 0.05f, .penalty_window = 2 }, { 0, 0, 0, 5 }, 4, 0 },
        { "ids outside are ignored", { .repeat_penalty = 2, .penalty_window = 1 }, { 0, 99 }, 2, 1 },
        { "a negative penalty rewards", { .presence_penalty = -1 }, { 1 }, 1, 1 },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        t->row = cases[i].name;
        struct sampler *sampler = start(t, N, &cases[i].options);
        for (uint32_t j = 0; j < cases[i].n_accepted; ++j)
            sampler_accept(sampler, cases[i].accepted[j]);
        check_sample(t, sampler, logits, cases[i].want);
        sampler_destroy(sampler);
    }
    t->row = "repeat multiplies a negative score";
    static const float below[N] = { -1.0f, -1.5f, -9, -9, -9, -9, -9, -9 };
    struct sampler *sampler = start(t, N, &(struct sampler_options){ .repeat_penalty = 2 });
    sampler_accept(sampler, 0);
    check_sample(t, sampler, below, 1);
    sampler_destroy(sampler);
}

TEST(biases_come_before_everything_else)
{
    static const float logits[N] = { 1, 5, 4, 3, 0, 0, 0, -INFINITY };
    static const uint32_t only_banned[] = { 1u << 1 | 1u << 2 }, others[] = { 1u << 1 | 1u << 4 };
    static const struct {
        const char *name;
        struct karat_bias biases[3];
        size_t n;
        const uint32_t *mask;
        uint32_t want;
        float repeat_penalty; // of token 1
    } cases[] = {
        { "none", { { 0 } }, 0, NULL, 1, 0 },
        { "up", { { 3, 3 } }, 1, NULL, 3, 0 },
        { "down", { { 1, -1.5f } }, 1, NULL, 2, 0 },
        { "those of one token add up", { { 3, 1 }, { 3, 1.5f } }, 2, NULL, 3, 0 },
        { "a ban", { { 1, -INFINITY } }, 1, NULL, 2, 0 },
        { "a ban outweighs", { { 1, 100 }, { 1, -INFINITY }, { 1, 100 } }, 3, NULL, 2, 0 },
        { "what cannot be is not made possible", { { 7, 1e6f } }, 1, NULL, 1, 0 },
        { "before the penalty", { { 1, 3 } }, 1, NULL, 2, 3 },
        { "a mask wins over a ban", { { 1, -INFINITY }, { 2, -INFINITY } }, 2, only_banned, 1, 0 },
        { "but not while there is another", { { 1, -INFINITY } }, 1, others, 4, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        const struct sampler_options options = { .biases = cases[i].biases,
                                                 .n_biases = cases[i].n,
                                                 .repeat_penalty = cases[i].repeat_penalty };
        struct karat_error err = { 0 };
        uint32_t id = UINT32_MAX;
        t->row = cases[i].name;
        struct sampler *sampler = start(t, N, &options);
        CHECK(sampler_has_biases(sampler) == (cases[i].n > 0));
        sampler_accept(sampler, 1);
        if (test_check(t, sampler_sample_among(sampler, logits, cases[i].mask, &id, &err) == KARAT_OK, __FILE__,
                       __LINE__, "%s", err.text))
            CHECK_UINT(id, cases[i].want);
        // The next answer knows nothing of them.
        if (CHECK(sampler_begin(sampler, NULL, &err) == KARAT_OK))
            check_sample(t, sampler, logits, 1);
        sampler_destroy(sampler);
    }
}

TEST(options_out_of_range_are_refused_and_change_nothing)
{
    static const uint32_t never[] = { 8 };
    static const struct karat_bias biases[] = { { 8, 1 }, { 3, NAN }, { 3, INFINITY }, { 3, -2e6f } };
    static const struct {
        struct sampler_options options;
        const char *sentence;
    } cases[] = {
        { { .temperature = -1 }, "temperature is -1, 0 to 1e+06 expected" },
        { { .temperature = NAN }, "temperature is nan, 0 to 1e+06 expected" },
        { { .temperature = INFINITY }, "temperature is inf, 0 to 1e+06 expected" },
        { { .top_p = 1.5f }, "top-p is 1.5, 0 to 1 expected" },
        { { .min_p = -0.5f }, "min-p is -0.5, 0 to 1 expected" },
        { { .repeat_penalty = -2 }, "repeat penalty is -2, 0 to 1e+06 expected" },
        { { .biases = &biases[0], .n_biases = 1 }, "a bias is for token 8, but the vocabulary has only 8 tokens" },
        { { .biases = &biases[1], .n_biases = 1 },
          "the bias of token 3 is nan, -1e+06 to 1e+06 or minus infinity expected" },
        { { .biases = &biases[2], .n_biases = 1 },
          "the bias of token 3 is inf, -1e+06 to 1e+06 or minus infinity expected" },
        { { .biases = &biases[3], .n_biases = 1 },
          "the bias of token 3 is -2e+06, -1e+06 to 1e+06 or minus infinity expected" },
        { { .penalty_window = 65537 }, "the penalty window is 65537 tokens, at most 65536 expected" },
        { { .never = never, .n_never = 1 }, "token 8 shall never be sampled, but the vocabulary has only 8 tokens" },
    };
    static const float logits[N] = { 0, 1 };
    struct sampler *sampler = start(t, N, NULL);
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct karat_error err = { 0 };
        t->row = cases[i].sentence;
        CHECK(sampler_begin(sampler, &cases[i].options, &err) == KARAT_ERR_ARGUMENT);
        CHECK_TEXT(err.text, cases[i].sentence);
        check_sample(t, sampler, logits, 1);
    }
    sampler_destroy(sampler);
}

TEST(extreme_scores_and_temperatures_still_pick_a_sensible_token)
{
    static const float spread[N] = { -3e38f, 3e38f, 0, 1, 2, 3, 4, 5 };
    static const float infinite[N] = { 1, INFINITY, 2, INFINITY, NAN, 3, 4, -INFINITY };
    struct sampler *sampler = start(t, N, &(struct sampler_options){ .temperature = 1e-30f, .top_p = 0.99f });
    check_sample(t, sampler, spread, 1);
    sampler_destroy(sampler);
    sampler = start(t, N, &(struct sampler_options){ .temperature = 1e6f, .top_p = 0.9f });
    for (int i = 0; i < 100; ++i) {
        check_sample(t, sampler, spread, 1);
        const uint32_t id = sample(t, sampler, infinite);
        CHECK(id == 1 || id == 3);
    }
    sampler_destroy(sampler);
    sampler = start(t, 1, &(struct sampler_options){ .temperature = 1, .top_k = 1, .top_p = 0.5f });
    check_sample(t, sampler, spread, 0);
    sampler_destroy(sampler);
}

static int compare_scores(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

#define REAL_VOCABULARY 262144

TEST(a_full_vocabulary_is_cut_where_sorting_would_cut_it)
{
    float *logits = malloc(REAL_VOCABULARY * sizeof *logits), *sorted = malloc(REAL_VOCABULARY * sizeof *sorted);
    REQUIRE(logits && sorted);
    struct test_random random = { 5 };
    for (size_t i = 0; i < REAL_VOCABULARY; ++i)
        logits[i] = sorted[i] = 4 * test_random_normal(&random);
    qsort(sorted, REAL_VOCABULARY, sizeof *sorted, compare_scores);
    double sum = 0, reached = 0;
    for (size_t i = 0; i < REAL_VOCABULARY; ++i)
        sum += exp((double)(sorted[i] - sorted[0]));
    size_t nucleus = 0;
    while (reached < 0.5 * sum)
        reached += exp((double)(sorted[nucleus++] - sorted[0]));
    const struct {
        const char *name;
        struct sampler_options options;
        float lowest;
    } cases[] = {
        { "top-k", { .temperature = 50, .top_k = 64 }, sorted[63] },
        { "half of everything", { .temperature = 50, .top_k = REAL_VOCABULARY / 2 }, sorted[REAL_VOCABULARY / 2 - 1] },
        { "top-p", { .temperature = 1, .top_p = 0.5f }, sorted[nucleus - 1] },
        { "no cut", { .temperature = 1 }, sorted[REAL_VOCABULARY - 1] },
        { "the recommended chain", { .temperature = 1, .top_k = 64, .top_p = 0.95f }, sorted[63] },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct sampler *sampler = start(t, REAL_VOCABULARY, &cases[i].options);
        float lowest = INFINITY;
        const int n_draws = 40;
        t->row = cases[i].name;
        const uint64_t begin = clock_ns();
        for (int draw = 0; draw < n_draws; ++draw)
            lowest = fminf(lowest, logits[sample(t, sampler, logits)]);
        printf("  %s: %.2f ms a token\n", cases[i].name, (double)(clock_ns() - begin) / 1e6 / n_draws);
        CHECK(lowest >= cases[i].lowest);
        sampler_destroy(sampler);
    }
    free(logits);
    free(sorted);
}

TEST(equal_scores_by_the_thousand_are_no_special_case)
{
    float *logits = calloc(REAL_VOCABULARY, sizeof *logits);
    REQUIRE(logits);
    struct sampler *sampler = start(t, REAL_VOCABULARY, &(struct sampler_options){ .temperature = 1, .top_k = 10 });
    for (int draw = 0; draw < 50; ++draw)
        CHECK(sample(t, sampler, logits) < 10);
    struct karat_error err;
    REQUIRE_OK(sampler_begin(sampler, &(struct sampler_options){ .temperature = 1, .top_p = 0.25f }, &err), err);
    for (int draw = 0; draw < 50; ++draw)
        CHECK(sample(t, sampler, logits) < REAL_VOCABULARY / 4);
    sampler_destroy(sampler);
    free(logits);
}

// ------------------------------------------------------------------------------------------------ short lists

#define SMALL_VOCABULARY 2000

static int compare_ranks(const void *a, const void *b)
{
    const struct ranked {
        float score;
        uint32_t id;
    } *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->id > y->id) - (x->id < y->id);
}

// The `n` best ids by their scores before any penalty.
static void find_best_ids(uint32_t *ids, const float *scores, size_t n)
{
    static struct {
        float score;
        uint32_t id;
    } ranked[SMALL_VOCABULARY];
    for (uint32_t i = 0; i < SMALL_VOCABULARY; ++i) {
        ranked[i].score = scores[i];
        ranked[i].id = i;
    }
    qsort(ranked, SMALL_VOCABULARY, sizeof ranked[0], compare_ranks);
    for (size_t i = 0; i < n; ++i)
        ids[i] = ranked[i].id;
}

TEST(a_short_list_gives_the_token_of_all_scores)
{
    static const uint32_t never[] = { 7, 1999 };
    static const struct {
        const char *name;
        struct sampler_options options;
        size_t n; // in the list
        bool ties;
    } cases[] = {
        { "greedy", { .temperature = 0 }, 3, false },
        { "greedy, ties", { .temperature = 0 }, 40, true },
        { "the recommended chain", { .temperature = 1, .top_k = 64, .top_p = 0.95f }, 66, false },
        { "ties", { .temperature = 1, .top_k = 64 }, 66, true },
        { "more than needed", { .temperature = 2, .top_k = 5 }, 60, false },
        { "min-p", { .temperature = 2, .top_k = 40, .min_p = 0.1f }, 42, false },
        { "penalties",
          { .temperature = 1, .top_k = 20, .repeat_penalty = 1.3f, .frequency_penalty = 0.2f, .penalty_window = 16 },
          80,
          false },
        { "greedy with penalties", { .presence_penalty = 3, .penalty_window = 16 }, 60, false },
    };
    static float scores[SMALL_VOCABULARY], listed[SMALL_VOCABULARY];
    uint32_t ids[SMALL_VOCABULARY];
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct sampler_options options = cases[i].options;
        struct test_random random = { 100 + i };
        t->row = cases[i].name;
        options.never = never;
        options.n_never = COUNT(never);
        options.seed = 77;
        struct sampler *all = start(t, SMALL_VOCABULARY, &options), *few = start(t, SMALL_VOCABULARY, &options);
        CHECK(sampler_is_short(all));
        for (int round = 0; round < 200; ++round) {
            for (size_t j = 0; j < SMALL_VOCABULARY; ++j)
                scores[j] = cases[i].ties ? (float)test_random_below(&random, 12) : 3 * test_random_normal(&random);
            find_best_ids(ids, scores, cases[i].n - 1);
            ids[cases[i].n - 1] = UINT32_MAX; // no token
            for (size_t j = 0; j + 1 < cases[i].n; ++j)
                listed[j] = scores[ids[j]];
            listed[cases[i].n - 1] = 100;
            uint32_t id = UINT32_MAX;
            struct karat_error err;
            REQUIRE_OK(sampler_pick(few, ids, listed, cases[i].n, &id, &err), err);
            check_sample(t, all, scores, id);
            sampler_accept(all, id);
            sampler_accept(few, id);
        }
        sampler_destroy(all);
        sampler_destroy(few);
    }
}

TEST(a_list_is_short_when_a_cut_makes_it_so)
{
    static const struct {
        struct sampler_options options;
        uint32_t n_vocab;
        bool is_short;
    } cases[] = {
        { { .temperature = 0 }, 2000, true },
        { { .temperature = 0, .top_k = 500 }, 2000, true },
        { { .temperature = 0 }, 1, false },
        { { .temperature = 1, .top_k = 64 }, 2000, true },
        { { .temperature = 1, .top_k = 65 }, 2000, false },
        { { .temperature = 1 }, 2000, false },
        { { .temperature = 1, .top_k = 40 }, 40, false },
        { { .temperature = 1 }, 40, false },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct sampler *sampler = start(t, cases[i].n_vocab, &cases[i].options);
        CHECK_UINT(sampler_is_short(sampler), cases[i].is_short);
        sampler_destroy(sampler);
    }
}

// Of equal scores a fraction picks its own place among the ranks, which are the ids.
TEST(the_numbers_to_come_are_foreseen)
{
    float scores[100] = { 0 };
    struct sampler *sampler =
        start(t, 100, &(struct sampler_options){ .temperature = 1, .top_k = 64, .penalty_window = 16, .seed = 3 });
    uint32_t accepted[64];
    for (uint32_t round = 0; round < 40; ++round) {
        double at[12];
        uint32_t leaving[12];
        for (uint32_t n = 0; n < 12; ++n) {
            sampler_foresee(sampler, n, &at[n], &leaving[n]);
            CHECK(at[n] >= 0 && at[n] < 1);
            if (round + n < 16)
                CHECK_UINT(leaving[n], UINT32_MAX);
            else if (round + n - 16 < round)
                CHECK_UINT(leaving[n], accepted[round + n - 16]);
        }
        check_sample(t, sampler, scores, (uint32_t)(at[0] * 64));
        accepted[round] = 50 + round;
        sampler_accept(sampler, accepted[round]);
        double next = 0;
        sampler_foresee(sampler, 0, &next, &leaving[0]);
        CHECK(next == at[1]);
    }
    CHECK_UINT(sampler_counts(sampler)[89], 1);
    CHECK_UINT(sampler_counts(sampler)[73], 0);
    CHECK_UINT(sampler_options(sampler)->penalty_window, 16);
    sampler_destroy(sampler);
}
