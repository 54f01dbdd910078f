// server/logprobs.h -- the tokens of a choice with their log probabilities, in each shape that dialects have for them.
//
// A token that is no text by itself, because its character goes on in the next one, is spelled byte by byte: \xf0\x9f.
#ifndef SERVER_LOGPROBS_H
#define SERVER_LOGPROBS_H

#include "server/answer.h"

// [{"token", "bytes", "logprob", "id", "top_logprobs": [...]}, ...] of tokens[from..n_tokens)
void logprobs_write_list(struct text *out, const struct choice *choice, size_t from);

// The same as choices of a chat have it, and in the older shape of completions: parallel lists. Of the tokens that were
// not told yet; counts them as told. `null` where nobody asked.
void logprobs_write_chat(struct text *out, struct choice *choice);
void logprobs_write_completion(struct text *out, struct choice *choice);

#endif
