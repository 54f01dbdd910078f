// model/gemma.h -- what Gemma 4 computes: shape, weights, caches, forward pass.
//
// The room says which operations happen in which order on which tensors, and nothing about how they run. MODEL.md
// beside it describes the network in prose. Sources of the formulas: the published configuration of Gemma 4 and the
// tensor names of its GGUF files.
#ifndef MODEL_GEMMA_H
#define MODEL_GEMMA_H

#include "gpu/gpu.h"
#include "loader/model_file.h"
#include "ops/ops.h"

// ------------------------------------------------------------------------------------------------ shape

#define GEMMA_LAYERS_MAX 256

struct gemma_layer_shape {
    bool sliding;        // sees the last `window` positions only; else all
    bool has_v;          // a value projection of its own; else values are the raw keys
    uint32_t n_heads;    // of queries
    uint32_t n_kv_heads; // divides n_heads
    uint32_t head_size;
    uint32_t n_ff; // width of the dense branch
};

// The numbers of one model, all from the file's metadata.
struct gemma_shape {
    uint32_t n_layers, n_embd, n_vocab;
    uint32_t n_context;                              // positions the model was made for
    uint32_t window;                                 // positions a sliding layer sees, the query's own included
    uint32_t n_experts, n_experts_used, n_ff_expert; // 0 experts: a dense model
    float eps;                                       // of every norm
    float softcap;                                   // of the scores; 0: none
    double rope_base, rope_base_sliding;
    struct gemma_layer_shape layers[GEMMA_LAYERS_MAX];
};

// Errors  KARAT_ERR_FORMAT       a key is missing, of the wrong kind or out of range; the sentence names it
//         KARAT_ERR_UNSUPPORTED  another architecture, or a member of the family that is not run yet
enum karat_status gemma_shape_read(struct gemma_shape *out, const struct model_file *file, struct karat_error *err);

// ------------------------------------------------------------------------------------------------ weights

struct gemma_layer {
    struct op_vector attn_norm, q_norm, k_norm, post_attn_norm;
    struct op_weight q, k, v, o; // v only where the shape says has_v
    struct op_vector ffn_norm, post_ffn_norm;
    struct op_weight gate, up, down;
    // Mixture-of-experts models only.
    struct op_vector dense_post_norm, expert_norm, expert_post_norm, router_scale, expert_scale;
    struct op_weight router, expert_gate, expert_up, expert_down;
    struct op_vector out_scale; // one number; its n and that of expert_scale are 0 where the file has none
};

struct gemma_weights {
    struct op_weight embedding; // also the head, unless the file has one of its own
    struct op_weight head;
    struct op_vector out_norm;
    struct gemma_layer *layers; // [n_layers]
    struct op_rope rope, rope_sliding;
    struct op_store *store;
    struct op_store_item *items; // what the store was made from
    size_t n_items;
    bool untied;
};

// Finds every tensor and checks its shape and format. No device is needed; weights->items says what to place.
// Errors  KARAT_ERR_FORMAT, KARAT_ERR_UNSUPPORTED  the sentence names the tensor, what it is and what was expected
enum karat_status gemma_weights_bind(struct gemma_weights *out, const struct gemma_shape *shape,
                                     const struct model_file *file, struct karat_error *err);

// Gives what was bound its place on the device. Steps can be recorded from then on, but not run.
enum karat_status gemma_weights_place(struct gemma_weights *weights, const struct gemma_shape *shape,
                                      const struct model_file *file, struct gpu_device *device,
                                      struct karat_error *err);
// Fills what was placed.
enum karat_status gemma_weights_load(struct gemma_weights *weights, const struct model_file *file,
                                     karat_progress_fn *on_progress, void *user, struct karat_error *err);
void gemma_weights_free(struct gemma_weights *weights);

uint64_t gemma_weights_bytes(const struct gemma_weights *weights); // on the device
// Weight bytes that one decoded token reads.
uint64_t gemma_token_bytes(const struct gemma_weights *weights, const struct gemma_shape *shape);

// ------------------------------------------------------------------------------------------------ state

struct gemma_state_options {
    uint32_t n_context; // positions
    uint32_t n_batch;   // most tokens of one step
    uint32_t n_rows;    // most rows of scores of one step
    uint32_t n_parts;   // most timelines of one step; 0: one
    enum op_cache_type cache;
};

// Bytes of caches and of scratch for these options: exact but for the allocator's rounding, and pure.
struct gemma_state_bytes {
    uint64_t cache, scratch;
};
struct gemma_state_bytes gemma_state_size(const struct gemma_shape *shape, const struct gemma_state_options *options,
                                          const struct gpu_plan *plan);

// Lowers n_batch and n_rows until the scratch is one allocation and each part that a kernel binds whole is one storage
// binding of the device. Pure.
void gemma_state_fit(struct gemma_state_options *options, const struct gemma_shape *shape, const struct gpu_plan *plan);

// The scratch of one step, what it begins with and what it ends in. Timelines may share one if no step of theirs is
// under way beside another's.
struct gemma_workspace;

enum karat_status gemma_workspace_create(struct gemma_workspace **out, const struct gemma_shape *shape,
                                         const struct gemma_state_options *options, struct gpu_device *device,
                                         struct karat_error *err);
