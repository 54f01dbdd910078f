// tests/model_file_walk.h -- reads everything that an open file lends, so that a sanitizer sees any lie in it.
#ifndef MODEL_FILE_WALK_H
#define MODEL_FILE_WALK_H

#include "loader/model_file.h"

static inline uint64_t walk_bytes(struct span bytes)
{
    uint64_t sum = bytes.size_bytes;
    for (size_t i = 0; i < bytes.size_bytes; ++i)
        sum = sum * 31 + bytes.data[i];
    return sum;
}

static inline uint64_t walk_meta(const struct model_file *file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < model_file_n_meta(file); ++i) {
        const struct meta_entry *entry = model_file_meta(file, i);
        sum += walk_bytes(entry->key) + walk_bytes(entry->raw);
        for (uint64_t k = 0; k < entry->n_elements; ++k) {
            const struct meta_value value = meta_get(entry, k);
            sum += value.type == META_STRING ? walk_bytes(value.string) : (uint64_t)value.type;
        }
    }
    return sum;
}

static inline uint64_t walk_tensors(const struct model_file *file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < model_file_n_tensors(file); ++i) {
        const struct tensor_info *tensor = model_file_tensor(file, i);
        sum += walk_bytes(tensor->name) + walk_bytes(tensor->data);
        if (tensor->type == QTYPE_COUNT)
            continue;
        float values[256];
        const struct qtype_info *format = &qtypes[tensor->type];
        format->decode(values, tensor->data.data, 1);
        format->decode(values, tensor->data.data + tensor->data.size_bytes - format->block_bytes, 1);
        model_file_release(file, tensor, 0, tensor->data.size_bytes);
    }
    return sum;
}

// A number that depends on every byte read.
static inline uint64_t model_file_walk(const struct model_file *file)
{
    uint32_t u32 = 0;
    float f32 = 0;
    bool flag = false;
    struct span text = { 0 };
    for (size_t i = 0; i < model_file_n_meta(file); ++i) {
        char key[64] = { 0 };
        const struct span name = model_file_meta(file, i)->key;
        memcpy(key, name.data, name.size_bytes < 63 ? name.size_bytes : 63);
        model_file_get_u32(file, key, &u32);
        model_file_get_f32(file, key, &f32);
        model_file_get_bool(file, key, &flag);
        model_file_get_text(file, key, &text);
    }
    return walk_meta(file) + walk_tensors(file) + walk_bytes(text) + u32 + flag + (f32 > 0);
}

#endif
