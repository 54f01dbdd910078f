// text/grammar_gbnf.c -- grammars as llama.cpp writes them.
//
//     rule   = name "::=" choice newline        choice = row { "|" row }        row = { item [ repetition ] }
//     item   = "text" | [class] | "." | name | "(" choice ")"
//     repetition = "*" | "+" | "?" | "{" m "}" | "{" m "," [ n ] "}"
// A row ends with its line unless it stands in parentheses; after "::=" and "|" lines may end, too. "#" begins a
// comment.
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/utf8.h"
#include "text/grammar_nodes.h"

#define TEXT_BYTES_MAX ((size_t)256 << 10) // rules are looked for one by one
#define DEPTH_MAX 64
#define COUNT_MAX 100000u

enum form { FORM_TEXT, FORM_SET, FORM_RULE, FORM_ROW, FORM_CHOICE, FORM_REPEAT };

struct rule {
    struct span name;
    size_t at;           // where it was first named
    struct part *choice; // NULL: not defined
    uint32_t node;
    struct rule *next;
};

struct part {
    enum form form;
    struct char_set set;
    struct span text; // in the arena
    struct rule *rule;
    uint32_t min, max;
    struct part *first, *last; // of a row, choice or repetition
    struct part *next;         // of the same parent
    struct part *next_set;     // for freeing
};

struct reader {
    struct span text;
    size_t at;
    unsigned depth;
    struct arena arena;
    struct part *sets;
    struct rule *rules;
    enum karat_status status;
    struct karat_error *err;
};

// ------------------------------------------------------------------------------------------------ reading

static void *fail_at(struct reader *r, size_t at, const char *problem, struct span name)
{
    size_t line = 1, line_start = 0;
    for (size_t i = 0; i < at && i < r->text.size_bytes; ++i)
        if (r->text.data[i] == '\n') {
            ++line;
            line_start = i + 1;
        }
    if (r->status == KARAT_OK)
        r->status = status_fail(r->err, KARAT_ERR_FORMAT, "grammar line %zu, column %zu: %s%s%.*s", line,
                                at - line_start + 1, problem, name.size_bytes > 0 ? " " : "", SPAN_ARGS(name));
    return NULL;
}

static void *fail(struct reader *r, const char *problem)
{
    return fail_at(r, r->at, problem, (struct span){ 0 });
}

static void *fail_memory(struct reader *r)
{
    if (r->status == KARAT_OK)
        r->status = status_fail(r->err, KARAT_ERR_MEMORY, "no memory for the grammar");
    return NULL;
}

static struct part *add_part(struct reader *r, enum form form)
{
    struct part *part = arena_alloc(&r->arena, 1, sizeof *part);
    if (!part)
        return fail_memory(r);
    part->form = form;
    if (form == FORM_SET) {
        part->next_set = r->sets;
        r->sets = part;
    }
    return part;
}

static void append(struct part *parent, struct part *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

static int peek(const struct reader *r)
{
    return r->at < r->text.size_bytes ? r->text.data[r->at] : -1;
}

static bool accept(struct reader *r, char c)
{
    if (peek(r) != (uint8_t)c)
        return false;
    ++r->at;
    return true;
}

static void skip_space(struct reader *r, bool lines)
{
    for (;; ++r->at) {
        while (peek(r) == '#')
            while (peek(r) >= 0 && peek(r) != '\n')
                ++r->at;
        const int c = peek(r);
        if (c != ' ' && c != '\t' && !(lines && (c == '\n' || c == '\r')))
            return;
    }
}

static bool is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static struct span read_name(struct reader *r)
{
    const size_t start = r->at;
    while (is_word(peek(r)))
        ++r->at;
    return span_of(r->text.data + start, r->at - start);
}

static struct rule *find_rule(struct reader *r, struct span name, size_t at)
{
    for (struct rule *rule = r->rules; rule; rule = rule->next)
        if (span_equal(rule->name, name))
            return rule;
    struct rule *rule = arena_alloc(&r->arena, 1, sizeof *rule);
    if (!rule)
        return fail_memory(r);
    *rule = (struct rule){ .name = name, .at = at, .next = r->rules };
    return r->rules = rule;
}

static bool read_hex(struct reader *r, unsigned n, uint32_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; ++i, ++r->at) {
        const int c = peek(r);
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return fail(r, "expected a hexadecimal digit") != NULL;
        *out = *out << 4 | (uint32_t)digit;
    }
    if (*out > 0x10FFFF || (*out >= 0xD800 && *out <= 0xDFFF))
        return fail(r, "this is no character of Unicode") != NULL;
    return true;
}

// One character of a text or class, escapes included.
static bool read_char(struct reader *r, uint32_t *out)
{
    static const char names[] = "tnr\\\"[]-^", values[] = "\t\n\r\\\"[]-^";
    const size_t length = utf8_decode((const char *)r->text.data + r->at, r->text.size_bytes - r->at, out);
    if (length == 0)
        return fail(r, r->at < r->text.size_bytes ? "this is not UTF-8" : "the grammar ends too early") != NULL;
    r->at += length;
    if (*out != '\\')
        return true;
    const int c = peek(r);
    const char *name = c > 0 ? strchr(names, c) : NULL;
    if (c != 'x' && c != 'u' && c != 'U' && !name)
        return fail(r, "this escape is not one of \\x \\u \\U \\t \\n \\r \\\\ \\\" \\[ \\]") != NULL;
    ++r->at;
    if (name) {
        *out = (uint8_t)values[name - names];
        return true;
    }
    return read_hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
}

