// common/process.h -- a child program that is spoken to line by line, through its standard input and output.
//
// Like platform.c, process.c holds POSIX and Win32 side by side. Threads: one at a time per process.
#ifndef APPS_PROCESS_H
#define APPS_PROCESS_H

#include "common/stop.h"
#include "common/text.h"

#define PROCESS_LINE_BYTES_MAX ((size_t)16 << 20)

struct process;

// Starts words[0], looked for as the shell does, with the other words as its arguments; both lists end with NULL.
// `variables`, each "NAME=VALUE", are set for it beside our own environment. Ctrl-C does not reach it, and on Windows
// it inherits nothing but its three streams. False with one sentence in *fault when there is no such program.
bool process_start(struct process **out, const char *const *words, const char *const *variables, struct text *fault);
// Closes its input, gives it two seconds to end by itself, and ends it. NULL is fine.
void process_end(struct process *process);

enum process_read {
    PROCESS_LINE,
    PROCESS_ENDED,    // it will say nothing more
    PROCESS_LATE,     // nothing came in time
    PROCESS_STOPPED,  // `stop` said so
    PROCESS_TOO_LONG, // a line without end
};

// Waits for its next line and puts it, without its end, into *line.
enum process_read process_read_line(struct process *process, struct text *line, unsigned timeout_ms,
                                    const struct stop *stop);
// False when it does not take it, within a minute.
bool process_write(struct process *process, const char *bytes, size_t size);

// The end of what it said on its standard error, one line; "" if nothing. Valid until the next call.
const char *process_last_words(struct process *process);

#endif
