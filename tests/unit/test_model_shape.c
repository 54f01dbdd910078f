// tests/unit/test_model_shape.c -- what a file says about the network is read, or refused in one sentence that names
// the key or tensor, what is there and what was expected.
#include <stdlib.h>

#include "gguf_writer.h"
#include "model/gemma.h"
#include "test.h"
#include "tiny_gemma.h"

#define G "gemma4."

enum { F32 = 0, Q4_0 = 2, Q4_1 = 3, UNKNOWN_FORMAT = 40 };

// A description written, opened, read and bound, as far as that goes.
struct bound {
    uint8_t *bytes;
    struct model_file *file;
    struct gemma_shape shape;
    struct gemma_weights weights;
    enum karat_status status;
    struct karat_error err;
};

static struct bound *bind(struct test *t, const struct tiny_gemma *model)
{
    struct bound *b = calloc(1, sizeof *b);
    size_t size = 0;
    if (!CHECK(b != NULL))
        exit(1);
    b->bytes = tiny_gemma_finish(model, &size);
    b->status = model_file_from_bytes(&b->file, "tiny", span_of(b->bytes, size), &b->err);
    // The loader has tests of its own: a fault that it finds says nothing about this room.
    test_check(t, b->status == KARAT_OK, __FILE__, __LINE__, "the loader: %s", b->err.text);
    if (b->status == KARAT_OK)
        b->status = gemma_shape_read(&b->shape, b->file, &b->err);
    if (b->status == KARAT_OK)
        b->status = gemma_weights_bind(&b->weights, &b->shape, b->file, &b->err);
    return b;
}

static void unbind(struct bound *b)
{
    gemma_weights_free(&b->weights);
    model_file_close(b->file);
    free(b->bytes);
    free(b);
}

static bool is_bound(struct test *t, const struct bound *b)
{
    return test_check(t, b->status == KARAT_OK, __FILE__, __LINE__, "refused: %s", b->err.text);
}

// ------------------------------------------------------------------------------------------------ good files

TEST(a_model_with_experts_is_read)
{
    struct tiny_gemma model;
    tiny_gemma_experts(&model);
    struct bound *b = bind(t, &model);
    if (is_bound(t, b)) {
        CHECK_UINT(b->shape.n_layers, 2);
        CHECK_UINT(b->shape.n_embd, TINY_EMBD);
        CHECK_UINT(b->shape.n_vocab, TINY_VOCAB);
        CHECK_UINT(b->shape.n_context, 256);
        CHECK_UINT(b->shape.window, 16);
        CHECK_UINT(b->shape.n_experts, TINY_EXPERTS);
        CHECK_UINT(b->shape.n_experts_used, 2);
        CHECK_UINT(b->shape.n_ff_expert, TINY_FF_EXPERT);
        CHECK_NEAR(b->shape.eps, 1e-6, 1e-12);
        CHECK_NEAR(b->shape.softcap, 30, 0);
        CHECK_NEAR(b->shape.rope_base, 1e6, 0);
        CHECK_NEAR(b->shape.rope_base_sliding, 1e4, 0);
        const struct gemma_layer_shape *first = &b->shape.layers[0], *last = &b->shape.layers[1];
        CHECK(first->sliding && first->has_v && !last->sliding && !last->has_v);
        CHECK(first->n_heads == 4 && first->n_kv_heads == 2 && first->head_size == 32 && first->n_ff == TINY_FF);
        CHECK(last->n_heads == 4 && last->n_kv_heads == 1 && last->head_size == 64 && last->n_ff == TINY_FF);
        CHECK(!b->weights.untied);
        CHECK(gemma_weights_bytes(&b->weights) > 0);
    }
    unbind(b);
}

TEST(a_dense_model_is_read)
{
    struct tiny_gemma model;
    tiny_gemma_dense(&model);
    struct bound *b = bind(t, &model);
    if (is_bound(t, b)) {
        CHECK_UINT(b->shape.n_experts, 0);
        CHECK_UINT(b->shape.n_experts_used, 0);
        // Two tensors of the ends, 13 of each layer and a value projection; the rotation factors are no weight.
        CHECK_UINT(b->weights.n_items, 2 + 2 * 13 + 1);
    }
    unbind(b);
}

