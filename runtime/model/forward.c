// model/forward.c -- one step through the network, as a list of operations.
//
// Names follow section "forward pass" of MODEL.md. Nothing here depends on the number of tokens: prefill and decode are
// the same list.
#include <assert.h>
#include <math.h>

#include "model/state.h"

// The tokens of one timeline: all of a step's, or one of several.
struct part {
    const struct op_cache *caches;       // [n_layers]
    struct gpu_view position;            // u32: of the part's first token
    struct gpu_view attention, counters; // its own, so that parts run side by side
    uint32_t last_position;              // at least the last token's
};

// What every operation of the step looks at.
struct pass {
    struct gpu_recorder *rec;
    const struct gemma_shape *shape;
    const struct gemma_weights *weights;
    struct gemma_workspace *workspace;
    const struct gpu_view *scratch; // [SCRATCH_COUNT]
    struct gpu_view counters;
    uint32_t n; // tokens
    uint32_t n_parts;
    struct part parts[GEMMA_PARTS_MAX];
    uint32_t first_row, n_rows;
    const struct gemma_drawing *drawing; // may be NULL
};

static struct gpu_view rows(const struct pass *p, enum scratch which, uint64_t n_values)
{
    struct gpu_view view = p->scratch[which];
    assert(n_values * sizeof(float) <= view.size_bytes && "its neighbours in the arena would be overwritten");
    view.size_bytes = n_values * sizeof(float);
    return view;
}

static struct gpu_view embd_rows(const struct pass *p, enum scratch which)
{
    return rows(p, which, (uint64_t)p->n * p->shape->n_embd);
}

// Rows of the part with this index, of n_values each where there are several parts.
static struct gpu_view part_rows(const struct pass *p, struct gpu_view all, uint32_t index)
{
    const uint64_t size_bytes = all.size_bytes / p->n_parts;
    return (struct gpu_view){ all.buffer, all.offset + index * size_bytes, size_bytes };
}

// One projection: NORM -> heads of every part.
static void project(const struct pass *p, enum scratch raw, const struct op_weight *w, const struct op_heads *heads)
{
    const struct gpu_view made = rows(p, raw, (uint64_t)p->n * heads->n_heads * heads->head_size);
    const struct gpu_view norm = embd_rows(p, SCRATCH_NORM);
    if (p->n_parts == 1)
        op_linear_heads(p->rec, made, norm, w, heads, p->counters, p->n);
    else
        op_linear_heads_apart(p->rec, made, norm, w, heads, p->counters, p->n);
}

// NORM -> MID and the norms that the branches after it begin with. Writes this step's keys and values into the layer's
// cache on the way.
static void attention_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer_shape *s = &p->shape->layers[index];
    const struct gemma_layer *l = &p->weights->layers[index];
    const struct op_rope *rope = s->sliding ? &p->weights->rope_sliding : &p->weights->rope;
    const uint64_t q_values = (uint64_t)p->n * s->n_heads * s->head_size;
    const struct gpu_view norm = embd_rows(p, SCRATCH_NORM);
    const struct gpu_view q = rows(p, SCRATCH_Q, q_values), attended = rows(p, SCRATCH_ATTENDED, q_values);
    struct op_heads queries[GEMMA_PARTS_MAX], keys[GEMMA_PARTS_MAX], values[GEMMA_PARTS_MAX];

    for (uint32_t i = 0; i < p->n_parts; ++i) {
        queries[i] = (struct op_heads){
            .to = OP_HEADS_QUERIES,
            .rows = part_rows(p, q, i),
            .cache = &p->parts[i].caches[index],
            .w = &l->q_norm,
            .rope = rope,
            .step = p->parts[i].position,
            .n_heads = s->n_heads,
            .head_size = s->head_size,
            .eps = p->shape->eps,
        };
        keys[i] = queries[i];
        keys[i].n_heads = s->n_kv_heads;
        keys[i].w = &l->k_norm;
        // Without a projection of their own, values are the keys before norm and rotation.
        keys[i].to = s->has_v ? OP_HEADS_KEYS : OP_HEADS_KEYS_AND_VALUES;
        values[i] = keys[i];
        values[i].to = OP_HEADS_VALUES;
    }
    project(p, SCRATCH_Q_RAW, &l->q, queries);
    project(p, SCRATCH_K_RAW, &l->k, keys);
    if (s->has_v)
        project(p, SCRATCH_V_RAW, &l->v, values);

    for (uint32_t i = 0; i < p->n_parts; ++i)
        op_attention(p->rec, part_rows(p, attended, i), part_rows(p, q, i), queries[i].cache, p->parts[i].position,
                     p->parts[i].attention, p->parts[i].counters,
                     &(struct op_attention_shape){
                         .n_tokens = p->n / p->n_parts,
                         .n_heads = s->n_heads,
                         .window = s->sliding ? p->shape->window : 0,
                         .last_position = p->parts[i].last_position,
                     });

    struct op_add_norm add = {
        .y = embd_rows(p, SCRATCH_MID),
        .r = embd_rows(p, SCRATCH_H),
        .w = &l->post_attn_norm,
        .n_norms = p->shape->n_experts > 0 ? 3 : 1,
        .norms = { { norm, &l->ffn_norm } },
        .eps = p->shape->eps,
    };
    if (p->shape->n_experts > 0) {
        add.norms[1].y = embd_rows(p, SCRATCH_NORM_ROUTER), add.norms[1].w = &l->router_scale;
        add.norms[2].y = embd_rows(p, SCRATCH_NORM_EXPERTS), add.norms[2].w = &l->expert_norm;
    }
    op_linear_add_norm(p->rec, embd_rows(p, SCRATCH_OUT), attended, &l->o, &add, p->counters, p->n);
}

