// server/ask_completion.c -- OpenAI's text completions: prompts without any chat format.
#include <stdio.h>
#include <stdlib.h>

#include "server/ask.h"

#define PROMPTS_MAX 64

static bool add_text_prompt(struct ask_prompt *out, const struct karat_model *model, const struct json *json,
                            size_t node, struct fault *fault)
{
    struct text text = { 0 };
    struct karat_error err = { 0 };
    app_json_content(json, node, &text);
    const enum karat_status status =
        karat_tokenize(model, app_text_of(&text), text.size, KARAT_TOKENIZE_BOS | KARAT_TOKENIZE_SPECIAL, &out->ids,
                       &out->n_ids, &err);
    app_text_free(&text);
    return status == KARAT_OK || fault_from(fault, &err);
}

// Ids, and texts between them if it must be; ids come as they are, without a start token.
static bool add_id_prompt(struct ask_prompt *out, const struct karat_model *model, const struct json *json, size_t list,
                          struct fault *fault)
{
    struct karat_model_facts facts;
    karat_model_describe(model, &facts);
    out->ids = calloc(app_json_count(json, list) + 1, sizeof *out->ids);
    if (!out->ids)
        return fault_set(fault, ERROR_SERVER, NULL, "no memory for a prompt");
    for (size_t i = app_json_first(json, list); i != JSON_NONE; i = app_json_next(json, list, i)) {
        const double id = app_json_number(json, i);
        if (!app_json_is(json, i, JSON_NUMBER) || !(id >= 0 && id < facts.n_vocab) || id != (uint32_t)id) {
            char wanted[64];
            snprintf(wanted, sizeof wanted, "token ids from 0 to %u", facts.n_vocab - 1);
            return ask_wrong(fault, json, i, "prompt", wanted);
        }
        out->ids[out->n_ids++] = (uint32_t)id;
    }
    return true;
}

static bool add_prompt(struct ask *ask, const struct karat_model *model, const struct json *json, size_t node,
                       struct fault *fault)
{
    struct ask_prompt *out = &ask->prompts[ask->n_prompts++];
    if (app_json_is(json, node, JSON_STRING))
        return add_text_prompt(out, model, json, node, fault);
    if (app_json_is(json, node, JSON_ARRAY) && app_json_count(json, node) > 0)
        return add_id_prompt(out, model, json, node, fault);
    return ask_wrong(fault, json, node, "prompt", "a string, a list of token ids, or a list of those");
}

bool ask_read_completion(struct ask *ask, const struct json *json, const struct karat_model *model, struct fault *fault)
{
    const size_t prompt = ask_member(json, 0, "prompt"), options = ask_member(json, 0, "stream_options");
    const size_t first = app_json_is(json, prompt, JSON_ARRAY) ? app_json_first(json, prompt) : JSON_NONE;
    if (!ask_read_wishes(ask, json, fault) || !ask_read_stops(ask, json, "stop", fault) || !ask_refuse(json, fault) ||
        !ask_read_logprobs_count(ask, json, fault) || !ask_read_formats(ask, json, fault) ||
        !ask_check_format(ask, false, fault))
        return false;
    ask->include_usage = app_json_is(json, ask_member(json, options, "include_usage"), JSON_TRUE);
    ask->prompts = app_memory_new(PROMPTS_MAX, sizeof *ask->prompts);
    if (first == JSON_NONE || app_json_is(json, first, JSON_NUMBER))
        return add_prompt(ask, model, json, prompt, fault);
    if (app_json_count(json, prompt) > PROMPTS_MAX)
        return fault_set(fault, ERROR_INVALID, "prompt", "prompt has %zu prompts, expected at most %d",
                         app_json_count(json, prompt), PROMPTS_MAX);
    for (size_t i = first; i != JSON_NONE; i = app_json_next(json, prompt, i))
        if (!add_prompt(ask, model, json, i, fault))
            return false;
    return true;
}