// Items whose tensor has this name: 0 when nothing was bound to it, 2 for the halves of gate and up.
static size_t count_items(const struct bound *b, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < b->weights.n_items; ++i)
        n += span_is(b->weights.items[i].tensor->name, name);
    return n;
}

TEST(every_item_has_a_tensor_and_one_place_of_its_own)
{
    struct tiny_gemma model;
    tiny_gemma_experts(&model);
    struct bound *b = bind(t, &model);
    if (is_bound(t, b)) {
        for (size_t i = 0; i < b->weights.n_items; ++i) {
            const struct op_store_item *item = &b->weights.items[i];
            CHECK(item->tensor && !item->weight != !item->vector);
            for (size_t k = 0; k < i; ++k)
                CHECK((item->weight && b->weights.items[k].weight != item->weight) ||
                      (item->vector && b->weights.items[k].vector != item->vector));
        }
        for (size_t i = 0; i < model.n_tensors; ++i) {
            const char *name = model.tensors[i].name;
            const size_t wanted = strstr(name, "gate_up_exps") ? 2 : strcmp(name, "rope_freqs.weight") == 0 ? 0 : 1;
            test_check(t, count_items(b, name) == wanted, __FILE__, __LINE__, "%s is bound %zu times, expected %zu",
                       name, count_items(b, name), wanted);
        }
    }
    unbind(b);
}

// ------------------------------------------------------------------------------------------------ tolerated

typedef void change_fn(struct tiny_gemma *model);

static void add_extras(struct tiny_gemma *m)
{
    tiny_gemma_add_tensor(m, "blk.0.something_new.weight", Q4_0, 32, 7, 0);
    tiny_gemma_add_tensor(m, "mm.vision.weight", UNKNOWN_FORMAT, 32, 3, 2);
    tiny_gemma_set_text(m, G "something_new", "text");
    tiny_gemma_set_array(m, "general.numbers", W_I32, -1, 5);
}

static void untie_head(struct tiny_gemma *m)
{
    tiny_gemma_add_tensor(m, "output.weight", Q4_0, TINY_EMBD, TINY_VOCAB, 0);
}

static void separate_gate_up(struct tiny_gemma *m)
{
    for (int i = 0; i < 2; ++i) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.ffn_gate_up_exps.weight", i);
        tiny_gemma_drop_tensor(m, name);
        snprintf(name, sizeof name, "blk.%d.ffn_gate_exps.weight", i);
        tiny_gemma_add_tensor(m, name, Q4_0, TINY_EMBD, TINY_FF_EXPERT, TINY_EXPERTS);
        snprintf(name, sizeof name, "blk.%d.ffn_up_exps.weight", i);
        tiny_gemma_add_tensor(m, name, Q4_0, TINY_EMBD, TINY_FF_EXPERT, TINY_EXPERTS);
    }
}

static void scalars_for_arrays(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "attention.head_count_kv", W_U32, 1);
    tiny_gemma_tensor(m, "blk.0.attn_k.weight")->dims[1] = 32;
    tiny_gemma_tensor(m, "blk.0.attn_v.weight")->dims[1] = 32;
}

static void arrays_for_scalars(struct tiny_gemma *m)
{
    tiny_gemma_set_array(m, G "attention.head_count", W_I32, 4, 2);
    tiny_gemma_set_array(m, G "feed_forward_length", W_I32, TINY_FF, 2);
    tiny_gemma_set_array(m, G "attention.sliding_window_pattern", W_U32, 0, 2)->numbers[0] = 1;
}

static void other_number_types(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "block_count", W_U64, 2);
    tiny_gemma_set(m, G "embedding_length", W_I32, TINY_EMBD);
    tiny_gemma_set(m, G "rope.freq_base", W_U32, 1000000);
}

static void v_everywhere(struct tiny_gemma *m)
{
    tiny_gemma_add_tensor(m, "blk.1.attn_v.weight", Q4_0, TINY_EMBD, TINY_KV, 0);
}

static void no_optionals(struct tiny_gemma *m)
{
    tiny_gemma_drop_tensor(m, "blk.0.layer_output_scale.weight");
    tiny_gemma_drop_tensor(m, "blk.1.layer_output_scale.weight");
    tiny_gemma_drop_key(m, G "final_logit_softcapping");
    tiny_gemma_drop_key(m, G "attention.shared_kv_layers");
    tiny_gemma_drop_key(m, G "embedding_length_per_layer_input");
}

