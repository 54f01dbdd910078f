// common/line_edit.h -- one line from the user, with editing and history where stdin is a terminal.
//
// Built with libedit on POSIX (KARAT_LIBEDIT), on the console's own editor on Windows, and on plain reading otherwise.
// The history lives as long as the program and is written nowhere.
#ifndef APPS_LINE_EDIT_H
#define APPS_LINE_EDIT_H

#include "common/text.h"

enum line_result { LINE_READ, LINE_END, LINE_INTERRUPTED };

struct line_edit;

struct line_edit *line_edit_open(void);
void line_edit_close(struct line_edit *edit); // NULL is fine

// Replaces *out by the next line, without its end. The prompt goes to stderr, and only if stdin is a terminal.
enum line_result line_edit_read(struct line_edit *edit, const char *prompt, struct text *out);

// Makes a text come back when the user presses the up key.
void line_edit_remember(struct line_edit *edit, const char *text);

#endif
