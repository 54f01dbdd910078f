// tests/model/test_chunks.c -- however a long prompt is cut into steps, the scores are the same; and the plan of the
// memory is what is allocated.
//
// The models are the tiny ones with random weights: two layers, of which one has a window far shorter than a step.
// Steps of few tokens have their scratch side by side, long ones share it, so a scratch that is given away too early
// shows here, too.
#include <stdlib.h>

#include "gguf_writer.h"
#include "loader/qtype.h"
#include "model/state.h"
#include "test.h"
#include "tiny_gemma.h"

#define N_IDS 2100
#define BOUND 1e-9 // of the normalised mean squared error: rounding in another order

// ------------------------------------------------------------------------------------------------ a random model

static void fill_f32(struct test_random *random, float *values, size_t n)
{
    for (size_t i = 0; i < n; ++i)
        values[i] = 1 + 0.3f * test_random_normal(random);
}

// Blocks of 32: a half and 16 bytes of codes around 8. The scale gives weights of about 1 / sqrt(columns).
static void fill_q4_0(struct test_random *random, uint8_t *blocks, size_t size_bytes, uint64_t n_cols)
{
    const uint16_t scale = qtype_float_to_half(0.2f / sqrtf((float)n_cols));
    for (size_t at = 0; at + 18 <= size_bytes; at += 18) {
        blocks[at] = (uint8_t)scale;
        blocks[at + 1] = (uint8_t)(scale >> 8);
        for (int i = 2; i < 18; ++i)
            blocks[at + i] = (uint8_t)test_random_below(random, 256);
    }
}

// The tensors of a file in memory, which are zero, become random.
static void fill_tensors(uint8_t *bytes, const struct model_file *file)
{
    struct test_random random = { 7 };
    for (size_t i = 0; i < model_file_n_tensors(file); ++i) {
        const struct tensor_info *tensor = model_file_tensor(file, i);
        uint8_t *data = bytes + ((const uint8_t *)tensor->data.data - bytes);
        if (tensor->type == QTYPE_F32)
            fill_f32(&random, (float *)(void *)data, tensor->data.size_bytes / sizeof(float));
        else
            fill_q4_0(&random, data, tensor->data.size_bytes, tensor->dims[0]);
    }
}

struct bench {
    struct karat_error err;
    uint8_t *bytes;
    struct model_file *file;
    struct gpu_device *device;
    struct gemma_shape shape;
    struct gemma_weights weights;
    struct gpu_recorder *recorder;
};

static void close_bench(struct bench *b)
{
    gpu_recorder_destroy(b->recorder);
    gemma_weights_free(&b->weights);
    gpu_device_destroy(b->device);
    model_file_close(b->file);
    free(b->bytes);
}

static bool open_bench(struct test *t, struct bench *b, struct tiny_gemma *model)
{
    size_t size = 0;
    *b = (struct bench){ 0 };
    tiny_gemma_set(model, "gemma4.context_length", W_U32, 4096);
    b->bytes = tiny_gemma_finish(model, &size);
    enum karat_status status = gpu_device_create(&b->device, &(struct gpu_device_options){ 0 }, &b->err);
    if (status == KARAT_ERR_NO_DEVICE) {
        static char reason[sizeof b->err.text];
        snprintf(reason, sizeof reason, "%s", b->err.text);
        t->skipped = reason;
        return false;
    }
    if (status == KARAT_OK)
        status = model_file_from_bytes(&b->file, "tiny", span_of(b->bytes, size), &b->err);
    if (status == KARAT_OK) {
        fill_tensors(b->bytes, b->file);
        status = gemma_shape_read(&b->shape, b->file, &b->err);
    }
    if (status == KARAT_OK)
        status = gemma_weights_bind(&b->weights, &b->shape, b->file, &b->err);
    if (status == KARAT_OK)
        status = gemma_weights_place(&b->weights, &b->shape, b->file, b->device, &b->err);
    if (status == KARAT_OK)
        status = gemma_weights_load(&b->weights, b->file, NULL, NULL, &b->err);
    if (status == KARAT_OK)
        status = gpu_recorder_create(&b->recorder, b->device, &b->err);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", b->err.text);
}

// ------------------------------------------------------------------------------------------------ steps

// The scores after all tokens, evaluated in steps of n_batch; false when something failed.
static bool evaluate(struct test *t, struct bench *b, const uint32_t *ids, uint32_t n_batch, float *scores)
{
    struct gemma_state *state = NULL;
    const struct gemma_state_options options = {
        .n_context = N_IDS, .n_batch = n_batch, .n_rows = 1, .cache = OP_CACHE_F32
    };
    enum karat_status status = gemma_state_create(&state, &b->shape, &options, NULL, b->device, &b->err);
    for (uint32_t at = 0, n; at < N_IDS && status == KARAT_OK; at += n) {
        n = N_IDS - at < n_batch ? N_IDS - at : n_batch;
        const bool is_last = at + n == N_IDS;
        gemma_forward(
            b->recorder, &b->shape, &b->weights, state,
            &(struct gemma_step){
                .ids = ids + at, .n_tokens = n, .first_position = at, .first_row = n - 1, .n_rows = is_last ? 1 : 0 });
        if ((status = gpu_recorder_submit(b->recorder, &b->err)) == KARAT_OK)
            status = gpu_recorder_wait(b->recorder, &b->err);
    }
    if (status == KARAT_OK)
        memcpy(scores, gemma_state_scores(state), TINY_VOCAB * sizeof *scores);
    gemma_state_destroy(state);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", b->err.text);
}

