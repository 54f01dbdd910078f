// cli/synth_gguf.c -- writing a GGUF file.
#include "cli/synth_gguf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/platform.h"

enum { ALIGNMENT = 32, CHUNK_BYTES = 4 << 20 };

// ---------------------------------------------------------------------------------------------------- key-values

void gguf_add_u32(struct text *bytes, uint32_t value)
{
    const char le[4] = { (char)value, (char)(value >> 8), (char)(value >> 16), (char)(value >> 24) };
    app_text_append(bytes, le, 4);
}

void gguf_add_u64(struct text *bytes, uint64_t value)
{
    gguf_add_u32(bytes, (uint32_t)value);
    gguf_add_u32(bytes, (uint32_t)(value >> 32));
}

void gguf_add_string(struct text *bytes, const char *value, size_t size)
{
    gguf_add_u64(bytes, size);
    app_text_append(bytes, value, size);
}

static void begin_key(struct gguf_keys *keys, const char *key, enum gguf_type type)
{
    gguf_add_string(&keys->bytes, key, strlen(key));
    gguf_add_u32(&keys->bytes, type);
    keys->n++;
}

void gguf_key_u32(struct gguf_keys *keys, const char *key, uint32_t value)
{
    begin_key(keys, key, GGUF_U32);
    gguf_add_u32(&keys->bytes, value);
}

void gguf_key_i32(struct gguf_keys *keys, const char *key, int32_t value)
{
    begin_key(keys, key, GGUF_I32);
    gguf_add_u32(&keys->bytes, (uint32_t)value);
}

void gguf_key_f32(struct gguf_keys *keys, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    begin_key(keys, key, GGUF_F32);
    gguf_add_u32(&keys->bytes, bits);
}

void gguf_key_bool(struct gguf_keys *keys, const char *key, bool value)
{
    begin_key(keys, key, GGUF_BOOL);
    app_text_append(&keys->bytes, value ? "\1" : "\0", 1);
}

void gguf_key_string(struct gguf_keys *keys, const char *key, const char *value)
{
    begin_key(keys, key, GGUF_STRING);
    gguf_add_string(&keys->bytes, value, strlen(value));
}

void gguf_key_array(struct gguf_keys *keys, const char *key, enum gguf_type element, uint64_t n)
{
    begin_key(keys, key, GGUF_ARRAY);
    gguf_add_u32(&keys->bytes, element);
    gguf_add_u64(&keys->bytes, n);
}

// ---------------------------------------------------------------------------------------------------- tensors

void synth_file_free(struct synth_file *file)
{
    app_text_free(&file->keys.bytes);
    free(file->tensors);
    *file = (struct synth_file){ 0 };
}

void synth_file_add(struct synth_file *file, const struct synth_tensor *tensor)
{
    if (file->n_tensors == file->capacity) {
        file->capacity = file->capacity ? file->capacity * 2 : 256;
        file->tensors = app_memory_resize(file->tensors, file->capacity, sizeof *file->tensors);
    }
    file->tensors[file->n_tensors++] = *tensor;
}

static uint64_t n_weights(const struct synth_tensor *tensor)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor->n_dims; ++i)
        n *= tensor->dims[i];
    return n;
}

static uint64_t n_bytes(const struct synth_tensor *tensor)
{
    const struct synth_format_info *format = &synth_formats[tensor->format];
    return n_weights(tensor) / format->block_len * format->block_bytes;
}

