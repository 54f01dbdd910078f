// tests/model/test_parts.c -- the next tokens of several timelines in one pass have the bits that each has alone.
//
// Every model there is: the demo and the random ones, whose matrices have all the formats.
#include <stdlib.h>

#include "model/gemma.h"
#include "test.h"

#define N_STEPS 2
#define N_CONTEXT 640

struct bed {
    struct model_file *file;
    struct gemma_shape shape;
    struct gemma_weights weights;
    struct gpu_device *device;
    struct gpu_recorder *recorder, *apart;
    struct gemma_workspace *workspace, *few;
    struct gemma_state *states[GEMMA_PARTS_MAX];
    uint32_t lengths[GEMMA_PARTS_MAX];
    uint32_t n_context;
    struct karat_error err;
};

static void close_bed(struct bed *bed)
{
    for (size_t i = 0; i < GEMMA_PARTS_MAX; ++i)
        gemma_state_destroy(bed->states[i]);
    gpu_recorder_destroy(bed->recorder);
    gpu_recorder_destroy(bed->apart);
    gemma_workspace_destroy(bed->workspace);
    gemma_workspace_destroy(bed->few);
    gemma_weights_free(&bed->weights);
    gpu_device_destroy(bed->device);
    model_file_close(bed->file);
}

static enum karat_status open_model(struct bed *bed, const char *path)
{
    enum karat_status status = KARAT_OK;
    struct karat_error *err = &bed->err;
    TRY(gpu_device_create(&bed->device, &(struct gpu_device_options){ 0 }, err));
    TRY(model_file_open(&bed->file, path, err));
    TRY(gemma_shape_read(&bed->shape, bed->file, err));
    TRY(gemma_weights_bind(&bed->weights, &bed->shape, bed->file, err));
    TRY(gemma_weights_place(&bed->weights, &bed->shape, bed->file, bed->device, err));
    TRY(gemma_weights_load(&bed->weights, bed->file, NULL, NULL, err));
    TRY(gpu_recorder_create(&bed->recorder, bed->device, err));
    TRY(gpu_recorder_create(&bed->apart, bed->device, err));
    gpu_recorder_keep_apart(bed->apart);
cleanup:
    return status;
}

// Timelines that share one workspace, and another for steps of several.
static enum karat_status open_states(struct bed *bed, enum op_cache_type cache)
{
    enum karat_status status = KARAT_OK;
    bed->n_context = bed->shape.n_context < N_CONTEXT ? bed->shape.n_context : N_CONTEXT;
    const struct gemma_state_options options = {
        .n_context = bed->n_context, .n_batch = 64, .n_rows = 1, .cache = cache
    };
    const struct gemma_state_options few = {
        .n_batch = GEMMA_PARTS_MAX, .n_rows = GEMMA_PARTS_MAX, .n_parts = GEMMA_PARTS_MAX, .cache = cache
    };
    TRY(gemma_workspace_create(&bed->workspace, &bed->shape, &options, bed->device, &bed->err));
    TRY(gemma_workspace_create(&bed->few, &bed->shape, &few, bed->device, &bed->err));
    for (size_t i = 0; i < GEMMA_PARTS_MAX; ++i)
        TRY(gemma_state_create(&bed->states[i], &bed->shape, &options, bed->workspace, bed->device, &bed->err));
cleanup:
    return status;
}

static enum karat_status finish(struct bed *bed, struct gpu_recorder *rec)
{
    const enum karat_status status = gpu_recorder_submit(rec, &bed->err);
    return status == KARAT_OK ? gpu_recorder_wait(rec, &bed->err) : status;
}

static enum karat_status step_alone(struct bed *bed, size_t part, const uint32_t *ids, uint32_t n, uint32_t position)
{
    gemma_forward(
        bed->recorder, &bed->shape, &bed->weights, bed->states[part],
        &(struct gemma_step){ .ids = ids, .n_tokens = n, .first_position = position, .first_row = n - 1, .n_rows = 1 });
    return finish(bed, bed->recorder);
}

static uint32_t token(const struct bed *bed, size_t part, uint32_t position)
{
    struct test_random random = { part * 7919 + position + 1 };
    return test_random_below(&random, bed->shape.n_vocab);
}

// Prompts of different lengths, one beyond the window where the context has room for it.
static enum karat_status read_prompts(struct bed *bed)
{
    enum karat_status status = KARAT_OK;
    uint32_t ids[64];
    for (size_t i = 0; i < GEMMA_PARTS_MAX; ++i) {
        const uint32_t wanted[GEMMA_PARTS_MAX] = { 5, 17, 1, 300, 33, 64, 2, 129 };
        const uint32_t most = bed->n_context - N_STEPS;
        bed->lengths[i] = wanted[i] < most ? wanted[i] : most;
        for (uint32_t at = 0, n; at < bed->lengths[i]; at += n) {
            n = bed->lengths[i] - at < COUNT(ids) ? bed->lengths[i] - at : (uint32_t)COUNT(ids);
            for (uint32_t k = 0; k < n; ++k)
                ids[k] = token(bed, i, at + k);
            TRY(step_alone(bed, i, ids, n, at));
        }
    }
cleanup:
    return status;
}

