// server/ask.c -- the table of fields, and what all readers share.
#include "server/ask.h"

#include <event2/util.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { WHOLE, NUMBER, SWITCH };

#define FIELD(member) offsetof(struct ask, member)

// The first name of an offset that is given counts.
static const struct {
    const char *name;
    enum kind kind;
    size_t offset;
    double low, high;
} fields[] = {
    { "max_completion_tokens", WHOLE, FIELD(max_tokens), -1, 1048576 },
    { "max_output_tokens", WHOLE, FIELD(max_tokens), 1, 1048576 },
    { "max_tokens", WHOLE, FIELD(max_tokens), -1, 1048576 },
    { "n_predict", WHOLE, FIELD(max_tokens), -1, 1048576 },
    { "temperature", NUMBER, FIELD(temperature), 0, 100 },
    { "top_k", WHOLE, FIELD(top_k), -1, 1048576 },
    { "top_p", NUMBER, FIELD(top_p), 0, 1 },
    { "min_p", NUMBER, FIELD(min_p), 0, 1 },
    { "repeat_penalty", NUMBER, FIELD(repeat_penalty), 0, 10 },
    { "presence_penalty", NUMBER, FIELD(presence_penalty), -2, 2 },
    { "frequency_penalty", NUMBER, FIELD(frequency_penalty), -2, 2 },
    { "seed", WHOLE, FIELD(seed), -9223372036854775808.0, 18446744073709551615.0 },
    { "n", WHOLE, FIELD(n), 1, ASK_CHOICES_MAX },
    { "thinking_budget_tokens", WHOLE, FIELD(thought), -1, 1048576 },
    { "thinking_budget", WHOLE, FIELD(thought), -1, 1048576 },
    { "reasoning_budget", WHOLE, FIELD(thought), -1, 1048576 },
    { "stream", SWITCH, FIELD(stream), 0, 1 },
    { "parallel_tool_calls", SWITCH, FIELD(parallel_calls), 0, 1 },
    { "add_special", SWITCH, FIELD(add_special), 0, 1 },
    { "parse_special", SWITCH, FIELD(parse_special), 0, 1 },
    { "with_pieces", SWITCH, FIELD(with_pieces), 0, 1 },
};

// What changes the answer and is not served: to drop it without a word would be worse than to say so.
static const struct {
    const char *name;
} refused[] = {
    { "audio" },
    { "prediction" },
    { "samplers" },
    { "conversation" },
};

void ask_free(struct ask *ask)
{
    for (size_t i = 0; i < ask->n_prompts; ++i)
        karat_free(ask->prompts[i].ids);
    for (size_t i = 0; i < ask->n_stops; ++i)
        free(ask->stops[i]);
    free(ask->prompts);
    free(ask->biases);
    app_text_free(&ask->chat);
    app_text_free(&ask->begun);
    app_text_free(&ask->said);
    app_text_free(&ask->items);
    app_text_free(&ask->previous);
    app_text_free(&ask->schema);
    app_text_free(&ask->grammar);
    app_text_free(&ask->tool);
    *ask = (struct ask){ 0 };
}

// ---------------------------------------------------------------------------------------------------- looking

size_t ask_member(const struct json *json, size_t object, const char *name)
{
    const size_t node = app_json_member(json, object, name);
    return app_json_is(json, node, JSON_NULL) ? JSON_NONE : node;
}

bool ask_is_type(const struct json *json, size_t node, const char *type)
{
    return app_json_equals(json, ask_member(json, node, "type"), type);
}

void ask_describe(const struct json *json, size_t node, struct text *out)
{
    static const char *const names[] = { "null", "false", "true", "a number", "a string", "an array", "an object" };
    if (node == JSON_NONE)
        app_text_add(out, "missing");
    else if (json->nodes[node].kind == JSON_NUMBER && json->nodes[node].end - json->nodes[node].start <= 32)
        app_json_raw(json, node, out);
    else
        app_text_add(out, names[json->nodes[node].kind]);
}

