// engine/scheduler.c -- many requests on one model: a queue, slots, and one thread that gives every request its turn.
//
// One prompt at a time is read, in long steps as a session of its own would have them, and between the submissions of
// such a step every answer advances by a token, all in one pass. A prompt's step and a pass have recorders and scratch
// of their own, so that neither waits for the other on the device; the slots share both. An answer that is alone is
// drawn on the device ahead of the host, as in a session of its own.
//
// The mutex guards the queue, which request a slot has, what was cancelled, and the counts. A request in a slot is
// otherwise the thread's own, and so are the sessions; callbacks are called without the mutex.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "engine/generation.h"

#define SLOTS_MAX 64u
#define SLOTS_DEFAULT 4u
#define WAITING_DEFAULT 64u

struct request {
    struct request *next;
    uint64_t ticket;
    struct karat_request wish;             // the caller's callbacks; its pointers are not used
    struct karat_generate_options options; // a copy in the arena
    struct arena arena;
    struct prompt prompt;
    struct generation generation;
    struct karat_request_times times;
    uint64_t since_ns; // the beginning of what it is in: queue, prompt or answer
    bool cancelled;
};

struct slot {
    struct karat_session *session;
    struct request *request; // NULL: free
    bool is_answering;       // the prompt is evaluated
    bool is_alone;           // its answer may run ahead on the device
    uint32_t next_id;        // of the answer, to be evaluated
    uint64_t last_used_ns;
};

struct karat_scheduler {
    struct karat_model *model;
    struct slot *slots;                // [counts.n_slots]
    struct gemma_workspace *workspace; // of the sessions
    struct gemma_workspace *few;       // of a pass
    struct gpu_recorder *recorder;     // of a pass
    struct slot *reading;              // whose prompt has a step under way; NULL: none
    uint64_t step_ns;                  // what that took so far
    uint32_t n_known;                  // tokens its session had before
    struct mutex mutex;
    struct condition wake;
    struct thread *thread;
    bool closing;
    struct request *first, *last; // waiting, oldest first
    uint32_t n_waiting_max;
    uint64_t last_ticket;
    struct karat_scheduler_counts counts;
};

// ------------------------------------------------------------------------------------------------ requests

static void destroy_request(struct request *request)
{
    generation_close(&request->generation);
    prompt_free(&request->prompt);
    arena_free(&request->arena);
    free(request);
}

static enum karat_status copy_options(struct request *request, const struct karat_generate_options *options,
                                      struct karat_error *err)
{
    const size_t n_biases = options->sampling.n_biases;
    const char **stop = arena_alloc(&request->arena, options->n_stop + 1, sizeof *stop);
    struct karat_bias *biases = arena_alloc(&request->arena, n_biases + 1, sizeof *biases);
    bool failed = !stop || !biases;
    for (size_t i = 0; i < options->n_stop && !failed; ++i) {
        stop[i] = arena_text(&request->arena, options->stop[i], strlen(options->stop[i]));
        failed = !stop[i];
    }
    request->options = *options;
    request->options.stop = stop;
    request->options.tools = NULL;
    if (failed)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the options of a request");
    if (n_biases > 0)
        memcpy(biases, options->sampling.biases, n_biases * sizeof *biases);
    request->options.sampling.biases = biases;
    return KARAT_OK;
}

static enum karat_status read_prompt(struct request *request, const struct karat_model *model,
                                     const struct karat_request *wish, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct json *chat = NULL;
    if (!wish->chat) {
        for (size_t i = 0; i < wish->n_ids; ++i)
            TRY(token_ids_push(&request->prompt.ids, wish->ids[i], err));
        return KARAT_OK;
    }
    status = json_parse(&chat, &request->arena, span_text(wish->chat), NULL, err);
    if (status != KARAT_OK)
        return status_context(err, status, "the request");
    TRY(prompt_read(&request->prompt, model, chat, err));
cleanup:
    return status;
}

// Everything that can be said about a request without evaluating it.
static enum karat_status create_request(struct request **out, const struct karat_scheduler *s,
                                        const struct karat_request *wish, struct karat_error *err)
{
    static const struct karat_generate_options defaults;
    enum karat_status status = KARAT_OK;
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a request");
    request->wish = *wish;
    TRY(copy_options(request, wish->generate ? wish->generate : &defaults, err));
    TRY(read_prompt(request, s->model, wish, err));
    TRY(session_check_ids(s->slots[0].session, request->prompt.ids.ids, request->prompt.ids.n_ids, err));
    TRY(generation_check(s->model, &request->options, err));
    TRY(generation_open(&request->generation, s->model, &request->prompt, &request->options, err));
    *out = request;
    request = NULL;
cleanup:
    if (request)
        destroy_request(request);
    return status;
}

