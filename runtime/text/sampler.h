// text/sampler.h -- the next token from its scores.
//
// The steps, each on what the one before left:
//   1. biases are added to scores; tokens that are never sampled, and scores that are NaN or minus infinity, leave
//   2. penalties: a token among the last `penalty_window` accepted ones has its score divided by repeat_penalty if it
//      is positive, else multiplied by it; then frequency_penalty times its count and presence_penalty are taken off
//   3. top-k: the k best stay
//   4. softmax of score / temperature
//   5. top-p: the fewest best tokens whose probabilities reach p stay
//   6. min-p: tokens with at least min_p times the best probability stay
//   7. one random number picks a token by its probability: the probabilities are laid end to end, of a short list
//      (see sampler_pick()) in the order of the ranks, else of the ids where no cut has moved them
// Where a mask lets only tokens pass that a bias of minus infinity bans, the mask wins: the biases do not count then.
// llama.cpp has the same steps but by default applies the temperature last, so that its top-p and min-p see the
// probabilities at temperature 1; at that temperature there is no difference. Equal scores rank by id, the lower one
// first, everywhere.
//
// The same options, seed and scores give the same tokens on every system: random numbers and exponentials are computed
// here, in plain double arithmetic.
#ifndef TEXT_SAMPLER_H
#define TEXT_SAMPLER_H

#include <stdbool.h>

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
    const struct karat_bias *biases; // [n_biases], those of the same token add up; read by sampler_begin(), not kept
    size_t n_biases;
    const uint32_t *never; // [n_never] ids that are never sampled; read by sampler_begin(), not kept
    size_t n_never;
};

#define SAMPLER_WINDOW_MAX 65536u

struct sampler; // one caller at a time

// Allocates all scratch for a vocabulary of n_vocab tokens, 1 or more; the sampler is greedy until sampler_begin().
enum karat_status sampler_create(struct sampler **out, uint32_t n_vocab, struct karat_error *err);
void sampler_destroy(struct sampler *sampler); // NULL is fine

// KARAT_ERR_ARGUMENT if an option or an id is out of range for a vocabulary of n_vocab tokens.
enum karat_status sampler_check(const struct sampler_options *options, uint32_t n_vocab, struct karat_error *err);

// Takes the options, forgets the accepted tokens and starts the random numbers from the seed.
// Errors  KARAT_ERR_ARGUMENT   as sampler_check(); nothing changed.  NULL options: greedy
enum karat_status sampler_begin(struct sampler *sampler, const struct sampler_options *options,
                                struct karat_error *err);

// Notes a token of the timeline, for the penalties. An id outside the vocabulary is ignored.
void sampler_accept(struct sampler *sampler, uint32_t id);

// Picks *id from logits[n_vocab]. Does not accept it. Allocates nothing; near-linear in n_vocab.
// Errors  KARAT_ERR_ARGUMENT   no token has a usable score
enum karat_status sampler_sample(struct sampler *sampler, const float *logits, uint32_t *id, struct karat_error *err);

// The same among the tokens whose bit id % 32 of mask[id / 32] is set; NULL: all.
enum karat_status sampler_sample_among(struct sampler *sampler, const float *logits, const uint32_t *mask, uint32_t *id,
                                       struct karat_error *err);

// ------------------------------------------------------------------------------------------------ short lists

// For someone who finds the best tokens elsewhere and may even draw there, ahead of this sampler.

#define SAMPLER_SHORTLIST_MAX 64u

// The options in force, with no zero that stands for something else but temperature and top_k's; `never` and `biases`
// are NULL.
const struct sampler_options *sampler_options(const struct sampler *sampler);
bool sampler_has_penalties(const struct sampler *sampler);
bool sampler_has_biases(const struct sampler *sampler);
uint32_t sampler_n_vocab(const struct sampler *sampler);

// [n_vocab] how often each token is among the accepted ones in the window; lent until the next call.
const uint32_t *sampler_counts(const struct sampler *sampler);

// Whether the best sampler_options()->top_k tokens (greedy: the best one) are all that sampling looks at, and at most
// SAMPLER_SHORTLIST_MAX.
bool sampler_is_short(const struct sampler *sampler);

// What sampler_sample() would say if only these n tokens, each once and with their scores before the penalties, had
// usable ones: the same as for all scores if the tokens that would be left after step 3 are among them. Others outside
// the vocabulary are passed over. n is at most top_k (greedy: 1) + 64; only where sampler_is_short(), and
// not with biases.
enum karat_status sampler_pick(struct sampler *sampler, const uint32_t *ids, const float *scores, size_t n,
                               uint32_t *id, struct karat_error *err);

// What the sample after `n_ahead` others will use: the fraction of all probabilities at which it picks, and the token
// that leaves the window when it is accepted (UINT32_MAX: none). n_ahead must be below the window.
void sampler_foresee(const struct sampler *sampler, uint32_t n_ahead, double *at, uint32_t *leaving);

#endif
