// engine/stop.h -- private to the room: texts that end an answer.
#ifndef ENGINE_STOP_H
#define ENGINE_STOP_H

#include "text/text.h"

// Passes text on, but holds back what may become one of the stop texts, and cuts where one is complete.
struct stop_filter {
    const char *const *stops;
    size_t n_stops;
    struct text held; // not passed on yet: it may be the beginning of a stop text
    bool found;
};

// Appends `piece` and tells how many bytes at the front of filter->held are final. The caller passes them on and drops
// them with stop_filter_drop(). Once `found` is set, nothing after the stop text will ever be final.
size_t stop_filter_add(struct stop_filter *filter, struct span piece);
void stop_filter_drop(struct stop_filter *filter, size_t size_bytes);

// Everything held back is final, because nothing more comes.
size_t stop_filter_finish(const struct stop_filter *filter);

#endif
