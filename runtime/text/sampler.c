// text/sampler.c -- see sampler.h.
#include "text/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define WEIGHT_MIN 1e-305 // below the smallest that exp_of() gives
#define BIAS_MAX 1e6

struct candidate {
    float score;
    uint32_t id;
    double weight; // proportional to the probability, 1 for the best
};

struct sampler {
    struct arena arena;
    uint32_t n_vocab;
    struct sampler_options options; // normalised: no zero that stands for something else
    struct candidate *candidates;   // [n_vocab]
    uint8_t *never;                 // [n_vocab] 1: never sampled
    float *biases;                  // [n_vocab] where options.n_biases is not 0
    uint32_t *counts;               // [n_vocab] times among the accepted tokens in the window
    uint32_t *window;               // [SAMPLER_WINDOW_MAX] the accepted tokens, as a ring
    uint32_t n_window, window_at;
    uint64_t random;
};

// ---- numbers

#define RANDOM_STEP 0x9E3779B97F4A7C15u

// splitmix64: small, well mixed, and any seed will do.
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += RANDOM_STEP);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

// 0 <= x < 1
static double next_uniform(uint64_t *state)
{
    return (double)(next_random(state) >> 11) / 9007199254740992.0;
}

// exp(x) for x <= 0, good to a few units in the last place. The C library's differs between systems in the last bit,
// which would be enough to make a different token.
static double exp_of(double x)
{
    if (x < -700)
        return 0;
    // exp(x) = 2^n * exp(r) with |r| <= ln(2) / 2; n is small enough for the exponent of a double.
    const double n = floor(x * 1.4426950408889634 + 0.5);
    const double r = (x - n * 0.69314718036912382) - n * 1.9082149292705877e-10;
    static const double taylor[] = {
        1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,       1.0 / 24,       1.0 / 6,       1.0 / 2,      1.0,         1.0
    };
    double sum = 1.0 / 6227020800;
    for (size_t i = 0; i < COUNT(taylor); ++i)
        sum = sum * r + taylor[i];
    const uint64_t bits = (uint64_t)(1023 + (int)n) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

// ---- life

enum karat_status sampler_create(struct sampler **out, uint32_t n_vocab, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    if (n_vocab == 0)
        return status_fail(err, KARAT_ERR_ARGUMENT, "a sampler for 0 tokens, at least 1 expected");
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a sampler");
    sampler->n_vocab = n_vocab;
    sampler->candidates = arena_alloc(&sampler->arena, n_vocab, sizeof *sampler->candidates);
    sampler->never = arena_alloc(&sampler->arena, n_vocab, sizeof *sampler->never);
    sampler->biases = arena_alloc(&sampler->arena, n_vocab, sizeof *sampler->biases);
    sampler->counts = arena_alloc(&sampler->arena, n_vocab, sizeof *sampler->counts);
    sampler->window = arena_alloc(&sampler->arena, SAMPLER_WINDOW_MAX, sizeof *sampler->window);
    if (!sampler->candidates || !sampler->never || !sampler->biases || !sampler->counts || !sampler->window)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for a sampler of %u tokens", n_vocab));
    TRY(sampler_begin(sampler, NULL, err));
    *out = sampler;
    sampler = NULL;
cleanup:
    sampler_destroy(sampler);
    return status;
}

void sampler_destroy(struct sampler *sampler)
{
    if (!sampler)
        return;
    arena_free(&sampler->arena);
    free(sampler);
}

enum karat_status sampler_check(const struct sampler_options *options, uint32_t n_vocab, struct karat_error *err)
{
    const struct {
        const char *name;
        float value, low, high;
    } ranges[] = {
        { "temperature", options->temperature, 0, 1e6f },
        { "top-p", options->top_p, 0, 1 },
        { "min-p", options->min_p, 0, 1 },
        { "repeat penalty", options->repeat_penalty, 0, 1e6f },
        { "presence penalty", options->presence_penalty, -1e6f, 1e6f },
        { "frequency penalty", options->frequency_penalty, -1e6f, 1e6f },
    };
    for (size_t i = 0; i < COUNT(ranges); ++i)
        // Written so that a NaN fails.
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return status_fail(err, KARAT_ERR_ARGUMENT, "%s is %g, %g to %g expected", ranges[i].name,
                               (double)ranges[i].value, (double)ranges[i].low, (double)ranges[i].high);
    if (options->penalty_window > SAMPLER_WINDOW_MAX)
        return status_fail(err, KARAT_ERR_ARGUMENT, "the penalty window is %u tokens, at most %u expected",
                           options->penalty_window, SAMPLER_WINDOW_MAX);
    for (size_t i = 0; i < options->n_biases; ++i) {
        const struct karat_bias bias = options->biases[i];
        if (bias.id >= n_vocab)
            return status_fail(err, KARAT_ERR_ARGUMENT, "a bias is for token %u, but the vocabulary has only %u tokens",
                               bias.id, n_vocab);
        if (!(bias.bias >= -BIAS_MAX && bias.bias <= BIAS_MAX) && bias.bias != -INFINITY)
            return status_fail(err, KARAT_ERR_ARGUMENT,
                               "the bias of token %u is %g, %g to %g or minus infinity expected", bias.id,
                               (double)bias.bias, -BIAS_MAX, BIAS_MAX);
    }
    for (size_t i = 0; i < options->n_never; ++i)
        if (options->never[i] >= n_vocab)
            return status_fail(err, KARAT_ERR_ARGUMENT,
                               "token %u shall never be sampled, but the vocabulary has only %u tokens",
                               options->never[i], n_vocab);
    return KARAT_OK;
}

enum karat_status sampler_begin(struct sampler *sampler, const struct sampler_options *options, struct karat_error *err)
{
    const struct sampler_options greedy = { 0 };
    options = options ? options : &greedy;
    enum karat_status status = sampler_check(options, sampler->n_vocab, err);
    if (status != KARAT_OK)
        return status;
    memset(sampler->never, 0, sampler->n_vocab * sizeof *sampler->never);
    for (size_t i = 0; i < options->n_never; ++i)
        sampler->never[options->never[i]] = 1;
    if (options->n_biases > 0)
        memset(sampler->biases, 0, sampler->n_vocab * sizeof *sampler->biases);
    for (size_t i = 0; i < options->n_biases; ++i)
        sampler->biases[options->biases[i].id] += options->biases[i].bias;
    memset(sampler->counts, 0, sampler->n_vocab * sizeof *sampler->counts);
    sampler->n_window = sampler->window_at = 0;
    sampler->random = options->seed;
    sampler->options = *options;
    sampler->options.never = NULL;
    sampler->options.biases = NULL;
    struct sampler_options *own = &sampler->options;
    own->top_k = own->top_k == 0 || own->top_k > sampler->n_vocab ? sampler->n_vocab : own->top_k;
    own->top_p = own->top_p == 0 ? 1 : own->top_p;
    own->repeat_penalty = own->repeat_penalty == 0 ? 1 : own->repeat_penalty;
    own->penalty_window = own->penalty_window == 0 ? 64 : own->penalty_window;
    return KARAT_OK;
}

void sampler_accept(struct sampler *sampler, uint32_t id)
{
    if (id >= sampler->n_vocab)
        return;
    if (sampler->n_window == sampler->options.penalty_window)
        --sampler->counts[sampler->window[sampler->window_at]];
    else
        ++sampler->n_window;
    sampler->window[sampler->window_at] = id;
    sampler->window_at = (sampler->window_at + 1) % sampler->options.penalty_window;
    ++sampler->counts[id];
}

// ---- sampling

static bool has_penalties(const struct sampler_options *options)
{
    return options->repeat_penalty != 1 || options->presence_penalty != 0 || options->frequency_penalty != 0;
}

static float penalise(const struct sampler_options *options, float score, uint32_t count)
{
    score = score > 0 ? score / options->repeat_penalty : score * options->repeat_penalty;
    return score - (float)count * options->frequency_penalty - options->presence_penalty;
}

static bool ranks_before(const struct candidate *a, const struct candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->id < b->id);
}

