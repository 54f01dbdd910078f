// cli/reply_view.h -- a reply as it arrives: the answer on stdout, thoughts (dimmed) and tool calls on stderr.
#ifndef CLI_REPLY_VIEW_H
#define CLI_REPLY_VIEW_H

#include "cli/cli.h"

struct reply_view {
    bool hide_answer, hide_thoughts, hide_calls; // set by the caller
    bool thinking;                               // a thought is open on the screen
    bool open_line;                              // the answer's last character was no newline
    bool broken;                                 // stdout does not take any more
};

// A karat_piece_fn; `user` is a struct reply_view. Ends the answer after Ctrl-C and when nobody reads it any more.
bool reply_view_piece(void *user, enum karat_piece kind, const char *text, size_t size);
// Ends the last line and the last colour.
void reply_view_end(struct reply_view *view);

// "get_weather(city: "Oslo")" from {"name": "get_weather", "arguments": {"city": "Oslo"}}.
void reply_view_call(const char *call, size_t size, struct text *out);

// Why an answer is shorter than the reader may expect; NULL when there is nothing to say. Static text.
const char *reply_view_remark(const struct karat_reply *reply);

#endif
