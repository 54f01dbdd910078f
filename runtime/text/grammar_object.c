// text/grammar_object.c -- objects of a schema: which members, in which order, and which of them may be left out.
#include "text/grammar_schema.h"

struct member {
    struct span name;
    const struct json *schema; // NULL: anything
    bool required;
};

struct members {
    struct member *list;
    size_t n;
    const struct json *others; // additionalProperties where it asks for others to be written
    bool has_others;
};

static bool is_required(const struct json *required, struct span name)
{
    for (const struct json *one = required ? required->first_child : NULL; one; one = one->next)
        if (span_equal(one->text, name))
            return true;
    return false;
}

static bool check_required(struct schema_compiler *c, const struct json *required)
{
    // draft 3 has a boolean there, and some still write it
    if (!required || json_is(required, JSON_BOOL))
        return true;
    if (!json_is(required, JSON_ARRAY)) {
        schema_malformed(c, "required", required, "a list of names");
        return false;
    }
    for (const struct json *one = required->first_child; one; one = one->next)
        if (!json_is(one, JSON_STRING)) {
            schema_malformed(c, "required", one, "names");
            return false;
        }
    return true;
}

// All declared properties, and those that are only required.
static bool read_members(struct schema_compiler *c, const struct json *schema, struct members *out)
{
    const struct json *properties = json_find(schema, "properties"), *required = json_find(schema, "required");
    const struct json *rest = json_find(schema, "additionalProperties");
    if (properties && !json_is(properties, JSON_OBJECT)) {
        schema_malformed(c, "properties", properties, "an object");
        return false;
    }
    if (!check_required(c, required))
        return false;
    if ((properties && properties->n_children > SCHEMA_ENTRIES_MAX) ||
        (required && required->n_children > SCHEMA_ENTRIES_MAX)) {
        schema_unsupported(c, properties && properties->n_children > SCHEMA_ENTRIES_MAX ? "properties" : "required",
                           "with more than 2000 entries");
        return false;
    }
    const bool closed = json_is(rest, JSON_BOOL) && !rest->boolean;
    struct json *all = properties ? json_copy_shallow(&c->arena, properties) : json_new(&c->arena, JSON_OBJECT);
    struct json *own = json_new(&c->arena, JSON_OBJECT);
    if (!all || !own) {
        schema_no_memory(c);
        return false;
    }
    for (const struct json *member = all->first_child; member; member = member->next) {
        struct json *copy = json_copy_shallow(&c->arena, member);
        if (!copy) {
            schema_no_memory(c);
            return false;
        }
        copy->key = member->key;
        json_append(own, copy);
    }
    for (const struct json *one = json_is(required, JSON_ARRAY) ? required->first_child : NULL; one; one = one->next) {
        if (json_find_span(own, one->text))
            continue;
        struct json *any = rest ? json_copy_shallow(&c->arena, rest) : json_new(&c->arena, JSON_BOOL);
        if (!any) {
            schema_no_memory(c);
            return false;
        }
        any->boolean = rest ? any->boolean : true;
        any->key = one->text;
        json_append(own, any);
    }
    const struct json **sorted = schema_members(c, own);
    out->list = arena_alloc(&c->arena, own->n_children + 1, sizeof *out->list);
    if (!sorted || !out->list) {
        schema_no_memory(c);
        return false;
    }
    for (out->n = 0; out->n < own->n_children; ++out->n)
        out->list[out->n] =
            (struct member){ sorted[out->n]->key, sorted[out->n],
                             json_is(required, JSON_ARRAY) && is_required(required, sorted[out->n]->key) };
    out->others = rest;
    out->has_others = rest ? !closed : !properties && !required;
    return true;
}

static uint32_t member_value(struct schema_compiler *c, const struct member *member, uint32_t next)
{
    const size_t mark = schema_enter(c, "properties", member->name);
    const uint32_t value = schema_value(c, member->schema, next);
    schema_leave(c, mark);
    return schema_key(c, member->name, value);
}

// { "," member } with names that are not declared; *first is where such a member begins when it is the first one.
static uint32_t other_members(struct schema_compiler *c, const struct members *members, uint32_t close, uint32_t *first)
{
    struct span *names = arena_alloc(&c->arena, members->n + 1, sizeof *names);
    *first = NODE_DEAD;
    if (!members->has_others)
        return close;
    if (!names)
        return schema_no_memory(c);
    for (size_t i = 0; i < members->n; ++i)
        names[i] = members->list[i].name;
    const size_t mark = schema_enter(c, "additionalProperties", (struct span){ 0 });
    const uint32_t value = schema_value(c, members->others, NODE_RETURN);
    schema_leave(c, mark);
    const uint32_t rule = schema_other_key(c, names, members->n, value);
    const uint32_t more = schema_comma(c, grammar_add_call(c->b, rule, NODE_RETURN));
    const uint32_t rest = grammar_add_repeat(c->b, more, 0, REPEAT_FOREVER, close);
    *first = grammar_add_call(c->b, rule, rest);
    return rest;
}

// From the last member back. `opened` is where writing goes on while there is no member yet, `begun` after one, `named`
// after the comma that follows one.
uint32_t schema_object(struct schema_compiler *c, const struct json *schema, uint32_t next)
{
    struct members members = { 0 };
    if (!read_members(c, schema, &members))
        return NODE_DEAD;
    const uint32_t close = grammar_add_byte(c->b, '}', next);
    uint32_t other = NODE_DEAD;
    uint32_t begun = other_members(c, &members, close, &other);
    uint32_t opened = grammar_add_either(c->b, close, other), named = other;
    bool may_close = true;
    for (size_t i = members.n; i-- > 0 && c->status == KARAT_OK;) {
        const struct member *member = &members.list[i];
        const uint32_t start = member_value(c, member, begun);
        opened = member->required ? start : grammar_add_either(c->b, start, opened);
        named = member->required ? start : grammar_add_either(c->b, start, named);
        may_close = may_close && !member->required;
        begun = grammar_add_either(c->b, schema_comma(c, named), may_close ? close : NODE_DEAD);
    }
    return grammar_add_byte(c->b, '{', opened);
}
