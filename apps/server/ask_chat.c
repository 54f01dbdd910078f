// server/ask_chat.c -- OpenAI's chat completions: messages go to the library as they are, which speaks that dialect.
#include "server/ask.h"

static bool read_template_options(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t options = ask_member(json, 0, "chat_template_kwargs");
    const size_t thinking = ask_member(json, options, "enable_thinking");
    if (options != JSON_NONE && !app_json_is(json, options, JSON_OBJECT))
        return ask_wrong(fault, json, options, "chat_template_kwargs", "an object");
    if (thinking == JSON_NONE)
        return true;
    if (!app_json_is(json, thinking, JSON_TRUE) && !app_json_is(json, thinking, JSON_FALSE))
        return ask_wrong(fault, json, thinking, "chat_template_kwargs.enable_thinking", "true or false");
    ask->thinking = app_json_is(json, thinking, JSON_TRUE);
    return true;
}

static bool read_thinking(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t format = ask_member(json, 0, "reasoning_format");
    if (!ask_read_effort(ask, json, ask_member(json, 0, "reasoning_effort"), "reasoning_effort", fault))
        return false;
    if (format != JSON_NONE) {
        if (!app_json_equals(json, format, "auto") && !app_json_equals(json, format, "deepseek") &&
            !app_json_equals(json, format, "none"))
            return ask_wrong(fault, json, format, "reasoning_format", "\"auto\", \"deepseek\" or \"none\"");
        ask->hide_thoughts = app_json_equals(json, format, "none");
    }
    return read_template_options(ask, json, fault);
}

static bool read_stream_options(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t options = ask_member(json, 0, "stream_options"), usage = ask_member(json, options, "include_usage");
    if (options != JSON_NONE && !app_json_is(json, options, JSON_OBJECT))
        return ask_wrong(fault, json, options, "stream_options", "an object");
    if (usage != JSON_NONE && !app_json_is(json, usage, JSON_TRUE) && !app_json_is(json, usage, JSON_FALSE))
        return ask_wrong(fault, json, usage, "stream_options.include_usage", "true or false");
    ask->include_usage = app_json_is(json, usage, JSON_TRUE);
    return true;
}

static bool is_assistant(const struct json *json, size_t message)
{
    return app_json_equals(json, ask_member(json, message, "role"), "assistant");
}

// A final message of the assistant without calls is no message: the answer goes on from it.
static bool read_begun(struct ask *ask, const struct json *json, size_t message, struct fault *fault)
{
    const size_t content = ask_member(json, message, "content");
    ask->has_begun = true;
    if (app_json_is(json, content, JSON_STRING)) {
        app_json_content(json, content, &ask->begun);
        return true;
    }
    for (size_t i = app_json_first(json, content); i != JSON_NONE; i = app_json_next(json, content, i)) {
        const size_t text = ask_member(json, i, "text");
        if (!app_json_is(json, text, JSON_STRING))
            return fault_set(fault, ERROR_INVALID, "messages", "a final message of the assistant may hold text only");
        app_json_content(json, text, &ask->begun);
    }
    return true;
}

static bool read_messages(struct ask *ask, const struct json *json, size_t messages, struct fault *fault)
{
    size_t last = JSON_NONE, before = JSON_NONE;
    for (size_t i = app_json_first(json, messages); i != JSON_NONE; i = app_json_next(json, messages, i)) {
        before = last;
        last = i;
    }
    const bool begun = is_assistant(json, last) && ask_member(json, last, "tool_calls") == JSON_NONE;
    if (begun && before != JSON_NONE && is_assistant(json, before))
        return fault_set(fault, ERROR_INVALID, "messages",
                         "messages ends with two messages of the assistant, expected at most one");
    if (begun && !read_begun(ask, json, last, fault))
        return false;
    app_text_add(&ask->chat, "{\"messages\":[");
    for (size_t i = app_json_first(json, messages); i != JSON_NONE; i = app_json_next(json, messages, i)) {
        if (begun && i == last)
            break;
        app_text_add(&ask->chat, i == app_json_first(json, messages) ? "" : ",");
        app_json_raw(json, i, &ask->chat);
    }
    app_text_add(&ask->chat, "]");
    return true;
}

bool ask_read_chat(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t messages = ask_member(json, 0, "messages");
    if (!app_json_is(json, messages, JSON_ARRAY))
        return ask_wrong(fault, json, messages, "messages", "a list of messages");
    if (app_json_count(json, messages) == 0)
        return fault_set(fault, ERROR_INVALID, "messages", "messages is empty, expected at least one message");
    if (!ask_read_wishes(ask, json, fault) || !ask_read_stops(ask, json, "stop", fault) || !ask_refuse(json, fault) ||
        !ask_read_formats(ask, json, fault) || !read_thinking(ask, json, fault) ||
        !ask_read_logprobs(ask, json, fault) || !read_stream_options(ask, json, fault))
        return false;
    if (!read_messages(ask, json, messages, fault))
        return false;
    return ask_read_choice(ask, json, ask_member(json, 0, "tool_choice"), fault) &&
           ask_finish_chat(ask, json, ask_member(json, 0, "tools"), false, fault);
}
