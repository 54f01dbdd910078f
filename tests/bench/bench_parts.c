// tests/bench/bench_parts.c -- what a pass over several timelines gains: bench_parts MODEL [ROUNDS [POSITION]]
//
// Rounds alternate between one token of one timeline and passes of 2, 4 and 8, so that the machine's moods reach all
// alike; the medians are printed.
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "model/gemma.h"

#define ROUNDS_MAX 1000

static const uint32_t counts[] = { 1, 2, 4, 8 };

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct karat_error err = { 0 };
    enum karat_status status = KARAT_OK;
    struct model_file *file = NULL;
    struct gpu_device *device = NULL;
    static struct gemma_shape shape;
    struct gemma_weights weights = { 0 };
    struct gpu_recorder *rec = NULL;
    struct gemma_workspace *workspace = NULL;
    struct gemma_state *states[GEMMA_PARTS_MAX] = { 0 };
    static uint64_t ns[COUNT(counts)][ROUNDS_MAX];
    if (argc < 2) {
        fprintf(stderr, "usage: bench_parts MODEL [ROUNDS [POSITION]]\n");
        return 2;
    }
    const int n_rounds = argc > 2 ? atoi(argv[2]) : 9;
    const uint32_t position = argc > 3 ? (uint32_t)atoi(argv[3]) : 64;
    if (n_rounds < 1 || n_rounds > ROUNDS_MAX)
        return 2;
    const struct gemma_state_options options = {
        .n_context = position + 1, .n_batch = GEMMA_PARTS_MAX, .n_rows = GEMMA_PARTS_MAX, .n_parts = GEMMA_PARTS_MAX
    };
    TRY(gpu_device_create(&device, &(struct gpu_device_options){ 0 }, &err));
    TRY(model_file_open(&file, argv[1], &err));
    TRY(gemma_shape_read(&shape, file, &err));
    TRY(gemma_weights_bind(&weights, &shape, file, &err));
    TRY(gemma_weights_place(&weights, &shape, file, device, &err));
    TRY(gemma_weights_load(&weights, file, NULL, NULL, &err));
    TRY(gpu_recorder_create(&rec, device, &err));
    gpu_recorder_keep_apart(rec);
    TRY(gemma_workspace_create(&workspace, &shape, &options, device, &err));
    for (size_t i = 0; i < GEMMA_PARTS_MAX; ++i)
        TRY(gemma_state_create(&states[i], &shape, &options, workspace, device, &err));

    for (int round = -2; round < n_rounds; ++round) // two to warm up
        for (size_t k = 0; k < COUNT(counts); ++k) {
            struct gemma_part parts[GEMMA_PARTS_MAX];
            for (uint32_t i = 0; i < counts[k]; ++i)
                parts[i] =
                    (struct gemma_part){ states[i], (1000 + 97 * i + (uint32_t)(round + 2)) % shape.n_vocab, position };
            const uint64_t start_ns = clock_ns();
            gemma_forward_parts(rec, &shape, &weights, workspace, parts, counts[k]);
            TRY(gpu_recorder_submit(rec, &err));
            TRY(gpu_recorder_wait(rec, &err));
            if (round >= 0)
                ns[k][round] = clock_ns() - start_ns;
        }
    for (size_t k = 0; k < COUNT(counts); ++k) {
        qsort(ns[k], (size_t)n_rounds, sizeof ns[k][0], compare_u64);
        const double ms = (double)ns[k][n_rounds / 2] * 1e-6, alone = (double)ns[0][n_rounds / 2] * 1e-6;
        printf("%u timelines: %8.2f ms a pass, %7.2f tokens/s, %.2f times one\n", counts[k], ms, 1e3 * counts[k] / ms,
               counts[k] * alone / ms);
    }
cleanup:
    if (status != KARAT_OK)
        fprintf(stderr, "bench_parts: %s\n", err.text);
    for (size_t i = 0; i < GEMMA_PARTS_MAX; ++i)
        gemma_state_destroy(states[i]);
    gemma_workspace_destroy(workspace);
    gpu_recorder_destroy(rec);
    gemma_weights_free(&weights);
    gpu_device_destroy(device);
    model_file_close(file);
    return status == KARAT_OK ? 0 : 1;
}
