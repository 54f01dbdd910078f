// cli/bench_rounds.h -- one round of a measurement on a warm session: random tokens, evaluated at once or one by one.
//
// What is in front of the measured tokens stays in the session from round to round, as far as its sliding windows
// allow, and is evaluated outside of the measured time. Times are wall-clock and include everything a caller waits for.
#ifndef CLI_BENCH_ROUNDS_H
#define CLI_BENCH_ROUNDS_H

#include <karat.h>

#define BENCH_DECODE_WARM_UP 2 // tokens before those that bench_decode_steps() measures

struct bench_bed {
    struct karat_session *session; // borrowed
    uint32_t *ids;                 // [capacity]
    uint32_t capacity, n_vocab;
    uint64_t random;
};

struct bench_round {
    double seconds;
    struct karat_timings timings; // of the measured tokens alone
};

// Tokens a session must hold for what follows.
uint32_t bench_prefill_capacity(uint32_t n, uint32_t depth);
uint32_t bench_decode_capacity(uint32_t n, uint32_t depth);

// The same tokens every time. The session holds at least `capacity` tokens.
void bench_bed_init(struct bench_bed *bed, struct karat_session *session, const struct karat_model *model,
                    uint32_t capacity);
void bench_bed_deinit(struct bench_bed *bed);

// A prompt of n tokens behind `depth` others. Its tokens are new in every round, so that nothing is reused.
enum karat_status bench_prefill(struct bench_bed *bed, uint32_t n, uint32_t depth, struct bench_round *out,
                                struct karat_error *err);
// n tokens of an answer, each the best after the one before, behind `depth` others (at least one). An answer that ends
// early is taken up again with another beginning. Errors  KARAT_ERR_UNSUPPORTED  every answer ends at once
enum karat_status bench_decode(struct bench_bed *bed, uint32_t n, uint32_t depth, struct bench_round *out,
                               struct karat_error *err);
// The same work one token at a time, each known before: for sessions with timing, where no step runs ahead.
enum karat_status bench_decode_steps(struct bench_bed *bed, uint32_t n, uint32_t depth, struct bench_round *out,
                                     struct karat_error *err);

#endif
