// text/grammar_values.c -- how values are written, in JSON and in Gemma's calls.
#include <stdlib.h>

#include "base/utf8.h"
#include "text/chat_writer.h"
#include "text/grammar_schema.h"

#define KEY_CHARS_MAX 256u // of a declared name that other names must differ from

enum grammar_spelling schema_spelling(const struct schema_compiler *c)
{
    return c->dialect == DIALECT_CALL ? SPELL_RAW : SPELL_JSON;
}

// ------------------------------------------------------------------------------------------------ punctuation

static uint32_t add_space(struct schema_compiler *c, uint32_t next)
{
    return c->dialect == DIALECT_CALL ? next : grammar_add_either(c->b, grammar_add_byte(c->b, ' ', next), next);
}

uint32_t schema_colon(struct schema_compiler *c, uint32_t next)
{
    return grammar_add_byte(c->b, ':', add_space(c, next));
}

uint32_t schema_comma(struct schema_compiler *c, uint32_t next)
{
    return grammar_add_byte(c->b, ',', add_space(c, next));
}

uint32_t schema_quote(struct schema_compiler *c, uint32_t next)
{
    return c->dialect == DIALECT_CALL ? grammar_add_token(c->b, PARSE_QUOTE, next) : grammar_add_byte(c->b, '"', next);
}

// ------------------------------------------------------------------------------------------------ strings and keys

uint32_t schema_quoted(struct schema_compiler *c, struct span text, uint32_t next)
{
    return schema_quote(c, grammar_add_spelled(c->b, text, schema_spelling(c), schema_quote(c, next)));
}

uint32_t schema_any_string(struct schema_compiler *c, uint32_t min, uint32_t max, uint32_t next)
{
    if (c->any_char == NODE_DEAD)
        c->any_char = grammar_add_any_char(c->b, schema_spelling(c), NODE_RETURN);
    return schema_quote(c, grammar_add_repeat(c->b, c->any_char, min, max, schema_quote(c, next)));
}

static bool is_bare(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           byte == '_' || byte == '-' || byte == '.' || byte == '$' || byte >= 0x80;
}

uint32_t schema_key(struct schema_compiler *c, struct span key, uint32_t next)
{
    bool bare = c->dialect == DIALECT_CALL && key.size_bytes > 0;
    for (size_t i = 0; bare && i < key.size_bytes; ++i)
        bare = is_bare(key.data[i]);
    next = schema_colon(c, next);
    return bare ? grammar_add_text(c->b, key, next) : schema_quoted(c, key, next);
}

static void add_key_chars(const struct schema_compiler *c, struct char_set *set)
{
    if (c->dialect == DIALECT_CALL) {
        char_set_add(set, '0', '9');
        char_set_add(set, 'A', 'Z');
        char_set_add(set, '_', '_');
        char_set_add(set, 'a', 'z');
        return;
    }
    // Escapes are left out: by them a declared name could be written in another way.
    char_set_add(set, 0, 0x1F);
    char_set_add(set, '"', '"');
    char_set_add(set, '\\', '\\');
    char_set_add(set, 0x7F, 0x7F);
    char_set_add(set, 0x2028, 0x2029);
    char_set_negate(set);
}

static uint32_t char_at(struct span name, size_t at, size_t *length)
{
    uint32_t character = 0;
    *length = at < name.size_bytes ? utf8_decode((const char *)name.data + at, name.size_bytes - at, &character) : 0;
    return character;
}

