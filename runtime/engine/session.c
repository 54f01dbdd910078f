// engine/session.c -- one timeline of tokens: what is evaluated, what can be kept, what must be evaluated again.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "engine/engine.h"

#define CONTEXT_DEFAULT 8192
#define BATCH_MAX 2048
#define BATCH_LEAST 512            // what our own choice does not go below, however little memory there is
#define ROWS_BYTES_MAX (64u << 20) // of scores handed out per step by karat_session_evaluate()

// ------------------------------------------------------------------------------------------------ open and close

enum karat_status session_check_options(const struct karat_session_options *options, const struct karat_model *model,
                                        struct karat_error *err)
{
    const uint32_t n_context_max = model->shape.n_context;
    if (!model->has_weights)
        return status_fail(err, KARAT_ERR_ARGUMENT, "the model was opened without its weights");
    if (options->n_context > n_context_max)
        return status_fail(err, KARAT_ERR_ARGUMENT,
                           "a context of %" PRIu32 " tokens was asked for, the model was made for at most %" PRIu32,
                           options->n_context, n_context_max);
    if (options->n_batch > BATCH_MAX)
        return status_fail(err, KARAT_ERR_ARGUMENT, "a batch of %" PRIu32 " tokens was asked for, expected at most %d",
                           options->n_batch, BATCH_MAX);
    if (options->cache != KARAT_CACHE_F16 && options->cache != KARAT_CACHE_F32)
        return status_fail(err, KARAT_ERR_ARGUMENT, "the cache type is %d, expected KARAT_CACHE_F16 or KARAT_CACHE_F32",
                           (int)options->cache);
    return KARAT_OK;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

// Tokens of one step where the caller has no wish.
static uint32_t default_batch(const struct gpu_plan *plan)
{
    // A software device multiplies slower than it reads weights, and its tiles of four pairs are 95 % full at 512
    // tokens (32 pairs to an expert); 1,024 would fill 98 % and double the scratch.
    if (plan->cpu)
        return 512;
    // A step reads nearly all experts however short it is. Of 128 with 8 per token each sees 32 tokens at 512, and 128
    // at 2048, where arithmetic outweighs the stream of weights even with matrix units. Memory that is the host's own
    // comes with less arithmetic: half of that is enough there.
    return plan->unified ? 1024 : 2048;
}

struct gemma_state_options session_plan(const struct karat_session_options *options, const struct gemma_shape *shape,
                                        const struct gpu_plan *plan, uint64_t free_bytes, uint32_t n_sessions)
{
    struct gemma_state_options out = { 0 };
    out.cache = options->cache == KARAT_CACHE_F32 ? OP_CACHE_F32 : OP_CACHE_F16;
    out.n_context = options->n_context ? options->n_context : smaller(CONTEXT_DEFAULT, shape->n_context);
    // A step needs scratch and as much room again in the rings; a wish is kept, our own choice makes room.
    const uint32_t least = options->n_batch ? options->n_batch : smaller(default_batch(plan), BATCH_LEAST);
    for (uint32_t n = options->n_batch ? options->n_batch : default_batch(plan);; n /= 2) {
        out.n_batch = smaller(n, out.n_context);
        out.n_rows = smaller(out.n_batch, ROWS_BYTES_MAX / 4 / shape->n_vocab + 1);
        gemma_state_fit(&out, shape, plan);
        const struct gemma_state_bytes bytes = gemma_state_size(shape, &out, plan);
        if (n <= least || n_sessions * bytes.cache + bytes.scratch <= free_bytes)
            return out;
    }
}

uint64_t session_free_bytes(const struct karat_model *model)
{
    const uint64_t budget = gpu_device_plan(model->device)->budget_bytes, used = gpu_device_used_bytes(model->device);
    return used < budget ? budget - used : 0;
}

enum karat_status session_create(struct karat_session **out, struct karat_model *model,
                                 const struct gemma_state_options *plan, struct gemma_workspace *workspace,
                                 struct snapshot_store *store, bool timing, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct karat_session *session = calloc(1, sizeof *session);
    *out = NULL;
    if (!session)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a session");
    session->model = model;
    session->n_context = plan->n_context;
    session->n_batch = plan->n_batch;
    session->n_rows = plan->n_rows;
    session->ids = calloc(plan->n_context, sizeof *session->ids);
    if (!session->ids)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for %" PRIu32 " token ids", plan->n_context));
    TRY(gpu_recorder_create(&session->recorder, model->device, err));
    if (timing)
        TRY(gpu_recorder_start_timing(session->recorder, err));
    gpu_recorder_set_cancel(session->recorder, &session->cancel);
    if (plan->cache == OP_CACHE_F32)
        gpu_recorder_limit_tier(session->recorder, GPU_TIER_BASE);
    TRY(ahead_create(session, err));
    TRY(gemma_state_create(&session->state, &model->shape, plan, workspace, model->device, err));
    TRY(rewind_create(session, store, plan->cache, err));
    TRY(sampler_create(&session->sampler, model->shape.n_vocab, err));
    *out = session;
    session = NULL;
cleanup:
    karat_session_close(session);
    return status;
}

enum karat_status karat_session_open(struct karat_session **out, struct karat_model *model,
                                     const struct karat_session_options *options, struct karat_error *err)
{
    const struct karat_session_options defaults = { 0 };
    options = options ? options : &defaults;
    *out = NULL;
    enum karat_status status = session_check_options(options, model, err);
    if (status != KARAT_OK)
        return status;
    const struct gpu_plan *device = gpu_device_plan(model->device);
    const struct gemma_state_options plan = session_plan(options, &model->shape, device, session_free_bytes(model), 1);
    status = session_create(out, model, &plan, NULL, NULL, options->timing, err);
    if (status == KARAT_ERR_DEVICE_MEMORY) {
        const struct gemma_state_bytes bytes = gemma_state_size(&model->shape, &plan, device);
        struct karat_error cause = { 0 };
        if (err)
            cause = *err;
        status_fail(err, status,
                    "a session of %" PRIu32 " tokens needs %" PRIu64 " MiB of device memory beside the weights; use a "
                    "smaller context (%s)",
                    plan.n_context, (bytes.cache + bytes.scratch) >> 20, cause.text);
    }
    return status;
}

void karat_session_close(struct karat_session *session)
{
    if (!session)
        return;
    ahead_destroy(session);
    rewind_destroy(session);
    gpu_recorder_destroy(session->recorder);
    gemma_state_destroy(session->state);
    sampler_destroy(session->sampler);
    free(session->ids);
    free(session);
}

uint32_t karat_session_capacity(const struct karat_session *session)
{
    return session->n_context;
}

uint32_t karat_session_length(const struct karat_session *session)
{
    return session->n_ids;
}

void karat_session_cancel(struct karat_session *session)
{
    __atomic_store_n(&session->cancel, 1, __ATOMIC_RELAXED);
}

void session_clear_cancel(struct karat_session *session)
{
    __atomic_store_n(&session->cancel, 0, __ATOMIC_RELAXED);
}

// ------------------------------------------------------------------------------------------------ steps

void session_note_token(struct karat_session *session, uint32_t id, uint64_t ns)
{
    const struct karat_model *model = session->model;
    session->timings.decode_tokens += 1;
    session->timings.decode_ns += ns;
    session->timings.decode_bytes += gemma_token_bytes(&model->weights, &model->shape) +
                                     gemma_cache_bytes_read(&model->shape, session->state, session->n_ids);
    session->ids[session->n_ids++] = id;
}

bool session_is_cancelled(const struct karat_session *session)
{
    return __atomic_load_n(&session->cancel, __ATOMIC_RELAXED) != 0;
}

// A step that was cancelled is waited for, too, whether while it was recorded or later: parts of it may run, and the
// next step writes where they read.
static enum karat_status give_up_step(struct karat_session *session, enum karat_status status)
{
    session->step.n = 0;
    gpu_recorder_wait(session->recorder, NULL);
    return status;
}

// Begins to evaluate ids[0..n) as one step; scores are wanted of the last n_rows of them.
static enum karat_status begin_step(struct karat_session *session, const uint32_t *ids, uint32_t n, uint32_t n_rows,
                                    struct karat_error *err)
{
    const struct karat_model *model = session->model;
    const struct gemma_step step = {
        .ids = ids,
        .n_tokens = n,
        .first_position = session->n_ids,
        .first_row = n - n_rows,
        .n_rows = n_rows,
    };
    session->logits = NULL;
    if (session_is_cancelled(session))
        return status_fail(err, KARAT_ERR_CANCELLED, "cancelled");
    session->step.n = n;
    session->step.n_rows = n_rows;
    session->step.start_ns = clock_ns();
    rewind_make_way(session, session->n_ids + n);
    gemma_forward(session->recorder, &model->shape, &model->weights, session->state, &step);
    memmove(session->ids + session->n_ids, ids, n * sizeof *ids);
    const enum karat_status status = gpu_recorder_submit(session->recorder, err);
    return status == KARAT_OK ? status : give_up_step(session, status);
}

static void end_step(struct karat_session *session)
{
    const uint32_t n = session->step.n;
    const uint64_t ns = clock_ns() - session->step.start_ns;
    session->logits = session->step.n_rows > 0 ? gemma_state_scores(session->state) : NULL;
    session->step.n = 0;
    if (n == 1) {
        session_note_token(session, session->ids[session->n_ids], ns);
    } else {
        session->n_ids += n;
        session->timings.prefill_tokens += n;
        session->timings.prefill_ns += ns;
    }
}

enum karat_status session_step_wait(struct karat_session *session, bool *done, struct karat_error *err)
{
    const uint64_t ticket = gpu_recorder_next_ticket(session->recorder);
    const enum karat_status status = gpu_recorder_wait_until(session->recorder, ticket, err);
    if (status != KARAT_OK)
        return give_up_step(session, status);
    *done = gpu_recorder_next_ticket(session->recorder) == 0;
    if (*done)
        end_step(session);
    return KARAT_OK;
}

static enum karat_status wait_step(struct karat_session *session, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (bool done = false; status == KARAT_OK && !done;)
        status = session_step_wait(session, &done, err);
    return status;
}

static enum karat_status evaluate_step(struct karat_session *session, const uint32_t *ids, uint32_t n, uint32_t n_rows,
                                       struct karat_error *err)
{
    const enum karat_status status = begin_step(session, ids, n, n_rows, err);
    return status == KARAT_OK ? wait_step(session, err) : status;
}

uint32_t session_shared(const struct karat_session *session, const uint32_t *ids, size_t n_ids)
{
    uint32_t n = 0;
    while (n < session->n_ids && n < n_ids && session->ids[n] == ids[n])
        ++n;
    return rewind_reach(session, n);
}

uint32_t session_reusable(const struct karat_session *session, const uint32_t *ids, size_t n_ids)
{
    const uint32_t n = session_shared(session, ids, n_ids);
    if (n == 0 || n < n_ids || (n == session->n_ids && session->logits))
        return n;
    return rewind_reach(session, n - 1); // the scores belong to a step that evaluates the last token
}

enum karat_status session_check_ids(const struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                    struct karat_error *err)
{
    if (n_ids == 0)
        return status_fail(err, KARAT_ERR_ARGUMENT, "the prompt is empty: at least one token is needed");
    if (n_ids > session->n_context)
        return status_fail(err, KARAT_ERR_CONTEXT_FULL, "the prompt has %zu tokens, the context has room for %" PRIu32,
                           n_ids, session->n_context);
    for (size_t i = 0; i < n_ids; ++i)
        if (ids[i] >= session->model->shape.n_vocab)
            return status_fail(err, KARAT_ERR_ARGUMENT, "token %zu is %" PRIu32 ", the vocabulary has %" PRIu32, i,
                               ids[i], session->model->shape.n_vocab);
    return KARAT_OK;
}

enum karat_status session_sync_begin(struct karat_session *session, const uint32_t *ids, size_t n_ids, uint32_t *n_kept,
                                     struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(ahead_end(session, err));
    TRY(rewind_to(session, session_reusable(session, ids, n_ids), err));
    rewind_mark(session, ids, (uint32_t)n_ids);
    if (n_kept)
        *n_kept = session->n_ids;
cleanup:
    return status;
}

enum karat_status session_step_begin(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                     struct karat_error *err)
{
    const uint32_t n = smaller((uint32_t)n_ids - session->n_ids, session->n_batch);
    const bool is_last = session->n_ids + n == n_ids;
    return begin_step(session, ids + session->n_ids, n, is_last ? 1 : 0, err);
}

enum karat_status session_sync(struct karat_session *session, const uint32_t *ids, size_t n_ids, uint32_t *n_kept,
                               struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(session_check_ids(session, ids, n_ids, err));
    TRY(session_sync_begin(session, ids, n_ids, n_kept, err));
    while (session->n_ids < n_ids) {
        TRY(session_step_begin(session, ids, n_ids, err));
        TRY(wait_step(session, err));
    }
cleanup:
    return status;
}

enum karat_status session_sample(struct karat_session *session, uint32_t *id, struct karat_error *err)
{
    if (session->ahead.has_drawn)
        return ahead_sample(session, id, err);
    return sampler_sample(session->sampler, karat_session_logits(session), id, err);
}

enum karat_status session_advance_begin(struct karat_session *session, uint32_t id, struct karat_error *err)
{
    if (session->n_ids >= session->n_context)
        return status_fail(err, KARAT_ERR_CONTEXT_FULL, "the context of %" PRIu32 " tokens is full",
                           session->n_context);
    return session->ahead.active ? ahead_advance(session, id, err) : begin_step(session, &id, 1, 1, err);
}

enum karat_status session_advance_end(struct karat_session *session, struct karat_error *err)
{
    return session->ahead.active ? KARAT_OK : wait_step(session, err); // ahead_advance() has waited
}

// ------------------------------------------------------------------------------------------------ public calls

enum karat_status karat_session_sync(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                     struct karat_error *err)
{
    session_clear_cancel(session);
    return session_sync(session, ids, n_ids, NULL, err);
}

const float *karat_session_logits(const struct karat_session *session)
{
    return session->logits;
}

enum karat_status karat_session_evaluate(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                         karat_logits_fn *on_logits, void *user, struct karat_error *err)
{
    const uint32_t n_vocab = session->model->shape.n_vocab;
    enum karat_status status = session_check_ids(session, ids, n_ids, err);
    if (status != KARAT_OK)
        return status;
    session_clear_cancel(session);
    TRY(ahead_end(session, err));
    TRY(rewind_to(session, 0, err));
    while (session->n_ids < n_ids) {
        const uint32_t first = session->n_ids;
        const uint32_t n = smaller((uint32_t)n_ids - first, session->n_rows);
        TRY(evaluate_step(session, ids + first, n, n, err));
        for (uint32_t i = 0; i < n; ++i)
            if (!on_logits(user, first + i, gemma_state_scores(session->state) + (size_t)i * n_vocab))
                TRY(status_fail(err, KARAT_ERR_CANCELLED, "cancelled after %" PRIu32 " tokens", first + i + 1));
    }
cleanup:
    session->logits = NULL; // several rows; the first is not of the last token
    return status;
}

void karat_session_timings(const struct karat_session *session, struct karat_timings *out)
{
    struct gpu_counters counters;
    gpu_recorder_counters(session->recorder, &counters);
    *out = session->timings;
    out->n_dispatches = counters.n_dispatches;
    out->n_barriers = counters.n_barriers;
    out->n_submits = counters.n_submits;
    out->longest_submit_ns = counters.longest_submit_ns;
}

void karat_session_timings_reset(struct karat_session *session)
{
    session->timings = (struct karat_timings){ 0 };
    gpu_recorder_reset(session->recorder);
}
