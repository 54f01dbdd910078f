// engine/shelf.c -- see shelf.h.
#include "engine/shelf.h"

#include <stdlib.h>
#include <string.h>

static const struct gemma_shape *shape_of(const struct shelf *shelf)
{
    return &shelf->store->model->shape;
}

static uint64_t snapshot_bytes(const struct snapshot *snapshot)
{
    return snapshot->bytes.device + snapshot->bytes.host;
}

static uint64_t entry_bytes(const struct shelf_entry *entry)
{
    return snapshot_bytes(&entry->ring) + snapshot_bytes(&entry->full);
}

static void drop(struct shelf *shelf, struct shelf_entry *entry)
{
    snapshot_drop(&entry->ring, shelf->store);
    snapshot_drop(&entry->full, shelf->store);
    free(entry->ids);
    *entry = (struct shelf_entry){ 0 };
}

void shelf_clear(struct shelf *shelf)
{
    for (size_t i = 0; i < SHELF_MAX; ++i)
        drop(shelf, &shelf->entries[i]);
}

// ------------------------------------------------------------------------------------------------ finding

static uint32_t common(const uint32_t *a, uint32_t n_a, const uint32_t *b, uint32_t n_b)
{
    uint32_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n])
        ++n;
    return n;
}

static uint32_t entry_reach(const struct shelf *shelf, const struct shelf_entry *entry, const uint32_t *ids, uint32_t n)
{
    const struct gemma_extent extent = { entry->ring.extent.first, entry->n, 0 };
    return entry->ids ? rewind_extent_reach(shape_of(shelf), &extent, common(entry->ids, entry->n, ids, n)) : 0;
}

struct shelf_entry *shelf_find(struct shelf *shelf, const uint32_t *ids, uint32_t n, uint32_t *reach)
{
    struct shelf_entry *best = NULL;
    *reach = 0;
    for (size_t i = 0; i < SHELF_MAX; ++i) {
        const uint32_t at = entry_reach(shelf, &shelf->entries[i], ids, n);
        if (at > *reach) {
            *reach = at;
            best = &shelf->entries[i];
        }
    }
    if (best)
        best->used = ++shelf->clock;
    return best;
}

struct rewind_source shelf_source(const struct shelf_entry *entry, uint32_t n)
{
    const uint32_t first = entry->ring.extent.first;
    return (struct rewind_source){
        .ids = entry->ids,
        .ring = entry->ring.state,
        .full = entry->full.state,
        .first = first,
        .split = first,
        .n = n,
    };
}

void shelf_used(struct shelf *shelf, struct shelf_entry *entry, uint32_t n)
{
    if (entry->is_conversation && !entry->shared && n >= entry->n_turn)
        drop(shelf, entry); // it moves on in the slot
    else
        entry->shared = true;
}

// ------------------------------------------------------------------------------------------------ keeping

static struct shelf_entry *find_victim(struct shelf *shelf)
{
    struct shelf_entry *victim = NULL;
    for (size_t i = 0; i < SHELF_MAX; ++i) {
        struct shelf_entry *entry = &shelf->entries[i];
        if (entry->ids && (!victim || (entry->shared != victim->shared ? victim->shared : entry->used < victim->used)))
            victim = entry;
    }
    return victim;
}

static struct shelf_entry *find_empty(struct shelf *shelf)
{
    for (size_t i = 0; i < SHELF_MAX; ++i)
        if (!shelf->entries[i].ids)
            return &shelf->entries[i];
    drop(shelf, find_victim(shelf));
    return find_empty(shelf);
}

// A quarter of the budget is left to what the slots set aside for themselves.
static uint64_t spare_bytes(const struct snapshot_store *store)
{
    return (store->all.device + store->all.host) / 4;
}

static bool could_fit(const struct shelf *shelf, uint64_t bytes)
{
    uint64_t available = shelf->store->left.device + shelf->store->left.host;
    for (size_t i = 0; i < SHELF_MAX; ++i)
        available += entry_bytes(&shelf->entries[i]);
    return bytes + spare_bytes(shelf->store) <= available;
}

// A snapshot of the session's is taken as it is.
static bool take_ring(struct shelf *shelf, struct shelf_entry *entry, struct karat_session *session,
                      const struct rewind_source *from)
{
    const struct gemma_extent all = { from->first, from->n, 0 };
    const struct snapshot_piece pieces[] = { { from->ring, { from->split, from->n, 0 } },
                                             { from->early, { from->first, from->split, 0 } } };
    if (from->snapshot && !from->early)
        entry->ring = rewind_part_with(session, from->snapshot);
    else if (!snapshot_take(&entry->ring, shelf->store, &all, pieces, from->early ? 2 : 1, spare_bytes(shelf->store)))
        return false;
    return true;
}

static bool take_both(struct shelf *shelf, struct shelf_entry *entry, struct karat_session *session,
                      const struct rewind_source *from)
{
    const struct gemma_extent all = { 0, 0, from->n };
    if (snapshot_take(&entry->full, shelf->store, &all, &(struct snapshot_piece){ from->full, all }, 1,
                      spare_bytes(shelf->store)) &&
        take_ring(shelf, entry, session, from))
        return true;
    snapshot_drop(&entry->full, shelf->store);
    return false;
}