static void swap(struct candidate *a, struct candidate *b)
{
    const struct candidate old = *a;
    *a = *b;
    *b = old;
}

static size_t find_best(const struct candidate *candidates, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; ++i)
        if (ranks_before(&candidates[i], &candidates[best]))
            best = i;
    return best;
}

// Splits c[0..n), n at least 1, so that those in front of the returned index rank before the one there, the others
// after.
static size_t partition(struct candidate *c, size_t n, uint64_t *random)
{
    // A random pivot has no bad input. Its numbers are not those that pick tokens.
    swap(&c[next_random(random) % n], &c[n - 1]);
    size_t split = 0;
    for (size_t i = 0; i + 1 < n; ++i)
        if (ranks_before(&c[i], &c[n - 1]))
            swap(&c[i], &c[split++]);
    swap(&c[split], &c[n - 1]);
    return split;
}

// Moves the k best to the front, in no order; k below n.
static void select_best(struct candidate *c, size_t n, size_t k)
{
    uint64_t random = 0;
    while (n > 1) {
        const size_t split = partition(c, n, &random);
        if (split == k)
            return;
        if (split > k) {
            n = split;
        } else {
            c += split + 1;
            n -= split + 1;
            k -= split + 1;
        }
    }
}

// How many tokens step 3 leaves.
static size_t n_kept(const struct sampler *sampler)
{
    return sampler->options.temperature == 0 ? 1 : sampler->options.top_k;
}