// The rest of a key whose first `at` bytes are those of all the names; `freely` is the rest of one that is no name.
static uint32_t other_key(struct schema_compiler *c, const struct span *names, size_t n, size_t at, unsigned depth,
                          uint32_t freely, uint32_t end)
{
    struct char_set set = { 0 };
    struct span *inner = malloc((n + 1) * sizeof *inner);
    uint32_t start = NODE_DEAD;
    bool is_name = depth == 0 && c->dialect == DIALECT_CALL; // a bare key is not empty
    if (!inner || depth > KEY_CHARS_MAX) {
        free(inner);
        return inner ? schema_unsupported(c, "additionalProperties", "beside a name of more than 256 characters")
                     : schema_no_memory(c);
    }
    for (size_t i = 0; i < n; ++i) {
        size_t length = 0, n_inner = 0;
        const uint32_t character = char_at(names[i], at, &length);
        if (length == 0) {
            is_name = true;
            continue;
        }
        if (char_set_has(&set, character, character))
            continue;
        char_set_add(&set, character, character);
        for (size_t j = i; j < n; ++j) {
            size_t same = 0;
            if (char_at(names[j], at, &same) == character && same == length)
                inner[n_inner++] = names[j];
        }
        const uint32_t rest = other_key(c, inner, n_inner, at + length, depth + 1, freely, end);
        start = grammar_add_either(c->b, start, grammar_add_text(c->b, span_of(names[i].data + at, length), rest));
    }
    // All characters of keys that begin none of the names.
    struct char_set others = { 0 };
    add_key_chars(c, &others);
    char_set_negate(&others);
    for (size_t i = 0; i < set.n; ++i)
        char_set_add(&others, set.ranges[i].low, set.ranges[i].high);
    char_set_negate(&others);
    start = grammar_add_either(c->b, start, grammar_add_chars(c->b, &others, SPELL_RAW, freely));
    start = is_name ? start : grammar_add_either(c->b, start, end);
    char_set_free(&others);
    char_set_free(&set);
    free(inner);
    return start;
}

uint32_t schema_other_key(struct schema_compiler *c, const struct span *names, size_t n, uint32_t next)
{
    struct char_set set = { 0 };
    const bool fenced = c->dialect != DIALECT_CALL;
    next = schema_colon(c, next);
    const uint32_t end = fenced ? grammar_add_byte(c->b, '"', next) : next;
    add_key_chars(c, &set);
    const uint32_t one = grammar_add_chars(c->b, &set, SPELL_RAW, NODE_RETURN);
    char_set_free(&set);
    const uint32_t freely = grammar_add_repeat(c->b, one, 0, REPEAT_FOREVER, end);
    const uint32_t start = other_key(c, names, n, 0, 0, freely, end);
    return fenced ? grammar_add_byte(c->b, '"', start) : start;
}

struct sorted_key {
    const struct json *member;
    struct text lower;
    size_t index;
};

static int compare_keys(const void *a, const void *b)
{
    const struct sorted_key *x = a, *y = b;
    const size_t m = x->lower.size_bytes, n = y->lower.size_bytes;
    const int order = m > 0 && n > 0 ? memcmp(x->lower.data, y->lower.data, m < n ? m : n) : 0;
    if (order != 0)
        return order;
    return m != n ? (m < n ? -1 : 1) : x->index < y->index ? -1 : 1;
}

const struct json **schema_members(struct schema_compiler *c, const struct json *object)
{
    const size_t n = object ? object->n_children : 0;
    const struct json **members = arena_alloc(&c->arena, n + 1, sizeof *members);
    struct sorted_key *keys = calloc(n + 1, sizeof *keys);
    size_t i = 0;
    bool ok = members && keys;
    for (const struct json *member = n > 0 ? object->first_child : NULL; ok && member; member = member->next, ++i) {
        keys[i] = (struct sorted_key){ .member = member, .index = i };
        if (c->dialect == DIALECT_CALL)
            chat_lower(&keys[i].lower, member->key);
        ok = !keys[i].lower.failed;
    }
    if (ok && c->dialect == DIALECT_CALL)
        qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t j = 0; keys && j < n; ++j) {
        if (ok)
            members[j] = keys[j].member;
        text_free(&keys[j].lower);
    }
    free(keys);
    if (!ok)
        schema_no_memory(c);
    return ok ? members : NULL;
}

