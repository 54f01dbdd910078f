// tests/kernels/test_tails.c -- products that go on with a step on their rows, against the twins of both.
#include "kernels/kernel_table.h"
#include "ops/check_tails.h"

#define TAIL(...)              \
    &(const struct check_tail) \
    {                          \
        __VA_ARGS__            \
    }
#define HEADS(...)                     \
    &(const struct check_linear_heads) \
    {                                  \
        __VA_ARGS__                    \
    }

TEST(a_branch_ends_behind_its_product)
{
    const struct kernel_row rows[] = {
        { "attention out, decode", check_linear_add_norm, TAIL(QTYPE_Q4_K, 2816, 256, 1, 3) },
        { "dense down, decode", check_linear_add_norm, TAIL(QTYPE_Q8_0, 2816, 96, 1, 1, .has_scale = true) },
        { "a small model, several tokens", check_linear_add_norm, TAIL(QTYPE_Q5_0, 64, 96, 7, 2) },
        { "no norms", check_linear_add_norm, TAIL(QTYPE_F16, 128, 64, 3, 0) },
        { "too many tokens for a tail", check_linear_add_norm, TAIL(QTYPE_Q8_0, 128, 64, 33, 3) },
        { "like a GPU", check_linear_add_norm, TAIL(QTYPE_Q4_K, 2816, 512, 1, 3, .like_gpu = true) },
        { "like a GPU, 5 tokens", check_linear_add_norm, TAIL(QTYPE_Q6_K, 260, 512, 5, 3, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(every_format_has_its_tails)
{
    for (int type = 0; type < QTYPE_COUNT; ++type) {
        const enum qtype q = (enum qtype)type;
        char name[64];
        snprintf(name, sizeof name, "%s", qtypes[type].name);
        const struct kernel_row rows[] = {
            { name, check_linear_add_norm, TAIL(q, 132, 256, 2, 1) },
            { name, check_linear_heads, HEADS(q, OP_HEADS_QUERIES, 2, 64, 32, 256, 2, 5) },
            { name, check_gated, TAIL(q, 68, 256, 1) },
            { name, check_gated, TAIL(q, 68, 256, 1, .n_experts = 7, .n_used = 3) },
            { name, check_experts_join, TAIL(q, 132, 256, 1, .n_experts = 7, .n_used = 3) },
        };
        kernel_table_run(t, rows, COUNT(rows));
    }
}

TEST(heads_go_where_attention_reads_them)
{
    const struct kernel_row rows[] = {
        { "queries, sliding", check_linear_heads, HEADS(QTYPE_Q4_K, OP_HEADS_QUERIES, 16, 256, 128, 256, 1, 1023) },
        { "queries, global", check_linear_heads, HEADS(QTYPE_Q4_K, OP_HEADS_QUERIES, 4, 512, 64, 256, 1, 70) },
        { "keys", check_linear_heads, HEADS(QTYPE_Q4_K, OP_HEADS_KEYS, 8, 256, 128, 256, 1, 30) },
        { "values", check_linear_heads, HEADS(QTYPE_Q6_K, OP_HEADS_VALUES, 8, 256, 128, 256, 1, 30) },
        { "keys and values", check_linear_heads, HEADS(QTYPE_Q8_0, OP_HEADS_KEYS_AND_VALUES, 2, 512, 64, 96, 1, 30) },
        { "f32 caches", check_linear_heads,
          HEADS(QTYPE_Q8_0, OP_HEADS_KEYS_AND_VALUES, 2, 64, 13, 96, 5, 3, .cache = OP_CACHE_F32) },
        { "heads smaller than a workgroup's rows", check_linear_heads,
          HEADS(QTYPE_Q8_0, OP_HEADS_KEYS, 5, 32, 16, 96, 3, 9) },
        { "heads of 96", check_linear_heads, HEADS(QTYPE_Q8_0, OP_HEADS_QUERIES, 5, 96, 48, 96, 8, 9) },
        { "too many tokens for a tail", check_linear_heads, HEADS(QTYPE_Q8_0, OP_HEADS_KEYS, 2, 64, 32, 96, 20, 9) },
        { "like a GPU", check_linear_heads,
          HEADS(QTYPE_Q4_K, OP_HEADS_QUERIES, 4, 256, 128, 512, 1, 1023, .like_gpu = true) },
        { "like a GPU, 4 tokens into the cache", check_linear_heads,
          HEADS(QTYPE_Q5_0, OP_HEADS_KEYS_AND_VALUES, 2, 512, 64, 704, 4, 6, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(experts_are_chosen_behind_the_router)
{
    const struct kernel_row rows[] = {
        { "decode", check_linear_route, TAIL(QTYPE_F32, 128, 2816, 1, .n_used = 8, .has_scale = true) },
        { "no scale", check_linear_route, TAIL(QTYPE_F32, 128, 256, 2, .n_used = 8) },
        { "F16", check_linear_route, TAIL(QTYPE_F16, 128, 256, 1, .n_used = 8, .has_scale = true) },
        { "BF16", check_linear_route, TAIL(QTYPE_BF16, 16, 256, 5, .n_used = 4, .has_scale = true) },
        { "a quantised router", check_linear_route, TAIL(QTYPE_Q8_0, 128, 256, 1, .n_used = 8, .has_scale = true) },
        { "like a GPU", check_linear_route,
          TAIL(QTYPE_F32, 128, 2816, 3, .n_used = 8, .has_scale = true, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(gates_meet_their_other_half)
{
    const struct kernel_row rows[] = {
        { "dense, decode", check_gated, TAIL(QTYPE_Q4_K, 2112, 512, 1) },
        { "dense, four tokens", check_gated, TAIL(QTYPE_Q8_0, 76, 96, 4) },
        { "dense, many tokens", check_gated, TAIL(QTYPE_Q8_0, 68, 96, 19) },
        { "experts, decode", check_gated, TAIL(QTYPE_Q4_K, 704, 512, 1, .n_experts = 16, .n_used = 8) },
        { "experts, three tokens", check_gated, TAIL(QTYPE_Q5_0, 76, 96, 3, .n_experts = 16, .n_used = 4) },
        { "like a GPU", check_gated, TAIL(QTYPE_Q4_K, 77, 512, 1, .like_gpu = true) },
        { "like a GPU, 4 tokens", check_gated, TAIL(QTYPE_Q4_K, 76, 512, 4, .like_gpu = true) },
        { "experts, like a GPU", check_gated,
          TAIL(QTYPE_Q6_K, 77, 512, 2, .n_experts = 16, .n_used = 4, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}

TEST(the_layer_ends_behind_its_experts)
{
    const struct kernel_row rows[] = {
        { "decode", check_experts_join,
          TAIL(QTYPE_Q5_0, 2816, 704, 1, .n_experts = 16, .n_used = 8, .has_scale = true) },
        { "Q8_0, three tokens", check_experts_join, TAIL(QTYPE_Q8_0, 260, 96, 3, .n_experts = 16, .n_used = 4) },
        { "one expert", check_experts_join, TAIL(QTYPE_Q8_0, 64, 64, 2, .n_experts = 4, .n_used = 1) },
        { "like a GPU", check_experts_join,
          TAIL(QTYPE_Q5_0, 2816, 704, 1, .n_experts = 16, .n_used = 8, .has_scale = true, .like_gpu = true) },
        { "like a GPU, three of thirteen", check_experts_join,
          TAIL(QTYPE_Q4_K, 132, 512, 4, .n_experts = 13, .n_used = 3, .like_gpu = true) },
        { "like a GPU, five of seven", check_experts_join,
          TAIL(QTYPE_Q4_K, 132, 256, 1, .n_experts = 7, .n_used = 5, .like_gpu = true) },
    };
    kernel_table_run(t, rows, COUNT(rows));
}
