// model/shape.c -- metadata to one row per layer.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "model/gemma.h"

#define ARCHITECTURE "gemma4"
#define EMBD_MAX 65536
#define WIDTH_MAX (1u << 20)
#define HEAD_SIZE_MAX 512
#define EXPERTS_MAX 256
#define EXPERTS_USED_MAX 16
#define VOCAB_MAX (1u << 24)
#define CONTEXT_MAX (1u << 18) // positions the rotation tables reach

static const struct meta_entry *find_key(const struct model_file *file, const char *name)
{
    char key[128];
    snprintf(key, sizeof key, ARCHITECTURE ".%s", name);
    return model_file_find_meta(file, key);
}

// What a sentence calls a value.
static void print_value(char text[64], const struct meta_value *value)
{
    switch (value->type) {
    case META_UINT:
        snprintf(text, 64, "%" PRIu64, value->uint);
        return;
    case META_INT:
        snprintf(text, 64, "%" PRId64, value->sint);
        return;
    case META_FLOAT:
        snprintf(text, 64, "%g", value->real);
        return;
    case META_BOOL:
        snprintf(text, 64, "%s", value->boolean ? "true" : "false");
        return;
    default:
        snprintf(text, 64, "a text");
    }
}

// One element as a number in [low, high].
static enum karat_status convert_u32(uint32_t *out, const struct meta_entry *entry, uint64_t element, uint32_t low,
                                     uint32_t high, struct karat_error *err)
{
    const struct meta_value value = meta_get(entry, element);
    const bool is_flag = value.type == META_BOOL, is_signed = value.type == META_INT && value.sint < 0;
    const bool is_number = is_flag || value.type == META_UINT || value.type == META_INT;
    const uint64_t number = is_flag ? value.boolean : value.uint;
    if (is_number && !is_signed && number >= low && number <= high) {
        *out = (uint32_t)number;
        return KARAT_OK;
    }
    char found[64], where[48] = "";
    print_value(found, &value);
    if (entry->type == META_ARRAY)
        snprintf(where, sizeof where, " for layer %" PRIu64, element);
    return status_fail(err, KARAT_ERR_FORMAT, "key %.*s is %s%s, expected a whole number from %" PRIu32 " to %" PRIu32,
                       SPAN_ARGS(entry->key), found, where, low, high);
}

// Element `layer` of a per-layer array, or the scalar that stands for all layers.
static enum karat_status read_layer_u32(uint32_t *out, const struct model_file *file, const char *name, uint32_t layer,
                                        uint32_t n_layers, uint32_t low, uint32_t high, struct karat_error *err)
{
    const struct meta_entry *entry = find_key(file, name);
    if (!entry)
        return status_fail(err, KARAT_ERR_FORMAT, "key " ARCHITECTURE ".%s is missing", name);
    const bool is_array = entry->type == META_ARRAY;
    if (is_array && entry->n_elements != n_layers)
        return status_fail(err, KARAT_ERR_FORMAT,
                           "key " ARCHITECTURE ".%s has %" PRIu64 " elements, expected one per layer (%" PRIu32 ")",
                           name, entry->n_elements, n_layers);
    return convert_u32(out, entry, is_array ? layer : 0, low, high, err);
}

static enum karat_status read_u32(uint32_t *out, const struct model_file *file, const char *name, uint32_t low,
                                  uint32_t high, struct karat_error *err)
{
    const struct meta_entry *entry = find_key(file, name);
    if (!entry)
        return status_fail(err, KARAT_ERR_FORMAT, "key " ARCHITECTURE ".%s is missing", name);
    if (entry->type == META_ARRAY)
        return status_fail(err, KARAT_ERR_FORMAT, "key " ARCHITECTURE ".%s is an array, expected one number", name);
    return convert_u32(out, entry, 0, low, high, err);
}

// A key that says 0 by its absence. Of another kind it is refused: reading it as 0 would run another network.
static enum karat_status optional_u32(uint32_t *out, const struct model_file *file, const char *name, uint32_t high,
                                      struct karat_error *err)
{
    *out = 0;
    return find_key(file, name) ? read_u32(out, file, name, 0, high, err) : KARAT_OK;
}