static void one_rope_base(struct tiny_gemma *m)
{
    tiny_gemma_drop_key(m, G "rope.freq_base_swa");
}

static void odd_expert_width(struct tiny_gemma *m)
{
    // Not a multiple of any format's block but the plainest: rows are padded on the device.
    tiny_gemma_set(m, G "expert_feed_forward_length", W_U32, 36);
    for (int i = 0; i < 2; ++i) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.ffn_gate_up_exps.weight", i);
        tiny_gemma_tensor(m, name)->dims[1] = 72;
        snprintf(name, sizeof name, "blk.%d.ffn_down_exps.weight", i);
        struct tiny_tensor *down = tiny_gemma_tensor(m, name);
        down->dims[0] = 36;
        down->gguf_type = F32;
    }
}

static void huge_context(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "context_length", W_U32, 4000000000);
}

static void no_expert_scale(struct tiny_gemma *m)
{
    tiny_gemma_drop_tensor(m, "blk.0.ffn_down_exps.scale");
    tiny_gemma_drop_tensor(m, "blk.1.ffn_down_exps.scale");
}

static const struct tolerated {
    const char *name;
    change_fn *change;
    const char *tensor; // how often it is bound then; NULL: does not matter
    size_t n_bound;
} tolerated[] = {
    { "extra tensors and unknown keys", add_extras, "mm.vision.weight", 0 },
    { "a head of its own", untie_head, "output.weight", 1 },
    { "gate and up apart", separate_gate_up, "blk.1.ffn_gate_exps.weight", 1 },
    { "up apart", separate_gate_up, "blk.1.ffn_up_exps.weight", 1 },
    { "a scalar for all layers", scalars_for_arrays, NULL, 0 },
    { "an array of equal numbers", arrays_for_scalars, NULL, 0 },
    { "numbers of other types", other_number_types, NULL, 0 },
    { "values on global layers, too", v_everywhere, "blk.1.attn_v.weight", 1 },
    { "nothing that is optional", no_optionals, "blk.0.layer_output_scale.weight", 0 },
    { "one rotation base", one_rope_base, NULL, 0 },
    { "experts of an odd width", odd_expert_width, "blk.0.ffn_down_exps.weight", 1 },
    { "a context beyond the tables", huge_context, NULL, 0 },
    { "experts without a scale", no_expert_scale, "blk.0.ffn_down_exps.scale", 0 },
};

TEST(what_does_not_matter_is_tolerated)
{
    for (size_t i = 0; i < COUNT(tolerated); ++i) {
        struct tiny_gemma model;
        t->row = tolerated[i].name;
        tiny_gemma_experts(&model);
        tolerated[i].change(&model);
        struct bound *b = bind(t, &model);
        if (is_bound(t, b) && tolerated[i].tensor)
            CHECK_UINT(count_items(b, tolerated[i].tensor), tolerated[i].n_bound);
        unbind(b);
    }
    t->row = NULL;
}

TEST(tolerated_things_have_their_meaning)
{
    struct tiny_gemma model;
    tiny_gemma_experts(&model);
    untie_head(&model);
    v_everywhere(&model);
    one_rope_base(&model);
    no_optionals(&model);
    huge_context(&model);
    struct bound *b = bind(t, &model);
    if (is_bound(t, b)) {
        CHECK(b->weights.untied);
        CHECK(b->shape.layers[1].has_v);
        CHECK_NEAR(b->shape.rope_base_sliding, 1e6, 0);
        CHECK_NEAR(b->shape.softcap, 0, 0);
        CHECK_UINT(b->shape.n_context, 1u << 18);
    }
    unbind(b);
}

// ------------------------------------------------------------------------------------------------ faults

enum fault_kind {
    DROP_KEY,
    SET_U32,   // number
    SET_I32,   // number
    SET_REAL,  // real
    SET_TEXT,  // "text"
    SET_ARRAY, // n numbers
    DROP_TENSOR,
    SET_DIM0, // number
    SET_DIM1,
    SET_DIM2,
    SWAP_DIMS,
    ADD_DIM,    // a third one of 2
    DROP_DIM,   // the last one
    SET_FORMAT, // number
};

