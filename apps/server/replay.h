// server/replay.h -- the tokens of replies that called tools, so that they go back into a prompt as they were sampled.
//
// A client sends back what it was told of a call, with the call's id. With the tokens beside it the library need not
// spell the call anew, which seldom gives the same tokens, and what was evaluated of the reply is kept. Whether a call
// is still the same is the library's to judge. Memory is bounded: the replies used longest ago are forgotten.
#ifndef SERVER_REPLAY_H
#define SERVER_REPLAY_H

#include "server/answer.h"

#define REPLAY_REPLIES_MAX 1024
#define REPLAY_TOKENS_MAX ((size_t)4 << 20) // of all replies together

struct replay *replay_create(void);
void replay_destroy(struct replay *replay);

// A choice has ended with calls.
void replay_keep(struct replay *replay, const struct choice *choice, const uint32_t *tokens, size_t n_tokens);

// Adds to the conversation of an ask what was sampled for the calls in it, if any.
void replay_attach(struct replay *replay, struct ask *ask);

#endif
