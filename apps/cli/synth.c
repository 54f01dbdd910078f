// cli/synth.c -- karat synth: a random model of Gemma 4's shape, for speed, memory and compatibility tests.
//
// The weights are random, but their sizes are those of a model that works: every sum of products has variance 1,
// attention and router scores are spread, each block adds a fifth to the residual stream, and the final scores neither
// vanish nor reach the soft cap.
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/synth_gguf.h"
#include "cli/synth_vocab.h"
#include "common/terminal.h"

struct shape {
    const char *preset;
    uint32_t n_layers, n_embd, n_ff, n_heads, n_kv_local, n_kv_global, head_local, head_global;
    uint32_t n_experts, n_experts_used, n_ff_expert, window, n_vocab;
};

static const struct shape shapes[] = {
    { "tiny", 6, 256, 512, 4, 2, 1, 64, 128, 8, 2, 128, 16, 1024 },
    { "small", 12, 512, 1024, 8, 4, 2, 64, 128, 32, 4, 256, 64, 4096 },
    { "slice", 6, 2816, 2112, 16, 8, 2, 256, 512, 128, 8, 704, 1024, 8192 },
    { "26b", 30, 2816, 2112, 16, 8, 2, 256, 512, 128, 8, 704, 1024, 262144 },
};

enum { PERIOD = 6, CONTEXT = 262144 }; // the last layer of every period is global

// Which format each kind of matrix gets. A plain format's name gives it to all of them.
struct mix {
    const char *name;
    uint32_t file_type;
    enum synth_format base;    // what is not named below
    enum synth_format more;    // attn_v and both down matrices in the "more bits" layers
    enum synth_format head;    // token_embd, which is the output head too
    enum synth_format experts; // matrices of the experts
};

static const struct mix mixes[] = {
    { "Q4_K_M", 15, SYNTH_Q4_K, SYNTH_Q6_K, SYNTH_Q6_K, SYNTH_Q4_K },
    { "Q5_K_M", 17, SYNTH_Q5_K, SYNTH_Q6_K, SYNTH_Q6_K, SYNTH_Q5_K },
    { "Q6_K", 18, SYNTH_Q6_K, SYNTH_Q6_K, SYNTH_Q6_K, SYNTH_Q6_K },
    { "Q8_0", 7, SYNTH_Q8_0, SYNTH_Q8_0, SYNTH_Q8_0, SYNTH_Q8_0 },
    { "Q4_0", 2, SYNTH_Q4_0, SYNTH_Q4_0, SYNTH_Q6_K, SYNTH_Q4_0 },
    { "MXFP4_MOE", 38, SYNTH_Q8_0, SYNTH_Q8_0, SYNTH_Q8_0, SYNTH_MXFP4 },
};

struct synth {
    struct shape shape;
    struct mix mix;
    struct synth_file file;
    uint32_t n_local; // local layers
};

static bool find_mix(const char *name, struct mix *out)
{
    for (size_t i = 0; i < COUNT(mixes); ++i)
        if (strcmp(mixes[i].name, name) == 0) {
            *out = mixes[i];
            return true;
        }
    for (size_t i = 0; i < SYNTH_N_FORMATS; ++i)
        if (strcmp(synth_formats[i].name, name) == 0) {
            const enum synth_format f = (enum synth_format)i;
            *out = (struct mix){ name, synth_formats[i].file_type, f, f, f, f };
            return true;
        }
    return false;
}

static bool is_global(uint32_t layer)
{
    return layer % PERIOD == PERIOD - 1;
}

