// gpu/notes.c -- numbers about a device and its driver that outlive the process, in small files beside the compiled
// kernels.
#include "gpu/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file_map.h"
#include "base/file_save.h"
#include "base/log.h"

#define NOTE_MAX_BYTES 64

void gpu_notes_locate(struct gpu_device *device, const char *dir)
{
    const struct gpu_snapshot *seen = &device->snapshot;
    char folder[GPU_PATH_MAX], uuid[2 * sizeof seen->pipeline_cache_uuid + 1];
    device->notes[0] = '\0';
    if (dir && dir[0] == '\0')
        return;
    if (!dir && !file_cache_folder(folder, sizeof folder))
        return;
    for (size_t i = 0; i < sizeof seen->pipeline_cache_uuid; ++i)
        snprintf(uuid + 2 * i, 3, "%02x", seen->pipeline_cache_uuid[i]);
    const int written = snprintf(device->notes, sizeof device->notes, "%s/%04x-%04x-%s", dir ? dir : folder,
                                 seen->vendor_id, seen->device_id, uuid);
    if (written < 0 || (size_t)written >= sizeof device->notes)
        device->notes[0] = '\0';
}

bool gpu_note_path(char path[GPU_PATH_MAX], const struct gpu_device *device, const char *what)
{
    const int written = snprintf(path, GPU_PATH_MAX, "%s.%s", device->notes, what);
    return device->notes[0] != '\0' && written > 0 && written < GPU_PATH_MAX;
}

// A number and the end of a line, nothing else.
static bool read_number(uint64_t *value, struct span bytes)
{
    char line[NOTE_MAX_BYTES + 1] = { 0 }, again[NOTE_MAX_BYTES + 1];
    if (bytes.size_bytes > NOTE_MAX_BYTES)
        return false;
    if (bytes.size_bytes > 0)
        memcpy(line, bytes.data, bytes.size_bytes);
    *value = strtoull(line, NULL, 10);
    snprintf(again, sizeof again, "%" PRIu64 "\n", *value);
    return strcmp(line, again) == 0;
}

bool gpu_device_recall(const struct gpu_device *device, const char *what, uint64_t *value)
{
    struct file_map file = { 0 };
    char path[GPU_PATH_MAX];
    if (!gpu_note_path(path, device, what) || file_map_open(&file, path, NULL) != KARAT_OK)
        return false;
    uint64_t number = 0;
    const bool found = read_number(&number, file.bytes);
    file_map_close(&file);
    if (found)
        *value = number;
    else
        log_line(KARAT_LOG_WARNING, "%s is damaged and not used", path);
    return found;
}

void gpu_device_note(const struct gpu_device *device, const char *what, uint64_t value)
{
    char path[GPU_PATH_MAX], line[NOTE_MAX_BYTES];
    struct karat_error err;
    if (!gpu_note_path(path, device, what))
        return;
    const int size = snprintf(line, sizeof line, "%" PRIu64 "\n", value);
    if (file_save(path, span_of(line, (size_t)size), &err) != KARAT_OK)
        log_line(KARAT_LOG_WARNING, "a measurement of the device is not kept: %s", err.text);
}