static enum karat_status read_f64(double *out, const struct model_file *file, const char *name, double low, double high,
                                  struct karat_error *err)
{
    const struct meta_entry *entry = find_key(file, name);
    char key[128], found[64] = "an array";
    float value = 0;
    snprintf(key, sizeof key, ARCHITECTURE ".%s", name);
    if (!entry)
        return status_fail(err, KARAT_ERR_FORMAT, "key %s is missing", key);
    if (model_file_get_f32(file, key, &value) && value >= low && value <= high) {
        *out = value;
        return KARAT_OK;
    }
    if (entry->type != META_ARRAY) {
        const struct meta_value seen = meta_get(entry, 0);
        print_value(found, &seen);
    }
    return status_fail(err, KARAT_ERR_FORMAT, "key %s is %s, expected a number from %g to %g", key, found, low, high);
}

// Family members that need more than the layers below, each told apart by one key.
static enum karat_status refuse_other_members(const struct model_file *file, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    uint32_t n_embd_per_layer = 0, n_shared = 0;
    TRY(optional_u32(&n_embd_per_layer, file, "embedding_length_per_layer_input", UINT32_MAX, err));
    TRY(optional_u32(&n_shared, file, "attention.shared_kv_layers", UINT32_MAX, err));
    if (n_embd_per_layer > 0)
        return status_fail(err, KARAT_ERR_UNSUPPORTED,
                           "the model has per-layer embeddings of width %" PRIu32
                           " (Gemma 4 E2B or E4B), which this version does not run; use 26B-A4B, 31B or 12B",
                           n_embd_per_layer);
    if (n_shared > 0)
        return status_fail(err, KARAT_ERR_UNSUPPORTED,
                           "the model shares keys and values between its last %" PRIu32
                           " layers (Gemma 4 E2B or E4B), which this version does not run; use 26B-A4B, 31B or 12B",
                           n_shared);
cleanup:
    return status;
}

static enum karat_status check_architecture(const struct model_file *file, struct karat_error *err)
{
    struct span name;
    if (!model_file_get_text(file, "general.architecture", &name))
        return status_fail(err, KARAT_ERR_FORMAT, "key general.architecture is missing");
    if (!span_is(name, ARCHITECTURE))
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the architecture is \"%.*s\", expected \"" ARCHITECTURE "\"",
                           SPAN_ARGS(name));
    return refuse_other_members(file, err);
}

static enum karat_status read_experts(struct gemma_shape *shape, const struct model_file *file, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(optional_u32(&shape->n_experts, file, "expert_count", EXPERTS_MAX, err));
    if (shape->n_experts == 0)
        return KARAT_OK;
    TRY(read_u32(&shape->n_experts_used, file, "expert_used_count", 1, EXPERTS_USED_MAX, err));
    TRY(read_u32(&shape->n_ff_expert, file, "expert_feed_forward_length", 32, WIDTH_MAX, err));
    if (shape->n_experts_used > shape->n_experts)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "%" PRIu32 " experts are used per token, but there are only %" PRIu32,
                        shape->n_experts_used, shape->n_experts));
cleanup:
    return status;
}

