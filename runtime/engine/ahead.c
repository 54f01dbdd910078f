// engine/ahead.c -- see ahead.h.
#include "engine/ahead.h"

#include "base/thread.h"
#include "engine/engine.h"
#include "engine/hooks.h"

#define BATCH_NS 50000000u // of work under way
// Two scores that the device's division takes for equal may still differ for the host: a few more are looked at.
#define MARGIN_OF_PENALTIES 4

// ------------------------------------------------------------------------------------------------ decisions

bool ahead_plan(struct gemma_drawing *out, const struct gpu_plan *device, bool forced, const struct sampler *sampler,
                const uint32_t *never, size_t n_never)
{
    const struct sampler_options *options = sampler_options(sampler);
    const bool penalties = sampler_has_penalties(sampler);
    // A device knows of no biases.
    if ((device->cpu && !forced) || !sampler_is_short(sampler) || sampler_has_biases(sampler) ||
        n_never > OP_NEVER_MAX || (penalties && options->penalty_window < OP_SAMPLE_SLOTS))
        return false;
    const uint32_t top_k = options->temperature == 0 ? 1 : options->top_k;
    const uint32_t wanted = top_k + (uint32_t)n_never + (penalties ? MARGIN_OF_PENALTIES : 0);
    const uint32_t n_vocab = sampler_n_vocab(sampler);
    *out = (struct gemma_drawing){
        .sampling = { .top_k = top_k,
                      .temperature = options->temperature,
                      .top_p = options->top_p,
                      .min_p = options->min_p,
                      .n_never = (uint32_t)n_never },
        .n_candidates = wanted < n_vocab ? wanted : n_vocab,
        .has_penalties = penalties,
        .repeat = options->repeat_penalty,
        .presence = options->presence_penalty,
        .frequency = options->frequency_penalty,
    };
    for (size_t i = 0; i < n_never; ++i)
        out->sampling.never[i] = never[i];
    return true;
}

_Static_assert(SAMPLER_SHORTLIST_MAX + OP_NEVER_MAX + MARGIN_OF_PENALTIES <= OP_TOP_K_MAX, "a short list must fit");
_Static_assert(AHEAD_MAX < OP_SAMPLE_SLOTS, "slots in use must not be written");

uint32_t ahead_depth(uint64_t step_ns, uint32_t forced, uint32_t n_batch)
{
    // The rings keep n_batch positions more than the window: so many may be written in vain.
    const uint64_t most = n_batch < AHEAD_MAX ? n_batch : AHEAD_MAX;
    const uint64_t wanted = forced > 0 ? forced : step_ns > 0 ? BATCH_NS / step_ns : 1;
    return (uint32_t)(wanted < 1 ? 1 : wanted > most ? most : wanted);
}

// ------------------------------------------------------------------------------------------------ steps

enum karat_status ahead_create(struct karat_session *session, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (uint32_t i = 0; i < AHEAD_MAX && status == KARAT_OK; ++i)
        status = gpu_recording_create(&session->ahead.steps[i].recording, session->recorder, err);
    return status;
}

void ahead_destroy(struct karat_session *session)
{
    for (uint32_t i = 0; i < AHEAD_MAX; ++i)
        gpu_recording_destroy(session->ahead.steps[i].recording);
}

static enum karat_status take_back(struct karat_session *session, struct karat_error *err)
{
    struct ahead *ahead = &session->ahead;
    const bool under_way = ahead->n > 0;
    ahead->n = 0;
    ahead->next_id = OP_SAMPLE_NONE;
    return under_way ? gpu_recorder_discard(session->recorder, err) : KARAT_OK;
}

enum karat_status ahead_end(struct karat_session *session, struct karat_error *err)
{
    session->ahead.active = false;
    session->ahead.has_drawn = false;
    return take_back(session, err);
}

enum karat_status ahead_begin(struct karat_session *session, uint32_t max_tokens, struct karat_error *err)
{
    struct ahead *ahead = &session->ahead;
    const struct karat_model *model = session->model;
    const enum karat_status status = ahead_end(session, err);
    if (status != KARAT_OK)
        return status;
    // The last token of an answer is drawn, not evaluated.
    const uint32_t room = session->n_context - session->n_ids;
    ahead->end = session->n_ids + (max_tokens > 0 && max_tokens - 1 < room ? max_tokens - 1 : room);
    ahead->active = ahead_plan(&ahead->drawing, gpu_device_plan(model->device), ahead->forced > 0, session->sampler,
                               model->never_sampled, model->n_never_sampled);
    for (uint32_t i = 0; i < AHEAD_MAX; ++i)
        ahead->steps[i].bound = 0; // how tokens are drawn is part of a recording
    return KARAT_OK;
}

