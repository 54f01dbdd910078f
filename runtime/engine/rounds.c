// engine/rounds.c -- one prompt at a time is read, in long steps, and between the submissions of such a step every
// answer advances by a token, all in one pass.
#include "engine/scheduler.h"

// ------------------------------------------------------------------------------------------------ steps

// A token that was drawn, or not.
struct drawn {
    struct slot *slot;
    enum karat_status status;
    struct karat_error err;
};

static void draw(void *user, size_t i)
{
    struct drawn *drawn = (struct drawn *)user + i;
    drawn->status = generation_draw(&drawn->slot->request->generation, &drawn->slot->next_id, &drawn->err);
}

// Takes it; ends the request where the answer ends.
static void take(struct karat_scheduler *s, struct drawn *drawn)
{
    struct slot *slot = drawn->slot;
    struct generation *g = &slot->request->generation;
    if (drawn->status == KARAT_OK)
        drawn->status = generation_take(g, slot->next_id, &drawn->err);
    slot->session->logits = NULL; // others will write there
    if (drawn->status != KARAT_OK || g->ended)
        slot_finish(s, slot, drawn->status, &drawn->err);
}

static void draw_and_take(struct karat_scheduler *s, struct slot *slot)
{
    struct drawn drawn = { .slot = slot };
    draw(&drawn, 0);
    take(s, &drawn);
}

static void start_answer(struct karat_scheduler *s, struct slot *slot)
{
    struct request *request = slot->request;
    const uint64_t now_ns = clock_ns();
    request->times.prefill_ns = now_ns - request->since_ns;
    request->since_ns = now_ns;
    slot->is_answering = true;
    generation_accept(&request->generation, request->prompt.ids.ids, request->prompt.ids.n_ids);
    draw_and_take(s, slot);
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
        TRY(slot_begin(s, slot, &err));
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
    slot_finish(s, slot, status, &err);
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
    TRY(generation_advance(&request->generation, slot->next_id, &err));
    count_decoded(s, 1, clock_ns() - start_ns);
    draw_and_take(s, slot);
    return;
cleanup:
    slot_finish(s, slot, status, &err);
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
            slot_finish(s, slot, status, &err);
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
        rewind_make_way(session, session->n_ids + 1);
    }
    gemma_forward_parts(s->recorder, &model->shape, &model->weights, s->few, parts, n);
    const enum karat_status status = gpu_recorder_submit(s->recorder, err);
    for (uint32_t i = 0; i < n && status == KARAT_OK; ++i)
        constraint_prepare(&slots[i]->request->generation.constraint);
    const enum karat_status wait_status = gpu_recorder_wait(s->recorder, status == KARAT_OK ? err : NULL);
    return status == KARAT_OK ? wait_status : status;
}

// Unless a prompt is being read, the device waits until the tokens are drawn, and sampling among the whole vocabulary
// takes milliseconds for each answer: so several threads draw.
static void answer_together(struct karat_scheduler *s, struct slot **slots, uint32_t n)
{
    struct drawn drawn[GEMMA_PARTS_MAX];
    struct karat_error err;
    const uint64_t start_ns = clock_ns();
    const enum karat_status status = pass(s, slots, n, &err);
    const uint64_t ns = clock_ns() - start_ns;
    if (status == KARAT_OK)
        count_decoded(s, n, ns);
    for (uint32_t i = 0; i < n; ++i) {
        struct karat_session *session = slots[i]->session;
        drawn[i].slot = slots[i];
        drawn[i].status = status;
        if (status != KARAT_OK) {
            drawn[i].err = err;
            continue;
        }
        session_note_token(session, slots[i]->next_id, ns);
        session->logits = gemma_workspace_scores(s->few) + (size_t)i * s->model->shape.n_vocab;
    }
    if (status == KARAT_OK)
        workers_run(s->drawers, draw, drawn, n);
    for (uint32_t i = 0; i < n; ++i)
        take(s, &drawn[i]);
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
            slot_finish(s, slot, status_fail(&err, KARAT_ERR_CANCELLED, "cancelled"), &err);
        else
            out[n++] = slot;
    }
    return n;
}

void scheduler_run_round(struct karat_scheduler *s)
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
