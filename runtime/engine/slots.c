// engine/slots.c -- who gets which slot, and what of its prompt is known there.
#include "engine/scheduler.h"

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

struct request *slots_assign(struct karat_scheduler *s)
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

void slot_finish(struct karat_scheduler *s, struct slot *slot, enum karat_status status, struct karat_error *err)
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
    request_report(request, status, err);
}

enum karat_status slot_begin(struct karat_scheduler *s, struct slot *slot, struct karat_error *err)
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
