// engine/machine.c -- what karat.h says about devices and files, as JSON.
#include <inttypes.h>
#include <stdlib.h>

#include "engine/engine.h"

#define DEVICES_MAX 16

// ------------------------------------------------------------------------------------------------ JSON members

static void begin_member(struct text *out, const char *key)
{
    const char last = out->size_bytes > 0 ? out->data[out->size_bytes - 1] : '{';
    if (last != '{' && last != '[')
        text_append_char(out, ',');
    if (key) {
        text_append_json_string(out, span_text(key));
        text_append_char(out, ':');
    }
}

static void put_text(struct text *out, const char *key, struct span value)
{
    begin_member(out, key);
    text_append_json_string(out, value);
}

static void put_uint(struct text *out, const char *key, uint64_t value)
{
    begin_member(out, key);
    text_append_format(out, "%" PRIu64, value);
}

static void put_bool(struct text *out, const char *key, bool value)
{
    begin_member(out, key);
    text_append_string(out, value ? "true" : "false");
}

static void put_open(struct text *out, const char *key, char bracket)
{
    begin_member(out, key);
    text_append_char(out, bracket);
}

// ------------------------------------------------------------------------------------------------ devices

static const char *const kind_names[] = {
    [GPU_KIND_OTHER] = "other",       [GPU_KIND_INTEGRATED] = "integrated",
    [GPU_KIND_DISCRETE] = "discrete", [GPU_KIND_VIRTUAL] = "virtual",
    [GPU_KIND_CPU] = "cpu",
};

static const char *const tier_names[] = {
    [GPU_TIER_BASE] = "base",
    [GPU_TIER_FLOAT16] = "float16",
    [GPU_TIER_COOPMAT] = "cooperative matrix",
};

// Name of a feature and whether the device has it.
struct feature {
    const char *name;
    bool present;
};

static void put_features(struct text *out, const struct gpu_snapshot *seen)
{
    const struct feature features[] = {
        { "buffer_device_address", seen->buffer_device_address },
        { "synchronization2", seen->synchronization2 },
        { "timeline_semaphore", seen->timeline_semaphore },
        { "subgroup_size_control", seen->subgroup_size_control },
        { "storage_8bit", seen->storage_8bit },
        { "storage_16bit", seen->storage_16bit },
        { "int8", seen->int8 },
        { "int16", seen->int16 },
        { "float16", seen->float16 },
        { "int_dot", seen->int_dot },
        { "int_dot_accelerated", seen->int_dot_accelerated },
        { "cooperative_matrix", seen->coopmat },
        { "memory_budget", seen->memory_budget },
        { "external_host_memory", seen->external_host_memory },
        { "pipeline_executable_properties", seen->executable_properties },
    };
    put_open(out, "features", '{');
    for (size_t i = 0; i < COUNT(features); ++i)
        put_bool(out, features[i].name, features[i].present);
    text_append_char(out, '}');
}

static void put_plan(struct text *out, const struct gpu_snapshot *seen)
{
    struct gpu_plan plan;
    struct karat_error why;
    if (gpu_plan_make(&plan, seen, 0, &why) != KARAT_OK) {
        put_bool(out, "usable", false);
        put_text(out, "reason", span_text(why.text));
        return;
    }
    put_bool(out, "usable", true);
    put_text(out, "tier", span_text(tier_names[plan.tier]));
    put_uint(out, "budget_bytes", plan.budget_bytes);
    put_bool(out, "unified_memory", plan.unified);
    put_uint(out, "max_allocation_bytes", plan.max_allocation_bytes);
    put_uint(out, "max_binding_bytes", plan.max_binding_bytes);
}

static uint64_t device_bytes(const struct gpu_snapshot *seen)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < seen->n_heaps; ++i)
        total += seen->heaps[i].device_local ? seen->heaps[i].size_bytes : 0;
    return total;
}