// Tells the caller how it ended. The request is in no queue and no slot any more.
static void report(struct request *request, enum karat_status status, struct karat_error *err)
{
    struct karat_reply reply = { 0 };
    status = generation_finish(&request->generation, status, &reply, err);
    request->times.n_decoded = request->generation.n_generated;
    const bool has_reply = status == KARAT_OK || status == KARAT_ERR_CANCELLED;
    if (status == KARAT_OK)
        *err = (struct karat_error){ 0 };
    if (request->wish.on_done)
        request->wish.on_done(request->wish.user, status, has_reply ? &reply : NULL, &request->times, err);
    karat_reply_free(&reply);
    destroy_request(request);
}

static void report_cancelled(struct karat_scheduler *s, struct request *request)
{
    struct karat_error err;
    mutex_lock(&s->mutex);
    ++s->counts.n_finished;
    mutex_unlock(&s->mutex);
    request->times.queue_ns = clock_ns() - request->since_ns;
    report(request, status_fail(&err, KARAT_ERR_CANCELLED, "cancelled before it was begun"), &err);
}

// ------------------------------------------------------------------------------------------------ slots

// Where a prompt is answered at the least cost: what it shares with a slot's timeline is not evaluated again, and what
// it does not share is lost to whoever goes on with that timeline. Of slots that are no gain the one used longest ago.
static struct slot *choose_slot(struct karat_scheduler *s, const struct request *request)
{
    const struct token_ids *ids = &request->prompt.ids;
    struct slot *best = NULL;
    int64_t best_gain = 0;
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        struct slot *slot = &s->slots[i];
        if (slot->request)
            continue;
        const int64_t kept = session_reusable(slot->session, ids->ids, ids->n_ids);
        const int64_t gain = 2 * kept - karat_session_length(slot->session);
        if (!best || (gain > 0 ? gain > best_gain : best_gain <= 0 && slot->last_used_ns < best->last_used_ns)) {
            best = slot;
            best_gain = gain;
        }
    }
    return best;
}

static struct request *pop_waiting(struct karat_scheduler *s)
{
    struct request *request = s->first;
    s->first = request->next;
    s->last = s->first ? s->last : NULL;
    request->next = NULL;
    --s->counts.n_waiting;
    return request;
}

// Gives free slots to those who wait; returns a list of those who wait in vain. The mutex is held.
static struct request *assign(struct karat_scheduler *s)
{
    struct request *vain = NULL, *next;
    struct request *waiting = s->first;
    s->first = s->last = NULL;
    s->counts.n_waiting = 0;
    for (; waiting; waiting = next) {
        next = waiting->next;
        waiting->next = NULL;
        if (waiting->cancelled || s->closing) {
            waiting->next = vain;
            vain = waiting;
            continue;
        }
        if (s->last)
            s->last->next = waiting;
        else
            s->first = waiting;
        s->last = waiting;
        ++s->counts.n_waiting;
    }
    for (struct slot *slot; s->first && (slot = choose_slot(s, s->first));) {
        slot->request = pop_waiting(s);
        slot->is_answering = false;
        session_clear_cancel(slot->session);
        ++s->counts.n_running;
    }
    return vain;
}

// Ends the request of a slot with this status.
static void finish(struct karat_scheduler *s, struct slot *slot, enum karat_status status, struct karat_error *err)
{
    struct request *request = slot->request;
    const uint64_t now_ns = clock_ns(), ns = now_ns - request->since_ns;
    if (slot->is_answering)
        request->times.decode_ns = ns;
    else
        request->times.prefill_ns = ns;
    slot->last_used_ns = now_ns;
    slot->session->logits = NULL; // others will write there
    mutex_lock(&s->mutex);
    slot->request = NULL;
    --s->counts.n_running;
    ++s->counts.n_finished;
    mutex_unlock(&s->mutex);
    report(request, status, err);
}

// ------------------------------------------------------------------------------------------------ steps

static enum karat_status begin(struct karat_scheduler *s, struct slot *slot, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct request *request = slot->request;
    struct generation *g = &request->generation;
    const struct token_ids *ids = &request->prompt.ids;
    const uint64_t now_ns = clock_ns();
    request->times.queue_ns = now_ns - request->since_ns;
    request->since_ns = now_ns;
    TRY(generation_begin(g, slot->session, err));
    TRY(session_sync_begin(slot->session, ids->ids, ids->n_ids, &g->n_kept, err));
    g->n_prompt = (uint32_t)ids->n_ids;
    request->times.n_prefilled = g->n_prompt - g->n_kept;
    mutex_lock(&s->mutex);
    s->counts.prompt_tokens += g->n_prompt;
    s->counts.cached_tokens += g->n_kept;
    mutex_unlock(&s->mutex);
    if (request->wish.on_start)
        request->wish.on_start(request->wish.user, g->n_prompt, g->n_kept);
cleanup:
    return status;
}