static uint64_t padded(uint64_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

uint64_t synth_file_weight_bytes(const struct synth_file *file)
{
    uint64_t total = 0;
    for (size_t i = 0; i < file->n_tensors; ++i)
        total += n_bytes(&file->tensors[i]);
    return total;
}

// ---------------------------------------------------------------------------------------------------- the file

static void build_head(const struct synth_file *file, struct text *head)
{
    app_text_append(head, "GGUF", 4);
    gguf_add_u32(head, 3);
    gguf_add_u64(head, file->n_tensors);
    gguf_add_u64(head, file->keys.n);
    app_text_append(head, file->keys.bytes.data, file->keys.bytes.size);
    uint64_t offset = 0;
    for (size_t i = 0; i < file->n_tensors; ++i) {
        const struct synth_tensor *tensor = &file->tensors[i];
        gguf_add_string(head, tensor->name, strlen(tensor->name));
        gguf_add_u32(head, tensor->n_dims);
        for (uint32_t d = 0; d < tensor->n_dims; ++d)
            gguf_add_u64(head, tensor->dims[d]);
        gguf_add_u32(head, synth_formats[tensor->format].gguf_id);
        gguf_add_u64(head, offset);
        offset += padded(n_bytes(tensor));
    }
    while (head->size % ALIGNMENT)
        app_text_append(head, "\0", 1);
}

static void fill_near(const struct synth_tensor *tensor, uint8_t *out, size_t n, struct synth_random *random)
{
    for (size_t i = 0; i < n; ++i) {
        double value = tensor->a * (1 + tensor->b * (2 * synth_random_uniform(random) - 1));
        if (tensor->fill == SYNTH_NEAR_ANY && synth_random_next(random) >> 63)
            value = -value;
        if (tensor->fill == SYNTH_ROTATION)
            value = (double)i < tensor->a ? 1 : 1e30;
        const float narrow = (float)value;
        memcpy(out + 4 * i, &narrow, 4);
    }
}

struct writer {
    FILE *out;
    uint8_t *chunk; // CHUNK_BYTES
    uint64_t done, total;
    bool (*on_progress)(void *user, uint64_t done, uint64_t total);
    void *user;
    bool stopped;
};

static bool write_tensor(struct writer *w, const struct synth_tensor *tensor, uint64_t seed)
{
    const struct synth_format_info *format = &synth_formats[tensor->format];
    const uint64_t n_blocks = n_weights(tensor) / format->block_len;
    const size_t step = CHUNK_BYTES / format->block_bytes;
    struct synth_random random = { seed };
    for (const char *c = tensor->name; *c; ++c) // every tensor has its own sequence, whatever stands around it
        random.state = (random.state ^ (unsigned char)*c) * 0x100000001b3u;

    for (uint64_t b = 0; b < n_blocks; b += step) {
        const size_t n = n_blocks - b < step ? (size_t)(n_blocks - b) : step;
        if (tensor->fill == SYNTH_RANDOM)
            synth_blocks_fill(tensor->format, w->chunk, n, tensor->a, &random);
        else
            fill_near(tensor, w->chunk, n, &random);
        if (fwrite(w->chunk, format->block_bytes, n, w->out) != n)
            return false;
        w->done += n * format->block_bytes;
        w->stopped = w->on_progress && !w->on_progress(w->user, w->done, w->total);
        if (w->stopped)
            return false;
    }
    static const char zeros[ALIGNMENT];
    const size_t pad = (size_t)(padded(n_bytes(tensor)) - n_bytes(tensor));
    return fwrite(zeros, 1, pad, w->out) == pad;
}

bool synth_file_write(const struct synth_file *file, const char *path,
                      bool (*on_progress)(void *user, uint64_t done, uint64_t total), void *user, struct text *fault)
{
    struct text head = { 0 };
    struct writer w = {
        .out = platform_open(path, "wb"),
        .total = synth_file_weight_bytes(file),
        .on_progress = on_progress,
        .user = user,
    };
    if (!w.out) {
        app_text_format(fault, "cannot write %s: %s", path, strerror(errno));
        return false;
    }
    w.chunk = app_memory_new(CHUNK_BYTES, 1);
    build_head(file, &head);
    errno = 0;
    bool good = fwrite(head.data, 1, head.size, w.out) == head.size;
    for (size_t i = 0; i < file->n_tensors && good; ++i)
        good = write_tensor(&w, &file->tensors[i], file->seed);
    const int cause = errno;
    good = fclose(w.out) == 0 && good;
    if (w.stopped)
        app_text_format(fault, "stopped; %s is not complete", path);
    else if (!good)
        app_text_format(fault, "cannot write %s: %s", path, strerror(cause ? cause : errno));
    free(w.chunk);
    app_text_free(&head);
    return good;
}
