// text/grammar_chars.c -- sets of characters, and the bytes that write them.
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "text/grammar_nodes.h"

#define UNICODE_MAX 0x10FFFFu
#define SURROGATE_MIN 0xD800u
#define SURROGATE_MAX 0xDFFFu

// ------------------------------------------------------------------------------------------------ sets

static bool make_room(struct char_set *set)
{
    if (set->failed || set->n < set->capacity)
        return !set->failed;
    const size_t capacity = set->capacity > 0 ? 2 * set->capacity : 8;
    struct char_range *moved = realloc(set->ranges, capacity * sizeof *moved);
    if (!moved) {
        set->failed = true;
        return false;
    }
    set->ranges = moved;
    set->capacity = capacity;
    return true;
}

void char_set_add(struct char_set *set, uint32_t low, uint32_t high)
{
    size_t first = 0;
    if (low > high)
        return;
    while (first < set->n && low > 0 && set->ranges[first].high < low - 1)
        ++first;
    size_t last = first; // one past those that touch the new range
    for (; last < set->n && set->ranges[last].low <= high + 1; ++last) {
        low = set->ranges[last].low < low ? set->ranges[last].low : low;
        high = set->ranges[last].high > high ? set->ranges[last].high : high;
    }
    if (first == last) {
        if (!make_room(set))
            return;
        memmove(set->ranges + first + 1, set->ranges + first, (set->n - first) * sizeof *set->ranges);
        ++set->n;
    } else {
        memmove(set->ranges + first + 1, set->ranges + last, (set->n - last) * sizeof *set->ranges);
        set->n -= last - first - 1;
    }
    set->ranges[first] = (struct char_range){ low, high };
}

void char_set_negate(struct char_set *set)
{
    struct char_set result = { .failed = set->failed };
    uint32_t at = 0;
    char_set_add(set, SURROGATE_MIN, SURROGATE_MAX);
    for (size_t i = 0; i < set->n; ++i) {
        if (set->ranges[i].low > at)
            char_set_add(&result, at, set->ranges[i].low - 1);
        at = set->ranges[i].high + 1;
    }
    if (at <= UNICODE_MAX)
        char_set_add(&result, at, UNICODE_MAX);
    result.failed |= set->failed;
    char_set_free(set);
    *set = result;
}

bool char_set_has(const struct char_set *set, uint32_t low, uint32_t high)
{
    for (size_t i = 0; i < set->n; ++i)
        if (set->ranges[i].low <= low && high <= set->ranges[i].high)
            return true;
    return false;
}

void char_set_free(struct char_set *set)
{
    free(set->ranges);
    *set = (struct char_set){ 0 };
}

// ------------------------------------------------------------------------------------------------ bytes

#define BRANCHES_MAX 600u

// The ranges of a step under construction, and the continuation bytes that were added for it already.
struct branches {
    struct grammar_builder *builder;
    struct byte_range first[BRANCHES_MAX];
    uint32_t n_first;
    struct byte_range seen[BRANCHES_MAX]; // this range goes on to `next` in the node seen_nodes[i]
    uint32_t seen_nodes[BRANCHES_MAX];
    uint32_t n_seen;
};

static uint32_t add_continuation(struct branches *br, uint8_t low, uint8_t high, uint32_t next)
{
    for (uint32_t i = 0; i < br->n_seen; ++i)
        if (br->seen[i].low == low && br->seen[i].high == high && br->seen[i].next == next)
            return br->seen_nodes[i];
    const struct byte_range range = { low, high, next };
    const uint32_t node = grammar_add_step(br->builder, &range, 1);
    if (br->n_seen < BRANCHES_MAX) {
        br->seen[br->n_seen] = range;
        br->seen_nodes[br->n_seen++] = node;
    }
    return node;
}

static void add_first(struct branches *br, uint8_t low, uint8_t high, uint32_t next)
{
    struct byte_range *last = br->n_first > 0 ? &br->first[br->n_first - 1] : NULL;
    if (last && last->next == next && last->high + 1 == low)
        last->high = high;
    else if (br->n_first < BRANCHES_MAX)
        br->first[br->n_first++] = (struct byte_range){ low, high, next };
    else
        br->builder->too_large = true;
}

