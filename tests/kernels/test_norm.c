// tests/kernels/test_norm.c -- rms_norm, add_norm and gelu_mul against their twins.
#include "kernels/kernel_table.h"

#define ROWS(...)              \
    &(const struct check_rows) \
    {                          \
        __VA_ARGS__            \
    }

TEST(rms_norm_agrees_with_its_twin)
{
    const struct kernel_row rows[] = {
        { "decode", check_rms_norm, ROWS(1, 2816, true) },
        { "two tokens", check_rms_norm, ROWS(2, 2816, true) },
        { "a chunk", check_rms_norm, ROWS(300, 2816, true) },
        { "the largest of the family", check_rms_norm, ROWS(3, 5376, true) },
        { "the smallest row", check_rms_norm, ROWS(5, 64, true) },
        { "four columns", check_rms_norm, ROWS(3, 4, true) },
        { "a width that no group size divides", check_rms_norm, ROWS(3, 1156, true) },
        { "heads without weight", check_rms_norm, ROWS(16, 512, false) },
        { "tiny values, where eps matters", check_rms_norm, ROWS(4, 256, true, .scale = 1e-4) },
        { "zero rows of a kind: values of 1e-20", check_rms_norm, ROWS(4, 256, true, .scale = 1e-20) },
        { "huge values", check_rms_norm, ROWS(4, 2816, true, .scale = 1e6) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(add_norm_agrees_with_its_twin)
{
    const struct kernel_row rows[] = {
        { "decode", check_add_norm, ROWS(1, 2816, false) },
        { "decode, scaled", check_add_norm, ROWS(1, 2816, true, .n_norms = 3) },
        { "a chunk", check_add_norm, ROWS(300, 2816, true, .n_norms = 1) },
        { "the largest of the family", check_add_norm, ROWS(2, 5376, true, .n_norms = 2) },
        { "the smallest row", check_add_norm, ROWS(5, 64, false, .n_norms = 3) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(gelu_mul_agrees_with_its_twin)
{
    const struct kernel_row rows[] = {
        { "dense branch, decode", check_gelu_mul, ROWS(1, 2112, .scale = 2) },
        { "experts, decode", check_gelu_mul, ROWS(8, 704, .scale = 2) },
        { "experts, a chunk", check_gelu_mul, ROWS(2048, 704, .scale = 2) },
        { "four columns", check_gelu_mul, ROWS(3, 4, .scale = 2) },
        { "gates beyond tanh", check_gelu_mul, ROWS(4, 704, .scale = 1e3) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}
