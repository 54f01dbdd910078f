// gpu/recorder.h -- private: the recorder and its pieces.
//
// What is recorded goes into pieces: a piece is one command buffer and one submission. A piece is closed when its
// estimated time is spent, so a round of work is a queue of pieces. recorder.c says what is recorded and where barriers
// stand, claims.c how workgroups share a slice, pieces.c what becomes of a piece: opened, closed, handed over, waited
// for, learned from, used again; recording.c keeps rounds.
#ifndef GPU_RECORDER_H
#define GPU_RECORDER_H

#include "gpu/hazards.h"
#include "gpu/internal.h"
#include "gpu/set_cache.h"

// No submission should run longer than about 100 ms; planning for half of that leaves room for wrong estimates.
#define PIECE_NS 50e6
#define COSTS_MAX 64
#define MARKS_MAX 1024

// The share of a piece's estimate that belongs to one kernel.
struct cost {
    struct gpu_kernel *kernel;
    double estimate_ns;
    float ns_per_work; // what the estimate was made with
};

// A timestamp, and what it ends. Without a label it ends the piece.
struct mark {
    const char *label, *kernel;
    uint64_t bytes;
};

struct piece {
    struct piece *next;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkQueryPool queries;
    uint64_t value; // a ticket: the timeline reaches it when the piece is done
    uint64_t submitted_ns;
    double estimate_ns;
    struct gpu_recording *recording; // that keeps it; NULL: it is used again for something else
    bool under_way;                  // submitted, not yet known to be done
    uint32_t n_dispatches, n_barriers;
    uint32_t n_costs, n_marks; // marks: timestamps after the first
    struct cost costs[COSTS_MAX];
    struct mark marks[]; // [marks_max] of the recorder
};

struct queue {
    struct piece *first, *last;
    size_t n;
};

// A round that can be handed over again.
struct gpu_recording {
    struct gpu_recorder *recorder;
    struct piece **pieces; // [capacity]
    size_t n, capacity;
    uint64_t sets_epoch; // of the recorder when it was recorded: its descriptor sets live as long
    bool is_ready;       // whole, and cut as it should be
};

// A slice of a grid.
struct box {
    uint32_t base[3], count[3];
};

struct gpu_recorder {
    struct gpu_device *device;
    struct gpu_plan plan;
    struct gpu_set_cache sets;
    struct gpu_timing *timing; // NULL unless dispatches are measured
    VkSemaphore timeline;
    uint64_t last_ticket; // of the newest submitted piece
    uint64_t last_value;  // of the newest one with the device
    uint64_t last_done_ns;
    struct piece *open;                       // being recorded
    struct queue recorded, closed, in_flight; // since the last submit; submitted, not handed over; with the device
    struct piece *spare;
    struct gpu_recording *keep; // the round being recorded goes here as well; may be NULL
    uint64_t sets_epoch;        // goes up when all descriptor sets are forgotten
    struct hazards hazards;
    struct gpu_buffer *claims; // counters of kernels that claim their tiles; on software devices from the start, else
                               // NULL until one comes
    uint32_t n_claims;         // counters used since the last barrier
    bool has_transfers;        // since the last barrier
    bool was_dropped;          // with the dropped work went its barriers
    VkPipeline bound_pipeline;
    VkDescriptorSet bound_set;
    struct gpu_kernel *kernel;      // of the dispatch being recorded
    struct gpu_kernel_set *listing; // instead of recording; may be NULL
    const volatile int *cancel;
    bool cancelled;             // work was dropped; told once by wait
    struct karat_error failure; // status KARAT_OK: none
    struct gpu_counters counters;
    uint32_t marks_max;
    bool has_timestamps;
    uint64_t timestamp_mask;
    uint64_t n_growths;
};

// Gives a recorded piece its ticket and puts it among the closed ones.
void recorder_queue(struct gpu_recorder *r, struct piece *piece);

// Hands over what is closed, and tells what failed meanwhile.
enum karat_status recorder_finish_submit(struct gpu_recorder *r, struct karat_error *err);

// Puts the recorded pieces into r->keep.
void recording_take(struct gpu_recorder *r);

// A kept piece was found to take so long.
void recording_note(struct piece *piece, double measured_ns);

void recorder_fail(struct gpu_recorder *r, enum karat_status status, const struct karat_error *err);

// Keeps the failure of a Vulkan call.
bool recorder_check(struct gpu_recorder *r, VkResult result, const char *what);

void queue_push(struct queue *queue, struct piece *piece);
struct piece *queue_pop(struct queue *queue);

// Makes sure that there are counters, all zero.
enum karat_status claims_open(struct gpu_recorder *r, struct karat_error *err);
bool claims_are_spent(const struct gpu_recorder *r); // a barrier must come before the next slice
// Writes struct gpu_claim for the slice, and returns how many workgroups are to be started.
uint32_t claims_take(struct gpu_recorder *r, uint8_t *params, uint32_t params_bytes, const struct box *box);

// Makes sure there is an open piece that still has room for `estimate_ns`.
bool pieces_open(struct gpu_recorder *r, double estimate_ns);
void pieces_mark(struct gpu_recorder *r, struct mark ends);
void pieces_charge(struct gpu_recorder *r, double estimate_ns);
void pieces_close(struct gpu_recorder *r);

// Queues closed pieces: all of them, or with a cancel flag only much that a cancel takes effect soon.
void pieces_hand_over(struct gpu_recorder *r);
bool pieces_wait_for(struct gpu_recorder *r, uint64_t value);
void pieces_retire(struct gpu_recorder *r); // the first in flight, which is done
void pieces_retire_done(struct gpu_recorder *r);

// Drops what was recorded and not handed over.
void pieces_drop(struct gpu_recorder *r);
void pieces_spare(struct gpu_recorder *r, struct piece *piece); // unless a recording keeps it
void pieces_spare_all(struct gpu_recorder *r, struct queue *queue);
void pieces_destroy(struct gpu_recorder *r); // the spare ones

#endif
