// engine/scheduler.h -- many requests on one model. Private to the room; scheduler.c says how it works.
//
//     scheduler.c   the queue, the thread, the public calls
//     requests.c    a request: what is asked, and how it is told what came of it
//     slots.c       who gets which slot, and what of its prompt is known there
//     rounds.c      steps of prompts, tokens of answers
#ifndef ENGINE_SCHEDULER_H
#define ENGINE_SCHEDULER_H

#include "base/thread.h"
#include "base/workers.h"
#include "engine/generation.h"
#include "engine/shelf.h"

#define SLOTS_MAX 64u

struct request {
    struct request *next;
    uint64_t ticket;
    struct karat_request wish;             // the caller's callbacks; its pointers are not used
    struct karat_generate_options options; // a copy in the arena
    struct arena arena;
    struct prompt prompt;
    struct generation generation;
    struct karat_request_times times;
    uint64_t since_ns; // the beginning of what it is in: queue, prompt or answer
    bool cancelled;
};

struct slot {
    struct karat_session *session;
    struct request *request; // NULL: free
    bool is_answering;       // the prompt is evaluated
    bool is_alone;           // its answer may run ahead on the device
    uint32_t next_id;        // of the answer, to be evaluated
    bool shares;             // another conversation begins with the same instructions
    uint64_t last_used_ns;
};

struct karat_scheduler {
    struct karat_model *model;
    struct slot *slots;                // [counts.n_slots]
    struct gemma_workspace *workspace; // of the sessions
    struct gemma_workspace *few;       // of a pass
    struct gpu_recorder *recorder;     // of a pass
    struct workers *drawers;           // help to draw the tokens of a pass; NULL for one slot, or without memory
    struct snapshot_store *store;      // of the sessions and the shelf
    struct shelf shelf;
    struct slot *reading; // whose prompt has a step under way; NULL: none
    uint64_t step_ns;     // what that took so far
    uint32_t n_known;     // tokens its session had before
    struct mutex mutex;
    struct condition wake;
    struct thread *thread;
    bool closing;
    struct request *first, *last; // waiting, oldest first
    uint32_t n_waiting_max;
    uint64_t last_ticket;
    struct karat_scheduler_counts counts;
};

// ------------------------------------------------------------------------------------------------ requests

// Everything that can be said about a request without evaluating it.
enum karat_status request_create(struct request **out, const struct karat_scheduler *s,
                                 const struct karat_request *wish, struct karat_error *err);
void request_destroy(struct request *request);

// Tells the caller how it ended, and destroys it. The request is in no queue and no slot any more.
void request_report(struct request *request, enum karat_status status, struct karat_error *err);
void request_report_cancelled(struct karat_scheduler *s, struct request *request); // it was never begun

// ------------------------------------------------------------------------------------------------ slots

// Gives free slots to those who wait; returns a list of those who wait in vain. The mutex is held.
struct request *slots_assign(struct karat_scheduler *s);

// Of the free slot used longest ago that has any: the snapshots go. False: none has. For the store of snapshots.
bool slots_give_up(void *scheduler);

// The slot's session knows what it can of the prompt before its first step.
enum karat_status slot_begin(struct karat_scheduler *s, struct slot *slot, struct karat_error *err);

// Ends the request of a slot with this status.
void slot_finish(struct karat_scheduler *s, struct slot *slot, enum karat_status status, struct karat_error *err);

// ------------------------------------------------------------------------------------------------ rounds

// A submission of a prompt and a token of every answer.
void scheduler_run_round(struct karat_scheduler *s);

#endif
