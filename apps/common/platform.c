// common/platform.c -- console, signals and files; POSIX and Win32 side by side.
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include "common/platform.h"

#include <errno.h>
#include <signal.h>
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

static BOOL WINAPI on_end(DWORD event)
{
    raise(event == CTRL_C_EVENT ? SIGINT : SIGTERM);
    // The program is ended when this returns, unless somebody sits at the keyboard: let the main thread do it.
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT)
        Sleep(INFINITE);
    return TRUE;
}

void platform_ends_are_signals(void)
{
    SetConsoleCtrlHandler(on_end, TRUE);
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

int64_t platform_now_ms(void)
{
    FILETIME now; // tenths of microseconds since 1601
    GetSystemTimeAsFileTime(&now);
    return (int64_t)(((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) / 10000u) - 11644473600000;
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

static bool is_separator(char c)
{
    return c == '/' || c == '\\';
}

static void make_folder(const char *path)
{
    wchar_t *wide = to_wide(path);
    CreateDirectoryW(wide, NULL);
    free(wide);
}

static void remove_empty_folder(const char *path)
{
    wchar_t *wide = to_wide(path);
    RemoveDirectoryW(wide);
    free(wide);
}

static bool add_reason(struct text *why)
{
    app_text_format(why, "error %lu", GetLastError());
    return false;
}

bool platform_data_folder(struct text *path, struct text *why)
{
    const wchar_t *base = _wgetenv(L"LOCALAPPDATA");
    if (!base || !*base) {
        app_text_add(why, "LOCALAPPDATA is not set");
        return false;
    }
    char *utf8 = from_wide(base, -1);
    app_text_format(path, "%s\\karat", utf8);
    free(utf8);
    return true;
}

bool platform_list_files(const char *folder, void (*visit)(void *user, const char *name), void *user, struct text *why)
{
    struct text pattern = { 0 };
    WIN32_FIND_DATAW found;
    app_text_format(&pattern, "%s\\*", folder);
    wchar_t *wide = to_wide(pattern.data);
    const HANDLE search = FindFirstFileW(wide, &found);
    free(wide);
    app_text_free(&pattern);
    if (search == INVALID_HANDLE_VALUE)
        return add_reason(why);
    do {
        if (found.dwFileAttributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT))
            continue;
        char *name = from_wide(found.cFileName, -1);
        visit(user, name);
        free(name);
    } while (FindNextFileW(search, &found));
    FindClose(search);
    return true;
}

void platform_create_like(const char *path, const char *model)
{
    (void)path;
    (void)model;
}

bool platform_replace_file(const char *from, const char *to, struct text *why)
{
    wchar_t *wide_from = to_wide(from), *wide_to = to_wide(to);
    const BOOL ok = MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
    free(wide_from);
    free(wide_to);
    return ok || add_reason(why);
}

bool platform_remove_file(const char *path, struct text *why)
{
    wchar_t *wide = to_wide(path);
    const BOOL ok = DeleteFileW(wide);
    free(wide);
    return ok || add_reason(why);
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
#include <fcntl.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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

void platform_ends_are_signals(void)
{
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

int64_t platform_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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

static bool is_separator(char c)
{
    return c == '/';
}

static void make_folder(const char *path)
{
    mkdir(path, 0700);
}

static void remove_empty_folder(const char *path)
{
    rmdir(path);
}

static bool add_reason(struct text *why)
{
    app_text_add(why, strerror(errno));
    return false;
}

bool platform_data_folder(struct text *path, struct text *why)
{
    // The specification of the variable says to ignore relative values.
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/')
        app_text_format(path, "%s/karat", data);
    else if (home && *home == '/')
        app_text_format(path, "%s/.local/share/karat", home);
    else
        app_text_add(why, "HOME is not set");
    return path->size > 0;
}

bool platform_list_files(const char *folder, void (*visit)(void *user, const char *name), void *user, struct text *why)
{
    DIR *open = opendir(folder);
    if (!open)
        return add_reason(why);
    for (struct dirent *entry = readdir(open); entry; entry = readdir(open)) {
        struct stat about;
        if (fstatat(dirfd(open), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode))
            visit(user, entry->d_name);
    }
    closedir(open);
    return true;
}

// A new name is kept by the folder, which has to reach the disk by itself.
static void write_folder(const char *file)
{
    const size_t size = (size_t)(platform_file_name(file) - file);
    char *path = size ? app_memory_copy(file, size) : app_memory_copy(".", 1);
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
    free(path);
}

void platform_create_like(const char *path, const char *model)
{
    struct stat about;
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0)
        return;
    if (stat(model, &about) == 0)
        (void)!fchmod(file, about.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO)); // else it is more private
    close(file);
}

bool platform_replace_file(const char *from, const char *to, struct text *why)
{
    if (rename(from, to) != 0)
        return add_reason(why);
    write_folder(to);
    return true;
}

bool platform_remove_file(const char *path, struct text *why)
{
    return unlink(path) == 0 || add_reason(why);
}

char *platform_console_line(void)
{
    return NULL;
}
#endif
// ---------------------------------------------------------------------------------------------------- both

const char *platform_file_name(const char *path)
{
    const char *name = path;
    for (; *path; ++path)
        if (is_separator(*path))
            name = path + 1;
    return name;
}

void platform_make_folders(const char *path)
{
    char *part = app_memory_copy(path, strlen(path));
    for (size_t i = 1; path[0] && path[i]; ++i)
        if (is_separator(path[i])) {
            part[i] = '\0';
            make_folder(part);
            part[i] = path[i];
        }
    free(part);
}

static void remove_listed(void *user, const char *name)
{
    const char *folder = user;
    struct text file = { 0 }, why = { 0 };
    app_text_format(&file, "%s/%s", folder, name);
    platform_remove_file(file.data, &why);
    app_text_free(&file);
    app_text_free(&why);
}

void platform_remove_folder(const char *path)
{
    struct text why = { 0 };
    platform_list_files(path, remove_listed, (void *)path, &why);
    remove_empty_folder(path);
    app_text_free(&why);
}
