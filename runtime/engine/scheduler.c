// engine/scheduler.c -- many requests on one model: a queue, slots, and one thread that gives every request its turn.
//
// One prompt at a time is read, in long steps as a session of its own would have them, and between the submissions of
// such a step every answer advances by a token, all in one pass. A prompt's step and a pass have recorders and scratch
// of their own, so that neither waits for the other on the device; the slots share both. An answer that is alone is
// drawn on the device ahead of the host, as in a session of its own.
//
// The mutex guards the queue, which request a slot has, what was cancelled, and the counts. A request in a slot is
// otherwise the thread's own, and so are the sessions; while it draws the tokens of a pass, helpers draw some of them.
// Callbacks are called without the mutex.
#include "engine/scheduler.h"

#include <inttypes.h>
#include <stdlib.h>

#define SLOTS_DEFAULT 4u
#define WAITING_DEFAULT 64u

static void work(void *user)
{
    struct karat_scheduler *s = user;
    for (;;) {
        mutex_lock(&s->mutex);
        while (!s->closing && !s->first && s->counts.n_running == 0)
            condition_wait(&s->wake, &s->mutex);
        struct request *vain = slots_assign(s), *next;
        const bool is_over = s->closing && s->counts.n_running == 0;
        mutex_unlock(&s->mutex);
        for (; vain; vain = next) {
            next = vain->next;
            request_report_cancelled(s, vain);
        }
        if (is_over)
            return;
        scheduler_run_round(s);
    }
}

// ------------------------------------------------------------------------------------------------ public calls

static enum karat_status check_options(const struct karat_scheduler_options *options, struct karat_error *err)
{
    if (options->n_slots > SLOTS_MAX)
        return status_fail(err, KARAT_ERR_ARGUMENT, "%" PRIu32 " slots were asked for, expected at most %u",
                           options->n_slots, SLOTS_MAX);
    return KARAT_OK;
}

// What the slots share and their sessions.
static enum karat_status create_slots(struct karat_scheduler *s, const struct gemma_state_options *plan,
                                      const struct gemma_state_options *few, uint64_t prefix_bytes,
                                      struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct karat_model *model = s->model;
    s->slots = calloc(s->counts.n_slots, sizeof *s->slots);
    if (!s->slots)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for %" PRIu32 " slots", s->counts.n_slots));
    TRY(gpu_recorder_create(&s->recorder, model->device, err));
    gpu_recorder_keep_apart(s->recorder);
    if (plan->cache == OP_CACHE_F32)
        gpu_recorder_limit_tier(s->recorder, GPU_TIER_BASE);
    TRY(gemma_workspace_create(&s->workspace, &model->shape, plan, model->device, err));
    TRY(gemma_workspace_create(&s->few, &model->shape, few, model->device, err));
    TRY(snapshot_store_create(&s->store, model, plan->cache, err));
    s->store->give_up = slots_give_up;
    s->store->user = s;
    s->shelf.store = s->store;
    for (uint32_t i = 0; i < s->counts.n_slots; ++i)
        TRY(session_create(&s->slots[i].session, model, plan, s->workspace, s->store, false, err));
    snapshot_store_set_budget(s->store, prefix_bytes);
cleanup:
    return status;
}

static enum karat_status fail_memory(const struct karat_scheduler *s, const struct gemma_state_options *plan,
                                     const struct gemma_state_options *few, struct karat_error *err)
{
    const struct gemma_shape *shape = &s->model->shape;
    const struct gpu_plan *device = gpu_device_plan(s->model->device);
    const struct gemma_state_bytes bytes = gemma_state_size(shape, plan, device);
    const uint64_t total =
        s->counts.n_slots * bytes.cache + bytes.scratch + gemma_state_size(shape, few, device).scratch;
    struct karat_error cause = { 0 };
    if (err)
        cause = *err;
    return status_fail(err, KARAT_ERR_DEVICE_MEMORY,
                       "%" PRIu32 " slots of %" PRIu32 " tokens need %" PRIu64
                       " MiB of device memory beside the weights; use fewer slots or a smaller context (%s)",
                       s->counts.n_slots, plan->n_context, total >> 20, cause.text);
}

