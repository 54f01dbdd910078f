// engine/rewind.c -- see rewind.h.
#include "engine/rewind.h"

#include <string.h>

#include "engine/engine.h"

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

enum karat_status rewind_create(struct karat_session *session, struct snapshot_store *store, enum op_cache_type cache,
                                struct karat_error *err)
{
    struct rewind *r = &session->rewind;
    enum karat_status status = KARAT_OK;
    if (!store) {
        TRY(snapshot_store_create(&r->own, session->model, cache, err));
        snapshot_store_set_budget(r->own, 0);
    }
    r->store = store ? store : r->own;
cleanup:
    return status;
}

static void drop_snapshots(struct karat_session *session)
{
    for (size_t i = 0; i < REWIND_MARKS; ++i)
        snapshot_drop(&session->rewind.snapshots[i], session->rewind.store);
}

void rewind_destroy(struct karat_session *session)
{
    if (session->rewind.store)
        drop_snapshots(session);
    snapshot_store_destroy(session->rewind.own);
}

// ------------------------------------------------------------------------------------------------ marks

static void add_mark(struct rewind *r, uint32_t n)
{
    for (uint32_t i = 0; i < r->n_marks; ++i)
        if (r->marks[i] == n)
            return;
    if (n > REWIND_SLACK)
        r->marks[r->n_marks++] = n;
}

// The end of the last whole step of n_batch tokens up to position n; 0: there is none.
static uint32_t step_end(const struct karat_session *session, uint32_t n)
{
    const uint32_t first = session->n_ids, n_steps = n > first ? (n - first) / session->n_batch : 0;
    return n_steps > 0 ? first + n_steps * session->n_batch : 0;
}

// Where the second of three turns begins if the first and the third are of different roles: instructions, question,
// answer, but not question, answer, question. Else 0. A turn's second token is its role's.
static uint32_t find_shared(const uint32_t *ids, uint32_t n, const uint32_t first_turns[3], uint32_t n_turns)
{
    const uint32_t first = first_turns[0] + 1, third = first_turns[2] + 1;
    return n_turns > 2 && third < n && ids[first] != ids[third] ? first_turns[1] : 0;
}

void rewind_mark(struct karat_session *session, const uint32_t *ids, uint32_t n)
{
    struct rewind *r = &session->rewind;
    const uint32_t turn_open = session->model->control.turn_open, n_ring = gemma_state_ring(session->state);
    uint32_t first_turns[3] = { 0 }, previous = 0, last = 0, n_turns = 0;
    for (uint32_t i = 0; i < n; ++i)
        if (ids[i] == turn_open) {
            previous = last;
            last = i;
            if (n_turns < 3)
                first_turns[n_turns] = i;
            ++n_turns;
        }
    r->n_prompt = n;
    r->n_turn = n_turns > 0 ? last : n - 1;
    r->n_shared = find_shared(ids, n, first_turns, n_turns);
    r->n_marks = 0;
    add_mark(r, n);           // another answer, or what the user says next
    add_mark(r, r->n_shared); // another conversation with the same instructions
    add_mark(r, previous);    // another last question
    // Prompts without turns, such as a long text with a question: as few whole steps as possible are done again.
    add_mark(r, step_end(session, n - 1));
    if (n >= 2 * n_ring)
        add_mark(r, step_end(session, n / 2));
}

// ------------------------------------------------------------------------------------------------ snapshots

// The lowest position that a token at position n sees in a sliding layer.
static uint32_t first_seen(const struct gemma_shape *shape, uint32_t n)
{
    return n + 1 > shape->window ? n + 1 - shape->window : 0;
}

uint32_t rewind_first(const struct gemma_shape *shape, uint32_t n)
{
    const uint32_t first = first_seen(shape, n);
    return first > REWIND_SLACK ? first - REWIND_SLACK : 0;
}

uint32_t rewind_extent_reach(const struct gemma_shape *shape, const struct gemma_extent *extent, uint32_t n)
{
    const uint32_t at = smaller(n, extent->end);
    return extent->first <= first_seen(shape, at) ? at : 0;
}

