// text/tokenizer.h -- text to token ids and back, exactly as the vocabulary's author does it.
//
// The scheme is byte-pair encoding over whole code points, with a space written as U+2581 and without any split into
// words: repeatedly the adjacent pair whose merge stands first in the list is joined, the leftmost first among equals.
// Runs of newlines never join with other text, and such a run that is a token is taken whole. A code point without a
// token becomes its UTF-8 bytes, one byte token each.
//
// A tokenizer is immutable after tokenizer_create(): any number of threads may use it at once. What it lends lives as
// long as it does.
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/span.h"
#include "base/status.h"

#define TOKEN_NONE UINT32_MAX // no such token

// As GGUF numbers them.
enum token_type {
    TOKEN_UNDEFINED, // treated as normal text
    TOKEN_NORMAL,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,      // structure, such as the start of a turn; never shown to a user
    TOKEN_USER_DEFINED, // matched as a whole in text, and shown
    TOKEN_UNUSED,       // treated as normal text
    TOKEN_BYTE,         // one byte, named "<0x00>" .. "<0xFF>"
    TOKEN_TYPE_COUNT,
};

// A vocabulary as plain data. Everything is copied: it only has to live during tokenizer_create().
struct tokenizer_source {
    size_t n_tokens;           // 1 .. TOKENIZER_TOKENS_MAX
    const struct span *tokens; // [n_tokens] valid UTF-8, at most TOKENIZER_NAME_BYTES_MAX bytes each, some may be empty
    const int32_t *types;      // [n_tokens] enum token_type; NULL: "<0x..>" are bytes, bos, eos and unk are special
    size_t n_merges;           // 0 .. TOKENIZER_MERGES_MAX
    const struct span *merges; // [n_merges] "left right", the most important first; both and their union are tokens
    uint32_t bos, eos, unk;    // ids, or TOKEN_NONE
    bool add_bos; // the author wants bos in front of every text; tokenizer_encode() leaves that to its caller
};

#define TOKENIZER_TOKENS_MAX (1u << 24)
#define TOKENIZER_MERGES_MAX (1u << 26)
#define TOKENIZER_NAME_BYTES_MAX 1024u

struct tokenizer;

// Checks the vocabulary and builds the tokenizer (about half a second for 262,144 tokens with 514,906 merges).
//
// Of several tokens with the same text the last one is meant, of several equal merges the first one. bos, eos
// and the tokens that end a turn ("<eos>", "<turn|>", "<|tool_response>") count as control tokens whatever the file
// says. A merge that makes or uses a special or byte token is left out, so that plain text never becomes one.
//
// Errors  KARAT_ERR_FORMAT       a type, an id or a merge that does not fit the tokens; a byte token with another name;
//                                no token for some byte and no unknown token either
//         KARAT_ERR_UNSUPPORTED  more tokens, more merges or a longer text than the limits above
//         KARAT_ERR_MEMORY
enum karat_status tokenizer_create(struct tokenizer **out, const struct tokenizer_source *source,
                                   struct karat_error *err);
void tokenizer_destroy(struct tokenizer *tokenizer);

// Ids that grow as they are appended to. Zero-initialised is empty.
struct token_ids {
    uint32_t *ids; // from malloc()
    size_t n_ids, capacity;
};

// Errors  KARAT_ERR_MEMORY   nothing was appended
enum karat_status token_ids_push(struct token_ids *list, uint32_t id, struct karat_error *err);
void token_ids_free(struct token_ids *list);

// Which tokens are looked for by their literal text before anything else; the longest one that starts first wins.
enum tokenizer_match {
    TOKENIZER_MATCH_NONE,         // for what a user typed: "<|turn>" is seven characters and nothing else
    TOKENIZER_MATCH_USER_DEFINED, // user-defined tokens only
    TOKENIZER_MATCH_ALL,          // control, unknown and user-defined tokens
};

// Appends the ids of text to *out. Bos is not added: its caller knows what comes before.
//
// With TOKENIZER_MATCH_NONE only normal and byte tokens come out, and the unknown token for a byte without one. The
// texts of the ids join to the text again, except that U+2581 comes back as a space and unknown bytes are lost.
//
// Errors  KARAT_ERR_ARGUMENT   text is not valid UTF-8, or 4 GiB or longer
//         KARAT_ERR_MEMORY     *out holds what it held before, after either error
// Cost    near-linear: 10 MB take about a second of one core, whatever they are. Scratch only for stretches of more
// than
//         256 characters that merges might join (ordinary words never are): 40 bytes a character, 12 bytes a merge
enum karat_status tokenizer_encode(const struct tokenizer *tokenizer, struct span text, enum tokenizer_match match,
                                   struct token_ids *out, struct karat_error *err);

uint32_t tokenizer_n_tokens(const struct tokenizer *tokenizer);

// Of an id below tokenizer_n_tokens(). The text is what the token adds to the output: raw bytes, not always whole
// characters, a space where the vocabulary writes U+2581. Special tokens have their name as their text; whether to show
// it is for the caller to decide by type.
struct span tokenizer_text(const struct tokenizer *tokenizer, uint32_t id);
struct span tokenizer_name(const struct tokenizer *tokenizer, uint32_t id); // as it stands in the vocabulary
enum token_type tokenizer_type(const struct tokenizer *tokenizer, uint32_t id);
size_t tokenizer_text_bytes_max(const struct tokenizer *tokenizer); // the longest tokenizer_text()

// The id of the token with exactly this name, such as "<|turn>", or TOKEN_NONE.
uint32_t tokenizer_find(const struct tokenizer *tokenizer, struct span name);

uint32_t tokenizer_bos(const struct tokenizer *tokenizer); // or TOKEN_NONE, as in the source
uint32_t tokenizer_eos(const struct tokenizer *tokenizer);
uint32_t tokenizer_unk(const struct tokenizer *tokenizer);
bool tokenizer_add_bos(const struct tokenizer *tokenizer);

#endif
