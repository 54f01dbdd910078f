// engine/snapshot.h -- keys and values of some positions of a timeline, set aside on the device or in host memory, and
// the memory that they may take. Private to the room and its tests.
//
// A global layer only ever gains positions. A sliding layer keeps a ring, in which position p overwrites position
// p - slots: what a token at an earlier position needs to see is gone some time later. It needs window - 1 positions:
// 200 MiB of 26B-A4B in f16 (25 layers of 8 heads of 256, keys and values, 1023 positions), beside 20 KiB for every
// position of the 5 global layers.
#ifndef ENGINE_SNAPSHOT_H
#define ENGINE_SNAPSHOT_H

#include "model/gemma.h"

// A budget, or what is left of it.
struct snapshot_bytes {
    uint64_t device, host;
};

// What snapshots may take beside sessions that are open already. wish 0: half of what the device has left, and on a
// card with memory of its own up to 4 GiB of the host's as well; where the device's memory is the host's, a quarter of
// what is left, up to 4 GiB. Else so much in all, on the device as far as it has room. Pure.
struct snapshot_bytes snapshot_budget(const struct gpu_plan *plan, const struct gpu_snapshot *seen, uint64_t free_bytes,
                                      uint64_t wish);

// Where snapshots come from. One thread at a time.
struct snapshot_store {
    const struct karat_model *model;
    struct gpu_recorder *recorder; // of copies alone: no cancel cuts them short
    enum op_cache_type cache;
    struct snapshot_bytes all, left;
    // Drops snapshots that are worth less than a new one; false: there are none. NULL: there never are.
    bool (*give_up)(void *user);
    void *user;
};

// Without a budget at first.
enum karat_status snapshot_store_create(struct snapshot_store **out, const struct karat_model *model,
                                        enum op_cache_type cache, struct karat_error *err);
// snapshot_budget() of the model's device as it is now. Before the first snapshot.
void snapshot_store_set_budget(struct snapshot_store *store, uint64_t wish);
bool snapshot_store_give_up(struct snapshot_store *store);        // as its owner says
uint64_t snapshot_store_used(const struct snapshot_store *store); // bytes of all snapshots
void snapshot_store_destroy(struct snapshot_store *store);        // after its snapshots

struct snapshot {
    struct gemma_state *state; // NULL: none
    struct gemma_extent extent;
    struct snapshot_bytes bytes;
};

// A state that holds an extent.
struct snapshot_piece {
    const struct gemma_state *state;
    struct gemma_extent extent;
};

// Copies an extent from the pieces that it is made of. False if there is no memory for it, so that `spare` bytes of the
// budget are left, or if the device fails, which whoever uses it next will notice. No step is under way that writes
// into the pieces.
bool snapshot_take(struct snapshot *out, struct snapshot_store *store, const struct gemma_extent *extent,
                   const struct snapshot_piece *pieces, size_t n_pieces, uint64_t spare);
void snapshot_drop(struct snapshot *snapshot, struct snapshot_store *store);
// Whether the budget has room for it; the device may have none all the same.
bool snapshot_fits(const struct snapshot_store *store, const struct gemma_extent *extent);
bool snapshot_could_fit(const struct snapshot_store *store, const struct gemma_extent *extent); // if it were alone

// Copies [first, n) of the sliding layers of one state and [0, n) of the others of another into a third, and waits.
// `full` may be `to`: then it is there already.
enum karat_status snapshot_restore(struct snapshot_store *store, struct gemma_state *to, const struct gemma_state *ring,
                                   const struct gemma_state *full, uint32_t first, uint32_t n, struct karat_error *err);

#endif
