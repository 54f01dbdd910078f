// base/thread.c -- see thread.h. Both systems side by side, so that they stay alike.
#define _POSIX_C_SOURCE 200809L
#include "base/thread.h"

#include <stdlib.h>

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#endif

struct thread {
    void (*main)(void *user);
    void *user;
#ifdef _WIN32
    HANDLE handle;
#else
    pthread_t handle;
#endif
};

#ifdef _WIN32

_Static_assert(sizeof(SRWLOCK) == sizeof(void *) && sizeof(CONDITION_VARIABLE) == sizeof(void *),
               "thread.h declares the system's lock and condition as pointers");

static SRWLOCK *lock_of(struct mutex *mutex)
{
    return (SRWLOCK *)&mutex->lock;
}

static CONDITION_VARIABLE *variable_of(struct condition *condition)
{
    return (CONDITION_VARIABLE *)&condition->variable;
}

void mutex_lock(struct mutex *mutex)
{
    AcquireSRWLockExclusive(lock_of(mutex));
}

void mutex_unlock(struct mutex *mutex)
{
    ReleaseSRWLockExclusive(lock_of(mutex));
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    SleepConditionVariableSRW(variable_of(condition), lock_of(mutex), INFINITE, 0);
}

void condition_signal_all(struct condition *condition)
{
    WakeAllConditionVariable(variable_of(condition));
}

static DWORD WINAPI run_thread(LPVOID argument)
{
    struct thread *thread = argument;
    thread->main(thread->user);
    return 0;
}

static bool start_handle(struct thread *thread)
{
    thread->handle = CreateThread(NULL, 0, run_thread, thread, 0, NULL);
    return thread->handle != NULL;
}

static void join_handle(struct thread *thread)
{
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

unsigned thread_cpu_count(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwNumberOfProcessors > 0 ? (unsigned)info.dwNumberOfProcessors : 1;
}

uint64_t clock_ns(void)
{
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    const uint64_t ticks = (uint64_t)now.QuadPart, rate = (uint64_t)per_second.QuadPart;
    return ticks / rate * 1000000000u + ticks % rate * 1000000000u / rate;
}

void clock_sleep_ms(unsigned milliseconds)
{
    Sleep(milliseconds);
}

#else

#include <time.h>
#include <unistd.h>

void mutex_lock(struct mutex *mutex)
{
    pthread_mutex_lock(&mutex->lock);
}

void mutex_unlock(struct mutex *mutex)
{
    pthread_mutex_unlock(&mutex->lock);
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    pthread_cond_wait(&condition->variable, &mutex->lock);
}

void condition_signal_all(struct condition *condition)
{
    pthread_cond_broadcast(&condition->variable);
}

static void *run_thread(void *argument)
{
    struct thread *thread = argument;
    thread->main(thread->user);
    return NULL;
}

static bool start_handle(struct thread *thread)
{
    return pthread_create(&thread->handle, NULL, run_thread, thread) == 0;
}

static void join_handle(struct thread *thread)
{
    pthread_join(thread->handle, NULL);
}

unsigned thread_cpu_count(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clock_sleep_ms(unsigned milliseconds)
{
    const struct timespec pause = { .tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000 };
    nanosleep(&pause, NULL);
}

#endif

struct thread *thread_start(void (*main)(void *user), void *user)
{
    struct thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    thread->main = main;
    thread->user = user;
    if (!start_handle(thread)) {
        free(thread);
        return NULL;
    }
    return thread;
}

void thread_join(struct thread *thread)
{
    if (!thread)
        return;
    join_handle(thread);
    free(thread);
}
