// text/grammar_merge.c -- two schemas that both have to hold, as one.
#include <stdio.h>

#include "text/grammar_schema.h"

static struct json *copy(struct schema_compiler *c, const struct json *value, struct span key)
{
    struct json *result = json_copy_shallow(&c->arena, value);
    if (!result)
        schema_no_memory(c);
    else
        result->key = key;
    return result;
}

struct json *schema_without(struct schema_compiler *c, const struct json *schema, const char *keyword)
{
    struct json *result = json_new(&c->arena, JSON_OBJECT);
    if (!result)
        schema_no_memory(c);
    for (const struct json *member = schema->first_child; result && member; member = member->next) {
        struct json *own = span_is(member->key, keyword) ? NULL : copy(c, member, member->key);
        if (own)
            json_append(result, own);
    }
    return c->status == KARAT_OK ? result : NULL;
}

static struct json *new_bool(struct schema_compiler *c, bool value)
{
    struct json *result = json_new(&c->arena, JSON_BOOL);
    if (result)
        result->boolean = value;
    else
        schema_no_memory(c);
    return result;
}

// {"allOf": [a, b]}, joined when it is compiled; one of them where the other one is missing.
static struct json *both(struct schema_compiler *c, const struct json *a, const struct json *b, struct span key)
{
    struct json *schema = json_new(&c->arena, JSON_OBJECT), *list = json_new(&c->arena, JSON_ARRAY);
    if (!a || !b)
        return copy(c, a ? a : b, key);
    struct json *first = copy(c, a, (struct span){ 0 }), *second = copy(c, b, (struct span){ 0 });
    if (!schema || !list || !first || !second) {
        schema_no_memory(c);
        return NULL;
    }
    json_append(list, first);
    json_append(list, second);
    list->key = span_text("allOf");
    json_append(schema, list);
    schema->key = key;
    return schema;
}

// ------------------------------------------------------------------------------------------------ keywords

static struct json *join_required(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    struct json *result = json_new(&c->arena, JSON_ARRAY);
    for (const struct json *list = a; result && list; list = list == a ? b : NULL)
        for (const struct json *name = list->first_child; name; name = name->next) {
            struct json *own = copy(c, name, (struct span){ 0 });
            if (own)
                json_append(result, own);
        }
    return result;
}

static bool type_has(const struct json *type, struct span name)
{
    if (json_is(type, JSON_STRING))
        return span_equal(type->text, name) || (span_is(type->text, "number") && span_is(name, "integer"));
    for (const struct json *one = type->first_child; one; one = one->next)
        if (type_has(one, name))
            return true;
    return false;
}

static void add_common_types(struct schema_compiler *c, struct json *result, const struct json *a, const struct json *b)
{
    static const char *const names[] = { "null", "boolean", "integer", "number", "string", "array", "object" };
    for (size_t i = 0; i < COUNT(names); ++i) {
        struct json *name = json_new_string(&c->arena, span_text(names[i]));
        if (name && type_has(a, name->text) && type_has(b, name->text))
            json_append(result, name);
    }
}

static struct json *join_types(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    struct json *result = json_new(&c->arena, JSON_ARRAY);
    if (result)
        add_common_types(c, result, a, b);
    return result;
}

static struct json *join_enums(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    struct json *result = json_new(&c->arena, JSON_ARRAY);
    for (const struct json *x = result ? a->first_child : NULL; x; x = x->next)
        for (const struct json *y = b->first_child; y; y = y->next)
            if (json_equal(x, y)) {
                struct json *own = copy(c, x, (struct span){ 0 });
                if (own)
                    json_append(result, own);
                break;
            }
    return result;
}

static struct json *join_bounds(struct schema_compiler *c, const struct json *a, const struct json *b, bool larger)
{
    double x = 0, y = 0;
    if (!json_get_double(a, &x) || !json_get_double(b, &y))
        return NULL;
    return copy(c, (x > y) == larger ? a : b, a->key);
}

