// tests/unit/test_scratch.c -- where the scratch of a step lies, and how much of it the real model needs.
#include "engine/engine.h"
#include "model/scratch.h"
#include "test.h"

#define MIB (1ull << 20)

// ------------------------------------------------------------------------------------------------ the planner

static uint64_t largest_phase(const struct scratch_span *spans, size_t n)
{
    uint64_t largest = 0;
    for (uint32_t phase = 0; phase < 32; ++phase) {
        uint64_t sum = 0;
        for (size_t i = 0; i < n; ++i)
            sum += spans[i].alive >> phase & 1 ? spans[i].size_bytes : 0;
        largest = sum > largest ? sum : largest;
    }
    return largest;
}

// Inside the arena, aligned, and apart from everything that is alive at the same time.
static void check_layout(struct test *t, const uint64_t *offsets, const struct scratch_span *spans, size_t n,
                         uint64_t total, bool shares)
{
    for (size_t i = 0; i < n; ++i) {
        const uint64_t end = offsets[i] + spans[i].size_bytes;
        CHECK_UINT(offsets[i] % 256, 0);
        CHECK(end <= total);
        for (size_t k = 0; k < i; ++k) {
            const bool apart = end <= offsets[k] || offsets[k] + spans[k].size_bytes <= offsets[i];
            const bool together = !shares || (spans[i].alive & spans[k].alive) != 0;
            CHECK(apart || !together || spans[i].size_bytes == 0 || spans[k].size_bytes == 0);
        }
    }
}

TEST(spans_that_live_at_the_same_time_never_overlap)
{
    struct test_random random = { 1 };
    for (int round = 0; round < 300; ++round) {
        struct scratch_span spans[SCRATCH_SPANS_MAX];
        uint64_t offsets[SCRATCH_SPANS_MAX];
        const size_t n = test_random_below(&random, SCRATCH_SPANS_MAX + 1);
        for (size_t i = 0; i < n; ++i) {
            const uint32_t first = test_random_below(&random, 10), last = test_random_below(&random, 10);
            const uint32_t run = first <= last ? (2u << last) - (1u << first) : ~0u << first | ((2u << last) - 1);
            spans[i] =
                (struct scratch_span){ test_random_below(&random, 5) * test_random_below(&random, 3000), run & 0x3FF };
        }
        const uint64_t packed = scratch_pack(offsets, spans, n, 256);
        check_layout(t, offsets, spans, n, packed, true);
        const uint64_t spread = scratch_spread(offsets, spans, n, 256);
        check_layout(t, offsets, spans, n, spread, false);
        CHECK(packed >= largest_phase(spans, n) && packed <= spread + 256 * n);
    }
}

TEST(spans_in_turns_take_the_room_of_the_largest_moment)
{
    // In pairs of phases: 300 + 500, 500 + 200, 200 + 600 units.
    const struct scratch_span spans[] = { { 300 * 256, 1 }, { 500 * 256, 3 }, { 200 * 256, 6 }, { 600 * 256, 4 } };
    uint64_t offsets[COUNT(spans)];
    CHECK_UINT(scratch_pack(offsets, spans, COUNT(spans), 256), 800 * 256);
    CHECK_UINT(scratch_spread(offsets, spans, COUNT(spans), 256), 1600 * 256);
}

TEST(what_is_not_there_takes_no_room)
{
    const struct scratch_span spans[] = { { 0, 1 }, { 100, 1 }, { 0, 1 }, { 10, 1 } };
    uint64_t offsets[COUNT(spans)];
    CHECK_UINT(scratch_pack(offsets, spans, COUNT(spans), 256), 266);
    CHECK_UINT(scratch_spread(offsets, spans, COUNT(spans), 256), 266);
    CHECK_UINT(scratch_pack(offsets, spans, 0, 256), 0);
    CHECK_UINT(scratch_pack(offsets, spans, 1, 256), 0);
}

// ------------------------------------------------------------------------------------------------ the real models

static struct gemma_shape shape_of(uint32_t n_layers, uint32_t n_embd, uint32_t n_heads, uint32_t n_kv_heads,
                                   uint32_t n_kv_heads_global, uint32_t n_ff)
{
    struct gemma_shape shape = {
        .n_layers = n_layers, .n_embd = n_embd, .n_vocab = 262144, .n_context = 262144, .window = 1024, .softcap = 30
    };
    for (uint32_t i = 0; i < n_layers; ++i) {
        const bool sliding = i % 6 != 5;
        shape.layers[i] = (struct gemma_layer_shape){ .sliding = sliding,
                                                      .has_v = sliding,
                                                      .n_heads = n_heads,
                                                      .n_kv_heads = sliding ? n_kv_heads : n_kv_heads_global,
                                                      .head_size = sliding ? 256 : 512,
                                                      .n_ff = n_ff };
    }
    return shape;
}

static struct gemma_shape shape_26b(void)
{
    struct gemma_shape shape = shape_of(30, 2816, 16, 8, 2, 2112);
    shape.n_experts = 128;
    shape.n_experts_used = 8;
    shape.n_ff_expert = 704;
    return shape;
}

// Devices that promise no more than Vulkan does: 128 MiB to a binding, 1 GiB to an allocation.
static const struct gpu_plan gpu = { .subgroup_size = 32,
                                     .max_binding_bytes = 128 * MIB,
                                     .max_allocation_bytes = 1024 * MIB };
