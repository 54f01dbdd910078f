// text/grammar.h -- what an answer may be, and which tokens may come next.
//
// A grammar is a pushdown automaton over bytes and control tokens, compiled once from a JSON Schema, from GBNF text, or
// for a whole reply of the model with its thought and its tool calls. A matcher walks through it with the tokens of one
// answer. Every state can go on to a complete answer, and every byte has a token of its own, so there is always a
// token.
//
//     TRY(token_index_create(&index, tokenizer, err));                  // once per vocabulary
//     TRY(grammar_from_schema(&grammar, span_text(schema), err));       // once per schema
//     TRY(matcher_create(&matcher, grammar, index, err));
//     for each token:  TRY(matcher_mask(matcher, &mask, err));          // sample among the bits that are set
//                      TRY(matcher_accept(matcher, id, err));
#ifndef TEXT_GRAMMAR_H
#define TEXT_GRAMMAR_H

#include "text/json.h"
#include "text/tokenizer.h"

// ---------------------------------------------------------------------------------------------------- vocabulary

// The texts of all tokens as a tree of bytes. Immutable, for any number of threads.
struct token_index;

// Tokens that are text take part: not control, unknown or unused ones, and not empty ones. The tokenizer must outlive
// the index. About 0.2 s and 12 MB for 262,144 tokens.
// Errors  KARAT_ERR_UNSUPPORTED   some byte has no token;  KARAT_ERR_MEMORY
enum karat_status token_index_create(struct token_index **out, const struct tokenizer *tokenizer,
                                     struct karat_error *err);
void token_index_destroy(struct token_index *index); // NULL is fine

// ---------------------------------------------------------------------------------------------------- grammars

struct grammar; // immutable, for any number of threads

// A JSON text that satisfies the schema (2020-12, with the older spellings of draft 4 and 7). The text is compact: at
// most one space after ':' and ',', none elsewhere. Where the schema leaves freedom the grammar may take less of it:
//   - members come in the order of `properties`; others only where additionalProperties asks for them
//   - numbers have at most 15 digits and two in the exponent, and zero has no sign
//   - values without a schema are nested at most GRAMMAR_ANY_DEPTH_MAX deep
// Annotations and unknown keywords are passed over.
//
// Errors  KARAT_ERR_FORMAT        not JSON; not a schema; no value can satisfy it
//         KARAT_ERR_UNSUPPORTED   a keyword that the automaton does not carry, named with its JSON pointer; too large
//         KARAT_ERR_MEMORY
enum karat_status grammar_from_schema(struct grammar **out, struct span schema, struct karat_error *err);

// GBNF as llama.cpp reads it: `name ::= alternatives`, texts "..", character classes [..], `.`, groups, * + ? {m,n},
// comments; the answer is the rule `root`.
// Errors  KARAT_ERR_FORMAT        the sentence begins with line and column; a rule that is missing, left-recursive or
//                                 without end
//         KARAT_ERR_UNSUPPORTED   too large;  KARAT_ERR_MEMORY
enum karat_status grammar_from_gbnf(struct grammar **out, struct span text, struct karat_error *err);

#define GRAMMAR_ANY_DEPTH_MAX 16

enum grammar_calls {
    GRAMMAR_CALLS_AUTO,     // text or calls
    GRAMMAR_CALLS_NONE,     // no call
    GRAMMAR_CALLS_REQUIRED, // at least one
};

// A whole turn of the model: [thought] then the answer, or calls as Gemma writes them.
struct grammar_reply {
    bool may_think, starts_in_thought;
    struct span schema, gbnf; // of the answer; at most one of them not empty; none: any text
    const struct json *tools; // declarations in OpenAI's form; NULL: no calls
    enum grammar_calls calls; // with tools
    struct span tool;         // only this one may be called; empty: any
    bool one_call;            // at most one
    bool strict;              // arguments follow the schemas of all tools, not only of those that say "strict"
};

// Errors  as of grammar_from_schema() and grammar_from_gbnf(), with the tool's name in front where one is to blame;
//         KARAT_ERR_ARGUMENT   a tool that is not declared, or calls are required and there are no tools
enum karat_status grammar_from_reply(struct grammar **out, const struct grammar_reply *reply, struct karat_error *err);

void grammar_destroy(struct grammar *grammar); // NULL is fine

// ---------------------------------------------------------------------------------------------------- matchers

struct matcher; // one thread at a time

// At the beginning of an answer. The grammar and the index must outlive it; index NULL: only for matcher_text().
enum karat_status matcher_create(struct matcher **out, const struct grammar *grammar, const struct token_index *index,
                                 struct karat_error *err);
void matcher_destroy(struct matcher *matcher); // NULL is fine
void matcher_reset(struct matcher *matcher);   // to the beginning; what it has learned stays

// Bit id % 32 of (*mask)[id / 32] says whether the token may come next; the tokens that end a turn are among them where
// the answer may be complete. [n_vocab rounded up] bits, lent until the next call.
// Errors  KARAT_ERR_UNSUPPORTED   the grammar has too many ways to read the text so far;  KARAT_ERR_MEMORY
// Cost    found again by state; a new state in which most tokens are allowed takes some 0.1 ms
enum karat_status matcher_mask(struct matcher *matcher, const uint32_t **mask, struct karat_error *err);

// Errors  KARAT_ERR_ARGUMENT   the token may not come here, and nothing has changed;  as matcher_mask()
enum karat_status matcher_accept(struct matcher *matcher, uint32_t id, struct karat_error *err);

bool matcher_is_complete(const struct matcher *matcher); // the answer may end here

// Errors  as matcher_mask(), once there was one: only matcher_reset() helps
enum karat_status matcher_check(const struct matcher *matcher, struct karat_error *err);

size_t matcher_bytes(const struct matcher *matcher); // of memory; changes only in calls that are given the matcher

// Walks by bytes, without tokens. False, and nothing has changed, when the text does not belong here.
bool matcher_text(struct matcher *matcher, struct span text);

#endif
