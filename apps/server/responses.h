// server/responses.h -- responses that are kept, to be asked for again and to be gone on from.
//
// A later request names one as its previous_response_id: the conversation up to there, without the instructions, comes
// before its own input. Memory is bounded: the responses used longest ago are forgotten, and all of them when the
// server ends.
#ifndef SERVER_RESPONSES_H
#define SERVER_RESPONSES_H

#include "server/answer.h"

#define RESPONSES_MAX 1024
#define RESPONSES_BYTES_MAX ((size_t)64 << 20)

struct responses *responses_create(void);
void responses_destroy(struct responses *responses);

// Reads a whole body, and recalls what it goes on from. As the readers of ask.h.
bool responses_read(struct responses *responses, struct ask *ask, const struct json *json, struct fault *fault);

// An answer has ended as `body` says, unless its client did not want it to be kept.
void responses_keep(struct responses *responses, const struct answer *answer, const struct text *body);

// The body of the response with this id; NULL: there is none, and the fault. Lent until the next call.
const struct text *responses_find(struct responses *responses, const char *id, struct fault *fault);
bool responses_forget(struct responses *responses, const char *id, struct fault *fault);

#endif
