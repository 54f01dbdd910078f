// loader/gguf.h -- one GGUF file, checked. Private to the loader; other rooms see model_file.h.
//
// The format: "GGUF", u32 version, u64 n_tensors, u64 n_metadata; then the metadata entries (name, u32 value type,
// value); then the tensor records (name, u32 n_dims, u64 dims[], u32 format, u64 offset); then, at the next multiple of
// general.alignment, the data that the offsets count from. Text is a u64 length and bytes. All little-endian.
#ifndef LOADER_GGUF_H
#define LOADER_GGUF_H

#include "base/arena.h"
#include "loader/model_file.h"

// What we read. Each bound is far above what any model has and keeps a hostile file cheap.
#define GGUF_META_MAX 65536      // metadata entries of one file
#define GGUF_TENSORS_MAX 65536   // tensors of one file
#define GGUF_KEY_BYTES_MAX 65535 // the format's own limit
#define GGUF_NAME_BYTES_MAX 256  // tensor names; the format says 64
#define GGUF_ALIGNMENT_MIN 8     // the format's own limit, so that every tensor starts aligned for its numbers
#define GGUF_ALIGNMENT_DEFAULT 32
#define GGUF_ALIGNMENT_MAX 65536

// Type ids of metadata values.
enum gguf_value {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_TEXT,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_VALUE_COUNT
};

struct gguf {
    struct meta_entry *meta; // [n_meta], in file order
    size_t n_meta;
    struct tensor_info *tensors; // [n_tensors], in file order
    size_t n_tensors;
};

// Reads the directory of `bytes` into pieces of the arena, which lend from the bytes. Checks everything that one file
// can be checked for, except that names are unique: see name_index.h. Errors  KARAT_ERR_FORMAT, KARAT_ERR_UNSUPPORTED,
// KARAT_ERR_MEMORY; the sentence begins with `name`
enum karat_status gguf_read(struct gguf *out, struct arena *arena, const char *name, struct span bytes,
                            struct karat_error *err);

#endif
