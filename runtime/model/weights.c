// model/weights.c -- shape x tensor directory to named slots.
//
// The table below is the list of tensors of a layer: what each is called, where it goes, how large it must be and when
// it must be there. Tensors of the file that no row names are left alone.
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gemma.h"

// Sizes a tensor's dimensions can have, resolved per layer.
enum dim { D_NONE, D_ONE, D_EMBD, D_Q, D_KV, D_HEAD, D_FF, D_EXPERTS, D_FF_EXPERT };

// Without an optional tensor its factors are 1.
enum presence { ALWAYS, WITH_V, WITH_EXPERTS, MAYBE, MAYBE_EXPERTS };

enum slot_kind { VECTOR, MATRIX };

struct slot {
    const char *suffix;
    size_t offset; // of the op_vector or op_weight in struct gemma_layer
    enum slot_kind kind;
    enum dim dims[3]; // contiguous first
    enum presence presence;
};

#define AT(member) offsetof(struct gemma_layer, member)

// clang-format off
static const struct slot slots[] = {
    { "attn_norm.weight",           AT(attn_norm),        VECTOR, { D_EMBD },                           ALWAYS },
    { "attn_q.weight",              AT(q),                MATRIX, { D_EMBD, D_Q },                      ALWAYS },
    { "attn_k.weight",              AT(k),                MATRIX, { D_EMBD, D_KV },                     ALWAYS },
    { "attn_v.weight",              AT(v),                MATRIX, { D_EMBD, D_KV },                     WITH_V },
    { "attn_q_norm.weight",         AT(q_norm),           VECTOR, { D_HEAD },                           ALWAYS },
    { "attn_k_norm.weight",         AT(k_norm),           VECTOR, { D_HEAD },                           ALWAYS },
    { "attn_output.weight",         AT(o),                MATRIX, { D_Q, D_EMBD },                      ALWAYS },
    { "post_attention_norm.weight", AT(post_attn_norm),   VECTOR, { D_EMBD },                           ALWAYS },
    { "ffn_norm.weight",            AT(ffn_norm),         VECTOR, { D_EMBD },                           ALWAYS },
    { "ffn_gate.weight",            AT(gate),             MATRIX, { D_EMBD, D_FF },                     ALWAYS },
    { "ffn_up.weight",              AT(up),               MATRIX, { D_EMBD, D_FF },                     ALWAYS },
    { "ffn_down.weight",            AT(down),             MATRIX, { D_FF, D_EMBD },                     ALWAYS },
    { "post_ffw_norm.weight",       AT(post_ffn_norm),    VECTOR, { D_EMBD },                           ALWAYS },
    { "post_ffw_norm_1.weight",     AT(dense_post_norm),  VECTOR, { D_EMBD },                           WITH_EXPERTS },
    { "pre_ffw_norm_2.weight",      AT(expert_norm),      VECTOR, { D_EMBD },                           WITH_EXPERTS },
    { "post_ffw_norm_2.weight",     AT(expert_post_norm), VECTOR, { D_EMBD },                           WITH_EXPERTS },
    { "ffn_gate_inp.weight",        AT(router),           MATRIX, { D_EMBD, D_EXPERTS },                WITH_EXPERTS },
    { "ffn_gate_inp.scale",         AT(router_scale),     VECTOR, { D_EMBD },                           WITH_EXPERTS },
    { "ffn_down_exps.weight",       AT(expert_down),      MATRIX, { D_FF_EXPERT, D_EMBD, D_EXPERTS },   WITH_EXPERTS },
    { "ffn_down_exps.scale",        AT(expert_scale),     VECTOR, { D_EXPERTS },                        MAYBE_EXPERTS },
    { "layer_output_scale.weight",  AT(out_scale),        VECTOR, { D_ONE },                            MAYBE },
};
// clang-format on

#define ITEMS_PER_LAYER (COUNT(slots) + 2) // the two halves of the experts' first matrix have no row of their own
#define ITEMS_GLOBAL 3

#define GATE_EXPERTS "ffn_gate_exps.weight"
#define UP_EXPERTS "ffn_up_exps.weight"
#define HEAD "output.weight"

// What binding needs to know, so that its steps have short argument lists.
struct binder {
    struct gemma_weights *weights;
    const struct gemma_shape *shape;
    const struct model_file *file;
    struct karat_error *err;
};