enum karat_status karat_scheduler_open(struct karat_scheduler **out, struct karat_model *model,
                                       const struct karat_scheduler_options *options, struct karat_error *err)
{
    static const struct karat_scheduler_options defaults;
    enum karat_status status = KARAT_OK;
    options = options ? options : &defaults;
    const struct karat_session_options session = { .n_context = options->n_context,
                                                   .n_batch = options->n_batch,
                                                   .cache = options->cache };
    *out = NULL;
    if ((status = check_options(options, err)) != KARAT_OK ||
        (status = session_check_options(&session, model, err)) != KARAT_OK)
        return status;
    struct karat_scheduler *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a scheduler");
    s->model = model;
    s->mutex = (struct mutex)MUTEX_INIT;
    s->wake = (struct condition)CONDITION_INIT;
    s->n_waiting_max = options->n_waiting > 0 ? options->n_waiting : WAITING_DEFAULT;
    s->counts.n_slots = options->n_slots > 0 ? options->n_slots : SLOTS_DEFAULT;

    const struct gemma_state_options plan = session_plan(&session, &model->shape, gpu_device_plan(model->device),
                                                         session_free_bytes(model), s->counts.n_slots);
    const uint32_t n_parts = s->counts.n_slots < GEMMA_PARTS_MAX ? s->counts.n_slots : GEMMA_PARTS_MAX;
    const unsigned n_processors = thread_cpu_count();
    const struct gemma_state_options few = { .n_batch = n_parts, .n_rows = n_parts, .n_parts = n_parts };
    s->counts.n_context = plan.n_context;
    if ((status = create_slots(s, &plan, &few, options->prefix_bytes, err)) == KARAT_ERR_DEVICE_MEMORY)
        fail_memory(s, &plan, &few, err);
    if (status != KARAT_OK)
        goto cleanup;
    if (n_parts > 1) // without them all is drawn here
        s->drawers = workers_create(n_parts < n_processors ? n_parts : n_processors);
    s->thread = thread_start(work, s);
    if (!s->thread)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "the system has no thread to give"));
    *out = s;
    s = NULL;
cleanup:
    karat_scheduler_close(s);
    return status;
}

void karat_scheduler_close(struct karat_scheduler *s)
{
    if (!s)
        return;
    mutex_lock(&s->mutex);
    s->closing = true;
    for (uint32_t i = 0; s->slots && i < s->counts.n_slots; ++i)
        if (s->slots[i].request)
            karat_session_cancel(s->slots[i].session);
    condition_signal_all(&s->wake);
    mutex_unlock(&s->mutex);
    thread_join(s->thread);
    workers_destroy(s->drawers);
    for (uint32_t i = 0; s->slots && i < s->counts.n_slots; ++i)
        karat_session_close(s->slots[i].session);
    shelf_clear(&s->shelf);
    snapshot_store_destroy(s->store);
    gpu_recorder_destroy(s->recorder);
    gemma_workspace_destroy(s->workspace);
    gemma_workspace_destroy(s->few);
    free(s->slots);
    free(s);
}

// Whether one more may wait. Requests that free slots are about to take do not count.
static enum karat_status check_room(const struct karat_scheduler *s, struct karat_error *err)
{
    const uint32_t n_free = s->counts.n_slots - s->counts.n_running;
    if (s->closing)
        return status_fail(err, KARAT_ERR_BUSY, "the scheduler is being closed");
    if (s->counts.n_waiting >= n_free && s->counts.n_waiting - n_free >= s->n_waiting_max)
        return status_fail(err, KARAT_ERR_BUSY, "%" PRIu32 " requests wait already, as many as may", s->n_waiting_max);
    return KARAT_OK;
}

enum karat_status karat_scheduler_submit(struct karat_scheduler *s, const struct karat_request *wish, uint64_t *ticket,
                                         struct karat_error *err)
{
    struct request *request = NULL;
    mutex_lock(&s->mutex);
    enum karat_status status = check_room(s, err); // before any work: a full queue should cost little
    mutex_unlock(&s->mutex);
    if (status != KARAT_OK || (status = request_create(&request, s, wish, err)) != KARAT_OK)
        return status;
    request->since_ns = clock_ns();
    mutex_lock(&s->mutex);
    if ((status = check_room(s, err)) == KARAT_OK) {
        request->ticket = ++s->last_ticket;
        if (ticket)
            *ticket = request->ticket;
        if (s->last)
            s->last->next = request;
        else
            s->first = request;
        s->last = request;
        ++s->counts.n_waiting;
        request = NULL;
        condition_signal_all(&s->wake);
    }
    mutex_unlock(&s->mutex);
    if (request)
        request_destroy(request);
    return status;
}

void karat_scheduler_cancel(struct karat_scheduler *s, uint64_t ticket)
{
    mutex_lock(&s->mutex);
    for (struct request *request = s->first; request; request = request->next)
        request->cancelled = request->cancelled || request->ticket == ticket;
    for (uint32_t i = 0; i < s->counts.n_slots; ++i)
        if (s->slots[i].request && s->slots[i].request->ticket == ticket)
            karat_session_cancel(s->slots[i].session);
    mutex_unlock(&s->mutex);
}

void karat_scheduler_counts(struct karat_scheduler *s, struct karat_scheduler_counts *out)
{
    mutex_lock(&s->mutex);
    *out = s->counts;
    mutex_unlock(&s->mutex);
}

// ------------------------------------------------------------------------------------------------ hooks

void scheduler_force_ahead(struct karat_scheduler *s, uint32_t n_steps)
{
    for (uint32_t i = 0; i < s->counts.n_slots; ++i)
        session_force_ahead(s->slots[i].session, n_steps, false);
}

struct constraint_counts scheduler_mask_counts(const struct karat_scheduler *s)
{
    struct constraint_counts sum = { 0 };
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        sum.n_prepared += s->slots[i].session->masks.n_prepared;
        sum.n_late += s->slots[i].session->masks.n_late;
    }
    return sum;
}
