// text/grammar_schema.c -- from a JSON Schema to the automaton of its values.
//
// A schema is looked at from the outside in: references first, then what has to hold together (allOf), then choices
// (anyOf, oneOf), which are multiplied out with what stands beside them, then lists of values, then types.
#include "text/grammar_schema.h"

#include <stdio.h>
#include <stdlib.h>

// ------------------------------------------------------------------------------------------------ sentences

static const char *place(const struct schema_compiler *c)
{
    return c->path.size_bytes > 0 ? c->path.data : "";
}

uint32_t schema_no_memory(struct schema_compiler *c)
{
    if (c->status == KARAT_OK)
        c->status = status_fail(c->err, KARAT_ERR_MEMORY, "no memory for %s", c->what);
    return NODE_DEAD;
}

uint32_t schema_unsupported(struct schema_compiler *c, const char *keyword, const char *why)
{
    if (c->status == KARAT_OK)
        c->status =
            status_fail(c->err, KARAT_ERR_UNSUPPORTED, "%s has \"%s\" at #%s, which a grammar does not carry%s%s",
                        c->what, keyword, place(c), why[0] ? ": " : "", why);
    return NODE_DEAD;
}

uint32_t schema_malformed(struct schema_compiler *c, const char *keyword, const struct json *found, const char *wanted)
{
    if (c->status == KARAT_OK)
        c->status = status_fail(c->err, KARAT_ERR_FORMAT, "%s has %s as \"%s\" at #%s, expected %s", c->what,
                                json_kind_name(found), keyword, place(c), wanted);
    return NODE_DEAD;
}

uint32_t schema_impossible(struct schema_compiler *c, const char *why)
{
    if (!c->impossible[0])
        snprintf(c->impossible, sizeof c->impossible, "%s at #%.150s", why, place(c));
    return NODE_DEAD;
}

static void append_pointer(struct text *path, struct span name)
{
    text_append_char(path, '/');
    for (size_t i = 0; i < name.size_bytes && i < 100; ++i)
        if (name.data[i] == '~' || name.data[i] == '/')
            text_append_string(path, name.data[i] == '~' ? "~0" : "~1");
        else
            text_append_char(path, (char)name.data[i]);
}

size_t schema_enter(struct schema_compiler *c, const char *keyword, struct span name)
{
    const size_t mark = c->path.size_bytes;
    append_pointer(&c->path, span_text(keyword));
    if (name.data)
        append_pointer(&c->path, name);
    return mark;
}

void schema_leave(struct schema_compiler *c, size_t mark)
{
    if (c->path.failed) {
        schema_no_memory(c);
        return;
    }
    c->path.size_bytes = mark;
    c->path.data[mark] = '\0';
}

// ------------------------------------------------------------------------------------------------ keywords

enum keyword_use { USE_ANNOTATION, USE_HERE, USE_NEVER };

// What a schema may say. Unknown keywords count as annotations, as the specification has it.
static const struct {
    const char *name;
    enum keyword_use use;
} keywords[] = {
    { "type", USE_HERE },
    { "enum", USE_HERE },
    { "const", USE_HERE },
    { "properties", USE_HERE },
    { "required", USE_HERE },
    { "additionalProperties", USE_HERE },
    { "items", USE_HERE },
    { "prefixItems", USE_HERE },
    { "additionalItems", USE_HERE },
    { "minItems", USE_HERE },
    { "maxItems", USE_HERE },
    { "minLength", USE_HERE },
    { "maxLength", USE_HERE },
    { "pattern", USE_HERE },
    { "format", USE_HERE },
    { "minimum", USE_HERE },
    { "maximum", USE_HERE },
    { "exclusiveMinimum", USE_HERE },
    { "exclusiveMaximum", USE_HERE },
    { "anyOf", USE_HERE },
    { "oneOf", USE_HERE },
    { "allOf", USE_HERE },
    { "$ref", USE_HERE },
    { "not", USE_NEVER },
    { "if", USE_NEVER },
    { "then", USE_NEVER },
    { "else", USE_NEVER },
    { "contains", USE_NEVER },
    { "multipleOf", USE_NEVER },
    { "uniqueItems", USE_NEVER },
    { "patternProperties", USE_NEVER },
    { "propertyNames", USE_NEVER },
    { "minProperties", USE_NEVER },
    { "maxProperties", USE_NEVER },
    { "dependencies", USE_NEVER },
    { "dependentRequired", USE_NEVER },
    { "dependentSchemas", USE_NEVER },
    { "unevaluatedItems", USE_NEVER },
    { "unevaluatedProperties", USE_NEVER },
    { "$dynamicRef", USE_NEVER },
    { "$recursiveRef", USE_NEVER },
};

