// model/forward.c -- one step through the network, as a list of operations.
//
// Names follow section "forward pass" of MODEL.md. Nothing here depends on the number of tokens: prefill and decode are
// the same list.
#include <math.h>
#include <string.h>

#include "model/state.h"

// What every part of the step looks at.
struct pass {
    struct gpu_recorder *rec;
    const struct gemma_shape *shape;
    const struct gemma_weights *weights;
    struct gemma_state *state;
    const struct gemma_step *step;
    struct gpu_view position; // u32: of the step's first token
    uint32_t n;               // tokens
};

static struct gpu_view rows(const struct pass *p, enum scratch which, uint64_t n_values)
{
    struct gpu_view view = p->state->scratch[which];
    view.size_bytes = n_values * sizeof(float);
    return view;
}

static struct gpu_view embd_rows(const struct pass *p, enum scratch which)
{
    return rows(p, which, (uint64_t)p->n * p->shape->n_embd);
}

// NORM -> OUT. Writes this step's keys and values into the layer's cache on the way.
static void attention_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer_shape *s = &p->shape->layers[index];
    const struct gemma_layer *l = &p->weights->layers[index];
    const struct op_cache *cache = &p->state->caches[index];
    const struct op_rope *rope = s->sliding ? &p->weights->rope_sliding : &p->weights->rope;
    const uint64_t q_values = (uint64_t)p->n * s->n_heads * s->head_size;
    const uint64_t kv_values = (uint64_t)p->n * s->n_kv_heads * s->head_size;
    const struct op_linear_shape linear = { .n_tokens = p->n };
    const float eps = p->shape->eps;

    const struct gpu_view norm = embd_rows(p, SCRATCH_NORM);
    const struct gpu_view q_raw = rows(p, SCRATCH_Q_RAW, q_values), q = rows(p, SCRATCH_Q, q_values);
    const struct gpu_view k_raw = rows(p, SCRATCH_K_RAW, kv_values);
    struct gpu_view v_raw = k_raw; // without a projection of their own, values are the keys before norm and rotation

    op_linear(p->rec, q_raw, norm, &l->q, &linear);
    op_linear(p->rec, k_raw, norm, &l->k, &linear);
    if (s->has_v) {
        v_raw = rows(p, SCRATCH_V_RAW, kv_values);
        op_linear(p->rec, v_raw, norm, &l->v, &linear);
    }
    op_head_norm_rope(p->rec, q, q_raw, &l->q_norm, rope, p->position, p->n, s->n_heads, s->head_size, eps);
    op_cache_store(p->rec, cache, k_raw, v_raw, &l->k_norm, rope, p->position, p->n, eps);

    const struct gpu_view attended = rows(p, SCRATCH_ATTENDED, q_values);
    op_attention(p->rec, attended, q, cache, p->position, p->state->scratch[SCRATCH_ATTENTION],
                 &(struct op_attention_shape){
                     .n_tokens = p->n,
                     .n_heads = s->n_heads,
                     .window = s->sliding ? p->shape->window : 0,
                     .last_position = p->step->first_position + p->n - 1,
                 });
    op_linear(p->rec, embd_rows(p, SCRATCH_OUT), attended, &l->o, &linear);
}

// NORM -> OUT: the branch that every token takes.
static void dense_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer *l = &p->weights->layers[index];
    const uint32_t n_ff = p->shape->layers[index].n_ff;
    const struct gpu_view norm = embd_rows(p, SCRATCH_NORM);
    const struct gpu_view gate_up = rows(p, SCRATCH_GATE_UP, 2ull * p->n * n_ff);
    const struct gpu_view active = rows(p, SCRATCH_ACTIVE, (uint64_t)p->n * n_ff);

    op_linear(p->rec, gate_up, norm, &l->gate, &(struct op_linear_shape){ .n_tokens = p->n, .y_stride = 2 * n_ff });
    op_linear(p->rec, gate_up, norm, &l->up,
              &(struct op_linear_shape){ .n_tokens = p->n, .y_stride = 2 * n_ff, .y_offset = n_ff });
    op_gelu_mul(p->rec, active, gate_up, p->n, n_ff);
    op_linear(p->rec, embd_rows(p, SCRATCH_OUT), active, &l->down, &(struct op_linear_shape){ .n_tokens = p->n });
}

