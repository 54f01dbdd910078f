// ops/ops.h -- the vocabulary of the network: one function per mathematical operation.
//
// An op records work on a gpu_recorder; nothing runs until the recorder is submitted. Ops return nothing: a failure is
// kept by the recorder and comes out of gpu_recorder_submit(). Activations are f32 rows in storage buffers, weights are
// op_weight, small vectors (norm weights, scales) are op_vector. Which kernel runs is decided by choose.c from shape,
// format and device; callers never know.
//
// Every kernel has a plain C twin in twins.h that computes the same in double; op_selftest() compares them on the
// device at hand.
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "base/status.h"
#include "gpu/gpu.h"
#include "loader/model_file.h"

// ------------------------------------------------------------------------------------------------ weights

// Rows [first_row, first_row + n_rows) of one plane, or of all planes when they follow each other, at a device address.
struct op_segment {
    uint64_t address;
    uint32_t first_row, n_rows;
};

// A matrix [n_planes][n_rows][n_cols] on the device, repacked so that kernels read it in 16-byte words (see pack.h).
// n_planes is 1 for ordinary matrices and the number of experts for stacked ones. Larger than one allocation: several
// segments; a plane of a stacked matrix never straddles two.
struct op_weight {
    const char *label; // static text for reports; NULL: what the op is called
    enum qtype type;
    uint32_t n_cols, n_rows, n_planes;
    uint32_t row_bytes; // on the device, a multiple of 16
    uint32_t n_segments;
    const struct op_segment *segments; // owned by the store
    struct gpu_view planes;            // u32x2 [n_planes]: device address of each plane's first row; stacked only
};

// f32 [n] on the device.
struct op_vector {
    struct gpu_view view;
    uint32_t n;
};

// What to put into a store: rows [first_row, first_row + n_rows) of every plane of a tensor, as a matrix (weight) or as
// f32 values (vector); exactly one of the two is not NULL and is filled by op_store_create().
struct op_store_item {
    const struct tensor_info *tensor;
    uint32_t first_row, n_rows; // n_rows 0: all
    struct op_weight *weight;
    struct op_vector *vector;
    const char *label;  // of a weight
    float vector_scale; // multiplies a vector's values on the way; 0 means 1
};

// Owns the device memory of all weights of a model.
struct op_store;

// Lays the items out in device blocks and allocates them; contents come with op_store_load().
enum karat_status op_store_create(struct op_store **out, struct gpu_device *device, const struct op_store_item *items,
                                  size_t n_items, struct karat_error *err);
void op_store_destroy(struct op_store *store);

// Device bytes that op_store_create() would take for the items: exact, and pure.
uint64_t op_store_bytes(const struct op_store_item *items, size_t n_items);
uint64_t op_weight_bytes(const struct op_weight *weight); // of one weight on the device, all planes

// Reads, repacks and uploads every item; `file` (may be NULL) is told which pages are done with.
enum karat_status op_store_load(struct op_store *store, const struct model_file *file, karat_progress_fn *on_progress,
                                void *user, struct karat_error *err);

// ------------------------------------------------------------------------------------------------ one step

// Where a step of n_tokens tokens begins lives in device memory, so that a recording can be replayed at any position:
// u32 { first_position, 0, 0, 0 }. The token at row i of a step has position first_position + i.
#define OP_STEP_BYTES 16

// y[i] = scale * table[ids[i]].                              ids u32 [n_tokens], y f32 [n_tokens][n_cols]
void op_embed(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view ids, const struct op_weight *table,
              uint32_t n_tokens, float scale);

// Memory in which workgroups count themselves, so that the one that comes last can go on with what they have made: u32,
// all zero before a step and after it. A step that was cut short leaves it in disorder. One per timeline.
#define OP_COUNTERS_EACH 4096
enum op_counters {
    OP_COUNTERS_QUERIES,
    OP_COUNTERS_KEYS,
    OP_COUNTERS_VALUES,
    OP_COUNTERS_ATTENTION,
    OP_COUNTERS_ADD_NORM,
    OP_COUNTERS_ROUTE,
    OP_COUNTERS_JOIN,
    OP_COUNTERS_COUNT
};
#define OP_COUNTERS_BYTES (OP_COUNTERS_COUNT * OP_COUNTERS_EACH * 4)

// ------------------------------------------------------------------------------------------------ norms

// y = rms(x) * w over rows of n_cols; w NULL: no weight. y may not be x.
void op_rms_norm(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_vector *w,
                 uint32_t n_rows, uint32_t n_cols, float eps);