// NORM -> ACTIVE: the branch that every token takes, up to its last product.
static struct gpu_view dense_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer *l = &p->weights->layers[index];
    const uint64_t n_values = (uint64_t)p->n * p->shape->layers[index].n_ff;
    const struct gpu_view active = rows(p, SCRATCH_ACTIVE, n_values);
    op_linear_gated(p->rec, active, rows(p, SCRATCH_GATE_UP, 2 * n_values), embd_rows(p, SCRATCH_NORM), &l->gate,
                    &l->up, p->n);
    return active;
}

static struct op_route route_views(const struct pass *p)
{
    const struct gpu_view *scratch = p->scratch;
    return (struct op_route){
        .ids = scratch[SCRATCH_ROUTE_IDS],
        .weights = scratch[SCRATCH_ROUTE_WEIGHTS],
        .order = scratch[SCRATCH_ROUTE_ORDER],
        .tiles = scratch[SCRATCH_ROUTE_TILES],
        .n_experts = p->shape->n_experts,
        .n_used = p->shape->n_experts_used,
    };
}

// What follows a layer: the norm that the next one, or the head, begins with.
static const struct op_vector *next_norm(const struct pass *p, uint32_t index)
{
    return index + 1 < p->shape->n_layers ? &p->weights->layers[index + 1].attn_norm : &p->weights->out_norm;
}

static const struct op_vector *out_scale(const struct gemma_layer *l)
{
    return l->out_scale.n > 0 ? &l->out_scale : NULL;
}

// MID -> H and NORM: experts beside the dense branch. What does not depend on each other stands side by side, so that a
// device can run it together. The router reads the stream itself under its own norm.
static void experts_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer *l = &p->weights->layers[index];
    const uint64_t n_pairs = (uint64_t)p->n * p->shape->n_experts_used, n_values = n_pairs * p->shape->n_ff_expert;
    const struct op_vector *expert_scale = l->expert_scale.n > 0 ? &l->expert_scale : NULL;
    const struct gpu_view active_experts = rows(p, SCRATCH_EXPERT_ACTIVE, n_values), dense = embd_rows(p, SCRATCH_OUT);
    const struct op_route route = route_views(p);

    const struct gpu_view active = dense_forward(p, index);
    op_linear_route(p->rec, rows(p, SCRATCH_ROUTER, (uint64_t)p->n * p->shape->n_experts),
                    embd_rows(p, SCRATCH_NORM_ROUTER), &l->router, &route, expert_scale, p->counters, p->n);

    op_linear(p->rec, dense, active, &l->down, &(struct op_linear_shape){ .n_tokens = p->n });
    op_experts_gated(p->rec, active_experts, rows(p, SCRATCH_EXPERT_GATE_UP, 2 * n_values),
                     embd_rows(p, SCRATCH_NORM_EXPERTS), &l->expert_gate, &l->expert_up, &route, p->n);

    op_experts_join(p->rec, embd_rows(p, SCRATCH_EXPERT_SUM), active_experts, &l->expert_down, &route,
                    &(struct op_join){
                        .y = embd_rows(p, SCRATCH_H),
                        .r = embd_rows(p, SCRATCH_MID),
                        .dense = dense,
                        .next = embd_rows(p, SCRATCH_NORM),
                        .w_dense = &l->dense_post_norm,
                        .w_experts = &l->expert_post_norm,
                        .w_out = &l->post_ffn_norm,
                        .scale = out_scale(l),
                        .w_next = next_norm(p, index),
                        .n_tokens = p->n,
                        .eps = p->shape->eps,
                    },
                    p->scratch[SCRATCH_EXPERT_OUT], p->counters);
}

