// engine/stop.c -- see stop.h.
#include "engine/stop.h"

// Where the first whole stop text begins, or SIZE_MAX.
static size_t find_stop(const struct stop_filter *filter)
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < filter->n_stops; ++i) {
        const size_t size = strlen(filter->stops[i]);
        for (size_t at = 0; size > 0 && at + size <= filter->held.size_bytes && at < first; ++at)
            if (memcmp(filter->held.data + at, filter->stops[i], size) == 0)
                first = at;
    }
    return first;
}

// The longest end of the held text that begins some stop text.
static size_t longest_beginning(const struct stop_filter *filter)
{
    size_t longest = 0;
    for (size_t i = 0; i < filter->n_stops; ++i) {
        const size_t size = strlen(filter->stops[i]);
        for (size_t n = longest + 1; n < size && n <= filter->held.size_bytes; ++n)
            if (memcmp(filter->held.data + filter->held.size_bytes - n, filter->stops[i], n) == 0)
                longest = n;
    }
    return longest;
}

size_t stop_filter_add(struct stop_filter *filter, struct span piece)
{
    if (filter->found)
        return 0;
    text_append_span(&filter->held, piece);
    const size_t stop = find_stop(filter);
    if (stop != SIZE_MAX) {
        filter->found = true;
        return stop;
    }
    return filter->held.size_bytes - longest_beginning(filter);
}

void stop_filter_drop(struct stop_filter *filter, size_t size_bytes)
{
    if (size_bytes == 0)
        return;
    memmove(filter->held.data, filter->held.data + size_bytes, filter->held.size_bytes - size_bytes);
    filter->held.size_bytes -= size_bytes;
}

size_t stop_filter_finish(const struct stop_filter *filter)
{
    return filter->found ? 0 : filter->held.size_bytes;
}
