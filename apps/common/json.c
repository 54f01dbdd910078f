// common/json.c -- a strict reader of JSON texts (RFC 8259), for the front ends.
#include "common/json.h"

#include <stdlib.h>
#include <string.h>

struct parser {
    struct json *json;
    const char *at, *end;
    size_t capacity;
    const char *fault; // NULL while all is well
};

static bool fail(struct parser *p, const char *fault)
{
    if (!p->fault)
        p->fault = fault;
    return false;
}

static size_t add_node(struct parser *p, enum json_kind kind)
{
    struct json *json = p->json;
    if (json->n_nodes == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 64;
        json->nodes = app_memory_resize(json->nodes, p->capacity, sizeof *json->nodes);
    }
    json->nodes[json->n_nodes] = (struct json_node){ .kind = kind, .start = (size_t)(p->at - json->source) };
    return json->n_nodes++;
}

static void end_node(struct parser *p, size_t node)
{
    p->json->nodes[node].end = (size_t)(p->at - p->json->source);
    p->json->nodes[node].after = p->json->n_nodes;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

static bool next_is(struct parser *p, char c)
{
    return p->at < p->end && *p->at == c;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// The value of the four digits at `at`, or -1.
static long hex4(const char *at, const char *end)
{
    long value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; ++i) {
        const int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool parse_escape(struct parser *p)
{
    const char c = p->at < p->end ? *p->at++ : '\0';
    if (c == '\0' || !strchr("\"\\/bfnrtu", c))
        return fail(p, "an escape that JSON does not have");
    if (c != 'u')
        return true;
    const long high = hex4(p->at, p->end);
    if (high < 0)
        return fail(p, "\\u without four hexadecimal digits");
    p->at += 4;
    if (high >= 0xdc00 && high < 0xe000)
        return fail(p, "the second half of a surrogate pair without the first");
    if (high >= 0xd800 && high < 0xdc00) {
        const bool escaped = p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u';
        const long low = escaped ? hex4(p->at + 2, p->end) : -1;
        if (low < 0xdc00 || low >= 0xe000)
            return fail(p, "the first half of a surrogate pair without the second");
        p->at += 6;
    }
    return true;
}

static bool parse_string(struct parser *p)
{
    if (!next_is(p, '"'))
        return fail(p, "expected a string");
    const size_t node = add_node(p, JSON_STRING);
    p->at++;
    while (p->at < p->end && *p->at != '"') {
        const unsigned char c = (unsigned char)*p->at++;
        if (c < 0x20)
            return fail(p, "a control character inside a string");
        if (c == '\\' && !parse_escape(p))
            return false;
    }
    if (p->at == p->end)
        return fail(p, "a string without its closing quote");
    p->at++;
    end_node(p, node);
    return true;
}

static bool skip_digits(struct parser *p)
{
    const char *start = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at > start;
}

static bool parse_number(struct parser *p)
{
    const size_t node = add_node(p, JSON_NUMBER);
    if (next_is(p, '-'))
        p->at++;
    const bool zero = next_is(p, '0');
    const char *start = p->at;
    bool good = skip_digits(p) && !(zero && p->at - start > 1);
    if (good && next_is(p, '.')) {
        p->at++;
        good = skip_digits(p);
    }
    if (good && (next_is(p, 'e') || next_is(p, 'E'))) {
        p->at++;
        if (next_is(p, '+') || next_is(p, '-'))
            p->at++;
        good = skip_digits(p);
    }
    end_node(p, node);
    return good || fail(p, "a malformed number");
}

static bool parse_word(struct parser *p)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = { { "null", JSON_NULL }, { "true", JSON_TRUE }, { "false", JSON_FALSE } };
    for (size_t i = 0; i < 3; ++i) {
        const size_t size = strlen(words[i].word);
        if ((size_t)(p->end - p->at) >= size && memcmp(p->at, words[i].word, size) == 0) {
            const size_t node = add_node(p, words[i].kind);
            p->at += size;
            end_node(p, node);
            return true;
        }
    }
    return fail(p, "expected a value");
}

static bool parse_value(struct parser *p, unsigned depth);

// Elements or members up to the closing bracket, which is left in place.
static bool parse_inside(struct parser *p, char close, unsigned depth)
{
    skip_space(p);
    if (next_is(p, close))
        return true;
    for (;;) {
        skip_space(p);
        if (close == '}') {
            if (!parse_string(p))
                return false;
            skip_space(p);
            if (!next_is(p, ':'))
                return fail(p, "expected a colon after the name");
            p->at++;
            skip_space(p);
        }
        if (!parse_value(p, depth))
            return false;
        skip_space(p);
        if (next_is(p, close))
            return true;
        if (!next_is(p, ','))
            return fail(p, close == '}' ? "expected a comma or }" : "expected a comma or ]");
        p->at++;
    }
}

static bool parse_value(struct parser *p, unsigned depth)
{
    if (next_is(p, '"'))
        return parse_string(p);
    if (p->at < p->end && (*p->at == '-' || (*p->at >= '0' && *p->at <= '9')))
        return parse_number(p);
    if (!next_is(p, '{') && !next_is(p, '['))
        return parse_word(p);
    if (depth == JSON_DEPTH_MAX)
        return fail(p, "nested too deeply");
    const bool object = *p->at == '{';
    const size_t node = add_node(p, object ? JSON_OBJECT : JSON_ARRAY);
    p->at++;
    if (!parse_inside(p, object ? '}' : ']', depth + 1))
        return false;
    p->at++;
    end_node(p, node);
    return true;
}

bool app_json_parse(struct json *json, const char *source, size_t size, struct text *fault)
{
    *json = (struct json){ .source = source };
    struct parser p = { .json = json, .at = source, .end = source + size };
    const size_t valid = app_text_utf8_prefix(source, size);
    if (valid < size) {
        p.at = source + valid;
        fail(&p, "a byte that is not UTF-8");
    } else {
        skip_space(&p);
        if (parse_value(&p, 0)) {
            skip_space(&p);
            if (p.at < p.end)
                fail(&p, "more text after the value");
        }
    }
    if (!p.fault)
        return true;
    app_text_format(fault, "%s at byte %zu", p.fault, (size_t)(p.at - source));
    app_json_free(json);
    return false;
}

void app_json_free(struct json *json)
{
    free(json->nodes);
    *json = (struct json){ 0 };
}

size_t app_json_first(const struct json *json, size_t parent)
{
    if (parent == JSON_NONE || json->nodes[parent].kind < JSON_ARRAY)
        return JSON_NONE;
    return parent + 1 < json->nodes[parent].after ? parent + 1 : JSON_NONE;
}

size_t app_json_next(const struct json *json, size_t parent, size_t node)
{
    const size_t next = json->nodes[node].after;
    return next < json->nodes[parent].after ? next : JSON_NONE;
}

size_t app_json_member(const struct json *json, size_t object, const char *key)
{
    if (!app_json_is(json, object, JSON_OBJECT))
        return JSON_NONE;
    size_t found = JSON_NONE;
    for (size_t k = app_json_first(json, object); k != JSON_NONE; k = app_json_next(json, object, k)) {
        const bool match = app_json_equals(json, k, key);
        k = app_json_next(json, object, k);
        if (match)
            found = k; // the last of equal names wins
    }
    return found;
}

size_t app_json_count(const struct json *json, size_t parent)
{
    size_t n = 0;
    for (size_t k = app_json_first(json, parent); k != JSON_NONE; k = app_json_next(json, parent, k))
        n++;
    return app_json_is(json, parent, JSON_OBJECT) ? n / 2 : n;
}

bool app_json_is(const struct json *json, size_t node, enum json_kind kind)
{
    return node != JSON_NONE && json->nodes[node].kind == kind;
}

double app_json_number(const struct json *json, size_t node)
{
    if (!app_json_is(json, node, JSON_NUMBER))
        return 0;
    char digits[64];
    size_t size = json->nodes[node].end - json->nodes[node].start;
    if (size >= sizeof digits)
        size = sizeof digits - 1;
    memcpy(digits, json->source + json->nodes[node].start, size);
    digits[size] = '\0';
    return strtod(digits, NULL);
}

static void add_code_point(struct text *out, unsigned long c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 63));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 63));
        bytes[n++] = (char)(0x80 | (c >> 6 & 63));
    }
    if (c >= 0x80)
        bytes[n++] = (char)(0x80 | (c & 63));
    app_text_append(out, bytes, n);
}

