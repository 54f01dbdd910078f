// tests/fuzz/fuzz_model.c -- any file that the loader opens is either a network whose every promise holds, or refused
// in one sentence. No device is needed.
#include <stdlib.h>

#include "base/utf8.h"
#include "model/gemma.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_refusal(enum karat_status status, const struct karat_error *err)
{
    const size_t length = strlen(err->text);
    demand(status == KARAT_ERR_FORMAT || status == KARAT_ERR_UNSUPPORTED);
    demand(err->status == status && length > 10 && utf8_valid(err->text, length, NULL));
    for (size_t i = 0; i < length; ++i)
        demand((unsigned char)err->text[i] >= 32);
}

// What the rooms above divide by, index with and allocate by.
static void check_shape(const struct gemma_shape *shape)
{
    demand(shape->n_layers > 0 && shape->n_layers <= GEMMA_LAYERS_MAX);
    demand(shape->n_embd > 0 && shape->n_embd % 32 == 0 && shape->n_vocab > 0);
    demand(shape->n_context > 0 && shape->window > 0);
    demand(shape->n_experts_used <= shape->n_experts);
    demand((shape->n_experts > 0) == (shape->n_experts_used > 0) && (shape->n_experts > 0) == (shape->n_ff_expert > 0));
    demand(shape->eps >= 0 && shape->softcap >= 0 && shape->rope_base >= 1 && shape->rope_base_sliding >= 1);
    for (uint32_t i = 0; i < shape->n_layers; ++i) {
        const struct gemma_layer_shape *layer = &shape->layers[i];
        demand(layer->n_kv_heads > 0 && layer->n_heads > 0 && layer->n_heads % layer->n_kv_heads == 0);
        demand(layer->head_size > 0 && layer->head_size % 32 == 0 && layer->n_ff > 0);
    }
}

static void check_items(const struct gemma_weights *weights)
{
    for (size_t i = 0; i < weights->n_items; ++i) {
        const struct op_store_item *item = &weights->items[i];
        demand(item->tensor && item->tensor->type < QTYPE_COUNT && !item->weight != !item->vector);
        demand(item->first_row + (uint64_t)item->n_rows <= item->tensor->dims[1]);
    }
    (void)gemma_weights_bytes(weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gemma_shape shape;
    struct gemma_weights weights = { 0 };
    struct karat_error err = { 0 };
    struct model_file *file = NULL;
    if (model_file_from_bytes(&file, "fuzz", span_of(data, size), NULL) != KARAT_OK)
        return 0;
    enum karat_status status = gemma_shape_read(&shape, file, &err);
    if (status == KARAT_OK) {
        check_shape(&shape);
        status = gemma_weights_bind(&weights, &shape, file, &err);
    }
    if (status == KARAT_OK)
        check_items(&weights);
    else
        check_refusal(status, &err);
    gemma_weights_free(&weights);
    model_file_close(file);
    return 0;
}
