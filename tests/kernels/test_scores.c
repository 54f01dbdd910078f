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
        { "one of one", check_top_k, TOP_K(1, 1, 1) },
        { "all of a short row", check_top_k, TOP_K(2, 40, 40) },
        { "a length that no chunk divides", check_top_k, TOP_K(2, 70001, 10) },
        { "ties go to the lower id", check_top_k, TOP_K(2, 70001, 64, .ties = true) },
        { "infinities in order, NaN last", check_top_k, TOP_K(4, 50, 50, .broken = true) },
        { "infinities and NaN over chunks", check_top_k, TOP_K(1, 70001, 40, .broken = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}