static uint64_t resolve_dim(enum dim dim, const struct gemma_shape *shape, const struct gemma_layer_shape *layer)
{
    switch (dim) {
    case D_NONE:
    case D_ONE:
        return 1;
    case D_EMBD:
        return shape->n_embd;
    case D_Q:
        return (uint64_t)layer->n_heads * layer->head_size;
    case D_KV:
        return (uint64_t)layer->n_kv_heads * layer->head_size;
    case D_HEAD:
        return layer->head_size;
    case D_FF:
        return layer->n_ff;
    case D_EXPERTS:
        return shape->n_experts;
    case D_FF_EXPERT:
        return shape->n_ff_expert;
    }
    return 0;
}

static bool is_wanted(const struct slot *slot, const struct gemma_shape *shape, const struct gemma_layer_shape *layer)
{
    switch (slot->presence) {
    case WITH_V:
        return layer->has_v;
    case WITH_EXPERTS:
    case MAYBE_EXPERTS:
        return shape->n_experts > 0;
    default:
        return true;
    }
}

static void print_dims(char text[64], const uint64_t *dims, uint32_t n)
{
    int used = snprintf(text, 64, "[");
    for (uint32_t i = 0; i < n && used > 0 && used < 64; ++i)
        used += snprintf(text + used, (size_t)(64 - used), "%s%" PRIu64, i ? ", " : "", dims[i]);
    if (used > 0 && used < 64)
        snprintf(text + used, (size_t)(64 - used), "]");
}

// The named tensor, if its format is readable and its shape is exactly dims[0..n).
static enum karat_status find_tensor(const struct tensor_info **out, const struct binder *b, const char *name,
                                     const uint64_t *dims, uint32_t n)
{
    const struct tensor_info *tensor = model_file_find(b->file, name);
    *out = tensor;
    if (!tensor)
        return status_fail(b->err, KARAT_ERR_FORMAT, "tensor %s is missing", name);
    bool equal = true;
    for (uint32_t i = 0; i < TENSOR_DIMS_MAX; ++i)
        equal = equal && tensor->dims[i] == (i < n ? dims[i] : 1);
    if (!equal) {
        char found[64], wanted[64];
        print_dims(found, tensor->dims, tensor->n_dims);
        print_dims(wanted, dims, n);
        return status_fail(b->err, KARAT_ERR_FORMAT, "tensor %s has shape %s, expected %s", name, found, wanted);
    }
    if (tensor->type == QTYPE_COUNT)
        return status_fail(b->err, KARAT_ERR_UNSUPPORTED,
                           "tensor %s has weight format %" PRIu32 ", which is not read here", name, tensor->gguf_type);
    return KARAT_OK;
}

static void add_item(const struct binder *b, struct op_store_item item)
{
    b->weights->items[b->weights->n_items++] = item;
}

static enum karat_status bind_slot(const struct binder *b, const struct slot *slot, uint32_t index)
{
    const struct gemma_layer_shape *layer = &b->shape->layers[index];
    uint8_t *place = (uint8_t *)&b->weights->layers[index] + slot->offset;
    char name[96];
    snprintf(name, sizeof name, "blk.%" PRIu32 ".%s", index, slot->suffix);
    if (!is_wanted(slot, b->shape, layer))
        return KARAT_OK;
    if (slot->presence >= MAYBE && !model_file_find(b->file, name))
        return KARAT_OK;

    uint64_t dims[3];
    uint32_t n = 0;
    while (n < 3 && slot->dims[n] != D_NONE) {
        dims[n] = resolve_dim(slot->dims[n], b->shape, layer);
        ++n;
    }
    struct op_store_item item = { 0 };
    const enum karat_status status = find_tensor(&item.tensor, b, name, dims, n);
    if (status != KARAT_OK)
        return status;
    if (slot->kind == VECTOR)
        item.vector = (struct op_vector *)(void *)place;
    else
        item.weight = (struct op_weight *)(void *)place;
    item.label = slot->suffix;
    // The router's norm is followed by a factor 1 / sqrt(n_embd), folded into its scale here.
    if (slot->offset == AT(router_scale))
        item.vector_scale = (float)(1.0 / sqrt((double)b->shape->n_embd));
    add_item(b, item);
    return KARAT_OK;
}

