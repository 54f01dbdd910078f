// engine/model.c -- from a path to an open model: file -> vocabulary -> shape -> weights on a device.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/thread.h"
#include "engine/demo.h"
#include "engine/engine.h"

#define TEMPERATURE_DEFAULT 1.0f
#define TOP_K_DEFAULT 64
#define TOP_P_DEFAULT 0.95f

// ------------------------------------------------------------------------------------------------ vocabulary

static enum karat_status find_array(const struct meta_entry **out, const struct model_file *file, const char *key,
                                    enum meta_type element_type, bool required, struct karat_error *err)
{
    const struct meta_entry *entry = model_file_find_meta(file, key);
    *out = entry;
    if (!entry && !required)
        return KARAT_OK;
    if (!entry)
        return status_fail(err, KARAT_ERR_FORMAT, "key %s is missing", key);
    const bool integers = element_type == META_INT && entry->element_type == META_UINT;
    if (entry->type != META_ARRAY || (entry->element_type != element_type && !integers))
        return status_fail(err, KARAT_ERR_FORMAT, "key %s is not an array of %s", key,
                           element_type == META_STRING ? "strings" : "integers");
    return KARAT_OK;
}

static enum karat_status copy_spans(struct span **out, const struct meta_entry *entry, struct karat_error *err)
{
    const size_t n = entry ? (size_t)entry->n_elements : 0;
    *out = calloc(n + 1, sizeof **out);
    if (!*out)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a list of %zu texts", n);
    for (size_t i = 0; i < n; ++i)
        (*out)[i] = meta_get(entry, i).string;
    return KARAT_OK;
}

static enum karat_status copy_types(int32_t **out, const struct meta_entry *entry, struct karat_error *err)
{
    *out = NULL;
    if (!entry)
        return KARAT_OK;
    *out = calloc((size_t)entry->n_elements + 1, sizeof **out);
    if (!*out)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the token types");
    for (size_t i = 0; i < entry->n_elements; ++i)
        (*out)[i] = (int32_t)meta_get(entry, i).sint;
    return KARAT_OK;
}

static uint32_t find_id(const struct model_file *file, const char *key)
{
    uint32_t id = 0;
    return model_file_get_u32(file, key, &id) ? id : TOKEN_NONE;
}

// Files made by llama.cpp name the model "gemma4"; another converter says "llama" and names the splitting instead.
static enum karat_status check_tokenizer_kind(const struct model_file *file, struct karat_error *err)
{
    struct span model = { 0 }, pre = { 0 };
    if (!model_file_get_text(file, "tokenizer.ggml.model", &model))
        return status_fail(err, KARAT_ERR_FORMAT, "key tokenizer.ggml.model is missing");
    model_file_get_text(file, "tokenizer.ggml.pre", &pre);
    if (!span_is(model, "gemma4") && !span_is(pre, "gemma4"))
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the tokenizer is \"%.*s\", expected \"gemma4\"",
                           SPAN_ARGS(model));
    return KARAT_OK;
}

static enum karat_status read_tokenizer(struct karat_model *model, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct model_file *file = model->file;
    const struct meta_entry *tokens = NULL, *types = NULL, *merges = NULL;
    struct span *token_spans = NULL, *merge_spans = NULL;
    int32_t *type_values = NULL;
    bool add_bos = true;

    TRY(check_tokenizer_kind(file, err));
    TRY(find_array(&tokens, file, "tokenizer.ggml.tokens", META_STRING, true, err));
    TRY(find_array(&types, file, "tokenizer.ggml.token_type", META_INT, false, err));
    TRY(find_array(&merges, file, "tokenizer.ggml.merges", META_STRING, true, err));
    if (types && types->n_elements != tokens->n_elements)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "there are %" PRIu64 " token types for %" PRIu64 " tokens",
                        types->n_elements, tokens->n_elements));
    TRY(copy_spans(&token_spans, tokens, err));
    TRY(copy_spans(&merge_spans, merges, err));
    TRY(copy_types(&type_values, types, err));
    model_file_get_bool(file, "tokenizer.ggml.add_bos_token", &add_bos);

    const struct tokenizer_source source = {
        .n_tokens = (size_t)tokens->n_elements,
        .tokens = token_spans,
        .types = type_values,
        .n_merges = (size_t)merges->n_elements,
        .merges = merge_spans,
        .bos = find_id(file, "tokenizer.ggml.bos_token_id"),
        .eos = find_id(file, "tokenizer.ggml.eos_token_id"),
        .unk = find_id(file, "tokenizer.ggml.unknown_token_id"),
        .add_bos = add_bos,
    };
    TRY(tokenizer_create(&model->tokenizer, &source, err));