static struct op_route route_views(const struct pass *p)
{
    const struct gpu_view *scratch = p->state->scratch;
    return (struct op_route){
        .ids = scratch[SCRATCH_ROUTE_IDS],
        .weights = scratch[SCRATCH_ROUTE_WEIGHTS],
        .order = scratch[SCRATCH_ROUTE_ORDER],
        .tiles = scratch[SCRATCH_ROUTE_TILES],
        .n_experts = p->shape->n_experts,
        .n_used = p->shape->n_experts_used,
    };
}

// MID -> EXPERT_OUT, one row per pair of token and expert. The router reads the stream itself under its own norm.
static void experts_forward(const struct pass *p, uint32_t index, const struct op_route *route)
{
    const struct gemma_layer *l = &p->weights->layers[index];
    const uint32_t n_ff = p->shape->n_ff_expert;
    const uint64_t n_pairs = (uint64_t)p->n * p->shape->n_experts_used;
    const struct gpu_view norm = embd_rows(p, SCRATCH_NORM_EXPERTS);
    const struct gpu_view logits = rows(p, SCRATCH_ROUTER, (uint64_t)p->n * p->shape->n_experts);
    const struct gpu_view gate_up = rows(p, SCRATCH_EXPERT_GATE_UP, 2 * n_pairs * n_ff);
    const struct gpu_view active = rows(p, SCRATCH_EXPERT_ACTIVE, n_pairs * n_ff);
    const struct gpu_view out = rows(p, SCRATCH_EXPERT_OUT, n_pairs * p->shape->n_embd);

    op_linear(p->rec, logits, embd_rows(p, SCRATCH_NORM_ROUTER), &l->router,
              &(struct op_linear_shape){ .n_tokens = p->n });
    op_route(p->rec, route, logits, l->expert_scale.n > 0 ? &l->expert_scale : NULL, p->n);
    op_linear_experts(p->rec, gate_up, norm, &l->expert_gate, route,
                      &(struct op_experts_shape){ .n_tokens = p->n, .y_stride = 2 * n_ff });
    op_linear_experts(p->rec, gate_up, norm, &l->expert_up, route,
                      &(struct op_experts_shape){ .n_tokens = p->n, .y_stride = 2 * n_ff, .y_offset = n_ff });
    op_gelu_mul(p->rec, active, gate_up, (uint32_t)n_pairs, n_ff);
    op_linear_experts(p->rec, out, active, &l->expert_down, route,
                      &(struct op_experts_shape){ .n_tokens = p->n, .x_per_pair = true });
}

// MID -> H, with the dense branch beside the experts.
static void feed_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer *l = &p->weights->layers[index];
    const uint32_t n_embd = p->shape->n_embd;
    const float eps = p->shape->eps;
    const struct op_vector *out_scale = l->out_scale.n > 0 ? &l->out_scale : NULL;
    const struct gpu_view mid = embd_rows(p, SCRATCH_MID), h = embd_rows(p, SCRATCH_H);

    op_rms_norm(p->rec, embd_rows(p, SCRATCH_NORM), mid, &l->ffn_norm, p->n, n_embd, eps);
    if (p->shape->n_experts == 0) {
        dense_forward(p, index);
        op_norm_add(p->rec, h, mid, embd_rows(p, SCRATCH_OUT), &l->post_ffn_norm, out_scale, p->n, n_embd, eps);
        return;
    }
    op_rms_norm(p->rec, embd_rows(p, SCRATCH_NORM_ROUTER), mid, &l->router_scale, p->n, n_embd, eps);
    op_rms_norm(p->rec, embd_rows(p, SCRATCH_NORM_EXPERTS), mid, &l->expert_norm, p->n, n_embd, eps);
    const struct op_route route = route_views(p);
    dense_forward(p, index);
    experts_forward(p, index, &route);
    op_moe_join(p->rec,
                &(struct op_join){
                    .y = h,
                    .r = mid,
                    .dense = embd_rows(p, SCRATCH_OUT),
                    .experts = rows(p, SCRATCH_EXPERT_OUT, (uint64_t)p->n * p->shape->n_experts_used * n_embd),
                    .w_dense = &l->dense_post_norm,
                    .w_experts = &l->expert_post_norm,
                    .w_out = &l->post_ffn_norm,
                    .scale = out_scale,
                    .n_tokens = p->n,
                    .n_cols = n_embd,
                    .eps = eps,
                },
                &route);
}

