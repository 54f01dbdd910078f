// tests/unit/test_gpu_reflect.c -- what is read out of a SPIR-V module, whole or damaged.
#include <stdlib.h>

#include "gpu/gpu.h"
#include "spv/test_address.h"
#include "spv/test_scale.h"
#include "test.h"

TEST(a_module_tells_its_interface)
{
    struct karat_error err;
    struct gpu_reflection found;
    REQUIRE_OK(gpu_reflect(&found, spv_test_scale, sizeof spv_test_scale, &err), err);
    CHECK_UINT(found.n_buffers, 2);
    CHECK_UINT(found.reads, 1);
    CHECK_UINT(found.writes, 2);
    CHECK_UINT(found.params_bytes, 20);
    CHECK_UINT(found.n_spec, 2);
    CHECK_UINT(found.local_size[0], 0);
    CHECK_UINT(found.local_size_spec[0], 0);
    CHECK_UINT(found.local_size[1], 1);
    CHECK_UINT(found.local_size[2], 1);
    CHECK_UINT(found.local_size_spec[1], UINT32_MAX);
}

TEST(a_binding_without_qualifier_is_read_and_written)
{
    struct karat_error err;
    struct gpu_reflection found;
    REQUIRE_OK(gpu_reflect(&found, spv_test_address, sizeof spv_test_address, &err), err);
    CHECK_UINT(found.n_buffers, 1);
    CHECK_UINT(found.reads, 1);
    CHECK_UINT(found.writes, 1);
    CHECK_UINT(found.params_bytes, 12);
    CHECK_UINT(found.n_spec, 0);
    CHECK_UINT(found.local_size[0], 64);
    CHECK_UINT(found.local_size_spec[0], UINT32_MAX);
}

// A module by hand: the built-in workgroup size made of specialisation constants, as older compilers write it, and an
// execution mode that it overrides.
#define OP(length, code) ((uint32_t)(length) << 16 | (code))
static const uint32_t built_in_size[] = {
    0x07230203, 0x00010600, 0,  20, 0,    // header: 20 ids
    OP(6, 16),  1,          17, 1,  1, 1, // execution mode: local size 1 1 1
    OP(4, 71),  5,          1,  3,        // %5 is specialisation constant 3
    OP(4, 71),  8,          11, 25,       // %8 is the workgroup size
    OP(4, 21),  2,          32, 0,        // %2 unsigned int
    OP(4, 23),  3,          2,  3,        // %3 vector of three
    OP(4, 50),  2,          5,  32,       // %5 specialisation constant, 32
    OP(4, 43),  2,          6,  4,        // %6 constant 4
    OP(4, 43),  2,          7,  1,        // %7 constant 1
    OP(6, 51),  3,          8,  5,  6, 7, // %8 composite
};

TEST(the_built_in_workgroup_size_wins)
{
    struct karat_error err;
    struct gpu_reflection found;
    REQUIRE_OK(gpu_reflect(&found, built_in_size, sizeof built_in_size, &err), err);
    CHECK_UINT(found.local_size[0], 0);
    CHECK_UINT(found.local_size_spec[0], 3);
    CHECK_UINT(found.local_size[1], 4);
    CHECK_UINT(found.local_size[2], 1);
    CHECK_UINT(found.n_spec, 4);
}

TEST(a_module_that_ends_early_is_refused_or_read_in_bounds)
{
    struct karat_error err;
    struct gpu_reflection found;
    for (size_t bytes = 0; bytes <= sizeof spv_test_scale; ++bytes) {
        // A block of exactly this size lets the address sanitizer see every word read beyond it.
        uint32_t *copy = malloc(bytes ? bytes : 1);
        memcpy(copy, spv_test_scale, bytes);
        const enum karat_status status = gpu_reflect(&found, copy, bytes, &err);
        if (bytes % 4 != 0 || bytes < 20)
            CHECK(status == KARAT_ERR_FORMAT);
        else
            CHECK(status == KARAT_OK || (status == KARAT_ERR_FORMAT && err.text[0]));
        free(copy);
    }
}

TEST(a_damaged_module_is_refused_or_read_in_bounds)
{
    struct karat_error err;
    struct gpu_reflection found;
    struct test_random random = { 7 };
    uint32_t *copy = malloc(sizeof spv_test_scale);
    for (int round = 0; round < 20000; ++round) {
        memcpy(copy, spv_test_scale, sizeof spv_test_scale);
        const uint32_t n = 1 + test_random_below(&random, 4);
        for (uint32_t i = 0; i < n; ++i) {
            uint32_t *word = &copy[test_random_below(&random, COUNT(spv_test_scale))];
            switch (test_random_below(&random, 3)) {
            case 0:
                *word = test_random_u32(&random);
                break;
            case 1:
                *word ^= 1u << test_random_below(&random, 32);
                break;
            default:
                *word = test_random_below(&random, 128);
                break;
            }
        }
        const enum karat_status status = gpu_reflect(&found, copy, sizeof spv_test_scale, &err);
        if (status == KARAT_OK)
            CHECK(found.n_buffers <= GPU_BUFFERS_MAX && found.n_spec <= GPU_SPEC_MAX);
        else
            CHECK(status == KARAT_ERR_FORMAT && err.text[0]);
    }
    free(copy);
}

static const struct {
    const char *name;
    size_t word;
    uint32_t value;
    const char *sentence;
} damage[] = {
    { "not SPIR-V", 0, 0x03022307, "is not SPIR-V" },
    { "no ids", 3, 0, "claims 0 ids" },
    { "ids without end", 3, 0x7FFFFFFF, "claims 2147483647 ids" },
    { "an instruction of no length", 5, 17, "word 5 of 45 has length 0" },
    { "an instruction beyond the end", 5, OP(100, 16), "word 5 of 45 has length 100" },
    { "a specialisation constant out of reach", 14, 12, "specialisation constant 12" },
};

TEST(the_sentence_says_what_is_wrong)
{
    struct karat_error err;
    struct gpu_reflection found;
    for (size_t i = 0; i < COUNT(damage); ++i) {
        uint32_t copy[COUNT(built_in_size)];
        t->row = damage[i].name;
        memcpy(copy, built_in_size, sizeof copy);
        copy[damage[i].word] = damage[i].value;
        CHECK(gpu_reflect(&found, copy, sizeof copy, &err) == KARAT_ERR_FORMAT);
        test_check(t, strstr(err.text, damage[i].sentence) != NULL, __FILE__, __LINE__, "\"%s\" lacks \"%s\"", err.text,
                   damage[i].sentence);
    }
}
