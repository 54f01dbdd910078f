// ops/check.h -- one kernel against its twin on a device: what op_selftest() and tests/kernels are made of.
//
// A check function draws its inputs from a seeded generator, records the op, runs it, computes the twin, and calls
// check_compare(). Failures of the device stick to the check, so that a check function reads as a list of steps; once
// one happened the helpers do nothing and return NULL or zeroed views.
//
// Private to the room and its tests.
#ifndef OPS_CHECK_H
#define OPS_CHECK_H

#include "base/arena.h"
#include "ops/ops.h"

struct check {
    struct gpu_device *device;
    struct gpu_recorder *rec;
    enum karat_status status; // of device work
    struct karat_error err;
    double error, bound; // relative to the output's scale; error is infinite for NaN and for writes out of bounds
    uint64_t ns;         // of the op, on the device where it can tell

    struct gpu_upload *upload;
    struct arena arena; // host data of a case
    struct gpu_buffer *buffers[64];
    uint32_t n_buffers;
    uint64_t random;
};

typedef void check_fn(struct check *c, const void *shape);

enum karat_status check_init(struct check *c, struct gpu_device *device, struct karat_error *err);
void check_deinit(struct check *c);

// Runs one case; the same case always sees the same numbers. Afterwards c->error and c->bound hold its result.
// Errors  those of the device; a wrong result is none
enum karat_status check_run(struct check *c, check_fn *run, const void *shape, struct karat_error *err);
bool check_passed(const struct check *c);

// ------------------------------------------------------------------------------------------------ for check functions

void *check_alloc(struct check *c, size_t count, size_t size);
uint32_t check_random_below(struct check *c, uint32_t limit);
float check_random_normal(struct check *c);                   // mean 0, variance 1
float *check_random(struct check *c, size_t n, double scale); // normal, times scale
float *check_random_weights(struct check *c, size_t n);       // around 1
uint16_t check_f16(float value);                              // nearest, ties to even
float check_from_f16(uint16_t bits);

// A device buffer with a copy of the data.
struct gpu_view check_input(struct check *c, const void *data, uint64_t size_bytes);
struct op_vector check_vector(struct check *c, const float *data, uint32_t n);
struct gpu_view check_step(struct check *c, uint32_t first_position);

// A device buffer full of NaN, with a guard behind it that check_read() looks at.
struct gpu_view check_output(struct check *c, uint64_t size_bytes);

// Counters as a step begins with them, and that they are so again.
struct gpu_view check_counters(struct check *c);
void check_counted(struct check *c, struct gpu_view counters);

// Runs what was recorded and measures it.
void check_submit(struct check *c);

// What an output holds; lives until the next case.
const void *check_read(struct check *c, struct gpu_view output);

// Raises c->error to the largest deviation of got from want, relative to the largest of want.
void check_compare(struct check *c, const float *got, const double *want, size_t n);

// Any difference is an infinite error.
void check_same(struct check *c, const void *got, const void *want, size_t size_bytes);

// ------------------------------------------------------------------------------------------------ the checks

struct check_rows {
    uint32_t n_rows, n_cols;
    bool has_weight;  // of rms_norm; of add_norm: has a scale
    double scale;     // of the input; 0: 1
    uint32_t n_norms; // of add_norm
};
check_fn check_rms_norm, check_add_norm, check_gelu_mul, check_softcap, check_copy;

struct check_heads {
    uint32_t n_tokens, n_heads, head_size, n_pairs, first_position;
    enum op_cache_type type; // the rest for the cache alone
    uint32_t n_slots;
    uint64_t window_bytes; // 0: the device's limit
    bool shared;           // values are the keys before norm and rotation
};
check_fn check_head_norm, check_cache_store;

struct check_attention {
    uint32_t n_tokens, n_heads, n_kv_heads, head_size, window, first_position;
    enum op_cache_type type;
    uint32_t n_slots;       // 0: just enough
    uint32_t last_position; // 0: what the step has
    uint32_t lanes;         // 0: what the device gets; else the cut of a GPU with so many lanes per key
    uint64_t window_bytes;  // 0: the device's limit
    double score_scale;     // deviation of the scores; 0: 2
};
check_fn check_attention;

struct check_route {
    uint32_t n_tokens, n_experts, n_used;
    bool ties; // logits from a few values only
    bool no_scale;
    bool broken; // NaN and infinities among the logits: ids must still be distinct
};
check_fn check_route;

struct check_join {
    uint32_t n_tokens, n_cols;
    bool has_scale, has_next;
};
check_fn check_join;

struct check_top_k {
    uint32_t n_rows, n_cols, k;
    bool ties;
    bool broken; // infinities and NaN among the values
    bool penalties;
    bool crowded; // the largest stand where the kernel has least room for them
};
check_fn check_top_k;

struct check_sample {
    uint32_t n, n_vocab, top_k, first_position;
    float temperature, top_p, min_p;
    uint32_t n_never; // the last of them is no token
    bool has_counts;
    bool ties;   // values from a few only
    bool broken; // infinities, NaN and missing candidates
};
check_fn check_sample;

#endif