void app_json_content(const struct json *json, size_t node, struct text *out)
{
    if (!app_json_is(json, node, JSON_STRING)) {
        app_json_raw(json, node, out);
        return;
    }
    const char *at = json->source + json->nodes[node].start + 1, *end = json->source + json->nodes[node].end - 1;
    while (at < end) {
        if (*at != '\\') {
            app_text_append(out, at++, 1);
            continue;
        }
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char c = at[1];
        at += 2;
        if (c == 'u') {
            unsigned long code = (unsigned long)hex4(at, end);
            at += 4;
            if (code >= 0xd800 && code < 0xdc00) {
                code = 0x10000 + ((code - 0xd800) << 10) + ((unsigned long)hex4(at + 2, end) - 0xdc00);
                at += 6;
            }
            add_code_point(out, code);
        } else {
            const char *known = strchr(from, c);
            app_text_append(out, known ? &to[known - from] : &c, 1);
        }
    }
}

bool app_json_equals(const struct json *json, size_t node, const char *string)
{
    if (!app_json_is(json, node, JSON_STRING))
        return false;
    struct text content = { 0 };
    app_json_content(json, node, &content);
    const bool equal = content.size == strlen(string) && memcmp(app_text_of(&content), string, content.size) == 0;
    app_text_free(&content);
    return equal;
}

void app_json_raw(const struct json *json, size_t node, struct text *out)
{
    if (node != JSON_NONE)
        app_text_append(out, json->source + json->nodes[node].start, json->nodes[node].end - json->nodes[node].start);
}