static enum keyword_use find_use(struct span keyword)
{
    for (size_t i = 0; i < COUNT(keywords); ++i)
        if (span_is(keyword, keywords[i].name))
            return keywords[i].use;
    return USE_ANNOTATION;
}

bool schema_is_annotation(struct span keyword)
{
    return find_use(keyword) == USE_ANNOTATION;
}

// Spellings that ask for nothing. Members that are not declared are never written unless asked for, so there is nothing
// left that unevaluatedProperties could forbid.
static bool asks_nothing(const struct json *member)
{
    if (span_is(member->key, "unevaluatedProperties"))
        return json_is(member, JSON_BOOL);
    if (span_is(member->key, "uniqueItems"))
        return json_is(member, JSON_BOOL) && !member->boolean;
    if (span_is(member->key, "minProperties"))
        return json_is(member, JSON_NUMBER) && span_is(member->text, "0");
    return false;
}

static bool check_keywords(struct schema_compiler *c, const struct json *schema)
{
    for (const struct json *member = schema->first_child; member; member = member->next)
        if (find_use(member->key) == USE_NEVER && !asks_nothing(member)) {
            char keyword[64];
            snprintf(keyword, sizeof keyword, "%.*s", SPAN_ARGS(member->key));
            schema_unsupported(c, keyword, "");
            return false;
        }
    return true;
}

// Whether anything but annotations and the given keyword stands there.
static bool has_more_than(const struct json *schema, const char *keyword)
{
    for (const struct json *member = schema->first_child; member; member = member->next)
        if (!span_is(member->key, keyword) && find_use(member->key) == USE_HERE)
            return true;
    return false;
}

// A count from 0 to 2^31 that may be missing.
static bool read_count(struct schema_compiler *c, const struct json *schema, const char *keyword, uint32_t *out)
{
    const struct json *value = json_find(schema, keyword);
    double count = 0;
    if (!value)
        return true;
    if (!json_get_double(value, &count) || !(count >= 0) || count != (double)(uint64_t)(count < 1e15 ? count : 0)) {
        schema_malformed(c, keyword, value, "a whole number from 0");
        return false;
    }
    if (count > 1e9) {
        schema_unsupported(c, keyword, "more than 1000000000");
        return false;
    }
    *out = (uint32_t)count;
    return true;
}

// ------------------------------------------------------------------------------------------------ references

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// The next part of a pointer inside a URI, unescaped, up to 256 bytes; advances *at past it.
static size_t read_part(struct span pointer, size_t *at, uint8_t out[256])
{
    size_t n = 0;
    for (++*at; *at < pointer.size_bytes && pointer.data[*at] != '/' && n < 256; ++*at) {
        uint8_t byte = pointer.data[*at];
        if (byte == '%' && *at + 2 < pointer.size_bytes && hex_digit(pointer.data[*at + 1]) >= 0 &&
            hex_digit(pointer.data[*at + 2]) >= 0) {
            byte = (uint8_t)(hex_digit(pointer.data[*at + 1]) * 16 + hex_digit(pointer.data[*at + 2]));
            *at += 2;
        } else if (byte == '~' && *at + 1 < pointer.size_bytes) {
            byte = pointer.data[++*at] == '0' ? '~' : '/';
        }
        out[n++] = byte;
    }
    return n;
}

