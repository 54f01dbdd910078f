// cli/synth_vocab.h -- the vocabulary of a random model: copied from a GGUF file, or invented.
#ifndef CLI_SYNTH_VOCAB_H
#define CLI_SYNTH_VOCAB_H

#include "cli/synth_gguf.h"

// Copies every key that begins with "tokenizer." byte for byte; *n_vocab becomes the number of its tokens. On failure:
// false, and one sentence in *fault.
bool synth_vocab_copy(struct gguf_keys *keys, const char *path, uint32_t *n_vocab, struct text *fault);

// Invents n_vocab tokens (at least 512): the family's control tokens, newline and space runs, 256 bytes, printable
// ASCII, common English words with the merges that build them, and pseudo-words that nothing merges into.
void synth_vocab_invent(struct gguf_keys *keys, uint32_t n_vocab);

#endif
