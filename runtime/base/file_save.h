// base/file_save.h -- writing small files that others read, and where a user's caches live. Paths are UTF-8.
#ifndef BASE_FILE_SAVE_H
#define BASE_FILE_SAVE_H

#include "base/span.h"
#include "base/status.h"

// Replaces the file as a whole: a reader sees the old bytes or the new ones, whatever happens in between. Folders on
// the way are made. Errors  KARAT_ERR_IO  the sentence names the path
enum karat_status file_save(const char *path, struct span bytes, struct karat_error *err);

// Writes the folder for karat's caches of this user into path[0..capacity): $XDG_CACHE_HOME/karat or ~/.cache/karat, on
// Windows %LOCALAPPDATA%\karat. False when the system names none or it does not fit. Nothing is created.
bool file_cache_folder(char *path, size_t capacity);

#endif
