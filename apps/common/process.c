// common/process.c -- child programs; POSIX and Win32 side by side.
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include "common/process.h"

#include <stdlib.h>
#include <string.h>

#include "common/platform.h"

#define WRITE_MS 60000u
#define END_MS 2000u
#define LOOK_MS 50u // between two looks at what is not waited for: `stop`
#define LAST_WORDS_BYTES ((size_t)1 << 10)

enum stream { STREAM_OUT, STREAM_ERR, N_STREAMS };

// What the systems do each in their own way.
struct process;
static bool system_start(struct process *p, const char *const *words, const char *const *variables, struct text *fault);
// Appends what has come on a stream, at most LOOK_MS after the call; *ended says that no more will.
static void system_read(struct process *p, struct text *out, struct text *err, bool *ended);
// Number of bytes taken, at most LOOK_MS after the call; -1: none ever will be.
static long system_write(struct process *p, const char *bytes, size_t size);
static void system_close_input(struct process *p);
static bool system_has_ended(struct process *p);
static void system_kill(struct process *p);
static void system_free(struct process *p);

static unsigned long long now_ms(void)
{
    return platform_clock_ns() / 1000000u;
}

// ---------------------------------------------------------------------------------------------------- POSIX
#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct process {
    struct text heard, said; // not yet read lines; the end of stderr
    char last[LAST_WORDS_BYTES];
    bool ended;
    pid_t pid;
    bool reaped;
    int in, out[N_STREAMS];
};

static void close_file(int *file)
{
    if (*file >= 0)
        close(*file);
    *file = -1;
}

static bool is_set_in(const char *variable, const char *const *list)
{
    const size_t size = strcspn(variable, "=") + 1;
    for (; *list; ++list)
        if (strncmp(*list, variable, size) == 0)
            return true;
    return false;
}

// Ours and theirs, which come first where both have a name. The array is the caller's to free().
static const char **environment_with(const char *const *variables)
{
    size_t n = 0, n_ours = 0, n_theirs = 0;
    while (environ[n_ours])
        ++n_ours;
    while (variables[n_theirs])
        ++n_theirs;
    const char **all = app_memory_new(n_ours + n_theirs + 1, sizeof *all);
    for (size_t i = 0; i < n_theirs; ++i)
        all[n++] = variables[i];
    for (size_t i = 0; i < n_ours; ++i)
        if (!is_set_in(environ[i], variables))
            all[n++] = environ[i];
    return all;
}

static int spawn(struct process *p, int ends[3], const char *const *words, const char *const *variables)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    const char **environment = environment_with(variables);
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; ++i)
        posix_spawn_file_actions_adddup2(&actions, ends[i], i);
    posix_spawnattr_init(&attributes);
    // We ignore SIGPIPE, it need not; a group of its own keeps the terminal's Ctrl-C away.
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const int error =
        posix_spawnp(&p->pid, words[0], &actions, &attributes, (char *const *)words, (char *const *)environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return error;
}

// A pipe that no other child inherits; ours is the end that does not block.
static bool open_pipe(int *ours, int *theirs, bool we_write)
{
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    *ours = ends[we_write];
    *theirs = ends[!we_write];
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return true;
}

static bool system_start(struct process *p, const char *const *words, const char *const *variables, struct text *fault)
{
    int ends[3] = { -1, -1, -1 };
    p->in = p->out[STREAM_OUT] = p->out[STREAM_ERR] = -1;
    p->reaped = true;
    int error = 0;
    if (!open_pipe(&p->in, &ends[0], true) || !open_pipe(&p->out[STREAM_OUT], &ends[1], false) ||
        !open_pipe(&p->out[STREAM_ERR], &ends[2], false))
        error = errno;
    else
        error = spawn(p, ends, words, variables);
    for (int i = 0; i < 3; ++i)
        close_file(&ends[i]);
    p->reaped = error != 0;
    if (error)
        app_text_format(fault, "%s cannot be started: %s", words[0], strerror(error));
    return error == 0;
}

