// text/stream.c -- see stream.h.
#include "text/stream.h"

#include "base/utf8.h"

static size_t write_replacement(char *out)
{
    memcpy(out, "\xEF\xBF\xBD", 3);
    return 3;
}

static size_t feed_byte(struct stream *stream, uint8_t byte, char *out)
{
    const char *pending = (const char *)stream->pending;
    size_t written = 0;
    stream->pending[stream->n_pending++] = byte;
    size_t n = stream->n_pending;
    if (utf8_decode(pending, n, NULL) == 0) {
        if (utf8_incomplete(pending, n) == n)
            return 0;
        written = write_replacement(out);
        stream->n_pending = 0;
        // The byte that broke a character may begin the next one.
        return n == 1 ? written : written + feed_byte(stream, byte, out + written);
    }
    memcpy(out, pending, n);
    stream->n_pending = 0;
    return n;
}

size_t stream_feed(struct stream *stream, struct span bytes, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < bytes.size_bytes; ++i)
        written += feed_byte(stream, bytes.data[i], out + written);
    return written;
}

size_t stream_finish(struct stream *stream, char *out)
{
    const bool unfinished = stream->n_pending > 0;
    stream->n_pending = 0;
    return unfinished ? write_replacement(out) : 0;
}