// The experts' first matrices: one tensor with gate rows before up rows, or one tensor each.
static enum karat_status bind_expert_gate_up(const struct binder *b, uint32_t index)
{
    enum karat_status status = KARAT_OK;
    struct gemma_layer *layer = &b->weights->layers[index];
    const uint32_t n_ff = b->shape->n_ff_expert;
    const uint64_t fused_dims[3] = { b->shape->n_embd, 2 * (uint64_t)n_ff, b->shape->n_experts };
    const uint64_t part_dims[3] = { b->shape->n_embd, n_ff, b->shape->n_experts };
    const struct tensor_info *gate = NULL, *up = NULL;
    char fused[96], part[96];

    snprintf(fused, sizeof fused, "blk.%" PRIu32 ".ffn_gate_up_exps.weight", index);
    snprintf(part, sizeof part, "blk.%" PRIu32 "." GATE_EXPERTS, index);
    if (model_file_find(b->file, fused) || !model_file_find(b->file, part)) {
        TRY(find_tensor(&gate, b, fused, fused_dims, 3));
        add_item(b, (struct op_store_item){
                        .tensor = gate, .n_rows = n_ff, .weight = &layer->expert_gate, .label = GATE_EXPERTS });
        add_item(
            b,
            (struct op_store_item){
                .tensor = gate, .first_row = n_ff, .n_rows = n_ff, .weight = &layer->expert_up, .label = UP_EXPERTS });
        goto cleanup;
    }
    TRY(find_tensor(&gate, b, part, part_dims, 3));
    snprintf(part, sizeof part, "blk.%" PRIu32 "." UP_EXPERTS, index);
    TRY(find_tensor(&up, b, part, part_dims, 3));
    add_item(b, (struct op_store_item){ .tensor = gate, .weight = &layer->expert_gate, .label = GATE_EXPERTS });
    add_item(b, (struct op_store_item){ .tensor = up, .weight = &layer->expert_up, .label = UP_EXPERTS });
cleanup:
    return status;
}

static enum karat_status bind_layer(const struct binder *b, uint32_t index)
{
    enum karat_status status = KARAT_OK;
    for (size_t i = 0; i < COUNT(slots); ++i)
        TRY(bind_slot(b, &slots[i], index));
    if (b->shape->n_experts > 0)
        TRY(bind_expert_gate_up(b, index));
cleanup:
    return status;
}

static enum karat_status bind_ends(const struct binder *b)
{
    enum karat_status status = KARAT_OK;
    const uint64_t table_dims[2] = { b->shape->n_embd, b->shape->n_vocab };
    const struct tensor_info *tensor = NULL;

    TRY(find_tensor(&tensor, b, "token_embd.weight", table_dims, 2));
    add_item(b, (struct op_store_item){ .tensor = tensor, .weight = &b->weights->embedding });
    TRY(find_tensor(&tensor, b, "output_norm.weight", table_dims, 1));
    add_item(b, (struct op_store_item){ .tensor = tensor, .vector = &b->weights->out_norm });
    b->weights->untied = model_file_find(b->file, HEAD) != NULL;
    if (b->weights->untied) {
        TRY(find_tensor(&tensor, b, HEAD, table_dims, 2));
        add_item(b, (struct op_store_item){ .tensor = tensor, .weight = &b->weights->head, .label = HEAD });
    }
cleanup:
    return status;
}

enum karat_status gemma_weights_bind(struct gemma_weights *out, const struct gemma_shape *shape,
                                     const struct model_file *file, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = (struct gemma_weights){ 0 };
    const struct binder binder = { out, shape, file, err };

    out->layers = calloc(shape->n_layers, sizeof *out->layers);
    out->items = calloc(shape->n_layers * ITEMS_PER_LAYER + ITEMS_GLOBAL, sizeof *out->items);
    if (!out->layers || !out->items)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for the list of weights"));
    TRY(bind_ends(&binder));
    for (uint32_t i = 0; i < shape->n_layers; ++i)
        TRY(bind_layer(&binder, i));
cleanup:
    if (status != KARAT_OK)
        gemma_weights_free(out);
    return status;
}

// ------------------------------------------------------------------------------------------------ rotation

#define INERT_FACTOR 1e20 // rope_freqs divides a pair's angle by this or more: the pair does not turn at all