// H and NORM -> H and NORM.
static void layer_forward(const struct pass *p, uint32_t index)
{
    const struct gemma_layer *l = &p->weights->layers[index];
    attention_forward(p, index);
    if (p->shape->n_experts > 0) {
        experts_forward(p, index);
        return;
    }
    op_linear_add_norm(p->rec, embd_rows(p, SCRATCH_OUT), dense_forward(p, index), &l->down,
                       &(struct op_add_norm){
                           .y = embd_rows(p, SCRATCH_H),
                           .r = embd_rows(p, SCRATCH_MID),
                           .w = &l->post_ffn_norm,
                           .scale = out_scale(l),
                           .n_norms = 1,
                           .norms = { { embd_rows(p, SCRATCH_NORM), next_norm(p, index) } },
                           .eps = p->shape->eps,
                       },
                       p->counters, p->n);
}

// The scores of one token -> the next step's token and position.
static void draw_forward(const struct pass *p, struct gpu_view scores)
{
    const struct gemma_drawing *drawing = p->drawing;
    const struct feedback *f = &p->workspace->feedback;
    const uint32_t n = drawing->n_candidates;
    const struct gpu_view ids = { f->ids.buffer, f->ids.offset, n * sizeof(uint32_t) };
    const struct gpu_view values = { f->values.buffer, f->values.offset, n * sizeof(float) };
    const struct op_penalties penalties = {
        .counts = { f->counts, 0, scores.size_bytes },
        .repeat = drawing->repeat,
        .presence = drawing->presence,
        .frequency = drawing->frequency,
    };
    op_top_k(p->rec, ids, values, scores, drawing->has_penalties ? &penalties : NULL, f->top_k, 1, p->shape->n_vocab,
             n);
    op_sample(p->rec,
              &(struct op_sample){
                  .ids = ids,
                  .values = values,
                  .scores = scores,
                  .draws = { f->draws, 0, gpu_buffer_size(f->draws) },
                  .step = p->parts[0].position,
                  .next = { f->input, FEEDBACK_IDS, sizeof(uint32_t) },
                  .counts = { f->counts, 0, drawing->has_penalties ? scores.size_bytes : 0 },
                  .results = { f->results, 0, gpu_buffer_size(f->results) },
                  .n = n,
              },
              &drawing->sampling);
}

// The wanted rows of NORM -> scores in host memory, or the next token.
static void head_forward(const struct pass *p)
{
    const uint32_t n_rows = p->n_rows, n_embd = p->shape->n_embd;
    const uint64_t n_scores = (uint64_t)n_rows * p->shape->n_vocab;
    const struct gpu_view last = rows(p, SCRATCH_HEAD_IN, (uint64_t)n_rows * n_embd);
    const struct gpu_view raw = rows(p, SCRATCH_HEAD_RAW, n_scores), capped = rows(p, SCRATCH_SCORES, n_scores);
    struct gpu_view from = rows(p, SCRATCH_NORM, (uint64_t)n_rows * n_embd);
    from.offset += (uint64_t)p->first_row * n_embd * sizeof(float);

    gpu_record_copy(p->rec, last, from); // a row's offset need not satisfy the alignment of bindings
    op_linear(p->rec, raw, last, &p->weights->head, &(struct op_linear_shape){ .n_tokens = n_rows });
    if (p->shape->softcap > 0)
        op_softcap(p->rec, capped, raw, (uint32_t)n_scores, p->shape->softcap);
    const struct gpu_view scores = p->shape->softcap > 0 ? capped : raw;
    if (p->drawing)
        draw_forward(p, scores);
    else
        gpu_record_copy(p->rec, (struct gpu_view){ p->workspace->scores, 0, n_scores * sizeof(float) }, scores);
}

