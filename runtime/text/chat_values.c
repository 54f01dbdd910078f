// text/chat_values.c -- how JSON values look in a prompt.
#include <math.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "text/chat_writer.h"

// ---------------------------------------------------------------------------------------------------- text

static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// The size of the last character of text; the bytes are valid UTF-8.
static size_t last_size(struct span text)
{
    size_t size = 1;
    while (size < text.size_bytes && (text.data[text.size_bytes - size] & 0xC0) == 0x80)
        ++size;
    return size;
}

struct span chat_trim(struct span text)
{
    uint32_t c = 0;
    size_t size = 0;
    while ((size = utf8_decode((const char *)text.data, text.size_bytes, &c)) > 0 && is_space(c)) {
        text.data += size;
        text.size_bytes -= size;
    }
    while (text.size_bytes > 0) {
        size = last_size(text);
        if (utf8_decode((const char *)text.data + text.size_bytes - size, size, &c) == 0 || !is_space(c))
            break;
        text.size_bytes -= size;
    }
    return text;
}

// ---------------------------------------------------------------------------------------------------- sorting

struct sorted_member {
    const struct json *member;
    struct span lower;
    size_t index;
};

static int compare_members(const void *a, const void *b)
{
    const struct sorted_member *x = a, *y = b;
    const size_t common = x->lower.size_bytes < y->lower.size_bytes ? x->lower.size_bytes : y->lower.size_bytes;
    // The order of UTF-8 bytes is the order of code points.
    const int order = common > 0 ? memcmp(x->lower.data, y->lower.data, common) : 0;
    if (order != 0)
        return order;
    if (x->lower.size_bytes != y->lower.size_bytes)
        return x->lower.size_bytes < y->lower.size_bytes ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static struct span lower_copy(struct arena *arena, struct span key)
{
    struct text lower = { 0 };
    chat_lower(&lower, key);
    const char *copy = lower.failed ? NULL : arena_text(arena, lower.data, lower.size_bytes);
    const struct span result = span_of(copy, lower.size_bytes);
    text_free(&lower);
    return result;
}

const struct json **chat_sorted_members(struct chat_writer *writer, const struct json *object)
{
    struct arena *arena = &writer->prompt->arena;
    const size_t n = object->n_children;
    const struct json **members = arena_alloc(arena, n, sizeof *members);
    struct sorted_member *sorted = arena_alloc(arena, n, sizeof *sorted);
    bool ok = members && sorted;
    size_t i = 0;
    for (const struct json *member = object->first_child; ok && member; member = member->next, ++i) {
        sorted[i] = (struct sorted_member){ member, lower_copy(arena, member->key), i };
        ok = sorted[i].lower.data != NULL;
    }
    if (!ok) {
        writer->run.failed = true;
        return NULL;
    }
    qsort(sorted, n, sizeof *sorted, compare_members);
    for (i = 0; i < n; ++i)
        members[i] = sorted[i].member;
    return members;
}

// ---------------------------------------------------------------------------------------------------- values

// Integers keep their digits, everything else becomes the shortest form of the double, as in Python.
static void append_number(struct text *out, const struct json *value, bool strict)
{
    const struct span digits = value->text;
    double number = 0;
    bool integer = true;
    for (size_t i = 0; i < digits.size_bytes; ++i)
        integer = integer && digits.data[i] != '.' && digits.data[i] != 'e' && digits.data[i] != 'E';
    if (integer)
        text_append_span(out, span_is(digits, "-0") ? span_text("0") : digits);
    else if (json_get_double(value, &number) && (strict || isfinite(number)))
        text_append_double(out, number);
    else
        text_append_span(out, digits); // beyond a double: "inf" would be no number
}

void chat_write_members(struct chat_writer *writer, const struct json *object)
{
    const struct json **members = chat_sorted_members(writer, object);
    for (size_t i = 0; members && i < object->n_children; ++i) {
        if (i > 0)
            writer_string(writer, ",");
        writer_text(writer, members[i]->key);
        writer_string(writer, ":");
        chat_write_value(writer, members[i], CHAT_KEYS_BARE);
    }
}

static void write_object(struct chat_writer *writer, const struct json *object, enum chat_keys keys)
{
    const struct json **members = chat_sorted_members(writer, object);
    writer_string(writer, "{");
    for (size_t i = 0; members && i < object->n_children; ++i) {
        if (i > 0)
            writer_string(writer, ",");
        if (keys == CHAT_KEYS_QUOTED)
            writer_quoted(writer, members[i]->key);
        else
            writer_text(writer, members[i]->key);
        writer_string(writer, ":");
        chat_write_value(writer, members[i], keys);
    }
    writer_string(writer, "}");
}

static void write_array(struct chat_writer *writer, const struct json *array, enum chat_keys keys)
{
    writer_string(writer, "[");
    for (const struct json *child = array->first_child; child; child = child->next) {
        chat_write_value(writer, child, keys);
        if (child->next)
            writer_string(writer, ",");
    }
    writer_string(writer, "]");
}

void chat_write_value(struct chat_writer *writer, const struct json *value, enum chat_keys keys)
{
    switch (value->kind) {
    case JSON_NULL:
        writer_string(writer, "null");
        break;
    case JSON_BOOL:
        writer_string(writer, value->boolean ? "true" : "false");
        break;
    case JSON_NUMBER:
        append_number(&writer->run, value, writer->strict);
        break;
    case JSON_STRING:
        writer_quoted(writer, value->text);
        break;
    case JSON_ARRAY:
        write_array(writer, value, keys);
        break;
    case JSON_OBJECT:
        write_object(writer, value, keys);
        break;
    }
}

// ---------------------------------------------------------------------------------------------------- plain text

// A string as Python shows it inside a list: in single quotes unless that would need escapes and double ones do not.
static void append_python_string(struct text *out, struct span string)
{
    const bool has_single = string.size_bytes > 0 && memchr(string.data, '\'', string.size_bytes);
    const bool has_double = string.size_bytes > 0 && memchr(string.data, '"', string.size_bytes);
    const char quote = has_single && !has_double ? '"' : '\'';
    text_append_char(out, quote);
    for (size_t i = 0; i < string.size_bytes; ++i) {
        const char c = (char)string.data[i];
        if (c == quote || c == '\\')
            text_append_char(out, '\\');
        if (c == '\n' || c == '\r' || c == '\t')
            text_append_string(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else if ((unsigned char)c < 0x20 || c == 0x7F)
            text_append_format(out, "\\x%02x", (unsigned)c);
        else
            text_append_char(out, c);
    }
    text_append_char(out, quote);
}

static void append_python(struct text *out, const struct json *value)
{
    const bool object = value->kind == JSON_OBJECT;
    if (value->kind == JSON_STRING) {
        append_python_string(out, value->text);
        return;
    }
    if (value->kind != JSON_ARRAY && !object) {
        chat_append_plain(out, value);
        return;
    }
    text_append_char(out, object ? '{' : '[');
    for (const struct json *child = value->first_child; child; child = child->next) {
        if (object) {
            append_python_string(out, child->key);
            text_append_string(out, ": ");
        }
        append_python(out, child);
        if (child->next)
            text_append_string(out, ", ");
    }
    text_append_char(out, object ? '}' : ']');
}

void chat_append_plain(struct text *out, const struct json *value)
{
    if (!value)
        return;
    switch (value->kind) {
    case JSON_NULL:
        text_append_string(out, "None");
        break;
    case JSON_BOOL:
        text_append_string(out, value->boolean ? "True" : "False");
        break;
    case JSON_NUMBER:
        append_number(out, value, true);
        break;
    case JSON_STRING:
        text_append_span(out, value->text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        append_python(out, value);
        break;
    }
}

void chat_write_plain(struct chat_writer *writer, const struct json *value)
{
    chat_append_plain(&writer->run, value);
}

void chat_write_quoted_plain(struct chat_writer *writer, const struct json *value)
{
    writer_control(writer, "<|\"|>");
    chat_write_plain(writer, value);
    writer_control(writer, "<|\"|>");
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

void chat_write_quoted_upper(struct chat_writer *writer, const struct json *value)
{
    writer_control(writer, "<|\"|>");
    // The control has emptied the run, so all of it is the value. Names of types are ASCII.
    chat_write_plain(writer, value);
    for (size_t i = 0; i < writer->run.size_bytes; ++i)
        writer->run.data[i] = upper(writer->run.data[i]);
    writer_control(writer, "<|\"|>");
}

bool chat_is_upper(const struct json *value, const char *expected)
{
    if (!json_is(value, JSON_STRING) || value->text.size_bytes != strlen(expected))
        return false;
    for (size_t i = 0; i < value->text.size_bytes; ++i)
        if (upper((char)value->text.data[i]) != expected[i])
            return false;
    return true;
}
