// tests/prefix_bed.h -- the demo model with short steps, requests to it, and sessions of it: for tests of known
// prefixes.
//
// The demo model's sliding layers see 64 tokens. With steps of 16 their rings keep 80, so that a conversation of some
// hundred tokens has lost what its beginning needs, unless that was set aside.
#ifndef TESTS_PREFIX_BED_H
#define TESTS_PREFIX_BED_H

#include "base/thread.h"
#include "demo.h"
#include "engine/engine.h"
#include "text/text.h"

#define WINDOW 64
#define BATCH 16

// prefix_bytes as in karat_scheduler_options. NULL after a failure, which is noted.
struct karat_scheduler *bed_scheduler(struct test *t, uint32_t n_slots, uint64_t prefix_bytes);

// Ordinary tokens, the same for the same seed.
void bed_fill(uint32_t *ids, size_t n, uint64_t seed);

// A request and what came of it. The mutex guards what the callbacks write.
struct asked {
    struct mutex mutex;
    struct condition changed;
    struct karat_scheduler *scheduler;
    struct karat_generate_options options;
    uint64_t ticket;
    struct text answer;
    uint32_t n_prompt, n_cached, n_generated;
    enum karat_status status;
    bool cancels; // itself, at its first step
    bool holds;   // on_start does not return before `released`
    bool released, started, done;
};

// A greedy answer of at most so many tokens (0: as many as it takes), not asked for yet.
void asked_open(struct asked *a, struct karat_scheduler *scheduler, uint32_t max_tokens);
// Let it be one of just so many tokens.
void asked_make_long(struct asked *a, uint32_t n_tokens);
bool asked_submit(struct test *t, struct asked *a, const uint32_t *ids, size_t n_ids);
// Until *what, one of its own, is true; false after a failure, which is noted.
bool asked_wait(struct test *t, struct asked *a, const bool *what);
void asked_release(struct asked *a);

// Asks and waits; returns how many tokens were known. n_long > 0: for an answer of so many tokens.
uint32_t bed_ask(struct test *t, struct karat_scheduler *s, const uint32_t *ids, size_t n_ids, uint32_t n_long);

struct karat_session *bed_session(struct test *t);

// Brings a session to ids[0..n) and checks how many of them it knew.
bool bed_sync(struct test *t, struct karat_session *session, const uint32_t *ids, uint32_t n, uint32_t n_known);
// By one token, as an answer does.
bool bed_advance(struct test *t, struct karat_session *session, uint32_t id);

#endif
