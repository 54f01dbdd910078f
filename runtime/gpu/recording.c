// gpu/recording.c -- a round of work that is recorded once and handed over many times.
//
// A recording owns its pieces and lends them to the recorder's queues, one run at a time. A run is cut into submissions
// as the recorded round was; when one of them turns out too long, or much shorter than planned, the recording is not
// ready any more, so that its owner records it anew with better estimates.
#include <stdlib.h>

#include "gpu/recorder.h"

#define TOO_LONG_NS (2 * PIECE_NS)
#define TOO_SHORT 0.25 // of the estimate, where several pieces could have been fewer

enum karat_status gpu_recording_create(struct gpu_recording **out, struct gpu_recorder *r, struct karat_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for a recording");
    (*out)->recorder = r;
    return KARAT_OK;
}

static bool is_under_way(const struct gpu_recording *recording)
{
    for (size_t i = 0; i < recording->n; ++i)
        if (recording->pieces[i]->under_way)
            return true;
    return false;
}

static void forget(struct gpu_recording *recording)
{
    for (size_t i = 0; i < recording->n; ++i) {
        recording->pieces[i]->recording = NULL;
        pieces_spare(recording->recorder, recording->pieces[i]);
    }
    recording->n = 0;
    recording->is_ready = false;
}

void gpu_recording_destroy(struct gpu_recording *recording)
{
    if (!recording)
        return;
    if (is_under_way(recording))
        gpu_recorder_wait(recording->recorder, NULL);
    forget(recording);
    free(recording->pieces);
    free(recording);
}

static bool refuse(struct gpu_recording *recording, const char *what)
{
    struct karat_error err;
    recorder_fail(recording->recorder, status_fail(&err, KARAT_ERR_INTERNAL, "a recording that %s", what), &err);
    return false;
}

static bool check_done(struct gpu_recording *recording)
{
    return !is_under_way(recording) || refuse(recording, "is under way cannot be used");
}

void gpu_recording_begin(struct gpu_recording *recording)
{
    struct gpu_recorder *r = recording->recorder;
    if (!check_done(recording))
        return;
    if (r->open || r->recorded.first) {
        refuse(recording, "begins in the middle of a round");
        return;
    }
    forget(recording);
    r->keep = recording;
}

void recording_take(struct gpu_recorder *r)
{
    struct gpu_recording *recording = r->keep;
    if (r->recorded.n > recording->capacity) {
        struct piece **pieces = realloc(recording->pieces, r->recorded.n * sizeof(struct piece *));
        ++r->n_growths;
        if (!pieces)
            return; // it runs once and is not kept
        recording->pieces = pieces;
        recording->capacity = r->recorded.n;
    }
    for (struct piece *piece = r->recorded.first; piece; piece = piece->next) {
        piece->recording = recording;
        recording->pieces[recording->n++] = piece;
    }
    recording->sets_epoch = r->sets_epoch;
    recording->is_ready = recording->n > 0;
}

void recording_note(struct piece *piece, double measured_ns)
{
    struct gpu_recording *recording = piece->recording;
    if (recording && (measured_ns > TOO_LONG_NS || (recording->n > 1 && measured_ns < TOO_SHORT * piece->estimate_ns)))
        recording->is_ready = false;
}

bool gpu_recording_is_ready(const struct gpu_recording *recording)
{
    // After dropped work a barrier is due that only recording sets.
    const struct gpu_recorder *r = recording->recorder;
    return recording->is_ready && recording->sets_epoch == r->sets_epoch && !r->was_dropped;
}

enum karat_status gpu_recording_submit(struct gpu_recording *recording, struct karat_error *err)
{
    struct gpu_recorder *r = recording->recorder;
    gpu_check_lost(r->device, &r->failure);
    if (!gpu_recording_is_ready(recording))
        refuse(recording, "is not ready cannot be submitted");
    else if (r->open || r->recorded.first)
        refuse(recording, "is submitted in the middle of a round");
    else if (check_done(recording))
        for (size_t i = 0; i < recording->n; ++i) {
            r->counters.n_dispatches += recording->pieces[i]->n_dispatches;
            r->counters.n_barriers += recording->pieces[i]->n_barriers;
            recorder_queue(r, recording->pieces[i]);
        }
    return recorder_finish_submit(r, err);
}
