// engine/token_log.h -- tokens with their log probabilities, kept until their text is part of the answer. Private to
// the room.
//
// Text takes the way of a generation: the parser drops or holds back some of it, then the stop filter does. The log
// follows by counting bytes, so that a token is handed over right before the piece of text that it completes, and never
// when its text is withheld.
#ifndef ENGINE_TOKEN_LOG_H
#define ENGINE_TOKEN_LOG_H

#include "base/status.h"

struct logged_token;

// Zeroed is empty.
struct token_log {
    struct logged_token *tokens; // [n] in order
    size_t n, capacity;
    size_t n_passed;  // at the front: handed over, or lost
    size_t n_settled; // of those and the ones after them the parser has no text any more
};

void token_log_free(struct token_log *log);

// A token was sampled. Its text follows with token_log_text(), as soon as whole characters of it are known.
enum karat_status token_log_add(struct token_log *log, const struct karat_logprob *token,
                                const struct karat_logprob *top, size_t n_top, struct karat_error *err);
void token_log_text(struct token_log *log, size_t n_bytes); // of the last token; without one it does nothing

// The parser has taken the text so far: it holds n_held bytes of it back, and n_answer bytes, directly in front of
// those, went on to the stop filter. What came before is not part of the answer.
enum karat_status token_log_settle(struct token_log *log, size_t n_held, size_t n_answer, struct karat_error *err);

// The stop filter lets go of n bytes: hands over the tokens that end there.
void token_log_pass(struct token_log *log, size_t n_bytes, karat_token_fn *on_token, void *user);

#endif