static const struct fault {
    enum fault_kind kind;
    const char *name;
    int64_t number;
    size_t n;
    float real;
    enum karat_status status;
    const char *says[4]; // each must be in the sentence; the name always
} faults[] = {
#define FORMAT KARAT_ERR_FORMAT
#define UNSUPPORTED KARAT_ERR_UNSUPPORTED
    // --- keys that are missing
    { DROP_KEY, "general.architecture", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "block_count", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "embedding_length", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "context_length", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "attention.sliding_window", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "attention.layer_norm_rms_epsilon", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "rope.freq_base", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "attention.sliding_window_pattern", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "attention.head_count", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "attention.head_count_kv", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "attention.key_length", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "attention.value_length", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "feed_forward_length", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "expert_used_count", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_KEY, G "expert_feed_forward_length", 0, 0, 0, FORMAT, { "missing" } },
    // --- values
    { SET_U32, "general.architecture", 4, 0, 0, FORMAT, { "missing" } },
    { SET_U32, G "block_count", 0, 0, 0, FORMAT, { "is 0", "1 to 256" } },
    { SET_U32, G "block_count", 4294967295, 0, 0, FORMAT, { "4294967295", "1 to 256" } },
    { SET_I32, G "block_count", -2, 0, 0, FORMAT, { "is -2", "1 to 256" } },
    { SET_REAL, G "block_count", 0, 0, 2, FORMAT, { "is 2", "whole number" } },
    { SET_TEXT, G "block_count", 0, 0, 0, FORMAT, { "a text", "whole number" } },
    { SET_ARRAY, G "block_count", 2, 2, 0, FORMAT, { "an array", "one number" } },
    { SET_U32, G "block_count", 3, 0, 0, FORMAT, { "2 elements", "(3)" } },
    { SET_U32, G "embedding_length", 0, 0, 0, FORMAT, { "is 0", "32 to 65536" } },
    { SET_U32, G "embedding_length", 100, 0, 0, UNSUPPORTED, { "100", "multiple of 32" } },
    { SET_U32, G "embedding_length", 1000000, 0, 0, FORMAT, { "1000000", "32 to 65536" } },
    { SET_U32, G "context_length", 0, 0, 0, FORMAT, { "is 0" } },
    { SET_U32, G "attention.sliding_window", 0, 0, 0, FORMAT, { "is 0" } },
    { SET_U32, G "attention.sliding_window", 4294967295, 0, 0, FORMAT, { "4294967295", "262144" } },
    { SET_REAL, G "attention.layer_norm_rms_epsilon", 0, 0, -1, FORMAT, { "is -1", "0 to 1" } },
    { SET_REAL, G "attention.layer_norm_rms_epsilon", 0, 0, NAN, FORMAT, { "nan", "0 to 1" } },
    { SET_TEXT, G "attention.layer_norm_rms_epsilon", 0, 0, 0, FORMAT, { "a text", "0 to 1" } },
    { SET_REAL, G "rope.freq_base", 0, 0, 0, FORMAT, { "is 0" } },
    { SET_REAL, G "rope.freq_base", 0, 0, INFINITY, FORMAT, { "inf" } },
    { SET_ARRAY, G "rope.freq_base", 10000, 2, 0, FORMAT, { "an array" } },
    { SET_REAL, G "rope.freq_base_swa", 0, 0, -1e4f, FORMAT, { "-10000" } },
    { SET_REAL, G "final_logit_softcapping", 0, 0, -30, FORMAT, { "is -30" } },
    { SET_ARRAY, G "attention.sliding_window_pattern", 1, 3, 0, FORMAT, { "3 elements", "(2)" } },
    { SET_ARRAY, G "attention.sliding_window_pattern", 1, 0, 0, FORMAT, { "0 elements", "(2)" } },
    { SET_ARRAY, G "attention.sliding_window_pattern", 2, 2, 0, FORMAT, { "is 2 for layer 0", "0 to 1" } },
    { SET_U32, G "attention.head_count", 0, 0, 0, FORMAT, { "is 0", "1 to 1024" } },
    { SET_U32, G "attention.head_count", 4096, 0, 0, FORMAT, { "4096", "1 to 1024" } },
    { SET_ARRAY, G "attention.head_count", 4, 1, 0, FORMAT, { "1 elements", "(2)" } },
    { SET_ARRAY, G "attention.head_count_kv", 0, 2, 0, FORMAT, { "is 0 for layer 0", "1 to 1024" } },
    { SET_TEXT, G "attention.head_count_kv", 0, 0, 0, FORMAT, { "a text" } },
    { SET_U32, G "attention.key_length", 0, 0, 0, FORMAT, { "is 0", "32 to 512" } },
    { SET_U32, G "attention.key_length", 1024, 0, 0, FORMAT, { "is 1024", "32 to 512" } },
    { SET_ARRAY, G "attention.key_length", 64, 2, 0, FORMAT, { "an array" } },
    { SET_U32, G "feed_forward_length", 0, 0, 0, FORMAT, { "is 0", "32 to" } },
    { SET_ARRAY, G "feed_forward_length", 160, 4, 0, FORMAT, { "4 elements", "(2)" } },
    { SET_U32, G "expert_count", 1000, 0, 0, FORMAT, { "is 1000", "256" } },
    { SET_I32, G "expert_count", -1, 0, 0, FORMAT, { "is -1" } },
    { SET_REAL, G "expert_count", 0, 0, 5, FORMAT, { "is 5", "whole number" } },
    { SET_TEXT, G "expert_count", 0, 0, 0, FORMAT, { "a text" } },
    { SET_U32, G "expert_used_count", 0, 0, 0, FORMAT, { "is 0", "1 to 16" } },
    { SET_U32, G "expert_used_count", 17, 0, 0, FORMAT, { "is 17", "1 to 16" } },
    { SET_U32, G "expert_feed_forward_length", 0, 0, 0, FORMAT, { "is 0" } },
    { SET_TEXT, G "embedding_length_per_layer_input", 0, 0, 0, FORMAT, { "a text" } },
    // --- tensors that are missing
    { DROP_TENSOR, "token_embd.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "output_norm.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.attn_norm.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.attn_q.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.1.attn_k.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.attn_v.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.1.attn_q_norm.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.1.attn_k_norm.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.attn_output.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.post_attention_norm.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.ffn_norm.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.ffn_gate.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.ffn_up.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.ffn_down.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.post_ffw_norm.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.post_ffw_norm_1.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.pre_ffw_norm_2.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.0.post_ffw_norm_2.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.1.ffn_gate_inp.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.1.ffn_gate_inp.scale", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.1.ffn_gate_up_exps.weight", 0, 0, 0, FORMAT, { "missing" } },
    { DROP_TENSOR, "blk.1.ffn_down_exps.weight", 0, 0, 0, FORMAT, { "missing" } },
    // --- shapes
    { ADD_DIM, "token_embd.weight", 0, 0, 0, FORMAT, { "3 dimensions", "expected 2" } },
    { DROP_DIM, "token_embd.weight", 0, 0, 0, FORMAT, { "1 dimensions", "expected 2" } },
    { SWAP_DIMS, "token_embd.weight", 0, 0, 0, FORMAT, { "[64, 96]", "[96, 96]" } },
    { SET_DIM0, "output_norm.weight", 64, 0, 0, FORMAT, { "[64]", "[96]" } },
    { SWAP_DIMS, "blk.0.attn_q.weight", 0, 0, 0, FORMAT, { "[128, 96]", "[96, 128]" } },
    { SWAP_DIMS, "blk.1.attn_output.weight", 0, 0, 0, FORMAT, { "[96, 256]", "[256, 96]" } },
    { SET_DIM1, "blk.0.attn_k.weight", 32, 0, 0, FORMAT, { "[96, 32]", "[96, 64]" } },
    { SET_DIM1, "blk.0.attn_v.weight", 128, 0, 0, FORMAT, { "[96, 128]", "[96, 64]" } },
    { SET_DIM0, "blk.1.attn_q_norm.weight", 32, 0, 0, FORMAT, { "[32]", "[64]" } },
    { ADD_DIM, "blk.0.ffn_gate.weight", 0, 0, 0, FORMAT, { "[96, 160, 2]", "[96, 160]" } },
    { SWAP_DIMS, "blk.0.ffn_down.weight", 0, 0, 0, FORMAT, { "[96, 160]", "[160, 96]" } },
    { DROP_DIM, "blk.0.ffn_down_exps.weight", 0, 0, 0, FORMAT, { "[32, 96]", "[32, 96, 5]" } },
    { SET_DIM2, "blk.0.ffn_down_exps.weight", 4, 0, 0, FORMAT, { "[32, 96, 4]", "[32, 96, 5]" } },
    { SET_DIM1, "blk.0.ffn_gate_up_exps.weight", 32, 0, 0, FORMAT, { "[96, 32, 5]", "[96, 64, 5]" } },
    { SET_DIM1, "blk.0.ffn_gate_inp.weight", 6, 0, 0, FORMAT, { "[96, 6]", "[96, 5]" } },
    { SET_DIM0, "blk.0.ffn_down_exps.scale", 4, 0, 0, FORMAT, { "[4]", "[5]" } },
    { SET_DIM0, "blk.1.layer_output_scale.weight", 2, 0, 0, FORMAT, { "[2]", "[1]" } },
    // --- formats
    { SET_FORMAT, "token_embd.weight", UNKNOWN_FORMAT, 0, 0, UNSUPPORTED, { "40" } },
    { SET_FORMAT, "blk.0.attn_norm.weight", UNKNOWN_FORMAT, 0, 0, UNSUPPORTED, { "40" } },
    { SET_FORMAT, "blk.1.ffn_gate_up_exps.weight", UNKNOWN_FORMAT, 0, 0, UNSUPPORTED, { "40" } },
};

