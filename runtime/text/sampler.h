// text/sampler.h -- the next token from its scores.
//
// The steps, each on what the one before left:
//   1. tokens that are never sampled, and scores that are NaN or minus infinity, leave
//   2. penalties: a token among the last `penalty_window` accepted ones has its score divided by repeat_penalty if it
//      is positive, else multiplied by it; then frequency_penalty times its count and presence_penalty are taken off
//   3. top-k: the k best stay
//   4. softmax of score / temperature
//   5. top-p: the fewest best tokens whose probabilities reach p stay
//   6. min-p: tokens with at least min_p times the best probability stay
//   7. one random number picks a token by its probability
// llama.cpp has the same steps but by default applies the temperature last, so that its top-p and min-p see the
// probabilities at temperature 1; at that temperature there is no difference. Equal scores rank by id, the lower one
// first, everywhere.
//
// The same options, seed and scores give the same tokens on every system: random numbers and exponentials are computed
// here, in plain double arithmetic.
#ifndef TEXT_SAMPLER_H
#define TEXT_SAMPLER_H

#include "base/status.h"

// Zeroed: always the best token.
struct sampler_options {
    float temperature;    // 0: greedy, steps 3 to 7 are skipped
    uint32_t top_k;       // 0: all
    float top_p;          // 0 .. 1; 0 and 1: all
    float min_p;          // 0 .. 1; 0: all
    float repeat_penalty; // above 0; 0 and 1: none
    float presence_penalty, frequency_penalty;
    uint32_t penalty_window; // tokens, at most SAMPLER_WINDOW_MAX; 0: 64
    uint64_t seed;
    const uint32_t *never; // [n_never] ids that are never sampled; read by sampler_begin(), not kept
    size_t n_never;
};

#define SAMPLER_WINDOW_MAX 65536u

struct sampler; // one caller at a time

// Allocates all scratch for a vocabulary of n_vocab tokens, 1 or more; the sampler is greedy until sampler_begin().
enum karat_status sampler_create(struct sampler **out, uint32_t n_vocab, struct karat_error *err);
void sampler_destroy(struct sampler *sampler); // NULL is fine

// Takes the options, forgets the accepted tokens and starts the random numbers from the seed.
// Errors  KARAT_ERR_ARGUMENT   an option or an id out of range; nothing changed.  NULL options: greedy
enum karat_status sampler_begin(struct sampler *sampler, const struct sampler_options *options,
                                struct karat_error *err);

// Notes a token of the timeline, for the penalties. An id outside the vocabulary is ignored.
void sampler_accept(struct sampler *sampler, uint32_t id);

// Picks *id from logits[n_vocab]. Does not accept it. Allocates nothing; near-linear in n_vocab.
// Errors  KARAT_ERR_ARGUMENT   no token has a usable score
enum karat_status sampler_sample(struct sampler *sampler, const float *logits, uint32_t *id, struct karat_error *err);

#endif
