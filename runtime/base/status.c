// base/status.c -- the table of failures and the sentence writer.
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char *const status_names[] = {
#define KARAT_STATUS_NAME(name, text) [KARAT_##name] = (text),
    KARAT_STATUS_LIST(KARAT_STATUS_NAME)
#undef KARAT_STATUS_NAME
};

const char *karat_status_text(enum karat_status status)
{
    return (size_t)status < COUNT(status_names) ? status_names[status] : "unknown status";
}

static void write_clean(struct karat_error *err, const char *text)
{
    size_t used = utf8_clean(err->text, sizeof err->text - 1, text, strlen(text));
    err->text[used] = '\0';
}

enum karat_status status_fail(struct karat_error *err, enum karat_status status, const char *format, ...)
{
    if (err) {
        char text[sizeof err->text];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        err->status = status;
        write_clean(err, text);
    }
    return status;
}

enum karat_status status_context(struct karat_error *err, enum karat_status status, const char *format, ...)
{
    if (err) {
        char text[2 * sizeof err->text];
        va_list args;
        va_start(args, format);
        int n = vsnprintf(text, sizeof err->text, format, args);
        va_end(args);
        size_t used = n < 0 ? 0 : (size_t)n < sizeof err->text ? (size_t)n : sizeof err->text - 1;
        snprintf(text + used, sizeof text - used, ": %s", err->text);
        err->status = status;
        write_clean(err, text);
    }
    return status;
}