static uint32_t snapshot_reach(const struct karat_session *session, const struct snapshot *snapshot, uint32_t n)
{
    return snapshot->state ? rewind_extent_reach(&session->model->shape, &snapshot->extent, n) : 0;
}

static bool rings_reach(const struct karat_session *session, uint32_t n)
{
    return n >= session->n_ids || session->rewind.first <= first_seen(&session->model->shape, n);
}

static const struct snapshot *best_snapshot(const struct karat_session *session, uint32_t n, uint32_t *reach)
{
    const struct snapshot *best = NULL;
    *reach = 0;
    for (size_t i = 0; i < REWIND_MARKS; ++i) {
        const struct snapshot *snapshot = &session->rewind.snapshots[i];
        const uint32_t at = snapshot_reach(session, snapshot, n);
        if (at > *reach) {
            *reach = at;
            best = snapshot;
        }
    }
    return best;
}

static bool serves_a_mark(const struct karat_session *session, const struct snapshot *snapshot)
{
    const struct rewind *r = &session->rewind;
    for (uint32_t i = 0; i < r->n_marks; ++i)
        if (snapshot_reach(session, snapshot, r->marks[i]) == r->marks[i])
            return true;
    return false;
}

// An empty place, or that of one that an earlier prompt marked; there are as many as marks.
static struct snapshot *find_place(struct karat_session *session)
{
    struct rewind *r = &session->rewind;
    struct snapshot *place = NULL;
    for (size_t i = 0; i < REWIND_MARKS && (!place || place->state); ++i)
        if (!r->snapshots[i].state || !serves_a_mark(session, &r->snapshots[i]))
            place = &r->snapshots[i];
    return place;
}

// As far as it takes, and not for what never fits: first what an earlier prompt marked goes, then what others can do
// without.
static void make_room(struct karat_session *session, const struct gemma_extent *extent)
{
    struct rewind *r = &session->rewind;
    if (!snapshot_could_fit(r->store, extent))
        return;
    for (size_t i = 0; i < REWIND_MARKS && !snapshot_fits(r->store, extent); ++i)
        if (!serves_a_mark(session, &r->snapshots[i]))
            snapshot_drop(&r->snapshots[i], r->store);
    while (!snapshot_fits(r->store, extent) && snapshot_store_give_up(r->store))
        ;
}

static void set_aside(struct karat_session *session, uint32_t mark)
{
    struct rewind *r = &session->rewind;
    const struct gemma_shape *shape = &session->model->shape;
    const struct gemma_extent extent = { larger(r->first, rewind_first(shape, mark)), mark, 0 };
    uint32_t reach = 0;
    best_snapshot(session, mark, &reach);
    struct snapshot *place = find_place(session);
    if (reach == mark || extent.first > first_seen(shape, mark) || !place)
        return;
    snapshot_drop(place, r->store);
    make_room(session, &extent);
    snapshot_take(place, r->store, &extent, &(struct snapshot_piece){ session->state, extent }, 1, 0);
}

void rewind_make_way(struct karat_session *session, uint32_t n)
{
    struct rewind *r = &session->rewind;
    const uint32_t n_ring = gemma_state_ring(session->state);
    r->n_written = larger(r->n_written, n);
    const uint32_t first = r->n_written > n_ring ? r->n_written - n_ring : 0;
    if (first <= r->first)
        return;
    for (uint32_t i = 0; i < r->n_marks; ++i)
        if (r->marks[i] <= session->n_ids && first > rewind_first(&session->model->shape, r->marks[i]))
            set_aside(session, r->marks[i]);
    r->first = first;
}

// ------------------------------------------------------------------------------------------------ going back

uint32_t rewind_reach(const struct karat_session *session, uint32_t n)
{
    uint32_t reach = 0;
    n = smaller(n, session->n_ids);
    if (rings_reach(session, n))
        return n;
    best_snapshot(session, n, &reach);
    return reach;
}

