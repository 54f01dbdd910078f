// base/status.h -- failing in one sentence.
//
// A function that can fail for a reason outside the program returns enum karat_status and fills the caller's
// struct karat_error (both are public, see karat.h). What cannot happen is asserted instead.
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "karat.h"

#if defined(__MINGW32__)
#define STATUS_PRINTF(format_index, first_arg) __attribute__((format(gnu_printf, format_index, first_arg)))
#else
#define STATUS_PRINTF(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))
#endif

// Writes the sentence into *err (which may be NULL) and returns status, so that `return status_fail(...)` reads well.
// The sentence names the thing, the value found and the value expected; it has no full stop and no newline. Control
// characters and broken UTF-8 that came in through names are replaced, so it is always safe to print.
enum karat_status status_fail(struct karat_error *err, enum karat_status status, const char *format, ...)
    STATUS_PRINTF(3, 4);

// Puts "context: " in front of the sentence in *err and returns status. Used where a lower room cannot know the name.
enum karat_status status_context(struct karat_error *err, enum karat_status status, const char *format, ...)
    STATUS_PRINTF(3, 4);

// Propagates a failure to the function's one exit. Expects `status` and the label `cleanup` in scope.
#define TRY(call)                          \
    do {                                   \
        if ((status = (call)) != KARAT_OK) \
            goto cleanup;                  \
    } while (0)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
