// tests/gguf_writer.c -- see gguf_writer.h.
#include "gguf_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

// bytes NULL: zeros.
static void put(struct gguf_buffer *b, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    if (b->capacity - b->size < size) {
        b->capacity = 2 * b->capacity + size + 256;
        b->data = realloc(b->data, b->capacity);
        if (!b->data) {
            fprintf(stderr, "gguf_writer: no memory\n");
            exit(1);
        }
    }
    if (bytes)
        memcpy(b->data + b->size, bytes, size);
    else
        memset(b->data + b->size, 0, size);
    b->size += size;
}

// Little-endian whatever the machine.
static void put_number(struct gguf_buffer *b, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; ++i) {
        const uint8_t byte = (uint8_t)(value >> 8 * i);
        put(b, &byte, 1);
    }
}

static void put_field(struct gguf_buffer *b, enum gguf_field_kind kind, uint64_t value, size_t size)
{
    if (b->n_fields < COUNT(b->fields))
        b->fields[b->n_fields++] = (struct gguf_field){ kind, b->size, size };
    put_number(b, value, size);
}

static void put_text(struct gguf_buffer *b, const void *text, size_t size)
{
    put_field(b, FIELD_LENGTH, size, 8);
    put(b, text, size);
}

static size_t value_bytes(uint32_t type)
{
    static const uint8_t bytes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    return type < COUNT(bytes) ? bytes[type] : 0;
}

static void put_value(struct gguf_buffer *b, uint32_t type, const uint8_t *value)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (value_bytes(type)) {
    case 1:
        memcpy(&u8, value, 1);
        put_number(b, u8, 1);
        break;
    case 2:
        memcpy(&u16, value, 2);
        put_number(b, u16, 2);
        break;
    case 4:
        memcpy(&u32, value, 4);
        put_number(b, u32, 4);
        break;
    case 8:
        memcpy(&u64, value, 8);
        put_number(b, u64, 8);
        break;
    }
}

static void begin_entry(struct gguf_writer *w, const char *key, uint32_t type)
{
    ++w->n_meta;
    put_text(&w->meta, key, strlen(key));
    put_field(&w->meta, FIELD_VALUE_TYPE, type, 4);
}

void gguf_writer_value(struct gguf_writer *w, const char *key, uint32_t type, const void *value)
{
    begin_entry(w, key, type);
    put_value(&w->meta, type, value);
}

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    gguf_writer_value(w, key, W_U32, &value);
}

void gguf_writer_i32(struct gguf_writer *w, const char *key, int32_t value)
{
    gguf_writer_value(w, key, W_I32, &value);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float value)
{
    gguf_writer_value(w, key, W_F32, &value);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value)
{
    gguf_writer_value(w, key, W_BOOL, &(uint8_t){ value });
}

void gguf_writer_bytes(struct gguf_writer *w, const char *key, const void *value, size_t size_bytes)
{
    begin_entry(w, key, W_TEXT);
    put_text(&w->meta, value, size_bytes);
}

void gguf_writer_text(struct gguf_writer *w, const char *key, const char *value)
{
    gguf_writer_bytes(w, key, value, strlen(value));
}

static void begin_array(struct gguf_writer *w, const char *key, uint32_t type, size_t n)
{
    begin_entry(w, key, W_ARRAY);
    put_field(&w->meta, FIELD_VALUE_TYPE, type, 4);
    put_field(&w->meta, FIELD_ELEMENTS, n, 8);
}

void gguf_writer_array(struct gguf_writer *w, const char *key, uint32_t type, const void *values, size_t n)
{
    begin_array(w, key, type, n);
    for (size_t i = 0; i < n; ++i)
        put_value(&w->meta, type, values ? (const uint8_t *)values + i * value_bytes(type) : NULL);
}

void gguf_writer_texts(struct gguf_writer *w, const char *key, const char *const *texts, size_t n)
{
    begin_array(w, key, W_TEXT, n);
    for (size_t i = 0; i < n; ++i)
        put_text(&w->meta, texts[i], strlen(texts[i]));
}

static size_t padding(const struct gguf_writer *w, size_t size)
{
    const size_t alignment = w->alignment ? w->alignment : 32;
    return (alignment - size % alignment) % alignment;
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t gguf_type, uint32_t n_dims,
                        const uint64_t *dims, const void *data, size_t size_bytes)
{
    put(&w->data, NULL, padding(w, w->data.size));
    ++w->n_tensors;
    put_text(&w->tensors, name, strlen(name));
    put_field(&w->tensors, FIELD_N_DIMS, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; ++i)
        put_field(&w->tensors, FIELD_DIM, dims[i], 8);
    put_field(&w->tensors, FIELD_TENSOR_TYPE, gguf_type, 4);
    put_field(&w->tensors, FIELD_OFFSET, w->data.size, 8);
    put(&w->data, data, size_bytes);
}

static void append(struct gguf_buffer *to, const struct gguf_buffer *from)
{
    for (size_t i = 0; i < from->n_fields && to->n_fields < COUNT(to->fields); ++i) {
        to->fields[to->n_fields] = from->fields[i];
        to->fields[to->n_fields++].at += to->size;
    }
    put(to, from->data, from->size);
}

uint8_t *gguf_writer_finish(const struct gguf_writer *w, size_t *size_bytes, struct gguf_field *fields,
                            size_t *n_fields, size_t *data_at)
{
    struct gguf_buffer file = { 0 };
    put(&file, "GGUF", 4);
    put_field(&file, FIELD_VERSION, w->version ? w->version : 3, 4);
    put_field(&file, FIELD_COUNT, w->n_tensors, 8);
    put_field(&file, FIELD_COUNT, w->n_meta, 8);
    append(&file, &w->meta);
    append(&file, &w->tensors);
    put(&file, NULL, padding(w, file.size));
    if (data_at)
        *data_at = file.size;
    append(&file, &w->data);
    *size_bytes = file.size;
    if (fields) {
        if (*n_fields > file.n_fields)
            *n_fields = file.n_fields;
        memcpy(fields, file.fields, *n_fields * sizeof *fields);
    }
    return file.data;
}

void gguf_writer_free(struct gguf_writer *w)
{
    free(w->meta.data);
    free(w->tensors.data);
    free(w->data.data);
    *w = (struct gguf_writer){ 0 };
}
