// ops/selftest.c -- every kernel against its twin on the device at hand: the list behind `karat selftest`.
//
// The shapes are the real ones of the model and the awkward ones that drivers have been seen to get wrong;
// tests/kernels goes further.
#include <inttypes.h>
#include <stdio.h>

#include "ops/check_linear.h"

// Rows of tables leave out what is zero.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct selftest_case {
    const char *name;
    check_fn *run;
    const void *shape;
    bool large; // left out when quick
};

#define ROWS(...)              \
    &(const struct check_rows) \
    {                          \
        __VA_ARGS__            \
    }
#define HEADS(...)              \
    &(const struct check_heads) \
    {                           \
        __VA_ARGS__             \
    }
#define ATTENTION(...)              \
    &(const struct check_attention) \
    {                               \
        __VA_ARGS__                 \
    }
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
#define LINEAR(...)                    \
    &(const struct check_linear_shape) \
    {                                  \
        __VA_ARGS__                    \
    }
#define EXPERTS(...)                    \
    &(const struct check_experts_shape) \
    {                                   \
        __VA_ARGS__                     \
    }
#define DOWN(...)                    \
    &(const struct check_down_shape) \
    {                                \
        __VA_ARGS__                  \
    }

// clang-format off
static const struct selftest_case cases[] = {
    { "rms_norm: one token", check_rms_norm, ROWS(1, 2816, true), false },
    { "rms_norm: 512 tokens, no weight", check_rms_norm, ROWS(512, 2816, false), true },
    { "add_norm: one token, three norms", check_add_norm, ROWS(1, 2816, false, .n_norms = 3), false },
    { "add_norm: 7 tokens, scaled", check_add_norm, ROWS(7, 2816, true), false },
    { "gelu_mul: one token", check_gelu_mul, ROWS(1, 2112, .scale = 3), false },
    { "gelu_mul: 4096 pairs", check_gelu_mul, ROWS(4096, 704, .scale = 3), true },
    { "heads: 16 heads of 256", check_head_norm, HEADS(1, 16, 256, 128, 1023), false },
    { "heads: 16 heads of 512, 64 pairs", check_head_norm, HEADS(3, 16, 512, 64, 100000), false },
    { "heads into the cache: 8 of 256, f16", check_cache_store, HEADS(5, 8, 256, 128, 1022, OP_CACHE_F16, 1028), false },
    { "heads into the cache: 2 of 512, f32", check_cache_store, HEADS(5, 2, 512, 64, 60, OP_CACHE_F32, 80), false },
    { "attention: one token, window of 1024", check_attention, ATTENTION(1, 16, 8, 256, 1024, 5000), false },
    { "attention: one token, 4096 keys", check_attention, ATTENTION(1, 16, 2, 512, 0, 4095), false },
    { "attention: first token", check_attention, ATTENTION(1, 16, 2, 512, 0, 0), false },
    { "attention: 64 tokens, window of 1024", check_attention, ATTENTION(64, 16, 8, 256, 1024, 1500), true },
    { "attention: 64 tokens from the start", check_attention, ATTENTION(64, 16, 2, 512, 0, 0), false },
    { "attention: f32 cache", check_attention, ATTENTION(2, 16, 2, 512, 0, 300, OP_CACHE_F32), false },
    { "route: one token", check_route, ROUTE(1, 128, 8), false },
    { "route: 512 tokens", check_route, ROUTE(512, 128, 8), true },
    { "route: ties", check_route, ROUTE(33, 128, 8, .ties = true), false },
    { "join: one token", check_join, JOIN(1, 2816, true, true), false },
    { "join: 64 tokens", check_join, JOIN(64, 2816, true, true), true },
    { "embed: Q6_K", check_embed, LINEAR(QTYPE_Q6_K, 1000, 2816, 5), false },
    { "linear: F32, the router", check_linear, LINEAR(QTYPE_F32, 128, 2816, 1), false },
    { "linear: Q4_K, one token", check_linear, LINEAR(QTYPE_Q4_K, 2112, 2816, 1), false },
    { "linear: Q5_0, one token", check_linear, LINEAR(QTYPE_Q5_0, 704, 704, 1), false },
    { "linear: Q6_K, one token", check_linear, LINEAR(QTYPE_Q6_K, 704, 4096, 1), false },
    { "linear: Q8_0, one token", check_linear, LINEAR(QTYPE_Q8_0, 704, 2112, 1), false },
    { "linear: Q4_0, one token", check_linear, LINEAR(QTYPE_Q4_0, 704, 2816, 1), false },
    { "linear: Q4_K, 4 tokens", check_linear, LINEAR(QTYPE_Q4_K, 256, 2816, 4), true },
    { "linear: Q4_K, 65 tokens", check_linear, LINEAR(QTYPE_Q4_K, 256, 2816, 65), false },
    { "linear: Q4_K, 1030 tokens", check_linear, LINEAR(QTYPE_Q4_K, 130, 512, 1030), true },
    { "linear: Q8_0, 17 tokens", check_linear, LINEAR(QTYPE_Q8_0, 256, 2112, 17), true },
    { "linear: F16, one token", check_linear, LINEAR(QTYPE_F16, 704, 704, 1), true },
    { "linear: BF16, one token", check_linear, LINEAR(QTYPE_BF16, 704, 704, 1), true },
    { "linear: Q4_1, one token", check_linear, LINEAR(QTYPE_Q4_1, 704, 704, 1), true },
    { "linear: Q5_1, one token", check_linear, LINEAR(QTYPE_Q5_1, 704, 704, 1), true },
    { "linear: Q5_K, one token", check_linear, LINEAR(QTYPE_Q5_K, 704, 2816, 1), true },
    { "linear: Q2_K, one token", check_linear, LINEAR(QTYPE_Q2_K, 704, 2816, 1), true },
    { "linear: Q3_K, one token", check_linear, LINEAR(QTYPE_Q3_K, 704, 2816, 1), true },
    { "linear: IQ4_NL, one token", check_linear, LINEAR(QTYPE_IQ4_NL, 704, 704, 1), true },
    { "linear: IQ4_XS, one token", check_linear, LINEAR(QTYPE_IQ4_XS, 704, 2816, 1), true },
    { "linear: MXFP4, one token", check_linear, LINEAR(QTYPE_MXFP4, 704, 704, 1), true },
    { "linear_experts: Q4_K, one token", check_experts, EXPERTS(QTYPE_Q4_K, 16, 8, 704, 2816, 1, .y_extra = 704), false },
    { "linear_experts: Q5_0, one token", check_experts, EXPERTS(QTYPE_Q5_0, 16, 8, 704, 704, 1, .x_per_pair = true), false },
    { "linear_experts: Q4_K, 61 tokens", check_experts, EXPERTS(QTYPE_Q4_K, 8, 4, 96, 512, 61), true },
    { "experts_down: Q5_0, one token", check_experts_down, DOWN(QTYPE_Q5_0, 16, 8, 704, 704, 1), false },
    { "experts_down: Q8_0, 61 tokens in slabs", check_experts_down, DOWN(QTYPE_Q8_0, 8, 4, 320, 96, 61, .slab_rows = 128), false },
    { "softcap: the vocabulary", check_softcap, ROWS(1, 262144, .scale = 40), false },
    { "top_k: argmax of the vocabulary", check_top_k, TOP_K(1, 262144, 1), false },
    { "top_k: 64 of the vocabulary", check_top_k, TOP_K(1, 262144, 64), true },
    { "copy: 16 MiB", check_copy, ROWS(1024, 4096), true },
    { "top_k: ties", check_top_k, TOP_K(2, 5000, 40, .ties = true), false },
    { "top_k: 75 with penalties", check_top_k, TOP_K(1, 262144, 75, .penalties = true), true },
    { "sample: the recommended chain", check_sample, SAMPLE(75, 262144, 64, 1000, 1, 0.95f, 0, 11), false },
    { "sample: greedy", check_sample, SAMPLE(12, 262144, 1, 0, 0, 1, 0, 11), false },
    { "sample: with penalties", check_sample, SAMPLE(80, 262144, 64, 77, 0.7f, 0.9f, 0.05f, 11, .has_counts = true), false },
};
// clang-format on

enum karat_status op_selftest(struct gpu_device *device, bool quick, karat_check_fn *on_check, void *user,
                              uint32_t *n_failed, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct check c = { 0 };
    *n_failed = 0;
    TRY(check_init(&c, device, err));
    for (size_t i = 0; i < COUNT(cases); ++i) {
        if (quick && cases[i].large)
            continue;
        TRY(check_run(&c, cases[i].run, cases[i].shape, err));
        const bool passed = check_passed(&c);
        *n_failed += !passed;
        if (on_check)
            on_check(user,
                     &(struct karat_check){
                         .name = cases[i].name, .passed = passed, .error = c.error, .bound = c.bound, .ns = c.ns });
    }
cleanup:
    check_deinit(&c);
    return status;
}