// Characters of one length whose encodings differ only from byte `at` on, as few sequences of ranges of bytes.
static void add_sequence(struct branches *br, uint32_t low, uint32_t high, uint32_t next)
{
    char low_bytes[4], high_bytes[4];
    const size_t length = utf8_encode(low_bytes, low);
    utf8_encode(high_bytes, high);
    for (size_t tail = length - 1; tail > 0; --tail) {
        // All bytes after a differing one must cover their whole range, or the characters are split there.
        const uint32_t mask = (1u << (6 * tail)) - 1;
        if ((low & ~mask) != (high & ~mask)) {
            if ((low & mask) != 0) {
                add_sequence(br, low, low | mask, next);
                add_sequence(br, (low | mask) + 1, high, next);
                return;
            }
            if ((high & mask) != mask) {
                add_sequence(br, low, (high & ~mask) - 1, next);
                add_sequence(br, high & ~mask, high, next);
                return;
            }
        }
    }
    for (size_t i = length - 1; i > 0; --i)
        next = add_continuation(br, (uint8_t)low_bytes[i], (uint8_t)high_bytes[i], next);
    add_first(br, (uint8_t)low_bytes[0], (uint8_t)high_bytes[0], next);
}

static void add_utf8(struct branches *br, uint32_t low, uint32_t high, uint32_t next)
{
    // Where the length changes, and around the surrogates, which are no characters.
    static const struct char_range pieces[] = {
        { 0, 0x7F },
        { 0x80, 0x7FF },
        { 0x800, SURROGATE_MIN - 1 },
        { SURROGATE_MAX + 1, 0xFFFF },
        { 0x10000, UNICODE_MAX },
    };
    for (size_t i = 0; i < COUNT(pieces); ++i) {
        const uint32_t from = low > pieces[i].low ? low : pieces[i].low;
        const uint32_t to = high < pieces[i].high ? high : pieces[i].high;
        if (from <= to)
            add_sequence(br, from, to, next);
    }
}

// ------------------------------------------------------------------------------------------------ JSON's escapes

