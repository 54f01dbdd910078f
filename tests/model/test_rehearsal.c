// tests/model/test_rehearsal.c -- what a rehearsal lists is what steps need, and kernels made ahead are made once.
#include <stdlib.h>

#include "base/thread.h"
#include "model/gemma.h"
#include "test.h"

#define N_CONTEXT 640
#define N_BATCH 128

// The demo model with its weights on a device.
struct bed {
    struct model_file *file;
    struct gemma_shape shape;
    struct gemma_weights weights;
    struct gpu_device *device;
    struct karat_error err;
};

static const struct gemma_state_options options = { .n_context = N_CONTEXT, .n_batch = N_BATCH, .n_rows = 1 };

static bool open_bed(struct test *t, struct bed *bed, bool load)
{
    char path[4096];
    const char *folder = getenv("KARAT_TEST_PEBBLE");
    *bed = (struct bed){ 0 };
    snprintf(path, sizeof path, "%s/pebble-Q4_K_M.gguf", folder ? folder : "tests/pebble");
    enum karat_status status =
        gpu_device_create(&bed->device, &(struct gpu_device_options){ .pipeline_cache_dir = "" }, &bed->err);
    if (status == KARAT_ERR_NO_DEVICE) {
        t->skipped = "no Vulkan device";
        return false;
    }
    if (status == KARAT_OK)
        status = model_file_open(&bed->file, path, &bed->err);
    if (status == KARAT_OK)
        status = gemma_shape_read(&bed->shape, bed->file, &bed->err);
    if (status == KARAT_OK)
        status = gemma_weights_bind(&bed->weights, &bed->shape, bed->file, &bed->err);
    if (status == KARAT_OK)
        status = gemma_weights_place(&bed->weights, &bed->shape, bed->file, bed->device, &bed->err);
    if (status == KARAT_OK && load)
        status = gemma_weights_load(&bed->weights, bed->file, NULL, NULL, &bed->err);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", bed->err.text);
}

static void close_bed(struct bed *bed)
{
    gemma_weights_free(&bed->weights);
    gpu_device_destroy(bed->device);
    model_file_close(bed->file);
}

static bool rehearse(struct test *t, struct bed *bed, struct gpu_kernel_set *set)
{
    return test_check(t, gemma_rehearse(set, &bed->shape, &bed->weights, &options, bed->device, &bed->err) == KARAT_OK,
                      __FILE__, __LINE__, "%s", bed->err.text);
}

static bool make(struct test *t, struct bed *bed, const struct gpu_kernel_wish *wish)
{
    const struct gpu_kernel *kernel = NULL;
    return test_check(t, gpu_kernel_get(&kernel, bed->device, wish->desc, wish->spec, &bed->err) == KARAT_OK, __FILE__,
                      __LINE__, "%s", bed->err.text);
}