static void put_device(struct text *out, const struct gpu_snapshot *seen, size_t index, bool chosen)
{
    put_open(out, NULL, '{');
    put_uint(out, "index", index);
    put_text(out, "name", span_text(seen->name));
    put_text(out, "driver", span_text(seen->driver));
    put_text(out, "kind", span_text(kind_names[seen->kind]));
    begin_member(out, "vulkan");
    text_append_format(out, "\"%u.%u.%u\"", seen->api_version >> 22 & 0x7F, seen->api_version >> 12 & 0x3FF,
                       seen->api_version & 0xFFF);
    put_bool(out, "chosen", chosen);
    put_plan(out, seen);
    put_uint(out, "device_memory_bytes", device_bytes(seen));
    put_uint(out, "subgroup_size", seen->subgroup_size);
    put_uint(out, "subgroup_size_min", seen->subgroup_size_min);
    put_uint(out, "subgroup_size_max", seen->subgroup_size_max);
    put_features(out, seen);
    text_append_char(out, '}');
}

enum karat_status karat_devices(char **json_out, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct text out = { 0 };
    size_t n = 0, chosen = SIZE_MAX;
    *json_out = NULL;
    struct gpu_snapshot *seen = calloc(DEVICES_MAX, sizeof *seen);
    if (!seen)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the list of devices");
    TRY(gpu_snapshot_all(seen, DEVICES_MAX, &n, err));
    n = n < DEVICES_MAX ? n : DEVICES_MAX;
    if (gpu_plan_choose(&chosen, seen, n, NULL, NULL) != KARAT_OK)
        chosen = SIZE_MAX;
    text_append_char(&out, '[');
    for (size_t i = 0; i < n; ++i)
        put_device(&out, &seen[i], i, i == chosen);
    text_append_char(&out, ']');
    TRY(text_check(&out, "the list of devices", err));
    *json_out = text_take(&out, NULL);
cleanup:
    text_free(&out);
    free(seen);
    return status;
}

// ------------------------------------------------------------------------------------------------ files

// Tensors and bytes by weight format, for those that occur.
static void put_formats(struct text *out, const struct model_file *file)
{
    uint64_t n[QTYPE_COUNT + 1] = { 0 }, bytes[QTYPE_COUNT + 1] = { 0 };
    for (size_t i = 0; i < model_file_n_tensors(file); ++i) {
        const struct tensor_info *tensor = model_file_tensor(file, i);
        n[tensor->type] += 1;
        bytes[tensor->type] += tensor->data.size_bytes;
    }
    put_open(out, "formats", '[');
    for (int type = 0; type <= QTYPE_COUNT; ++type) {
        if (n[type] == 0)
            continue;
        put_open(out, NULL, '{');
        put_text(out, "format", span_text(type < QTYPE_COUNT ? qtypes[type].name : "unknown"));
        put_uint(out, "tensors", n[type]);
        put_uint(out, "bytes", bytes[type]);
        text_append_char(out, '}');
    }
    text_append_char(out, ']');
}

static void put_shape(struct text *out, const struct gemma_shape *shape)
{
    uint32_t n_sliding = 0;
    for (uint32_t i = 0; i < shape->n_layers; ++i)
        n_sliding += shape->layers[i].sliding;
    put_uint(out, "layers", shape->n_layers);
    put_uint(out, "sliding_layers", n_sliding);
    put_uint(out, "sliding_window", shape->window);
    put_uint(out, "hidden_size", shape->n_embd);
    put_uint(out, "vocabulary", shape->n_vocab);
    put_uint(out, "experts", shape->n_experts);
    put_uint(out, "experts_used", shape->n_experts_used);
    put_uint(out, "context_max", shape->n_context);
}

