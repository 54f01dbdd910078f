// text/json_write.c -- growing text and what is written into it.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "text/json.h"

#define CAPACITY_BYTES_MIN 256

static bool reserve(struct text *text, size_t more)
{
    const size_t limit = text->limit_bytes > 0 ? text->limit_bytes : TEXT_LIMIT_BYTES;
    if (text->failed || more > limit || text->size_bytes > limit - more)
        return false;
    const size_t needed = text->size_bytes + more + 1;
    if (needed <= text->capacity_bytes)
        return true;
    size_t capacity = text->capacity_bytes > 0 ? 2 * text->capacity_bytes : CAPACITY_BYTES_MIN;
    if (capacity < needed)
        capacity = needed;
    char *data = realloc(text->data, capacity);
    if (!data)
        return false;
    text->data = data;
    text->capacity_bytes = capacity;
    return true;
}

void text_append(struct text *text, const void *bytes, size_t size_bytes)
{
    if (!reserve(text, size_bytes)) {
        text->failed = true;
        return;
    }
    if (size_bytes > 0)
        memcpy(text->data + text->size_bytes, bytes, size_bytes);
    text->size_bytes += size_bytes;
    text->data[text->size_bytes] = '\0';
}

void text_append_span(struct text *text, struct span span)
{
    text_append(text, span.data, span.size_bytes);
}

void text_append_string(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_append_char(struct text *text, char c)
{
    text_append(text, &c, 1);
}

void text_append_format(struct text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0 || !reserve(text, (size_t)size)) {
        text->failed = true;
    } else {
        vsnprintf(text->data + text->size_bytes, (size_t)size + 1, format, again);
        text->size_bytes += (size_t)size;
    }
    va_end(again);
}

// The character after the backslash, 0 when there is no short escape.
static char short_escape(char c)
{
    static const char characters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *found = c ? strchr(characters, c) : NULL;
    return found ? names[found - characters] : '\0';
}

void text_append_json_string(struct text *text, struct span string)
{
    const char *bytes = (const char *)string.data;
    text_append_char(text, '"');
    for (size_t i = 0; i < string.size_bytes;) {
        const size_t length = utf8_decode(bytes + i, string.size_bytes - i, NULL);
        const char escape = short_escape(bytes[i]);
        if (length == 0)
            text_append_string(text, "\xEF\xBF\xBD");
        else if (escape)
            text_append_format(text, "\\%c", escape);
        else if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7F)
            text_append_format(text, "\\u%04x", (unsigned)bytes[i]);
        else
            text_append(text, bytes + i, length);
        i += length > 0 ? length : 1;
    }
    text_append_char(text, '"');
}

// The shortest digits d1 d2 ... dn with number = d1.d2...dn * 10^exponent. number is finite and positive.
static size_t shortest_digits(double number, char digits[20], int *exponent)
{
    char text[40];
    for (int precision = 0; precision < 17; ++precision) {
        snprintf(text, sizeof text, "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    // Whatever the locale puts between the digits is no digit.
    size_t n = 0;
    const char *c = text;
    for (; *c != 'e'; ++c)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    *exponent = atoi(c + 1);
    while (n > 1 && digits[n - 1] == '0')
        --n;
    return n;
}

static void append_fixed(struct text *text, const char *digits, size_t n, int exponent)
{
    if (exponent < 0) {
        text_append_string(text, "0.");
        for (int i = -1; i > exponent; --i)
            text_append_char(text, '0');
        text_append(text, digits, n);
        return;
    }
    const size_t n_whole = (size_t)exponent + 1;
    for (size_t i = 0; i < n_whole; ++i)
        text_append_char(text, i < n ? digits[i] : '0');
    text_append_char(text, '.');
    if (n > n_whole)
        text_append(text, digits + n_whole, n - n_whole);
    else
        text_append_char(text, '0');
}

void text_append_double(struct text *text, double number)
{
    if (isnan(number)) {
        text_append_string(text, "nan");
        return;
    }
    if (signbit(number))
        text_append_char(text, '-');
    number = fabs(number);
    if (isinf(number) || number == 0) {
        text_append_string(text, number == 0 ? "0.0" : "inf");
        return;
    }
    char digits[20];
    int exponent = 0;
    const size_t n = shortest_digits(number, digits, &exponent);
    if (exponent >= -4 && exponent < 16) {
        append_fixed(text, digits, n, exponent);
        return;
    }
    text_append_char(text, digits[0]);
    if (n > 1) {
        text_append_char(text, '.');
        text_append(text, digits + 1, n - 1);
    }
    text_append_format(text, "e%c%02d", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
}

struct span text_span(const struct text *text)
{
    return span_of(text->data, text->size_bytes);
}

void text_clear(struct text *text)
{
    text->size_bytes = 0;
    text->failed = false;
    if (text->data)
        text->data[0] = '\0';
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){ .limit_bytes = text->limit_bytes };
}

char *text_take(struct text *text, size_t *size_bytes)
{
    text_append(text, NULL, 0); // so that an empty text is terminated, too
    char *data = text->failed ? NULL : text->data;
    if (data && size_bytes)
        *size_bytes = text->size_bytes;
    if (data)
        text->data = NULL;
    text_free(text);
    return data;
}

enum karat_status text_check(const struct text *text, const char *what, struct karat_error *err)
{
    if (!text->failed)
        return KARAT_OK;
    return status_fail(err, KARAT_ERR_MEMORY, "%s does not fit into memory or is larger than %zu bytes", what,
                       text->limit_bytes > 0 ? text->limit_bytes : TEXT_LIMIT_BYTES);
}

static void append_children(struct text *text, const struct json *parent)
{
    const bool object = parent->kind == JSON_OBJECT;
    text_append_char(text, object ? '{' : '[');
    for (const struct json *child = parent->first_child; child; child = child->next) {
        if (object) {
            text_append_json_string(text, child->key);
            text_append_char(text, ':');
        }
        text_append_json(text, child);
        if (child->next)
            text_append_char(text, ',');
    }
    text_append_char(text, object ? '}' : ']');
}

void text_append_json(struct text *text, const struct json *value)
{
    switch (value->kind) {
    case JSON_NULL:
        text_append_string(text, "null");
        break;
    case JSON_BOOL:
        text_append_string(text, value->boolean ? "true" : "false");
        break;
    case JSON_NUMBER:
        text_append_span(text, value->text);
        break;
    case JSON_STRING:
        text_append_json_string(text, value->text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        append_children(text, value);
        break;
    }
}
