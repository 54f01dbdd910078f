// common/platform.c -- console, signals and files; POSIX and Win32 side by side.
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include "common/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static void (*interrupt_handler)(void);

bool platform_was_interrupted(void)
{
    return errno == EINTR;
}

#ifdef _WIN32
// ---------------------------------------------------------------------------------------------------- Win32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
// after windows.h
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>

static char *from_wide(const wchar_t *wide, int n)
{
    const int size = WideCharToMultiByte(CP_UTF8, 0, wide, n, NULL, 0, NULL, NULL);
    char *utf8 = app_memory_new((size_t)size + 1, 1);
    WideCharToMultiByte(CP_UTF8, 0, wide, n, utf8, size, NULL, NULL);
    return utf8;
}

static wchar_t *to_wide(const char *utf8)
{
    const int size = MultiByteToWideChar(CP_UTF8, 0, utf8, -1, NULL, 0);
    wchar_t *wide = app_memory_new((size_t)size + 1, sizeof *wide);
    MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, size);
    return wide;
}

static HANDLE handle_of(FILE *stream)
{
    return (HANDLE)_get_osfhandle(_fileno(stream));
}

static void want_escape_sequences(FILE *stream)
{
    DWORD mode;
    if (GetConsoleMode(handle_of(stream), &mode))
        SetConsoleMode(handle_of(stream), mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

void platform_start(int *argc, char ***argv)
{
    SetConsoleOutputCP(CP_UTF8);
    SetConsoleCP(CP_UTF8);
    want_escape_sequences(stdout);
    want_escape_sequences(stderr);
    platform_binary(stdout); // answers are the same bytes everywhere
    int n = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &n);
    if (!wide)
        return;
    char **utf8 = app_memory_new((size_t)n + 1, sizeof *utf8); // lives as long as the program
    for (int i = 0; i < n; ++i)
        utf8[i] = from_wide(wide[i], -1);
    LocalFree(wide);
    *argc = n;
    *argv = utf8;
}

static BOOL WINAPI on_console_event(DWORD event)
{
    if (event != CTRL_C_EVENT || !interrupt_handler)
        return FALSE;
    interrupt_handler();
    return TRUE;
}

void platform_interrupts(void (*on_interrupt)(void))
{
    interrupt_handler = on_interrupt;
    SetConsoleCtrlHandler(on_console_event, on_interrupt != NULL);
}

void platform_end_now(int exit_code)
{
    TerminateProcess(GetCurrentProcess(), (UINT)exit_code);
}

bool platform_is_terminal(FILE *stream)
{
    DWORD mode;
    return GetConsoleMode(handle_of(stream), &mode) != 0;
}

bool platform_has_colour(FILE *stream)
{
    DWORD mode;
    const char *no_colour = getenv("NO_COLOR");
    return GetConsoleMode(handle_of(stream), &mode) && (mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING) &&
           !(no_colour && *no_colour);
}

int platform_terminal_columns(FILE *stream)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    if (!GetConsoleScreenBufferInfo(handle_of(stream), &info))
        return 80;
    return info.srWindow.Right - info.srWindow.Left + 1;
}

void platform_binary(FILE *stream)
{
    _setmode(_fileno(stream), _O_BINARY);
}

FILE *platform_open(const char *path, const char *mode)
{
    wchar_t *wide_path = to_wide(path), *wide_mode = to_wide(mode);
    FILE *file = _wfopen(wide_path, wide_mode);
    free(wide_path);
    free(wide_mode);
    return file;
}

bool platform_seek(FILE *file, uint64_t offset)
{
    return _fseeki64(file, (int64_t)offset, SEEK_SET) == 0;
}

uint64_t platform_clock_ns(void)
{
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return (uint64_t)((double)now.QuadPart * 1e9 / (double)per_second.QuadPart);
}

void platform_environment(const char *name, const char *value)
{
    wchar_t *wide_name = to_wide(name), *wide_value = to_wide(value ? value : "");
    _wputenv_s(wide_name, wide_value); // an empty value takes it away
    free(wide_name);
    free(wide_value);
}

