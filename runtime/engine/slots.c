// engine/slots.c -- who gets which slot, and what of its prompt is known there.
#include "engine/scheduler.h"

// A copy must spare as many tokens as this.
#define COPY_LEAST 8u

// ------------------------------------------------------------------------------------------------ choosing

// Whether a prompt that has n tokens in common with a session's timeline goes on with its conversation: all that it
// leaves behind is an answer.
static bool goes_on(const struct karat_session *session, uint32_t n)
{
    const uint32_t n_ids = karat_session_length(session), n_turn = session->rewind.n_turn;
    return n > 0 && n >= (n_turn < n_ids ? n_turn : n_ids);
}

// The slot of the conversation that the prompt goes on with, or else the one used longest ago: what the prompt has in
// common with any timeline is copied there.
static struct slot *choose_slot(struct karat_scheduler *s, const struct request *request)
{
    const struct token_ids *ids = &request->prompt.ids;
    struct slot *oldest = NULL, *own = NULL;
    uint32_t n_own = 0;
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        struct slot *slot = &s->slots[i];
        if (slot->request)
            continue;
        const uint32_t n = session_reusable(slot->session, ids->ids, ids->n_ids);
        if (goes_on(slot->session, n) && n > n_own) {
            own = slot;
            n_own = n;
        }
        if (!oldest || slot->last_used_ns < oldest->last_used_ns)
            oldest = slot;
    }
    return own ? own : oldest;
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

// ------------------------------------------------------------------------------------------------ prefixes

bool slots_give_up(void *scheduler)
{
    struct karat_scheduler *s = scheduler;
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        struct slot *slot = &s->slots[i];
        if (!slot->request && rewind_has_snapshots(slot->session) &&
            (!oldest || slot->last_used_ns < oldest->last_used_ns))
            oldest = slot;
    }
    if (oldest)
        rewind_thin(oldest->session, NULL, 0);
    return oldest;
}

// Keeps what the slot's next request, which has n_own tokens in common with it, will write over.
static void keep(struct karat_scheduler *s, struct slot *slot, uint32_t n_own)
{
    struct karat_session *session = slot->session;
    const uint32_t n_shared = session->rewind.n_shared;
    slot->shares = slot->shares || (n_shared > 0 && n_own >= n_shared);
    struct shelf_wish wish = { .shared = slot->shares, .n_own = n_own };
    for (uint32_t i = 0; i < s->counts.n_slots; ++i)
        if (&s->slots[i] != slot && session_shared(s->slots[i].session, session->ids, n_shared) >= n_shared)
            wish.is_elsewhere = true;
    shelf_put(&s->shelf, session, &wish);
    slot->shares = slot->shares && n_own >= n_shared;
}

// Who knows the longest beginning of a prompt, at least n tokens of it.
struct finding {
    uint32_t n; // tokens; 0: nobody
    struct slot *slot;
    struct shelf_entry *entry;
};

static struct finding find(struct karat_scheduler *s, const struct token_ids *ids, uint32_t n_least)
{
    struct finding best = { 0 };
    uint32_t n = 0;
    // The last token is evaluated in any case, for its scores.
    struct shelf_entry *entry = shelf_find(&s->shelf, ids->ids, (uint32_t)ids->n_ids - 1, &n);
    if (entry && n >= n_least)
        best = (struct finding){ .n = n, .entry = entry };
    for (uint32_t i = 0; i < s->counts.n_slots; ++i) {
        n = session_shared(s->slots[i].session, ids->ids, ids->n_ids - 1);
        if (n >= n_least && n > best.n)
            best = (struct finding){ .n = n, .slot = &s->slots[i] };
    }
    return best;
}

// Copies into the slot what others know of its prompt. No step is under way anywhere.
static enum karat_status recall(struct karat_scheduler *s, struct slot *slot, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct karat_session *session = slot->session;
    const struct token_ids *ids = &slot->request->prompt.ids;
    uint32_t n_own = session_reusable(session, ids->ids, ids->n_ids);
    if (karat_session_length(session) > 0 && !goes_on(session, n_own)) {
        const struct finding wanted = find(s, ids, n_own);
        if (wanted.slot) // what is wanted now is not what makes room
            wanted.slot->last_used_ns = clock_ns();
        keep(s, slot, n_own);
        n_own = session_reusable(session, ids->ids, ids->n_ids); // a snapshot may be on the shelf now
    }
    const struct finding from = find(s, ids, n_own + COPY_LEAST);
    if (from.n == 0)
        return KARAT_OK;
    const struct rewind_source source =
        from.entry ? shelf_source(from.entry, from.n) : rewind_source(from.slot->session, from.n, from.n);
    TRY(rewind_adopt(session, &source, err));
    if (from.entry)
        shelf_used(&s->shelf, from.entry, from.n);
    else
        slot->shares = from.slot->shares = true;
cleanup:
    return status;
}

// ------------------------------------------------------------------------------------------------ requests

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
    s->counts.prefix_bytes = snapshot_store_used(s->store);
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
    TRY(recall(s, slot, err));
    TRY(session_sync_begin(slot->session, ids->ids, ids->n_ids, &g->n_kept, err));
    g->n_prompt = (uint32_t)ids->n_ids;
    request->times.n_prefilled = g->n_prompt - g->n_kept;
    mutex_lock(&s->mutex);
    s->counts.prompt_tokens += g->n_prompt;
    s->counts.cached_tokens += g->n_kept;
    s->counts.prefix_bytes = snapshot_store_used(s->store);
    mutex_unlock(&s->mutex);
    if (request->wish.on_start)
        request->wish.on_start(request->wish.user, g->n_prompt, g->n_kept);
cleanup:
    return status;
}
