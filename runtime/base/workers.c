// base/workers.c -- see workers.h.
#include "base/workers.h"

#include <stdlib.h>

#include "base/thread.h"

#define THREADS_MAX 16

struct workers {
    struct mutex mutex; // guards all the rest
    struct condition wake, done;
    void (*job)(void *user, size_t index); // NULL: nothing to do
    void *user;
    size_t n, next, n_done; // calls: wanted, begun, returned
    bool quit;
    unsigned n_helpers;
    struct thread *helpers[THREADS_MAX - 1];
};

// Makes calls until none is left to begin. The mutex is held on entry and exit.
static void work(struct workers *w)
{
    while (w->next < w->n) {
        const size_t index = w->next++;
        void (*job)(void *, size_t) = w->job;
        void *user = w->user;
        mutex_unlock(&w->mutex);
        job(user, index);
        mutex_lock(&w->mutex);
        if (++w->n_done == w->n)
            condition_signal_all(&w->done);
    }
}

static void help(void *user)
{
    struct workers *w = user;
    mutex_lock(&w->mutex);
    while (!w->quit) {
        work(w);
        if (!w->quit)
            condition_wait(&w->wake, &w->mutex);
    }
    mutex_unlock(&w->mutex);
}

struct workers *workers_create(unsigned n_threads)
{
    struct workers *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->mutex = (struct mutex)MUTEX_INIT;
    w->wake = w->done = (struct condition)CONDITION_INIT;
    n_threads = n_threads > 0 ? n_threads : thread_cpu_count();
    n_threads = n_threads < THREADS_MAX ? n_threads : THREADS_MAX;
    while (w->n_helpers + 1 < n_threads && (w->helpers[w->n_helpers] = thread_start(help, w)))
        ++w->n_helpers;
    return w;
}

void workers_destroy(struct workers *w)
{
    if (!w)
        return;
    mutex_lock(&w->mutex);
    w->quit = true;
    condition_signal_all(&w->wake);
    mutex_unlock(&w->mutex);
    for (unsigned i = 0; i < w->n_helpers; ++i)
        thread_join(w->helpers[i]);
    free(w);
}

void workers_run(struct workers *w, void (*job)(void *user, size_t index), void *user, size_t n)
{
    if (!w || w->n_helpers == 0 || n < 2) {
        for (size_t i = 0; i < n; ++i)
            job(user, i);
        return;
    }
    mutex_lock(&w->mutex);
    w->job = job;
    w->user = user;
    w->n = n;
    w->next = w->n_done = 0;
    condition_signal_all(&w->wake);
    work(w);
    while (w->n_done < w->n)
        condition_wait(&w->done, &w->mutex);
    w->n = w->next = 0;
    mutex_unlock(&w->mutex);
}