// The best of n tokens that may be sampled, n_kept() of them, with their scores after the penalties, in no order.
// ids NULL: the token at i is i. mask NULL: all of them. biases NULL: none. Returns how many there are.
//
// The list grows to some multiple of `keep`, then only the best stay, and a score that is not above the worst of them
// is passed over from then on: it could only be a tie, which the lower id wins. So ids ascend, unless they are few.
static size_t gather(struct sampler *sampler, const uint32_t *ids, const float *scores, size_t n_scores,
                     const uint32_t *mask, const float *biases)
{
    const size_t keep = n_kept(sampler);
    const bool penalties = has_penalties(&sampler->options);
    const size_t room = 4 * keep + 64;
    struct candidate *c = sampler->candidates;
    float floor_score = -INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < n_scores; ++i) {
        const uint32_t id = ids ? ids[i] : (uint32_t)i;
        if (mask && id % 32 == 0 && mask[id / 32] == 0)
            i += 31; // a mask goes with all scores in order
        if (id >= sampler->n_vocab || (mask && !(mask[id / 32] >> id % 32 & 1)))
            continue;
        float score = biases ? scores[i] + biases[id] : scores[i];
        if (penalties && sampler->counts[id] > 0)
            score = penalise(&sampler->options, score, sampler->counts[id]);
        // Not true for a NaN either.
        if (!(score > floor_score) || sampler->never[id])
            continue;
        c[n++] = (struct candidate){ .score = score, .id = id };
        if (n == room && keep < n) {
            select_best(c, n, keep);
            n = keep;
            floor_score = c[0].score;
            for (size_t j = 1; j < keep; ++j)
                floor_score = c[j].score < floor_score ? c[j].score : floor_score;
        }
    }
    if (keep < n) {
        select_best(c, n, keep);
        n = keep;
    }
    return n;
}

// Moves to the front the fewest best candidates whose weights reach `target`, and returns how many they are; the last
// of them stands last. All of them when even their sum is less.
static size_t select_weight(struct candidate *c, size_t n, double target)
{
    uint64_t random = 0;
    size_t low = 0, high = n;
    double before = 0; // weight of c[0..low)
    while (high - low > 1) {
        const size_t split = low + partition(c + low, high - low, &random);
        double sum = before;
        for (size_t i = low; i < split; ++i)
            sum += c[i].weight;
        if (split > low && sum >= target) {
            high = split;
        } else if (sum + c[split].weight >= target || split + 1 == high) {
            return split + 1;
        } else {
            before = sum + c[split].weight;
            low = split + 1;
        }
    }
    return high;
}

static void weigh(struct candidate *c, size_t n, float temperature)
{
    const double best = (double)c[find_best(c, n)].score;
    for (size_t i = 0; i < n; ++i)
        // Two infinities have no difference; both are the best.
        c[i].weight = (double)c[i].score == best ? 1 : exp_of(((double)c[i].score - best) / (double)temperature);
}

static double weight_of(const struct candidate *c, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += c[i].weight;
    return sum;
}

static size_t keep_above(struct candidate *c, size_t n, double weight)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i)
        if (c[i].weight >= weight)
            c[kept++] = c[i];
    return kept;
}

