// server/ask_format.c -- what an answer must keep to: a schema, a grammar, or calls of tools.
#include "server/ask.h"
#include "server/turns.h"

static bool take_schema(struct ask *ask, const struct json *json, size_t schema, const char *name, struct fault *fault)
{
    const bool is_schema = app_json_is(json, schema, JSON_OBJECT) || app_json_is(json, schema, JSON_TRUE);
    if (!is_schema)
        return ask_wrong(fault, json, schema, name, "a JSON Schema");
    app_text_clear(&ask->schema);
    app_json_raw(json, schema, &ask->schema);
    return true;
}

bool ask_read_format(struct ask *ask, const struct json *json, size_t format, const char *name, struct fault *fault)
{
    const size_t inner = ask_member(json, format, "json_schema");
    size_t schema = ask_member(json, inner, "schema");
    if (schema == JSON_NONE)
        schema = ask_member(json, format, "schema");
    if (format == JSON_NONE || ask_is_type(json, format, "text"))
        return true;
    if (ask_is_type(json, format, "json_schema"))
        return take_schema(ask, json, schema, "schema", fault);
    if (!ask_is_type(json, format, "json_object"))
        return ask_wrong(fault, json, format, name, "an object of type text, json_object or json_schema");
    if (schema != JSON_NONE)
        return take_schema(ask, json, schema, "schema", fault);
    app_text_add(&ask->schema, "{\"type\":\"object\"}");
    return true;
}

bool ask_read_formats(struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t schema = ask_member(json, 0, "json_schema"), grammar = ask_member(json, 0, "grammar");
    if (!ask_read_format(ask, json, ask_member(json, 0, "response_format"), "response_format", fault) ||
        (schema != JSON_NONE && !take_schema(ask, json, schema, "json_schema", fault)))
        return false;
    if (grammar == JSON_NONE)
        return true;
    if (!app_json_is(json, grammar, JSON_STRING))
        return ask_wrong(fault, json, grammar, "grammar", "a string");
    app_json_content(json, grammar, &ask->grammar);
    return true;
}

bool ask_read_choice(struct ask *ask, const struct json *json, size_t choice, struct fault *fault)
{
    const size_t function = ask_member(json, choice, "function");
    const size_t name = ask_member(json, function == JSON_NONE ? choice : function, "name");
    const bool named = app_json_is(json, name, JSON_STRING);
    if (choice == JSON_NONE || app_json_equals(json, choice, "auto") || ask_is_type(json, choice, "auto"))
        return true;
    if (app_json_equals(json, choice, "none") || ask_is_type(json, choice, "none")) {
        ask->tool_choice = KARAT_TOOLS_NONE;
        return true;
    }
    if (named)
        app_json_content(json, name, &ask->tool);
    if (named || app_json_equals(json, choice, "required") || ask_is_type(json, choice, "any")) {
        ask->tool_choice = KARAT_TOOLS_REQUIRED;
        return true;
    }
    return ask_wrong(fault, json, choice, "tool_choice", "auto, none, required, any or a tool with its name");
}

bool ask_read_tools(struct ask *ask, const struct json *json, const struct tool_form *form, struct fault *fault)
{
    const size_t tools = ask_member(json, 0, "tools");
    bool any = false;
    if (tools == JSON_NONE || ask->tool_choice == KARAT_TOOLS_NONE)
        return true;
    if (!app_json_is(json, tools, JSON_ARRAY))
        return ask_wrong(fault, json, tools, "tools", "a list of tools");
    for (size_t i = app_json_first(json, tools); i != JSON_NONE; i = app_json_next(json, tools, i)) {
        if (!form->is_declared(json, i))
            return fault_set(fault, ERROR_INVALID, "tools", "%s", form->otherwise);
        app_text_add(&ask->chat, any ? "," : ",\"tools\":[");
        turns_add_tool(&ask->chat, json, i, form->schema);
        any = true;
    }
    app_text_add(&ask->chat, any ? "]" : "");
    return true;
}

bool ask_check_format(const struct ask *ask, bool has_tools, struct fault *fault)
{
    if (ask->schema.size > 0 && ask->grammar.size > 0)
        return fault_set(fault, ERROR_INVALID, "grammar",
                         "a schema and a grammar were asked for, expected one of them");
    if (ask->tool_choice == KARAT_TOOLS_REQUIRED && !has_tools)
        return fault_set(fault, ERROR_INVALID, "tool_choice", "tool_choice forces a call, but there are no tools");
    if (ask->grammar.size > 0 && has_tools)
        return fault_set(fault, ERROR_INVALID, "grammar", "a grammar does not go together with tools");
    if (ask->has_begun && ask->tool_choice == KARAT_TOOLS_REQUIRED)
        return fault_set(fault, ERROR_INVALID, "messages",
                         "a final message of the assistant is gone on from without forced calls only");
    return true;
}