static const struct gpu_plan cpu = {
    .cpu = true, .subgroup_size = 8, .unified = true, .max_binding_bytes = 128 * MIB, .max_allocation_bytes = 1024 * MIB
};

TEST(steps_of_2048_tokens_of_26b_need_at_most_250_mib_of_scratch)
{
    const struct gemma_shape shape = shape_26b();
    const struct gpu_plan *plans[] = { &gpu, &cpu };
    for (size_t i = 0; i < COUNT(plans); ++i) {
        const struct gemma_state_options options = session_plan(
            &(struct karat_session_options){ .n_context = 262144, .n_batch = 2048 }, &shape, plans[i], UINT64_MAX, 1);
        CHECK_UINT(options.n_batch, 2048);
        CHECK_UINT(options.n_context, 262144);
        const struct gemma_state_bytes bytes = gemma_state_size(&shape, &options, plans[i]);
        printf("  26B, 2048 tokens, %u rows of scores, %s: %.1f MiB of scratch\n", options.n_rows,
               plans[i]->cpu ? "CPU" : "GPU", (double)bytes.scratch / (double)MIB);
        CHECK(bytes.scratch <= 250 * MIB);
        // What the experts have at once in any case: gate, up and product of each pair, and three rows of each token.
        CHECK(bytes.scratch >= 2048ull * (8 * 3 * 704 + 3 * 2816) * 4);
    }
}

TEST(a_wide_dense_model_has_steps_as_long_as_its_bindings_allow)
{
    // 32 heads of 512 are 128 MiB at 2048 tokens: just one binding.
    const struct gemma_shape shape = shape_of(60, 5376, 32, 16, 4, 21504);
    struct gemma_state_options options = { .n_context = 8192, .n_batch = 2048, .n_rows = 64 };
    gemma_state_fit(&options, &shape, &gpu);
    CHECK_UINT(options.n_batch, 2048);
    CHECK(gemma_state_size(&shape, &options, &gpu).scratch <= 1024 * MIB);

    struct gpu_plan poor = gpu;
    poor.max_binding_bytes = 64 * MIB;
    gemma_state_fit(&options, &shape, &poor);
    CHECK_UINT(options.n_batch, 1024);

    // A small heap: one allocation is a quarter of it.
    poor.max_allocation_bytes = 64 * MIB;
    gemma_state_fit(&options, &shape, &poor);
    CHECK(options.n_batch >= 64 && options.n_batch < 1024 && options.n_rows >= 1 && options.n_rows < 64);
    CHECK(gemma_state_size(&shape, &options, &poor).scratch <= 64 * MIB);
}

TEST(a_step_of_one_token_shares_nothing)
{
    // Its scratch is that of 8 tokens side by side, which is more than packed.
    const struct gemma_shape shape = shape_26b();
    const struct gemma_state_options one = { .n_context = 8192, .n_batch = 1, .n_rows = 1 },
                                     eight = { .n_context = 8192, .n_batch = 8, .n_rows = 1 },
                                     many = { .n_context = 8192, .n_batch = 2048, .n_rows = 1 };
    const uint64_t scores = 2ull * 262144 * 4, experts = 8ull * (3 * 704 + 2816) * 4;
    CHECK(gemma_state_size(&shape, &one, &cpu).scratch >= scores + experts);
    CHECK(gemma_state_size(&shape, &eight, &cpu).scratch >= scores + 8 * experts);
    CHECK(gemma_state_size(&shape, &many, &cpu).scratch > gemma_state_size(&shape, &eight, &cpu).scratch);
}

// ------------------------------------------------------------------------------------------------ the default

TEST(the_default_step_suits_the_device)
{
    const struct gemma_shape shape = shape_26b();
    struct gpu_plan integrated = gpu;
    integrated.unified = true;
    const struct {
        const char *name;
        const struct gpu_plan *plan;
        uint32_t n_context, wish;
        uint64_t free_bytes;
        uint32_t n_batch;
    } rows[] = {
        { "a card", &gpu, 8192, 0, UINT64_MAX, 2048 },
        { "memory of the host", &integrated, 8192, 0, UINT64_MAX, 1024 },
        { "a software device", &cpu, 8192, 0, UINT64_MAX, 512 },
        { "a context shorter than the step", &gpu, 100, 0, UINT64_MAX, 100 },
        { "room for half a step", &gpu, 8192, 0, 750 * MIB, 1024 },
        { "no room at all", &gpu, 8192, 0, 0, 512 },
        { "a wish", &gpu, 8192, 13, UINT64_MAX, 13 },
        { "a wish that does not fit", &gpu, 8192, 2048, 0, 2048 },
        { "a wish on a software device", &cpu, 8192, 2048, UINT64_MAX, 2048 },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        t->row = rows[i].name;
        const struct karat_session_options wishes = { .n_context = rows[i].n_context, .n_batch = rows[i].wish };
        const struct gemma_state_options plan = session_plan(&wishes, &shape, rows[i].plan, rows[i].free_bytes, 1);
        CHECK_UINT(plan.n_batch, rows[i].n_batch);
        CHECK_UINT(plan.n_context, rows[i].n_context);
        CHECK(plan.n_rows >= 1 && plan.n_rows <= plan.n_batch);
        const struct gemma_state_bytes bytes = gemma_state_size(&shape, &plan, rows[i].plan);
        CHECK(bytes.cache + bytes.scratch <= rows[i].free_bytes || plan.n_batch == 512 || rows[i].wish > 0);
    }
    t->row = NULL;
}