// Ends a branch: y = (r + rms(x) * w) * scale[0], and up to three norms of y for what comes next.
#define OP_NORMS_MAX 3
struct op_add_norm {
    struct gpu_view y, r;              // f32 [n_rows][w->n]; x, y and r are different
    const struct op_vector *w, *scale; // scale NULL: 1
    uint32_t n_norms;
    struct {
        struct gpu_view y;
        const struct op_vector *w;
    } norms[OP_NORMS_MAX];
    float eps;
};
void op_add_norm(struct gpu_recorder *rec, struct gpu_view x, const struct op_add_norm *add, uint32_t n_rows);

// ------------------------------------------------------------------------------------------------ products

// y[t] = W x[t].          x f32 [n_tokens][x_stride], y f32 [n_tokens][y_stride], written at columns y_offset ...
struct op_linear_shape {
    uint32_t n_tokens;
    uint32_t x_stride, y_stride, y_offset; // elements; strides 0: n_cols and n_rows of the weight
};
void op_linear(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
               const struct op_linear_shape *shape);

// y = gelu_tanh(W_gate x) * (W_up x).     y f32 [n_tokens][n_rows]; scratch f32 [n_tokens][2][n_rows]
void op_linear_gated(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view scratch, struct gpu_view x,
                     const struct op_weight *gate, const struct op_weight *up, uint32_t n_tokens);

// op_add_norm() of the product z = W x; z f32 [n_tokens][n_rows] is scratch.
void op_linear_add_norm(struct gpu_recorder *rec, struct gpu_view z, struct gpu_view x, const struct op_weight *w,
                        const struct op_add_norm *add, struct gpu_view counters, uint32_t n_tokens);

// y = gelu_tanh(g) * u.   gu f32 [n_rows][2 * n_cols], gate first; y f32 [n_rows][n_cols]
void op_gelu_mul(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view gu, uint32_t n_rows, uint32_t n_cols);

// ------------------------------------------------------------------------------------------------ attention

enum op_cache_type { OP_CACHE_F16, OP_CACHE_F32 };

// Keys or values of one layer: [n_slots][n_kv_heads][head_size]. Position p lives in slot p % n_slots.
struct op_cache {
    struct gpu_buffer *keys, *values;
    enum op_cache_type type;
    uint32_t n_slots, n_kv_heads, head_size;
};
uint64_t op_cache_bytes(const struct op_cache *cache); // of keys and values together

// cos and sin of position * theta_j for every position below 2^18, made from two small tables in double (angle
// addition on the device): low[512][n_pairs] and high[512][n_pairs] of (cos, sin).
struct op_rope {
    struct gpu_buffer *table;
    uint32_t n_pairs; // rotating pairs; pair j is (x[j], x[j + head_size / 2]); pairs beyond pass through
};
enum karat_status op_rope_create(struct op_rope *out, struct gpu_device *device, const double *theta, uint32_t n_pairs,
                                 struct karat_error *err);
void op_rope_destroy(struct op_rope *rope);

// Where the heads of a projection go: queries become rows, keys and values go into the cache. Queries and keys become
// rope(rms(x) * w), values rms(x). On layers without a value projection the keys' projection serves both.
enum op_heads_to { OP_HEADS_QUERIES, OP_HEADS_KEYS, OP_HEADS_VALUES, OP_HEADS_KEYS_AND_VALUES };
struct op_heads {
    enum op_heads_to to;
    struct gpu_view rows;         // of queries: f32 [n_tokens][n_heads][head_size]
    const struct op_cache *cache; // of the others
    const struct op_vector *w;    // [head_size]; not of values
    const struct op_rope *rope;   // not of values
    struct gpu_view step;
    uint32_t n_heads, head_size;
    float eps;
};

// x f32 [n_tokens][n_heads][head_size]
void op_heads(struct gpu_recorder *rec, struct gpu_view x, const struct op_heads *heads, uint32_t n_tokens);

// op_heads() of the product W x, which needs scratch f32 [n_tokens][n_rows].
void op_linear_heads(struct gpu_recorder *rec, struct gpu_view scratch, struct gpu_view x, const struct op_weight *w,
                     const struct op_heads *heads, struct gpu_view counters, uint32_t n_tokens);

// The same for tokens of different timelines, a few: token t goes where heads[t] says, as the first and only token of
// its step. What heads[t].rows holds is that token's alone.
void op_linear_heads_apart(struct gpu_recorder *rec, struct gpu_view scratch, struct gpu_view x,
                           const struct op_weight *w, const struct op_heads *heads, struct gpu_view counters,
                           uint32_t n_tokens);