struct rewind_source rewind_source(const struct karat_session *session, uint32_t n, uint32_t n_low)
{
    const struct gemma_shape *shape = &session->model->shape;
    const uint32_t wanted = rewind_first(shape, n_low);
    uint32_t reach = 0;
    struct rewind_source out = { .ids = session->ids, .full = session->state, .n = n };
    if (!rings_reach(session, n))
        out.snapshot = best_snapshot(session, n, &reach);
    out.ring = out.snapshot ? out.snapshot->state : session->state;
    out.first = out.split = larger(out.snapshot ? out.snapshot->extent.first : session->rewind.first, wanted);
    if (out.first > first_seen(shape, n_low)) {
        const struct snapshot *early = best_snapshot(session, n_low, &reach);
        if (early && reach == n_low && early->extent.end >= out.split) {
            out.early = early->state;
            out.first = larger(early->extent.first, wanted);
        }
    }
    return out;
}

void rewind_thin(struct karat_session *session, const uint32_t *at, uint32_t n)
{
    struct rewind *r = &session->rewind;
    r->n_marks = 0;
    for (uint32_t i = 0; i < n && i < REWIND_MARKS; ++i)
        add_mark(r, at[i]);
    for (size_t i = 0; i < REWIND_MARKS; ++i)
        if (!serves_a_mark(session, &r->snapshots[i]))
            snapshot_drop(&r->snapshots[i], r->store);
}

bool rewind_has_snapshots(const struct karat_session *session)
{
    for (size_t i = 0; i < REWIND_MARKS; ++i)
        if (session->rewind.snapshots[i].state)
            return true;
    return false;
}

struct snapshot rewind_part_with(struct karat_session *session, const struct snapshot *snapshot)
{
    const struct snapshot out = *snapshot;
    session->rewind.snapshots[snapshot - session->rewind.snapshots] = (struct snapshot){ 0 };
    return out;
}

// From here on the session holds n tokens, and what was set aside of later ones is of another timeline.
static void note_position(struct karat_session *session, uint32_t n)
{
    struct rewind *r = &session->rewind;
    if (n < session->n_ids)
        session->logits = NULL;
    session->n_ids = n;
    r->n_marks = 0;
    for (size_t i = 0; i < REWIND_MARKS; ++i) {
        struct snapshot *snapshot = &r->snapshots[i];
        snapshot->extent.end = smaller(snapshot->extent.end, n);
        if (snapshot_reach(session, snapshot, n) == 0)
            snapshot_drop(snapshot, r->store);
    }
}

static enum karat_status restore(struct karat_session *session, const struct rewind_source *source,
                                 struct karat_error *err)
{
    struct rewind *r = &session->rewind;
    const uint32_t n_ring = gemma_state_ring(session->state);
    const uint32_t first = larger(source->first, source->n > n_ring ? source->n - n_ring : 0);
    const enum karat_status status =
        snapshot_restore(r->store, session->state, source->ring, source->full, first, source->n, err);
    r->first = status == KARAT_OK ? first : 0;
    r->n_written = status == KARAT_OK ? source->n : 0;
    return status;
}

enum karat_status rewind_to(struct karat_session *session, uint32_t n, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct rewind *r = &session->rewind;
    if (n == 0)
        r->first = r->n_written = 0;
    else if (!rings_reach(session, n)) {
        const struct rewind_source source = rewind_source(session, n, n);
        TRY(restore(session, &source, err));
    }
cleanup:
    note_position(session, status == KARAT_OK ? n : 0);
    return status;
}

enum karat_status rewind_adopt(struct karat_session *session, const struct rewind_source *source,
                               struct karat_error *err)
{
    const enum karat_status status = restore(session, source, err);
    session->logits = NULL;
    drop_snapshots(session);
    note_position(session, 0);
    if (status != KARAT_OK)
        return status;
    memcpy(session->ids, source->ids, source->n * sizeof *session->ids);
    session->n_ids = source->n;
    return KARAT_OK;
}
