// text/parse_call.h -- the body of a tool call. Private to parse*.c.
#ifndef TEXT_PARSE_CALL_H
#define TEXT_PARSE_CALL_H

#include "text/json.h"

// Stands for the control token <|"|> in a body; no byte of UTF-8 text.
#define PARSE_DELIMITER '\xFF'

struct parse_call {
    struct span name;       // lies in the body
    struct json *arguments; // an object in the arena
    const char *reason;     // why the body is no call, NULL when it is one
};

// Reads `call:NAME{members}`; when that fails, tries again on repaired copies. The result's memory is the body's and
// the arena's. A body that is no call is no error: see `reason`; the name is set as far as it is known.
//
// Errors  KARAT_ERR_MEMORY
enum karat_status parse_call_read(struct parse_call *out, struct arena *arena, struct span body,
                                  const struct json *tools, struct karat_error *err);

// The strict half of it alone.
enum karat_status parse_call_read_strict(struct parse_call *out, struct arena *arena, struct span body,
                                         struct karat_error *err);

// Where the value that starts at text[at] ends, SIZE_MAX when no value starts there. For the repairs.
size_t parse_value_end(struct span text, size_t at);

// Whitespace of the format: the six of ASCII.
static inline bool parse_is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// The repairs, in parse_repair.c. Appends a repaired copy of the body to *out; false when there was nothing to do.
// attempt counts the places for a missing delimiter, the most hopeful first; false for one too many, too.
bool parse_repair(struct text *out, struct span body, const struct json *tools, unsigned attempt);

#endif
