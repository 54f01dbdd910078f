// engine/shelf.h -- timelines whose slot went to someone else: what is needed to go on with them. Private to the room.
//
// An entry is a copy of its own: the positions of the global layers from the first one, and of the sliding layers what
// is seen from the turn where its conversation goes on. Where others may begin with the same instructions and the entry
// of the conversation does not reach back to them, they have an entry of their own, which stays when it is used.
#ifndef ENGINE_SHELF_H
#define ENGINE_SHELF_H

#include "engine/engine.h"

#define SHELF_MAX 64

// Shorter timelines are evaluated again.
#define SHELF_LEAST 32u

struct shelf_entry {
    uint32_t *ids;
    uint32_t n, n_turn;         // tokens; of these, up to where the conversation goes on
    struct snapshot ring, full; // ring: [ring.extent.first, n)
    bool is_conversation;       // else instructions
    bool shared;                // several conversations began with it: it goes last
    uint64_t used;              // later is greater
};

struct shelf {
    struct snapshot_store *store;
    struct shelf_entry entries[SHELF_MAX];
    uint64_t clock;
};

// Keeps what another conversation will write over, which is lost to the session as well. With too little memory entries
// go: those that served one conversation before those that served several, the ones used longest ago first; or nothing
// is kept.
//
// And the instructions in front of it, if those are nowhere else.
struct shelf_wish {
    bool is_elsewhere; // its instructions are in another slot
    bool shared;       // another conversation had the same
    uint32_t n_own;    // the session itself will go back to there: it still can, or the shelf can
};
void shelf_put(struct shelf *shelf, struct karat_session *session, const struct shelf_wish *wish);

// The entry that knows the longest beginning of ids[0..n), and how long it is; NULL: none does.
struct shelf_entry *shelf_find(struct shelf *shelf, const uint32_t *ids, uint32_t n, uint32_t *reach);
struct rewind_source shelf_source(const struct shelf_entry *entry, uint32_t n);

// The first n tokens of it were copied into a slot, where its conversation goes on, or another that begins alike.
void shelf_used(struct shelf *shelf, struct shelf_entry *entry, uint32_t n);

void shelf_clear(struct shelf *shelf);

#endif