// What the additionalProperties of one side ask of the properties that only the other side names.
static void add_properties(struct schema_compiler *c, struct json *result, const struct json *own,
                           const struct json *other, const struct json *other_rest, bool common)
{
    for (const struct json *member = own ? own->first_child : NULL; member; member = member->next) {
        const struct json *same = json_find_span(other, member->key);
        struct json *joined = NULL;
        if (same ? common : true)
            joined = both(c, member, same ? same : other_rest, member->key);
        if (joined)
            json_append(result, joined);
    }
}

static struct json *join_properties(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    const struct json *of_a = json_find(a, "properties"), *of_b = json_find(b, "properties");
    struct json *result = json_new(&c->arena, JSON_OBJECT);
    if (!result)
        return NULL;
    add_properties(c, result, of_a, of_b, json_find(b, "additionalProperties"), true);
    add_properties(c, result, of_b, of_a, json_find(a, "additionalProperties"), false);
    result->key = span_text("properties");
    return result;
}

enum joining {
    JOIN_SAME, // both must be equal
    JOIN_TYPES,
    JOIN_REQUIRED,
    JOIN_ENUMS,
    JOIN_LARGER,
    JOIN_SMALLER,
    JOIN_SCHEMAS,
    JOIN_LISTS,
};

static const struct {
    const char *keyword;
    enum joining joining;
} joinings[] = {
    { "type", JOIN_TYPES },
    { "required", JOIN_REQUIRED },
    { "enum", JOIN_ENUMS },
    { "minimum", JOIN_LARGER },
    { "exclusiveMinimum", JOIN_LARGER },
    { "minLength", JOIN_LARGER },
    { "minItems", JOIN_LARGER },
    { "maximum", JOIN_SMALLER },
    { "exclusiveMaximum", JOIN_SMALLER },
    { "maxLength", JOIN_SMALLER },
    { "maxItems", JOIN_SMALLER },
    { "additionalProperties", JOIN_SCHEMAS },
    { "items", JOIN_SCHEMAS },
    { "allOf", JOIN_LISTS },
};

static enum joining find_joining(struct span keyword)
{
    for (size_t i = 0; i < COUNT(joinings); ++i)
        if (span_is(keyword, joinings[i].keyword))
            return joinings[i].joining;
    return JOIN_SAME;
}

static struct json *join(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    struct json *result = NULL;
    switch (find_joining(a->key)) {
    case JOIN_SAME:
        result = json_equal(a, b) || schema_is_annotation(a->key) ? copy(c, a, a->key) : NULL;
        break;
    case JOIN_TYPES:
        result = join_types(c, a, b);
        break;
    case JOIN_REQUIRED:
    case JOIN_LISTS:
        result = json_is(a, JSON_ARRAY) && json_is(b, JSON_ARRAY) ? join_required(c, a, b) : NULL;
        break;
    case JOIN_ENUMS:
        result = json_is(a, JSON_ARRAY) && json_is(b, JSON_ARRAY) ? join_enums(c, a, b) : NULL;
        break;
    case JOIN_LARGER:
        result = join_bounds(c, a, b, true);
        break;
    case JOIN_SMALLER:
        result = join_bounds(c, a, b, false);
        break;
    case JOIN_SCHEMAS:
        result = json_is(a, JSON_ARRAY) || json_is(b, JSON_ARRAY) ? NULL : both(c, a, b, a->key);
        break;
    }
    if (result) {
        result->key = a->key;
    } else if (c->status == KARAT_OK) {
        char keyword[64];
        snprintf(keyword, sizeof keyword, "%.*s", SPAN_ARGS(a->key));
        schema_unsupported(c, keyword, "on both sides of what has to hold together");
    }
    return result;
}

// ------------------------------------------------------------------------------------------------ schemas

