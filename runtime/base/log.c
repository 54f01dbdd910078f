// base/log.c -- see log.h.
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/thread.h"

static struct {
    struct mutex mutex;
    karat_log_fn *sink;
    void *user;
    enum karat_log_level level;
} log_state = { .mutex = MUTEX_INIT };

void karat_log_set(karat_log_fn *sink, enum karat_log_level level, void *user)
{
    mutex_lock(&log_state.mutex);
    log_state.sink = sink;
    log_state.level = level;
    log_state.user = user;
    mutex_unlock(&log_state.mutex);
}

void log_line(enum karat_log_level level, const char *format, ...)
{
    // The sink runs under the lock, so lines never interleave and a sink is not called after it was replaced.
    mutex_lock(&log_state.mutex);
    if (log_state.sink && level <= log_state.level) {
        char text[1024];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        log_state.sink(log_state.user, level, text);
    }
    mutex_unlock(&log_state.mutex);
}
