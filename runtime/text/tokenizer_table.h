// text/tokenizer_table.h -- private to the tokenizer: the vocabulary as tables, and the look-ups that encoding lives
// by.
#ifndef TEXT_TOKENIZER_TABLE_H
#define TEXT_TOKENIZER_TABLE_H

#include "base/arena.h"
#include "text/tokenizer.h"

#define NO_RANK UINT32_MAX
#define LETTERS_PER_PAGE 256
#define LETTER_PAGES (0x110000 / LETTERS_PER_PAGE)
#define BYTE_NAME_SIZE 6      // "<0x41>"
#define SPACE_MARK 0x2581     // stands for a space in names
#define SPACE_MARK_SIZE 3     // bytes of it
#define SHORT_STRETCH_MAX 256 // symbols up to which looking at all pairs is fast enough

struct token {
    uint32_t name_at, text_at; // in bytes[]
    uint16_t name_size, text_size;
    uint8_t type;
};

// The pair of tokens that one line of the merge list joins.
struct merge {
    uint32_t left, right;
    uint32_t rank; // its line; NO_RANK in an empty slot
};

struct tokenizer {
    struct arena arena;
    uint32_t n_tokens, n_ranks;
    struct token *tokens; // [n_tokens]
    // By code point: id + 1 of the plain token that is just this character, 0 where there is none. A page without any
    // is NULL.
    uint32_t *letters[LETTER_PAGES]; // [LETTERS_PER_PAGE]
    uint8_t *bytes;                  // all names, and the texts that differ from them
    uint32_t *names;                 // [names_mask + 1] id + 1 by hash of the name, 0 where empty
    struct merge *merges;            // [merges_mask + 1] by hash of the pair
    uint32_t *results;               // [n_ranks] by rank: the token that the merge makes
    uint64_t *joints;                // a bit per hash of two code points: some merge joins a text ending in the first
                                     // with one starting with the second. Collisions only make stretches longer.
    uint64_t names_mask, merges_mask, joints_mask;
    uint32_t byte_ids[256];      // TOKEN_NONE where missing
    uint32_t *specials;          // [n_specials] ids in order of their names
    uint32_t first_special[257]; // where the names starting with this byte begin in specials[]
    size_t name_bytes_max, text_bytes_max;
    uint32_t bos, eos, unk;
    bool add_bos;
};

static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

static inline uint64_t hash_bytes(struct span bytes)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < bytes.size_bytes; ++i)
        hash = (hash ^ bytes.data[i]) * 0x100000001B3u;
    return mix(hash);
}

static inline uint64_t hash_pair(uint32_t left, uint32_t right)
{
    return mix((uint64_t)left << 32 | right);
}

// A table of at least twice n slots, so that probing stays short.
static inline uint64_t mask_for(size_t n)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)n)
        size *= 2;
    return size - 1;
}

static inline bool is_plain(enum token_type type)
{
    return type == TOKEN_NORMAL || type == TOKEN_UNUSED || type == TOKEN_UNDEFINED;
}

static inline bool is_special(enum token_type type)
{
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER_DEFINED;
}

// The token for a piece of plain text: special and byte tokens are never meant by their names.
static inline uint32_t find_plain(const struct tokenizer *tokenizer, struct span name)
{
    const uint32_t id = tokenizer_find(tokenizer, name);
    return id != TOKEN_NONE && is_plain(tokenizer->tokens[id].type) ? id : TOKEN_NONE;
}

static inline uint32_t find_letter(const struct tokenizer *tokenizer, uint32_t code_point)
{
    const uint32_t *page = tokenizer->letters[code_point / LETTERS_PER_PAGE];
    return page ? page[code_point % LETTERS_PER_PAGE] - 1 : TOKEN_NONE; // 0 - 1 is TOKEN_NONE, too
}

static inline struct merge *find_merge_slot(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    uint64_t at = hash_pair(left, right) & tokenizer->merges_mask;
    for (;; at = (at + 1) & tokenizer->merges_mask) {
        struct merge *slot = &tokenizer->merges[at];
        if (slot->rank == NO_RANK || (slot->left == left && slot->right == right))
            return slot;
    }
}

static inline uint32_t find_rank(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    return find_merge_slot(tokenizer, left, right)->rank;
}

static inline uint64_t joint_bit(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    return mix((uint64_t)left << 21 | right) & tokenizer->joints_mask;
}

static inline bool may_join(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    if ((left == '\n') != (right == '\n'))
        return false;
    const uint64_t bit = joint_bit(tokenizer, left, right);
    return tokenizer->joints[bit / 64] >> bit % 64 & 1;
}

#endif
