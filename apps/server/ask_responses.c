// server/ask_responses.c -- OpenAI's responses: items become the library's messages, one by one.
#include "server/ask.h"
#include "server/turns.h"

struct reader {
    const struct json *json;
    struct fault *fault;
    struct turns turns;
};

// A string, or a list of parts that are texts under any of their names.
static bool join_texts(struct reader *r, size_t node, const char *name, struct text *out)
{
    const struct json *json = r->json;
    if (app_json_is(json, node, JSON_STRING)) {
        app_json_content(json, node, out);
        return true;
    }
    if (!app_json_is(json, node, JSON_ARRAY))
        return ask_wrong(r->fault, json, node, name, "a string or a list of parts");
    for (size_t i = app_json_first(json, node); i != JSON_NONE; i = app_json_next(json, node, i)) {
        const size_t text = ask_member(json, i, ask_is_type(json, i, "refusal") ? "refusal" : "text");
        if (!app_json_is(json, text, JSON_STRING))
            return fault_set(r->fault, ERROR_INVALID, name, "%s holds a part that is no text; only text is read so far",
                             name);
        app_json_content(json, text, out);
    }
    return true;
}

static bool read_message(struct reader *r, size_t item)
{
    static const char *const roles[] = { "user", "system", "developer" };
    const struct json *json = r->json;
    const size_t role = ask_member(json, item, "role");
    struct text plain = { 0 }, raw = { 0 };
    const char *name = app_json_equals(json, role, "assistant") ? "assistant" : NULL;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; ++i)
        name = app_json_equals(json, role, roles[i]) ? roles[i] : name;
    if (!name)
        return ask_wrong(r->fault, json, role, "role", "\"user\", \"assistant\", \"system\" or \"developer\"");
    const bool good = join_texts(r, ask_member(json, item, "content"), "content", &plain);
    if (good && name[0] == 'a') {
        turns_add_content(&r->turns, &plain);
    } else if (good) {
        app_text_json(&raw, app_text_of(&plain), plain.size);
        turns_add(&r->turns, name, &raw);
    }
    app_text_free(&plain);
    app_text_free(&raw);
    return good;
}

static bool read_call(struct reader *r, size_t item)
{
    struct text id = { 0 }, name = { 0 }, arguments = { 0 };
    const struct json *json = r->json;
    app_json_content(json, ask_member(json, item, "call_id"), &id);
    app_json_content(json, ask_member(json, item, "name"), &name);
    app_json_raw(json, ask_member(json, item, "arguments"), &arguments);
    turns_add_call(&r->turns, &id, &name, &arguments);
    app_text_free(&id);
    app_text_free(&name);
    app_text_free(&arguments);
    return true;
}

static bool read_call_output(struct reader *r, size_t item)
{
    struct text id = { 0 }, plain = { 0 }, raw = { 0 };
    app_json_content(r->json, ask_member(r->json, item, "call_id"), &id);
    const bool good = join_texts(r, ask_member(r->json, item, "output"), "output", &plain);
    if (good) {
        app_text_json(&raw, app_text_of(&plain), plain.size);
        turns_add_result(&r->turns, &id, &raw);
    }
    app_text_free(&id);
    app_text_free(&plain);
    app_text_free(&raw);
    return good;
}

static bool read_reasoning(struct reader *r, size_t item)
{
    const size_t content = ask_member(r->json, item, "content");
    struct text plain = { 0 };
    const bool good = content == JSON_NONE || join_texts(r, content, "content", &plain);
    if (good && plain.size)
        turns_add_thought(&r->turns, &plain);
    app_text_free(&plain);
    return good;
}

