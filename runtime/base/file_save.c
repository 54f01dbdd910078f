// base/file_save.c -- see file_save.h. Both systems side by side, so that they stay alike.
#define _POSIX_C_SOURCE 200809L
#include "base/file_save.h"

#include <stdio.h>
#include <stdlib.h>

#define PATH_MAX_BYTES 4096

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

// The path as the system wants it, or false when it is too long or not UTF-8.
static bool widen(wchar_t wide[PATH_MAX_BYTES], const char *path)
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_MAX_BYTES) > 0;
}

static void make_folder(const char *path)
{
    wchar_t wide[PATH_MAX_BYTES];
    if (widen(wide, path))
        CreateDirectoryW(wide, NULL);
}

static FILE *open_new(const char *path)
{
    wchar_t wide[PATH_MAX_BYTES];
    return widen(wide, path) ? _wfopen(wide, L"wb") : NULL;
}

static bool replace(const char *from, const char *to)
{
    wchar_t wide_from[PATH_MAX_BYTES], wide_to[PATH_MAX_BYTES];
    return widen(wide_from, from) && widen(wide_to, to) &&
           MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
}

static void erase(const char *path)
{
    wchar_t wide[PATH_MAX_BYTES];
    if (widen(wide, path))
        DeleteFileW(wide);
}

static unsigned long process_number(void)
{
    return GetCurrentProcessId();
}

static bool is_separator(char c)
{
    return c == '/' || c == '\\';
}

bool file_cache_folder(char *path, size_t capacity)
{
    wchar_t wide[PATH_MAX_BYTES];
    char base[PATH_MAX_BYTES];
    const DWORD length = GetEnvironmentVariableW(L"LOCALAPPDATA", wide, PATH_MAX_BYTES);
    if (length == 0 || length >= PATH_MAX_BYTES ||
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, base, sizeof base, NULL, NULL) <= 0)
        return false;
    const int written = snprintf(path, capacity, "%s\\karat", base);
    return written > 0 && (size_t)written < capacity;
}

#else

#include <sys/stat.h>
#include <unistd.h>

static void make_folder(const char *path)
{
    mkdir(path, 0700);
}

static FILE *open_new(const char *path)
{
    return fopen(path, "wb");
}

static bool replace(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

static void erase(const char *path)
{
    unlink(path);
}

static unsigned long process_number(void)
{
    return (unsigned long)getpid();
}

static bool is_separator(char c)
{
    return c == '/';
}

bool file_cache_folder(char *path, size_t capacity)
{
    // The specification of the variable says to ignore relative values.
    const char *base = getenv("XDG_CACHE_HOME"), *inside = "karat";
    if (!base || base[0] != '/') {
        base = getenv("HOME");
        inside = ".cache/karat";
    }
    if (!base || base[0] != '/')
        return false;
    const int written = snprintf(path, capacity, "%s/%s", base, inside);
    return written > 0 && (size_t)written < capacity;
}

#endif

static void make_folders(const char *path)
{
    char part[PATH_MAX_BYTES];
    for (size_t i = 0; path[i] && i < sizeof part - 1; ++i) {
        part[i] = path[i];
        part[i + 1] = '\0';
        if (i > 0 && is_separator(path[i])) {
            part[i] = '\0';
            make_folder(part);
            part[i] = path[i];
        }
    }
}

enum karat_status file_save(const char *path, struct span bytes, struct karat_error *err)
{
    // The neighbour carries the process's number, so that two processes do not write into one.
    char neighbour[PATH_MAX_BYTES];
    const int length = snprintf(neighbour, sizeof neighbour, "%s.%lu", path, process_number());
    if (length < 0 || (size_t)length >= sizeof neighbour)
        return status_fail(err, KARAT_ERR_IO, "a path of %d bytes is too long", length);
    make_folders(path);
    FILE *file = open_new(neighbour);
    if (!file)
        return status_fail(err, KARAT_ERR_IO, "cannot create %s", neighbour);
    bool ok = bytes.size_bytes == 0 || fwrite(bytes.data, 1, bytes.size_bytes, file) == bytes.size_bytes;
    ok = fclose(file) == 0 && ok;
    if (!ok || !replace(neighbour, path)) {
        erase(neighbour);
        return status_fail(err, KARAT_ERR_IO, "cannot write %s", path);
    }
    return KARAT_OK;
}