TEST(steps_of_any_length_need_no_kernel_that_was_not_listed)
{
    static const uint32_t lengths[] = { 1, 2, 3, 5, 9, 17, 33, 65, 100, N_BATCH };
    struct bed bed;
    struct gpu_kernel_set set = { 0 };
    struct gpu_recorder *rec = NULL;
    struct gemma_state *state = NULL;
    uint32_t ids[N_BATCH];
    if (!open_bed(t, &bed, true) || !rehearse(t, &bed, &set))
        return;
    CHECK(set.n > 10);                              // products of several formats, norms, attention, routing
    CHECK_UINT(gpu_kernel_totals(bed.device).n, 0); // listing makes nothing
    for (size_t i = 0; i < set.n; ++i)
        make(t, &bed, &set.wishes[i]);
    CHECK_UINT(gpu_kernel_totals(bed.device).n, set.n); // each is there once
    CHECK(gpu_kernel_totals(bed.device).ns > 0);

    REQUIRE_OK(gpu_recorder_create(&rec, bed.device, &bed.err), bed.err);
    REQUIRE_OK(gemma_state_create(&state, &bed.shape, &options, NULL, bed.device, &bed.err), bed.err);
    for (uint32_t i = 0; i < N_BATCH; ++i)
        ids[i] = 300 + i;
    uint32_t position = 0;
    for (size_t i = 0; i < COUNT(lengths); ++i) {
        const struct gemma_step step = {
            .ids = ids, .n_tokens = lengths[i], .first_position = position, .first_row = lengths[i] - 1, .n_rows = 1
        };
        gemma_forward(rec, &bed.shape, &bed.weights, state, &step);
        REQUIRE_OK(gpu_recorder_submit(rec, &bed.err), bed.err);
        REQUIRE_OK(gpu_recorder_wait(rec, &bed.err), bed.err);
        position += lengths[i];
    }
    // Drawn on the device: the best token, and one of as many as an ordinary answer looks at.
    static const struct gemma_drawing drawings[] = {
        { .sampling = { .top_k = 1 }, .n_candidates = 1 },
        { .sampling = { .top_k = 64, .temperature = 1, .top_p = 0.95f }, .n_candidates = 70 },
        { .sampling = { .top_k = 64, .temperature = 1, .top_p = 1 },
          .n_candidates = 74,
          .has_penalties = true,
          .repeat = 1 },
    };
    for (size_t i = 0; i < COUNT(drawings); ++i, ++position) {
        gemma_state_foresee(state, position, 0.5, OP_SAMPLE_NONE);
        gemma_forward(
            rec, &bed.shape, &bed.weights, state,
            &(struct gemma_step){
                .ids = ids, .n_tokens = 1, .first_position = position, .n_rows = 1, .drawing = &drawings[i] });
        REQUIRE_OK(gpu_recorder_submit(rec, &bed.err), bed.err);
        REQUIRE_OK(gpu_recorder_wait(rec, &bed.err), bed.err);
    }
    CHECK_UINT(gpu_kernel_totals(bed.device).n, set.n);
    gpu_recorder_destroy(rec);
    gemma_state_destroy(state);
    gpu_kernel_set_free(&set);
    close_bed(&bed);
}

TEST(kernels_made_ahead_are_made_once_whoever_needs_them_meanwhile)
{
    struct bed bed;
    struct gpu_kernel_set set = { 0 }, again = { 0 };
    if (!open_bed(t, &bed, false) || !rehearse(t, &bed, &set) || !rehearse(t, &bed, &again))
        return;
    const size_t n = set.n;
    CHECK_UINT(again.n, n);
    struct gpu_warm_up *warm_up = gpu_warm_up_start(bed.device, &set);
    CHECK(warm_up && set.n == 0 && !set.wishes); // taken over
    for (size_t i = n; i-- > 0;)                 // from the other end
        make(t, &bed, &again.wishes[i]);
    gpu_warm_up_stop(warm_up);
    CHECK_UINT(gpu_kernel_totals(bed.device).n, n);
    gpu_kernel_set_free(&again);
    close_bed(&bed);
}

TEST(a_warm_up_works_by_itself_and_stops_when_told)
{
    struct bed bed;
    struct gpu_kernel_set set = { 0 };
    if (!open_bed(t, &bed, false) || !rehearse(t, &bed, &set))
        return;
    const size_t n = set.n;
    struct gpu_warm_up *warm_up = gpu_warm_up_start(bed.device, &set);
    const uint64_t start_ns = clock_ns();
    while (gpu_kernel_totals(bed.device).n < 2 && (double)(clock_ns() - start_ns) * 1e-9 < test_seconds(60))
        clock_sleep_ms(1);
    CHECK(gpu_kernel_totals(bed.device).n >= 2);
    gpu_warm_up_stop(warm_up);
    const uint32_t n_made = gpu_kernel_totals(bed.device).n;
    CHECK(n_made <= n);
    clock_sleep_ms(50);
    CHECK_UINT(gpu_kernel_totals(bed.device).n, n_made);
    gpu_warm_up_stop(NULL);
    // Nothing to do is no trouble.
    gpu_warm_up_stop(gpu_warm_up_start(bed.device, &(struct gpu_kernel_set){ 0 }));
    close_bed(&bed);
}
