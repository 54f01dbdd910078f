// text/grammar_pattern.c -- regular expressions as JavaScript has them with the flag u, without what looks around or
// back.
//
//     pattern = branch { "|" branch }          branch = ["^"] { factor } ["$"]
//     factor  = atom [ ( "*" | "+" | "?" | "{" m [ "," [ n ] ] "}" ) [ "?" ] ]
//     atom    = "." | class | escape | "(" [ "?:" | "?<" name ">" ] branches ")" | character
// Anchors only stand at the ends of the outermost branches.
#include <stdlib.h>

#include "base/arena.h"
#include "base/utf8.h"
#include "text/grammar_nodes.h"

#define DEPTH_MAX 64
#define COUNT_MAX 100000u

enum form { FORM_SET, FORM_ROW, FORM_CHOICE, FORM_REPEAT };

struct part {
    enum form form;
    struct char_set set;
    uint32_t min, max;
    struct part *first, *last; // of a row, choice or repetition
    struct part *next;         // of the same parent
    struct part *next_set;     // for freeing
    bool from_start, to_end;   // of an outermost branch: anchored
};

struct reader {
    struct span text;
    size_t at;
    unsigned depth;
    struct arena arena;
    struct part *sets;
    const char *reason; // the first thing that was wrong
    bool malformed, no_memory;
};

static struct part *fail(struct reader *r, bool malformed, const char *reason)
{
    if (!r->reason) {
        r->reason = reason;
        r->malformed = malformed;
    }
    return NULL;
}

static struct part *add_part(struct reader *r, enum form form)
{
    struct part *part = arena_alloc(&r->arena, 1, sizeof *part);
    if (!part) {
        r->no_memory = true;
        return fail(r, false, "no memory");
    }
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

static bool accept(struct reader *r, const char *text)
{
    const size_t size = strlen(text);
    if (r->text.size_bytes - r->at < size || memcmp(r->text.data + r->at, text, size) != 0)
        return false;
    r->at += size;
    return true;
}

static bool at_end(const struct reader *r)
{
    return r->at >= r->text.size_bytes;
}

static bool at(const struct reader *r, char c)
{
    return !at_end(r) && r->text.data[r->at] == (uint8_t)c;
}

static uint32_t take_char(struct reader *r)
{
    uint32_t c = 0;
    const size_t length = utf8_decode((const char *)r->text.data + r->at, r->text.size_bytes - r->at, &c);
    r->at += length > 0 ? length : 1;
    return c;
}

// ------------------------------------------------------------------------------------------------ characters

static const struct char_range digits[] = { { '0', '9' } };
static const struct char_range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
static const struct char_range spaces[] = {
    { '\t', '\r' },     { ' ', ' ' },       { 0xA0, 0xA0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200A },
    { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF },
};
static const struct char_range line_ends[] = { { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } };

static void add_ranges(struct char_set *set, const struct char_range *ranges, size_t n, bool negate)
{
    struct char_set own = { 0 };
    for (size_t i = 0; i < n; ++i)
        char_set_add(&own, ranges[i].low, ranges[i].high);
    if (negate)
        char_set_negate(&own);
    for (size_t i = 0; i < own.n; ++i)
        char_set_add(set, own.ranges[i].low, own.ranges[i].high);
    set->failed |= own.failed;
    char_set_free(&own);
}

static bool read_hex(struct reader *r, unsigned n, uint32_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; ++i) {
        const char c = at_end(r) ? '\0' : (char)r->text.data[r->at];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint32_t)digit;
        ++r->at;
    }
    return true;
}

