// cli/bench_report.h -- what karat bench found, as tables and as JSON. Pure: numbers in, text out.
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

#include "cli/bench_rounds.h"
#include "common/text.h"

#define BENCH_ROUNDS 3

// One thing that was measured. The unit of its counters and phases is a token for decode, the whole prompt for prefill.
struct bench_row {
    bool is_decode;
    uint32_t n, depth;                       // tokens
    struct bench_round rounds[BENCH_ROUNDS]; // fastest first
    struct karat_phase *phases;              // of a run of its own; NULL: none
    size_t n_phases;
    uint32_t n_phase_tokens;
};

void bench_row_sort(struct bench_row *row);          // the rounds
double bench_row_rate(const struct bench_row *row);  // tokens per second, of the median round
double bench_row_bytes(const struct bench_row *row); // weights and cache read per decoded token; 0 for prefill

// From opening the model to the scores of the first token.
struct bench_start {
    bool measured;
    double open_s;        // karat_model_open()
    double weights_s;     // of that: weights read, repacked and uploaded
    double kernels_s;     // compiling, summed over threads; beside the weights and beyond
    uint32_t n_kernels;   // compiled before the first token
    double first_token_s; // from the beginning
};

struct bench_report {
    struct karat_model_facts facts;
    struct bench_row *rows;
    size_t n_rows;
    double copy_bytes_per_second; // of the probe; 0: not measured
    struct bench_start cold, warm;
    uint32_t n_start_tokens; // of the prompt before the first token
};

// ms = intercept_ms + ms_per_gb * GB read, by least squares over the decoded rows. Two rows make a line, but only more
// show whether it is one; n_points says how many there were.
struct bench_fit {
    size_t n_points; // with different numbers of bytes
    bool known;      // two at least
    double intercept_ms, ms_per_gb;
};
struct bench_fit bench_fit_decode(const struct bench_row *rows, size_t n_rows);

void bench_report_head(const struct bench_report *report, struct text *out);
void bench_report_row(const struct bench_report *report, const struct bench_row *row, struct text *out);
// What follows the rows: counters, phases, fixed cost, copy probe, start.
void bench_report_counters(const struct bench_report *report, struct text *out);
void bench_report_phases(const struct bench_report *report, const struct bench_row *row, struct text *out);
void bench_report_fit(const struct bench_report *report, struct text *out);
void bench_report_start(const struct bench_report *report, struct text *out);

void bench_report_json(const struct bench_report *report, struct text *out);

#endif