// The rule of the *_M mixes: the first eighth, the last eighth, and every third layer between.
static bool more_bits(uint32_t i, uint32_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

// ---------------------------------------------------------------------------------------------------- tensors

static void add_matrix(struct synth *s, const char *name, enum synth_format format, double deviation, uint64_t n_in,
                       uint64_t n_out, uint64_t n_slabs)
{
    while (n_in % synth_formats[format].block_len)
        format = synth_formats[format].fallback;
    struct synth_tensor tensor = {
        .dims = { n_in, n_out, n_slabs },
        .n_dims = n_slabs > 1 ? 3 : 2,
        .format = format,
        .fill = SYNTH_RANDOM,
        .a = deviation,
    };
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    synth_file_add(&s->file, &tensor);
}

static void add_vector(struct synth *s, const char *name, enum synth_fill fill, uint64_t n, double a, double b)
{
    struct synth_tensor tensor = { .dims = { n }, .n_dims = 1, .format = SYNTH_F32, .fill = fill, .a = a, .b = b };
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    synth_file_add(&s->file, &tensor);
}

#define NAME(suffix) (snprintf(name, sizeof name, "blk.%u." suffix, layer), name)

static void add_attention(struct synth *s, uint32_t layer)
{
    char name[64];
    const struct shape *h = &s->shape;
    const bool global = is_global(layer);
    const uint64_t head = global ? h->head_global : h->head_local, n_kv = global ? h->n_kv_global : h->n_kv_local;
    const double in = 1 / sqrt(h->n_embd);
    const double qk = sqrt(1.5 / sqrt((double)head)); // attention scores with a standard deviation of 1.5
    const uint32_t local_index = layer - layer / PERIOD;
    add_vector(s, NAME("attn_norm.weight"), SYNTH_NEAR, h->n_embd, 1, 0.25);
    add_matrix(s, NAME("attn_q.weight"), s->mix.base, in, h->n_embd, head * h->n_heads, 1);
    add_vector(s, NAME("attn_q_norm.weight"), SYNTH_NEAR, head, qk, 0.25);
    add_matrix(s, NAME("attn_k.weight"), s->mix.base, in, h->n_embd, head * n_kv, 1);
    add_vector(s, NAME("attn_k_norm.weight"), SYNTH_NEAR, head, qk, 0.25);
    if (!global) // global layers take the values from the key projection
        add_matrix(s, NAME("attn_v.weight"), more_bits(local_index, s->n_local) ? s->mix.more : s->mix.base, in,
                   h->n_embd, head * n_kv, 1);
    add_matrix(s, NAME("attn_output.weight"), s->mix.base, 1 / sqrt((double)head * h->n_heads), head * h->n_heads,
               h->n_embd, 1);
    add_vector(s, NAME("post_attention_norm.weight"), SYNTH_NEAR, h->n_embd, 0.2, 0.25);
}

static void add_experts(struct synth *s, uint32_t layer, enum synth_format down)
{
    char name[64];
    const struct shape *h = &s->shape;
    add_matrix(s, NAME("ffn_gate_inp.weight"), SYNTH_F32, 0.05, h->n_embd, h->n_experts, 1);
    add_vector(s, NAME("ffn_gate_inp.scale"), SYNTH_NEAR, h->n_embd, 3.0 / 0.05, 0.25); // router scores spread by 3
    add_vector(s, NAME("pre_ffw_norm_2.weight"), SYNTH_NEAR, h->n_embd, 1, 0.25);
    add_vector(s, NAME("post_ffw_norm_1.weight"), SYNTH_NEAR, h->n_embd, 0.7, 0.25);
    add_vector(s, NAME("post_ffw_norm_2.weight"), SYNTH_NEAR, h->n_embd, 1, 0.25);
    add_matrix(s, NAME("ffn_gate_up_exps.weight"), s->mix.experts, 1 / sqrt(h->n_embd), h->n_embd, 2 * h->n_ff_expert,
               h->n_experts);
    add_matrix(s, NAME("ffn_down_exps.weight"), down, 1 / sqrt(h->n_ff_expert), h->n_ff_expert, h->n_embd,
               h->n_experts);
    add_vector(s, NAME("ffn_down_exps.scale"), SYNTH_NEAR, h->n_experts, 1, 0.4);
}

static void add_feed_forward(struct synth *s, uint32_t layer)
{
    char name[64];
    const struct shape *h = &s->shape;
    const bool more = more_bits(layer, h->n_layers);
    const double in = 1 / sqrt(h->n_embd);
    add_vector(s, NAME("layer_output_scale.weight"), SYNTH_NEAR, 1, 0.925, 0.19);
    add_vector(s, NAME("ffn_norm.weight"), SYNTH_NEAR, h->n_embd, 1, 0.25);
    add_matrix(s, NAME("ffn_gate.weight"), s->mix.base, in, h->n_embd, h->n_ff, 1);
    add_matrix(s, NAME("ffn_up.weight"), s->mix.base, in, h->n_embd, h->n_ff, 1);
    add_matrix(s, NAME("ffn_down.weight"), more ? s->mix.more : s->mix.base, 1 / sqrt(h->n_ff), h->n_ff, h->n_embd, 1);
    add_vector(s, NAME("post_ffw_norm.weight"), SYNTH_NEAR, h->n_embd, 0.2, 0.25);
    if (h->n_experts > 0) {
        // In a mix that treats the experts apart, "more bits" does not reach them.
        const bool apart = s->mix.experts != s->mix.base;
        add_experts(s, layer, apart ? s->mix.experts : more ? s->mix.more : s->mix.base);
    }
}

static void add_tensors(struct synth *s)
{
    const struct shape *h = &s->shape;
    add_matrix(s, "token_embd.weight", s->mix.head, 1 / sqrt(h->n_embd), h->n_embd, h->n_vocab, 1);
    // Random signs keep the tied head from always predicting the token that came in.
    add_vector(s, "output_norm.weight", SYNTH_NEAR_ANY, h->n_embd, 5, 0.25);
    add_vector(s, "rope_freqs.weight", SYNTH_ROTATION, h->head_global / 2, h->head_global / 8, 0);
    for (uint32_t layer = 0; layer < h->n_layers; ++layer) {
        add_attention(s, layer);
        add_feed_forward(s, layer);
    }
}

// ---------------------------------------------------------------------------------------------------- key-values

static void add_keys(struct synth *s)
{
    struct gguf_keys *k = &s->file.keys;
    const struct shape *h = &s->shape;
    char name[64];
    snprintf(name, sizeof name, "random %s %s", h->preset, s->mix.name);
    gguf_key_string(k, "general.architecture", "gemma4");
    gguf_key_string(k, "general.type", "model");
    gguf_key_string(k, "general.name", name);
    gguf_key_u32(k, "general.file_type", s->mix.file_type);
    gguf_key_u32(k, "general.quantization_version", 2);
    gguf_key_f32(k, "general.sampling.temp", 1);
    gguf_key_f32(k, "general.sampling.top_p", 0.95f);
    gguf_key_i32(k, "general.sampling.top_k", 64);
    gguf_key_u32(k, "gemma4.block_count", h->n_layers);
    gguf_key_u32(k, "gemma4.context_length", CONTEXT);
    gguf_key_u32(k, "gemma4.embedding_length", h->n_embd);
    gguf_key_u32(k, "gemma4.feed_forward_length", h->n_ff);
    gguf_key_u32(k, "gemma4.attention.head_count", h->n_heads);
    gguf_key_array(k, "gemma4.attention.head_count_kv", GGUF_I32, h->n_layers);
    for (uint32_t i = 0; i < h->n_layers; ++i)
        gguf_add_u32(&k->bytes, is_global(i) ? h->n_kv_global : h->n_kv_local);
    gguf_key_array(k, "gemma4.attention.sliding_window_pattern", GGUF_BOOL, h->n_layers);
    for (uint32_t i = 0; i < h->n_layers; ++i)
        app_text_append(&k->bytes, is_global(i) ? "\0" : "\1", 1);
    gguf_key_u32(k, "gemma4.attention.sliding_window", h->window);
    gguf_key_u32(k, "gemma4.attention.key_length", h->head_global);
    gguf_key_u32(k, "gemma4.attention.value_length", h->head_global);
    gguf_key_u32(k, "gemma4.attention.key_length_swa", h->head_local);
    gguf_key_u32(k, "gemma4.attention.value_length_swa", h->head_local);
    gguf_key_f32(k, "gemma4.attention.layer_norm_rms_epsilon", 1e-6f);
    gguf_key_u32(k, "gemma4.attention.shared_kv_layers", 0);
    gguf_key_u32(k, "gemma4.embedding_length_per_layer_input", 0);
    gguf_key_f32(k, "gemma4.rope.freq_base", 1e6f);
    gguf_key_f32(k, "gemma4.rope.freq_base_swa", 1e4f);
    gguf_key_u32(k, "gemma4.rope.dimension_count", h->head_global);
    gguf_key_u32(k, "gemma4.rope.dimension_count_swa", h->head_local);
    gguf_key_f32(k, "gemma4.final_logit_softcapping", 30);
    if (h->n_experts > 0) {
        gguf_key_u32(k, "gemma4.expert_count", h->n_experts);
        gguf_key_u32(k, "gemma4.expert_used_count", h->n_experts_used);
        gguf_key_u32(k, "gemma4.expert_feed_forward_length", h->n_ff_expert);
    }
}

// ---------------------------------------------------------------------------------------------------- the command

static bool on_writing(void *user, uint64_t done, uint64_t total)
{
    terminal_progress(user, done, total);
    return !cli_interrupted();
}

static int write_model(const struct cli_options *options, struct synth *s)
{
    struct text fault = { 0 };
    struct terminal_progress progress = { .what = "writing" };
    int code;
    add_keys(s);
    if (options->vocabulary && !synth_vocab_copy(&s->file.keys, options->vocabulary, &s->shape.n_vocab, &fault)) {
        code = cli_fail("%s", fault.data);
        goto cleanup;
    }
    if (!options->vocabulary)
        synth_vocab_invent(&s->file.keys, s->shape.n_vocab);
    add_tensors(s);
    cli_interrupt_forget();
    cli_interrupt_watch(NULL);
    const bool written =
        synth_file_write(&s->file, options->output, options->quiet ? NULL : on_writing, &progress, &fault);
    terminal_progress_end(&progress);
    if (!written)
        code = cli_fail("%s", fault.data);
    else {
        if (!options->quiet)
            fprintf(stderr, "%s: %zu tensors, %.3f GB of weights\n", options->output, s->file.n_tensors,
                    (double)synth_file_weight_bytes(&s->file) * 1e-9);
        code = cli_done();
    }
cleanup:
    app_text_free(&fault);
    return code;
}

int cli_synth(const struct cli_options *options)
{
    struct synth s = { .file = { .seed = options->seed.count ? options->seed.count : 1 } };
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_synth, "karat synth takes no \"%s\"", options->rest.words[0]);
    if (!options->preset)
        return cli_wrong_usage(CLI_synth, "karat synth wants --preset tiny, small, slice or 26b");
    if (!options->type)
        return cli_wrong_usage(CLI_synth, "karat synth wants --type FORMAT, such as Q4_K_M");
    if (!options->output)
        return cli_wrong_usage(CLI_synth, "karat synth wants -o FILE");
    if (!find_mix(options->type, &s.mix)) {
        struct text names = { 0 };
        for (size_t i = 0; i < SYNTH_N_FORMATS; ++i)
            app_text_format(&names, "%s ", synth_formats[i].name);
        const int code = cli_wrong_usage(CLI_synth, "--type wants one of %sQ4_K_M Q5_K_M MXFP4_MOE, not \"%s\"",
                                         names.data, options->type);
        app_text_free(&names);
        return code;
    }
    for (size_t i = 0; i < COUNT(shapes); ++i)
        if (strcmp(shapes[i].preset, options->preset) == 0)
            s.shape = shapes[i];
    if (options->n_layers.given)
        s.shape.n_layers = (uint32_t)options->n_layers.count;
    if (options->dense)
        s.shape.n_experts = 0;
    s.n_local = s.shape.n_layers - s.shape.n_layers / PERIOD;
    const int code = write_model(options, &s);
    synth_file_free(&s.file);
    return code;
}
