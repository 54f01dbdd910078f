// model/rehearsal.c -- which kernels a session will need, found out by recording its steps without running them.
#include "model/state.h"

// Tokens are drawn with or without penalties, from the largest number of candidates or from the best one alone.
static const struct gemma_drawing drawings[] = {
    { .sampling = { .top_k = 1 }, .n_candidates = 1 },
    { .sampling = { .top_k = OP_TOP_K_MAX, .temperature = 1 }, .n_candidates = OP_TOP_K_MAX },
    { .sampling = { .top_k = OP_TOP_K_MAX, .temperature = 1 }, .n_candidates = OP_TOP_K_MAX, .has_penalties = true },
};

// Steps of so many tokens reach every kernel that a step may need: one token, whole batches, then the rest of a prompt,
// which may have any length. The likeliest come first.
static const uint32_t numbers_of_tokens[] = { 1, UINT32_MAX, 16, 64, 8, 32, 4, 2, 128, 256, 512, 1024 };

static void rehearse_step(struct gpu_recorder *rec, const struct gemma_shape *shape,
                          const struct gemma_weights *weights, struct gemma_state *state, uint32_t n_tokens,
                          const struct gemma_drawing *drawing)
{
    // The beginning of a context and its end cut attention differently.
    const uint32_t n_context = state->n_context;
    for (uint32_t i = 0; i < 2; ++i)
        gemma_forward(rec, shape, weights, state,
                      &(struct gemma_step){
                          .n_tokens = n_tokens,
                          .first_position = i == 0 ? 0 : n_context - n_tokens,
                          .first_row = n_tokens - 1,
                          .n_rows = 1,
                          .drawing = drawing,
                      });
}

enum karat_status gemma_rehearse(struct gpu_kernel_set *set, const struct gemma_shape *shape,
                                 const struct gemma_weights *weights, const struct gemma_state_options *options,
                                 struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gpu_recorder *rec = NULL;
    struct gemma_state *state = NULL;
    TRY(gemma_state_outline(&state, shape, options, gpu_device_plan(device), err));
    TRY(gpu_recorder_create(&rec, device, err));
    gpu_recorder_only_list(rec, set);
    for (size_t i = 0; i < COUNT(numbers_of_tokens); ++i) {
        const uint32_t n = numbers_of_tokens[i];
        if (n < options->n_batch || n == UINT32_MAX)
            rehearse_step(rec, shape, weights, state, n < options->n_batch ? n : options->n_batch, NULL);
        // Where the host draws, these stay idle; they are few and small.
        for (size_t k = 0; n == 1 && k < COUNT(drawings); ++k) {
            struct gemma_drawing drawing = drawings[k];
            drawing.n_candidates = drawing.n_candidates < shape->n_vocab ? drawing.n_candidates : shape->n_vocab;
            rehearse_step(rec, shape, weights, state, n, &drawing);
        }
    }
    TRY(gpu_recorder_submit(rec, err));
    if (set->failed)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for the list of kernels"));
cleanup:
    gpu_recorder_destroy(rec);
    gemma_state_destroy(state);
    return status;
}
