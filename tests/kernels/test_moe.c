// tests/kernels/test_moe.c -- routing, sorting by expert, and the join of the branches against their twins.
#include "kernels/kernel_table.h"

#define ROUTE(...)              \
    &(const struct check_route) \
    {                           \
        __VA_ARGS__             \
    }
#define JOIN(...)              \
    &(const struct check_join) \
    {                          \
        __VA_ARGS__            \
    }

TEST(tokens_go_to_their_largest_experts)
{
    const struct kernel_row rows[] = {
        { "decode", check_route, ROUTE(1, 128, 8) },
        { "two tokens", check_route, ROUTE(2, 128, 8) },
        { "eight tokens", check_route, ROUTE(8, 128, 8) },
        { "nine tokens", check_route, ROUTE(9, 128, 8) },
        { "a chunk", check_route, ROUTE(512, 128, 8) },
        { "the largest step", check_route, ROUTE(2048, 128, 8) },
        { "no scale", check_route, ROUTE(5, 128, 8, .no_scale = true) },
        { "ties go to the lower expert", check_route, ROUTE(40, 128, 8, .ties = true) },
        { "a small model", check_route, ROUTE(17, 8, 2) },
        { "a number of experts that four does not divide", check_route, ROUTE(17, 10, 3) },
        { "every expert is used", check_route, ROUTE(6, 8, 8) },
        { "one expert", check_route, ROUTE(6, 1, 1) },
        { "the most that fits", check_route, ROUTE(20, 256, 16) },
        { "NaN and infinities still name experts", check_route, ROUTE(40, 128, 8, .broken = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(branches_are_joined)
{
    const struct kernel_row rows[] = {
        { "decode", check_join, JOIN(1, 2816, true, true) },
        { "no scale", check_join, JOIN(2, 2816, false, true) },
        { "nothing follows", check_join, JOIN(3, 2816, true) },
        { "a chunk", check_join, JOIN(100, 2816, true, true) },
        { "a small model", check_join, JOIN(7, 64, true) },
        { "a wide model", check_join, JOIN(2, 5376, true, true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}