// A schema without $ref at its top.
static const struct json *open_ref(struct schema_compiler *c, const struct json *schema)
{
    const struct json *ref = json_find(schema, "$ref");
    if (!ref)
        return schema;
    const struct json *target = schema_resolve(c, ref);
    struct json *rest = target ? schema_without(c, schema, "$ref") : NULL;
    return rest ? schema_merge(c, target, rest) : NULL;
}

// const as an enum of one, so that it meets enums.
static const struct json *open_const(struct schema_compiler *c, const struct json *schema)
{
    const struct json *value = json_find(schema, "const");
    if (!value)
        return schema;
    struct json *rest = schema_without(c, schema, "const"), *list = json_new(&c->arena, JSON_ARRAY);
    struct json *own = copy(c, value, (struct span){ 0 });
    if (!rest || !list || !own)
        return NULL;
    json_append(list, own);
    if (json_find(rest, "enum")) {
        struct json *result = schema_without(c, rest, "enum");
        list = join_enums(c, list, json_find(rest, "enum"));
        rest = result;
    }
    if (!rest || !list)
        return NULL;
    list->key = span_text("enum");
    json_append(rest, list);
    return rest;
}

static const struct json *merge_objects(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    struct json *result = json_new(&c->arena, JSON_OBJECT);
    const bool properties = json_find(a, "properties") || json_find(b, "properties");
    struct json *joined = result && properties ? join_properties(c, a, b) : NULL;
    if (!result || (properties && !joined)) {
        schema_no_memory(c);
        return NULL;
    }
    if (joined)
        json_append(result, joined);
    for (const struct json *side = a; side; side = side == a ? b : NULL)
        for (const struct json *member = side->first_child; member && c->status == KARAT_OK; member = member->next) {
            const struct json *same = json_find_span(side == a ? b : a, member->key);
            if (span_is(member->key, "properties") || (same && side == b))
                continue;
            struct json *own = same ? join(c, member, same) : copy(c, member, member->key);
            if (own)
                json_append(result, own);
        }
    return c->status == KARAT_OK ? result : NULL;
}

// Lists are compared each with each, so a long one would take long.
static bool is_short(struct schema_compiler *c, const struct json *schema)
{
    static const char *const lists[] = { "properties", "required", "enum" };
    for (size_t i = 0; i < COUNT(lists); ++i) {
        const struct json *list = json_find(schema, lists[i]);
        if (list && list->n_children > SCHEMA_ENTRIES_MAX) {
            schema_unsupported(c, lists[i], "with more than 2000 entries");
            return false;
        }
    }
    return true;
}

const struct json *schema_merge(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    if (c->status != KARAT_OK)
        return NULL;
    if (++c->steps > SCHEMA_STEPS_MAX || c->depth >= SCHEMA_DEPTH_MAX || c->arena.size_bytes > SCHEMA_MEMORY_MAX) {
        schema_unsupported(c, "allOf", "without end, or of too many schemas");
        return NULL;
    }
    if (json_is(a, JSON_BOOL) || json_is(b, JSON_BOOL)) {
        const struct json *one = json_is(a, JSON_BOOL) ? a : b, *other = one == a ? b : a;
        return one->boolean ? other : new_bool(c, false);
    }
    if (!json_is(a, JSON_OBJECT) || !json_is(b, JSON_OBJECT)) {
        schema_malformed(c, "allOf", json_is(a, JSON_OBJECT) ? b : a, "a schema");
        return NULL;
    }
    ++c->depth;
    a = open_ref(c, a);
    b = a ? open_ref(c, b) : NULL;
    --c->depth;
    if (json_is(a, JSON_BOOL) || json_is(b, JSON_BOOL))
        return schema_merge(c, a, b);
    a = a && b ? open_const(c, a) : NULL;
    b = a ? open_const(c, b) : NULL;
    return a && b && is_short(c, a) && is_short(c, b) ? merge_objects(c, a, b) : NULL;
}

// ------------------------------------------------------------------------------------------------ apart