static const struct json *follow(const struct json *from, struct span part)
{
    char digits[16] = { 0 };
    if (json_is(from, JSON_OBJECT))
        return json_find_span(from, part);
    if (!json_is(from, JSON_ARRAY) || part.size_bytes == 0 || part.size_bytes >= sizeof digits)
        return NULL;
    memcpy(digits, part.data, part.size_bytes);
    unsigned long index = strtoul(digits, NULL, 10);
    const struct json *child = from->first_child;
    while (child && index-- > 0)
        child = child->next;
    return child;
}

const struct json *schema_resolve(struct schema_compiler *c, const struct json *ref)
{
    const struct json *found = c->root;
    uint8_t part[256];
    if (!json_is(ref, JSON_STRING)) {
        schema_malformed(c, "$ref", ref, "a string");
        return NULL;
    }
    const struct span pointer = ref->text;
    if (pointer.size_bytes == 0 || pointer.data[0] != '#' || (pointer.size_bytes > 1 && pointer.data[1] != '/')) {
        schema_unsupported(c, "$ref", "only \"#\" and pointers such as \"#/$defs/name\" are followed");
        return NULL;
    }
    for (size_t at = 1; at < pointer.size_bytes && found;) {
        const size_t n = read_part(pointer, &at, part);
        found = follow(found, span_of(part, n));
    }
    if (!found && c->status == KARAT_OK)
        c->status = status_fail(c->err, KARAT_ERR_FORMAT, "%s refers to %.*s at #%s, which is not there", c->what,
                                SPAN_ARGS(pointer), place(c));
    return found;
}

static uint32_t rule_of(struct schema_compiler *c, const struct json *schema, struct span ref)
{
    for (struct schema_rule *rule = c->rules; rule; rule = rule->next)
        if (rule->schema == schema)
            return rule->node;
    struct schema_rule *rule = arena_alloc(&c->arena, 1, sizeof *rule);
    const char *path = arena_text(&c->arena, (const char *)ref.data + 1, ref.size_bytes - 1);
    if (!rule || !path)
        return schema_no_memory(c);
    *rule = (struct schema_rule){ schema, grammar_reserve(c->b), path, c->rules };
    c->rules = rule;
    return rule->node;
}

static uint32_t value_of_ref(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    const struct json *ref = json_find(schema, "$ref"), *target = schema_resolve(c, ref);
    if (!target)
        return NODE_DEAD;
    if (!has_more_than(schema, "$ref"))
        return grammar_add_call(c->b, rule_of(c, target, ref->text), next);
    struct json *rest = schema_without(c, schema, "$ref");
    const struct json *merged = rest ? schema_merge(c, target, rest) : NULL;
    return merged ? schema_value(c, merged, next) : NODE_DEAD;
}

// ------------------------------------------------------------------------------------------------ joined and chosen

static uint32_t value_of_all(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    const struct json *list = json_find(schema, "allOf");
    if (!json_is(list, JSON_ARRAY))
        return schema_malformed(c, "allOf", list, "a list");
    if (list->n_children == 1 && !has_more_than(schema, "allOf"))
        return schema_value(c, list->first_child, next);
    const struct json *merged = schema_without(c, schema, "allOf");
    for (const struct json *one = list->first_child; merged && one; one = one->next)
        merged = schema_merge(c, merged, one);
    return merged ? schema_value(c, merged, next) : NODE_DEAD;
}

// Each branch with what stands beside it, in an array of n_children; NULL after a failure.
static const struct json **multiply_out(struct schema_compiler *c, const struct json *schema, const struct json *list,
                                        const char *keyword)
{
    const bool alone = !has_more_than(schema, keyword);
    const struct json **branches = arena_alloc(&c->arena, list->n_children + 1, sizeof *branches);
    const struct json *rest = alone ? NULL : schema_without(c, schema, keyword);
    size_t n = 0;
    if (!branches || (!alone && !rest)) {
        schema_no_memory(c);
        return NULL;
    }
    for (const struct json *one = list->first_child; one && c->status == KARAT_OK; one = one->next)
        branches[n++] = alone ? one : schema_merge(c, rest, one);
    return c->status == KARAT_OK ? branches : NULL;
}

