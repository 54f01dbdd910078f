// tests/kernels/test_scores.c -- the soft cap and the largest scores against their twins.
#include "kernels/kernel_table.h"

#define ROWS(...)              \
    &(const struct check_rows) \
    {                          \
        __VA_ARGS__            \
    }
#define TOP_K(...)              \
    &(const struct check_top_k) \
    {                           \
        __VA_ARGS__             \
    }
#define SAMPLE(...)              \
    &(const struct check_sample) \
    {                            \
        __VA_ARGS__              \
    }

TEST(scores_are_capped_softly)
{
    const struct kernel_row rows[] = {
        { "the vocabulary", check_softcap, ROWS(1, 262144, .scale = 20) },
        { "far beyond the cap", check_softcap, ROWS(1, 5000, .scale = 1e4) },
        { "one score", check_softcap, ROWS(1, 1, .scale = 20) },
        { "small ones keep their value", check_softcap, ROWS(3, 1000, .scale = 1e-3) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(the_largest_scores_come_first)
{
    const struct kernel_row rows[] = {
        { "argmax of the vocabulary", check_top_k, TOP_K(1, 262144, 1) },
        { "64 of the vocabulary", check_top_k, TOP_K(1, 262144, 64) },
        { "three rows of the vocabulary", check_top_k, TOP_K(3, 262144, 4) },
        { "with penalties", check_top_k, TOP_K(1, 262144, 80, .penalties = true) },
        { "ties by penalties", check_top_k, TOP_K(1, 5000, 70, .ties = true, .penalties = true) },
        { "one of one", check_top_k, TOP_K(1, 1, 1) },
        { "all of a short row", check_top_k, TOP_K(2, 40, 40) },
        { "a length that no chunk divides", check_top_k, TOP_K(2, 70001, 10) },
        { "ties go to the lower id", check_top_k, TOP_K(2, 70001, 64, .ties = true) },
        { "largest crowded", check_top_k, TOP_K(1, 400000, 80, .crowded = true) },
        { "infinities in order, NaN last", check_top_k, TOP_K(4, 50, 50, .broken = true) },
        { "infinities and NaN over chunks", check_top_k, TOP_K(1, 70001, 40, .broken = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(a_token_is_drawn_and_handed_on)
{
    const struct kernel_row rows[] = {
        { "the recommended chain", check_sample, SAMPLE(75, 262144, 64, 1000, 1, 0.95f, 0, 11) },
        { "greedy", check_sample, SAMPLE(12, 262144, 1, 0, 0, 1, 0, 11) },
        { "greedy with ties", check_sample, SAMPLE(5, 1000, 1, 262143, 0, 1, 0, .ties = true) },
        { "one candidate", check_sample, SAMPLE(1, 1, 64, 5, 1, 1, 0) },
        { "fewer than top-k", check_sample, SAMPLE(3, 100, 64, 5, 1, 0.99f, 0, 1) },
        { "all of many", check_sample, SAMPLE(80, 262144, 80, 31, 1, 1, 0) },
        { "hot", check_sample, SAMPLE(80, 262144, 64, 15, 5, 0.97f, 0, 12) },
        { "cold", check_sample, SAMPLE(80, 262144, 64, 16, 0.05f, 0.97f, 0, 2) },
        { "so cold that one is left", check_sample, SAMPLE(80, 5000, 64, 17, 1e-30f, 1, 0, 2) },
        { "top-p that leaves one", check_sample, SAMPLE(40, 5000, 40, 18, 1, 1e-6f, 0, 2) },
        { "min-p", check_sample, SAMPLE(64, 5000, 64, 19, 1, 1, 0.1f, 3) },
        { "min-p of one", check_sample, SAMPLE(64, 5000, 64, 20, 1, 1, 1, .ties = true) },
        { "all cuts", check_sample, SAMPLE(70, 5000, 30, 21, 1.5f, 0.9f, 0.05f, 4) },
        { "ties", check_sample, SAMPLE(70, 5000, 30, 22, 1.5f, 0.9f, 0, 4, .ties = true) },
        { "infinities and NaN", check_sample, SAMPLE(70, 5000, 64, 23, 1, 1, 0, 4, .broken = true) },
        { "greedy, infinities and NaN", check_sample, SAMPLE(70, 5000, 1, 23, 0, 1, 0, 4, .broken = true) },
        { "with counts", check_sample, SAMPLE(75, 262144, 64, 24, 1, 0.95f, 0, 11, .has_counts = true) },
        { "greedy with counts", check_sample, SAMPLE(16, 4000, 1, 25, 0, 1, 0, 11, .has_counts = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}
