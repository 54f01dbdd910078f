// server/ask_messages.c -- Anthropic's messages: blocks become the library's messages, one by one.
#include <stdio.h>
#include <string.h>

#include "server/ask.h"
#include "server/turns.h"

struct reader {
    const struct json *json;
    struct fault *fault;
    struct turns turns;
};

// The texts of a string or a list of text blocks, joined.
static bool join_texts(struct reader *r, size_t node, const char *name, struct text *out)
{
    const struct json *json = r->json;
    if (node == JSON_NONE)
        return true;
    if (app_json_is(json, node, JSON_STRING)) {
        app_json_content(json, node, out);
        return true;
    }
    if (!app_json_is(json, node, JSON_ARRAY))
        return ask_wrong(r->fault, json, node, name, "a string or a list of text blocks");
    for (size_t i = app_json_first(json, node); i != JSON_NONE; i = app_json_next(json, node, i)) {
        const size_t text = ask_member(json, i, "text");
        struct text plain = { 0 };
        if (!ask_is_type(json, i, "text") || !app_json_is(json, text, JSON_STRING))
            return fault_set(r->fault, ERROR_INVALID, name, "%s holds a block that is no text", name);
        app_json_content(json, text, &plain);
        // It changes with every request and would make every prompt a new one.
        if (strncmp(app_text_of(&plain), "x-anthropic-billing-header", 26) != 0) {
            app_text_add(out, out->size ? "\n" : "");
            app_text_append(out, app_text_of(&plain), plain.size);
        }
        app_text_free(&plain);
    }
    return true;
}

static bool read_system(struct reader *r)
{
    struct text plain = { 0 }, raw = { 0 };
    const bool good = join_texts(r, ask_member(r->json, 0, "system"), "system", &plain);
    if (good && plain.size) {
        app_text_json(&raw, plain.data, plain.size);
        turns_add(&r->turns, "system", &raw);
    }
    app_text_free(&plain);
    app_text_free(&raw);
    return good;
}

static bool read_result(struct reader *r, size_t block)
{
    const size_t id_node = ask_member(r->json, block, "tool_use_id");
    struct text id = { 0 }, plain = { 0 }, raw = { 0 };
    bool good = app_json_is(r->json, id_node, JSON_STRING);
    if (!good)
        ask_wrong(r->fault, r->json, id_node, "tool_use_id", "a string");
    if (good && app_json_is(r->json, ask_member(r->json, block, "is_error"), JSON_TRUE))
        app_text_add(&plain, "error: ");
    good = good && join_texts(r, ask_member(r->json, block, "content"), "tool_result.content", &plain);
    if (good) {
        app_json_content(r->json, id_node, &id);
        app_text_json(&raw, app_text_of(&plain), plain.size);
        turns_add_result(&r->turns, &id, &raw);
    }
    app_text_free(&id);
    app_text_free(&plain);
    app_text_free(&raw);
    return good;
}

// Results first: they answer the calls before this message. What else the user said follows in one message.
static bool read_user_blocks(struct reader *r, size_t content)
{
    const struct json *json = r->json;
    struct text parts = { 0 };
    bool good = true;
    for (size_t i = app_json_first(json, content); good && i != JSON_NONE; i = app_json_next(json, content, i))
        if (ask_is_type(json, i, "tool_result")) {
            good = read_result(r, i);
        } else {
            app_text_add(&parts, parts.size ? "," : "[");
            app_json_raw(json, i, &parts);
        }
    if (good && parts.size) {
        app_text_add(&parts, "]");
        turns_add(&r->turns, "user", &parts);
    }
    app_text_free(&parts);
    return good;
}

static bool read_model_block(struct reader *r, size_t block)
{
    const struct json *json = r->json;
    struct text text = { 0 }, id = { 0 }, arguments = { 0 };
    bool good = true;
    if (ask_is_type(json, block, "text")) {
        app_json_content(json, ask_member(json, block, "text"), &text);
        turns_add_content(&r->turns, &text);
    } else if (ask_is_type(json, block, "thinking")) {
        app_json_content(json, ask_member(json, block, "thinking"), &text);
        turns_add_thought(&r->turns, &text);
    } else if (ask_is_type(json, block, "tool_use")) {
        app_json_content(json, ask_member(json, block, "name"), &text);
        app_json_content(json, ask_member(json, block, "id"), &id);
        app_json_raw(json, ask_member(json, block, "input"), &arguments);
        turns_add_call(&r->turns, &id, &text, &arguments);
    } else if (!ask_is_type(json, block, "redacted_thinking")) {
        good = fault_set(r->fault, ERROR_INVALID, "messages", "messages holds an assistant's block of an unknown type");
    }
    app_text_free(&text);
    app_text_free(&id);
    app_text_free(&arguments);
    return good;
}