static uint32_t value_of_choice(struct schema_compiler *c, const struct json *schema, const char *keyword,
                                uint32_t next)
{
    const struct json *list = json_find(schema, keyword);
    if (!json_is(list, JSON_ARRAY) || list->n_children == 0)
        return schema_malformed(c, keyword, list, "a list that is not empty");
    const struct json **branches = multiply_out(c, schema, list, keyword);
    const bool exclusive = strcmp(keyword, "oneOf") == 0;
    uint32_t start = NODE_DEAD;
    for (size_t i = 0; branches && i < list->n_children && c->status == KARAT_OK; ++i) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        for (size_t j = 0; exclusive && j < i; ++j)
            if (!schema_are_apart(c, branches[i], branches[j]))
                return schema_unsupported(c, keyword, "with choices that a value could satisfy at once");
        const size_t mark = schema_enter(c, keyword, span_text(number));
        start = grammar_add_either(c->b, start, schema_value(c, branches[i], next));
        schema_leave(c, mark);
    }
    return start;
}

// ------------------------------------------------------------------------------------------------ types

enum type_bit {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_NUMBER = 8,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ANY = 127,
};

static const struct {
    const char *name;
    unsigned bit;
} types[] = {
    { "null", TYPE_NULL },     { "boolean", TYPE_BOOLEAN }, { "integer", TYPE_INTEGER }, { "number", TYPE_NUMBER },
    { "string", TYPE_STRING }, { "array", TYPE_ARRAY },     { "object", TYPE_OBJECT },
};

// What a keyword is about, for schemas that do not say their type: others are left out where the schema says more.
static const struct {
    const char *keyword;
    unsigned bits;
} hints[] = {
    { "properties", TYPE_OBJECT }, { "required", TYPE_OBJECT },         { "additionalProperties", TYPE_OBJECT },
    { "items", TYPE_ARRAY },       { "prefixItems", TYPE_ARRAY },       { "minItems", TYPE_ARRAY },
    { "maxItems", TYPE_ARRAY },    { "minLength", TYPE_STRING },        { "maxLength", TYPE_STRING },
    { "pattern", TYPE_STRING },    { "format", TYPE_STRING },           { "minimum", TYPE_NUMBER },
    { "maximum", TYPE_NUMBER },    { "exclusiveMinimum", TYPE_NUMBER }, { "exclusiveMaximum", TYPE_NUMBER },
};

static unsigned type_bit(struct schema_compiler *c, const struct json *name)
{
    for (size_t i = 0; i < COUNT(types); ++i)
        if (json_is_text(name, types[i].name))
            return types[i].bit;
    schema_malformed(c, "type", name, "one of null, boolean, integer, number, string, array, object");
    return 0;
}

static unsigned read_types(struct schema_compiler *c, const struct json *schema)
{
    const struct json *type = json_find(schema, "type");
    unsigned bits = 0;
    if (json_is(type, JSON_ARRAY)) {
        for (const struct json *one = type->first_child; one; one = one->next)
            bits |= type_bit(c, one);
        return bits;
    }
    if (type)
        return type_bit(c, type);
    for (size_t i = 0; i < COUNT(hints); ++i)
        if (json_find(schema, hints[i].keyword))
            bits |= hints[i].bits;
    return bits > 0 ? bits : TYPE_ANY;
}

static bool is_integer(const struct json *number)
{
    double value = 0;
    return json_get_double(number, &value) && (value > 1e15 || value < -1e15 || value == (double)(int64_t)value);
}

static bool fits_type(const struct json *value, unsigned bits)
{
    switch (value->kind) {
    case JSON_NULL:
        return bits & TYPE_NULL;
    case JSON_BOOL:
        return bits & TYPE_BOOLEAN;
    case JSON_NUMBER:
        return (bits & TYPE_NUMBER) || ((bits & TYPE_INTEGER) && is_integer(value));
    case JSON_STRING:
        return bits & TYPE_STRING;
    case JSON_ARRAY:
        return bits & TYPE_ARRAY;
    case JSON_OBJECT:
        return bits & TYPE_OBJECT;
    }
    return false;
}

