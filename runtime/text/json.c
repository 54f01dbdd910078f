// text/json.c -- the reader and the tree; what writes is in json_write.c.
#include "text/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

#define DOCUMENT_BYTES_MAX ((size_t)256 << 20)

// ---------------------------------------------------------------------------------------------------- reading

struct reader {
    const char *text;
    size_t size, at;
    unsigned depth, depth_max;
    struct arena *arena;
    struct karat_error *err;
};

// The sentence starts with where `at` is, counted from 1.
static enum karat_status fail_at(const struct reader *r, size_t at, const char *problem)
{
    size_t line = 1, line_start = 0;
    for (size_t i = 0; i < at; ++i)
        if (r->text[i] == '\n') {
            ++line;
            line_start = i + 1;
        }
    char found[32] = "the end of the document";
    uint32_t c = 0;
    if (at < r->size) {
        if (r->text[at] > ' ' && r->text[at] < 0x7F)
            snprintf(found, sizeof found, "'%c'", r->text[at]);
        else if (utf8_decode(r->text + at, r->size - at, &c) > 0)
            snprintf(found, sizeof found, "U+%04X", (unsigned)c);
        else
            snprintf(found, sizeof found, "byte 0x%02X", (unsigned char)r->text[at]);
    }
    return status_fail(r->err, KARAT_ERR_FORMAT, "JSON line %zu, column %zu: %s, found %s", line, at - line_start + 1,
                       problem, found);
}

static enum karat_status fail_memory(const struct reader *r)
{
    return status_fail(r->err, KARAT_ERR_MEMORY, "not enough memory for a JSON document of %zu bytes", r->size);
}

static void skip_space(struct reader *r)
{
    while (r->at < r->size &&
           (r->text[r->at] == ' ' || r->text[r->at] == '\n' || r->text[r->at] == '\r' || r->text[r->at] == '\t'))
        ++r->at;
}

static char peek(const struct reader *r)
{
    return r->at < r->size ? r->text[r->at] : '\0';
}

static enum karat_status read_value(struct reader *r, struct json **out);

