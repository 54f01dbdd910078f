// base/file_map.h -- a whole file as read-only bytes. Paths are UTF-8 on every system.
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include "base/span.h"
#include "base/status.h"

struct file_map {
    struct span bytes; // valid until file_map_close(); empty for an empty file
    void *handle;      // Win32 only
};

// Errors  KARAT_ERR_IO   no such file, no permission, a directory, or not mappable; the sentence names the path
enum karat_status file_map_open(struct file_map *out, const char *path, struct karat_error *err);

// Accepts a zeroed map. The spans lent from it die here.
void file_map_close(struct file_map *map);

// Says that bytes[offset, offset + size_bytes) will be needed soon, so that reading them begins at once. A hint; does
// nothing where the system has no such call.
void file_map_want(const struct file_map *map, size_t offset, size_t size_bytes);

// Says that bytes[offset, offset + size_bytes) will not be needed again soon, so that a second copy does not stay in
// memory beside the one on the device. A hint; does nothing where the system has no such call.
void file_map_release(const struct file_map *map, size_t offset, size_t size_bytes);

#endif