// Draws and takes the next token; ends the request where the answer ends.
static void draw(struct karat_scheduler *s, struct slot *slot)
{
    struct karat_error err;
    struct generation *g = &slot->request->generation;
    const enum karat_status status = generation_next(g, &slot->next_id, &err);
    slot->session->logits = NULL; // others will write there
    if (status != KARAT_OK || g->ended)
        finish(s, slot, status, &err);
}

static void start_answer(struct karat_scheduler *s, struct slot *slot)
{
    struct request *request = slot->request;
    const uint64_t now_ns = clock_ns();
    request->times.prefill_ns = now_ns - request->since_ns;
    request->since_ns = now_ns;
    slot->is_answering = true;
    generation_accept(&request->generation, request->prompt.ids.ids, request->prompt.ids.n_ids);
    draw(s, slot);
}

// The prompt's step is done.
static void end_step(struct karat_scheduler *s, struct slot *slot)
{
    struct request *request = slot->request;
    const uint32_t n_done = karat_session_length(slot->session), n_prompt = request->generation.n_prompt;
    s->reading = NULL;
    mutex_lock(&s->mutex);
    s->counts.prefill_tokens += n_done - s->n_known;
    s->counts.prefill_ns += s->step_ns;
    mutex_unlock(&s->mutex);
    if (request->wish.on_progress)
        request->wish.on_progress(request->wish.user, n_done, n_prompt);
    if (n_done == n_prompt)
        start_answer(s, slot);
}

static enum karat_status begin_step(struct karat_scheduler *s, struct slot *slot, struct karat_error *err)
{
    const struct token_ids *ids = &slot->request->prompt.ids;
    s->reading = slot;
    s->step_ns = 0;
    s->n_known = karat_session_length(slot->session);
    return session_step_begin(slot->session, ids->ids, ids->n_ids, err);
}

// Begins a step of a prompt, or waits for one submission of it.
static void read_on(struct karat_scheduler *s, struct slot *slot)
{
    enum karat_status status = KARAT_OK;
    struct karat_error err;
    bool done = false;
    if (!slot->request->generation.session)
        TRY(begin(s, slot, &err));
    const uint64_t start_ns = clock_ns();
    if (s->reading)
        TRY(session_step_wait(slot->session, &done, &err));
    else
        TRY(begin_step(s, slot, &err));
    s->step_ns += clock_ns() - start_ns;
    if (done)
        end_step(s, slot);
    return;
cleanup:
    s->reading = NULL;
    finish(s, slot, status, &err);
}

// ------------------------------------------------------------------------------------------------ answers

static void count_decoded(struct karat_scheduler *s, uint32_t n_tokens, uint64_t ns)
{
    mutex_lock(&s->mutex);
    s->counts.decode_tokens += n_tokens;
    s->counts.decode_ns += ns;
    mutex_unlock(&s->mutex);
}

// One token of an answer that has the device for itself.
static void answer_alone(struct karat_scheduler *s, struct slot *slot)
{
    enum karat_status status = KARAT_OK;
    struct karat_error err;
    struct request *request = slot->request;
    const uint32_t max_tokens = request->options.max_tokens;
    const uint64_t start_ns = clock_ns();
    if (!slot->is_alone) {
        slot->is_alone = true; // of the tokens that are left one is drawn already
        TRY(generation_run_ahead(&request->generation,
                                 max_tokens > 0 ? max_tokens - request->generation.n_generated + 1 : 0, &err));
    }
    TRY(session_advance(slot->session, slot->next_id, &err));
    count_decoded(s, 1, clock_ns() - start_ns);
    draw(s, slot);
    return;
cleanup:
    finish(s, slot, status, &err);
}

// Takes back what runs ahead, before others use its workspace.
static void end_alone(struct karat_scheduler *s)
{
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        struct slot *slot = &s->slots[i];
        struct karat_error err;
        if (!slot->is_alone)
            continue;
        slot->is_alone = false;
        const enum karat_status status = ahead_end(slot->session, &err);
        if (status != KARAT_OK && slot->request)
            finish(s, slot, status, &err);
    }
}

