// model/feedback.c -- how a step hands its token to the next one: on the device, past the host.
#include "model/state.h"

static uint64_t aligned(uint64_t size_bytes)
{
    return (size_bytes + 255) / 256 * 256;
}

static uint64_t parts_at(uint32_t n_batch)
{
    return aligned(FEEDBACK_IDS + (uint64_t)n_batch * sizeof(uint32_t));
}

static uint64_t input_bytes(uint32_t n_batch, uint32_t n_parts)
{
    return parts_at(n_batch) + (uint64_t)n_parts * FEEDBACK_IDS;
}

#define BEST_BYTES (OP_TOP_K_MAX * sizeof(uint32_t))

static uint64_t best_bytes(const struct gemma_shape *shape)
{
    return 2 * aligned(BEST_BYTES) + op_top_k_scratch_bytes(1, shape->n_vocab, OP_TOP_K_MAX);
}

uint64_t feedback_bytes(const struct gemma_shape *shape, uint32_t n_batch, uint32_t n_parts)
{
    return input_bytes(n_batch, n_parts) + shape->n_vocab * sizeof(uint32_t) + best_bytes(shape);
}

enum karat_status feedback_create(struct feedback *out, const struct gemma_shape *shape, uint32_t n_batch,
                                  uint32_t n_parts, struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const uint64_t counts_bytes = shape->n_vocab * sizeof(uint32_t);
    struct gpu_buffer *best = NULL;
    const struct {
        struct gpu_buffer **buffer;
        struct gpu_buffer_options options;
    } wishes[] = {
        { &out->input, { input_bytes(n_batch, n_parts), GPU_MEMORY_DEVICE, "tokens of a step" } },
        { &out->counts, { counts_bytes, GPU_MEMORY_DEVICE, "counts of tokens" } },
        { &best, { best_bytes(shape), GPU_MEMORY_DEVICE, "best tokens" } },
        { &out->draws, { OP_SAMPLE_SLOTS * sizeof(struct op_sample_draw), GPU_MEMORY_UPLOAD, "numbers of draws" } },
        { &out->results, { OP_SAMPLE_SLOTS * sizeof(struct op_sample_result), GPU_MEMORY_READBACK, "drawn tokens" } },
    };
    for (size_t i = 0; i < COUNT(wishes); ++i)
        TRY(gpu_buffer_create(wishes[i].buffer, device, &wishes[i].options, err));
    if (!gpu_buffer_map(out->input))
        TRY(gpu_buffer_create(
            &out->input_staging, device,
            &(struct gpu_buffer_options){ input_bytes(n_batch, n_parts), GPU_MEMORY_UPLOAD, "tokens from the host" },
            err));
    if (!gpu_buffer_map(out->counts))
        TRY(gpu_buffer_create(&out->counts_staging, device,
                              &(struct gpu_buffer_options){ counts_bytes, GPU_MEMORY_UPLOAD, "counts from the host" },
                              err));
cleanup:
    out->parts_at = parts_at(n_batch);
    out->ids = (struct gpu_view){ best, 0, BEST_BYTES };
    out->values = (struct gpu_view){ best, aligned(BEST_BYTES), BEST_BYTES };
    out->top_k = (struct gpu_view){ best, 2 * aligned(BEST_BYTES), best_bytes(shape) - 2 * aligned(BEST_BYTES) };
    return status;
}

void feedback_destroy(struct feedback *feedback)
{
    gpu_buffer_destroy(feedback->input);
    gpu_buffer_destroy(feedback->counts);
    gpu_buffer_destroy(feedback->input_staging);
    gpu_buffer_destroy(feedback->counts_staging);
    gpu_buffer_destroy(feedback->draws);
    gpu_buffer_destroy(feedback->results);
    gpu_buffer_destroy(feedback->ids.buffer);
}

// The memory to fill for the first size_bytes of a buffer, and the copy of it if the host cannot reach the buffer.
static void *reach(struct gpu_buffer *buffer, struct gpu_buffer *staging)
{
    return gpu_buffer_map(staging ? staging : buffer);
}

static void carry(struct gpu_recorder *rec, struct gpu_buffer *buffer, struct gpu_buffer *staging, uint64_t size_bytes)
{
    if (staging)
        gpu_record_copy(rec, (struct gpu_view){ buffer, 0, size_bytes }, (struct gpu_view){ staging, 0, size_bytes });
}

void feedback_start(struct gpu_recorder *rec, const struct feedback *feedback, const uint32_t *ids, uint32_t n_ids,
                    uint32_t first_position)
{
    uint8_t *input = reach(feedback->input, feedback->input_staging);
    memcpy(input, (const uint32_t[4]){ first_position }, OP_STEP_BYTES);
    memcpy(input + FEEDBACK_IDS, ids, n_ids * sizeof *ids);
    carry(rec, feedback->input, feedback->input_staging, FEEDBACK_IDS + n_ids * sizeof *ids);
}

void feedback_start_parts(struct gpu_recorder *rec, const struct feedback *feedback, const struct gemma_part *parts,
                          uint32_t n_parts)
{
    uint8_t *input = reach(feedback->input, feedback->input_staging);
    for (uint32_t i = 0; i < n_parts; ++i) {
        memcpy(input + FEEDBACK_IDS + i * sizeof parts[i].id, &parts[i].id, sizeof parts[i].id);
        memcpy(input + feedback->parts_at + (uint64_t)i * FEEDBACK_IDS, (const uint32_t[4]){ parts[i].position },
               OP_STEP_BYTES);
    }
    carry(rec, feedback->input, feedback->input_staging, feedback->parts_at + (uint64_t)n_parts * FEEDBACK_IDS);
}

void gemma_state_count(struct gpu_recorder *rec, struct gemma_state *state, const uint32_t *counts)
{
    const struct feedback *feedback = &state->workspace->feedback;
    const uint64_t size_bytes = gpu_buffer_size(feedback->counts);
    memcpy(reach(feedback->counts, feedback->counts_staging), counts, size_bytes);
    carry(rec, feedback->counts, feedback->counts_staging, size_bytes);
}

void gemma_state_foresee(struct gemma_state *state, uint32_t position, double at, uint32_t leaving)
{
    struct op_sample_draw *draws = gpu_buffer_map(state->workspace->feedback.draws);
    draws[position % OP_SAMPLE_SLOTS] = (struct op_sample_draw){ (float)at, leaving };
}

const struct op_sample_result *gemma_state_drawn(const struct gemma_state *state, uint32_t position)
{
    const struct op_sample_result *results = gpu_buffer_map(state->workspace->feedback.results);
    return &results[position % OP_SAMPLE_SLOTS];
}
