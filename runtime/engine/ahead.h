// engine/ahead.h -- steps that run ahead of the answer: the device draws tokens and hands them on to itself, the host
// follows, repeats each draw exactly, and has the last word. Private to the room and its tests.
//
// Steps at positions n_ids, n_ids + 1, ... are under way; the input of the first is known or was drawn. What they write
// beyond the answer's end is written over by what comes next.
#ifndef ENGINE_AHEAD_H
#define ENGINE_AHEAD_H

#include "engine/hooks.h"
#include "model/gemma.h"
#include "text/text.h"

#define AHEAD_MAX 8u // steps under way

struct ahead {
    bool active; // in this answer
    struct gemma_drawing drawing;
    uint32_t end;     // no step from this position on
    uint32_t n;       // steps under way
    uint32_t next_id; // the device's input at position n_ids; OP_SAMPLE_NONE: something else or nothing
    bool has_drawn;   // what followed the last token is in gemma_state_drawn()
    uint64_t step_ns; // a step takes about this long; 0: not known yet
    uint64_t done_ns; // when the last step was seen to be done
    struct ahead_step {
        uint64_t ticket, submitted_ns;
        struct gpu_recording *recording;
        uint32_t bound; // of the positions that it is recorded for; 0: none in this answer
    } steps[AHEAD_MAX]; // by position
    uint32_t forced;    // by a test: so many steps under way on any device
    struct ahead_counts counts;
    bool spoiled; // by a test: the device gets wrong numbers
};

// Whether the device is to draw, and how. Pure. Not where it cannot: a list that is not short, biases, a window shorter
// than what runs ahead. Not on a software device either, unless `forced`: there the host's own sampling is as fast.
bool ahead_plan(struct gemma_drawing *out, const struct gpu_plan *device, bool forced, const struct sampler *sampler,
                const uint32_t *never, size_t n_never);

// How many steps to have under way: as many as take 50 ms, so that text flows and a stop wastes little. Pure.
uint32_t ahead_depth(uint64_t step_ns, uint32_t forced, uint32_t n_batch);

enum karat_status ahead_create(struct karat_session *session, struct karat_error *err);
void ahead_destroy(struct karat_session *session); // before the recorder

// For one answer of at most max_tokens (0: any number) after the tokens there are; the sampler has begun it.
enum karat_status ahead_begin(struct karat_session *session, uint32_t max_tokens, struct karat_error *err);

// session_advance() and session_sample() while an answer is active.
enum karat_status ahead_advance(struct karat_session *session, uint32_t id, struct karat_error *err);
enum karat_status ahead_sample(struct karat_session *session, uint32_t *id, struct karat_error *err);

// Takes back what runs ahead and ends the answer. What was done stays done.
enum karat_status ahead_end(struct karat_session *session, struct karat_error *err);

#endif
