// text/grammar_index.h -- the vocabulary as a tree of bytes. Private to grammar*.c.
#ifndef TEXT_GRAMMAR_INDEX_H
#define TEXT_GRAMMAR_INDEX_H

#include "text/grammar_nodes.h"

// In depth-first order, so that a walk goes through the arrays once and skips what is cut off.
struct token_tree {
    uint32_t n_nodes;
    uint8_t *bytes;        // [n_nodes] that leads here from the parent
    uint16_t *depths;      // [n_nodes] from 1
    uint32_t *skips;       // [n_nodes] the next node outside the node's subtree
    uint32_t *first_token; // [n_nodes + 1] where the ids of the tokens that end here begin in ids
    uint32_t *ids;
};

// The tokens that consist of whole characters of one class, and a tree of all others.
struct token_class {
    uint32_t *bits;      // [n_words]
    uint32_t *ids;       // [n_ids] by number of characters, ascending
    uint8_t *n_chars_of; // [n_ids]
    uint32_t n_ids, n_chars_max;
    struct token_tree others;
};

struct token_index {
    const struct tokenizer *tokenizer;
    uint32_t n_tokens, n_words;
    uint32_t n_bytes_max;             // of a text token
    uint32_t controls[PARSE_END + 1]; // ids, TOKEN_NONE where the vocabulary has none
    uint8_t *is_text;                 // [n_tokens]
    struct token_tree tree;
    struct token_class classes[CHARS_COUNT];
};

#endif