// y = softmax(q k^T) v, scale 1, causal; the query at position p sees positions max(0, p - window + 1) .. p (window 0:
// all). Needs n_slots >= window + n_tokens - 1.
struct op_attention_shape {
    uint32_t n_tokens, n_heads;
    uint32_t window;
    uint32_t last_position; // upper bound of the step's last position: chooses how far the keys are split
};
void op_attention(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view q, const struct op_cache *cache,
                  struct gpu_view step, struct gpu_view scratch, struct gpu_view counters,
                  const struct op_attention_shape *shape);

// Bytes of `scratch` that the call needs at most for up to n_tokens tokens of n_heads heads of head_size.
uint64_t op_attention_scratch_bytes(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_heads,
                                    uint32_t head_size);

// ------------------------------------------------------------------------------------------------ experts

// Which experts each token goes to. A pair is token * n_used + rank.
struct op_route {
    struct gpu_view ids;     // u32 [n_tokens][n_used]
    struct gpu_view weights; // f32 [n_tokens][n_used]
    struct gpu_view order;   // u32 [n_pairs]: pairs sorted by expert
    struct gpu_view tiles;   // u32x4 [n_tiles]: expert, first index into order, pairs (0: nothing to do), 0
    uint32_t n_experts, n_used;
};

// Bytes of each view of a route for up to n_tokens tokens, in the order of the struct.
void op_route_bytes(uint64_t bytes[4], const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_experts,
                    uint32_t n_used);

// From router logits: softmax, the n_used largest (ties: lower expert), renormalised, times expert_scale[e]
// (NULL: 1); then, for more tokens than a few, the sorted order and the tiles. logits f32 [n_tokens][n_experts]
void op_route(struct gpu_recorder *rec, const struct op_route *route, struct gpu_view logits,
              const struct op_vector *expert_scale, uint32_t n_tokens);

// op_route() of the product logits = W x.
void op_linear_route(struct gpu_recorder *rec, struct gpu_view logits, struct gpu_view x, const struct op_weight *w,
                     const struct op_route *route, const struct op_vector *expert_scale, struct gpu_view counters,
                     uint32_t n_tokens);

// y[pair] = W[expert of pair] x[row]; row is the pair itself or its token.
// y f32 [n_pairs][y_stride], written at columns y_offset ...
struct op_experts_shape {
    uint32_t n_tokens;
    bool x_per_pair;
    uint32_t first_row, n_rows;  // of every plane, whose other rows are left out; n_rows 0: all
    uint32_t y_stride, y_offset; // stride 0: n_rows
};
void op_linear_experts(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, const struct op_weight *w,
                       const struct op_route *route, const struct op_experts_shape *shape);

// y[pair] = gelu_tanh(W_gate[e] x[token]) * (W_up[e] x[token]), e the expert of the pair.
// y f32 [n_pairs][n_rows]; scratch f32 [n_pairs][2][n_rows]
void op_experts_gated(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view scratch, struct gpu_view x,
                      const struct op_weight *gate, const struct op_weight *up, const struct op_route *route,
                      uint32_t n_tokens);

// m[t] = sum over ranks of weights[t][rank] * W[expert of the pair] x[pair].
// x f32 [n_pairs][n_cols of W], m f32 [n_tokens][n_rows of W], n_rows a multiple of 4. The pairs' own outputs pass
// through scratch, in slabs of W's rows that are as wide as scratch.size_bytes allows; W is read once all the same.
// Errors  KARAT_ERR_INTERNAL  scratch holds no slab
void op_experts_down(struct gpu_recorder *rec, struct gpu_view m, struct gpu_view x, const struct op_weight *w,
                     const struct op_route *route, struct gpu_view scratch, uint32_t n_tokens);

// Bytes of `scratch` for up to n_tokens tokens that make slabs wide enough. Never above 48 MiB where a slab of the
// smallest width fits those. Pure.
uint64_t op_experts_down_scratch_bytes(uint32_t n_tokens, uint32_t n_used, uint32_t n_rows);

// Joins the two branches of a layer, ends it, and norms the result for the next:
//     y = (r + rms(rms(dense) * w_dense + rms(m) * w_experts) * w_out) * scale[0],   next = rms(y) * w_next
// All f32 rows of n_cols; scale NULL: 1; w_next NULL: no next.
struct op_join {
    struct gpu_view y, r, dense, next;
    const struct op_vector *w_dense, *w_experts, *w_out, *scale, *w_next;
    uint32_t n_tokens;
    float eps;
};
void op_join(struct gpu_recorder *rec, struct gpu_view m, const struct op_join *join);

