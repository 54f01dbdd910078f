// loader/model_file.h -- a checked directory of metadata and tensors, whatever file format it came from.
//
// Everything lent (spans, entries) lives until model_file_close(). Everything in it was checked against the size of the
// file before model_file_open() returned, so its users trust counts, offsets and strings: names are unique, valid UTF-8
// without control characters; tensors lie inside the file, aligned and apart from each other, and their rows are whole
// blocks; booleans are 0 or 1. What a string value holds is anybody's guess: its bytes are not checked. Whether names,
// shapes and values are those of a certain model is for the rooms above to say.
//
// Files: GGUF version 2 and 3, little-endian, with values of every type but arrays of arrays. The limits stand in
// gguf.h.
//
// Threads: an open file does not change; any number of threads may read it.
#ifndef LOADER_MODEL_FILE_H
#define LOADER_MODEL_FILE_H

#include "base/span.h"
#include "base/status.h"
#include "loader/qtype.h"

#define TENSOR_DIMS_MAX 4

struct tensor_info {
    struct span name;               // at most 256 bytes
    uint32_t n_dims;                // 1 .. TENSOR_DIMS_MAX
    uint64_t dims[TENSOR_DIMS_MAX]; // contiguous dimension first, as GGUF counts; unused ones are 1
    uint32_t gguf_type;
    enum qtype type;  // QTYPE_COUNT for a format this runtime does not read (data is empty then)
    struct span data; // the tensor's bytes inside the mapping, aligned to 8 bytes at least (to 32 in ordinary files)
};

enum meta_type { META_UINT, META_INT, META_FLOAT, META_BOOL, META_STRING, META_ARRAY };

// A scalar, or one element of an array.
struct meta_value {
    enum meta_type type;
    union {
        uint64_t uint;
        int64_t sint;
        double real;
        bool boolean;
        struct span string;
    };
};

struct meta_entry {
    struct span key;
    enum meta_type type;         // META_ARRAY: the next two say of what and how many
    enum meta_type element_type; // the type itself for scalars; never META_ARRAY
    uint64_t n_elements;         // 1 for scalars; an array may be empty
    struct span raw;             // values as stored, side by side, little-endian, unaligned
    uint32_t gguf_type;          // of the scalar or the elements
    const uint64_t *string_ends; // arrays of strings only: where in raw each one ends; meta_get() uses it
};

struct model_file;

// Opens path and, for a split model, its other parts beside it, whichever part path is. Metadata is the first part's.
// Errors  KARAT_ERR_IO, KARAT_ERR_FORMAT, KARAT_ERR_UNSUPPORTED, KARAT_ERR_MEMORY; the sentence begins with the path.
//         *out is NULL then
enum karat_status model_file_open(struct model_file **out, const char *path, struct karat_error *err);

// The same from bytes the caller keeps alive (the built-in model, tests, fuzzers); `name` stands for the path. Parts of
// a split model are refused: there is no place to look for the others. Tensors are as aligned as the bytes are.
enum karat_status model_file_from_bytes(struct model_file **out, const char *name, struct span bytes,
                                        struct karat_error *err);
void model_file_close(struct model_file *file); // NULL is fine

uint64_t model_file_bytes(const struct model_file *file); // of all parts
size_t model_file_n_tensors(const struct model_file *file);
const struct tensor_info *model_file_tensor(const struct model_file *file, size_t index);   // in file order
const struct tensor_info *model_file_find(const struct model_file *file, const char *name); // NULL: not there

// Say that data[offset, offset + size_bytes) of the tensor will be read soon, or will not be read again soon (see
// file_map_want() and file_map_release()); they do nothing beyond the tensor, nor for bytes that the caller lent.
void model_file_want(const struct model_file *file, const struct tensor_info *tensor, uint64_t offset,
                     uint64_t size_bytes);
void model_file_release(const struct model_file *file, const struct tensor_info *tensor, uint64_t offset,
                        uint64_t size_bytes);

size_t model_file_n_meta(const struct model_file *file);
const struct meta_entry *model_file_meta(const struct model_file *file, size_t index);
const struct meta_entry *model_file_find_meta(const struct model_file *file, const char *key); // NULL: not there

// Element `index` (below n_elements, asserted) of an array, or the scalar itself at index 0. O(1) for strings, too.
struct meta_value meta_get(const struct meta_entry *entry, uint64_t index);

// Typed look-ups of scalars: false, and *out as it was, when the key is absent or of another kind. Integers convert to
// each other where they fit and to float; a float must be finite, and a double fit into one; arrays and booleans never
// convert.
bool model_file_get_u32(const struct model_file *file, const char *key, uint32_t *out);
bool model_file_get_f32(const struct model_file *file, const char *key, float *out);
bool model_file_get_bool(const struct model_file *file, const char *key, bool *out);
bool model_file_get_text(const struct model_file *file, const char *key, struct span *out);

#endif