// H -> H.
static void layer_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer *l = &p->weights->layers[index];
    const uint32_t n_embd = p->shape->n_embd;
    const struct gpu_view h = embd_rows(p, SCRATCH_H);

    op_rms_norm(p->rec, embd_rows(p, SCRATCH_NORM), h, &l->attn_norm, p->n, n_embd, p->shape->eps);
    attention_forward(p, index);
    op_norm_add(p->rec, embd_rows(p, SCRATCH_MID), h, embd_rows(p, SCRATCH_OUT), &l->post_attn_norm, NULL, p->n, n_embd,
                p->shape->eps);
    feed_forward(p, index);
}

// The wanted rows of H -> scores in host memory.
static void head_forward(const struct pass *p)
{
    const uint32_t n_rows = p->step->n_rows, n_embd = p->shape->n_embd;
    const uint64_t n_scores = (uint64_t)n_rows * p->shape->n_vocab;
    const struct gpu_view last = rows(p, SCRATCH_HEAD_IN, (uint64_t)n_rows * n_embd);
    const struct gpu_view normed = rows(p, SCRATCH_NORM, (uint64_t)n_rows * n_embd);
    const struct gpu_view raw = rows(p, SCRATCH_HEAD_RAW, n_scores), capped = rows(p, SCRATCH_SCORES, n_scores);
    struct gpu_view from = rows(p, SCRATCH_H, (uint64_t)n_rows * n_embd);
    from.offset += (uint64_t)p->step->first_row * n_embd * sizeof(float);

    gpu_record_copy(p->rec, last, from); // a row's offset need not satisfy the alignment of bindings
    op_rms_norm(p->rec, normed, last, &p->weights->out_norm, n_rows, n_embd, p->shape->eps);
    op_linear(p->rec, raw, normed, &p->weights->head, &(struct op_linear_shape){ .n_tokens = n_rows });
    if (p->shape->softcap > 0)
        op_softcap(p->rec, capped, raw, (uint32_t)n_scores, p->shape->softcap);
    const struct gpu_view host = { p->state->scores, 0, n_scores * sizeof(float) };
    gpu_record_copy(p->rec, host, p->shape->softcap > 0 ? capped : raw);
}

void gemma_forward(struct gpu_recorder *rec, const struct gemma_shape *shape, const struct gemma_weights *weights,
                   struct gemma_state *state, const struct gemma_step *step)
{
    const struct pass pass = {
        .rec = rec,
        .shape = shape,
        .weights = weights,
        .state = state,
        .step = step,
        .position = { state->step, 0, OP_STEP_BYTES },
        .n = step->n_tokens,
    };
    memcpy(gpu_buffer_map(state->ids), step->ids, step->n_tokens * sizeof *step->ids);
    memcpy(gpu_buffer_map(state->step), (const uint32_t[4]){ step->first_position }, OP_STEP_BYTES);

    const struct gpu_view ids = { state->ids, 0, (uint64_t)pass.n * sizeof *step->ids };
    op_embed(rec, embd_rows(&pass, SCRATCH_H), ids, &weights->embedding, pass.n, sqrtf((float)shape->n_embd));
    for (uint32_t i = 0; i < shape->n_layers; ++i)
        layer_forward(&pass, i);
    if (step->n_rows > 0)
        head_forward(&pass);
}
