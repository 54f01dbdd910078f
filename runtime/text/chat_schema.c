// text/chat_schema.c -- tool declarations brought into the form that the template prints without defects.
#include "text/chat_fixes.h"

static bool set_member(struct arena *arena, struct json **object, const char *key, struct json *value)
{
    *object = value ? chat_with_member(arena, *object, key, value) : NULL;
    return *object != NULL;
}

static bool remove_member(struct arena *arena, struct json **object, const char *key)
{
    if (json_find(*object, key))
        *object = chat_with_member(arena, *object, key, NULL);
    return *object != NULL;
}

static bool set_nullable(struct arena *arena, struct json **schema)
{
    struct json *yes = json_new(arena, JSON_BOOL);
    if (yes)
        yes->boolean = true;
    return set_member(arena, schema, "nullable", yes);
}

// The only element that `is_null` does not hold for, NULL unless it holds for at least one other.
static const struct json *only_other(const struct json *list, bool (*is_null)(const struct json *))
{
    const struct json *other = NULL;
    size_t n_null = 0;
    for (const struct json *element = list->first_child; element; element = element->next) {
        if (is_null(element))
            ++n_null;
        else
            other = element;
    }
    return n_null > 0 && n_null + 1 == list->n_children ? other : NULL;
}

static bool is_null_name(const struct json *name)
{
    return json_is(name, JSON_NULL) || json_is_text(name, "null");
}

static bool is_null_schema(const struct json *schema)
{
    return is_null_name(json_find(schema, "type")) && json_find(schema, "type");
}

// type: [T, "null"] prints as a list that the model has never seen and hides enum, items and properties.
static bool fix_type_list(struct arena *arena, struct json **schema)
{
    const struct json *type = json_find(*schema, "type");
    const struct json *other = json_is(type, JSON_ARRAY) ? only_other(type, is_null_name) : NULL;
    if (!other)
        return true;
    return set_member(arena, schema, "type", json_copy_shallow(arena, other)) && set_nullable(arena, schema);
}

// anyOf: [S, null] would print as an empty type; the members of S come up, what the schema says itself stays.
static bool fix_alternatives(struct arena *arena, struct json **schema, const char *key)
{
    const struct json *list = json_find(*schema, key);
    const struct json *other = json_is(list, JSON_ARRAY) ? only_other(list, is_null_schema) : NULL;
    if (!json_is(other, JSON_OBJECT) || json_find(*schema, "type"))
        return true;
    struct json *merged = chat_with_member(arena, *schema, "", NULL);
    for (const struct json *member = other->first_child; member && merged; member = member->next) {
        if (json_find_span(*schema, member->key))
            continue;
        struct json *copy = json_copy_shallow(arena, member);
        if (!copy)
            return false;
        copy->key = member->key;
        json_append(merged, copy);
    }
    *schema = merged;
    return merged && remove_member(arena, schema, key) && set_nullable(arena, schema);
}

static bool all_strings(const struct json *list)
{
    if (!json_is(list, JSON_ARRAY) || list->n_children == 0)
        return false;
    for (const struct json *element = list->first_child; element; element = element->next)
        if (element->kind != JSON_STRING)
            return false;
    return true;
}

// The type that the other keywords imply; NULL when they say nothing.
static const char *implied_type(const struct json *schema)
{
    return json_is(json_find(schema, "properties"), JSON_OBJECT) ? "object"
           : json_is(json_find(schema, "items"), JSON_OBJECT)    ? "array"
           : all_strings(json_find(schema, "enum"))              ? "string"
                                                                 : NULL;
}

static bool fix_schema(struct arena *arena, struct json **schema);

static bool fix_child(struct arena *arena, struct json **schema, const char *key)
{
    const struct json *child = json_find(*schema, key);
    struct json *fixed = json_is(child, JSON_OBJECT) ? json_copy_shallow(arena, child) : NULL;
    if (!json_is(child, JSON_OBJECT))
        return true;
    return fixed && fix_schema(arena, &fixed) && set_member(arena, schema, key, fixed);
}