cleanup:
    free(token_spans);
    free(merge_spans);
    free(type_values);
    return status;
}

// ------------------------------------------------------------------------------------------------ control tokens

static uint32_t find_control(const struct karat_model *model, const char *name)
{
    return tokenizer_find(model->tokenizer, span_text(name));
}

// Names of tokens that a text model has no use for in its output.
static const char *const never_sampled_names[] = {
    "<pad>",    "<bos>",    "<mask>",    "<|turn>",  "<|image>",  "<|image|>",
    "<image|>", "<|audio>", "<|audio|>", "<audio|>", "<|video|>",
};

static enum karat_status read_controls(struct karat_model *model, struct karat_error *err)
{
    const uint32_t n_tokens = tokenizer_n_tokens(model->tokenizer);
    model->control = (struct control_ids){
        .bos = find_control(model, "<bos>"),
        .eos = find_control(model, "<eos>"),
        .turn_open = find_control(model, "<|turn>"),
        .turn_close = find_control(model, "<turn|>"),
        .tool_response_open = find_control(model, "<|tool_response>"),
        .channel_close = find_control(model, "<channel|>"),
    };
    if (model->control.bos == TOKEN_NONE)
        model->control.bos = tokenizer_bos(model->tokenizer);
    if (model->control.eos == TOKEN_NONE)
        model->control.eos = tokenizer_eos(model->tokenizer);
    model->parse_kinds = calloc(n_tokens, sizeof *model->parse_kinds);
    model->never_sampled = calloc(COUNT(never_sampled_names), sizeof *model->never_sampled);
    if (!model->parse_kinds || !model->never_sampled)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the control tokens");
    for (uint32_t id = 0; id < n_tokens; ++id) {
        const enum token_type type = tokenizer_type(model->tokenizer, id);
        if (type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED)
            model->parse_kinds[id] = (uint8_t)parser_control_from_name(tokenizer_name(model->tokenizer, id));
    }
    for (size_t i = 0; i < COUNT(never_sampled_names); ++i) {
        const uint32_t id = find_control(model, never_sampled_names[i]);
        if (id != TOKEN_NONE)
            model->never_sampled[model->n_never_sampled++] = id;
    }
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ facts

// The format that most bytes of weights have.
static const char *main_format(const struct model_file *file)
{
    uint64_t bytes[QTYPE_COUNT] = { 0 };
    enum qtype most = QTYPE_F32;
    for (size_t i = 0; i < model_file_n_tensors(file); ++i) {
        const struct tensor_info *tensor = model_file_tensor(file, i);
        if (tensor->type < QTYPE_COUNT)
            bytes[tensor->type] += tensor->data.size_bytes;
    }
    for (int type = 0; type < QTYPE_COUNT; ++type)
        most = bytes[type] > bytes[most] ? (enum qtype)type : most;
    return qtypes[most].name;
}

static uint64_t count_parameters(const struct model_file *file)
{
    uint64_t total = 0;
    for (size_t i = 0; i < model_file_n_tensors(file); ++i) {
        const struct tensor_info *tensor = model_file_tensor(file, i);
        uint64_t n = 1;
        for (uint32_t d = 0; d < tensor->n_dims; ++d)
            n *= tensor->dims[d];
        total += n;
    }
    return total;
}

static enum karat_status copy_name(struct karat_model *model, struct karat_error *err)
{
    struct span name = { 0 };
    model_file_get_text(model->file, "general.name", &name);
    model->name = calloc(name.size_bytes + 1, 1);
    if (!model->name)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the model's name");
    if (name.size_bytes > 0)
        memcpy(model->name, name.data, name.size_bytes);
    return KARAT_OK;
}

static enum karat_status collect_facts(struct karat_model *model, struct karat_error *err)
{
    const enum karat_status status = copy_name(model, err);
    if (status != KARAT_OK)
        return status;
    uint32_t top_k = 0;
    float temperature = 0, top_p = 0;
    const struct gemma_shape *shape = &model->shape;
    model->facts = (struct karat_model_facts){
        .name = model->name,
        .device = model->device ? gpu_device_snapshot(model->device)->name : "",
        .weights = main_format(model->file),
        .n_parameters = count_parameters(model->file),
        .weight_bytes = model->has_weights ? gemma_weights_bytes(&model->weights) : 0,
        .weights_ns = model->weights_ns,
        .n_vocab = tokenizer_n_tokens(model->tokenizer),
        .n_layers = shape->n_layers,
        .n_embd = shape->n_embd,
        .n_experts = shape->n_experts,
        .n_experts_used = shape->n_experts_used,
        .n_context_max = shape->n_context,
        .token_bos = model->control.bos,
        .token_end_of_turn = model->control.turn_close,
        .sliding_window = shape->window,
        .temperature =
            model_file_get_f32(model->file, "general.sampling.temp", &temperature) ? temperature : TEMPERATURE_DEFAULT,
        .top_p = model_file_get_f32(model->file, "general.sampling.top_p", &top_p) ? top_p : TOP_P_DEFAULT,
        .top_k = model_file_get_u32(model->file, "general.sampling.top_k", &top_k) ? top_k : TOP_K_DEFAULT,
    };
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ open and close

enum karat_status model_open_file(struct model_file **out, const char *path, struct karat_error *err)
{
    if (!path)
        return model_file_from_bytes(out, DEMO_NAME, demo_model(), err);
    return model_file_open(out, path, err);
}

const char *model_label(const char *path)
{
    return path ? path : DEMO_NAME;
}

enum karat_status model_check_vocabulary(const struct gemma_shape *shape, const struct tokenizer *tokenizer,
                                         struct karat_error *err)
{
    if (tokenizer_n_tokens(tokenizer) == shape->n_vocab)
        return KARAT_OK;
    return status_fail(err, KARAT_ERR_FORMAT,
                       "the vocabulary has %" PRIu32 " tokens, tensor token_embd.weight has %" PRIu32,
                       tokenizer_n_tokens(tokenizer), shape->n_vocab);
}

struct gpu_device_options model_device_options(const struct karat_model_options *options)
{
    return (struct gpu_device_options){
        .wish = options->device,
        .vram_limit_bytes = options->vram_limit_bytes,
        .pipeline_cache_dir = options->pipeline_cache_dir,
    };
}

// Says before anything is allocated that the weights cannot fit.
static enum karat_status check_room(const struct karat_model *model, struct karat_error *err)
{
    const uint64_t wanted = gemma_weights_bytes(&model->weights);
    const uint64_t budget = gpu_device_plan(model->device)->budget_bytes;
    if (wanted <= budget)
        return KARAT_OK;
    return status_fail(err, KARAT_ERR_DEVICE_MEMORY,
                       "the weights need %" PRIu64 " MiB, %s has %" PRIu64
                       " MiB free; use a file with smaller weights or another device",
                       wanted >> 20, gpu_device_snapshot(model->device)->name, budget >> 20);
}

// Kernels of ordinary sessions are made while the weights load, and afterwards until all are there. Without them the
// first steps make what they need.
static void begin_warm_up(struct karat_model *model)
{
    struct karat_error err;
    struct gpu_kernel_set set = { 0 };
    const struct gpu_plan *plan = gpu_device_plan(model->device);
    const struct gemma_state_options options =
        session_plan(&(const struct karat_session_options){ 0 }, &model->shape, plan, session_free_bytes(model), 1);
    if (gemma_rehearse(&set, &model->shape, &model->weights, &options, model->device, &err) != KARAT_OK)
        log_line(KARAT_LOG_WARNING, "kernels are not made ahead: %s", err.text);
    model->warm_up = gpu_warm_up_start(model->device, &set);
}

static enum karat_status open_weights(struct karat_model *model, const struct karat_model_options *options,
                                      struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct gpu_device_options device = model_device_options(options);
    TRY(gemma_shape_read(&model->shape, model->file, err));
    TRY(model_check_vocabulary(&model->shape, model->tokenizer, err));
    TRY(gemma_weights_bind(&model->weights, &model->shape, model->file, err));
    model->has_weights = true;
    TRY(gpu_device_create(&model->device, &device, err));
    TRY(check_room(model, err));
    const uint64_t start_ns = clock_ns();
    TRY(gemma_weights_place(&model->weights, &model->shape, model->file, model->device, err));
    begin_warm_up(model);
    TRY(gemma_weights_load(&model->weights, model->file, options->on_progress, options->user, err));
    model->weights_ns = clock_ns() - start_ns;
cleanup:
    return status;
}

enum karat_status karat_model_open(struct karat_model **out, const char *path,
                                   const struct karat_model_options *options, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct karat_model_options defaults = { 0 };
    options = options ? options : &defaults;
    *out = NULL;
    struct karat_model *model = calloc(1, sizeof *model);
    if (!model)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the model record");
    model->lock = model->grammars.mutex = (struct mutex)MUTEX_INIT;

    if ((status = model_open_file(&model->file, path, err)) != KARAT_OK)
        goto cleanup; // the loader's sentences already begin with the path
    if ((status = read_tokenizer(model, err)) != KARAT_OK || (status = read_controls(model, err)) != KARAT_OK ||
        (!options->vocabulary_only && (status = open_weights(model, options, err)) != KARAT_OK) ||
        (status = collect_facts(model, err)) != KARAT_OK) {
        const bool about_file = status == KARAT_ERR_FORMAT || status == KARAT_ERR_UNSUPPORTED;
        if (about_file && !(model->has_weights && !model->device))
            status_context(err, status, "%s", model_label(path));
        goto cleanup;
    }
    *out = model;
    model = NULL;
cleanup:
    karat_model_close(model);
    return status;
}

enum karat_status model_token_index(const struct karat_model *model, const struct token_index **out,
                                    struct karat_error *err)
{
    struct karat_model *own = (struct karat_model *)model; // only what the lock guards is written
    mutex_lock(&own->lock);
    const enum karat_status status = model->index ? KARAT_OK : token_index_create(&own->index, model->tokenizer, err);
    *out = model->index;
    mutex_unlock(&own->lock);
    return status;
}

void karat_model_close(struct karat_model *model)
{
    if (!model)
        return;
    gpu_warm_up_stop(model->warm_up);
    gemma_weights_free(&model->weights);
    gpu_device_destroy(model->device);
    grammar_cache_free(&model->grammars);
    token_index_destroy(model->index);
    tokenizer_destroy(model->tokenizer);
    model_file_close(model->file);
    free(model->parse_kinds);
    free(model->never_sampled);
    free(model->name);
    free(model);
}

void karat_model_describe(const struct karat_model *model, struct karat_model_facts *out)
{
    *out = model->facts;
    if (model->device) {
        const struct gpu_kernel_totals totals = gpu_kernel_totals(model->device);
        out->n_kernels = totals.n;
        out->kernels_ns = totals.ns;
    }
}
