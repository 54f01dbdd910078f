// tests/cli/test_process.c -- what a child program gets from us, and what not.
#include "common/platform.h"
#include "common/process.h"
#include "test.h"

#ifdef _WIN32
#include <windows.h>

static const char *const waits[] = { "cmd.exe", "/c", "set /p line=", NULL };
#else
static const char *const waits[] = { "cat", NULL };
#endif

static const char *const nothing[] = { NULL };

static struct process *start(struct test *t)
{
    struct process *process = NULL;
    struct text fault = { 0 };
    CHECK(process_start(&process, waits, nothing, &fault));
    CHECK_TEXT(app_text_of(&fault), "");
    app_text_free(&fault);
    return process;
}

TEST(a_child_ends_with_its_input_whoever_was_started_since)
{
    struct process *first = start(t), *second = start(t);
    const uint64_t begin_ns = platform_clock_ns();
    process_end(first); // it would wait for two seconds, and kill it, if the second one held its input open
    CHECK(platform_clock_ns() - begin_ns < 1900000000u);
    process_end(second);
}

#ifdef _WIN32
// Such as the connections that a server has accepted.
TEST(a_child_gets_no_handles_but_its_streams)
{
    SECURITY_ATTRIBUTES inherited = { sizeof inherited, NULL, TRUE };
    HANDLE reading, writing;
    DWORD ready = 0;
    REQUIRE(CreatePipe(&reading, &writing, &inherited, 0));
    struct process *child = start(t);
    CHECK(PeekNamedPipe(reading, NULL, 0, NULL, &ready, NULL));
    CloseHandle(writing);
    CHECK(!PeekNamedPipe(reading, NULL, 0, NULL, &ready, NULL));
    CHECK_UINT(GetLastError(), ERROR_BROKEN_PIPE);
    process_end(child);
    CloseHandle(reading);
}
#endif