static bool apply_to_key(struct tiny_gemma *model, const struct fault *f)
{
    switch (f->kind) {
    case DROP_KEY:
        return tiny_gemma_drop_key(model, f->name);
    case SET_U32:
        return tiny_gemma_set(model, f->name, W_U32, f->number);
    case SET_I32:
        return tiny_gemma_set(model, f->name, W_I32, f->number);
    case SET_REAL:
        return tiny_gemma_set_real(model, f->name, f->real);
    case SET_TEXT:
        return tiny_gemma_set_text(model, f->name, "text");
    case SET_ARRAY:
        return tiny_gemma_set_array(model, f->name, W_U32, f->number, f->n);
    default:
        return false;
    }
}

static bool apply_to_tensor(struct tiny_gemma *model, const struct fault *f)
{
    struct tiny_tensor *tensor = tiny_gemma_tensor(model, f->name);
    if (!tensor)
        return false;
    const uint64_t dim0 = tensor->dims[0];
    switch (f->kind) {
    case DROP_TENSOR:
        return tiny_gemma_drop_tensor(model, f->name);
    case SET_DIM0:
    case SET_DIM1:
    case SET_DIM2:
        tensor->dims[f->kind - SET_DIM0] = (uint64_t)f->number;
        return true;
    case SWAP_DIMS:
        tensor->dims[0] = tensor->dims[1];
        tensor->dims[1] = dim0;
        return true;
    case ADD_DIM:
        tensor->dims[tensor->n_dims++] = 2;
        return true;
    case DROP_DIM:
        --tensor->n_dims;
        return true;
    case SET_FORMAT:
        tensor->gguf_type = (uint32_t)f->number;
        return true;
    default:
        return false;
    }
}