bool platform_temporary_folder(struct text *path)
{
    wchar_t base[MAX_PATH + 1], name[MAX_PATH + 40];
    const DWORD size = GetTempPathW(MAX_PATH + 1, base);
    if (size == 0 || size > MAX_PATH)
        return false;
    for (int i = 0; i < 100; ++i) {
        swprintf(name, MAX_PATH + 40, L"%lskarat-%lu-%d", base, GetCurrentProcessId(), i);
        if (CreateDirectoryW(name, NULL)) {
            char *utf8 = from_wide(name, -1);
            app_text_add(path, utf8);
            free(utf8);
            return true;
        }
    }
    return false;
}

void platform_remove_folder(const char *path)
{
    struct text pattern = { 0 };
    WIN32_FIND_DATAW found;
    wchar_t *folder = to_wide(path);
    app_text_format(&pattern, "%s\\*", path);
    wchar_t *wide = to_wide(pattern.data);
    const HANDLE search = FindFirstFileW(wide, &found);
    for (BOOL more = search != INVALID_HANDLE_VALUE; more; more = FindNextFileW(search, &found)) {
        wchar_t file[2 * MAX_PATH + 2];
        if (!(found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) &&
            swprintf(file, 2 * MAX_PATH + 2, L"%ls\\%ls", folder, found.cFileName) > 0)
            DeleteFileW(file);
    }
    if (search != INVALID_HANDLE_VALUE)
        FindClose(search);
    RemoveDirectoryW(folder);
    free(wide);
    free(folder);
    app_text_free(&pattern);
}

char *platform_console_line(void)
{
    struct text line = { 0 };
    wchar_t wide[512];
    DWORD n = 0;
    for (;;) {
        SetLastError(0);
        if (!ReadConsoleW(handle_of(stdin), wide, 511, &n, NULL) || n == 0) {
            // Ctrl-C ends the read with nothing in it.
            errno = GetLastError() == ERROR_OPERATION_ABORTED ? EINTR : 0;
            app_text_free(&line);
            return NULL;
        }
        char *utf8 = from_wide(wide, (int)n);
        app_text_add(&line, utf8);
        free(utf8);
        if (wide[n - 1] == L'\n')
            break;
    }
    while (line.size && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r'))
        line.data[--line.size] = '\0';
    if (line.size && line.data[0] == 26) { // Ctrl-Z, the console's end of input
        app_text_free(&line);
        errno = 0;
        return NULL;
    }
    return app_text_take(&line);
}

#else
// ---------------------------------------------------------------------------------------------------- POSIX
#include <dirent.h>
#include <locale.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void platform_start(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    // Only the character set: numbers keep their point. Containers often set no locale at all, but type UTF-8.
    if (!setlocale(LC_CTYPE, "") || strcmp(setlocale(LC_CTYPE, NULL), "C") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
}

static void on_signal(int number)
{
    (void)number;
    const int kept = errno;
    if (interrupt_handler)
        interrupt_handler();
    errno = kept;
}

void platform_interrupts(void (*on_interrupt)(void))
{
    interrupt_handler = on_interrupt;
    struct sigaction action = { 0 };
    if (on_interrupt)
        action.sa_handler = on_signal; // without SA_RESTART, so that a waiting read returns
    else
        action.sa_handler = SIG_DFL;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void platform_end_now(int exit_code)
{
    _exit(exit_code);
}

bool platform_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

bool platform_has_colour(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    return platform_is_terminal(stream) && !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
}

int platform_terminal_columns(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void platform_binary(FILE *stream)
{
    (void)stream;
}

FILE *platform_open(const char *path, const char *mode)
{
    return fopen(path, mode);
}

bool platform_seek(FILE *file, uint64_t offset)
{
    return fseeko(file, (off_t)offset, SEEK_SET) == 0;
}

uint64_t platform_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void platform_environment(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

bool platform_temporary_folder(struct text *path)
{
    const char *base = getenv("TMPDIR");
    app_text_format(path, "%s/karat-XXXXXX", base && *base ? base : "/tmp");
    if (mkdtemp(path->data))
        return true;
    app_text_free(path);
    return false;
}

void platform_remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        struct text file = { 0 };
        app_text_format(&file, "%s/%s", path, entry->d_name);
        unlink(file.data); // fails for "." and ".."
        app_text_free(&file);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

char *platform_console_line(void)
{
    return NULL;
}
#endif
