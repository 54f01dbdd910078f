// server/chats.h -- the chats of the web page: kept by common/chat_store.h, answered whether a page looks on or not.
//
// The requests, as page/src/api.js lists them: /tools, /chats, /chats/ID, and below it messages, answers and calls.
// Only the server's own page may ask, for other pages of this machine have no business with what was said here, nor
// with tools. chats.c keeps chats, chat_answers.c has them answered, chat_calls.c has tools called, live.c shows both,
// watchers.c tells the pages that did not ask.
#ifndef SERVER_CHATS_H
#define SERVER_CHATS_H

#include "server/live.h"

// A store that cannot be opened is no reason not to serve: requests for chats are then answered with the reason.
struct chats *chats_open(struct server *server);
void chats_close(struct chats *chats); // after the last answer has ended; stops the tools that run

// ---------------------------------------------------------------------------------------------------- replies

void chats_reply(struct exchange *x, struct text *body); // and frees it
void chats_reply_done(struct exchange *x);
void chats_fail(struct exchange *x, enum error_kind kind, const char *sentence);
// What is not there, and what the request has wrong, is the client's mistake; what the file does not take is ours.
void chats_fail_stored(struct exchange *x, struct text *why); // and frees it

// The member of the body that is an id; 0: there is none.
int64_t chats_id_at(const struct json *json, const char *name);
// Whether something may begin in this chat: one thing at a time, for the page shows one. Reads the body. False after
// it replied why not.
bool chats_may_begin(struct exchange *x, int64_t chat);
// The "options" of the body, as they came.
struct text chats_options(const struct exchange *x);
// Stores a message, and tells the pages that wait for one there. As chat_store_add().
bool chats_add(struct chats *chats, const struct chat_message *message, int64_t *id, struct text *why);

// ---------------------------------------------------------------------------------------------------- answers

// Begins an answer to a message that is stored, and returns its id; 0 with the reason in *why.
int64_t chat_answer_begin(struct chats *chats, int64_t chat, int64_t question, const struct text *options,
                          struct text *why);
void serve_message(struct exchange *x, int64_t chat); // POST /chats/ID/messages
void serve_again(struct exchange *x, int64_t chat);   // POST /chats/ID/answers

// ---------------------------------------------------------------------------------------------------- calls

// Goes on after an answer with calls, or after what a tool said to one: runs the next tool if it needs no permission,
// waits for the user if it does, or has the model go on once all calls have results.
void chat_calls_go_on(struct chats *chats, int64_t chat, int64_t after, const struct text *options);
// Whether a call without a result is on the branch that ends with this message.
bool chat_calls_wait(struct chats *chats, int64_t chat, int64_t after);
// Declines what still waits for permission, and returns the message to go on from; 0 with the reason in *why.
int64_t chat_calls_decline(struct chats *chats, int64_t chat, int64_t after, struct text *why);
void serve_call(struct exchange *x, int64_t chat); // POST /chats/ID/calls

#endif
