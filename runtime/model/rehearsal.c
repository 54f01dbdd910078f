// model/rehearsal.c -- which kernels a session will need, found out by recording its steps without running them.
#include "model/state.h"

// Steps of so many tokens reach every kernel that a step may need: one token, whole batches, then the rest of a prompt,
// which may have any length. The likeliest come first.
static const uint32_t numbers_of_tokens[] = { 1, UINT32_MAX, 16, 64, 8, 32, 4, 2, 128, 256, 512, 1024 };

static void rehearse_step(struct gpu_recorder *rec, const struct gemma_shape *shape,
                          const struct gemma_weights *weights, struct gemma_state *state, uint32_t n_tokens)
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
            rehearse_step(rec, shape, weights, state, n < options->n_batch ? n : options->n_batch);
    }
    TRY(gpu_recorder_submit(rec, err));
    if (set->failed)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for the list of kernels"));
cleanup:
    gpu_recorder_destroy(rec);
    gemma_state_destroy(state);
    return status;
}