static struct part *read_text(struct reader *r)
{
    struct part *part = add_part(r, FORM_TEXT);
    struct text text = { 0 };
    while (part && r->status == KARAT_OK && !accept(r, '"')) {
        uint32_t c = 0;
        char bytes[4];
        if (peek(r) < 0 || peek(r) == '\n')
            fail(r, "a text without its closing quote");
        else if (read_char(r, &c))
            text_append(&text, bytes, utf8_encode(bytes, c));
    }
    const char *copy = part && !text.failed ? arena_text(&r->arena, text.data, text.size_bytes) : NULL;
    if (copy)
        part->text = span_of(copy, text.size_bytes);
    else
        fail_memory(r);
    text_free(&text);
    return part;
}

static struct part *read_class(struct reader *r)
{
    struct part *part = add_part(r, FORM_SET);
    const bool negate = accept(r, '^');
    while (part && r->status == KARAT_OK && !accept(r, ']')) {
        uint32_t low = 0, high = 0;
        if (!read_char(r, &low))
            break;
        high = low;
        if (peek(r) == '-' && r->at + 1 < r->text.size_bytes && r->text.data[r->at + 1] != ']') {
            ++r->at;
            if (!read_char(r, &high))
                break;
        }
        if (low > high)
            fail(r, "a range whose end comes before its beginning");
        else
            char_set_add(&part->set, low, high);
    }
    if (part && negate)
        char_set_negate(&part->set);
    return part;
}

static struct part *read_choice(struct reader *r, bool nested);

static struct part *read_item(struct reader *r, bool nested)
{
    if (accept(r, '"'))
        return read_text(r);
    if (accept(r, '['))
        return read_class(r);
    if (accept(r, '.')) {
        struct part *part = add_part(r, FORM_SET);
        if (part)
            char_set_negate(&part->set);
        return part;
    }
    if (accept(r, '(')) {
        if (++r->depth > DEPTH_MAX)
            return fail(r, "groups are nested more than 64 deep");
        skip_space(r, true);
        struct part *part = read_choice(r, true);
        --r->depth;
        if (part && !accept(r, ')'))
            return fail(r, "expected ')'");
        return part;
    }
    (void)nested;
    const size_t at = r->at;
    const struct span name = read_name(r);
    if (name.size_bytes == 0)
        return fail(r, "expected a text, a class, a name or a group");
    struct part *part = add_part(r, FORM_RULE);
    if (part)
        part->rule = find_rule(r, name, at);
    return part;
}

static bool read_number(struct reader *r, uint32_t *out)
{
    const size_t start = r->at;
    for (*out = 0; peek(r) >= '0' && peek(r) <= '9'; ++r->at)
        *out = *out > COUNT_MAX ? *out : *out * 10 + (uint32_t)(peek(r) - '0');
    return r->at > start;
}

// False without a repetition or after a failure.
static bool read_bounds(struct reader *r, bool nested, uint32_t *min, uint32_t *max)
{
    const int c = peek(r);
    *min = c == '+';
    *max = c == '?' ? 1 : REPEAT_FOREVER;
    if (accept(r, '*') || accept(r, '+') || accept(r, '?'))
        return true;
    if (!accept(r, '{'))
        return false;
    skip_space(r, nested);
    if (!read_number(r, min))
        return fail(r, "expected a number") != NULL;
    *max = *min;
    skip_space(r, nested);
    if (accept(r, ',')) {
        skip_space(r, nested);
        if (!read_number(r, max))
            *max = REPEAT_FOREVER;
        skip_space(r, nested);
    }
    if (!accept(r, '}'))
        return fail(r, "expected '}'") != NULL;
    if (*min > *max || *min > COUNT_MAX || (*max > COUNT_MAX && *max != REPEAT_FOREVER))
        return fail(r, "a repetition needs at most 100000 turns, the smaller number first") != NULL;
    return true;
}

static struct part *read_row(struct reader *r, bool nested)
{
    struct part *row = add_part(r, FORM_ROW);
    while (row && r->status == KARAT_OK) {
        const int c = peek(r);
        if (c != '"' && c != '[' && c != '(' && c != '.' && !is_word(c))
            return row;
        struct part *item = read_item(r, nested);
        uint32_t min = 0, max = 0;
        skip_space(r, nested);
        while (item && r->status == KARAT_OK && read_bounds(r, nested, &min, &max)) {
            struct part *repeat = add_part(r, FORM_REPEAT);
            if (!repeat)
                return NULL;
            repeat->min = min;
            repeat->max = max;
            append(repeat, item);
            item = repeat;
            skip_space(r, nested);
            // A repetition of a repetition of ... would be a stack as deep as the text is long.
            if (++r->depth > DEPTH_MAX)
                return fail(r, "repetitions are nested more than 64 deep");
        }
        for (const struct part *part = item; part && part->form == FORM_REPEAT && r->depth > 0; part = part->first)
            --r->depth;
        if (item)
            append(row, item);
    }
    return r->status == KARAT_OK ? row : NULL;
}

