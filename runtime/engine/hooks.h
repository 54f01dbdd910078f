// engine/hooks.h -- what only tests ask of the room.
#ifndef ENGINE_HOOKS_H
#define ENGINE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "karat.h"

// From now on n_steps run ahead on any device, 0: as many as it should be. `spoiled`: the device gets wrong numbers and
// draws other tokens than the host, which must not change an answer.
void session_force_ahead(struct karat_session *session, uint32_t n_steps, bool spoiled);

// The same for every session of a scheduler, before its first request.
void scheduler_force_ahead(struct karat_scheduler *scheduler, uint32_t n_steps);

// Since the session was opened.
struct ahead_counts {
    uint32_t most;       // steps that were under way beside the one waited for
    uint32_t n_wrong;    // tokens that the device drew and the host did not
    uint32_t n_replayed; // steps that were not recorded anew
};
struct ahead_counts session_ahead_counts(const struct karat_session *session);

struct constraint_counts {
    uint64_t n_prepared; // tokens whose mask was there before the scores
    uint64_t n_late;     // tokens that waited for it
};
struct constraint_counts session_mask_counts(const struct karat_session *session);
struct constraint_counts scheduler_mask_counts(const struct karat_scheduler *scheduler); // while nothing runs

const struct gpu_recorder *session_recorder(const struct karat_session *session);

#endif
