// text/json.h -- a strict JSON reader, a tree of values, and a growing text to write into.
//
// Numbers keep the digits they were written with, so that integers of any length survive; objects keep their order;
// strings are spans because they may hold U+0000. What RFC 8259 leaves open is decided here: of members with the same
// name the last value wins, in the place of the first; lone surrogates, invalid UTF-8 and a byte order mark are
// refused.
#ifndef TEXT_JSON_H
#define TEXT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"
#include "base/status.h"

// ---------------------------------------------------------------------------------------------------- growing text

#define TEXT_LIMIT_BYTES ((size_t)1 << 30)

// Zero-initialised is empty. Once memory or the limit has run out, `failed` stays true and later appends do nothing, so
// a writer checks once, at its end. The holder returns it with text_free().
struct text {
    char *data; // terminated once something was appended; NULL before
    size_t size_bytes, capacity_bytes;
    size_t limit_bytes; // 0: TEXT_LIMIT_BYTES
    bool failed;
};

void text_append(struct text *text, const void *bytes, size_t size_bytes);
void text_append_span(struct text *text, struct span span);
void text_append_string(struct text *text, const char *string);
void text_append_char(struct text *text, char c);
void text_append_format(struct text *text, const char *format, ...) STATUS_PRINTF(2, 3);

// The string with its quotes, escaped as JSON. The bytes must be UTF-8; broken ones become U+FFFD.
void text_append_json_string(struct text *text, struct span string);

// The shortest decimal that reads back as the same double, in Python's form: 1.0, 49.5, 1e-07, 1e+22, -0.0. Not JSON
// for inf and nan. Independent of the locale.
void text_append_double(struct text *text, double number);

struct span text_span(const struct text *text); // valid until the next append
void text_clear(struct text *text);             // empty again, keeps its memory; resets `failed`
void text_free(struct text *text);

// Moves the terminated bytes out to the caller, who returns them with free(); NULL when the text has failed. The text
// is empty afterwards in both cases.
char *text_take(struct text *text, size_t *size_bytes);

// KARAT_OK, or KARAT_ERR_MEMORY naming `what` when the text has failed.
enum karat_status text_check(const struct text *text, const char *what, struct karat_error *err);

// ---------------------------------------------------------------------------------------------------- values

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    bool boolean;             // of a bool
    struct span text;         // of a string its characters, of a number its digits as written
    struct span key;          // of an object's member its name
    size_t n_children;        // of an array or object
    struct json *first_child; // in order of appearance
    struct json *last_child;  // for appending
    struct json *next;        // of the same parent
};

#define JSON_DEPTH_MAX 128

struct json_limits {
    size_t size_bytes_max; // of the document; 0: 256 MiB
    unsigned depth_max;    // of nested arrays and objects; 0: JSON_DEPTH_MAX, which is also the most that is allowed
};

// Reads exactly one value with whitespace around it. The tree and copies of all its text live in `arena`; on failure
// the arena may hold leftovers, too. limits may be NULL.
//
// Errors  KARAT_ERR_FORMAT   not JSON; the sentence begins with line and column (both from 1, columns in bytes)
//         KARAT_ERR_UNSUPPORTED   larger or deeper than the limits;  KARAT_ERR_MEMORY
enum karat_status json_parse(struct json **out, struct arena *arena, struct span document,
                             const struct json_limits *limits, struct karat_error *err);

// All of these accept NULL as a value, so that a chain of look-ups needs one check at its end.
struct json *json_find(const struct json *object, const char *key); // NULL: no such member, or not an object
struct json *json_find_span(const struct json *object, struct span key);
bool json_is(const struct json *value, enum json_kind kind);
bool json_is_text(const struct json *value, const char *text); // a string with these characters
bool json_truthy(const struct json *value);                    // not NULL, null, false, zero, "", [] or {}
bool json_equal(const struct json *a, const struct json *b);   // objects in any order, numbers by value of a double

// False, and *out untouched, when the value is of another kind (or for integers out of range).
bool json_get_string(const struct json *value, struct span *out);
bool json_get_bool(const struct json *value, bool *out);
bool json_get_double(const struct json *value, double *out); // may be infinite for 1e999
bool json_get_int64(const struct json *value, int64_t *out); // integers only; 1.0 and 1e3 are not

const char *json_kind_name(const struct json *value); // "null", "a bool", ... and "nothing" for NULL

// Building. All memory is the arena's; NULL when it is out. Text is borrowed, not copied.
struct json *json_new(struct arena *arena, enum json_kind kind);
struct json *json_new_string(struct arena *arena, struct span text);
struct json *json_copy_shallow(struct arena *arena, const struct json *value); // shares its children; no key, no next
void json_append(struct json *parent, struct json *child);                     // child belongs to no parent yet

// The value as JSON without spaces, numbers as they were written.
void text_append_json(struct text *text, const struct json *value);

#endif
