// tests/unit/test_ahead_plan.c -- who draws the tokens of an answer, and how many steps run ahead.
#include "engine/ahead.h"
#include "test.h"

#define N_VOCAB 2000

static const uint32_t never[OP_NEVER_MAX + 1] = { 0, 2, 4 };
static const struct karat_bias bias = { 7, 1 };

static const struct row {
    const char *name;
    struct sampler_options options;
    bool cpu, forced;
    uint32_t n_never;
    bool draws;
    uint32_t n_candidates;
    bool penalties;
} rows[] = {
    { "greedy", { .temperature = 0 }, false, false, 0, true, 1, false },
    { "greedy without three", { .temperature = 0 }, false, false, 3, true, 4, false },
    { "greedy, whatever top-k", { .temperature = 0, .top_k = 500 }, false, false, 0, true, 1, false },
    { "the recommended chain", { .temperature = 1, .top_k = 64, .top_p = 0.95f }, false, false, 3, true, 67, false },
    { "as many as there can be",
      { .temperature = 1, .top_k = 64, .presence_penalty = 1 },
      false,
      false,
      12,
      true,
      80,
      true },
    { "too many to leave out", { .temperature = 1, .top_k = 64 }, false, false, 13, false, 0, false },
    { "a long list", { .temperature = 1, .top_k = 65 }, false, false, 0, false, 0, false },
    { "the whole vocabulary", { .temperature = 1 }, false, false, 0, false, 0, false },
    { "penalties", { .temperature = 1, .top_k = 20, .repeat_penalty = 1.1f }, false, false, 0, true, 24, true },
    { "greedy with penalties", { .frequency_penalty = 0.1f, .penalty_window = 16 }, false, false, 0, true, 5, true },
    { "a penalty of one is none", { .repeat_penalty = 1 }, false, false, 0, true, 1, false },
    { "a window shorter than what runs ahead",
      { .frequency_penalty = 0.1f, .penalty_window = 15 },
      false,
      false,
      0,
      false,
      0,
      false },
    { "which does not matter without penalties", { .penalty_window = 1 }, false, false, 0, true, 1, false },
    { "biases", { .biases = &bias, .n_biases = 1 }, false, true, 0, false, 0, false },
    { "a software device", { .temperature = 0 }, true, false, 0, false, 0, false },
    { "a software device in a test", { .temperature = 0 }, true, true, 0, true, 1, false },
    { "which cannot force what cannot be", { .temperature = 1 }, true, true, 0, false, 0, false },
};

TEST(the_device_draws_what_it_can_draw_exactly)
{
    struct karat_error err;
    struct sampler *sampler = NULL;
    REQUIRE_OK(sampler_create(&sampler, N_VOCAB, &err), err);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        const struct row *row = &rows[i];
        struct gemma_drawing drawing = { .n_candidates = 0 };
        t->row = row->name;
        REQUIRE_OK(sampler_begin(sampler, &row->options, &err), err);
        const struct gpu_plan device = { .cpu = row->cpu };
        CHECK_UINT(ahead_plan(&drawing, &device, row->forced, sampler, never, row->n_never), row->draws);
        CHECK_UINT(drawing.n_candidates, row->n_candidates);
        CHECK_UINT(drawing.has_penalties, row->penalties);
        CHECK_UINT(drawing.sampling.n_never, row->draws ? row->n_never : 0);
        if (row->draws && row->n_never >= 3)
            CHECK_UINT(drawing.sampling.never[2], 4);
        CHECK(drawing.sampling.temperature == (row->draws ? row->options.temperature : 0));
    }
    t->row = NULL;
    sampler_destroy(sampler);
}

TEST(few_candidates_are_all_candidates)
{
    struct karat_error err;
    struct sampler *sampler = NULL;
    struct gemma_drawing drawing;
    REQUIRE_OK(sampler_create(&sampler, 10, &err), err);
    REQUIRE_OK(sampler_begin(sampler, &(struct sampler_options){ .temperature = 1, .top_k = 9 }, &err), err);
    CHECK(ahead_plan(&drawing, &(struct gpu_plan){ .cpu = false }, false, sampler, never, 3));
    CHECK_UINT(drawing.n_candidates, 10);
    CHECK_UINT(drawing.sampling.top_k, 9);
    sampler_destroy(sampler);
}

TEST(what_runs_ahead_takes_fifty_milliseconds)
{
    static const struct {
        uint64_t step_ns;
        uint32_t forced, n_batch, depth;
    } cases[] = {
        { 0, 0, 512, 1 }, // nothing is known yet
        { 1000000, 0, 512, 8 },  { 6250000, 0, 512, 8 },  { 7000000, 0, 512, 7 },  { 20000000, 0, 512, 2 },
        { 26000000, 0, 512, 1 }, { 60000000, 0, 512, 1 }, { 1, 0, 512, 8 },        { UINT64_MAX, 0, 512, 1 },
        { 1000000, 0, 3, 3 },    { 1000000, 0, 1, 1 },    { 90000000, 5, 512, 5 }, { 90000000, 100, 512, 8 },
        { 90000000, 5, 2, 2 },
    };
    for (size_t i = 0; i < COUNT(cases); ++i)
        CHECK_UINT(ahead_depth(cases[i].step_ns, cases[i].forced, cases[i].n_batch), cases[i].depth);
}
