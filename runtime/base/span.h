// base/span.h -- bytes that belong to someone else.
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Never freed by its holder; the lender says how long the bytes last. Text in a span is not terminated.
struct span {
    const uint8_t *data;
    size_t size_bytes;
};

static inline struct span span_of(const void *data, size_t size_bytes)
{
    return (struct span){ (const uint8_t *)data, size_bytes };
}

static inline struct span span_text(const char *text)
{
    return span_of(text, strlen(text));
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size_bytes == b.size_bytes && (a.size_bytes == 0 || memcmp(a.data, b.data, a.size_bytes) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
    return span_equal(a, span_text(text));
}

// For "%.*s": the length clipped to what printf takes, then the bytes.
#define SPAN_ARGS(s) (int)((s).size_bytes < 200 ? (s).size_bytes : 200), (const char *)(s).data

#endif
