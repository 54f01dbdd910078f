// text/chat_tools.c -- tool declarations: a schema in the model's own notation.
#include "text/chat_writer.h"

static enum karat_status write_properties(struct chat_writer *w, const struct json *properties, bool filter);

static void write_separator(struct chat_writer *w, bool *first)
{
    if (!*first)
        writer_string(w, ",");
    *first = false;
}

// The elements that the template language finds in a value: of a list, the keys of an object, characters of a string.
static enum karat_status write_names(struct chat_writer *w, const struct json *names)
{
    bool first = true;
    if (names->kind != JSON_ARRAY && names->kind != JSON_OBJECT)
        return REJECT(w, "\"required\" in a tool's schema is %s, expected a list of names", json_kind_name(names));
    for (const struct json *name = names->first_child; name; name = name->next) {
        write_separator(w, &first);
        if (names->kind == JSON_OBJECT)
            writer_quoted(w, name->key);
        else
            chat_write_quoted_plain(w, name);
    }
    return KARAT_OK;
}

static enum karat_status write_required(struct chat_writer *w, const struct json *names)
{
    writer_string(w, "required:[");
    const enum karat_status status = write_names(w, names);
    writer_string(w, "]");
    return status;
}

// ---------------------------------------------------------------------------------------------------- items

static enum karat_status write_item_type(struct chat_writer *w, const struct json *type)
{
    writer_string(w, "type:");
    if (type->kind == JSON_STRING) {
        chat_write_quoted_upper(w, type);
        return KARAT_OK;
    }
    if (type->kind != JSON_ARRAY)
        return REJECT(w, "\"type\" of a tool's list items is %s, expected a name", json_kind_name(type));
    bool first = true;
    writer_string(w, "[");
    for (const struct json *name = type->first_child; name; name = name->next) {
        write_separator(w, &first);
        chat_write_quoted_upper(w, name);
    }
    writer_string(w, "]");
    return KARAT_OK;
}

static enum karat_status write_item_field(struct chat_writer *w, const struct json *field)
{
    enum karat_status status = KARAT_OK;
    if (span_is(field->key, "properties")) {
        writer_string(w, "properties:{");
        if (field->kind == JSON_OBJECT)
            TRY(write_properties(w, field, false));
        writer_string(w, "}");
    } else if (span_is(field->key, "required")) {
        TRY(write_required(w, field));
    } else if (span_is(field->key, "type")) {
        TRY(write_item_type(w, field));
    } else {
        writer_text(w, field->key);
        writer_string(w, ":");
        chat_write_value(w, field, CHAT_KEYS_QUOTED);
    }
cleanup:
    return status;
}