static double distance(const float *got, const float *want)
{
    double error = 0, scale = 0;
    for (uint32_t i = 0; i < TINY_VOCAB; ++i) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        scale += (double)want[i] * want[i];
    }
    return error / scale;
}

// The comparison would not notice scores that depend on the last tokens alone.
static void check_dependence(struct test *t, struct bench *b, uint32_t *ids, const float *scores)
{
    float other[TINY_VOCAB];
    for (size_t i = 0; i < 512; ++i)
        ids[i] = 1;
    if (evaluate(t, b, ids, 2048, other))
        test_check(t, distance(other, scores) > 100 * BOUND, __FILE__, __LINE__, "the scores differ by %.3g only",
                   distance(other, scores));
}

static void check_chunks(struct test *t, struct tiny_gemma *model, const uint32_t *sizes, size_t n_sizes)
{
    struct bench b;
    struct test_random random = { 3 };
    uint32_t ids[N_IDS];
    float want[TINY_VOCAB], got[TINY_VOCAB];
    for (size_t i = 0; i < N_IDS; ++i)
        ids[i] = test_random_below(&random, TINY_VOCAB);
    if (open_bench(t, &b, model) && evaluate(t, &b, ids, N_IDS, want)) {
        for (size_t i = 0; i < n_sizes && evaluate(t, &b, ids, sizes[i], got); ++i) {
            const double error = distance(got, want);
            printf("  steps of %4u tokens: error %.2e\n", sizes[i], error);
            test_check(t, error <= BOUND, __FILE__, __LINE__, "steps of %u: the error is %.3g, at most %.3g allowed",
                       sizes[i], error, BOUND);
        }
        if (!test_brief())
            check_dependence(t, &b, ids, want);
    }
    close_bench(&b);
}

TEST(steps_of_any_size_give_the_same_scores)
{
    static const uint32_t sizes[] = { 1024, 1, 13, 512, 2048 };
    struct tiny_gemma model;
    tiny_gemma_experts(&model);
    check_chunks(t, &model, sizes, test_brief() ? 1 : COUNT(sizes));
    if (test_brief())
        printf("  KARAT_TEST_BRIEF: %zu of %zu sizes left out\n", COUNT(sizes) - 1, COUNT(sizes));
}

TEST(steps_of_any_size_give_the_same_scores_without_experts)
{
    static const uint32_t sizes[] = { 13, 512, 2048 };
    struct tiny_gemma model;
    if (test_brief())
        SKIP("KARAT_TEST_BRIEF");
    tiny_gemma_dense(&model);
    check_chunks(t, &model, sizes, COUNT(sizes));
}

// ------------------------------------------------------------------------------------------------ memory

TEST(the_plan_of_a_state_is_what_it_allocates)
{
    static const struct gemma_state_options rows[] = {
        { .n_context = 100, .n_batch = 1, .n_rows = 1 },
        { .n_context = 4096, .n_batch = 512, .n_rows = 64 },
        { .n_context = 4096, .n_batch = 2048, .n_rows = 1, .cache = OP_CACHE_F32 },
    };
    struct bench b;
    struct tiny_gemma model;
    tiny_gemma_experts(&model);
    const bool opened = open_bench(t, &b, &model);
    for (size_t i = 0; opened && i < COUNT(rows); ++i) {
        struct gemma_state *state = NULL;
        const struct gemma_state_bytes plan = gemma_state_size(&b.shape, &rows[i], gpu_device_plan(b.device));
        const enum karat_status status = gemma_state_create(&state, &b.shape, &rows[i], NULL, b.device, &b.err);
        if (!test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", b.err.text))
            break;
        uint64_t cache_bytes = 0;
        for (uint32_t layer = 0; layer < b.shape.n_layers; ++layer)
            cache_bytes += gpu_buffer_size(state->caches[layer].keys) + gpu_buffer_size(state->caches[layer].values);
        CHECK_UINT(cache_bytes, plan.cache);
        CHECK_UINT(gpu_buffer_size(state->workspace->arena) + OP_COUNTERS_BYTES +
                       feedback_bytes(&b.shape, rows[i].n_batch, 0),
                   plan.scratch);
        gemma_state_destroy(state);
    }
    close_bench(&b);
}
