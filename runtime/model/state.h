// model/state.h -- private to the room: what a timeline owns.
#ifndef MODEL_STATE_H
#define MODEL_STATE_H

#include "model/gemma.h"

// Scratch of one step, f32 rows unless said otherwise; t is n_batch, layers share one set.
#define SCRATCH_LIST(X)                                                               \
    X(H, "residual stream")                   /* [t][n_embd] */                       \
    X(MID, "residual stream after attention") /* [t][n_embd] */                       \
    X(NORM, "normed input")                   /* [t][n_embd] */                       \
    X(NORM_ROUTER, "router input")            /* [t][n_embd] */                       \
    X(NORM_EXPERTS, "experts' input")         /* [t][n_embd] */                       \
    X(OUT, "branch output")                   /* [t][n_embd] */                       \
    X(Q_RAW, "queries before norm")           /* [t][n_heads][head_size] */           \
    X(Q, "queries")                           /* [t][n_heads][head_size] */           \
    X(K_RAW, "keys before norm")              /* [t][n_kv_heads][head_size] */        \
    X(V_RAW, "values before norm")            /* [t][n_kv_heads][head_size] */        \
    X(ATTENDED, "attention output")           /* [t][n_heads][head_size] */           \
    X(ATTENTION, "attention partials")        /* op_attention() knows */              \
    X(GATE_UP, "dense gate and up")           /* [t][2][n_ff] */                      \
    X(ACTIVE, "dense activation")             /* [t][n_ff] */                         \
    X(ROUTER, "router logits")                /* [t][n_experts] */                    \
    X(ROUTE_IDS, "chosen experts")            /* the four views of struct op_route */ \
    X(ROUTE_WEIGHTS, "weights of chosen experts")                                     \
    X(ROUTE_ORDER, "pairs by expert")                                                 \
    X(ROUTE_TILES, "tiles of pairs")                                                  \
    X(EXPERT_GATE_UP, "experts' gate and up") /* [t * used][2][n_ff_expert] */        \
    X(EXPERT_ACTIVE, "experts' activation")   /* [t * used][n_ff_expert] */           \
    X(EXPERT_OUT, "experts' output")          /* [t * used][n_embd] */                \
    X(EXPERTS_SUM, "experts' weighted sum")   /* [t][n_embd] */                       \
    X(HEAD_IN, "head input")                  /* [n_rows][n_embd] */                  \
    X(HEAD_RAW, "scores before the soft cap") /* [n_rows][n_vocab] */                 \
    X(SCORES, "scores on the device")         /* [n_rows][n_vocab] */

enum scratch {
#define SCRATCH_ENUM(name, text) SCRATCH_##name,
    SCRATCH_LIST(SCRATCH_ENUM)
#undef SCRATCH_ENUM
        SCRATCH_COUNT
};

struct gemma_state {
    struct gemma_state_options options;
    uint32_t n_layers, n_ring;
    struct op_cache *caches; // [n_layers]
    struct gpu_view scratch[SCRATCH_COUNT];
    struct gpu_view counters;               // of op_linear_add_norm() and its like
    struct gpu_buffer *ids, *step, *scores; // the host's ends of a step
};

#endif