static bool is_listed(const struct json *list, const struct json *value)
{
    for (const struct json *one = list->first_child; one; one = one->next)
        if (json_equal(one, value))
            return true;
    return false;
}

static bool are_enums_apart(const struct json *a, const struct json *b)
{
    for (const struct json *value = a->first_child; value; value = value->next)
        if (is_listed(b, value))
            return false;
    return true;
}

static bool are_types_apart(const struct json *a, const struct json *b)
{
    static const char *const names[] = { "null", "boolean", "integer", "number", "string", "array", "object" };
    for (size_t i = 0; i < COUNT(names); ++i)
        if (type_has(a, span_text(names[i])) && type_has(b, span_text(names[i])))
            return false;
    return true;
}

static const char *kind_type(const struct json *value)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOL] = "boolean", [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_ARRAY] = "array",  [JSON_OBJECT] = "object",
    };
    return names[value->kind];
}

static bool is_enum_apart_from_type(const struct json *list, const struct json *type)
{
    for (const struct json *value = list->first_child; value; value = value->next)
        if (type_has(type, span_text(kind_type(value))) ||
            (value->kind == JSON_NUMBER && type_has(type, span_text("integer"))))
            return false;
    return true;
}

static bool needs(const struct json *schema, struct span name)
{
    const struct json *required = json_find(schema, "required");
    for (const struct json *one = required ? required->first_child : NULL; one; one = one->next)
        if (span_equal(one->text, name))
            return true;
    return false;
}

// Objects that both must have some member, which cannot suit both; or that one must have what the other one forbids.
static bool are_members_apart(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    const struct json *of_a = json_find(a, "properties"), *of_b = json_find(b, "properties");
    const struct json *rest_of_b = json_find(b, "additionalProperties");
    const struct json *required = json_find(a, "required");
    for (const struct json *name = json_is(required, JSON_ARRAY) ? required->first_child : NULL; name;
         name = name->next) {
        const struct json *mine = json_find_span(of_a, name->text), *yours = json_find_span(of_b, name->text);
        if (!yours && json_is(rest_of_b, JSON_BOOL) && !rest_of_b->boolean)
            return true;
        if (mine && yours && needs(b, name->text) && schema_are_apart(c, mine, yours))
            return true;
    }
    return false;
}

bool schema_are_apart(struct schema_compiler *c, const struct json *a, const struct json *b)
{
    bool apart = false;
    if (c->status != KARAT_OK || ++c->steps > SCHEMA_STEPS_MAX || c->depth >= SCHEMA_DEPTH_MAX ||
        c->arena.size_bytes > SCHEMA_MEMORY_MAX)
        return false;
    ++c->depth;
    a = json_is(a, JSON_OBJECT) ? open_ref(c, a) : a;
    b = json_is(b, JSON_OBJECT) ? open_ref(c, b) : b;
    a = json_is(a, JSON_OBJECT) ? open_const(c, a) : a;
    b = json_is(b, JSON_OBJECT) ? open_const(c, b) : b;
    if (json_is(a, JSON_OBJECT) && json_is(b, JSON_OBJECT)) {
        const struct json *enum_a = json_find(a, "enum"), *enum_b = json_find(b, "enum");
        const bool lists_are_short = is_short(c, a) && is_short(c, b);
        const struct json *type_a = json_find(a, "type"), *type_b = json_find(b, "type");
        apart = lists_are_short && ((enum_a && enum_b && are_enums_apart(enum_a, enum_b)) ||
                                    (type_a && type_b && are_types_apart(type_a, type_b)) ||
                                    (enum_a && type_b && is_enum_apart_from_type(enum_a, type_b)) ||
                                    (enum_b && type_a && is_enum_apart_from_type(enum_b, type_a)) ||
                                    (json_is_text(type_a, "object") && json_is_text(type_b, "object") &&
                                     (are_members_apart(c, a, b) || are_members_apart(c, b, a))));
    }
    --c->depth;
    return apart;
}