// Short lists only.
static void sort_by_rank(struct candidate *c, size_t n)
{
    for (size_t i = 1; i < n; ++i) {
        const struct candidate moved = c[i];
        size_t at = i;
        for (; at > 0 && ranks_before(&moved, &c[at - 1]); --at)
            c[at] = c[at - 1];
        c[at] = moved;
    }
}

// What select_weight() returns, of candidates by rank.
static size_t count_weight(const struct candidate *c, size_t n, double target)
{
    size_t kept = 0;
    for (double sum = 0; kept < n && sum < target; ++kept)
        sum += c[kept].weight;
    return kept;
}

// The candidate at the fraction 0 <= at < 1 of all weights.
static size_t draw(const struct candidate *c, size_t n, double at)
{
    const double target = at * weight_of(c, n);
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        if ((sum += c[i].weight) > target)
            return i;
    return n - 1;
}

// Steps 4 to 7 on the n candidates that step 3 left.
static enum karat_status pick(struct sampler *sampler, size_t n, uint32_t *id, struct karat_error *err)
{
    const struct sampler_options *options = &sampler->options;
    struct candidate *c = sampler->candidates;
    const bool is_short = sampler_is_short(sampler);
    if (n == 0)
        return status_fail(err, KARAT_ERR_ARGUMENT,
                           "none of the %u scores can be sampled: each is NaN, minus infinity or ruled out",
                           sampler->n_vocab);
    if (options->temperature == 0) {
        *id = c[0].id;
        return KARAT_OK;
    }
    if (is_short)
        sort_by_rank(c, n);
    weigh(c, n, options->temperature);
    if (options->top_p < 1) {
        const double target = (double)options->top_p * weight_of(c, n);
        n = is_short ? count_weight(c, n, target) : select_weight(c, n, target);
    }
    // A weight that vanished must not come back through the rounding of sums.
    n = keep_above(c, n, options->min_p > 0 ? (double)options->min_p : WEIGHT_MIN);
    *id = c[draw(c, n, next_uniform(&sampler->random))].id;
    return KARAT_OK;
}

enum karat_status sampler_sample_among(struct sampler *sampler, const float *logits, const uint32_t *mask, uint32_t *id,
                                       struct karat_error *err)
{
    const float *biases = sampler_has_biases(sampler) ? sampler->biases : NULL;
    size_t n = gather(sampler, NULL, logits, sampler->n_vocab, mask, biases);
    if (n == 0 && mask && biases)
        n = gather(sampler, NULL, logits, sampler->n_vocab, mask, NULL);
    return pick(sampler, n, id, err);
}

enum karat_status sampler_sample(struct sampler *sampler, const float *logits, uint32_t *id, struct karat_error *err)
{
    return sampler_sample_among(sampler, logits, NULL, id, err);
}

// ---- short lists

const struct sampler_options *sampler_options(const struct sampler *sampler)
{
    return &sampler->options;
}

bool sampler_has_penalties(const struct sampler *sampler)
{
    return has_penalties(&sampler->options);
}

bool sampler_has_biases(const struct sampler *sampler)
{
    return sampler->options.n_biases > 0;
}

uint32_t sampler_n_vocab(const struct sampler *sampler)
{
    return sampler->n_vocab;
}

const uint32_t *sampler_counts(const struct sampler *sampler)
{
    return sampler->counts;
}

bool sampler_is_short(const struct sampler *sampler)
{
    return n_kept(sampler) <= SAMPLER_SHORTLIST_MAX && n_kept(sampler) < sampler->n_vocab;
}

enum karat_status sampler_pick(struct sampler *sampler, const uint32_t *ids, const float *scores, size_t n,
                               uint32_t *id, struct karat_error *err)
{
    return pick(sampler, gather(sampler, ids, scores, n, NULL, NULL), id, err);
}

void sampler_foresee(const struct sampler *sampler, uint32_t n_ahead, double *at, uint32_t *leaving)
{
    const uint32_t n_window = sampler->options.penalty_window;
    uint64_t random = sampler->random + n_ahead * RANDOM_STEP;
    *at = next_uniform(&random);
    // The window is a ring whose next place holds the oldest token once it is full.
    *leaving = sampler->n_window + n_ahead >= n_window ? sampler->window[(sampler->window_at + n_ahead) % n_window]
                                                       : UINT32_MAX;
}