// Takes what there is. False at the end of the stream.
static bool take(int file, struct text *text)
{
    char bytes[4096];
    for (;;) {
        const ssize_t n = read(file, bytes, sizeof bytes);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        app_text_append(text, bytes, (size_t)n);
        if (text->size > PROCESS_LINE_BYTES_MAX)
            return true; // the caller looks at it first
    }
}

static void system_read(struct process *p, struct text *out, struct text *err, bool *ended)
{
    struct pollfd waits[N_STREAMS] = { { p->out[STREAM_OUT], POLLIN, 0 }, { p->out[STREAM_ERR], POLLIN, 0 } };
    if (poll(waits, N_STREAMS, LOOK_MS) <= 0)
        return;
    if (waits[STREAM_ERR].revents && !take(p->out[STREAM_ERR], err))
        close_file(&p->out[STREAM_ERR]);
    if (waits[STREAM_OUT].revents && !take(p->out[STREAM_OUT], out)) {
        close_file(&p->out[STREAM_OUT]);
        *ended = true;
    }
}

static long system_write(struct process *p, const char *bytes, size_t size)
{
    struct pollfd wait = { p->in, POLLOUT, 0 };
    if (poll(&wait, 1, LOOK_MS) <= 0)
        return 0;
    const ssize_t n = write(p->in, bytes, size);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : (long)n;
}

static void system_close_input(struct process *p)
{
    close_file(&p->in);
}

static bool system_has_ended(struct process *p)
{
    if (!p->reaped)
        p->reaped = waitpid(p->pid, NULL, WNOHANG) == p->pid;
    return p->reaped;
}

static void system_kill(struct process *p)
{
    kill(-p->pid, SIGKILL); // what it started in turn, too
    waitpid(p->pid, NULL, 0);
    p->reaped = true;
}

static void system_free(struct process *p)
{
    close_file(&p->in);
    close_file(&p->out[STREAM_OUT]);
    close_file(&p->out[STREAM_ERR]);
}

// ---------------------------------------------------------------------------------------------------- Win32
#else
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

struct process {
    struct text heard, said;
    char last[LAST_WORDS_BYTES];
    bool ended;
    HANDLE child, in, out[N_STREAMS];
};

static wchar_t *to_wide(const char *utf8)
{
    const int size = MultiByteToWideChar(CP_UTF8, 0, utf8, -1, NULL, 0);
    wchar_t *wide = app_memory_new((size_t)size + 1, sizeof *wide);
    MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, size);
    return wide;
}

static void close_handle(HANDLE *handle)
{
    if (*handle)
        CloseHandle(*handle);
    *handle = NULL;
}

// One word so that the child's C library reads it back as it was: quotes around it, backslashes doubled before quotes.
static void add_word(struct text *line, const char *word)
{
    size_t n_slashes = 0;
    app_text_add(line, line->size ? " \"" : "\"");
    for (;; ++word) {
        if (*word == '\\') {
            ++n_slashes;
            continue;
        }
        const size_t n = *word == '"' || *word == '\0' ? 2 * n_slashes : n_slashes;
        for (size_t i = 0; i < n; ++i)
            app_text_add(line, "\\");
        n_slashes = 0;
        if (*word == '\0')
            break;
        if (*word == '"')
            app_text_add(line, "\\");
        app_text_append(line, word, 1);
    }
    app_text_add(line, "\"");
}

static bool open_pipe(HANDLE *ours, HANDLE *theirs, bool we_write)
{
    SECURITY_ATTRIBUTES inherited = { sizeof inherited, NULL, TRUE };
    HANDLE reading, writing;
    if (!CreatePipe(&reading, &writing, &inherited, 1 << 16))
        return false;
    *ours = we_write ? writing : reading;
    *theirs = we_write ? reading : writing;
    SetHandleInformation(*ours, HANDLE_FLAG_INHERIT, 0);
    return true;
}