bool ask_wrong(struct fault *fault, const struct json *json, size_t node, const char *name, const char *wanted)
{
    struct text found = { 0 };
    ask_describe(json, node, &found);
    fault_set(fault, ERROR_INVALID, name, "%s is %s, expected %s", name, app_text_of(&found), wanted);
    app_text_free(&found);
    return false;
}

// ---------------------------------------------------------------------------------------------------- the table

static bool read_field(struct wish *out, const struct json *json, size_t node, size_t row, struct fault *fault)
{
    char wanted[96];
    const enum kind kind = fields[row].kind;
    if (kind == SWITCH) {
        if (!app_json_is(json, node, JSON_TRUE) && !app_json_is(json, node, JSON_FALSE))
            return ask_wrong(fault, json, node, fields[row].name, "true or false");
        *out = (struct wish){ true, app_json_is(json, node, JSON_TRUE) };
        return true;
    }
    const double number = app_json_number(json, node);
    if (!app_json_is(json, node, JSON_NUMBER) || !app_number_is_finite(number) || number < fields[row].low ||
        number > fields[row].high || (kind == WHOLE && number != floor(number))) {
        snprintf(wanted, sizeof wanted, "%s from %.0f to %.0f", kind == WHOLE ? "a whole number" : "a number",
                 fields[row].low, fields[row].high);
        return ask_wrong(fault, json, node, fields[row].name, wanted);
    }
    *out = (struct wish){ true, number };
    return true;
}

bool ask_read_wishes(struct ask *ask, const struct json *json, struct fault *fault)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; ++i) {
        struct wish *out = (struct wish *)(void *)((char *)ask + fields[i].offset), wish;
        const size_t node = ask_member(json, 0, fields[i].name);
        if (node == JSON_NONE)
            continue;
        if (!read_field(&wish, json, node, i, fault))
            return false;
        if (!out->given)
            *out = wish;
    }
    return true;
}

// A value that asks for nothing.
static bool is_harmless(const struct json *json, size_t node)
{
    return app_json_is(json, node, JSON_FALSE) ||
           (app_json_is(json, node, JSON_OBJECT) && app_json_count(json, node) == 0);
}

bool ask_refuse(const struct json *json, struct fault *fault)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        const size_t node = ask_member(json, 0, refused[i].name);
        if (node != JSON_NONE && !is_harmless(json, node))
            return fault_set(fault, ERROR_UNSUPPORTED, refused[i].name, "%s is not served yet", refused[i].name);
    }
    return true;
}

// ---------------------------------------------------------------------------------------------------- stop texts

static bool add_stop(struct ask *ask, const struct json *json, size_t node, const char *name, struct fault *fault)
{
    struct text stop = { 0 };
    if (!app_json_is(json, node, JSON_STRING))
        return ask_wrong(fault, json, node, name, "a string or a list of strings");
    app_json_content(json, node, &stop);
    if (stop.size == 0 || strlen(app_text_of(&stop)) != stop.size || ask->n_stops == ASK_STOPS_MAX) {
        const bool empty = stop.size == 0;
        app_text_free(&stop);
        return ask->n_stops == ASK_STOPS_MAX
                   ? fault_set(fault, ERROR_INVALID, name, "%s has more than %d texts", name, ASK_STOPS_MAX)
                   : fault_set(fault, ERROR_INVALID, name, "a text of %s %s", name,
                               empty ? "is empty" : "holds the character U+0000");
    }
    ask->stops[ask->n_stops++] = app_text_take(&stop);
    return true;
}

bool ask_read_stops(struct ask *ask, const struct json *json, const char *name, struct fault *fault)
{
    const size_t stops = ask_member(json, 0, name);
    if (stops == JSON_NONE)
        return true;
    if (!app_json_is(json, stops, JSON_ARRAY))
        return add_stop(ask, json, stops, name, fault);
    for (size_t i = app_json_first(json, stops); i != JSON_NONE; i = app_json_next(json, stops, i))
        if (!add_stop(ask, json, i, name, fault))
            return false;
    return true;
}

// ---------------------------------------------------------------------------------------------------- chats

