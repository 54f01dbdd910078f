// base/log.h -- what the library has to say that is not an error. It never prints: the sink belongs to the app.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/status.h"

// Formats one line and hands it to the sink set by karat_log_set(); nothing happens without one. Any thread.
void log_line(enum karat_log_level level, const char *format, ...) STATUS_PRINTF(2, 3);

#endif