static void check_sentence(struct test *t, const struct karat_error *err, const char *says)
{
    const size_t length = strlen(err->text);
    test_check(t, strstr(err->text, says), __FILE__, __LINE__, "the sentence is \"%s\", expected \"%s\" in it",
               err->text, says);
    CHECK(length > 10 && !strpbrk(err->text, "\r\n") && err->text[length - 1] != '.');
}

TEST(every_fault_is_refused_in_one_sentence)
{
    for (size_t i = 0; i < COUNT(faults); ++i) {
        const struct fault *f = &faults[i];
        struct tiny_gemma model;
        char row[128];
        snprintf(row, sizeof row, "row %zu, %s", i, f->name);
        t->row = row;
        tiny_gemma_experts(&model);
        if (CHECK(apply_to_key(&model, f) || apply_to_tensor(&model, f))) {
            struct bound *b = bind(t, &model);
            CHECK_UINT(b->status, f->status);
            CHECK_UINT(b->err.status, f->status);
            if (f->kind != SET_U32 || f->number != 3) // a wrong number of layers shows in another key
                if (f->number != 100)                 // the sentence says "hidden size"
                    check_sentence(t, &b->err, f->name);
            for (size_t k = 0; k < COUNT(f->says) && f->says[k]; ++k)
                check_sentence(t, &b->err, f->says[k]);
            CHECK(!b->weights.items && !b->weights.layers); // nothing is left behind
            unbind(b);
        }
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ faults of two keys

static void other_architecture(struct tiny_gemma *m)
{
    tiny_gemma_set_text(m, "general.architecture", "llama");
}

static void like_e2b(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "embedding_length_per_layer_input", W_U32, 256);
}

static void shared_layers(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "attention.shared_kv_layers", W_U32, 20);
}

