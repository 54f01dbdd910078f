// server/errors.c -- error objects.
#include "server/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int status;
    const char *openai, *anthropic;
} kinds[] = {
#define ERROR_ROW(name, status, openai, anthropic) [ERROR_##name] = { status, openai, anthropic },
    ERROR_KINDS(ERROR_ROW)
#undef ERROR_ROW
};

bool fault_set(struct fault *fault, enum error_kind kind, const char *param, const char *format, ...)
{
    va_list args;
    *fault = (struct fault){ .kind = kind };
    snprintf(fault->param, sizeof fault->param, "%s", param ? param : "");
    va_start(args, format);
    vsnprintf(fault->message, sizeof fault->message, format, args);
    va_end(args);
    // A name out of the request may have been cut within a character.
    fault->message[app_text_utf8_prefix(fault->message, strlen(fault->message))] = '\0';
    fault->param[app_text_utf8_prefix(fault->param, strlen(fault->param))] = '\0';
    return false;
}

static enum error_kind kind_of(enum karat_status status)
{
    switch (status) {
    case KARAT_ERR_ARGUMENT:
    case KARAT_ERR_FORMAT:
    case KARAT_ERR_UNSUPPORTED:
        return ERROR_INVALID;
    case KARAT_ERR_CONTEXT_FULL:
        return ERROR_CONTEXT;
    case KARAT_ERR_BUSY:
    case KARAT_ERR_CANCELLED:
    case KARAT_ERR_DEVICE_LOST:
        return ERROR_UNAVAILABLE;
    default:
        return ERROR_SERVER;
    }
}

bool fault_from(struct fault *fault, const struct karat_error *err)
{
    return fault_set(fault, kind_of(err->status), NULL, "%s", err->text);
}

int error_status(enum error_kind kind)
{
    return kinds[kind].status;
}

enum error_kind error_kind_of_status(int status)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (kinds[i].status == status)
            return (enum error_kind)i;
    return status >= 500 ? ERROR_UNSUPPORTED : ERROR_INVALID;
}

static void add_string(struct text *out, const char *before, const char *string)
{
    app_text_add(out, before);
    app_text_json(out, string, strlen(string));
}

void error_write(struct text *out, enum dialect dialect, const struct fault *fault, const char *request_id)
{
    const bool anthropic = dialect == DIALECT_ANTHROPIC;
    app_text_format(out, anthropic ? "{\"type\":\"error\",\"error\":{" : "{\"error\":{\"code\":%d,",
                    kinds[fault->kind].status);
    add_string(out, "\"type\":", anthropic ? kinds[fault->kind].anthropic : kinds[fault->kind].openai);
    add_string(out, ",\"message\":", fault->message);
    if (!anthropic) {
        if (*fault->param)
            add_string(out, ",\"param\":", fault->param);
        else
            app_text_add(out, ",\"param\":null");
    }
    if (fault->kind == ERROR_CONTEXT)
        app_text_format(out, ",\"n_prompt_tokens\":%u,\"n_ctx\":%u", fault->n_prompt, fault->n_context);
    app_text_add(out, "}");
    if (anthropic && request_id)
        add_string(out, ",\"request_id\":", request_id);
    app_text_add(out, "}");
}
