// server/errors.h -- what goes wrong with a request, and how each dialect says so.
#ifndef SERVER_ERRORS_H
#define SERVER_ERRORS_H

#include <karat.h>

#include "common/text.h"

// Kind, HTTP status, type in OpenAI's dialect, type in Anthropic's.
// (Windows has ERROR_NOT_FOUND and ERROR_NOT_SUPPORTED as macros.)
#define ERROR_KINDS(X)                                                     \
    X(INVALID, 400, "invalid_request_error", "invalid_request_error")      \
    X(CONTEXT, 400, "exceed_context_size_error", "invalid_request_error")  \
    X(AUTHENTICATION, 401, "authentication_error", "authentication_error") \
    X(PERMISSION, 403, "permission_error", "permission_error")             \
    X(MISSING, 404, "not_found_error", "not_found_error")                  \
    X(METHOD, 405, "invalid_request_error", "invalid_request_error")       \
    X(TOO_LARGE, 413, "invalid_request_error", "request_too_large")        \
    X(SERVER, 500, "server_error", "api_error")                            \
    X(UNSUPPORTED, 501, "not_supported_error", "api_error")                \
    X(UNAVAILABLE, 503, "unavailable_error", "overloaded_error")

enum error_kind {
#define ERROR_ENUM(name, status, openai, anthropic) ERROR_##name,
    ERROR_KINDS(ERROR_ENUM)
#undef ERROR_ENUM
};

enum dialect { DIALECT_OPENAI, DIALECT_ANTHROPIC };

struct fault {
    enum error_kind kind;
    char message[1100];           // one sentence
    char param[64];               // the field of the request, "" where it is none in particular
    uint32_t n_prompt, n_context; // of ERROR_CONTEXT
};

// Fills the fault and returns false, so that a reader can say `return fault_set(...)`. param may be NULL.
bool fault_set(struct fault *fault, enum error_kind kind, const char *param, const char *format, ...) TEXT_PRINTF(4, 5);
// What the library said.
bool fault_from(struct fault *fault, const struct karat_error *err);

int error_status(enum error_kind kind);
enum error_kind error_kind_of_status(int status); // of a status that evhttp chose

// The error object of a dialect. request_id may be NULL.
void error_write(struct text *out, enum dialect dialect, const struct fault *fault, const char *request_id);

#endif
