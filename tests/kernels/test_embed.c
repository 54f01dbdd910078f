// tests/kernels/test_embed.c -- rows of a table against their twin, every format.
#include "kernels/kernel_table.h"
#include "ops/check_linear.h"

#define TABLE(...)                     \
    &(const struct check_linear_shape) \
    {                                  \
        __VA_ARGS__                    \
    }

TEST(rows_of_every_format)
{
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        const struct check_linear_shape shape = { (enum qtype)type, 300, 2816, 7 };
        kernel_table_run(t, &(struct kernel_row){ qtypes[type].name, check_embed, &shape }, 1);
    }
}

TEST(rows_of_odd_tables)
{
    const struct kernel_row rows[] = {
        { "one token, one group", check_embed, TABLE(QTYPE_Q8_0, 5, 32, 1) },
        { "512 tokens", check_embed, TABLE(QTYPE_Q6_K, 64, 256, 512) },
        { "a table in many segments", check_embed, TABLE(QTYPE_Q6_K, 100, 256, 33, .block_limit_bytes = 1000) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}
