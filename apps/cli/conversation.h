// cli/conversation.h -- the messages so far, and one more answer to them, tool calls included.
#ifndef CLI_CONVERSATION_H
#define CLI_CONVERSATION_H

#include "cli/cli.h"
#include "cli/reply_view.h"
#include "cli/tools.h"

struct message {
    char *json;
    char *sampled; // of a reply with calls: what karat_generate_options.sampled has of it; NULL: nothing
};

// Zeroed is an empty conversation.
struct conversation {
    char *system;             // NULL: none
    struct message *messages; // in order, without the system message
    size_t n_messages, capacity;
};

void conversation_free(struct conversation *talk);  // and empties it
void conversation_clear(struct conversation *talk); // forgets the messages, keeps the system text
void conversation_set_system(struct conversation *talk, const char *text); // NULL or "": none
void conversation_add_user(struct conversation *talk, const char *text, size_t size);
void conversation_cut(struct conversation *talk, size_t n_messages); // keeps the first n
// Forgets everything after the last user message; false when there is none.
bool conversation_back_to_user(struct conversation *talk);

// The messages as a JSON array, system message first, one line each.
void conversation_json(const struct conversation *talk, struct text *out);
// Replaces the conversation by one that conversation_json() wrote, or an OpenAI client. On failure nothing changes:
// false, and one sentence in *fault.
bool conversation_load(struct conversation *talk, const char *json, size_t size, struct text *fault);

// Lets the model answer, shows the answer through `view`, and appends it. Calls of the tools that are offered are
// answered and the model goes on, at most 8 times. options->on_piece, ->tools and ->sampled are set here.
//
//   reply   the last reply, for karat_reply_free(); filled on success and when cancelled
//
// On failure the messages are as before.
enum karat_status conversation_answer(struct conversation *talk, struct karat_session *session,
                                      struct karat_generate_options *options, struct reply_view *view,
                                      struct tools *tools, struct karat_reply *reply, struct karat_error *err);

#endif
