// text/parse_call.c -- the grammar of arguments, wider than what the model is meant to write.
//
//     object = "{" [ member { "," member } ] "}"        member = key ":" value
//     key    = bare | quoted | JSON string               bare: anything but : { } [ ] , trimmed
//     value  = quoted | JSON string | object | array | number | true | false | null | True | False | None
//     quoted = <|"|> any characters, verbatim <|"|>      array = "[" [ value { "," value } ] "]"
#include "text/parse_call.h"

#include "base/utf8.h"

// So many repaired copies are tried at most.
#define ATTEMPTS_MAX 16

struct reader {
    const char *text;
    size_t size, at;
    unsigned depth;
    struct arena *arena;
    const char *reason; // the first thing that was wrong
    bool no_memory;
};

static bool fail(struct reader *r, const char *reason)
{
    if (!r->reason)
        r->reason = reason;
    return false;
}

static bool fail_memory(struct reader *r)
{
    r->no_memory = true;
    return false;
}

static void skip_space(struct reader *r)
{
    while (r->at < r->size && parse_is_space((uint8_t)r->text[r->at]))
        ++r->at;
}

static bool accept(struct reader *r, char c)
{
    if (r->at >= r->size || r->text[r->at] != c)
        return false;
    ++r->at;
    return true;
}

static bool read_value(struct reader *r, struct json **out);

// After the opening delimiter.
static bool read_quoted(struct reader *r, struct span *out)
{
    const char *end = memchr(r->text + r->at, PARSE_DELIMITER, r->size - r->at);
    if (!end)
        return fail(r, "a quoted string does not end");
    *out = span_of(r->text + r->at, (size_t)(end - (r->text + r->at)));
    r->at = (size_t)(end + 1 - r->text);
    return true;
}

// Strings and numbers are JSON's own; its reader wants to be given exactly one value.
static bool read_json(struct reader *r, size_t end, struct json **out)
{
    struct karat_error err;
    const enum karat_status status = json_parse(out, r->arena, span_of(r->text + r->at, end - r->at), NULL, &err);
    if (status == KARAT_ERR_MEMORY)
        return fail_memory(r);
    if (status != KARAT_OK)
        return fail(r, "a string or number is not as JSON has it");
    r->at = end;
    return true;
}

static bool read_json_string(struct reader *r, struct json **out)
{
    size_t end = r->at + 1;
    while (end < r->size && r->text[end] != '"')
        end += r->text[end] == '\\' ? 2 : 1;
    if (end >= r->size)
        return fail(r, "a string does not end");
    // Line breaks inside a string are a slip of the model that costs nothing to understand, but they are not JSON, and
    // a body with them is better not executed.
    return read_json(r, end + 1, out);
}

static bool read_key(struct reader *r, struct span *out)
{
    struct json *string = NULL;
    skip_space(r);
    if (accept(r, PARSE_DELIMITER))
        return read_quoted(r, out);
    if (r->at < r->size && r->text[r->at] == '"') {
        if (!read_json_string(r, &string))
            return false;
        *out = string->text;
        return true;
    }
    const size_t start = r->at;
    while (r->at < r->size && !strchr(":{}[],", r->text[r->at]) && r->text[r->at] != PARSE_DELIMITER)
        ++r->at;
    size_t end = r->at;
    while (end > start && parse_is_space((uint8_t)r->text[end - 1]))
        --end;
    *out = span_of(r->text + start, end - start);
    return true;
}

static bool read_member(struct reader *r, struct json *object)
{
    struct span key = { 0 };
    struct json *value = NULL;
    if (!read_key(r, &key))
        return false;
    skip_space(r);
    if (!accept(r, ':'))
        return fail(r, "a key is not followed by ':'");
    if (!read_value(r, &value))
        return false;
    value->key = key;
    json_append(object, value);
    return true;
}

static bool read_children(struct reader *r, struct json *parent)
{
    const bool object = parent->kind == JSON_OBJECT;
    const char closer = object ? '}' : ']';
    skip_space(r);
    if (accept(r, closer))
        return true;
    for (;;) {
        struct json *value = NULL;
        if (object ? !read_member(r, parent) : !read_value(r, &value))
            return false;
        if (value)
            json_append(parent, value);
        skip_space(r);
        if (accept(r, closer))
            return true;
        if (!accept(r, ','))
            return fail(r, object ? "the arguments do not end with '}'" : "a list does not end with ']'");
    }
}

static bool read_container(struct reader *r, struct json *value)
{
    if (r->depth == JSON_DEPTH_MAX)
        return fail(r, "the arguments are nested too deeply");
    ++r->depth;
    const bool ok = read_children(r, value);
    --r->depth;
    return ok;
}

static const struct {
    const char *word;
    enum json_kind kind;
    bool boolean;
} words[] = {
    { "true", JSON_BOOL, true }, { "false", JSON_BOOL, false }, { "null", JSON_NULL, false },
    { "True", JSON_BOOL, true }, { "False", JSON_BOOL, false }, { "None", JSON_NULL, false },
};