static uint32_t value_of_enum(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    const struct json *only = json_find(schema, "const"), *list = json_find(schema, "enum");
    const unsigned bits = json_find(schema, "type") ? read_types(c, schema) : TYPE_ANY;
    uint32_t start = NODE_DEAD;
    if (list && !json_is(list, JSON_ARRAY))
        return schema_malformed(c, "enum", list, "a list");
    for (size_t i = 0; i < COUNT(hints); ++i)
        if (json_find(schema, hints[i].keyword))
            return schema_unsupported(c, hints[i].keyword, "beside a list of values");
    uint32_t *targets = malloc(((list ? list->n_children : 1) + 1) * sizeof *targets), n = 0;
    if (!targets)
        return schema_no_memory(c);
    for (const struct json *value = list ? list->first_child : only; value; value = list ? value->next : NULL)
        if (fits_type(value, bits) && (!list || !only || json_equal(value, only)))
            targets[n++] = schema_literal(c, value, next);
    start = n > 0 ? grammar_add_split(c->b, targets, n) : schema_impossible(c, "no listed value fits");
    free(targets);
    return start;
}

// ------------------------------------------------------------------------------------------------ numbers

// draft 4 has booleans beside minimum, later drafts numbers of their own. *is_out: the bound itself does not count.
static bool read_bound(struct schema_compiler *c, const struct json *schema, bool low, const struct json **out,
                       bool *is_out)
{
    const char *keyword = low ? "minimum" : "maximum",
               *exclusive_keyword = low ? "exclusiveMinimum" : "exclusiveMaximum";
    const struct json *bound = json_find(schema, keyword), *exclusive = json_find(schema, exclusive_keyword);
    double x = 0, y = 0;
    if ((bound && !json_is(bound, JSON_NUMBER))) {
        schema_malformed(c, keyword, bound, "a number");
        return false;
    }
    if (exclusive && !json_is(exclusive, JSON_NUMBER) && !json_is(exclusive, JSON_BOOL)) {
        schema_malformed(c, exclusive_keyword, exclusive, "a number");
        return false;
    }
    *out = bound;
    *is_out = json_is(exclusive, JSON_BOOL) && exclusive->boolean;
    const bool both = bound && json_get_double(bound, &x) && json_get_double(exclusive, &y);
    if (json_is(exclusive, JSON_NUMBER) && !(both && (low ? x > y : x < y))) {
        *out = exclusive;
        *is_out = true;
    }
    if (!*out || grammar_carries_bound(*out, *is_out))
        return true;
    schema_unsupported(c, *out == exclusive ? exclusive_keyword : keyword, "more than 15 digits or a large exponent");
    return false;
}

static uint32_t number_value(struct schema_compiler *c, const struct json *schema, bool integer, uint32_t next)
{
    struct number_bounds bounds = { .integer = integer };
    if (!read_bound(c, schema, true, &bounds.low, &bounds.low_is_out) ||
        !read_bound(c, schema, false, &bounds.high, &bounds.high_is_out))
        return NODE_DEAD;
    const uint32_t start = grammar_add_number(c->b, &bounds, next);
    return start == NODE_DEAD ? schema_impossible(c, "no number lies between the bounds") : start;
}

// ------------------------------------------------------------------------------------------------ strings

#define DAY "(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31"
#define LEAP_YEAR "[0-9]{2}(0[48]|[2468][048]|[13579][26])"
#define DATE "([0-9]{4}-(" DAY ")|" LEAP_YEAR "-02-29)"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?"

