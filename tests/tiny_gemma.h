// tests/tiny_gemma.h -- descriptions of the smallest Gemma 4 files, which tests change in one place and then write.
//
// Both have two layers: the first sees a window, the second everything and has no value projection. No two sizes that
// could be mistaken for each other are equal.
#ifndef TINY_GEMMA_H
#define TINY_GEMMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TINY_EMBD 96
#define TINY_VOCAB 64
#define TINY_FF 160
#define TINY_FF_EXPERT 32
#define TINY_EXPERTS 5
#define TINY_Q_SLIDING 128 // 4 heads of 32
#define TINY_Q_GLOBAL 256  // 4 heads of 64
#define TINY_KV 64         // 2 heads of 32, 1 head of 64

// One metadata entry. Numbers are written in the type's own width.
struct tiny_key {
    char name[64];
    uint32_t type; // W_U32, W_I32, W_BOOL, W_U64, W_F32, W_TEXT
    bool is_array;
    size_t n;           // elements of an array, at most 8
    int64_t numbers[8]; // integers and booleans; [0] is the scalar
    float real;         // W_F32, never an array
    const char *text;   // W_TEXT, never an array
};

struct tiny_tensor {
    char name[64];
    uint32_t gguf_type;
    uint32_t n_dims;
    uint64_t dims[4];
    size_t size_bytes; // of its data, which is all zero; SIZE_MAX: what the dimensions and the format ask for
};

struct tiny_gemma {
    struct tiny_key keys[48];
    size_t n_keys;
    struct tiny_tensor tensors[64];
    size_t n_tensors;
};

// Vectors are F32, matrices Q4_0; the experts' first matrices are one tensor, the head is the embedding.
void tiny_gemma_experts(struct tiny_gemma *out);
void tiny_gemma_dense(struct tiny_gemma *out);

// NULL when there is none of this name.
struct tiny_key *tiny_gemma_key(struct tiny_gemma *model, const char *name);
struct tiny_tensor *tiny_gemma_tensor(struct tiny_gemma *model, const char *name);

// Sets or adds a scalar; sets or adds an array of n equal numbers.
struct tiny_key *tiny_gemma_set(struct tiny_gemma *model, const char *name, uint32_t type, int64_t number);
struct tiny_key *tiny_gemma_set_array(struct tiny_gemma *model, const char *name, uint32_t type, int64_t number,
                                      size_t n);
struct tiny_key *tiny_gemma_set_real(struct tiny_gemma *model, const char *name, float real);
struct tiny_key *tiny_gemma_set_text(struct tiny_gemma *model, const char *name, const char *text);

struct tiny_tensor *tiny_gemma_add_tensor(struct tiny_gemma *model, const char *name, uint32_t gguf_type, uint64_t dim0,
                                          uint64_t dim1, uint64_t dim2); // 0: no such dimension

// False when there is none of this name.
bool tiny_gemma_drop_key(struct tiny_gemma *model, const char *name);
bool tiny_gemma_drop_tensor(struct tiny_gemma *model, const char *name);

// The file, which the caller frees.
uint8_t *tiny_gemma_finish(const struct tiny_gemma *model, size_t *size_bytes);

#endif
