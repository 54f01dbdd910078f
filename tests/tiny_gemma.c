// tests/tiny_gemma.c -- see tiny_gemma.h. A list that is full ends the program: this is test code.
#include "tiny_gemma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "gguf_writer.h"
#include "loader/qtype.h"

#define ARCHITECTURE "gemma4"

enum { F32 = 0, Q4_0 = 2 }; // type ids of the format

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "tiny_gemma: %s\n", what);
    exit(1);
}

struct tiny_key *tiny_gemma_key(struct tiny_gemma *model, const char *name)
{
    for (size_t i = 0; i < model->n_keys; ++i)
        if (strcmp(model->keys[i].name, name) == 0)
            return &model->keys[i];
    return NULL;
}

struct tiny_tensor *tiny_gemma_tensor(struct tiny_gemma *model, const char *name)
{
    for (size_t i = 0; i < model->n_tensors; ++i)
        if (strcmp(model->tensors[i].name, name) == 0)
            return &model->tensors[i];
    return NULL;
}

static struct tiny_key *put_key(struct tiny_gemma *model, const char *name, uint32_t type)
{
    struct tiny_key *key = tiny_gemma_key(model, name);
    demand(key || model->n_keys < COUNT(model->keys), "too many keys");
    if (!key)
        key = &model->keys[model->n_keys++];
    *key = (struct tiny_key){ .type = type };
    snprintf(key->name, sizeof key->name, "%s", name);
    return key;
}

struct tiny_key *tiny_gemma_set(struct tiny_gemma *model, const char *name, uint32_t type, int64_t number)
{
    struct tiny_key *key = put_key(model, name, type);
    key->numbers[0] = number;
    return key;
}

struct tiny_key *tiny_gemma_set_array(struct tiny_gemma *model, const char *name, uint32_t type, int64_t number,
                                      size_t n)
{
    struct tiny_key *key = put_key(model, name, type);
    demand(n <= COUNT(key->numbers), "too many elements");
    key->is_array = true;
    key->n = n;
    for (size_t i = 0; i < n; ++i)
        key->numbers[i] = number;
    return key;
}

struct tiny_key *tiny_gemma_set_real(struct tiny_gemma *model, const char *name, float real)
{
    struct tiny_key *key = put_key(model, name, W_F32);
    key->real = real;
    return key;
}

struct tiny_key *tiny_gemma_set_text(struct tiny_gemma *model, const char *name, const char *text)
{
    struct tiny_key *key = put_key(model, name, W_TEXT);
    key->text = text;
    return key;
}

struct tiny_tensor *tiny_gemma_add_tensor(struct tiny_gemma *model, const char *name, uint32_t gguf_type, uint64_t dim0,
                                          uint64_t dim1, uint64_t dim2)
{
    demand(model->n_tensors < COUNT(model->tensors), "too many tensors");
    struct tiny_tensor *tensor = &model->tensors[model->n_tensors++];
    *tensor = (struct tiny_tensor){ .gguf_type = gguf_type, .dims = { dim0, dim1, dim2 }, .size_bytes = SIZE_MAX };
    tensor->n_dims = dim2 ? 3 : dim1 ? 2 : 1;
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    return tensor;
}

bool tiny_gemma_drop_key(struct tiny_gemma *model, const char *name)
{
    struct tiny_key *key = tiny_gemma_key(model, name);
    if (key)
        memmove(key, key + 1, (size_t)(&model->keys[model->n_keys--] - (key + 1)) * sizeof *key);
    return key != NULL;
}

bool tiny_gemma_drop_tensor(struct tiny_gemma *model, const char *name)
{
    struct tiny_tensor *tensor = tiny_gemma_tensor(model, name);
    if (tensor)
        memmove(tensor, tensor + 1, (size_t)(&model->tensors[model->n_tensors--] - (tensor + 1)) * sizeof *tensor);
    return tensor != NULL;
}

// ------------------------------------------------------------------------------------------------ the two models

struct tensor_row {
    const char *suffix;
    uint32_t gguf_type;
    uint64_t dims[3];
    bool experts_only;
};

