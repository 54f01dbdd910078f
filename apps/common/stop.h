// common/stop.h -- what ends a wait before its time: asked now and then, from the thread that waits.
#ifndef APPS_STOP_H
#define APPS_STOP_H

#include <stdbool.h>
#include <stddef.h>

struct stop {
    bool (*asked)(void *user);
    void *user;
};

// NULL: nothing ends the wait.
static inline bool stop_asked(const struct stop *stop)
{
    return stop != NULL && stop->asked(stop->user);
}

#endif