// Others go until there is room: not many more than that should take, so that a device that has no memory for anything
// does not cost us all we have.
static bool take(struct shelf *shelf, struct shelf_entry *entry, struct karat_session *session,
                 const struct rewind_source *from)
{
    const bool moves = from->snapshot && !from->early;
    const struct gemma_extent all = { from->first, moves ? from->first : from->n, from->n };
    const uint64_t bytes = gemma_extent_bytes(shape_of(shelf), &all, shelf->store->cache);
    if (bytes + spare_bytes(shelf->store) > shelf->store->all.device + shelf->store->all.host)
        return false; // whatever the others gave up
    while (!could_fit(shelf, bytes))
        if (!snapshot_store_give_up(shelf->store))
            return false;
    for (uint64_t freed = 0; !take_both(shelf, entry, session, from);) {
        struct shelf_entry *victim = find_victim(shelf);
        if (!victim || freed > 2 * bytes)
            return false;
        freed += entry_bytes(victim);
        drop(shelf, victim);
    }
    return true;
}

// NULL: there was no room.
static struct shelf_entry *put(struct shelf *shelf, struct karat_session *session, const struct rewind_source *from)
{
    struct shelf_entry entry = { .n = from->n, .used = ++shelf->clock };
    entry.ids = malloc(from->n * sizeof *entry.ids);
    if (!entry.ids || !take(shelf, &entry, session, from)) {
        free(entry.ids);
        return NULL;
    }
    memcpy(entry.ids, from->ids, from->n * sizeof *entry.ids);
    struct shelf_entry *place = find_empty(shelf);
    *place = entry;
    return place;
}

// Earlier turns of the same conversation, which nobody else went on from.
static void drop_earlier(struct shelf *shelf, const struct shelf_entry *kept)
{
    for (size_t i = 0; i < SHELF_MAX; ++i) {
        struct shelf_entry *entry = &shelf->entries[i];
        if (entry != kept && entry->is_conversation && !entry->shared &&
            common(entry->ids, entry->n, kept->ids, kept->n) >= entry->n_turn)
            drop(shelf, entry);
    }
}

// Where the conversation will go on, as far as the session can go back there.
static uint32_t find_turn(const struct karat_session *session)
{
    const struct rewind *r = &session->rewind;
    const uint32_t at[] = { r->n_turn, r->n_prompt };
    for (size_t i = 0; i < sizeof at / sizeof *at; ++i)
        if (at[i] <= session->n_ids && rewind_reach(session, at[i]) == at[i])
            return at[i];
    return session->n_ids;
}

// What to keep of a session so that it can go on at n_turn: with what follows there, the answer above all, unless that
// is so long that reading it again is the better bargain.
static struct rewind_source choose_source(const struct shelf *shelf, const struct karat_session *session,
                                          uint32_t n_turn)
{
    const uint32_t ends[] = { session->n_ids, session->rewind.n_prompt };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; ++i) {
        const uint32_t n = ends[i];
        if (n < n_turn || n - n_turn > shape_of(shelf)->window || rewind_reach(session, n) != n)
            continue;
        const struct rewind_source from = rewind_source(session, n, n_turn);
        const struct gemma_extent held = { from.first, from.n, 0 };
        if (rewind_extent_reach(shape_of(shelf), &held, n_turn) == n_turn)
            return from;
    }
    return rewind_source(session, n_turn, n_turn);
}

static void put_conversation(struct shelf *shelf, struct karat_session *session, uint32_t n_turn)
{
    uint32_t reach = 0;
    shelf_find(shelf, session->ids, n_turn, &reach);
    if (n_turn < SHELF_LEAST || reach == n_turn)
        return; // it is there
    const struct rewind_source from = choose_source(shelf, session, n_turn);
    struct shelf_entry *kept = put(shelf, session, &from);
    if (!kept)
        return;
    kept->is_conversation = true;
    kept->n_turn = n_turn;
    drop_earlier(shelf, kept);
}

static void put_instructions(struct shelf *shelf, struct karat_session *session, uint32_t n, bool shared)
{
    uint32_t reach = 0;
    struct shelf_entry *entry = shelf_find(shelf, session->ids, n, &reach);
    if (n < SHELF_LEAST || (reach < n && rewind_reach(session, n) != n))
        return;
    if (reach < n) {
        const struct rewind_source from = rewind_source(session, n, n);
        entry = put(shelf, session, &from);
    }
    if (entry && shared)
        entry->shared = true;
}

void shelf_put(struct shelf *shelf, struct karat_session *session, const struct shelf_wish *wish)
{
    const uint32_t n_turn = find_turn(session), n_shared = session->rewind.n_shared;
    rewind_thin(session, (const uint32_t[]){ n_turn, session->rewind.n_prompt, n_shared, wish->n_own }, 4);
    put_conversation(shelf, session, n_turn);
    if (!wish->is_elsewhere && n_shared < n_turn)
        put_instructions(shelf, session, n_shared, wish->shared);
}
