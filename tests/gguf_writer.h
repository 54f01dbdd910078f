// tests/gguf_writer.h -- builds small GGUF files in memory, and remembers where in them each number stands, so that
// tests can damage exactly that.
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Value types, by the numbers of the format.
enum { W_U8, W_I8, W_U16, W_I16, W_U32, W_I32, W_F32, W_BOOL, W_TEXT, W_ARRAY, W_U64, W_I64, W_F64 };

// A number in the finished file that says how to read what follows.
enum gguf_field_kind {
    FIELD_VERSION,     // u32
    FIELD_COUNT,       // u64: of tensors, of metadata entries
    FIELD_LENGTH,      // u64: of a name or a text
    FIELD_VALUE_TYPE,  // u32: of a metadata value
    FIELD_ELEMENTS,    // u64: of an array
    FIELD_N_DIMS,      // u32
    FIELD_DIM,         // u64
    FIELD_TENSOR_TYPE, // u32
    FIELD_OFFSET       // u64: of a tensor's data
};

struct gguf_field {
    enum gguf_field_kind kind;
    size_t at;         // byte in the finished file
    size_t size_bytes; // 4 or 8
};

struct gguf_buffer {
    uint8_t *data;
    size_t size, capacity;
    struct gguf_field fields[512];
    size_t n_fields; // later fields are not remembered
};

// Zero-initialised is an empty file of version 3. Running out of memory ends the program: this is test code.
struct gguf_writer {
    uint32_t version;   // 0: 3
    uint32_t alignment; // 0: 32; other values also need the key general.alignment
    uint64_t n_meta, n_tensors;
    struct gguf_buffer meta, tensors, data;
};

// Metadata. Keys are not checked for being unique. `value` points at the number(s), in this machine's order.
void gguf_writer_value(struct gguf_writer *w, const char *key, uint32_t type, const void *value);
void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_writer_i32(struct gguf_writer *w, const char *key, int32_t value);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_writer_text(struct gguf_writer *w, const char *key, const char *value);
void gguf_writer_bytes(struct gguf_writer *w, const char *key, const void *value, size_t size_bytes); // as text
void gguf_writer_array(struct gguf_writer *w, const char *key, uint32_t type, const void *values, size_t n);
void gguf_writer_texts(struct gguf_writer *w, const char *key, const char *const *texts, size_t n);

// A tensor with its data at the next aligned offset; data NULL writes zeros. dims: contiguous dimension first. The name
// is name[0..strlen), whatever it holds; size_bytes is not compared with the dimensions.
void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t gguf_type, uint32_t n_dims,
                        const uint64_t *dims, const void *data, size_t size_bytes);

// The finished file, which the caller frees, its size and, where `fields` is given, the numbers in it in file order
// (fields[0..*n_fields), at most as many as *n_fields says on entry). *data_at, if given, is where tensor data begins.
uint8_t *gguf_writer_finish(const struct gguf_writer *w, size_t *size_bytes, struct gguf_field *fields,
                            size_t *n_fields, size_t *data_at);

void gguf_writer_free(struct gguf_writer *w);

#endif