static void odd_head_size(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "attention.key_length", W_U32, 80);
    tiny_gemma_set(m, G "attention.value_length", W_U32, 80);
}

static void unequal_head_sizes(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "attention.value_length_swa", W_U32, 64);
}

static void undivided_heads(struct tiny_gemma *m)
{
    tiny_gemma_set_array(m, G "attention.head_count_kv", W_U32, 3, 2);
}

static void more_used_than_there_are(struct tiny_gemma *m)
{
    tiny_gemma_set(m, G "expert_used_count", W_U32, 6);
}

static void gate_without_up(struct tiny_gemma *m)
{
    separate_gate_up(m);
    tiny_gemma_drop_tensor(m, "blk.1.ffn_up_exps.weight");
}

static void up_of_another_width(struct tiny_gemma *m)
{
    separate_gate_up(m);
    tiny_gemma_tensor(m, "blk.1.ffn_up_exps.weight")->dims[1] = 64;
}

static void untied_head_of_another_size(struct tiny_gemma *m)
{
    tiny_gemma_add_tensor(m, "output.weight", Q4_0, TINY_EMBD, TINY_VOCAB + 1, 0);
}

static const struct refused {
    const char *name;
    change_fn *change;
    enum karat_status status;
    const char *says[4];
} refused[] = {
    { "another architecture", other_architecture, UNSUPPORTED, { "\"llama\"", "\"gemma4\"" } },
    { "per-layer embeddings", like_e2b, UNSUPPORTED, { "per-layer embeddings", "256", "E2B", "26B-A4B" } },
    { "shared layers", shared_layers, UNSUPPORTED, { "20 layers", "E2B", "26B-A4B" } },
    { "a head size of 80", odd_head_size, UNSUPPORTED, { "layer 1", "80", "multiples of 32" } },
    { "keys and values", unequal_head_sizes, UNSUPPORTED, { "layer 0", "32", "64", "equal" } },
    { "3 key heads for 4", undivided_heads, FORMAT, { "layer 0", "4 query heads", "3 key heads" } },
    { "6 of 5 experts", more_used_than_there_are, FORMAT, { "6 experts", "only 5" } },
    { "gate without up", gate_without_up, FORMAT, { "blk.1.ffn_up_exps.weight", "missing" } },
    { "up of another width",
      up_of_another_width,
      FORMAT,
      { "blk.1.ffn_up_exps.weight", "[96, 64, 5]", "[96, 32, 5]" } },
    { "a larger head", untied_head_of_another_size, FORMAT, { "output.weight", "[96, 65]", "[96, 64]" } },
};

TEST(keys_and_tensors_that_contradict_each_other_are_refused)
{
    for (size_t i = 0; i < COUNT(refused); ++i) {
        struct tiny_gemma model;
        t->row = refused[i].name;
        tiny_gemma_experts(&model);
        refused[i].change(&model);
        struct bound *b = bind(t, &model);
        CHECK_UINT(b->status, refused[i].status);
        for (size_t k = 0; k < COUNT(refused[i].says) && refused[i].says[k]; ++k)
            check_sentence(t, &b->err, refused[i].says[k]);
        unbind(b);
    }
    t->row = NULL;
}

TEST(failing_needs_no_place_for_the_sentence)
{
    struct tiny_gemma model;
    size_t size = 0;
    tiny_gemma_experts(&model);
    tiny_gemma_drop_tensor(&model, "blk.1.ffn_down_exps.weight");
    uint8_t *bytes = tiny_gemma_finish(&model, &size);
    struct model_file *file = NULL;
    struct gemma_shape *shape = calloc(1, sizeof *shape);
    struct gemma_weights weights;
    if (CHECK(shape) && CHECK(model_file_from_bytes(&file, "tiny", span_of(bytes, size), NULL) == KARAT_OK)) {
        CHECK_UINT(gemma_shape_read(shape, file, NULL), KARAT_OK);
        CHECK_UINT(gemma_weights_bind(&weights, shape, file, NULL), FORMAT);
    }
    model_file_close(file);
    free(shape);
    free(bytes);
}
