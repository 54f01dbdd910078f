// tests/fuzz/fuzz_gguf.c -- any bytes either open as a model file whose every promise holds, or are refused in one
// sentence.
#include <stdlib.h>

#include "base/utf8.h"
#include "model_file_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_sentence(const struct karat_error *err)
{
    const size_t length = strlen(err->text);
    demand(length > strlen("fuzz: ") && strncmp(err->text, "fuzz: ", 6) == 0);
    demand(utf8_valid(err->text, length, NULL));
    for (size_t i = 0; i < length; ++i)
        demand((unsigned char)err->text[i] >= 32);
}

// What model_file.h promises and walking alone would not notice.
static void check_promises(const struct model_file *file, struct span bytes)
{
    for (size_t i = 0; i < model_file_n_tensors(file); ++i) {
        const struct tensor_info *tensor = model_file_tensor(file, i);
        uint64_t n_weights = 1;
        for (int k = 0; k < TENSOR_DIMS_MAX; ++k) {
            demand(tensor->dims[k] > 0);
            n_weights *= tensor->dims[k];
        }
        demand(utf8_valid((const char *)tensor->name.data, tensor->name.size_bytes, NULL));
        if (tensor->type == QTYPE_COUNT)
            continue;
        demand(tensor->data.size_bytes == qtype_bytes(tensor->type, n_weights));
        demand(tensor->data.data >= bytes.data && tensor->data.size_bytes <= bytes.size_bytes &&
               (size_t)(tensor->data.data - bytes.data) <= bytes.size_bytes - tensor->data.size_bytes);
        demand((size_t)(tensor->data.data - bytes.data) % 8 == 0);
        char name[300] = { 0 };
        memcpy(name, tensor->name.data, tensor->name.size_bytes);
        demand(model_file_find(file, name) == tensor);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile uint64_t sink;
    struct karat_error err = { 0 };
    struct model_file *file = NULL;
    const enum karat_status status = model_file_from_bytes(&file, "fuzz", span_of(data, size), &err);
    demand((status == KARAT_OK) == (file != NULL));
    if (file) {
        check_promises(file, span_of(data, size));
        sink = sink + model_file_walk(file);
    } else {
        demand(status == KARAT_ERR_FORMAT || status == KARAT_ERR_UNSUPPORTED);
        check_sentence(&err);
    }
    model_file_close(file);
    return 0;
}