static void add_layer(struct tiny_gemma *model, unsigned index, bool sliding, bool experts)
{
    const uint64_t embd = TINY_EMBD, q = sliding ? TINY_Q_SLIDING : TINY_Q_GLOBAL, head = sliding ? 32 : 64;
    const struct tensor_row rows[] = {
        { "attn_norm.weight", F32, { embd }, false },
        { "attn_q.weight", Q4_0, { embd, q }, false },
        { "attn_k.weight", Q4_0, { embd, TINY_KV }, false },
        { "attn_q_norm.weight", F32, { head }, false },
        { "attn_k_norm.weight", F32, { head }, false },
        { "attn_output.weight", Q4_0, { q, embd }, false },
        { "post_attention_norm.weight", F32, { embd }, false },
        { "ffn_norm.weight", F32, { embd }, false },
        { "ffn_gate.weight", Q4_0, { embd, TINY_FF }, false },
        { "ffn_up.weight", Q4_0, { embd, TINY_FF }, false },
        { "ffn_down.weight", Q4_0, { TINY_FF, embd }, false },
        { "post_ffw_norm.weight", F32, { embd }, false },
        { "layer_output_scale.weight", F32, { 1 }, false },
        { "post_ffw_norm_1.weight", F32, { embd }, true },
        { "pre_ffw_norm_2.weight", F32, { embd }, true },
        { "post_ffw_norm_2.weight", F32, { embd }, true },
        { "ffn_gate_inp.weight", F32, { embd, TINY_EXPERTS }, true },
        { "ffn_gate_inp.scale", F32, { embd }, true },
        { "ffn_gate_up_exps.weight", Q4_0, { embd, 2 * TINY_FF_EXPERT, TINY_EXPERTS }, true },
        { "ffn_down_exps.weight", Q4_0, { TINY_FF_EXPERT, embd, TINY_EXPERTS }, true },
        { "ffn_down_exps.scale", F32, { TINY_EXPERTS }, true },
    };
    char name[64];
    for (size_t i = 0; i < COUNT(rows); ++i) {
        if (rows[i].experts_only && !experts)
            continue;
        snprintf(name, sizeof name, "blk.%u.%s", index, rows[i].suffix);
        tiny_gemma_add_tensor(model, name, rows[i].gguf_type, rows[i].dims[0], rows[i].dims[1], rows[i].dims[2]);
    }
    snprintf(name, sizeof name, "blk.%u.attn_v.weight", index);
    if (sliding)
        tiny_gemma_add_tensor(model, name, Q4_0, embd, TINY_KV, 0);
}

static void build(struct tiny_gemma *out, bool experts)
{
    *out = (struct tiny_gemma){ 0 };
    tiny_gemma_set_text(out, "general.architecture", ARCHITECTURE);
    tiny_gemma_set(out, ARCHITECTURE ".block_count", W_U32, 2);
    tiny_gemma_set(out, ARCHITECTURE ".embedding_length", W_U32, TINY_EMBD);
    tiny_gemma_set(out, ARCHITECTURE ".context_length", W_U32, 256);
    tiny_gemma_set(out, ARCHITECTURE ".attention.sliding_window", W_U32, 16);
    tiny_gemma_set_real(out, ARCHITECTURE ".attention.layer_norm_rms_epsilon", 1e-6f);
    tiny_gemma_set_real(out, ARCHITECTURE ".rope.freq_base", 1e6f);
    tiny_gemma_set_real(out, ARCHITECTURE ".rope.freq_base_swa", 1e4f);
    tiny_gemma_set_real(out, ARCHITECTURE ".final_logit_softcapping", 30);
    tiny_gemma_set_array(out, ARCHITECTURE ".attention.sliding_window_pattern", W_BOOL, 0, 2)->numbers[0] = 1;
    tiny_gemma_set(out, ARCHITECTURE ".attention.head_count", W_U32, 4);
    tiny_gemma_set_array(out, ARCHITECTURE ".attention.head_count_kv", W_U32, 1, 2)->numbers[0] = 2;
    tiny_gemma_set(out, ARCHITECTURE ".attention.key_length", W_U32, 64);
    tiny_gemma_set(out, ARCHITECTURE ".attention.value_length", W_U32, 64);
    tiny_gemma_set(out, ARCHITECTURE ".attention.key_length_swa", W_U32, 32);
    tiny_gemma_set(out, ARCHITECTURE ".attention.value_length_swa", W_U32, 32);
    tiny_gemma_set(out, ARCHITECTURE ".feed_forward_length", W_U32, TINY_FF);
    tiny_gemma_set(out, ARCHITECTURE ".attention.shared_kv_layers", W_U32, 0);
    tiny_gemma_set(out, ARCHITECTURE ".embedding_length_per_layer_input", W_U32, 0);
    if (experts) {
        tiny_gemma_set(out, ARCHITECTURE ".expert_count", W_U32, TINY_EXPERTS);
        tiny_gemma_set(out, ARCHITECTURE ".expert_used_count", W_U32, 2);
        tiny_gemma_set(out, ARCHITECTURE ".expert_feed_forward_length", W_U32, TINY_FF_EXPERT);
    }
    tiny_gemma_add_tensor(out, "token_embd.weight", Q4_0, TINY_EMBD, TINY_VOCAB, 0);
    tiny_gemma_add_tensor(out, "output_norm.weight", F32, TINY_EMBD, 0, 0);
    tiny_gemma_add_tensor(out, "rope_freqs.weight", F32, 32, 0, 0);
    add_layer(out, 0, true, experts);
    add_layer(out, 1, false, experts);
}

