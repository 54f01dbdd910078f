// base/thread.h -- threads, locks and the clock, for POSIX and Win32.
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#ifdef _WIN32
// An SRWLOCK and a CONDITION_VARIABLE: one zeroed pointer each. Their header stays out of this one, because the names
// it declares collide with words of ours, such as TOKEN_CONTROL.
struct mutex {
    void *lock;
};
struct condition {
    void *variable;
};
#define MUTEX_INIT \
    {              \
        0          \
    }
#define CONDITION_INIT \
    {                  \
        0              \
    }
#else
#include <pthread.h>
struct mutex {
    pthread_mutex_t lock;
};
struct condition {
    pthread_cond_t variable;
};
#define MUTEX_INIT                \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }
#define CONDITION_INIT           \
    {                            \
        PTHREAD_COND_INITIALIZER \
    }
#endif

void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
void condition_wait(struct condition *condition, struct mutex *mutex); // mutex held; may wake without reason
void condition_signal_all(struct condition *condition);

struct thread;

// Runs main(user) on a new thread; NULL when the system has none to give. Every thread is joined exactly once.
struct thread *thread_start(void (*main)(void *user), void *user);
void thread_join(struct thread *thread); // NULL is fine

unsigned thread_cpu_count(void); // at least 1
uint64_t clock_ns(void);         // monotonic, from an arbitrary start
void clock_sleep_ms(unsigned milliseconds);

#endif