// Angles per position of one kind of layer; returns how many leading pairs turn.
static uint32_t fill_theta(double *theta, uint32_t head_size, double base, const float *factors)
{
    uint32_t n_turning = 0;
    for (uint32_t j = 0; j < head_size / 2; ++j) {
        const double factor = factors ? factors[j] : 1.0;
        const bool turns = factor < INERT_FACTOR;
        theta[j] = turns ? pow(base, -2.0 * j / head_size) / factor : 0.0;
        if (turns)
            n_turning = j + 1;
    }
    return n_turning;
}

static const struct gemma_layer_shape *find_layer(const struct gemma_shape *shape, bool sliding)
{
    for (uint32_t i = 0; i < shape->n_layers; ++i)
        if (shape->layers[i].sliding == sliding)
            return &shape->layers[i];
    return NULL;
}

static enum karat_status create_rope(struct op_rope *out, const struct gemma_shape *shape, bool sliding,
                                     const struct model_file *file, struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct gemma_layer_shape *layer = find_layer(shape, sliding);
    double *theta = NULL;
    float *factors = NULL;
    if (!layer)
        return KARAT_OK;

    const uint32_t n_pairs = layer->head_size / 2;
    theta = calloc(n_pairs, sizeof *theta);
    factors = calloc(n_pairs, sizeof *factors);
    if (!theta || !factors)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for the rotation table"));
    if (!sliding) {
        const struct binder binder = { .file = file, .err = err };
        const struct tensor_info *tensor = NULL;
        TRY(find_tensor(&tensor, &binder, "rope_freqs.weight", (const uint64_t[]){ n_pairs }, 1));
        if (n_pairs % qtypes[tensor->type].block_len != 0)
            TRY(status_fail(err, KARAT_ERR_FORMAT, "tensor rope_freqs.weight is not whole blocks of its format"));
        qtypes[tensor->type].decode(factors, tensor->data.data, n_pairs / qtypes[tensor->type].block_len);
    }
    const uint32_t n_turning = fill_theta(
        theta, layer->head_size, sliding ? shape->rope_base_sliding : shape->rope_base, sliding ? NULL : factors);
    TRY(op_rope_create(out, device, theta, n_turning, err));
cleanup:
    free(theta);
    free(factors);
    return status;
}

// ------------------------------------------------------------------------------------------------ device

enum karat_status gemma_weights_place(struct gemma_weights *weights, const struct gemma_shape *shape,
                                      const struct model_file *file, struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(create_rope(&weights->rope, shape, false, file, device, err));
    TRY(create_rope(&weights->rope_sliding, shape, true, file, device, err));
    TRY(op_store_create(&weights->store, device, weights->items, weights->n_items, err));
    if (!weights->untied)
        weights->head = weights->embedding;
    weights->head.label = HEAD;
cleanup:
    return status;
}

enum karat_status gemma_weights_load(struct gemma_weights *weights, const struct model_file *file,
                                     karat_progress_fn *on_progress, void *user, struct karat_error *err)
{
    return op_store_load(weights->store, file, on_progress, user, err);
}

void gemma_weights_free(struct gemma_weights *weights)
{
    op_store_destroy(weights->store);
    op_rope_destroy(&weights->rope);
    op_rope_destroy(&weights->rope_sliding);
    free(weights->layers);
    free(weights->items);
    *weights = (struct gemma_weights){ 0 };
}

uint64_t gemma_weights_bytes(const struct gemma_weights *weights)
{
    return op_store_bytes(weights->items, weights->n_items);
}

uint64_t gemma_token_bytes(const struct gemma_weights *weights, const struct gemma_shape *shape)
{
    uint64_t total = op_weight_bytes(&weights->head);
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const struct gemma_layer *l = &weights->layers[i];
        const struct op_weight *dense[] = { &l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down, &l->router };
        const struct op_weight *routed[] = { &l->expert_gate, &l->expert_up, &l->expert_down };
        for (size_t k = 0; k < COUNT(dense); ++k)
            total += op_weight_bytes(dense[k]);
        for (size_t k = 0; shape->n_experts > 0 && k < COUNT(routed); ++k)
            total += op_weight_bytes(routed[k]) / shape->n_experts * shape->n_experts_used;
    }
    return total;
}
