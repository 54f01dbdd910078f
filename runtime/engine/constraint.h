// engine/constraint.h -- what an answer must keep to, if anything. Private to the room.
#ifndef ENGINE_CONSTRAINT_H
#define ENGINE_CONSTRAINT_H

#include "engine/grammar_cache.h"

struct karat_session;

// Zeroed: nothing. Otherwise of one answer.
struct constraint {
    struct grammar_cache *cache;
    struct cached_grammar *grammar;
    struct matcher *matcher; // NULL: the answer may be anything
    bool is_prepared;        // what may come next is known
};

// The part of the wishes that comes from the prompt; zeroed without a chat format.
struct constraint_prompt {
    bool may_think, starts_in_thought;
    struct span begun; // of the answer, in the prompt
    const struct json *tools;
};

// Reads the wishes, which may be gone afterwards. After a failure, too, constraint_free() takes it.
enum karat_status constraint_open(struct constraint *out, const struct karat_model *model,
                                  const struct karat_generate_options *options, const struct constraint_prompt *prompt,
                                  struct karat_error *err);
void constraint_free(struct constraint *constraint);

// Finds out what may come next, while the device works. Not needed, and nothing without a matcher.
void constraint_prepare(struct constraint *constraint);

// With a matcher, in place of session_sample(): a token that may come next. The sampler has to accept it, too.
enum karat_status constraint_sample(struct constraint *constraint, struct karat_session *session, uint32_t *id,
                                    struct karat_error *err);

#endif