static bool read_hex4(const struct reader *r, size_t at, uint32_t *out)
{
    if (r->size - at < 4)
        return false;
    *out = 0;
    for (size_t i = 0; i < 4; ++i) {
        const char c = r->text[at + i];
        uint32_t digit = 0;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A') + 10;
        else
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

// At the 'u' of an escape; a surrogate must be the first of a pair.
static enum karat_status read_unicode_escape(struct reader *r, char out[4], size_t *size)
{
    const size_t start = r->at;
    uint32_t c = 0, low = 0;
    if (!read_hex4(r, ++r->at, &c))
        return fail_at(r, start, "an escape \\u needs four hexadecimal digits");
    r->at += 4;
    if (c >= 0xD800 && c <= 0xDFFF) {
        if (c >= 0xDC00 || r->size - r->at < 6 || r->text[r->at] != '\\' || r->text[r->at + 1] != 'u' ||
            !read_hex4(r, r->at + 2, &low) || low < 0xDC00 || low > 0xDFFF)
            return fail_at(r, start, "a lone surrogate is no character");
        r->at += 6;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    *size = utf8_encode(out, c);
    return KARAT_OK;
}

// At the character after the backslash.
static enum karat_status read_escape(struct reader *r, char out[4], size_t *size)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (peek(r) == 'u')
        return read_unicode_escape(r, out, size);
    const char *name = r->at < r->size && r->text[r->at] ? strchr(names, r->text[r->at]) : NULL;
    if (!name)
        return fail_at(r, r->at, "expected an escape after the backslash");
    out[0] = values[name - names];
    *size = 1;
    ++r->at;
    return KARAT_OK;
}

// Where the string that starts at r->at ends; the escapes are not looked at yet.
static size_t find_closing_quote(const struct reader *r)
{
    size_t i = r->at;
    while (i < r->size && r->text[i] != '"')
        i += r->text[i] == '\\' ? 2 : 1;
    return i < r->size ? i : r->size;
}

// After the opening quote.
static enum karat_status read_string(struct reader *r, struct span *out)
{
    const size_t end = find_closing_quote(r);
    char *copy = arena_alloc(r->arena, end - r->at + 1, 1);
    if (!copy)
        return fail_memory(r);
    size_t n = 0;
    while (r->at < r->size && r->text[r->at] != '"') {
        enum karat_status status = KARAT_OK;
        size_t size = 0;
        char character[4];
        if ((unsigned char)r->text[r->at] < 0x20)
            return fail_at(r, r->at, "a control character inside a string must be escaped");
        if (r->text[r->at] != '\\') {
            copy[n++] = r->text[r->at++];
            continue;
        }
        ++r->at;
        if ((status = read_escape(r, character, &size)) != KARAT_OK)
            return status;
        memcpy(copy + n, character, size); // an escape is never shorter than what it stands for
        n += size;
    }
    if (r->at >= r->size)
        return fail_at(r, r->size, "expected the end of a string");
    ++r->at;
    *out = span_of(copy, n);
    return KARAT_OK;
}

static size_t skip_digits(struct reader *r)
{
    const size_t start = r->at;
    while (r->at < r->size && r->text[r->at] >= '0' && r->text[r->at] <= '9')
        ++r->at;
    return r->at - start;
}

static enum karat_status read_number(struct reader *r, struct span *out)
{
    const size_t start = r->at;
    r->at += peek(r) == '-';
    const bool zero = peek(r) == '0';
    const size_t n_digits = skip_digits(r);
    if (n_digits == 0)
        return fail_at(r, r->at, "expected a digit");
    if (zero && n_digits > 1)
        return fail_at(r, start, "a number may not begin with 0");
    if (peek(r) == '.') {
        ++r->at;
        if (skip_digits(r) == 0)
            return fail_at(r, r->at, "expected a digit after the point");
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        ++r->at;
        r->at += peek(r) == '+' || peek(r) == '-';
        if (skip_digits(r) == 0)
            return fail_at(r, r->at, "expected a digit in the exponent");
    }
    const char *copy = arena_text(r->arena, r->text + start, r->at - start);
    if (!copy)
        return fail_memory(r);
    *out = span_of(copy, r->at - start);
    return KARAT_OK;
}

static bool read_word(struct reader *r, const char *word)
{
    const size_t size = strlen(word);
    if (r->size - r->at < size || memcmp(r->text + r->at, word, size) != 0)
        return false;
    r->at += size;
    return true;
}

static enum karat_status read_member(struct reader *r, struct json *object)
{
    enum karat_status status = KARAT_OK;
    struct span key = { 0 };
    struct json *value = NULL;
    if (peek(r) != '"')
        return fail_at(r, r->at, "expected a member name in quotes");
    ++r->at;
    TRY(read_string(r, &key));
    skip_space(r);
    if (peek(r) != ':')
        return fail_at(r, r->at, "expected ':' after a member name");
    ++r->at;
    TRY(read_value(r, &value));
    value->key = key;
    json_append(object, value);
cleanup:
    return status;
}

struct numbered_member {
    struct json *member;
    size_t index;
};

static int compare_members(const void *a, const void *b)
{
    const struct numbered_member *x = a, *y = b;
    const struct span k = x->member->key, l = y->member->key;
    const size_t common = k.size_bytes < l.size_bytes ? k.size_bytes : l.size_bytes;
    const int order = common > 0 ? memcmp(k.data, l.data, common) : 0;
    if (order != 0)
        return order;
    if (k.size_bytes != l.size_bytes)
        return k.size_bytes < l.size_bytes ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

// Rebuilds the list of children from those that are left (member not NULL), in order.
static void relink(struct json *object, struct json **members, size_t n)
{
    object->first_child = object->last_child = NULL;
    object->n_children = 0;
    for (size_t i = 0; i < n; ++i)
        if (members[i]) {
            members[i]->next = NULL;
            json_append(object, members[i]);
        }
}

// Sorting keeps an object with a million members from taking a million times a million comparisons.
static enum karat_status drop_duplicates(const struct reader *r, struct json *object)
{
    const size_t n = object->n_children;
    if (n < 2)
        return KARAT_OK;
    struct numbered_member *sorted = malloc(n * sizeof *sorted);
    struct json **members = malloc(n * sizeof *members);
    enum karat_status status = KARAT_OK;
    bool found = false;
    if (!sorted || !members) {
        status = fail_memory(r);
        goto cleanup;
    }
    size_t count = 0;
    for (struct json *member = object->first_child; member; member = member->next, ++count) {
        members[count] = member;
        sorted[count] = (struct numbered_member){ member, count };
    }
    qsort(sorted, n, sizeof *sorted, compare_members);
    for (size_t first = 0, end = 0; first < n; first = end) {
        for (end = first + 1; end < n && span_equal(sorted[end].member->key, sorted[first].member->key); ++end) {
            members[sorted[end].index] = NULL;
            found = true;
        }
        members[sorted[first].index] = sorted[end - 1].member;
    }
    if (found)
        relink(object, members, n);
cleanup:
    free(sorted);
    free(members);
    return status;
}

// After the opening bracket, up to and with the closing one.
static enum karat_status read_children(struct reader *r, struct json *parent, char closer)
{
    const bool object = parent->kind == JSON_OBJECT;
    skip_space(r);
    if (peek(r) == closer) {
        ++r->at;
        return KARAT_OK;
    }
    for (;;) {
        enum karat_status status = KARAT_OK;
        struct json *value = NULL;
        skip_space(r);
        if ((status = object ? read_member(r, parent) : read_value(r, &value)) != KARAT_OK)
            return status;
        if (value)
            json_append(parent, value);
        skip_space(r);
        const char c = peek(r);
        if (c != ',' && c != closer)
            return fail_at(r, r->at, object ? "expected ',' or '}' in an object" : "expected ',' or ']' in an array");
        ++r->at;
        if (c == closer)
            return object ? drop_duplicates(r, parent) : KARAT_OK;
    }
}

static enum karat_status read_container(struct reader *r, struct json *value)
{
    if (r->depth == r->depth_max)
        return status_fail(r->err, KARAT_ERR_UNSUPPORTED,
                           "the JSON document is nested deeper than %u arrays and objects", r->depth_max);
    const char closer = value->kind == JSON_OBJECT ? '}' : ']';
    ++r->depth;
    ++r->at;
    const enum karat_status status = read_children(r, value, closer);
    --r->depth;
    return status;
}

static enum karat_status read_value(struct reader *r, struct json **out)
{
    struct json *value = *out = json_new(r->arena, JSON_NULL);
    if (!value)
        return fail_memory(r);
    skip_space(r);
    const char c = peek(r);
    if (c == '{' || c == '[') {
        value->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        return read_container(r, value);
    }
    if (c == '"') {
        value->kind = JSON_STRING;
        ++r->at;
        return read_string(r, &value->text);
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        value->kind = JSON_NUMBER;
        return read_number(r, &value->text);
    }
    if (read_word(r, "null"))
        return KARAT_OK;
    value->kind = JSON_BOOL;
    value->boolean = c == 't';
    if (read_word(r, "true") || read_word(r, "false"))
        return KARAT_OK;
    return fail_at(r, r->at, "expected a value");
}

enum karat_status json_parse(struct json **out, struct arena *arena, struct span document,
                             const struct json_limits *limits, struct karat_error *err)
{
    *out = NULL;
    struct reader r = { .text = (const char *)document.data, .size = document.size_bytes, .arena = arena, .err = err };
    r.depth_max =
        limits && limits->depth_max > 0 && limits->depth_max < JSON_DEPTH_MAX ? limits->depth_max : JSON_DEPTH_MAX;
    const size_t size_max = limits && limits->size_bytes_max > 0 ? limits->size_bytes_max : DOCUMENT_BYTES_MAX;
    size_t bad = 0;
    struct json *value = NULL;
    enum karat_status status = KARAT_OK;
    if (r.size > size_max)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the JSON document has %zu bytes, at most %zu are read", r.size,
                           size_max);
    if (!utf8_valid(r.text, r.size, &bad))
        return fail_at(&r, bad, "the document is not UTF-8");
    TRY(read_value(&r, &value));
    skip_space(&r);
    if (r.at < r.size)
        return fail_at(&r, r.at, "expected the end of the document");
    *out = value;
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- looking up

struct json *json_find_span(const struct json *object, struct span key)
{
    if (json_is(object, JSON_OBJECT))
        for (struct json *member = object->first_child; member; member = member->next)
            if (span_equal(member->key, key))
                return member;
    return NULL;
}

struct json *json_find(const struct json *object, const char *key)
{
    return json_find_span(object, span_text(key));
}

bool json_is(const struct json *value, enum json_kind kind)
{
    return value && value->kind == kind;
}

bool json_is_text(const struct json *value, const char *text)
{
    return json_is(value, JSON_STRING) && span_is(value->text, text);
}

bool json_truthy(const struct json *value)
{
    if (!value)
        return false;
    double number = 0;
    switch (value->kind) {
    case JSON_NULL:
        return false;
    case JSON_BOOL:
        return value->boolean;
    case JSON_NUMBER:
        return !json_get_double(value, &number) || number != 0;
    case JSON_STRING:
        return value->text.size_bytes > 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return value->n_children > 0;
    }
    return false;
}

static bool is_integer(struct span number)
{
    for (size_t i = 0; i < number.size_bytes; ++i)
        if (number.data[i] == '.' || number.data[i] == 'e' || number.data[i] == 'E')
            return false;
    return true;
}

static bool equal_numbers(const struct json *a, const struct json *b)
{
    double x = 0, y = 0;
    if (span_equal(a->text, b->text))
        return true;
    // Two integers with different digits differ even where doubles would not show it; only -0 is 0.
    if (is_integer(a->text) && is_integer(b->text))
        return !json_truthy(a) && !json_truthy(b);
    return json_get_double(a, &x) && json_get_double(b, &y) && x == y;
}

static bool equal_objects(const struct json *a, const struct json *b)
{
    for (const struct json *member = a->first_child; member; member = member->next) {
        const struct json *other = json_find_span(b, member->key);
        if (!other || !json_equal(member, other))
            return false;
    }
    return true;
}

static bool equal_arrays(const struct json *a, const struct json *b)
{
    const struct json *y = b->first_child;
    for (const struct json *x = a->first_child; x && y; x = x->next, y = y->next)
        if (!json_equal(x, y))
            return false;
    return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->n_children != b->n_children)
        return false;
    switch (a->kind) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->boolean == b->boolean;
    case JSON_NUMBER:
        return equal_numbers(a, b);
    case JSON_STRING:
        return span_equal(a->text, b->text);
    case JSON_ARRAY:
        return equal_arrays(a, b);
    case JSON_OBJECT:
        return equal_objects(a, b);
    }
    return false;
}

bool json_get_string(const struct json *value, struct span *out)
{
    if (!json_is(value, JSON_STRING))
        return false;
    *out = value->text;
    return true;
}

bool json_get_bool(const struct json *value, bool *out)
{
    if (!json_is(value, JSON_BOOL))
        return false;
    *out = value->boolean;
    return true;
}

// strtod() wants the decimal point of the locale that the program happens to have set.
static char decimal_point(void)
{
    char text[8];
    snprintf(text, sizeof text, "%.1f", 0.5);
    return text[1];
}

bool json_get_double(const struct json *value, double *out)
{
    if (!json_is(value, JSON_NUMBER))
        return false;
    char small[64];
    const size_t size = value->text.size_bytes;
    char *copy = size < sizeof small ? small : malloc(size + 1);
    if (!copy)
        return false;
    memcpy(copy, value->text.data, size);
    copy[size] = '\0';
    char *point = strchr(copy, '.');
    if (point)
        *point = decimal_point();
    *out = strtod(copy, NULL);
    if (copy != small)
        free(copy);
    return true;
}

bool json_get_int64(const struct json *value, int64_t *out)
{
    char copy[24];
    if (!json_is(value, JSON_NUMBER) || !is_integer(value->text) || value->text.size_bytes >= sizeof copy)
        return false;
    memcpy(copy, value->text.data, value->text.size_bytes);
    copy[value->text.size_bytes] = '\0';
    errno = 0;
    const long long number = strtoll(copy, NULL, 10);
    if (errno != 0)
        return false;
    *out = number;
    return true;
}

const char *json_kind_name(const struct json *value)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",       [JSON_BOOL] = "a bool",    [JSON_NUMBER] = "a number",
        [JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
    };
    return value ? names[value->kind] : "nothing";
}

// ---------------------------------------------------------------------------------------------------- building

struct json *json_new(struct arena *arena, enum json_kind kind)
{
    struct json *value = arena_alloc(arena, 1, sizeof *value);
    if (value)
        value->kind = kind;
    return value;
}

struct json *json_new_string(struct arena *arena, struct span text)
{
    struct json *value = json_new(arena, JSON_STRING);
    if (value)
        value->text = text;
    return value;
}

struct json *json_copy_shallow(struct arena *arena, const struct json *value)
{
    struct json *copy = json_new(arena, value->kind);
    if (copy) {
        *copy = *value;
        copy->key = (struct span){ 0 };
        copy->next = NULL;
    }
    return copy;
}

void json_append(struct json *parent, struct json *child)
{
    if (parent->last_child)
        parent->last_child->next = child;
    else
        parent->first_child = child;
    parent->last_child = child;
    ++parent->n_children;
}
