// model/state.h -- private to the room: what a timeline owns.
#ifndef MODEL_STATE_H
#define MODEL_STATE_H

#include "model/gemma.h"

// Phases of a step, in the order in which forward.c records them; every layer runs through all but the last. What a
// phase reads must be alive from where it was written, through every phase between, to the last reader.
enum phase {
    PHASE_NORM,          // H -> NORM, of the first layer alone
    PHASE_HEADS,         // NORM -> Q and the cache
    PHASE_ATTENTION,     // -> ATTENDED
    PHASE_ATTENTION_OUT, // -> MID and the norms of it
    PHASE_FEED,          // the dense branch, the router
    PHASE_EXPERTS,       // gate and up, activation
    PHASE_EXPERTS_DOWN,  // -> EXPERT_SUM
    PHASE_JOIN,          // -> H, NORM
    PHASE_HEAD,          // scores
    PHASE_COUNT
};

#define AT(phase) (1u << PHASE_##phase)
#define FROM(first, last) ((2u << PHASE_##last) - (1u << PHASE_##first))

// Scratch of one step and when it is alive, f32 rows unless said otherwise; t is the number of tokens. H outlives a
// layer, so it is alive at both ends of one.
#define SCRATCH_LIST(X)                                                                                         \
    X(H, "residual stream", FROM(NORM, ATTENTION_OUT) | FROM(JOIN, HEAD))                     /* [t][n_embd] */ \
    X(MID, "residual stream after attention", FROM(ATTENTION_OUT, JOIN))                      /* [t][n_embd] */ \
    X(NORM, "normed input", FROM(NORM, HEADS) | FROM(ATTENTION_OUT, FEED) | FROM(JOIN, HEAD)) /* [t][n_embd] */ \
    X(NORM_ROUTER, "router input", FROM(ATTENTION_OUT, FEED))                                 /* [t][n_embd] */ \
    X(NORM_EXPERTS, "experts' input", FROM(ATTENTION_OUT, EXPERTS))                           /* [t][n_embd] */ \
    X(OUT, "branch output", AT(ATTENTION_OUT) | FROM(FEED, JOIN))                             /* [t][n_embd] */ \
    X(Q_RAW, "queries before norm", AT(HEADS))                      /* [t][n_heads][head_size] */               \
    X(Q, "queries", FROM(HEADS, ATTENTION))                         /* [t][n_heads][head_size] */               \
    X(K_RAW, "keys before norm", AT(HEADS))                         /* [t][n_kv_heads][head_size] */            \
    X(V_RAW, "values before norm", AT(HEADS))                       /* [t][n_kv_heads][head_size] */            \
    X(ATTENDED, "attention output", FROM(ATTENTION, ATTENTION_OUT)) /* [t][n_heads][head_size] */               \
    X(ATTENTION, "attention partials", AT(ATTENTION))               /* op_attention() knows */                  \
    X(GATE_UP, "dense gate and up", AT(FEED))                       /* [t][2][n_ff] */                          \
    X(ACTIVE, "dense activation", AT(FEED))                         /* [t][n_ff] */                             \
    X(ROUTER, "router logits", AT(FEED))                            /* [t][n_experts] */                        \
    X(ROUTE_IDS, "chosen experts", FROM(FEED, EXPERTS_DOWN))        /* the views of struct op_route */          \
    X(ROUTE_WEIGHTS, "weights of chosen experts", FROM(FEED, EXPERTS_DOWN))                                     \
    X(ROUTE_ORDER, "pairs by expert", FROM(FEED, EXPERTS_DOWN))                                                 \
    X(ROUTE_TILES, "tiles of pairs", FROM(FEED, EXPERTS_DOWN))                                                  \
    X(EXPERT_GATE_UP, "experts' gate and up", AT(EXPERTS))               /* [t * used][2][n_ff_expert] */       \
    X(EXPERT_ACTIVE, "experts' activation", FROM(EXPERTS, EXPERTS_DOWN)) /* [t * used][n_ff_expert] */          \
    X(EXPERT_OUT, "experts' outputs", AT(EXPERTS_DOWN))                  /* op_experts_down() knows */          \
    X(EXPERT_SUM, "sum of a token's experts", FROM(EXPERTS_DOWN, JOIN))  /* [t][n_embd] */                      \
    X(HEAD_IN, "head input", AT(HEAD))                                   /* [n_rows][n_embd] */                 \
    X(HEAD_RAW, "scores before the soft cap", AT(HEAD))                  /* [n_rows][n_vocab] */                \
    X(SCORES, "scores on the device", AT(HEAD))                          /* [n_rows][n_vocab] */

