// common/sse.h -- a reader of server-sent events, whose bytes come in pieces of any size.
#ifndef APPS_SSE_H
#define APPS_SSE_H

#include "common/text.h"

#define SSE_EVENT_BYTES_MAX ((size_t)16 << 20)

// Zeroed is the beginning of a stream. Private.
struct sse {
    struct text line, type, data;
    bool has_data, began, after_return;
};

// A whole event: its type ("message" where the stream names none) and its data, both valid during the call.
typedef void sse_event_fn(void *user, const char *type, const struct text *data);

// Takes the next bytes of the stream. False: an event is longer than SSE_EVENT_BYTES_MAX, and nothing more is read.
bool sse_feed(struct sse *sse, const char *bytes, size_t size, sse_event_fn *on_event, void *user);
void sse_free(struct sse *sse);

#endif