// Where everything would go on the device; `device` is open, nothing is allocated on it yet.
static void put_memory(struct text *out, const struct gemma_shape *shape, const struct gemma_weights *weights,
                       struct gpu_device *device, uint32_t n_context)
{
    const struct gpu_plan *plan = gpu_device_plan(device);
    const uint64_t weight_bytes = gemma_weights_bytes(weights), budget = plan->budget_bytes;
    const struct gemma_state_options options =
        session_plan(&(struct karat_session_options){ .n_context = n_context }, shape, plan,
                     weight_bytes < budget ? budget - weight_bytes : 0, 1);
    const struct gemma_state_bytes state = gemma_state_size(shape, &options, plan);
    const uint64_t total = weight_bytes + state.cache + state.scratch;
    put_open(out, "memory", '{');
    put_text(out, "device", span_text(gpu_device_snapshot(device)->name));
    put_uint(out, "context", n_context);
    put_uint(out, "batch", options.n_batch);
    put_uint(out, "weight_bytes", weight_bytes);
    put_uint(out, "cache_bytes", state.cache);
    put_uint(out, "scratch_bytes", state.scratch);
    put_uint(out, "total_bytes", total);
    put_uint(out, "budget_bytes", budget);
    put_bool(out, "fits", total <= budget);
    text_append_char(out, '}');
}

static void put_file(struct text *out, const struct model_file *file)
{
    struct span name = { 0 }, architecture = { 0 };
    model_file_get_text(file, "general.name", &name);
    model_file_get_text(file, "general.architecture", &architecture);
    put_text(out, "name", name);
    put_text(out, "architecture", architecture);
    put_uint(out, "file_bytes", model_file_bytes(file));
    put_uint(out, "tensors", model_file_n_tensors(file));
    put_formats(out, file);
}

enum karat_status karat_file_info(char **json_out, const char *path, const struct karat_model_options *options,
                                  uint32_t n_context, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct karat_model_options defaults = { 0 };
    const struct gpu_device_options device_options = model_device_options(options ? options : &defaults);
    struct model_file *file = NULL;
    struct gemma_weights weights = { 0 };
    struct gemma_shape *shape = calloc(1, sizeof *shape);
    struct gpu_device *device = NULL;
    struct text out = { 0 };
    struct karat_error why = { 0 };
    *json_out = NULL;
    if (!shape)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the shape of the model");

    TRY(model_open_file(&file, path, err));
    text_append_char(&out, '{');
    put_file(&out, file);
    // A vocabulary without weights, or a model this version does not run, is still described as far as it goes.
    const bool runs =
        gemma_shape_read(shape, file, &why) == KARAT_OK && gemma_weights_bind(&weights, shape, file, &why) == KARAT_OK;
    put_bool(&out, "runs", runs);
    if (!runs) {
        put_text(&out, "reason", span_text(why.text));
    } else {
        put_shape(&out, shape);
        const uint32_t n = n_context ? n_context : shape->n_context < 8192 ? shape->n_context : 8192;
        if (gpu_device_create(&device, &device_options, &why) == KARAT_OK)
            put_memory(&out, shape, &weights, device, n < shape->n_context ? n : shape->n_context);
        else
            put_text(&out, "no_device", span_text(why.text));
    }
    text_append_char(&out, '}');
    TRY(text_check(&out, "the description", err));
    *json_out = text_take(&out, NULL);
cleanup:
    gemma_weights_free(&weights);
    gpu_device_destroy(device);
    model_file_close(file);
    text_free(&out);
    free(shape);
    return status;
}

// ------------------------------------------------------------------------------------------------ self-test

enum karat_status karat_selftest(const char *device_wish, karat_check_fn *on_check, void *user, uint32_t *n_failed,
                                 struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gpu_device *device = NULL;
    *n_failed = 0;
    TRY(gpu_device_create(&device, &(struct gpu_device_options){ .wish = device_wish, .timing = true }, err));
    TRY(op_selftest(device, false, on_check, user, n_failed, err));
cleanup:
    gpu_device_destroy(device);
    return status;
}