// Every part alone for N_STEPS tokens, then the first n_parts of them together over the same positions.
static enum karat_status compare(struct test *t, struct bed *bed, uint32_t n_parts, const float *alone)
{
    enum karat_status status = KARAT_OK;
    const size_t n_vocab = bed->shape.n_vocab;
    for (uint32_t step = 0; step < N_STEPS; ++step) {
        struct gemma_part parts[GEMMA_PARTS_MAX];
        for (uint32_t i = 0; i < n_parts; ++i) {
            const uint32_t position = bed->lengths[i] + step;
            parts[i] = (struct gemma_part){ bed->states[i], token(bed, i, position), position };
        }
        gemma_forward_parts(bed->apart, &bed->shape, &bed->weights, bed->few, parts, n_parts);
        TRY(finish(bed, bed->apart));
        for (uint32_t i = 0; i < n_parts; ++i) {
            const float *got = gemma_workspace_scores(bed->few) + i * n_vocab;
            const float *want = alone + (step * GEMMA_PARTS_MAX + i) * n_vocab;
            size_t n_wrong = 0;
            double worst = 0;
            for (size_t k = 0; k < n_vocab; ++k) {
                n_wrong += memcmp(&got[k], &want[k], sizeof *got) != 0;
                worst = fmax(worst, fabs((double)got[k] - (double)want[k]));
            }
            test_check(t, n_wrong == 0, __FILE__, __LINE__, "part %u of %u, step %u: %zu scores differ, by %g at most",
                       i, n_parts, step, n_wrong, worst);
        }
    }
cleanup:
    return status;
}

static void check_model(struct test *t, const char *path, enum op_cache_type cache, bool brief)
{
    struct bed bed = { 0 };
    enum karat_status status = KARAT_OK;
    float *alone = NULL;
    t->row = path;
    if ((status = open_model(&bed, path)) == KARAT_ERR_NO_DEVICE) {
        t->skipped = "no Vulkan device";
        close_bed(&bed);
        return;
    }
    TRY(status);
    TRY(open_states(&bed, cache));
    TRY(read_prompts(&bed));
    const size_t n_vocab = bed.shape.n_vocab;
    alone = calloc(N_STEPS * GEMMA_PARTS_MAX * n_vocab, sizeof *alone);
    if (!CHECK(alone))
        goto cleanup;
    for (uint32_t step = 0; step < N_STEPS; ++step)
        for (size_t i = 0; i < GEMMA_PARTS_MAX; ++i) {
            const uint32_t position = bed.lengths[i] + step, id = token(&bed, i, position);
            TRY(step_alone(&bed, i, &id, 1, position));
            memcpy(alone + (step * GEMMA_PARTS_MAX + i) * n_vocab, gemma_state_scores(bed.states[i]),
                   n_vocab * sizeof *alone);
        }
    for (uint32_t n_parts = brief ? 3 : 1; n_parts <= GEMMA_PARTS_MAX; n_parts += brief ? 5 : 1)
        TRY(compare(t, &bed, n_parts, alone));
cleanup:
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", bed.err.text);
    free(alone);
    close_bed(&bed);
    t->row = NULL;
}

TEST(tokens_of_several_timelines_have_the_scores_they_have_alone)
{
    char path[4096];
    const char *folder = getenv("KARAT_TEST_PEBBLE");
    snprintf(path, sizeof path, "%s/pebble-Q4_K_M.gguf", folder ? folder : "tests/pebble");
    check_model(t, path, OP_CACHE_F16, false);
    check_model(t, path, OP_CACHE_F32, false);
}

TEST(so_they_do_with_every_format)
{
    static const char *const names[] = {
        "small",
        "dense",
        "f32",
        "f16",
        "bf16",
        "q8_0",
        "q4_0",
        "q4_1",
        "q5_0",
        "q5_1",
        "q4_k",
        "q5_k",
        "q6_k",
        "q2_k",
        "q3_k",
        "iq4_nl",
        "iq4_xs",
        "q4_k_m",
        "untied-head",
        "narrow-experts",
        "separate-gate-up",
        "with-v-everywhere",
    };
    const char *folder = getenv("KARAT_TEST_MODELS");
    if (!folder)
        SKIP("KARAT_TEST_MODELS says no folder of generated models");
    for (size_t i = 0; i < COUNT(names); ++i) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s.gguf", folder, names[i]);
        check_model(t, path, OP_CACHE_F16, true);
    }
}
