// common/platform.h -- what the front ends ask of the system: console, signals, files by UTF-8 name, the clock.
//
// With process.c and network.c the only place in apps/ that knows POSIX from Win32; platform.c holds both side by side.
#ifndef APPS_PLATFORM_H
#define APPS_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/text.h"

// Call first in main(): UTF-8 in and out, arguments as UTF-8 (*argc and *argv are replaced where the system hands out
// something else), and a reader that goes away becomes a failed write instead of the end of the process.
void platform_start(int *argc, char ***argv);

// Calls `on_interrupt` when the user presses Ctrl-C; it may only do what a signal handler may. NULL: back to the
// system's habit. A pending read from the terminal returns early.
void platform_interrupts(void (*on_interrupt)(void));
// From now on every way in which the system has a program end arrives as SIGINT or SIGTERM: on Win32 Ctrl-Break, the
// end of the console and of the user's session, too.
void platform_ends_are_signals(void);
void platform_end_now(int exit_code); // from a signal handler: no clean-up, no flushing

bool platform_is_terminal(FILE *stream);
bool platform_has_colour(FILE *stream);      // a terminal that obeys escape sequences, and NO_COLOR is not set
int platform_terminal_columns(FILE *stream); // 80 where unknown
void platform_binary(FILE *stream);          // no translation of line ends
FILE *platform_open(const char *path, const char *mode); // fopen with a UTF-8 path
bool platform_seek(FILE *file, uint64_t offset);         // from the start
bool platform_was_interrupted(void);                     // the last failed read or wait ended because of a signal
uint64_t platform_clock_ns(void);                        // monotonic
int64_t platform_now_ms(void);                           // since 1970
void platform_environment(const char *name, const char *value); // for this process; NULL takes the variable away

// A new empty folder among the system's temporary files: its path goes into *path (UTF-8). False when there is none.
bool platform_temporary_folder(struct text *path);
void platform_remove_folder(const char *path); // with the files in it; other folders in it are left, and then it, too

// Paths are UTF-8. What fails adds the system's reason to *why.
const char *platform_file_name(const char *path);               // after the last separator
void platform_make_folders(const char *path);                   // those that lead to the file
bool platform_data_folder(struct text *path, struct text *why); // where this user's karat keeps what must not be lost
// Calls visit() with the name of every regular file in a folder, in no order.
bool platform_list_files(const char *folder, void (*visit)(void *user, const char *name), void *user, struct text *why);
// Makes an empty file that nobody may read or write who may not do so with the model; on Win32 the folder decides that.
// Where none can be made, opening it says why.
void platform_create_like(const char *path, const char *model);
// Gives the file another name, in place of the file that has it, as one step that is on the disk afterwards.
bool platform_replace_file(const char *from, const char *to, struct text *why);
bool platform_remove_file(const char *path, struct text *why);

// One line of the console's own editor as UTF-8, without its end, to be freed; NULL at the end of input. Win32 only;
// elsewhere it returns NULL and line_edit.c does the work.
char *platform_console_line(void);

#endif
