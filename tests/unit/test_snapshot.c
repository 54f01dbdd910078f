// tests/unit/test_snapshot.c -- how much may be set aside of prompts, and how far one can go back with it. No device.
#include "engine/engine.h"
#include "test.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

// 25 sliding layers and 5 global ones.
static struct gemma_shape shape_26b(void)
{
    struct gemma_shape shape = { .n_layers = 30, .n_embd = 2816, .n_vocab = 262144, .window = 1024 };
    for (uint32_t i = 0; i < shape.n_layers; ++i) {
        const bool sliding = i % 6 != 5;
        shape.layers[i] = (struct gemma_layer_shape){
            .sliding = sliding, .n_heads = 16, .n_kv_heads = sliding ? 8 : 2, .head_size = sliding ? 256 : 512
        };
    }
    return shape;
}

TEST(what_is_set_aside_of_26b_takes_what_the_headers_say)
{
    const struct gemma_shape shape = shape_26b();
    const struct gemma_extent position = { 0, 1, 0 }, full = { 0, 0, 1 }, window = { 5000, 6023, 0 };
    CHECK_UINT(gemma_extent_bytes(&shape, &position, OP_CACHE_F16), 200 * 1024);
    CHECK_UINT(gemma_extent_bytes(&shape, &full, OP_CACHE_F16), 20 * 1024);
    CHECK_UINT(gemma_extent_bytes(&shape, &full, OP_CACHE_F32), 40 * 1024);
    const uint64_t bytes = gemma_extent_bytes(&shape, &window, OP_CACHE_F16);
    CHECK(bytes > 199 * MIB && bytes <= 200 * MIB);
}

TEST(the_budget_suits_the_device)
{
    const struct gpu_plan card = { .heap = 0 }, shared = { .heap = 0, .unified = true },
                          cpu = { .heap = 0, .cpu = true };
    const struct gpu_snapshot seen = { .n_heaps = 3,
                                       .heaps = { { .size_bytes = 24 * GIB, .device_local = true },
                                                  { .size_bytes = 24 * GIB },
                                                  { .size_bytes = 256 * MIB, .device_local = true } } };
    const struct gpu_snapshot alone = { .n_heaps = 1, .heaps = { { .size_bytes = 16 * GIB, .device_local = true } } };
    const struct {
        const char *name;
        const struct gpu_plan *plan;
        const struct gpu_snapshot *seen;
        uint64_t free_bytes, wish;
        struct snapshot_bytes want;
    } rows[] = {
        { "a card", &card, &seen, 6 * GIB, 0, { 3 * GIB, 3 * GIB } },
        { "a card that is full", &card, &seen, 0, 0, { 0, 3 * GIB } },
        { "a wish", &card, &seen, 6 * GIB, 5 * GIB, { 5 * GIB, 0 } },
        { "a wish for more than there is", &card, &seen, 6 * GIB, 9 * GIB, { 6 * GIB, 3 * GIB } },
        { "a wish beyond everything", &card, &seen, 6 * GIB, 900 * GIB, { 6 * GIB, 24 * GIB } },
        { "none", &card, &seen, 6 * GIB, 1, { 1, 0 } },
        { "memory of the host", &shared, &seen, 6 * GIB, 0, { 3 * GIB / 2, 0 } },
        { "much memory of the host", &shared, &seen, 60 * GIB, 0, { 4 * GIB, 0 } },
        { "a software device", &cpu, &alone, 8 * GIB, 0, { 2 * GIB, 0 } },
        { "a wish there", &cpu, &alone, 8 * GIB, 9 * GIB, { 8 * GIB, 0 } },
        { "no other heap", &card, &alone, 2 * GIB, 0, { GIB, 0 } },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        t->row = rows[i].name;
        const struct snapshot_bytes got = snapshot_budget(rows[i].plan, rows[i].seen, rows[i].free_bytes, rows[i].wish);
        CHECK_UINT(got.device, rows[i].want.device);
        CHECK_UINT(got.host, rows[i].want.host);
    }
    t->row = NULL;
}

TEST(one_goes_back_as_far_as_the_window_is_there)
{
    const struct gemma_shape shape = { .n_layers = 1, .window = 64 };
    const struct {
        const char *name;
        struct gemma_extent held;
        uint32_t n, reach;
    } rows[] = {
        { "the end", { 100, 200, 0 }, 200, 200 },
        { "no further than the end", { 100, 200, 0 }, 300, 200 },
        { "the first position that sees enough", { 100, 200, 0 }, 163, 163 },
        { "one less", { 100, 200, 0 }, 162, 0 },
        { "from the beginning", { 0, 200, 0 }, 5, 5 },
        { "shorter than the window", { 150, 200, 0 }, 200, 0 },
        { "nothing", { 0, 0, 0 }, 10, 0 },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        t->row = rows[i].name;
        CHECK_UINT(rewind_extent_reach(&shape, &rows[i].held, rows[i].n), rows[i].reach);
    }
    t->row = NULL;
    // What is needed for position 200 is enough for those a little before it.
    const struct gemma_extent held = { rewind_first(&shape, 200), 200, 0 };
    CHECK_UINT(rewind_extent_reach(&shape, &held, 200 - REWIND_SLACK), 200 - REWIND_SLACK);
    CHECK_UINT(rewind_extent_reach(&shape, &held, 199 - REWIND_SLACK), 0);
    CHECK_UINT(rewind_first(&shape, 50), 0);
}