// The numbers for the draw of the step that is submitted next.
static void foresee(struct karat_session *session, uint32_t position)
{
    double at = 0;
    uint32_t leaving = OP_SAMPLE_NONE;
    sampler_foresee(session->sampler, session->ahead.n, &at, &leaving);
    if (session->ahead.spoiled)
        at = at < 0.5 ? at + 0.5 : at - 0.5;
    gemma_state_foresee(session->state, position, at, leaving);
}

// Submits the step after those under way. id NULL: its token is what the device has drawn; such steps are recorded
// once. The step that had the same place is done by now.
static enum karat_status submit_step(struct karat_session *session, const uint32_t *id, struct karat_error *err)
{
    struct ahead *ahead = &session->ahead;
    const struct karat_model *model = session->model;
    const uint32_t position = session->n_ids + ahead->n, bound = gemma_position_bound(position);
    struct ahead_step *own = &ahead->steps[position % AHEAD_MAX];
    const struct gemma_step step = {
        .ids = id,
        .n_tokens = 1,
        .first_position = position,
        .n_rows = 1,
        .drawing = &ahead->drawing,
    };
    enum karat_status status = KARAT_OK;
    foresee(session, position);
    rewind_make_way(session, position + 1);
    own->submitted_ns = clock_ns();
    ++ahead->n; // even if it fails: parts of it may run
    if (!id && own->bound == bound && gpu_recording_is_ready(own->recording)) {
        ++ahead->counts.n_replayed;
        status = gpu_recording_submit(own->recording, err);
    } else {
        if (!id) {
            gpu_recording_begin(own->recording);
            own->bound = bound;
        } else if (ahead->drawing.has_penalties) {
            gemma_state_count(session->recorder, session->state, sampler_counts(session->sampler));
        }
        gemma_forward(session->recorder, &model->shape, &model->weights, session->state, &step);
        status = gpu_recorder_submit(session->recorder, err);
    }
    own->ticket = gpu_recorder_ticket(session->recorder);
    return status;
}

// Steps run back to back, so one takes from the end of the one before, or from its own beginning.
static uint64_t measure_step(struct ahead *ahead, uint32_t position)
{
    const uint64_t submitted_ns = ahead->steps[position % AHEAD_MAX].submitted_ns, now_ns = clock_ns();
    const uint64_t ns = now_ns - (submitted_ns > ahead->done_ns ? submitted_ns : ahead->done_ns);
    ahead->done_ns = now_ns;
    ahead->step_ns = ahead->step_ns > 0 ? (3 * ahead->step_ns + ns) / 4 : ns;
    return ns;
}

static enum karat_status advance(struct karat_session *session, uint32_t id, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct ahead *ahead = &session->ahead;
    const uint32_t position = session->n_ids;
    const uint32_t depth = ahead_depth(ahead->step_ns, ahead->forced, session->n_batch);

    ahead->has_drawn = false;
    session->logits = NULL;
    if (__atomic_load_n(&session->cancel, __ATOMIC_RELAXED))
        TRY(status_fail(err, KARAT_ERR_CANCELLED, "cancelled"));
    if (ahead->next_id != id) {
        ahead->counts.n_wrong += ahead->next_id != OP_SAMPLE_NONE;
        TRY(take_back(session, err));
    }
    if (ahead->n == 0)
        TRY(submit_step(session, ahead->next_id == id ? NULL : &id, err));
    while (ahead->n < depth && position + ahead->n < ahead->end)
        TRY(submit_step(session, NULL, err));
    TRY(gpu_recorder_wait_until(session->recorder, ahead->steps[position % AHEAD_MAX].ticket, err));

    ahead->next_id = gemma_state_drawn(session->state, position)->id;
    ahead->has_drawn = true;
    --ahead->n;
    ahead->counts.most = ahead->n > ahead->counts.most ? ahead->n : ahead->counts.most;
    session_note_token(session, id, measure_step(ahead, position));
cleanup:
    return status;
}

enum karat_status ahead_advance(struct karat_session *session, uint32_t id, struct karat_error *err)
{
    const enum karat_status status = advance(session, id, err);
    if (status != KARAT_OK)
        ahead_end(session, NULL);
    return status;
}

enum karat_status ahead_sample(struct karat_session *session, uint32_t *id, struct karat_error *err)
{
    const struct op_sample_result *drawn = gemma_state_drawn(session->state, session->n_ids - 1);
    return sampler_pick(session->sampler, drawn->ids, drawn->scores, drawn->n, id, err);
}

// ------------------------------------------------------------------------------------------------ hooks

void session_force_ahead(struct karat_session *session, uint32_t n_steps, bool spoiled)
{
    session->ahead.forced = n_steps;
    session->ahead.spoiled = spoiled;
}

struct ahead_counts session_ahead_counts(const struct karat_session *session)
{
    return session->ahead.counts;
}

struct constraint_counts session_mask_counts(const struct karat_session *session)
{
    return session->masks;
}

const struct gpu_recorder *session_recorder(const struct karat_session *session)
{
    return session->recorder;
}
