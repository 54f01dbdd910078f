// text/parse_repair.c -- slips of the model in a tool call that have only one meaning.
//
// 1. key:'text' is a quoted string, also with a delimiter left over behind it.
// 2. Of an odd number of delimiters the closing one is missing: before one of the final brackets, or at the end.
// 3. Bare text where the tool's schema wants a string: up to the next known key or the final brace.
// 4. A brace missing after any of these. A missing brace alone is a cut-off call and stays one.
#include "text/parse_call.h"

// Final brackets that are tried as the place of a missing delimiter.
#define PLACES_MAX 7

#define KEY_BYTES_MAX 256

// A call with more members than this is not walked through: each may be read anew from deep inside the one before.
#define MEMBERS_MAX 256

static size_t skip_space(struct span text, size_t at)
{
    while (at < text.size_bytes && parse_is_space(text.data[at]))
        ++at;
    return at;
}

static bool is_at(struct span text, size_t at, char c)
{
    return at < text.size_bytes && (char)text.data[at] == c;
}

// The last character that is no whitespace, SIZE_MAX without one.
static size_t last_visible(struct span text)
{
    size_t at = text.size_bytes;
    while (at > 0 && parse_is_space(text.data[at - 1]))
        --at;
    return at > 0 ? at - 1 : SIZE_MAX;
}

static struct span slice(struct span text, size_t from, size_t to)
{
    return span_of(text.data + from, to - from);
}

// ---------------------------------------------------------------------------------------------------- 1

// text[at] is an opening single quote. The closing one is the first that ends the value; SIZE_MAX without one, and then
// *after is how far there is none.
static size_t find_single_quote(struct span text, size_t at, size_t *after)
{
    size_t i = at + 1;
    for (; i < text.size_bytes && !is_at(text, i, PARSE_DELIMITER); ++i) {
        if (text.data[i] != '\'')
            continue;
        *after = i + 1 + is_at(text, i + 1, PARSE_DELIMITER);
        const size_t next = skip_space(text, *after);
        if (next == text.size_bytes || strchr(",}]", text.data[next]))
            return i;
    }
    *after = i;
    return SIZE_MAX;
}

static bool requote(struct text *out, struct span text)
{
    bool changed = false, quoted = false;
    size_t copied = 0, hopeless = 0;
    for (size_t i = 0; i < text.size_bytes; ++i) {
        if (is_at(text, i, PARSE_DELIMITER))
            quoted = !quoted;
        const size_t start = !quoted && text.data[i] == ':' ? skip_space(text, i + 1) : i;
        size_t after = 0;
        if (start == i || start < hopeless || !is_at(text, start, '\''))
            continue;
        const size_t end = find_single_quote(text, start, &after);
        if (end == SIZE_MAX) {
            hopeless = after;
            continue;
        }
        text_append_span(out, slice(text, copied, start));
        text_append_char(out, PARSE_DELIMITER);
        text_append_span(out, slice(text, start + 1, end));
        text_append_char(out, PARSE_DELIMITER);
        copied = after;
        i = after - 1;
        changed = true;
    }
    text_append_span(out, slice(text, copied, text.size_bytes));
    return changed;
}

// ---------------------------------------------------------------------------------------------------- 3

static const struct json *find_properties(struct span body, const struct json *tools)
{
    const uint8_t *brace = body.size_bytes > 0 ? memchr(body.data, '{', body.size_bytes) : NULL;
    const uint8_t *colon = body.size_bytes > 0 ? memchr(body.data, ':', body.size_bytes) : NULL;
    if (!brace || !colon || colon > brace)
        return NULL;
    struct span name = span_of(colon + 1, (size_t)(brace - colon - 1));
    const size_t start = skip_space(name, 0);
    const size_t last = last_visible(name);
    name = last == SIZE_MAX ? (struct span){ 0 } : slice(name, start, last + 1);
    for (const struct json *tool = json_is(tools, JSON_ARRAY) ? tools->first_child : NULL; tool; tool = tool->next) {
        const struct json *function = json_find(tool, "function"), *tool_name = json_find(function, "name");
        if (json_is(tool_name, JSON_STRING) && span_equal(tool_name->text, name))
            return json_find(json_find(function, "parameters"), "properties");
    }
    return NULL;
}

static bool is_string_type(const struct json *schema)
{
    const struct json *type = json_find(schema, "type");
    if (json_is(type, JSON_ARRAY))
        for (const struct json *name = type->first_child; name; name = name->next)
            if (json_is_text(name, "string"))
                return true;
    return json_is_text(type, "string") || json_is_text(type, "STRING");
}

// The key at text[at] and the ':' behind it; quotes around the key are dropped. SIZE_MAX when there is none.
static size_t find_key(struct span text, size_t at, struct span *key)
{
    const size_t start = skip_space(text, at);
    size_t colon = start;
    while (colon < text.size_bytes && colon - start < KEY_BYTES_MAX && !strchr(":{}[],", text.data[colon]))
        ++colon;
    if (!is_at(text, colon, ':'))
        return SIZE_MAX;
    const size_t last = last_visible(slice(text, start, colon));
    *key = slice(text, start, last == SIZE_MAX ? start : start + last + 1);
    const bool quoted = key->size_bytes > 1 && key->data[0] == key->data[key->size_bytes - 1] &&
                        (key->data[0] == '"' || (char)key->data[0] == PARSE_DELIMITER);
    if (quoted)
        *key = slice(*key, 1, key->size_bytes - 1);
    return colon;
}