uint32_t gemma_position_bound(uint32_t position)
{
    uint32_t end = 16;
    while (end <= position && end < 256)
        end *= 2;
    return end > position ? end - 1 : position / 256 * 256 + 255;
}

static void forward(const struct pass *p)
{
    const struct gemma_shape *shape = p->shape;
    const struct gpu_view ids = { p->workspace->feedback.input, FEEDBACK_IDS, (uint64_t)p->n * sizeof(uint32_t) };
    gpu_record_fill(p->rec, p->workspace->counters, 0); // a step that was cut short may have left them in disorder
    op_embed(p->rec, embd_rows(p, SCRATCH_H), ids, &p->weights->embedding, p->n, sqrtf((float)shape->n_embd));
    op_rms_norm(p->rec, embd_rows(p, SCRATCH_NORM), embd_rows(p, SCRATCH_H), &p->weights->layers[0].attn_norm, p->n,
                shape->n_embd, shape->eps);
    for (uint32_t i = 0; i < shape->n_layers; ++i)
        layer_forward(p, i);
    if (p->n_rows > 0)
        head_forward(p);
}

static struct gpu_view own_counters(const struct gemma_workspace *workspace, uint32_t part)
{
    const struct gpu_view all = workspace->counters;
    return (struct gpu_view){ all.buffer, all.offset + (uint64_t)part * OP_COUNTERS_BYTES, OP_COUNTERS_BYTES };
}

void gemma_forward(struct gpu_recorder *rec, const struct gemma_shape *shape, const struct gemma_weights *weights,
                   struct gemma_state *state, const struct gemma_step *step)
{
    struct gemma_workspace *workspace = state->workspace;
    const uint32_t n = step->n_tokens;
    struct pass pass = {
        .rec = rec,
        .shape = shape,
        .weights = weights,
        .workspace = workspace,
        .scratch = n <= workspace->n_spread ? workspace->spread : workspace->packed,
        .counters = own_counters(workspace, 0),
        .n = n,
        .n_parts = 1,
        .first_row = step->first_row,
        .n_rows = step->n_rows,
        .drawing = step->drawing,
    };
    pass.parts[0] = (struct part){
        .caches = state->caches,
        .position = { workspace->feedback.input, 0, OP_STEP_BYTES },
        .attention = pass.scratch[SCRATCH_ATTENTION],
        .counters = pass.counters,
        .last_position = n == 1 ? gemma_position_bound(step->first_position) : step->first_position + n - 1,
    };
    if (step->ids)
        feedback_start(rec, &workspace->feedback, step->ids, n, step->first_position);
    forward(&pass);
}

void gemma_forward_parts(struct gpu_recorder *rec, const struct gemma_shape *shape, const struct gemma_weights *weights,
                         struct gemma_workspace *workspace, const struct gemma_part *parts, uint32_t n_parts)
{
    struct pass pass = {
        .rec = rec,
        .shape = shape,
        .weights = weights,
        .workspace = workspace,
        .scratch = workspace->spread,
        .counters = own_counters(workspace, 0),
        .n = n_parts,
        .n_parts = n_parts,
        .n_rows = n_parts,
    };
    assert(n_parts <= workspace->options.n_parts && n_parts <= workspace->n_spread);
    const uint64_t attention_bytes = attention_part_bytes(shape, gpu_recorder_plan(rec));
    for (uint32_t i = 0; i < n_parts; ++i) {
        const struct gpu_view all = pass.scratch[SCRATCH_ATTENTION];
        pass.parts[i] = (struct part){
            .caches = parts[i].state->caches,
            .position = { workspace->feedback.input, workspace->feedback.parts_at + (uint64_t)i * FEEDBACK_IDS,
                          OP_STEP_BYTES },
            .attention = { all.buffer, all.offset + i * attention_bytes, attention_bytes },
            .counters = own_counters(workspace, i),
            .last_position = gemma_position_bound(parts[i].position),
        };
    }
    feedback_start_parts(rec, &workspace->feedback, parts, n_parts);
    forward(&pass);
}