static enum karat_status read_layer(struct gemma_shape *shape, uint32_t index, const struct model_file *file,
                                    struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gemma_layer_shape *layer = &shape->layers[index];
    const uint32_t n = shape->n_layers;
    uint32_t sliding = 0;

    TRY(read_layer_u32(&sliding, file, "attention.sliding_window_pattern", index, n, 0, 1, err));
    layer->sliding = sliding != 0;
    TRY(read_layer_u32(&layer->n_heads, file, "attention.head_count", index, n, 1, 1024, err));
    TRY(read_layer_u32(&layer->n_kv_heads, file, "attention.head_count_kv", index, n, 1, 1024, err));
    TRY(read_layer_u32(&layer->n_ff, file, "feed_forward_length", index, n, 32, WIDTH_MAX, err));

    const char *key_length = layer->sliding && find_key(file, "attention.key_length_swa") ? "attention.key_length_swa"
                                                                                          : "attention.key_length";
    const char *value_length = layer->sliding && find_key(file, "attention.value_length_swa")
                                   ? "attention.value_length_swa"
                                   : "attention.value_length";
    uint32_t value_size = 0;
    TRY(read_u32(&layer->head_size, file, key_length, 32, HEAD_SIZE_MAX, err));
    TRY(read_u32(&value_size, file, value_length, 32, HEAD_SIZE_MAX, err));
    if (value_size != layer->head_size || layer->head_size % 32 != 0)
        TRY(status_fail(err, KARAT_ERR_UNSUPPORTED,
                        "layer %" PRIu32 " has keys of %" PRIu32 " and values of %" PRIu32
                        " elements per head, expected equal multiples of 32",
                        index, layer->head_size, value_size));
    if (layer->n_heads % layer->n_kv_heads != 0)
        TRY(status_fail(err, KARAT_ERR_FORMAT,
                        "layer %" PRIu32 " has %" PRIu32 " query heads for %" PRIu32 " key heads, expected a multiple",
                        index, layer->n_heads, layer->n_kv_heads));

    char name[64];
    snprintf(name, sizeof name, "blk.%" PRIu32 ".attn_v.weight", index);
    layer->has_v = layer->sliding || model_file_find(file, name);
cleanup:
    return status;
}

enum karat_status gemma_shape_read(struct gemma_shape *out, const struct model_file *file, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    double eps = 0, softcap = 0;
    *out = (struct gemma_shape){ 0 };

    TRY(check_architecture(file, err));
    TRY(read_u32(&out->n_layers, file, "block_count", 1, GEMMA_LAYERS_MAX, err));
    TRY(read_u32(&out->n_embd, file, "embedding_length", 32, EMBD_MAX, err));
    TRY(read_u32(&out->n_context, file, "context_length", 1, UINT32_MAX, err));
    TRY(read_u32(&out->window, file, "attention.sliding_window", 1, CONTEXT_MAX, err));
    if (out->n_embd % 32 != 0)
        TRY(status_fail(err, KARAT_ERR_UNSUPPORTED, "the hidden size is %" PRIu32 ", expected a multiple of 32",
                        out->n_embd));
    if (out->n_context > CONTEXT_MAX)
        out->n_context = CONTEXT_MAX;
    TRY(read_f64(&eps, file, "attention.layer_norm_rms_epsilon", 0, 1, err));
    TRY(read_f64(&out->rope_base, file, "rope.freq_base", 1, 1e12, err));
    TRY(read_f64(&out->rope_base_sliding, file,
                 find_key(file, "rope.freq_base_swa") ? "rope.freq_base_swa" : "rope.freq_base", 1, 1e12, err));
    if (find_key(file, "final_logit_softcapping"))
        TRY(read_f64(&softcap, file, "final_logit_softcapping", 0, 1e6, err));
    out->eps = (float)eps;
    out->softcap = (float)softcap;
    TRY(read_experts(out, file, err));
    for (uint32_t i = 0; i < out->n_layers; ++i)
        TRY(read_layer(out, i, file, err));

    const struct tensor_info *embedding = model_file_find(file, "token_embd.weight");
    if (!embedding)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "tensor token_embd.weight is missing"));
    if (embedding->n_dims != 2)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "tensor token_embd.weight has %" PRIu32 " dimensions, expected 2",
                        embedding->n_dims));
    if (embedding->dims[1] > VOCAB_MAX)
        TRY(status_fail(err, KARAT_ERR_UNSUPPORTED,
                        "tensor token_embd.weight has %" PRIu64 " rows, expected at most %" PRIu32, embedding->dims[1],
                        VOCAB_MAX));
    out->n_vocab = (uint32_t)embedding->dims[1];
cleanup:
    return status;
}