// Where bare text ends: at a comma with a known key behind it, at the final brace, or at the end.
static size_t find_bare_end(struct span text, size_t at, const struct json *properties)
{
    struct span key = { 0 };
    const size_t last = last_visible(text);
    for (size_t i = at; i < text.size_bytes; ++i)
        if (text.data[i] == ',' && find_key(text, i + 1, &key) != SIZE_MAX && json_find_span(properties, key))
            return i;
    return last != SIZE_MAX && last >= at && text.data[last] == '}' ? last : text.size_bytes;
}

// One member from text[at] on; appends it and moves *at behind it. False when the walk cannot go on.
static bool quote_bare_member(struct text *out, struct span text, size_t *at, const struct json *properties,
                              bool *changed)
{
    struct span key = { 0 };
    const size_t colon = find_key(text, *at, &key);
    if (colon == SIZE_MAX)
        return false;
    const size_t start = colon + 1, end = parse_value_end(text, start);
    const size_t next = end == SIZE_MAX ? SIZE_MAX : skip_space(text, end);
    if (next != SIZE_MAX && (next == text.size_bytes || text.data[next] == ',' || text.data[next] == '}')) {
        text_append_span(out, slice(text, *at, next));
        *at = next;
        return true;
    }
    if (!is_string_type(json_find_span(properties, key)) || is_at(text, skip_space(text, start), PARSE_DELIMITER))
        return false;
    const size_t bare_end = find_bare_end(text, start, properties);
    // A delimiter that closes what was never opened.
    const size_t size = bare_end - start - (bare_end > start && is_at(text, bare_end - 1, PARSE_DELIMITER));
    if (size > 0 && memchr(text.data + start, PARSE_DELIMITER, size))
        return false;
    text_append_span(out, slice(text, *at, start));
    text_append_char(out, PARSE_DELIMITER);
    text_append_span(out, slice(text, start, start + size));
    text_append_char(out, PARSE_DELIMITER);
    *at = bare_end;
    return *changed = true;
}

static bool quote_bare(struct text *out, struct span text, const struct json *tools)
{
    const struct json *properties = find_properties(text, tools);
    const uint8_t *brace = text.size_bytes > 0 ? memchr(text.data, '{', text.size_bytes) : NULL;
    size_t at = brace ? (size_t)(brace - text.data) + 1 : 0;
    bool changed = false;
    text_append_span(out, slice(text, 0, at));
    for (unsigned i = 0; i < MEMBERS_MAX && json_is(properties, JSON_OBJECT); ++i) {
        if (!quote_bare_member(out, text, &at, properties, &changed) || !is_at(text, at, ','))
            break;
        text_append_char(out, ',');
        ++at;
    }
    text_append_span(out, slice(text, at, text.size_bytes));
    return changed;
}

// ---------------------------------------------------------------------------------------------------- 2 and 4

static size_t count_delimiters(struct span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size_bytes; ++i)
        n += is_at(text, i, PARSE_DELIMITER);
    return n;
}

// Places for a missing delimiter: before the last of the final brackets, before the one before it, ..., at the end.
static size_t list_places(struct span text, size_t places[PLACES_MAX])
{
    size_t n = 0;
    for (size_t i = text.size_bytes; i > 0 && n < PLACES_MAX - 1; --i) {
        const uint8_t c = text.data[i - 1];
        if (c == '}' || c == ']')
            places[n++] = i - 1;
        else if (!parse_is_space(c))
            break;
    }
    places[n++] = text.size_bytes;
    return n;
}

static bool close_text(struct text *out, struct span text, bool changed, unsigned attempt)
{
    size_t places[PLACES_MAX] = { text.size_bytes };
    const bool odd = count_delimiters(text) % 2 == 1;
    const size_t n_places = odd ? list_places(text, places) : 1;
    if ((!odd && !changed) || attempt >= 2 * n_places)
        return false;
    const size_t place = places[attempt % n_places];
    text_append_span(out, slice(text, 0, place));
    if (odd)
        text_append_char(out, PARSE_DELIMITER);
    text_append_span(out, slice(text, place, text.size_bytes));
    if (attempt >= n_places)
        text_append_char(out, '}');
    return true;
}

bool parse_repair(struct text *out, struct span body, const struct json *tools, unsigned attempt)
{
    struct text requoted = { 0 }, quoted = { 0 };
    bool changed = requote(&requoted, body);
    changed |= quote_bare(&quoted, text_span(&requoted), tools);
    const bool repaired = close_text(out, text_span(&quoted), changed, attempt);
    out->failed |= requoted.failed || quoted.failed;
    text_free(&requoted);
    text_free(&quoted);
    return repaired;
}