void tiny_gemma_experts(struct tiny_gemma *out)
{
    build(out, true);
}

void tiny_gemma_dense(struct tiny_gemma *out)
{
    build(out, false);
}

// ------------------------------------------------------------------------------------------------ writing

static void write_array(struct gguf_writer *w, const struct tiny_key *key)
{
    uint8_t bytes[8] = { 0 };
    uint32_t words[8] = { 0 };
    for (size_t i = 0; i < key->n; ++i) {
        bytes[i] = (uint8_t)key->numbers[i];
        words[i] = (uint32_t)key->numbers[i];
    }
    demand(key->type == W_BOOL || key->type == W_U32 || key->type == W_I32, "no arrays of this type");
    gguf_writer_array(w, key->name, key->type, key->type == W_BOOL ? (void *)bytes : (void *)words, key->n);
}

static void write_key(struct gguf_writer *w, const struct tiny_key *key)
{
    if (key->is_array)
        write_array(w, key);
    else if (key->type == W_TEXT)
        gguf_writer_text(w, key->name, key->text);
    else if (key->type == W_F32)
        gguf_writer_f32(w, key->name, key->real);
    else if (key->type == W_BOOL)
        gguf_writer_bool(w, key->name, key->numbers[0] != 0);
    else if (key->type == W_I32)
        gguf_writer_i32(w, key->name, (int32_t)key->numbers[0]);
    else if (key->type == W_U64)
        gguf_writer_value(w, key->name, W_U64, &(uint64_t){ (uint64_t)key->numbers[0] });
    else
        gguf_writer_u32(w, key->name, (uint32_t)key->numbers[0]);
}

static size_t data_bytes(const struct tiny_tensor *tensor)
{
    const enum qtype type = qtype_from_gguf(tensor->gguf_type);
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor->n_dims; ++i)
        n *= tensor->dims[i];
    if (tensor->size_bytes != SIZE_MAX)
        return tensor->size_bytes;
    return type < QTYPE_COUNT ? (size_t)(n / qtypes[type].block_len * qtypes[type].block_bytes) : (size_t)n;
}

uint8_t *tiny_gemma_finish(const struct tiny_gemma *model, size_t *size_bytes)
{
    static struct gguf_writer empty;
    struct gguf_writer *w = malloc(sizeof *w);
    demand(w != NULL, "no memory");
    *w = empty;
    for (size_t i = 0; i < model->n_keys; ++i)
        write_key(w, &model->keys[i]);
    for (size_t i = 0; i < model->n_tensors; ++i) {
        const struct tiny_tensor *tensor = &model->tensors[i];
        gguf_writer_tensor(w, tensor->name, tensor->gguf_type, tensor->n_dims, tensor->dims, NULL, data_bytes(tensor));
    }
    uint8_t *bytes = gguf_writer_finish(w, size_bytes, NULL, NULL, NULL);
    gguf_writer_free(w);
    free(w);
    return bytes;
}