// One pass: a token of each of these answers.
static enum karat_status pass(struct karat_scheduler *s, struct slot **slots, uint32_t n, struct karat_error *err)
{
    const struct karat_model *model = s->model;
    struct gemma_part parts[GEMMA_PARTS_MAX];
    for (uint32_t i = 0; i < n; ++i) {
        struct karat_session *session = slots[i]->session;
        parts[i] = (struct gemma_part){ session->state, slots[i]->next_id, session->n_ids };
        session_note_written(session, session->n_ids + 1);
    }
    gemma_forward_parts(s->recorder, &model->shape, &model->weights, s->few, parts, n);
    const enum karat_status status = gpu_recorder_submit(s->recorder, err);
    const enum karat_status wait_status = gpu_recorder_wait(s->recorder, status == KARAT_OK ? err : NULL);
    return status == KARAT_OK ? wait_status : status;
}

static void answer_together(struct karat_scheduler *s, struct slot **slots, uint32_t n)
{
    struct karat_error err;
    const uint64_t start_ns = clock_ns();
    const enum karat_status status = pass(s, slots, n, &err);
    const uint64_t ns = clock_ns() - start_ns;
    if (status == KARAT_OK)
        count_decoded(s, n, ns);
    for (uint32_t i = 0; i < n; ++i) {
        struct karat_session *session = slots[i]->session;
        struct karat_error own = err;
        if (status != KARAT_OK) {
            finish(s, slots[i], status, &own);
            continue;
        }
        session_note_token(session, slots[i]->next_id, ns);
        session->logits = gemma_workspace_scores(s->few) + (size_t)i * s->model->shape.n_vocab;
        draw(s, slots[i]);
    }
}

// ------------------------------------------------------------------------------------------------ rounds

static struct slot *oldest_prompt(struct karat_scheduler *s)
{
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        struct slot *slot = &s->slots[i];
        if (slot->request && !slot->is_answering && (!oldest || slot->request->ticket < oldest->request->ticket))
            oldest = slot;
    }
    return oldest;
}

// The answers that go on; those that were cancelled end here.
static uint32_t list_answers(struct karat_scheduler *s, struct slot *out[SLOTS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        struct slot *slot = &s->slots[i];
        struct karat_error err;
        if (!slot->request || !slot->is_answering)
            continue;
        if (session_is_cancelled(slot->session))
            finish(s, slot, status_fail(&err, KARAT_ERR_CANCELLED, "cancelled"), &err);
        else
            out[n++] = slot;
    }
    return n;
}

// A submission of a prompt and a token of every answer.
static void run_round(struct karat_scheduler *s)
{
    struct slot *answers[SLOTS_MAX];
    struct slot *prompt = s->reading ? s->reading : oldest_prompt(s);
    uint32_t n = list_answers(s, answers);
    if (prompt || n != 1)
        end_alone(s);
    else
        answer_alone(s, answers[0]);
    if (prompt) {
        read_on(s, prompt);
        n = list_answers(s, answers);
    } else if (n == 1) {
        return;
    }
    for (uint32_t i = 0; i < n; i += GEMMA_PARTS_MAX)
        answer_together(s, answers + i, n - i < GEMMA_PARTS_MAX ? n - i : GEMMA_PARTS_MAX);
}

static void work(void *user)
{
    struct karat_scheduler *s = user;
    for (;;) {
        mutex_lock(&s->mutex);
        while (!s->closing && !s->first && s->counts.n_running == 0)
            condition_wait(&s->wake, &s->mutex);
        struct request *vain = assign(s), *next;
        const bool is_over = s->closing && s->counts.n_running == 0;
        mutex_unlock(&s->mutex);
        for (; vain; vain = next) {
            next = vain->next;
            report_cancelled(s, vain);
        }
        if (is_over)
            return;
        run_round(s);
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
                                      const struct gemma_state_options *few, struct karat_error *err)
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
    for (uint32_t i = 0; i < s->counts.n_slots; ++i)
        TRY(session_create(&s->slots[i].session, model, plan, s->workspace, false, err));
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
    const struct gemma_state_options few = { .n_batch = n_parts, .n_rows = n_parts, .n_parts = n_parts };
    s->counts.n_context = plan.n_context;
    if ((status = create_slots(s, &plan, &few, err)) == KARAT_ERR_DEVICE_MEMORY)
        fail_memory(s, &plan, &few, err);
    if (status != KARAT_OK)
        goto cleanup;
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
    for (uint32_t i = 0; s->slots && i < s->counts.n_slots; ++i)
        karat_session_close(s->slots[i].session);
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
    if (status != KARAT_OK || (status = create_request(&request, s, wish, err)) != KARAT_OK)
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
        destroy_request(request);
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