// op_join() of the experts' last product, which passes through m f32 [n_tokens][n_rows] and, for more tokens than a
// few, through scratch; see op_experts_down(). x f32 [n_pairs][n_cols]
void op_experts_join(struct gpu_recorder *rec, struct gpu_view m, struct gpu_view x, const struct op_weight *w,
                     const struct op_route *route, const struct op_join *join, struct gpu_view scratch,
                     struct gpu_view counters);

// ------------------------------------------------------------------------------------------------ scores

// y = cap * tanh(x / cap); y may not be x. n elements.
void op_softcap(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x, uint32_t n, float cap);

// What the tokens of the last ones lose of their scores: step 2 of text/sampler.h.
struct op_penalties {
    struct gpu_view counts; // u32 [n_vocab]: how often each is among the last ones
    float repeat, presence, frequency;
};

// The k largest of each row, best first, ties by lower id. x f32 [n_rows][n_cols], ids u32 [n_rows][k], values f32
// [n_rows][k], 1 <= k <= OP_TOP_K_MAX. Argmax is k = 1. scratch holds op_top_k_scratch_bytes(). With penalties (NULL:
// none) order and values are those after them.
#define OP_TOP_K_MAX 80
void op_top_k(struct gpu_recorder *rec, struct gpu_view ids, struct gpu_view values, struct gpu_view x,
              const struct op_penalties *penalties, struct gpu_view scratch, uint32_t n_rows, uint32_t n_cols,
              uint32_t k);
uint64_t op_top_k_scratch_bytes(uint32_t n_rows, uint32_t n_cols, uint32_t k);

// Steps 3 to 7 of text/sampler.h, and what is left out in step 1.
#define OP_NEVER_MAX 12
struct op_sampling {
    uint32_t top_k;     // 1 or more
    float temperature;  // 0: the best
    float top_p, min_p; // 1 and 0: all
    uint32_t n_never, never[OP_NEVER_MAX];
};

// What the host hands to one draw, and what it gets back. The step at position p uses slot p % OP_SAMPLE_SLOTS.
#define OP_SAMPLE_SLOTS 16
#define OP_SAMPLE_NONE UINT32_MAX // no token
struct op_sample_draw {
    float at;         // 0 .. 1: the fraction of the probabilities
    uint32_t leaving; // the token whose count goes down by one, or NONE
};
struct op_sample_result {
    uint32_t id, n;
    uint32_t ids[OP_TOP_K_MAX]; // [n] best first; NONE where there are not so many
    float scores[OP_TOP_K_MAX]; // [n] before penalties
};

// Draws a token from what op_top_k() found and makes it the next step's: `next` becomes its id, the position of `step`
// goes up by one, and so does its count. f32 arithmetic; the result has what it takes to repeat the draw exactly.
struct op_sample {
    struct gpu_view ids, values; // u32 and f32 [n], n up to OP_TOP_K_MAX
    struct gpu_view scores;      // f32 [n_vocab] before penalties
    struct gpu_view draws;       // struct op_sample_draw [OP_SAMPLE_SLOTS]
    struct gpu_view step, next;  // u32 [4], u32 [1]
    struct gpu_view counts;      // u32 [n_vocab]; of no size: no penalties
    struct gpu_view results;     // struct op_sample_result [OP_SAMPLE_SLOTS]
    uint32_t n;
};
void op_sample(struct gpu_recorder *rec, const struct op_sample *sample, const struct op_sampling *sampling);

// ------------------------------------------------------------------------------------------------ probe

// y = x by a kernel; views of equal size, a multiple of 16 bytes.
void op_copy(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x);

// Bytes per second, read and written both counted, that op_copy() moves between two device buffers larger than the
// caches: what this device's memory gives to kernels. Takes some 0.1 s, and up to 512 MiB of device memory for as long.
// Errors  KARAT_ERR_DEVICE_MEMORY  there is no room for the buffers
enum karat_status op_probe_bandwidth(double *bytes_per_second, struct gpu_device *device, struct karat_error *err);

// ------------------------------------------------------------------------------------------------ self-test

// Every kernel against its twin on this device, over shapes that include the real ones. `quick` leaves out the large.
enum karat_status op_selftest(struct gpu_device *device, bool quick, karat_check_fn *on_check, void *user,
                              uint32_t *n_failed, struct karat_error *err);

// Every kernel row with the specialisation values in use on `device`, as lines "module\tvariant\tspec,spec,...": the
// list that the offline compilers check. Stops when `write` returns false.
void op_kernel_list(const struct gpu_device *device, bool (*write)(void *user, const char *line), void *user);

#endif