// Formats as patterns, each somewhat narrower than what it names. NULL: nothing to keep to.
static const struct {
    const char *name, *pattern;
} formats[] = {
    { "date", "^" DATE "$" },
    { "time", "^" TIME "$" },
    { "date-time", "^" DATE "T" TIME "$" },
    { "duration",
      "^P([0-9]{1,4}D(T([0-9]{1,4}H)?([0-9]{1,4}M)?[0-9]{1,4}S)?|T([0-9]{1,4}H)?([0-9]{1,4}M)?[0-9]{1,4}S|[0-9]{1,"
      "4}W)$" },
    { "uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" },
    { "email", "^[A-Za-z0-9_+-]{1,20}(\\.[A-Za-z0-9_+-]{1,20}){0,2}@(" LABEL "\\.){1,3}[A-Za-z]{2,8}$" },
    { "hostname", "^(" LABEL "\\.){0,4}[A-Za-z]{2,8}$" },
    { "ipv4", "^(" OCTET "\\.){3}" OCTET "$" },
    { "uri", "^https?://(" LABEL "\\.){1,3}[A-Za-z]{2,8}(/[A-Za-z0-9._~-]{0,40}){0,8}(\\?[A-Za-z0-9._~=&-]{1,80})?$" },
    { "password", NULL },
    { "binary", NULL },
    { "byte", NULL },
};

static uint32_t pattern_value(struct schema_compiler *c, const char *keyword, struct span pattern, uint32_t min,
                              uint32_t max, uint32_t next)
{
    const char *reason = NULL;
    bool malformed = false;
    uint32_t start = NODE_DEAD;
    if (grammar_add_pattern(c->b, pattern, schema_spelling(c), min, max, schema_quote(c, next), &start, &reason,
                            &malformed))
        return start == NODE_DEAD ? schema_impossible(c, "no text fits the pattern") : schema_quote(c, start);
    if (!malformed)
        return schema_unsupported(c, keyword, reason);
    if (c->status == KARAT_OK)
        c->status = status_fail(c->err, KARAT_ERR_FORMAT, "%s has a \"%s\" at #%s that is no regular expression: %s",
                                c->what, keyword, place(c), reason);
    return NODE_DEAD;
}

static uint32_t string_value(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    const struct json *pattern = json_find(schema, "pattern"), *format = json_find(schema, "format");
    uint32_t min = 0, max = REPEAT_FOREVER;
    if (!read_count(c, schema, "minLength", &min) || !read_count(c, schema, "maxLength", &max))
        return NODE_DEAD;
    if (min > max)
        return schema_impossible(c, "minLength is above maxLength");
    if (pattern && !json_is(pattern, JSON_STRING))
        return schema_malformed(c, "pattern", pattern, "a string");
    if (format && !json_is(format, JSON_STRING))
        return schema_malformed(c, "format", format, "a string");
    for (size_t i = 0; i < COUNT(formats); ++i) {
        if (!format || !span_is(format->text, formats[i].name))
            continue;
        if (!formats[i].pattern) {
            format = NULL;
            break;
        }
        if (pattern)
            return schema_unsupported(c, "pattern", "beside \"format\"");
        return pattern_value(c, "format", span_text(formats[i].pattern), min, max, next);
    }
    if (format) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "the format is \"%.*s\"", SPAN_ARGS(format->text));
        return schema_unsupported(c, "format", sentence);
    }
    if (pattern)
        return pattern_value(c, "pattern", pattern->text, min, max, next);
    return schema_any_string(c, min, max, next);
}

// ------------------------------------------------------------------------------------------------ arrays

struct items {
    const struct json *prefix; // an array or NULL
    const struct json *rest;   // NULL: anything
    bool no_rest;
    uint32_t min, max;
};

static bool read_items(struct schema_compiler *c, const struct json *schema, struct items *out)
{
    const struct json *items = json_find(schema, "items");
    *out = (struct items){ .prefix = json_find(schema, "prefixItems"), .rest = items, .max = REPEAT_FOREVER };
    // As drafts before 2020-12 write it.
    if (json_is(items, JSON_ARRAY)) {
        out->prefix = items;
        out->rest = json_find(schema, "additionalItems");
    }
    if (out->prefix && !json_is(out->prefix, JSON_ARRAY)) {
        schema_malformed(c, "prefixItems", out->prefix, "a list");
        return false;
    }
    out->no_rest = json_is(out->rest, JSON_BOOL) && !out->rest->boolean;
    return read_count(c, schema, "minItems", &out->min) && read_count(c, schema, "maxItems", &out->max);
}