static enum karat_status write_items(struct chat_writer *w, const struct json *items)
{
    enum karat_status status = KARAT_OK;
    const struct json **fields = chat_sorted_members(w, items);
    bool first = true;
    writer_string(w, "items:{");
    for (size_t i = 0; fields && i < items->n_children; ++i) {
        if (fields[i]->kind == JSON_NULL)
            continue;
        write_separator(w, &first);
        TRY(write_item_field(w, fields[i]));
    }
    writer_string(w, "}");
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- properties

// An object without a mapping of properties is read as a mapping itself, its own keywords left out.
static enum karat_status write_object_fields(struct chat_writer *w, const struct json *schema, bool *first)
{
    enum karat_status status = KARAT_OK;
    const struct json *properties = json_find(schema, "properties");
    const struct json *required = json_find(schema, "required");
    const bool mapping = json_is(properties, JSON_OBJECT);
    write_separator(w, first);
    writer_string(w, "properties:{");
    TRY(write_properties(w, mapping ? properties : schema, !mapping));
    writer_string(w, "}");
    if (json_truthy(required)) {
        write_separator(w, first);
        TRY(write_required(w, required));
    }
cleanup:
    return status;
}

static enum karat_status write_fields(struct chat_writer *w, const struct json *schema)
{
    enum karat_status status = KARAT_OK;
    const struct json *type = json_find(schema, "type");
    const struct json *description = json_find(schema, "description");
    const struct json *choices = json_find(schema, "enum");
    const struct json *items = json_find(schema, "items");
    bool first = true;
    if (json_truthy(description)) {
        write_separator(w, &first);
        writer_string(w, "description:");
        chat_write_quoted_plain(w, description);
    }
    if (chat_is_upper(type, "STRING") && json_truthy(choices)) {
        write_separator(w, &first);
        writer_string(w, "enum:");
        chat_write_value(w, choices, CHAT_KEYS_QUOTED);
    }
    if (chat_is_upper(type, "ARRAY") && json_is(items, JSON_OBJECT) && json_truthy(items)) {
        write_separator(w, &first);
        TRY(write_items(w, items));
    }
    if (json_truthy(json_find(schema, "nullable"))) {
        write_separator(w, &first);
        writer_string(w, "nullable:true");
    }
    if (chat_is_upper(type, "OBJECT"))
        TRY(write_object_fields(w, schema, &first));
    write_separator(w, &first);
    writer_string(w, "type:");
    chat_write_quoted_upper(w, type);
cleanup:
    return status;
}

static bool is_keyword(struct span key)
{
    return span_is(key, "description") || span_is(key, "type") || span_is(key, "properties") ||
           span_is(key, "required") || span_is(key, "nullable");
}

static enum karat_status write_properties(struct chat_writer *w, const struct json *properties, bool filter)
{
    enum karat_status status = KARAT_OK;
    const struct json **members = chat_sorted_members(w, properties);
    bool first = true;
    for (size_t i = 0; members && i < properties->n_children; ++i) {
        if (filter && is_keyword(members[i]->key))
            continue;
        write_separator(w, &first);
        writer_text(w, members[i]->key);
        writer_string(w, ":{");
        TRY(write_fields(w, members[i]));
        writer_string(w, "}");
    }
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- declarations

// Without a type the closing brace is missing; chat_fixes.c sees to it that there always is one.
static enum karat_status write_parameters(struct chat_writer *w, const struct json *parameters)
{
    enum karat_status status = KARAT_OK;
    const struct json *properties = json_find(parameters, "properties");
    const struct json *required = json_find(parameters, "required");
    const struct json *type = json_find(parameters, "type");
    writer_string(w, ",parameters:{");
    if (json_truthy(properties)) {
        if (properties->kind != JSON_OBJECT)
            return REJECT(w, "\"properties\" in a tool's parameters is %s, expected an object",
                          json_kind_name(properties));
        writer_string(w, "properties:{");
        TRY(write_properties(w, properties, false));
        writer_string(w, "},");
    }
    if (json_truthy(required)) {
        TRY(write_required(w, required));
        writer_string(w, ",");
    }
    if (json_truthy(type)) {
        writer_string(w, "type:");
        chat_write_quoted_upper(w, type);
        writer_string(w, "}");
    }
cleanup:
    return status;
}

static void write_response(struct chat_writer *w, const struct json *response)
{
    const struct json *description = json_find(response, "description");
    const struct json *type = json_find(response, "type");
    writer_string(w, ",response:{");
    if (json_truthy(description)) {
        writer_string(w, "description:");
        chat_write_quoted_plain(w, description);
        writer_string(w, ",");
    }
    if (chat_is_upper(type, "OBJECT")) {
        writer_string(w, "type:");
        chat_write_quoted_upper(w, type);
        writer_string(w, "}");
    }
}

static enum karat_status write_declaration(struct chat_writer *w, const struct json *function)
{
    enum karat_status status = KARAT_OK;
    const struct json *parameters = json_find(function, "parameters");
    const struct json *response = json_find(function, "response");
    writer_string(w, "declaration:");
    chat_write_plain(w, json_find(function, "name"));
    writer_string(w, "{description:");
    chat_write_quoted_plain(w, json_find(function, "description"));
    if (json_truthy(parameters))
        TRY(write_parameters(w, parameters));
    if (response)
        write_response(w, response);
    writer_string(w, "}");
cleanup:
    return status;
}

enum karat_status chat_write_tools(struct chat_writer *w, const struct json *tools)
{
    enum karat_status status = KARAT_OK;
    size_t index = 0;
    for (const struct json *tool = tools->first_child; tool; tool = tool->next, ++index) {
        const struct json *function = json_find(tool, "function");
        if (!json_is(function, JSON_OBJECT))
            return REJECT(w, "tools[%zu]: \"function\" is %s, expected an object", index, json_kind_name(function));
        writer_control(w, "<|tool>");
        TRY(write_declaration(w, function));
        writer_control(w, "<tool|>");
    }
cleanup:
    return status;
}
