// text/stream.h -- from the bytes of tokens to whole characters.
//
// A character may be spread over several tokens, and a model may write bytes that are no character at all. The stream
// keeps an unfinished character back until its last byte comes, and writes U+FFFD for a broken one as soon as it is
// known to be broken: one for each longest beginning of a character, as the Unicode standard recommends. What comes
// out does not depend on how the bytes were cut into pieces.
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H

#include "base/span.h"

// Zero-initialised is empty. One thread at a time.
struct stream {
    uint8_t pending[4]; // the beginning of a character
    uint8_t n_pending;
};

// Room that `out` needs for n bytes fed: each may end a broken character and be one itself.
#define STREAM_OUT_BYTES(n) (3 * ((n) + 1))

// Writes the characters that bytes complete into out[0..STREAM_OUT_BYTES(bytes.size_bytes)) and returns how many bytes
// those are, 0 when nothing is complete yet. Always valid UTF-8, not terminated.
size_t stream_feed(struct stream *stream, struct span bytes, char *out);

// Nothing more comes: writes U+FFFD into out[0..3) if a character stayed unfinished, empties the stream and returns 3
// or 0.
size_t stream_finish(struct stream *stream, char *out);

#endif
