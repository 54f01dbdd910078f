// server/ask_sampling.c -- how tokens are drawn and what is told of them, where it is more than a number of the table.
#include <math.h>
#include <stdio.h>

#include "server/ask.h"

// ---------------------------------------------------------------------------------------------------- log
// probabilities

// A number of likeliest tokens; *given is whether there is one.
static bool read_top(struct ask *ask, const struct json *json, const char *name, bool *given, struct fault *fault)
{
    const size_t node = ask_member(json, 0, name);
    const double number = app_json_number(json, node);
    char wanted[64];
    *given = node != JSON_NONE;
    if (!*given)
        return true;
    if (!app_json_is(json, node, JSON_NUMBER) || !(number >= 0 && number <= KARAT_TOP_LOGPROBS_MAX) ||
        number != floor(number)) {
        snprintf(wanted, sizeof wanted, "a whole number from 0 to %d", KARAT_TOP_LOGPROBS_MAX);
        return ask_wrong(fault, json, node, name, wanted);
    }
    ask->n_top = (unsigned)number;
    return true;
}

bool ask_read_logprobs(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t wanted = ask_member(json, 0, "logprobs");
    bool given;
    if (wanted != JSON_NONE && !app_json_is(json, wanted, JSON_TRUE) && !app_json_is(json, wanted, JSON_FALSE))
        return ask_wrong(fault, json, wanted, "logprobs", "true or false");
    ask->logprobs = app_json_is(json, wanted, JSON_TRUE);
    if (!read_top(ask, json, "top_logprobs", &given, fault))
        return false;
    if (ask->n_top > 0 && !ask->logprobs)
        return fault_set(fault, ERROR_INVALID, "top_logprobs", "top_logprobs is given, but logprobs is not true");
    return true;
}

bool ask_read_logprobs_count(struct ask *ask, const struct json *json, struct fault *fault)
{
    if (app_json_is(json, ask_member(json, 0, "logprobs"), JSON_FALSE))
        return true;
    return read_top(ask, json, "logprobs", &ask->logprobs, fault);
}

bool ask_read_logprobs_include(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t include = ask_member(json, 0, "include");
    bool given;
    if (include != JSON_NONE && !app_json_is(json, include, JSON_ARRAY))
        return ask_wrong(fault, json, include, "include", "a list of names");
    for (size_t i = app_json_first(json, include); i != JSON_NONE; i = app_json_next(json, include, i))
        ask->logprobs = ask->logprobs || app_json_equals(json, i, "message.output_text.logprobs");
    if (!read_top(ask, json, "top_logprobs", &given, fault))
        return false;
    ask->logprobs = ask->logprobs || ask->n_top > 0;
    return true;
}