// A list of handles that a child gets, and no others: not the connections that a server has accepted, which are
// inherited unless someone says otherwise, nor the pipes of a child that another thread starts meanwhile. The caller
// deletes and frees it. NULL: there is none, and GetLastError().
static LPPROC_THREAD_ATTRIBUTE_LIST list_handles(HANDLE *handles, size_t n_handles)
{
    SIZE_T size = 0;
    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    LPPROC_THREAD_ATTRIBUTE_LIST list = app_memory_new(1, size);
    if (!InitializeProcThreadAttributeList(list, 1, 0, &size)) {
        free(list);
        return NULL;
    }
    if (UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles, n_handles * sizeof *handles,
                                  NULL, NULL))
        return list;
    DeleteProcThreadAttributeList(list);
    free(list);
    return NULL;
}

static bool spawn(struct process *p, HANDLE ends[3], const char *const *words)
{
    struct text line = { 0 };
    STARTUPINFOEXW start = { .StartupInfo = { .cb = sizeof start,
                                              .dwFlags = STARTF_USESTDHANDLES,
                                              .hStdInput = ends[0],
                                              .hStdOutput = ends[1],
                                              .hStdError = ends[2] } };
    PROCESS_INFORMATION made = { 0 };
    start.lpAttributeList = list_handles(ends, 3);
    if (!start.lpAttributeList)
        return false;
    for (; *words; ++words)
        add_word(&line, *words);
    wchar_t *wide = to_wide(line.data);
    const DWORD flags = CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW | EXTENDED_STARTUPINFO_PRESENT;
    const bool ok = CreateProcessW(NULL, wide, NULL, NULL, TRUE, flags, NULL, NULL, &start.StartupInfo, &made);
    const DWORD error = GetLastError();
    DeleteProcThreadAttributeList(start.lpAttributeList);
    if (ok)
        CloseHandle(made.hThread);
    p->child = made.hProcess;
    free(start.lpAttributeList);
    free(wide);
    app_text_free(&line);
    SetLastError(error);
    return ok;
}

static bool system_start(struct process *p, const char *const *words, const char *const *variables, struct text *fault)
{
    HANDLE ends[3] = { 0 };
    // The child copies our environment. What is set for it stays set here, too, which harms nobody.
    for (; *variables; ++variables) {
        const char *equals = strchr(*variables, '=');
        char *name = app_memory_copy(*variables, (size_t)(equals - *variables));
        platform_environment(name, equals + 1);
        free(name);
    }
    const bool ok = open_pipe(&p->in, &ends[0], true) && open_pipe(&p->out[STREAM_OUT], &ends[1], false) &&
                    open_pipe(&p->out[STREAM_ERR], &ends[2], false) && spawn(p, ends, words);
    if (!ok)
        app_text_format(fault, "%s cannot be started: error %lu", words[0], GetLastError());
    for (int i = 0; i < 3; ++i)
        close_handle(&ends[i]);
    return ok;
}

// Takes what there is. False at the end of the stream.
static bool take(HANDLE file, struct text *text, bool *any)
{
    char bytes[4096];
    DWORD ready = 0, n = 0;
    while (PeekNamedPipe(file, NULL, 0, NULL, &ready, NULL)) {
        if (ready == 0 || text->size > PROCESS_LINE_BYTES_MAX)
            return true;
        if (!ReadFile(file, bytes, ready < sizeof bytes ? ready : sizeof bytes, &n, NULL))
            return false;
        app_text_append(text, bytes, n);
        *any = true;
    }
    return false;
}

static void system_read(struct process *p, struct text *out, struct text *err, bool *ended)
{
    const unsigned long long start_ms = now_ms();
    bool any = false;
    do {
        if (p->out[STREAM_ERR] && !take(p->out[STREAM_ERR], err, &any))
            close_handle(&p->out[STREAM_ERR]);
        if (!p->out[STREAM_OUT] || !take(p->out[STREAM_OUT], out, &any)) {
            close_handle(&p->out[STREAM_OUT]);
            *ended = true;
            return;
        }
        if (!any)
            Sleep(5);
    } while (!any && now_ms() - start_ms < LOOK_MS);
}