void gemma_workspace_destroy(struct gemma_workspace *workspace);

// One timeline: caches of every layer.
struct gemma_state;

// `workspace` was made with the same options and outlives the state; NULL: the state makes its own.
enum karat_status gemma_state_create(struct gemma_state **out, const struct gemma_shape *shape,
                                     const struct gemma_state_options *options, struct gemma_workspace *workspace,
                                     struct gpu_device *device, struct karat_error *err);
void gemma_state_destroy(struct gemma_state *state);

// Slots of the sliding layers' ring; position p overwrites position p - slots.
uint32_t gemma_state_ring(const struct gemma_state *state);
uint64_t gemma_cache_bytes_read(const struct gemma_shape *shape, const struct gemma_state *state, uint32_t position);

// Positions of a timeline: [first, end) of the sliding layers, [0, n_full) of the others.
struct gemma_extent {
    uint32_t first, end, n_full;
};
uint64_t gemma_extent_bytes(const struct gemma_shape *shape, const struct gemma_extent *extent,
                            enum op_cache_type cache);

// A state that holds only this extent, for copies: no step runs on it.
enum karat_status gemma_state_create_extent(struct gemma_state **out, const struct gemma_shape *shape,
                                            const struct gemma_extent *extent, enum op_cache_type cache,
                                            enum gpu_memory memory, struct gpu_device *device, struct karat_error *err);

// Records the copying of keys and values of an extent that `from` holds and that `to` has room for. Both have the same
// cache type; whatever `to` had in those slots is lost.
void gemma_state_copy(struct gpu_recorder *rec, const struct gemma_shape *shape, struct gemma_state *to,
                      const struct gemma_state *from, const struct gemma_extent *extent);

// ------------------------------------------------------------------------------------------------ forward

// How the device draws the next token itself.
struct gemma_drawing {
    struct op_sampling sampling;
    uint32_t n_candidates; // best tokens that the draw looks at, 1 .. OP_TOP_K_MAX and at most the vocabulary
    bool has_penalties;
    float repeat, presence, frequency;
};

struct gemma_step {
    const uint32_t *ids;                 // [n_tokens]; NULL: the one token that the step before drew, one position on
    uint32_t n_tokens;                   // 1 .. n_batch
    uint32_t first_position;             // of ids[0]; everything before it is in the caches
    uint32_t first_row;                  // scores are wanted of tokens first_row .. first_row + n_rows - 1
    uint32_t n_rows;                     // 0 .. options.n_rows
    const struct gemma_drawing *drawing; // of the next token from the one wanted row; NULL: the host gets the scores
};

// Records one step: caches gain n_tokens positions, and the wanted scores will be in gemma_state_scores(), or what was
// drawn in gemma_state_drawn(), once the recorder's work is done. Steps that follow a drawn token may be submitted
// before it is known. ids are read at once; no step may be under way then. Allocates nothing.
void gemma_forward(struct gpu_recorder *rec, const struct gemma_shape *shape, const struct gemma_weights *weights,
                   struct gemma_state *state, const struct gemma_step *step);

// Several timelines' next tokens in one pass.
#define GEMMA_PARTS_MAX 8
struct gemma_part {
    struct gemma_state *state;
    uint32_t id, position; // everything before it is in the caches
};

// Records one step of n_parts parts, 1 .. n_parts of the workspace's options, on a recorder that keeps columns apart:
// row i of gemma_workspace_scores() will have the bits that gemma_forward() of part i alone would give.
void gemma_forward_parts(struct gpu_recorder *rec, const struct gemma_shape *shape, const struct gemma_weights *weights,
                         struct gemma_workspace *workspace, const struct gemma_part *parts, uint32_t n_parts);

// Steps of one token that the device drew, at positions with the same bound, are recorded alike but for this number: it
// is at least the position and changes rarely.
uint32_t gemma_position_bound(uint32_t position);

// Adds the kernels that a session with these options will need, the likeliest first, by recording steps that nobody
// runs. Weights need their places only; no session's memory is needed. Needs n_rows of 1 at least.
enum karat_status gemma_rehearse(struct gpu_kernel_set *set, const struct gemma_shape *shape,
                                 const struct gemma_weights *weights, const struct gemma_state_options *options,
                                 struct gpu_device *device, struct karat_error *err);

// f32 [n_rows][n_vocab] in host memory, of the last step whose work is done.
const float *gemma_state_scores(const struct gemma_state *state);
const float *gemma_workspace_scores(const struct gemma_workspace *workspace);

// Before the step at `position` is submitted: the numbers its draw uses (see sampler_foresee()). Those of the last
// OP_SAMPLE_SLOTS positions are kept, as is what was drawn.
void gemma_state_foresee(struct gemma_state *state, uint32_t position, double at, uint32_t leaving);
const struct op_sample_result *gemma_state_drawn(const struct gemma_state *state, uint32_t position);

// Records how often each token is among the last ones: u32 [n_vocab], read at once; no step may be under way. Draws
// with penalties keep count from then on.
void gemma_state_count(struct gpu_recorder *rec, struct gemma_state *state, const uint32_t *counts);

#endif
