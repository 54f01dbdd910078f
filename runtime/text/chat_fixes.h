// text/chat_fixes.h -- a request as the template ought to have seen it. Private to chat*.c.
//
// Corrected here: arguments given as JSON text are read; schemas get the types they lack, [T, "null"] and anyOf with
// null become nullable, response schemas other than objects are dropped; later system and developer messages join the
// first one; results without ids belong to calls without ids in order. Refused: calls whose results are missing, and
// content of a kind that the template would drop. Corrected in chat.c, because it is about order: text beside calls
// comes before them, and an answer after embedded results is followed by a generation prompt.
#ifndef TEXT_CHAT_FIXES_H
#define TEXT_CHAT_FIXES_H

#include "text/chat.h"

// Replaces *request by a corrected copy in the arena that shares what needs no correction with the original. `messages`
// is an array and `tools`, if it is truthy, too.
//
// Errors  KARAT_ERR_ARGUMENT   in one sentence;  KARAT_ERR_MEMORY
enum karat_status chat_fix_request(const struct json **request, struct arena *arena, const struct chat_options *options,
                                   struct karat_error *err);

// The half of it that is about one declaration, in chat_schema.c; index is its place in "tools".
enum karat_status chat_fix_tool(struct json **out, struct arena *arena, const struct json *tool, size_t index,
                                struct karat_error *err);

// A copy of the object with one member replaced or added (value NULL: removed), the others shared. value must not
// belong to a parent. NULL when memory is out.
struct json *chat_with_member(struct arena *arena, const struct json *object, const char *key, struct json *value);

// Each result is compared with the calls of its message one by one.
#define CHAT_CALLS_MAX 1024

#define CHAT_NO_MEMORY(err) status_fail(err, KARAT_ERR_MEMORY, "not enough memory to correct the request")

#endif