static bool fix_properties(struct arena *arena, struct json **schema)
{
    const struct json *properties = json_find(*schema, "properties");
    if (!json_is(properties, JSON_OBJECT))
        return true;
    struct json *fixed = json_new(arena, JSON_OBJECT);
    for (const struct json *property = properties->first_child; fixed && property; property = property->next) {
        struct json *copy = json_copy_shallow(arena, property);
        if (!copy || (copy->kind == JSON_OBJECT && !fix_schema(arena, &copy)))
            return false;
        copy->key = property->key;
        json_append(fixed, copy);
    }
    return set_member(arena, schema, "properties", fixed);
}

static bool fix_schema(struct arena *arena, struct json **schema)
{
    if (!fix_type_list(arena, schema) || !fix_alternatives(arena, schema, "anyOf") ||
        !fix_alternatives(arena, schema, "oneOf"))
        return false;
    const char *type = json_truthy(json_find(*schema, "type")) ? NULL : implied_type(*schema);
    if (type && !set_member(arena, schema, "type", json_new_string(arena, span_text(type))))
        return false;
    // A list of names is all that can be printed.
    if (json_find(*schema, "required") && !json_is(json_find(*schema, "required"), JSON_ARRAY) &&
        !remove_member(arena, schema, "required"))
        return false;
    return fix_properties(arena, schema) && fix_child(arena, schema, "items");
}

static bool fix_parameters(struct arena *arena, struct json **function)
{
    const struct json *parameters = json_find(*function, "parameters");
    if (!json_truthy(parameters))
        return true;
    struct json *fixed = json_copy_shallow(arena, parameters);
    if (!fixed || !fix_schema(arena, &fixed))
        return false;
    if (!json_truthy(json_find(fixed, "type")) &&
        !set_member(arena, &fixed, "type", json_new_string(arena, span_text("object"))))
        return false;
    return set_member(arena, function, "parameters", fixed);
}

static bool is_object_type(const struct json *type)
{
    return json_is(type, JSON_STRING) && type->text.size_bytes == 6 &&
           (span_is(type->text, "object") || span_is(type->text, "OBJECT") || span_is(type->text, "Object"));
}

enum karat_status chat_fix_tool(struct json **out, struct arena *arena, const struct json *tool, size_t index,
                                struct karat_error *err)
{
    const struct json *original = json_find(tool, "function");
    const struct json *name = json_find(original, "name"), *parameters = json_find(original, "parameters");
    if (!json_is(original, JSON_OBJECT))
        return status_fail(err, KARAT_ERR_ARGUMENT, "tools[%zu]: \"function\" is %s, expected an object", index,
                           json_kind_name(original));
    if (!json_is(name, JSON_STRING) || !json_truthy(name))
        return status_fail(err, KARAT_ERR_ARGUMENT, "tools[%zu]: the name is %s, expected a string with characters",
                           index, json_is(name, JSON_STRING) ? "empty" : json_kind_name(name));
    if (json_truthy(parameters) && parameters->kind != JSON_OBJECT)
        return status_fail(err, KARAT_ERR_ARGUMENT, "tools[%zu]: \"parameters\" is %s, expected an object", index,
                           json_kind_name(parameters));
    struct json *function = json_copy_shallow(arena, original);
    struct json *copy = json_copy_shallow(arena, tool);
    if (!function || !copy || !fix_parameters(arena, &function))
        return CHAT_NO_MEMORY(err);
    if (json_is(json_find(function, "description"), JSON_NULL) && !remove_member(arena, &function, "description"))
        return CHAT_NO_MEMORY(err);
    if (!is_object_type(json_find(json_find(function, "response"), "type")) &&
        !remove_member(arena, &function, "response"))
        return CHAT_NO_MEMORY(err);
    if (!set_member(arena, &copy, "function", function))
        return CHAT_NO_MEMORY(err);
    *out = copy;
    return KARAT_OK;
}
