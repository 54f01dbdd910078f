// cli/synth_gguf.h -- writing a GGUF file: key-values first, then tensors of random weights.
#ifndef CLI_SYNTH_GGUF_H
#define CLI_SYNTH_GGUF_H

#include <stdbool.h>

#include "cli/synth_blocks.h"
#include "common/text.h"

// Types of values in a GGUF file, as the format numbers them.
enum gguf_type { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9 };

// Key-values as the bytes the file will hold.
struct gguf_keys {
    struct text bytes;
    uint64_t n;
};
void gguf_key_u32(struct gguf_keys *keys, const char *key, uint32_t value);
void gguf_key_i32(struct gguf_keys *keys, const char *key, int32_t value);
void gguf_key_f32(struct gguf_keys *keys, const char *key, float value);
void gguf_key_bool(struct gguf_keys *keys, const char *key, bool value);
void gguf_key_string(struct gguf_keys *keys, const char *key, const char *value);
// Begins an array; exactly n elements are added to keys->bytes by the caller, with the functions below.
void gguf_key_array(struct gguf_keys *keys, const char *key, enum gguf_type element, uint64_t n);
void gguf_add_u32(struct text *bytes, uint32_t value);
void gguf_add_u64(struct text *bytes, uint64_t value);
void gguf_add_string(struct text *bytes, const char *value, size_t size);

enum synth_fill {
    SYNTH_RANDOM,   // mean 0, standard deviation a
    SYNTH_NEAR,     // F32: from (1 - b) a to (1 + b) a
    SYNTH_NEAR_ANY, // the same with random signs
    SYNTH_ROTATION, // F32: a ones, then 1e30: how GGUF says that only the first pairs rotate
};

struct synth_tensor {
    char name[64];
    uint64_t dims[3]; // innermost first
    uint32_t n_dims;
    enum synth_format format;
    enum synth_fill fill;
    double a, b;
};

struct synth_file {
    struct gguf_keys keys;
    struct synth_tensor *tensors;
    size_t n_tensors, capacity;
    uint64_t seed;
};
void synth_file_free(struct synth_file *file);
void synth_file_add(struct synth_file *file, const struct synth_tensor *tensor);
uint64_t synth_file_weight_bytes(const struct synth_file *file);

// Writes the file. `on_progress` may be NULL and returns false to stop. On failure: false, one sentence in *fault; what
// was written so far stays.
bool synth_file_write(const struct synth_file *file, const char *path,
                      bool (*on_progress)(void *user, uint64_t done, uint64_t total), void *user, struct text *fault);

#endif
