// common/files.h -- whole files and streams in and out, with one sentence when it fails.
#ifndef APPS_FILES_H
#define APPS_FILES_H

#include <stdio.h>

#include "common/text.h"

// Appends all of stdin or of the file to *out. On failure: false, and one sentence in *fault.
bool files_read_stdin(struct text *out, struct text *fault);
bool files_read(const char *path, struct text *out, struct text *fault);
bool files_write(const char *path, const char *bytes, size_t size, struct text *fault);

// Flushes stdout; false with a sentence when anything that was printed did not arrive (a full disk, a closed pipe).
bool files_flush_stdout(struct text *fault);

#endif
