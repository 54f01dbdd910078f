// text/logprob.h -- how likely the model itself finds a token: the natural logarithm of the softmax of all scores.
#ifndef TEXT_LOGPROB_H
#define TEXT_LOGPROB_H

#include "base/status.h"

// Of the token `id` into *token, and of the n_top likeliest into top[0..n_top), best first, the lower id first among
// equals; n_top is at most KARAT_TOP_LOGPROBS_MAX and n_scores. A score that is NaN counts as minus infinity, whose
// logarithm is the lowest finite float. Looks at every score twice.
void logprobs_of(struct karat_logprob *token, struct karat_logprob *top, size_t n_top, const float *scores,
                 uint32_t n_scores, uint32_t id);

#endif