static bool read_item(struct reader *r, size_t item)
{
    static const struct {
        const char *type;
        bool (*read)(struct reader *, size_t);
    } types[] = { { "message", read_message },
                  { "function_call", read_call },
                  { "function_call_output", read_call_output },
                  { "reasoning", read_reasoning } };
    if (!app_json_is(r->json, item, JSON_OBJECT))
        return ask_wrong(r->fault, r->json, item, "input", "a list of objects");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i)
        if (ask_is_type(r->json, item, types[i].type))
            return types[i].read(r, item);
    if (ask_member(r->json, item, "type") == JSON_NONE)
        return read_message(r, item);
    return fault_set(r->fault, ERROR_INVALID, "input",
                     "input holds an item of a type other than message, function_call, function_call_output and "
                     "reasoning");
}

static bool read_input(struct reader *r)
{
    const struct json *json = r->json;
    const size_t input = ask_member(json, 0, "input");
    struct text raw = { 0 };
    bool good = true;
    if (app_json_is(json, input, JSON_STRING)) {
        app_json_raw(json, input, &raw);
        turns_add(&r->turns, "user", &raw);
        app_text_free(&raw);
    } else if (app_json_is(json, input, JSON_ARRAY) && app_json_count(json, input) > 0) {
        for (size_t i = app_json_first(json, input); good && i != JSON_NONE; i = app_json_next(json, input, i))
            good = read_item(r, i);
    } else {
        good = ask_wrong(r->fault, json, input, "input", "a string or a list of items");
    }
    return good;
}

static bool read_conversation(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t instructions = ask_member(json, 0, "instructions");
    struct reader r = { .json = json, .fault = fault, .turns = { .out = &ask->said, .n = ask->said.size > 0 } };
    if (instructions != JSON_NONE && !app_json_is(json, instructions, JSON_STRING))
        return ask_wrong(fault, json, instructions, "instructions", "a string");
    const bool good = read_input(&r);
    ask->has_begun = good && turns_take_begun(&r.turns, &ask->begun);
    turns_end(&r.turns);
    app_text_add(&ask->chat, "{\"messages\":[");
    if (instructions != JSON_NONE) {
        app_text_add(&ask->chat, "{\"role\":\"system\",\"content\":");
        app_json_raw(json, instructions, &ask->chat);
        app_text_add(&ask->chat, ask->said.size > 0 ? "}," : "}");
    }
    app_text_append(&ask->chat, app_text_of(&ask->said), ask->said.size);
    app_text_add(&ask->chat, "]");
    return good;
}

static bool read_rest(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t format = ask_member(json, ask_member(json, 0, "text"), "format");
    const size_t effort = ask_member(json, ask_member(json, 0, "reasoning"), "effort");
    const size_t store = ask_member(json, 0, "store");
    if (store != JSON_NONE && !app_json_is(json, store, JSON_TRUE) && !app_json_is(json, store, JSON_FALSE))
        return ask_wrong(fault, json, store, "store", "true or false");
    ask->forget = app_json_is(json, store, JSON_FALSE);
    if (!ask_read_format(ask, json, format, "text.format", fault))
        return false;
    return ask_read_effort(ask, json, effort, "reasoning.effort", fault);
}

static bool is_function(const struct json *json, size_t tool)
{
    return ask_is_type(json, tool, "function");
}

static const struct tool_form tool_form = {
    is_function,
    "parameters",
    "a tool is of a type other than \"function\", which a server would have to run itself",
};

bool ask_read_responses(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t choice = ask_member(json, 0, "tool_choice"), tools = ask_member(json, 0, "tools");
    if (!ask_read_wishes(ask, json, fault) || !ask_refuse(json, fault) || !ask_read_formats(ask, json, fault) ||
        !read_rest(ask, json, fault) || !ask_read_logprobs_include(ask, json, fault) ||
        !ask_read_choice(ask, json, choice, fault) || !read_conversation(ask, json, fault))
        return false;
    if (!ask_read_tools(ask, json, &tool_form, fault))
        return false;
    const bool has_tools = app_json_is(json, tools, JSON_ARRAY) && app_json_count(json, tools) > 0;
    return ask_finish_chat(ask, json, JSON_NONE, has_tools, fault);
}