static bool read_word(struct reader *r, struct json *value)
{
    for (size_t i = 0; i < COUNT(words); ++i) {
        const size_t size = strlen(words[i].word);
        if (r->size - r->at >= size && memcmp(r->text + r->at, words[i].word, size) == 0) {
            value->kind = words[i].kind;
            value->boolean = words[i].boolean;
            r->at += size;
            return true;
        }
    }
    return fail(r, "a value is neither quoted nor a number, list, object, true, false or null");
}

static size_t find_number_end(const struct reader *r)
{
    size_t end = r->at;
    while (end < r->size && r->text[end] && strchr("+-.0123456789eE", r->text[end]))
        ++end;
    return end;
}

static bool read_value(struct reader *r, struct json **out)
{
    skip_space(r);
    const char c = r->at < r->size ? r->text[r->at] : '\0';
    if (c == '"')
        return read_json_string(r, out);
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_json(r, find_number_end(r), out);
    struct json *value = *out = json_new(r->arena, JSON_STRING);
    if (!value)
        return fail_memory(r);
    if (accept(r, PARSE_DELIMITER))
        return read_quoted(r, &value->text);
    value->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
    if (accept(r, '{') || accept(r, '['))
        return read_container(r, value);
    return read_word(r, value);
}

size_t parse_value_end(struct span text, size_t at)
{
    struct arena arena = { 0 };
    struct json *value = NULL;
    struct reader r = { .text = (const char *)text.data, .size = text.size_bytes, .at = at, .arena = &arena };
    const bool ok = read_value(&r, &value);
    arena_free(&arena);
    return ok ? r.at : SIZE_MAX;
}

// ---------------------------------------------------------------------------------------------------- the call

static bool read_name(struct reader *r, struct span *out)
{
    skip_space(r);
    if (r->size - r->at < 5 || memcmp(r->text + r->at, "call:", 5) != 0)
        return fail(r, "the call does not begin with \"call:\"");
    r->at += 5;
    skip_space(r);
    const char *brace = memchr(r->text + r->at, '{', r->size - r->at);
    size_t end = brace ? (size_t)(brace - r->text) : r->size;
    const size_t start = r->at;
    r->at = end;
    while (end > start && parse_is_space((uint8_t)r->text[end - 1]))
        --end;
    *out = span_of(r->text + start, end - start);
    if (!brace)
        return fail(r, "the call has no arguments in braces");
    if (end == start)
        return fail(r, "the call names no tool");
    if (memchr(r->text + start, PARSE_DELIMITER, end - start))
        return fail(r, "the name of the tool contains a string delimiter");
    return true;
}

// The last of equal keys wins, as everywhere. Sent through the JSON reader, which knows how.
static bool drop_duplicates(struct reader *r, struct json **object)
{
    struct text text = { 0 };
    text_append_json(&text, *object);
    const enum karat_status status =
        text.failed ? KARAT_ERR_MEMORY : json_parse(object, r->arena, text_span(&text), NULL, NULL);
    text_free(&text);
    return status == KARAT_OK || fail_memory(r);
}

static bool is_text(struct span body)
{
    for (size_t i = 0; i < body.size_bytes;) {
        const size_t length = utf8_decode((const char *)body.data + i, body.size_bytes - i, NULL);
        if (length == 0 && (char)body.data[i] != PARSE_DELIMITER)
            return false;
        i += length > 0 ? length : 1;
    }
    return true;
}

static bool read_call(struct reader *r, struct parse_call *out, struct span body)
{
    if (!is_text(body))
        return fail(r, "the call is not UTF-8");
    if (!read_name(r, &out->name) || !read_value(r, &out->arguments))
        return false;
    skip_space(r);
    if (r->at < r->size)
        return fail(r, "something follows the arguments");
    return drop_duplicates(r, &out->arguments);
}

enum karat_status parse_call_read_strict(struct parse_call *out, struct arena *arena, struct span body,
                                         struct karat_error *err)
{
    *out = (struct parse_call){ 0 };
    struct reader r = { .text = (const char *)body.data, .size = body.size_bytes, .arena = arena };
    if (!read_call(&r, out, body))
        out->arguments = NULL;
    out->reason = out->arguments ? NULL : r.reason;
    return r.no_memory ? status_fail(err, KARAT_ERR_MEMORY, "not enough memory for a tool call") : KARAT_OK;
}

enum karat_status parse_call_read(struct parse_call *out, struct arena *arena, struct span body,
                                  const struct json *tools, struct karat_error *err)
{
    enum karat_status status = parse_call_read_strict(out, arena, body, err);
    struct text repaired = { 0 };
    for (unsigned attempt = 0; status == KARAT_OK && out->reason && attempt < ATTEMPTS_MAX; ++attempt) {
        struct parse_call again;
        text_clear(&repaired);
        if (body.size_bytes == 0 || !is_text(body) || !parse_repair(&repaired, body, tools, attempt))
            break;
        // The result points into the body, so the repaired one must live as long.
        const char *copy = repaired.failed ? NULL : arena_text(arena, repaired.data, repaired.size_bytes);
        status = copy ? parse_call_read_strict(&again, arena, span_of(copy, repaired.size_bytes), err)
                      : status_fail(err, KARAT_ERR_MEMORY, "not enough memory for a tool call");
        if (status == KARAT_OK && !again.reason)
            *out = again;
    }
    text_free(&repaired);
    return status;
}
