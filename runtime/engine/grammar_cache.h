// engine/grammar_cache.h -- grammars that were asked for lately, and matchers that have learned their masks. Private to
// the room.
//
// Clients send the same schema and the same tools with every request. Of a grammar that is known nothing is compiled
// again, and its matchers still have the masks that took long to make (for a vocabulary of 262,144 tokens and an object
// of any kind some 35 ms of the first 24 tokens).
#ifndef ENGINE_GRAMMAR_CACHE_H
#define ENGINE_GRAMMAR_CACHE_H

#include "base/thread.h"
#include "text/text.h"

#define GRAMMAR_CACHE_MAX 16u                           // grammars
#define GRAMMAR_CACHE_IDLE_BYTES_MAX ((size_t)64 << 20) // of matchers that nobody uses

struct cached_grammar;

// MUTEX_INIT for the mutex, zeroes for the rest. Any thread.
struct grammar_cache {
    struct mutex mutex;
    struct cached_grammar *first; // used last
    uint32_t n_grammars;
    size_t idle_bytes;
    uint64_t n_compiled, n_found; // so far
};

// A matcher at the beginning of an answer, for this reply; its errors are those of grammar_from_reply() and
// matcher_create(). It and its grammar go back with grammar_cache_return(); NULL is fine.
enum karat_status grammar_cache_take(struct grammar_cache *cache, const struct grammar_reply *reply,
                                     const struct token_index *index, struct cached_grammar **grammar,
                                     struct matcher **matcher, struct karat_error *err);
void grammar_cache_return(struct grammar_cache *cache, struct cached_grammar *grammar, struct matcher *matcher);

void grammar_cache_free(struct grammar_cache *cache); // after all were returned

#endif