enum scratch {
#define SCRATCH_ENUM(name, text, alive) SCRATCH_##name,
    SCRATCH_LIST(SCRATCH_ENUM)
#undef SCRATCH_ENUM
        SCRATCH_COUNT
};

// What a step begins with and ends in beside the scratch. The device hands tokens on to itself, so the input is its.
struct feedback {
    struct gpu_buffer *input; // u32 [4] step, at FEEDBACK_IDS u32 [n_batch] ids,
                              // at parts_at the steps of parts, FEEDBACK_IDS apart
    uint64_t parts_at;
    struct gpu_buffer *counts;                         // u32 [n_vocab] of penalties
    struct gpu_buffer *input_staging, *counts_staging; // the same where the host cannot write there; else NULL
    struct gpu_buffer *draws, *results;                // struct op_sample_draw and _result [OP_SAMPLE_SLOTS]
    struct gpu_view ids, values, top_k;                // best tokens, and scratch to find them; one buffer
};
#define FEEDBACK_IDS 256

enum karat_status feedback_create(struct feedback *out, const struct gemma_shape *shape, uint32_t n_batch,
                                  uint32_t n_parts, struct gpu_device *device, struct karat_error *err);
void feedback_destroy(struct feedback *feedback);                                             // its members
uint64_t feedback_bytes(const struct gemma_shape *shape, uint32_t n_batch, uint32_t n_parts); // on the device

// Makes `ids` from first_position on the next step's input.
void feedback_start(struct gpu_recorder *rec, const struct feedback *feedback, const uint32_t *ids, uint32_t n_ids,
                    uint32_t first_position);

// The same for parts of one token each.
void feedback_start_parts(struct gpu_recorder *rec, const struct feedback *feedback, const struct gemma_part *parts,
                          uint32_t n_parts);

struct gemma_workspace {
    struct gemma_state_options options;
    struct gpu_buffer *arena;
    // Where the scratch of a step lies in the arena. Steps of up to n_spread tokens have room for every buffer beside
    // the others, so that no barrier of theirs is owed to the layout alone; in longer ones they share.
    struct gpu_view spread[SCRATCH_COUNT], packed[SCRATCH_COUNT];
    uint32_t n_spread;
    struct gpu_view counters; // of op_linear_add_norm() and its like; OP_COUNTERS_BYTES for each part
    struct feedback feedback;
    struct gpu_buffer *scores; // in host memory
};

struct gemma_state {
    uint32_t n_context, n_layers, n_ring;
    struct op_cache *caches;                 // [n_layers]
    struct gemma_workspace *workspace, *own; // own: the same, or NULL where it is someone else's
};

// Gives every layer's cache its buffers, as large as its n_slots say; none where they are 0.
enum karat_status state_create_caches(struct gemma_state *state, enum gpu_memory memory, struct gpu_device *device,
                                      struct karat_error *err);

// How much of the attention's scratch a part has.
uint64_t attention_part_bytes(const struct gemma_shape *shape, const struct gpu_plan *plan);

// A state with every shape and size but no buffers, for recorders that only list. gemma_state_destroy() takes it.
enum karat_status gemma_state_outline(struct gemma_state **out, const struct gemma_shape *shape,
                                      const struct gemma_state_options *options, const struct gpu_plan *plan,
                                      struct karat_error *err);

#endif
