// engine/rewind.h -- how a timeline goes back to an earlier position, or begins as another did. Private to the room.
//
// Going back is free as far as the rings reach: n_batch positions. Some positions are likely to be gone back to from
// further on; they are marked when a prompt is read, and before the rings lose what such a position needs to see it is
// set aside in a snapshot. So a short conversation copies nothing, and a long one each mark once.
//
// What is gone back to is used as it is, whatever steps evaluated it: tokens of a prompt many at a time, those of an
// answer one by one. A cold session reads both in its own steps, and steps of another length sum in another order, so
// its scores differ by rounding. Only whole steps of a prompt would be the same to the bit; but they are 2,048 tokens
// long on a card, and most conversations would never find anything. After the same steps every bit is the same.
#ifndef ENGINE_REWIND_H
#define ENGINE_REWIND_H

#include "engine/snapshot.h"
#include "karat.h"

#define REWIND_MARKS 5 // see rewind_mark()

// How far in front of a mark one can go back to as well: the next prompt may render the last tokens of this one
// otherwise, and the scores after a token are had by evaluating it once more.
#define REWIND_SLACK 16u

struct rewind {
    uint32_t n_written; // one past the highest position ever written into the rings since they were empty
    uint32_t first;     // the rings hold positions from here on
    uint32_t n_prompt;  // tokens of the prompt that was read last: there its answer begins
    uint32_t n_turn;    // of these, in front of the answer's turn: all that goes on with the conversation has them
    uint32_t n_shared;  // of these, instructions in front of the first question, which others may have as well; 0: none
    uint32_t n_marks, marks[REWIND_MARKS];
    struct snapshot snapshots[REWIND_MARKS]; // of sliding layers
    struct snapshot_store *store, *own;      // own: the same, or NULL where it is someone else's
};

enum karat_status rewind_create(struct karat_session *session, struct snapshot_store *store, enum op_cache_type cache,
                                struct karat_error *err);
void rewind_destroy(struct karat_session *session);

// Before ids[0..n) are read, of which the session holds some: where one may want to go back to.
void rewind_mark(struct karat_session *session, const uint32_t *ids, uint32_t n);

// Positions up to n are about to be written: sets aside what is marked and would be written over.
void rewind_make_way(struct karat_session *session, uint32_t n);

// The highest position up to n that the session can go back to; going there.
uint32_t rewind_reach(const struct karat_session *session, uint32_t n);
enum karat_status rewind_to(struct karat_session *session, uint32_t n, struct karat_error *err);

// The lowest position that must be held to go back to n, and to a little in front of it. Pure.
uint32_t rewind_first(const struct gemma_shape *shape, uint32_t n);

// How far up to n one can go back by what is held of the sliding layers. Pure.
uint32_t rewind_extent_reach(const struct gemma_shape *shape, const struct gemma_extent *extent, uint32_t n);

// Where the first n tokens of a timeline are to be had: of the sliding layers [first, n), of which the positions in
// front of `split` come from elsewhere, and of the others [0, n).
struct rewind_source {
    const uint32_t *ids;
    const struct gemma_state *ring, *early, *full; // early: up to `split`; NULL where that is `first`
    uint32_t first, split, n;
    const struct snapshot *snapshot; // that the ring is of; NULL: it is the session's own
};

// Of a session that can go back to n: with what is needed to go on there, and in front of it as far as n_low if it has
// that. Valid until the session does something else.
struct rewind_source rewind_source(const struct karat_session *session, uint32_t n, uint32_t n_low);

// Drops the snapshots that are good for none of these positions.
void rewind_thin(struct karat_session *session, const uint32_t *at, uint32_t n);

bool rewind_has_snapshots(const struct karat_session *session);

// The snapshot becomes the caller's.
struct snapshot rewind_part_with(struct karat_session *session, const struct snapshot *snapshot);

// The session forgets what it holds and holds the source's tokens. They have the same cache type.
enum karat_status rewind_adopt(struct karat_session *session, const struct rewind_source *source,
                               struct karat_error *err);

#endif