static char short_escape(uint32_t c)
{
    static const char values[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *at = c > 0 && c < 0x80 ? strchr(values, (int)c) : NULL;
    return at ? names[at - values] : '\0';
}

static bool needs_escape(uint32_t c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

// Everything after the backslash, for one character that has to be escaped.
static uint32_t add_escape(struct grammar_builder *b, uint32_t c, uint32_t next)
{
    char text[8] = { short_escape(c) };
    if (!text[0])
        snprintf(text, sizeof text, "u%04x", (unsigned)c);
    return grammar_add_text(b, span_text(text), next);
}

static uint32_t add_set_escapes(struct grammar_builder *b, const struct char_set *set, uint32_t next)
{
    uint32_t targets[0x80], n = 0;
    for (uint32_t c = 0; c < 0x80; ++c)
        if (needs_escape(c) && char_set_has(set, c, c))
            targets[n++] = add_escape(b, c, next);
    return grammar_add_split(b, targets, n);
}

// ------------------------------------------------------------------------------------------------ nodes

static bool has_plain(const struct char_set *set)
{
    static const struct char_range plain[] = {
        { 0x20, 0x21 },
        { 0x23, 0x5B },
        { 0x5D, 0x7E },
        { 0x80, 0x2027 },
        { 0x202A, SURROGATE_MIN - 1 },
        { SURROGATE_MAX + 1, UNICODE_MAX },
    };
    for (size_t i = 0; i < COUNT(plain); ++i)
        if (!char_set_has(set, plain[i].low, plain[i].high))
            return false;
    return true;
}

static bool has_all(const struct char_set *set)
{
    return char_set_has(set, 0, SURROGATE_MIN - 1) && char_set_has(set, SURROGATE_MAX + 1, UNICODE_MAX);
}

static uint32_t finish_step(struct branches *br, const struct char_set *set, enum grammar_spelling spelling,
                            uint32_t next)
{
    const uint32_t node = grammar_add_step(br->builder, br->first, br->n_first);
    if (node != NODE_DEAD && next == NODE_RETURN)
        br->builder->grammar->nodes[node].chars = spelling == SPELL_RAW && has_all(set) ? CHARS_ANY
                                                  : has_plain(set)                      ? CHARS_PLAIN
                                                                                        : CHARS_NONE;
    return node;
}

uint32_t grammar_add_chars(struct grammar_builder *b, const struct char_set *set, enum grammar_spelling spelling,
                           uint32_t next)
{
    struct branches *br = calloc(1, sizeof *br);
    if (!br || set->failed) {
        free(br);
        b->no_memory = true;
        return NODE_DEAD;
    }
    br->builder = b;
    for (size_t i = 0; i < set->n; ++i) {
        uint32_t low = set->ranges[i].low;
        for (uint32_t c = low; spelling == SPELL_JSON && c <= set->ranges[i].high && c < 0x80; ++c)
            if (needs_escape(c)) {
                if (c > low)
                    add_utf8(br, low, c - 1, next);
                low = c + 1;
            }
        if (low <= set->ranges[i].high)
            add_utf8(br, low, set->ranges[i].high, next);
    }
    const uint32_t escapes = spelling == SPELL_JSON ? add_set_escapes(b, set, next) : NODE_DEAD;
    if (escapes != NODE_DEAD)
        add_first(br, '\\', '\\', escapes);
    const uint32_t node = finish_step(br, set, spelling, next);
    free(br);
    return node;
}

static uint32_t add_hex(struct grammar_builder *b, uint32_t next)
{
    const struct byte_range ranges[] = { { '0', '9', next }, { 'A', 'F', next }, { 'a', 'f', next } };
    return grammar_add_step(b, ranges, COUNT(ranges));
}

// Any escape but those of surrogates, which only make sense in pairs.
static uint32_t add_any_escape(struct grammar_builder *b, uint32_t next)
{
    const uint32_t one = add_hex(b, next), two = add_hex(b, one), three = add_hex(b, two);
    const uint32_t below_d8 = grammar_add_step(b, &(struct byte_range){ '0', '7', two }, 1);
    const struct byte_range first[] = {
        { '0', '9', three }, { 'A', 'C', three },    { 'E', 'F', three },    { 'a', 'c', three },
        { 'e', 'f', three }, { 'D', 'D', below_d8 }, { 'd', 'd', below_d8 },
    };
    const uint32_t number = grammar_add_step(b, first, COUNT(first));
    const struct byte_range letters[] = {
        { '"', '"', next }, { '/', '/', next }, { '\\', '\\', next }, { 'b', 'b', next },   { 'f', 'f', next },
        { 'n', 'n', next }, { 'r', 'r', next }, { 't', 't', next },   { 'u', 'u', number },
    };
    return grammar_add_step(b, letters, COUNT(letters));
}

uint32_t grammar_add_any_char(struct grammar_builder *b, enum grammar_spelling spelling, uint32_t next)
{
    struct branches *br = calloc(1, sizeof *br);
    struct char_set all = { 0 };
    char_set_add(&all, 0, UNICODE_MAX);
    if (!br || all.failed) {
        free(br);
        char_set_free(&all);
        b->no_memory = true;
        return NODE_DEAD;
    }
    br->builder = b;
    if (spelling == SPELL_JSON) {
        add_utf8(br, 0x20, 0x21, next);
        add_utf8(br, 0x23, 0x5B, next);
        add_utf8(br, 0x5D, UNICODE_MAX, next);
        add_first(br, '\\', '\\', add_any_escape(b, next));
    } else {
        add_utf8(br, 0, UNICODE_MAX, next);
    }
    const uint32_t node = finish_step(br, &all, spelling, next);
    free(br);
    char_set_free(&all);
    return node;
}

uint32_t grammar_add_spelled(struct grammar_builder *b, struct span text, enum grammar_spelling spelling, uint32_t next)
{
    if (spelling == SPELL_RAW)
        return grammar_add_text(b, text, next);
    for (size_t i = text.size_bytes; i-- > 0;) {
        const uint8_t byte = text.data[i];
        next =
            needs_escape(byte) ? grammar_add_byte(b, '\\', add_escape(b, byte, next)) : grammar_add_byte(b, byte, next);
    }
    return next;
}