static struct part *read_choice(struct reader *r, bool nested)
{
    struct part *choice = add_part(r, FORM_CHOICE);
    while (choice) {
        struct part *row = read_row(r, nested);
        if (!row)
            return NULL;
        append(choice, row);
        if (!accept(r, '|'))
            break;
        skip_space(r, true);
    }
    return choice;
}

static void read_rule(struct reader *r)
{
    const size_t at = r->at;
    const struct span name = read_name(r);
    if (name.size_bytes == 0) {
        fail(r, "expected the name of a rule");
        return;
    }
    skip_space(r, false);
    if (!accept(r, ':') || !accept(r, ':') || !accept(r, '=')) {
        fail(r, "expected ::=");
        return;
    }
    skip_space(r, true);
    struct rule *rule = find_rule(r, name, at);
    if (rule && rule->choice) {
        fail_at(r, at, "there are two rules named", name);
        return;
    }
    r->depth = 0;
    struct part *choice = rule ? read_choice(r, false) : NULL;
    if (!choice)
        return;
    rule->choice = choice;
    if (peek(r) >= 0 && peek(r) != '\n' && peek(r) != '\r')
        fail(r, "expected the end of the line");
    skip_space(r, true);
}

// ------------------------------------------------------------------------------------------------ building

static uint32_t build(struct grammar_builder *b, const struct part *part, uint32_t next);

static uint32_t build_row(struct grammar_builder *b, const struct part *row, uint32_t next)
{
    size_t n = 0;
    for (const struct part *part = row->first; part; part = part->next)
        ++n;
    const struct part **parts = malloc((n + 1) * sizeof *parts);
    if (!parts) {
        b->no_memory = true;
        return NODE_DEAD;
    }
    n = 0;
    for (const struct part *part = row->first; part; part = part->next)
        parts[n++] = part;
    while (n-- > 0)
        next = build(b, parts[n], next);
    free(parts);
    return next;
}

static uint32_t build(struct grammar_builder *b, const struct part *part, uint32_t next)
{
    uint32_t start = NODE_DEAD;
    switch (part->form) {
    case FORM_TEXT:
        return grammar_add_text(b, part->text, next);
    case FORM_SET:
        return grammar_add_chars(b, &part->set, SPELL_RAW, next);
    case FORM_RULE:
        return grammar_add_call(b, part->rule->node, next);
    case FORM_ROW:
        return build_row(b, part, next);
    case FORM_CHOICE:
        for (const struct part *row = part->first; row; row = row->next)
            start = grammar_add_either(b, start, build_row(b, row, next));
        return start;
    case FORM_REPEAT:
        if (part->min == 0 && part->max == 1)
            return grammar_add_either(b, build(b, part->first, next), next);
        return grammar_add_repeat(b, build(b, part->first, NODE_RETURN), part->min, part->max, next);
    }
    return start;
}

static void build_rules(struct reader *r, struct grammar_builder *b)
{
    for (struct rule *rule = r->rules; rule; rule = rule->next) {
        rule->node = grammar_reserve(b);
        if (!rule->choice)
            fail_at(r, rule->at, "there is no rule named", rule->name);
    }
    for (struct rule *rule = r->rules; rule && r->status == KARAT_OK; rule = rule->next)
        grammar_define(b, rule->node, build(b, rule->choice, NODE_RETURN));
}

enum karat_status grammar_add_gbnf(struct grammar_builder *b, struct span text, uint32_t next, uint32_t *start,
                                   struct karat_error *err)
{
    struct reader r = { .text = text, .err = err };
    *start = NODE_DEAD;
    if (text.size_bytes > TEXT_BYTES_MAX)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the grammar has %zu bytes, at most %zu are read",
                           text.size_bytes, TEXT_BYTES_MAX);
    skip_space(&r, true);
    while (peek(&r) >= 0 && r.status == KARAT_OK)
        read_rule(&r);
    struct rule *root = r.status == KARAT_OK ? find_rule(&r, span_text("root"), text.size_bytes) : NULL;
    if (root && !root->choice)
        r.status = status_fail(err, KARAT_ERR_FORMAT, "the grammar has no rule named root");
    if (r.status == KARAT_OK)
        build_rules(&r, b);
    if (r.status == KARAT_OK && root)
        *start = grammar_add_call(b, root->node, next);
    for (struct part *set = r.sets; set; set = set->next_set)
        char_set_free(&set->set);
    arena_free(&r.arena);
    return r.status;
}

enum karat_status grammar_from_gbnf(struct grammar **out, struct span text, struct karat_error *err)
{
    return grammar_from_reply(out, &(struct grammar_reply){ .gbnf = text }, err);
}