static bool read_code_point(struct reader *r, uint32_t *out)
{
    uint32_t low = 0;
    if (accept(r, "{")) {
        *out = 0;
        for (uint32_t digit = 0; !at(r, '}'); *out = *out << 4 | digit)
            if (!read_hex(r, 1, &digit) || *out > 0xFFFFF)
                return false;
        return accept(r, "}") && *out <= 0x10FFFF && (*out < 0xD800 || *out > 0xDFFF);
    }
    if (!read_hex(r, 4, out))
        return false;
    if (*out < 0xD800 || *out > 0xDFFF)
        return true;
    if (*out >= 0xDC00 || !accept(r, "\\u") || !read_hex(r, 4, &low) || low < 0xDC00 || low > 0xDFFF)
        return false;
    *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

// After the backslash. Adds what it stands for to the set; *single is the character, UINT32_MAX for a class.
static bool read_escape(struct reader *r, struct char_set *set, uint32_t *single)
{
    static const char names[] = "nrtfv0", values[] = "\n\r\t\f\v";
    const uint32_t c = at_end(r) ? 0 : take_char(r);
    const char *name = c > 0 && c < 0x80 ? strchr(names, (int)c) : NULL;
    *single = UINT32_MAX;
    if (c == 'd' || c == 'D')
        add_ranges(set, digits, COUNT(digits), c == 'D');
    else if (c == 'w' || c == 'W')
        add_ranges(set, words, COUNT(words), c == 'W');
    else if (c == 's' || c == 'S')
        add_ranges(set, spaces, COUNT(spaces), c == 'S');
    else if (name)
        *single = (uint32_t)values[name - names];
    else if (c == 'x' ? !read_hex(r, 2, single) : c == 'u' && !read_code_point(r, single))
        return fail(r, true, "an escape without its hexadecimal digits");
    else if (c == 'x' || c == 'u')
        ;
    else if (c == 0 || c >= 0x80)
        return fail(r, true, "a backslash with nothing to escape");
    else if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return fail(r, false, "an escape other than \\d \\w \\s \\n \\r \\t \\f \\v \\0 \\x \\u");
    else
        *single = c;
    if (*single != UINT32_MAX)
        char_set_add(set, *single, *single);
    return true;
}

// One character or class of a bracket.
static bool read_member(struct reader *r, struct char_set *set, uint32_t *single)
{
    if (accept(r, "\\")) {
        if (accept(r, "b")) {
            *single = '\b';
            char_set_add(set, '\b', '\b');
            return true;
        }
        return read_escape(r, set, single);
    }
    *single = take_char(r);
    char_set_add(set, *single, *single);
    return true;
}

// After the opening bracket.
static struct part *read_class(struct reader *r)
{
    struct part *part = add_part(r, FORM_SET);
    const bool negate = part && accept(r, "^");
    while (part && !accept(r, "]")) {
        uint32_t low = 0, high = 0;
        if (at_end(r))
            return fail(r, true, "a class without ']'");
        if (!read_member(r, &part->set, &low))
            return NULL;
        if (!at(r, '-') || r->at + 1 >= r->text.size_bytes || r->text.data[r->at + 1] == ']')
            continue;
        ++r->at;
        if (!read_member(r, &part->set, &high))
            return NULL;
        if (low == UINT32_MAX || high == UINT32_MAX || low > high)
            return fail(r, true, "a range whose end comes before its beginning");
        char_set_add(&part->set, low, high);
    }
    if (negate)
        char_set_negate(&part->set);
    return part;
}

static struct part *read_dot(struct reader *r)
{
    struct part *part = add_part(r, FORM_SET);
    if (part)
        add_ranges(&part->set, line_ends, COUNT(line_ends), true);
    return part;
}

static struct part *read_literal(struct reader *r)
{
    struct part *part = add_part(r, FORM_SET);
    uint32_t single = 0;
    if (!part)
        return NULL;
    if (accept(r, "\\"))
        return read_escape(r, &part->set, &single) ? part : NULL;
    single = take_char(r);
    char_set_add(&part->set, single, single);
    return part;
}

// ------------------------------------------------------------------------------------------------ structure

static struct part *read_choice(struct reader *r);

// After the opening parenthesis.
static struct part *read_group(struct reader *r)
{
    if (accept(r, "?<") && !at(r, '=') && !at(r, '!')) {
        while (!at_end(r) && !at(r, '>'))
            ++r->at;
        if (!accept(r, ">"))
            return fail(r, true, "a group's name without '>'");
    } else if (r->text.data[r->at - 1] == '<' || (at(r, '?') && !accept(r, "?:"))) {
        return fail(r, false, "a group that looks ahead or behind");
    }
    if (++r->depth > DEPTH_MAX)
        return fail(r, false, "groups nested too deeply");
    struct part *part = read_choice(r);
    --r->depth;
    if (part && !accept(r, ")"))
        return fail(r, true, "a group without ')'");
    return part;
}

static struct part *read_atom(struct reader *r)
{
    if (accept(r, "("))
        return read_group(r);
    if (accept(r, "["))
        return read_class(r);
    if (accept(r, "."))
        return read_dot(r);
    if (at(r, '^') || at(r, '$'))
        return fail(r, false, "an anchor in the middle");
    if (at(r, '*') || at(r, '+') || at(r, '?') || at(r, '{'))
        return fail(r, true, "a repetition of nothing");
    return read_literal(r);
}

static bool read_count(struct reader *r, uint32_t *out)
{
    const size_t start = r->at;
    for (*out = 0; !at_end(r) && r->text.data[r->at] >= '0' && r->text.data[r->at] <= '9'; ++r->at)
        *out = *out > COUNT_MAX ? *out : *out * 10 + (r->text.data[r->at] - '0');
    return r->at > start;
}

// False without a repetition.
static bool read_bounds(struct reader *r, uint32_t *min, uint32_t *max)
{
    *min = at(r, '+');
    *max = at(r, '?') ? 1 : REPEAT_FOREVER;
    if (accept(r, "*") || accept(r, "+") || accept(r, "?"))
        return true;
    if (!accept(r, "{"))
        return false;
    bool ok = read_count(r, min);
    *max = *min;
    if (ok && accept(r, ",") && !read_count(r, max))
        *max = REPEAT_FOREVER;
    if (!ok || !accept(r, "}") || *min > *max)
        fail(r, true, "a repetition that is not {m}, {m,} or {m,n}");
    else if (*min > COUNT_MAX || (*max > COUNT_MAX && *max != REPEAT_FOREVER))
        fail(r, false, "a repetition of more than 100000 times");
    return true;
}

static struct part *read_factor(struct reader *r)
{
    struct part *atom = read_atom(r);
    uint32_t min = 0, max = 0;
    if (!atom || !read_bounds(r, &min, &max))
        return atom;
    accept(r, "?"); // how greedy it is does not change what matches
    struct part *repeat = r->reason ? NULL : add_part(r, FORM_REPEAT);
    if (!repeat)
        return NULL;
    repeat->min = min;
    repeat->max = max;
    append(repeat, atom);
    return repeat;
}

static struct part *read_row(struct reader *r)
{
    struct part *row = add_part(r, FORM_ROW);
    if (!row)
        return NULL;
    row->from_start = r->depth == 0 && accept(r, "^");
    while (!at_end(r) && !at(r, '|') && !at(r, ')')) {
        if (r->depth == 0 && at(r, '$') && (r->at + 1 == r->text.size_bytes || r->text.data[r->at + 1] == '|')) {
            ++r->at;
            row->to_end = true;
            break;
        }
        struct part *factor = read_factor(r);
        if (!factor)
            return NULL;
        append(row, factor);
    }
    return row;
}

static struct part *read_choice(struct reader *r)
{
    struct part *choice = add_part(r, FORM_CHOICE);
    do {
        struct part *row = choice ? read_row(r) : NULL;
        if (!row)
            return NULL;
        append(choice, row);
    } while (accept(r, "|"));
    if (r->depth == 0 && !at_end(r))
        return fail(r, true, "a ')' without its group");
    return choice;
}

// ------------------------------------------------------------------------------------------------ building

struct pattern_builder {
    struct grammar_builder *b;
    enum grammar_spelling spelling;
    uint32_t any; // rule of any character
};

static uint32_t build(const struct pattern_builder *p, const struct part *part, uint32_t next);

// The parts of a row, last first; rows are short enough to recurse on.
static uint32_t build_row(const struct pattern_builder *p, const struct part *row, uint32_t next)
{
    size_t n = 0;
    for (const struct part *part = row->first; part; part = part->next)
        ++n;
    const struct part **parts = malloc((n + 1) * sizeof *parts);
    if (!parts) {
        p->b->no_memory = true;
        return NODE_DEAD;
    }
    n = 0;
    for (const struct part *part = row->first; part; part = part->next)
        parts[n++] = part;
    while (n-- > 0)
        next = build(p, parts[n], next);
    free(parts);
    return next;
}

static uint32_t build_choice(const struct pattern_builder *p, const struct part *choice, uint32_t next)
{
    uint32_t start = NODE_DEAD;
    for (const struct part *row = choice->first; row; row = row->next)
        start = grammar_add_either(p->b, start, build_row(p, row, next));
    return start;
}

static uint32_t build(const struct pattern_builder *p, const struct part *part, uint32_t next)
{
    switch (part->form) {
    case FORM_SET:
        return grammar_add_chars(p->b, &part->set, p->spelling, next);
    case FORM_ROW:
        return build_row(p, part, next);
    case FORM_CHOICE:
        return build_choice(p, part, next);
    case FORM_REPEAT:
        if (part->min == 0 && part->max == 1)
            return grammar_add_either(p->b, build(p, part->first, next), next);
        return grammar_add_repeat(p->b, build(p, part->first, NODE_RETURN), part->min, part->max, next);
    }
    return NODE_DEAD;
}

static uint32_t build_anchored(const struct pattern_builder *p, const struct part *choice, uint32_t next)
{
    uint32_t start = NODE_DEAD;
    for (const struct part *row = choice->first; row; row = row->next) {
        const uint32_t end = row->to_end ? next : grammar_add_repeat(p->b, p->any, 0, REPEAT_FOREVER, next);
        const uint32_t middle = build_row(p, row, end);
        start = grammar_add_either(
            p->b, start, row->from_start ? middle : grammar_add_repeat(p->b, p->any, 0, REPEAT_FOREVER, middle));
    }
    return start;
}

// `^[class]*$` and its like: the lengths can simply be the repetition's.
static bool bound_only_repeat(struct part *choice, uint32_t min, uint32_t max)
{
    struct part *row = choice->first;
    if (row->next || !row->from_start || !row->to_end || !row->first || row->first->next)
        return false;
    struct part *repeat = row->first;
    if (repeat->form != FORM_REPEAT || repeat->first->form != FORM_SET)
        return false;
    repeat->min = repeat->min > min ? repeat->min : min;
    repeat->max = repeat->max < max ? repeat->max : max;
    return true;
}

static uint64_t add_lengths(uint64_t a, uint64_t b)
{
    return a + b > REPEAT_FOREVER ? REPEAT_FOREVER : a + b;
}

static void find_lengths(const struct part *part, uint64_t *min, uint64_t *max)
{
    uint64_t low = 0, high = 0;
    *min = part->form == FORM_CHOICE ? REPEAT_FOREVER : part->form == FORM_SET;
    *max = part->form == FORM_SET;
    for (const struct part *child = part->first; child; child = child->next) {
        find_lengths(child, &low, &high);
        if (part->form == FORM_CHOICE) {
            *min = low < *min ? low : *min;
            *max = high > *max ? high : *max;
        } else if (part->form == FORM_ROW) {
            *min = add_lengths(*min, low);
            *max = add_lengths(*max, high);
        } else {
            *min = low * part->min > REPEAT_FOREVER ? REPEAT_FOREVER : low * part->min;
            *max = high == 0 ? 0 : part->max == REPEAT_FOREVER ? REPEAT_FOREVER : high * part->max;
            *max = *max > REPEAT_FOREVER ? REPEAT_FOREVER : *max;
        }
    }
}

// Whether the lengths need no counting of their own.
static bool settle_lengths(struct part *choice, uint32_t min, uint32_t max)
{
    uint64_t low = 0, high = 0;
    bool anchored = true;
    if (min == 0 && max == REPEAT_FOREVER)
        return true;
    find_lengths(choice, &low, &high);
    for (const struct part *row = choice->first; row; row = row->next)
        anchored = anchored && row->from_start && row->to_end;
    return (low >= min && (max == REPEAT_FOREVER || (anchored && high <= max))) || bound_only_repeat(choice, min, max);
}

bool grammar_add_pattern(struct grammar_builder *b, struct span pattern, enum grammar_spelling spelling, uint32_t min,
                         uint32_t max, uint32_t next, uint32_t *start, const char **reason, bool *malformed)
{
    struct reader r = { .text = pattern };
    struct part *choice = read_choice(&r);
    *start = NODE_DEAD;
    if (choice && !r.reason && !settle_lengths(choice, min, max))
        fail(&r, false, "minLength or maxLength beside a pattern of another length");
    if (choice && !r.reason) {
        struct pattern_builder p = { .b = b, .spelling = spelling };
        p.any = grammar_add_any_char(b, spelling, NODE_RETURN);
        *start = build_anchored(&p, choice, next);
    }
    b->no_memory |= r.no_memory;
    for (struct part *set = r.sets; set; set = set->next_set)
        char_set_free(&set->set);
    arena_free(&r.arena);
    *reason = r.reason;
    *malformed = r.malformed;
    return !r.reason;
}