static uint32_t item_value(struct schema_compiler *c, const char *keyword, const struct json *schema, size_t index,
                           uint32_t next)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", index);
    const struct span name = strcmp(keyword, "items") == 0 ? (struct span){ 0 } : span_text(number);
    const size_t mark = schema_enter(c, keyword, name);
    const uint32_t start = schema_value(c, schema, next);
    schema_leave(c, mark);
    return start;
}

static uint32_t array_value(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    struct items items;
    if (!read_items(c, schema, &items))
        return NODE_DEAD;
    const size_t n_listed = items.prefix ? items.prefix->n_children : 0;
    const uint32_t n_prefix = (uint32_t)(n_listed < items.max ? n_listed : items.max);
    const struct json **prefix = arena_alloc(&c->arena, n_prefix + 1, sizeof *prefix);
    if (!prefix)
        return schema_no_memory(c);
    const struct json *one = items.prefix ? items.prefix->first_child : NULL;
    for (uint32_t i = 0; i < n_prefix; ++i, one = one->next)
        prefix[i] = one;

    const uint32_t close = grammar_add_byte(c->b, ']', next);
    const uint32_t most = items.no_rest ? n_prefix : items.max, least = items.min;
    if (least > most)
        return schema_impossible(c, "minItems is above what may be in the list");
    uint32_t rule = NODE_DEAD;
    if (most > n_prefix)
        rule = item_value(c, "items", items.rest, 0, NODE_RETURN);
    // From the end: what may follow when i items are written.
    const uint32_t more = schema_comma(c, grammar_add_call(c->b, rule, NODE_RETURN));
    const uint32_t used = n_prefix > 0 ? n_prefix : 1;
    const uint32_t rest_min = least > used ? least - used : 0;
    const uint32_t rest_max = most == REPEAT_FOREVER ? most : most > used ? most - used : 0;
    uint32_t after = grammar_add_repeat(c->b, more, rest_min, rest_max, close);
    uint32_t start = n_prefix > 0 ? NODE_DEAD : grammar_add_call(c->b, rule, after);
    for (uint32_t i = n_prefix; i-- > 0;) {
        start = item_value(c, "prefixItems", prefix[i], i, after);
        after = grammar_add_either(c->b, schema_comma(c, start), i >= least ? close : NODE_DEAD);
    }
    if (least == 0)
        start = grammar_add_either(c->b, start, close);
    return grammar_add_byte(c->b, '[', start);
}

// ------------------------------------------------------------------------------------------------ values

static uint32_t value_of_type(struct schema_compiler *c, const struct json *schema, unsigned bit, uint32_t next)
{
    switch (bit) {
    case TYPE_NULL:
        return grammar_add_text(c->b, span_text("null"), next);
    case TYPE_BOOLEAN:
        return grammar_add_either(c->b, grammar_add_text(c->b, span_text("true"), next),
                                  grammar_add_text(c->b, span_text("false"), next));
    case TYPE_INTEGER:
    case TYPE_NUMBER:
        return number_value(c, schema, bit == TYPE_INTEGER, next);
    case TYPE_STRING:
        return string_value(c, schema, next);
    case TYPE_ARRAY:
        return array_value(c, schema, next);
    default:
        return schema_object(c, schema, next);
    }
}

static uint32_t value_of_types(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    unsigned bits = read_types(c, schema);
    uint32_t start = NODE_DEAD;
    if (bits == TYPE_ANY)
        return schema_any(c, GRAMMAR_ANY_DEPTH_MAX, next);
    if (bits == 0)
        return schema_impossible(c, "no type is left");
    if (bits & TYPE_NUMBER)
        bits &= ~(unsigned)TYPE_INTEGER;
    for (size_t i = 0; i < COUNT(types) && c->status == KARAT_OK; ++i)
        if (bits & types[i].bit)
            start = grammar_add_either(c->b, start, value_of_type(c, schema, types[i].bit, next));
    return start;
}

static uint32_t look_at(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    if (json_find(schema, "$ref"))
        return value_of_ref(c, schema, next);
    if (json_find(schema, "allOf"))
        return value_of_all(c, schema, next);
    if (json_find(schema, "anyOf"))
        return value_of_choice(c, schema, "anyOf", next);
    if (json_find(schema, "oneOf"))
        return value_of_choice(c, schema, "oneOf", next);
    if (json_find(schema, "const") || json_find(schema, "enum"))
        return value_of_enum(c, schema, next);
    return value_of_types(c, schema, next);
}

