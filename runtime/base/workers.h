// base/workers.h -- threads that help their owner with one job at a time, and sleep in between.
#ifndef BASE_WORKERS_H
#define BASE_WORKERS_H

#include <stddef.h>

struct workers;

// n_threads: the caller's included; 0: one per processor, at most 16. Where the system has no threads to give there are
// fewer. NULL when memory is out, which workers_run() accepts.
struct workers *workers_create(unsigned n_threads);
void workers_destroy(struct workers *workers); // NULL is fine

// Calls job(user, i) once for every i below n, on the helpers and on the caller, in any order; returns when all calls
// have. One caller at a time.
void workers_run(struct workers *workers, void (*job)(void *user, size_t index), void *user, size_t n);

#endif