static long system_write(struct process *p, const char *bytes, size_t size)
{
    DWORD n = 0;
    return p->in && WriteFile(p->in, bytes, size < 4096 ? (DWORD)size : 4096, &n, NULL) ? (long)n : -1;
}

static void system_close_input(struct process *p)
{
    close_handle(&p->in);
}

static bool system_has_ended(struct process *p)
{
    return !p->child || WaitForSingleObject(p->child, 0) == WAIT_OBJECT_0;
}

static void system_kill(struct process *p)
{
    TerminateProcess(p->child, 1);
}

static void system_free(struct process *p)
{
    close_handle(&p->in);
    close_handle(&p->out[STREAM_OUT]);
    close_handle(&p->out[STREAM_ERR]);
    close_handle(&p->child);
}
#endif

// ---------------------------------------------------------------------------------------------------- any system

bool process_start(struct process **out, const char *const *words, const char *const *variables, struct text *fault)
{
    struct process *p = app_memory_new(1, sizeof *p);
    const bool ok = system_start(p, words, variables, fault);
    *out = ok ? p : NULL;
    if (!ok) {
        system_free(p);
        free(p);
    }
    return ok;
}

void process_end(struct process *p)
{
    if (!p)
        return;
    system_close_input(p);
    // Its output is taken meanwhile: a child that cannot write does not end.
    for (const unsigned long long start_ms = now_ms(); !system_has_ended(p) && now_ms() - start_ms < END_MS;) {
        app_text_clear(&p->heard);
        app_text_clear(&p->said);
        system_read(p, &p->heard, &p->said, &p->ended);
    }
    if (!system_has_ended(p))
        system_kill(p);
    system_free(p);
    app_text_free(&p->heard);
    app_text_free(&p->said);
    free(p);
}

static void drop_front(struct text *text, size_t n)
{
    memmove(text->data, text->data + n, text->size - n + 1);
    text->size -= n;
}

static bool take_line(struct process *p, struct text *line)
{
    const char *end = p->heard.size ? memchr(p->heard.data, '\n', p->heard.size) : NULL;
    if (!end)
        return false;
    const size_t size = (size_t)(end - p->heard.data);
    app_text_clear(line);
    app_text_append(line, p->heard.data, size > 0 && end[-1] == '\r' ? size - 1 : size);
    drop_front(&p->heard, size + 1);
    return true;
}

enum process_read process_read_line(struct process *p, struct text *line, unsigned timeout_ms, const struct stop *stop)
{
    for (const unsigned long long start_ms = now_ms();;) {
        if (take_line(p, line))
            return PROCESS_LINE;
        if (p->ended)
            return PROCESS_ENDED;
        if (p->heard.size > PROCESS_LINE_BYTES_MAX)
            return PROCESS_TOO_LONG;
        if (stop_asked(stop))
            return PROCESS_STOPPED;
        if (now_ms() - start_ms >= timeout_ms)
            return PROCESS_LATE;
        system_read(p, &p->heard, &p->said, &p->ended);
        if (p->said.size > LAST_WORDS_BYTES)
            drop_front(&p->said, p->said.size - LAST_WORDS_BYTES);
    }
}

bool process_write(struct process *p, const char *bytes, size_t size)
{
    for (const unsigned long long start_ms = now_ms(); size > 0;) {
        const long n = system_write(p, bytes, size);
        if (n < 0 || now_ms() - start_ms > WRITE_MS)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

const char *process_last_words(struct process *p)
{
    system_read(p, &p->heard, &p->said, &p->ended); // what came beside the end of its output
    const char *text = app_text_of(&p->said);
    size_t end = p->said.size;
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r'))
        --end;
    size_t start = end;
    while (start > 0 && text[start - 1] != '\n')
        --start;
    size_t n = 0;
    for (size_t i = start; i < end && n + 1 < sizeof p->last; ++i)
        p->last[n++] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    p->last[n] = '\0';
    p->last[app_text_utf8_prefix(p->last, n)] = '\0';
    return p->last;
}