uint32_t schema_value(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    if (c->status != KARAT_OK || next == NODE_DEAD)
        return NODE_DEAD;
    if (!schema || (json_is(schema, JSON_BOOL) && schema->boolean))
        return schema_any(c, GRAMMAR_ANY_DEPTH_MAX, next);
    if (json_is(schema, JSON_BOOL))
        return schema_impossible(c, "false allows nothing");
    if (!json_is(schema, JSON_OBJECT)) {
        c->status = status_fail(c->err, KARAT_ERR_FORMAT, "%s has %s at #%s, expected a schema", c->what,
                                json_kind_name(schema), place(c));
        return NODE_DEAD;
    }
    if (++c->steps > SCHEMA_STEPS_MAX || c->depth >= SCHEMA_DEPTH_MAX || c->b->too_large) {
        if (c->status == KARAT_OK)
            c->status = status_fail(c->err, KARAT_ERR_UNSUPPORTED, "%s is too large or nested too deeply at #%.200s",
                                    c->what, place(c));
        return NODE_DEAD;
    }
    if (!check_keywords(c, schema))
        return NODE_DEAD;
    ++c->depth;
    const uint32_t start = look_at(c, schema, next);
    --c->depth;
    return start;
}

// Rules are compiled one after the other, not inside each other; compiling one may add others in front.
static void compile_rules(struct schema_compiler *c)
{
    while (c->status == KARAT_OK && c->open != c->rules) {
        struct schema_rule *last = c->rules, *end = c->open;
        c->open = last;
        for (struct schema_rule *rule = last; rule != end && c->status == KARAT_OK; rule = rule->next) {
            text_clear(&c->path);
            text_append_string(&c->path, rule->path);
            grammar_define(c->b, rule->node, schema_value(c, rule->schema, NODE_RETURN));
        }
    }
}

static enum karat_status add_schema(struct grammar_builder *b, const struct json *schema, enum grammar_dialect dialect,
                                    const char *what, uint32_t next, uint32_t *start, char impossible[256],
                                    struct karat_error *err)
{
    struct schema_compiler c = { .b = b, .root = schema, .dialect = dialect, .what = what, .err = err };
    text_append(&c.path, "", 0);
    *start = schema_value(&c, schema, next);
    compile_rules(&c);
    if (c.path.failed || c.status == KARAT_ERR_MEMORY)
        schema_no_memory(&c);
    memcpy(impossible, c.impossible, sizeof c.impossible);
    text_free(&c.path);
    arena_free(&c.arena);
    return c.status;
}

enum karat_status grammar_add_schema(struct grammar_builder *b, const struct json *schema, enum grammar_dialect dialect,
                                     const char *what, uint32_t next, uint32_t *start, struct karat_error *err)
{
    char impossible[256];
    const enum karat_status status = add_schema(b, schema, dialect, what, next, start, impossible, err);
    if (status == KARAT_OK && *start == NODE_DEAD && !b->no_memory && !b->too_large)
        return status_fail(err, KARAT_ERR_FORMAT, "no value satisfies %s%s%s", what, impossible[0] ? ": " : "",
                           impossible);
    return status;
}

enum karat_status grammar_from_schema(struct grammar **out, struct span schema, struct karat_error *err)
{
    return grammar_from_reply(out, &(struct grammar_reply){ .schema = schema }, err);
}

uint32_t grammar_add_any_object(struct grammar_builder *b, enum grammar_dialect dialect, uint32_t next)
{
    struct json schema = { .kind = JSON_OBJECT }, type = { .kind = JSON_STRING, .text = span_text("object") };
    struct karat_error err;
    uint32_t start = NODE_DEAD;
    type.key = span_text("type");
    json_append(&schema, &type);
    grammar_add_schema(b, &schema, dialect, "an object", next, &start, &err);
    return start;
}
