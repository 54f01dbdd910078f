// base/file_map.c -- see file_map.h.
#define _DEFAULT_SOURCE
#include "base/file_map.h"

#ifdef _WIN32

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

static enum karat_status open_handle(HANDLE *out, const char *path, struct karat_error *err)
{
    wchar_t wide[4096];
    if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, COUNT(wide)))
        return status_fail(err, KARAT_ERR_IO, "%s: the path is not valid UTF-8 or too long", path);
    const DWORD attributes = GetFileAttributesW(wide);
    if (attributes == INVALID_FILE_ATTRIBUTES)
        return status_fail(err, KARAT_ERR_IO, "%s: no such file", path);
    if (attributes & FILE_ATTRIBUTE_DIRECTORY)
        return status_fail(err, KARAT_ERR_IO, "%s: is a directory, expected a file", path);
    *out = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (*out == INVALID_HANDLE_VALUE)
        return status_fail(err, KARAT_ERR_IO, "%s: cannot be opened (error %lu)", path, GetLastError());
    return KARAT_OK;
}

enum karat_status file_map_open(struct file_map *out, const char *path, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    HANDLE file = INVALID_HANDLE_VALUE;
    *out = (struct file_map){ 0 };

    TRY(open_handle(&file, path, err));
    LARGE_INTEGER size;
    if (!GetFileSizeEx(file, &size))
        TRY(status_fail(err, KARAT_ERR_IO, "%s: its size cannot be read (error %lu)", path, GetLastError()));
    if (size.QuadPart == 0)
        goto cleanup;
    out->handle = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
    if (!out->handle)
        TRY(status_fail(err, KARAT_ERR_IO, "%s: cannot be mapped (error %lu)", path, GetLastError()));
    void *data = MapViewOfFile(out->handle, FILE_MAP_READ, 0, 0, 0);
    if (!data)
        TRY(status_fail(err, KARAT_ERR_IO, "%s: cannot be mapped (error %lu)", path, GetLastError()));
    out->bytes = span_of(data, (size_t)size.QuadPart);
cleanup:
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    if (status != KARAT_OK)
        file_map_close(out);
    return status;
}

void file_map_close(struct file_map *map)
{
    if (map->bytes.data)
        UnmapViewOfFile(map->bytes.data);
    if (map->handle)
        CloseHandle(map->handle);
    *map = (struct file_map){ 0 };
}

void file_map_release(const struct file_map *map, size_t offset, size_t size_bytes)
{
    (void)map, (void)offset, (void)size_bytes;
}

void file_map_want(const struct file_map *map, size_t offset, size_t size_bytes)
{
    (void)map, (void)offset, (void)size_bytes;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum karat_status file_map_open(struct file_map *out, const char *path, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = (struct file_map){ 0 };

    // Without O_NONBLOCK a named pipe would wait for a writer before we can say that it is not a file.
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return status_fail(err, KARAT_ERR_IO, "%s: %s", path, strerror(errno));
    struct stat info;
    if (fstat(file, &info) != 0)
        TRY(status_fail(err, KARAT_ERR_IO, "%s: %s", path, strerror(errno)));
    if (S_ISDIR(info.st_mode))
        TRY(status_fail(err, KARAT_ERR_IO, "%s: is a directory, expected a file", path));
    if (!S_ISREG(info.st_mode))
        TRY(status_fail(err, KARAT_ERR_IO, "%s: is not a regular file", path));
    if (info.st_size == 0)
        goto cleanup;
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, file, 0);
    if (data == MAP_FAILED)
        TRY(status_fail(err, KARAT_ERR_IO, "%s: cannot be mapped: %s", path, strerror(errno)));
    out->bytes = span_of(data, (size_t)info.st_size);
cleanup:
    close(file);
    return status;
}

void file_map_close(struct file_map *map)
{
    if (map->bytes.data)
        munmap((void *)(uintptr_t)map->bytes.data, map->bytes.size_bytes);
    *map = (struct file_map){ 0 };
}

void file_map_release(const struct file_map *map, size_t offset, size_t size_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t first = (offset + page - 1) / page * page, end = (offset + size_bytes) / page * page;
    if (end > first)
        madvise((void *)(uintptr_t)(map->bytes.data + first), end - first, MADV_DONTNEED);
}

void file_map_want(const struct file_map *map, size_t offset, size_t size_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), first = offset / page * page;
    if (size_bytes > 0)
        madvise((void *)(uintptr_t)(map->bytes.data + first), offset + size_bytes - first, MADV_WILLNEED);
}

#endif