// ------------------------------------------------------------------------------------------------ literals

static uint32_t array_literal(struct schema_compiler *c, const struct json *array, uint32_t next)
{
    const struct json **items = arena_alloc(&c->arena, array->n_children + 1, sizeof *items);
    size_t n = 0;
    if (!items)
        return schema_no_memory(c);
    for (const struct json *item = array->first_child; item; item = item->next)
        items[n++] = item;
    next = grammar_add_byte(c->b, ']', next);
    while (n-- > 0) {
        next = schema_literal(c, items[n], next);
        next = n > 0 ? schema_comma(c, next) : next;
    }
    return grammar_add_byte(c->b, '[', next);
}

static uint32_t object_literal(struct schema_compiler *c, const struct json *object, uint32_t next)
{
    const struct json **members = schema_members(c, object);
    size_t n = object->n_children;
    if (!members)
        return NODE_DEAD;
    next = grammar_add_byte(c->b, '}', next);
    while (n-- > 0) {
        next = schema_key(c, members[n]->key, schema_literal(c, members[n], next));
        next = n > 0 ? schema_comma(c, next) : next;
    }
    return grammar_add_byte(c->b, '{', next);
}

uint32_t schema_literal(struct schema_compiler *c, const struct json *value, uint32_t next)
{
    switch (value->kind) {
    case JSON_NULL:
        return grammar_add_text(c->b, span_text("null"), next);
    case JSON_BOOL:
        return grammar_add_text(c->b, span_text(value->boolean ? "true" : "false"), next);
    case JSON_NUMBER:
        return grammar_add_text(c->b, value->text, next);
    case JSON_STRING:
        return schema_quoted(c, value->text, next);
    case JSON_ARRAY:
        return array_literal(c, value, next);
    case JSON_OBJECT:
        return object_literal(c, value, next);
    }
    return NODE_DEAD;
}

// ------------------------------------------------------------------------------------------------ anything

// item { "," item } or nothing, then the closing bracket.
static uint32_t add_list(struct schema_compiler *c, char open, uint32_t item, char close, uint32_t next)
{
    const uint32_t end = grammar_add_byte(c->b, (uint8_t)close, next);
    const uint32_t more = schema_comma(c, grammar_add_call(c->b, item, NODE_RETURN));
    const uint32_t some = grammar_add_call(c->b, item, grammar_add_repeat(c->b, more, 0, REPEAT_FOREVER, end));
    return grammar_add_byte(c->b, (uint8_t)open, grammar_add_either(c->b, end, some));
}

static uint32_t add_any_rule(struct schema_compiler *c, unsigned depth)
{
    const struct number_bounds bounds = { 0 };
    uint32_t targets[7] = { grammar_add_number(c->b, &bounds, NODE_RETURN) };
    targets[1] = grammar_add_text(c->b, span_text("true"), NODE_RETURN);
    targets[2] = grammar_add_text(c->b, span_text("false"), NODE_RETURN);
    targets[3] = grammar_add_text(c->b, span_text("null"), NODE_RETURN);
    targets[4] = schema_any_string(c, 0, REPEAT_FOREVER, NODE_RETURN);
    if (depth > 0) {
        const uint32_t inner = schema_any(c, depth - 1, NODE_RETURN);
        const uint32_t member = schema_other_key(c, NULL, 0, inner);
        targets[5] = add_list(c, '[', inner, ']', NODE_RETURN);
        targets[6] = add_list(c, '{', member, '}', NODE_RETURN);
    }
    return grammar_add_split(c->b, targets, COUNT(targets));
}

uint32_t schema_any(struct schema_compiler *c, unsigned depth, uint32_t next)
{
    if (c->any[depth] == NODE_DEAD)
        c->any[depth] = add_any_rule(c, depth);
    return grammar_add_call(c->b, c->any[depth], next);
}