static bool read_message(struct reader *r, size_t message)
{
    const struct json *json = r->json;
    const size_t role = ask_member(json, message, "role"), content = ask_member(json, message, "content");
    const bool model = app_json_equals(json, role, "assistant");
    struct text raw = { 0 };
    if (!app_json_is(json, message, JSON_OBJECT))
        return ask_wrong(r->fault, json, message, "messages", "a list of objects");
    if (!model && !app_json_equals(json, role, "user") && !app_json_equals(json, role, "system"))
        return ask_wrong(r->fault, json, role, "role", "\"user\" or \"assistant\"");
    if (app_json_is(json, content, JSON_STRING)) {
        if (model) {
            app_json_content(json, content, &raw);
            turns_add_content(&r->turns, &raw);
        } else {
            app_json_raw(json, content, &raw);
            turns_add(&r->turns, app_json_equals(json, role, "system") ? "system" : "user", &raw);
        }
        app_text_free(&raw);
        return true;
    }
    if (!app_json_is(json, content, JSON_ARRAY))
        return ask_wrong(r->fault, json, content, "content", "a string or a list of blocks");
    if (!model)
        return read_user_blocks(r, content);
    for (size_t i = app_json_first(json, content); i != JSON_NONE; i = app_json_next(json, content, i))
        if (!read_model_block(r, i))
            return false;
    return true;
}

static bool read_conversation(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t messages = ask_member(json, 0, "messages");
    struct reader r = { .json = json, .fault = fault, .turns = { .out = &ask->chat } };
    if (!app_json_is(json, messages, JSON_ARRAY))
        return ask_wrong(fault, json, messages, "messages", "a list of messages");
    if (app_json_count(json, messages) == 0)
        return fault_set(fault, ERROR_INVALID, "messages", "messages is empty, expected at least one message");
    app_text_add(&ask->chat, "{\"messages\":[");
    bool good = read_system(&r);
    for (size_t i = app_json_first(json, messages); good && i != JSON_NONE; i = app_json_next(json, messages, i))
        good = read_message(&r, i);
    ask->has_begun = good && turns_take_begun(&r.turns, &ask->begun);
    turns_end(&r.turns);
    app_text_add(&ask->chat, "]");
    return good;
}

static bool read_thinking(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t thinking = ask_member(json, 0, "thinking");
    if (thinking == JSON_NONE || ask_is_type(json, thinking, "disabled"))
        return true;
    if (!ask_is_type(json, thinking, "enabled") && !ask_is_type(json, thinking, "adaptive"))
        return ask_wrong(fault, json, thinking, "thinking", "an object of type enabled, adaptive or disabled");
    ask->thinking = true;
    return ask_read_budget(ask, json, ask_member(json, thinking, "budget_tokens"), "thinking.budget_tokens", fault);
}

static bool has_schema(const struct json *json, size_t tool)
{
    return ask_member(json, tool, "input_schema") != JSON_NONE;
}

static const struct tool_form tool_form = {
    has_schema,
    "input_schema",
    "a tool has no input_schema; tools that a server would have to run are not offered here",
};

bool ask_read_messages(struct ask *ask, const struct json *json, bool only_count, struct fault *fault)
{
    const size_t choice = ask_member(json, 0, "tool_choice"), tools = ask_member(json, 0, "tools");
    if (!ask_read_wishes(ask, json, fault) || !ask_read_stops(ask, json, "stop_sequences", fault) ||
        !ask_refuse(json, fault) || !ask_read_formats(ask, json, fault) || !read_thinking(ask, json, fault))
        return false;
    if (!only_count && !ask->max_tokens.given)
        return ask_wrong(fault, json, JSON_NONE, "max_tokens", "a whole number from 1 to 1048576");
    if (app_json_is(json, ask_member(json, choice, "disable_parallel_tool_use"), JSON_TRUE))
        ask->parallel_calls = (struct wish){ true, 0 };
    if (!ask_read_choice(ask, json, choice, fault) || !read_conversation(ask, json, fault) ||
        !ask_read_tools(ask, json, &tool_form, fault))
        return false;
    const bool has_tools = app_json_is(json, tools, JSON_ARRAY) && app_json_count(json, tools) > 0;
    return ask_finish_chat(ask, json, JSON_NONE, has_tools, fault);
}
