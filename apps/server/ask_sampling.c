// server/ask_sampling.c -- how tokens are drawn and what is told of them, where it is more than a number of the table.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

// ---------------------------------------------------------------------------------------------------- biases

#define BIASES_MAX 4096 // of one request

static bool add_bias(struct ask *ask, uint32_t id, float bias, struct fault *fault)
{
    if (ask->n_biases == BIASES_MAX)
        return fault_set(fault, ERROR_INVALID, "logit_bias", "logit_bias is for more than %d tokens", BIASES_MAX);
    if (!ask->biases)
        ask->biases = app_memory_new(BIASES_MAX, sizeof *ask->biases);
    ask->biases[ask->n_biases++] = (struct karat_bias){ id, bias };
    return true;
}

static bool add_id(struct ask *ask, double id, float bias, uint32_t n_vocab, struct fault *fault)
{
    if (!(id >= 0 && id < n_vocab) || id != floor(id))
        return fault_set(fault, ERROR_INVALID, "logit_bias",
                         "logit_bias is for token %.17g, expected token ids from 0 to %u", id, n_vocab - 1);
    return add_bias(ask, (uint32_t)id, bias, fault);
}

static bool add_text(struct ask *ask, const struct text *text, float bias, const struct karat_model *model,
                     struct fault *fault)
{
    struct karat_error err = { 0 };
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    if (karat_tokenize(model, app_text_of(text), text->size, 0, &ids, &n_ids, &err) != KARAT_OK)
        return fault_from(fault, &err);
    bool good = true;
    for (size_t i = 0; good && i < n_ids; ++i)
        good = add_bias(ask, ids[i], bias, fault);
    karat_free(ids);
    return good;
}

static bool read_bias(float *out, const struct json *json, size_t node, struct fault *fault)
{
    const double number = app_json_number(json, node);
    if (app_json_is(json, node, JSON_FALSE)) {
        *out = -INFINITY;
        return true;
    }
    if (!app_json_is(json, node, JSON_NUMBER) || !(number >= -100 && number <= 100))
        return ask_wrong(fault, json, node, "logit_bias", "biases from -100 to 100, or false");
    *out = (float)number;
    return true;
}

// The name of a member is the id in digits.
static bool read_member(struct ask *ask, const struct json *json, size_t key, size_t value, uint32_t n_vocab,
                        struct fault *fault)
{
    struct text name = { 0 };
    float bias = 0;
    app_json_content(json, key, &name);
    const char *digits = app_text_of(&name);
    bool good = name.size > 0 && name.size < 16 && strspn(digits, "0123456789") == name.size;
    if (!good)
        fault_set(fault, ERROR_INVALID, "logit_bias", "logit_bias has a member %.40s, expected token ids", digits);
    good = good && read_bias(&bias, json, value, fault) && add_id(ask, strtod(digits, NULL), bias, n_vocab, fault);
    app_text_free(&name);
    return good;
}

static bool read_pair(struct ask *ask, const struct json *json, size_t pair, const struct karat_model *model,
                      uint32_t n_vocab, struct fault *fault)
{
    const size_t first = app_json_is(json, pair, JSON_ARRAY) ? app_json_first(json, pair) : JSON_NONE;
    struct text text = { 0 };
    float bias = 0;
    if (first == JSON_NONE || app_json_count(json, pair) != 2)
        return ask_wrong(fault, json, pair, "logit_bias", "an object, or a list of pairs of a token and its bias");
    if (!read_bias(&bias, json, app_json_next(json, pair, first), fault))
        return false;
    if (app_json_is(json, first, JSON_NUMBER))
        return add_id(ask, app_json_number(json, first), bias, n_vocab, fault);
    if (!app_json_is(json, first, JSON_STRING))
        return ask_wrong(fault, json, first, "logit_bias", "pairs of a token id or a text and its bias");
    app_json_content(json, first, &text);
    const bool good = add_text(ask, &text, bias, model, fault);
    app_text_free(&text);
    return good;
}

bool ask_read_biases(struct ask *ask, const struct json *json, const struct karat_model *model, struct fault *fault)
{
    const size_t list = ask_member(json, 0, "logit_bias");
    struct karat_model_facts facts;
    if (list == JSON_NONE)
        return true;
    karat_model_describe(model, &facts);
    const bool is_object = app_json_is(json, list, JSON_OBJECT);
    if (!is_object && !app_json_is(json, list, JSON_ARRAY))
        return ask_wrong(fault, json, list, "logit_bias", "an object, or a list of pairs of a token and its bias");
    for (size_t i = app_json_first(json, list); i != JSON_NONE; i = app_json_next(json, list, i)) {
        const size_t key = i;
        if (is_object)
            i = app_json_next(json, list, i);
        if (!(is_object ? read_member(ask, json, key, i, facts.n_vocab, fault)
                        : read_pair(ask, json, i, model, facts.n_vocab, fault)))
            return false;
    }
    return true;
}

// ---------------------------------------------------------------------------------------------------- thought

static const struct {
    const char *name;
    bool thinks;
    uint32_t budget; // 0: none
} efforts[] = {
    { "none", false, 0 }, { "minimal", false, 0 }, { "low", true, 1024 }, { "medium", true, 8192 },
    { "high", true, 0 },  { "xhigh", true, 0 },    { "max", true, 0 },
};

bool ask_read_effort(struct ask *ask, const struct json *json, size_t effort, const char *name, struct fault *fault)
{
    if (effort == JSON_NONE)
        return true;
    for (size_t i = 0; i < sizeof efforts / sizeof efforts[0]; ++i) {
        if (!app_json_equals(json, effort, efforts[i].name))
            continue;
        ask->thinking = efforts[i].thinks;
        if (efforts[i].budget > 0 && !ask->thought.given)
            ask->thought = (struct wish){ true, efforts[i].budget };
        return true;
    }
    return ask_wrong(fault, json, effort, name,
                     "\"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\" or \"max\"");
}

bool ask_read_budget(struct ask *ask, const struct json *json, size_t budget, const char *name, struct fault *fault)
{
    const double number = app_json_number(json, budget);
    if (budget == JSON_NONE)
        return true;
    if (!app_json_is(json, budget, JSON_NUMBER) || !(number >= 1 && number <= 1048576) || number != floor(number))
        return ask_wrong(fault, json, budget, name, "a whole number from 1 to 1048576");
    ask->thought = (struct wish){ true, number };
    return true;
}
