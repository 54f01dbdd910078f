// common/terminal.h -- colours, and a progress bar that only a terminal sees.
#ifndef APPS_TERMINAL_H
#define APPS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum terminal_style { TERMINAL_PLAIN, TERMINAL_DIM, TERMINAL_BOLD, TERMINAL_PROMPT, TERMINAL_CALL };

// The escape sequence of a style, or "" where the stream is no terminal or NO_COLOR is set.
const char *terminal_style(FILE *stream, enum terminal_style style);

// Writes text that a model or a file made up. On a terminal, control characters other than newline and tab are left
// out, so that nothing a model says can move the cursor or change the terminal. False when the write failed.
bool terminal_write(FILE *stream, const char *bytes, size_t size);

// A bar on stderr, such as "loading  43 % [########            ] 7.1 of 16.4 GB". Draws at most 20 times a second, and
// nothing at all unless stderr is a terminal.
struct terminal_progress {
    const char *what;
    bool plain_numbers;     // counts things instead of bytes
    uint64_t last_drawn_ns; // 0 before the first
};
void terminal_progress(struct terminal_progress *progress, uint64_t done, uint64_t total);
void terminal_progress_end(struct terminal_progress *progress); // wipes the bar

#endif
