// server/turns.h -- a conversation being put together in the library's form, for dialects whose items are not its
// messages.
//
// Thoughts, texts and calls of the model gather in one message until something else comes.
#ifndef SERVER_TURNS_H
#define SERVER_TURNS_H

#include "common/json.h"

struct turns {
    struct text *out; // the messages, without the brackets around them
    struct text thought, content, calls;
    bool of_model; // a message of the model is being gathered
    size_t n;      // messages written
};

// `raw` is JSON: a string or a list of parts.
void turns_add(struct turns *turns, const char *role, const struct text *raw);
void turns_add_result(struct turns *turns, const struct text *id, const struct text *raw);

void turns_add_thought(struct turns *turns, const struct text *plain);
void turns_add_content(struct turns *turns, const struct text *plain);
// `arguments` is JSON: an object, or the text of one.
void turns_add_call(struct turns *turns, const struct text *id, const struct text *name, const struct text *arguments);

// Takes the text of the model that is being gathered, if it called nothing: an answer that is to be gone on from. Its
// thought is dropped.
bool turns_take_begun(struct turns *turns, struct text *out);
void turns_end(struct turns *turns); // writes what is gathered and frees what it was gathered in

// Appends ,"tools":[...] entries: one function declaration from the members of node with these names.
void turns_add_tool(struct text *out, const struct json *json, size_t node, const char *schema_name);

#endif
