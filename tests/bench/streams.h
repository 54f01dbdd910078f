// tests/bench/streams.h -- what several answers at once advance by, through a scheduler as `karat serve` has one.
#ifndef TESTS_BENCH_STREAMS_H
#define TESTS_BENCH_STREAMS_H

#include <karat.h>

#include "base/thread.h"

#define STREAMS_MAX 64u // slots of a scheduler

struct streams_prompt {
    const uint32_t *ids;
    size_t n_ids; // at least 1
};

struct streams_speed {
    uint64_t n_tokens; // of all streams together; 0: an answer ended by itself, so nothing was measured
    double seconds;
};

// One round. Its callbacks write it, and who waits reads it when they are over.
struct streams_round {
    uint32_t n_streams, n_reading; // n_reading: prompts that are not evaluated yet
    uint64_t tickets[STREAMS_MAX];
    uint64_t n_wanted, n_before, n_tokens; // tokens of all streams: to measure, before the clock started, measured
    uint64_t start_ns, ns;                 // ns > 0: the clock was stopped
    bool ended;                            // an answer ended before that, and why
    enum karat_stop stop;
    enum karat_status status; // of what failed
    struct karat_error err;
};

// A scheduler with as many slots as there were streams in the last round. Fill in the first three and the mutex.
struct streams {
    struct karat_model *model; // borrowed
    uint32_t n_context;        // tokens of each stream
    uint32_t n_batch;          // tokens per step of a prompt
    struct mutex mutex;        // of n_running
    struct condition changed;
    uint32_t n_running; // requests whose on_done has not come
    uint32_t n_slots;
    struct karat_scheduler *scheduler; // NULL before the first round
    struct streams_round round;
};

// Greedy answers to n prompts, all at once. Measured are n times n_tokens tokens (or as many more as one pass makes),
// from when every prompt is evaluated, so that nothing of prompts is among them.
//
// Errors  KARAT_ERR_CONTEXT_FULL  an answer filled n_context before that
enum karat_status streams_decode(struct streams *streams, const struct streams_prompt *prompts, uint32_t n,
                                 uint32_t n_tokens, struct streams_speed *out, struct karat_error *err);
void streams_deinit(struct streams *streams);

#endif