bool ask_finish_chat(struct ask *ask, const struct json *json, size_t tools, bool has_tools, struct fault *fault)
{
    if (tools != JSON_NONE && !app_json_is(json, tools, JSON_ARRAY))
        return ask_wrong(fault, json, tools, "tools", "a list of tools");
    has_tools = has_tools || (tools != JSON_NONE && app_json_count(json, tools) > 0);
    if (!ask_check_format(ask, has_tools, fault))
        return false;
    if (!has_tools)
        ask->tool_choice = KARAT_TOOLS_AUTO;
    if (tools != JSON_NONE && has_tools && ask->tool_choice != KARAT_TOOLS_NONE) {
        app_text_add(&ask->chat, ",\"tools\":");
        app_json_raw(json, tools, &ask->chat);
    }
    // A budget of nothing is no thought; one below that is no budget.
    if (ask->thought.given && ask->thought.number == 0)
        ask->thinking = false;
    if (ask->has_begun && ask->thinking)
        return fault_set(fault, ERROR_INVALID, "messages",
                         "a final message of the assistant is gone on from without thinking only");
    app_text_format(&ask->chat, ",\"options\":{\"enable_thinking\":%s,\"add_generation_prompt\":true",
                    ask->thinking ? "true" : "false");
    if (ask->has_begun) {
        app_text_add(&ask->chat, ",\"begun_answer\":");
        app_text_json(&ask->chat, app_text_of(&ask->begun), ask->begun.size);
    }
    app_text_add(&ask->chat, "}}");
    return true;
}

// ---------------------------------------------------------------------------------------------------- the whole

// Any whole number is a seed; 0, which means the clock to the library, becomes another one.
static uint64_t seed_of(const struct wish *wish)
{
    uint64_t seed = 0;
    if (wish->given)
        seed = wish->number < 0                         ? (uint64_t)(int64_t)wish->number
               : wish->number >= 18446744073709551615.0 ? UINT64_MAX
                                                        : (uint64_t)wish->number;
    else
        evutil_secure_rng_get_bytes(&seed, sizeof seed);
    return seed ? seed : 0x9e3779b97f4a7c15u;
}

void ask_finish(struct ask *ask, uint32_t n_vocab)
{
    struct karat_sampling *s = &ask->generate.sampling;
    ask->n_choices = ask->n.given ? (unsigned)ask->n.number : 1;
    if (ask->max_tokens.given && ask->max_tokens.number > 0)
        ask->generate.max_tokens = (uint32_t)ask->max_tokens.number;
    s->greedy = ask->temperature.given && ask->temperature.number == 0;
    s->temperature = (float)ask->temperature.number;
    // Zero means the file's recommendation to the library, and no limit or the best token alone to clients.
    if (ask->top_k.given)
        s->top_k = ask->top_k.number > 0 ? (uint32_t)ask->top_k.number : n_vocab;
    if (ask->top_p.given)
        s->top_p = ask->top_p.number > 1e-6 ? (float)ask->top_p.number : 1e-6f;
    s->min_p = (float)ask->min_p.number;
    s->repeat_penalty =
        ask->repeat_penalty.given && ask->repeat_penalty.number > 0 ? (float)ask->repeat_penalty.number : 1;
    s->presence_penalty = (float)ask->presence_penalty.number;
    s->frequency_penalty = (float)ask->frequency_penalty.number;
    s->seed = seed_of(&ask->seed);
    s->biases = ask->biases;
    s->n_biases = ask->n_biases;
    ask->generate.n_top = ask->n_top;
    ask->generate.thinking = ask->thinking;
    if (ask->thought.given && ask->thought.number > 0)
        ask->generate.max_thought = (uint32_t)ask->thought.number;
    ask->generate.schema = ask->schema.size ? ask->schema.data : NULL;
    ask->generate.grammar = ask->grammar.size ? ask->grammar.data : NULL;
    ask->generate.tool_choice = ask->tool_choice;
    ask->generate.tool = ask->tool.size ? ask->tool.data : NULL;
    ask->generate.one_call = ask->parallel_calls.given && ask->parallel_calls.number == 0;
    ask->generate.stop = (const char *const *)ask->stops;
    ask->generate.n_stop = ask->n_stops;
}
