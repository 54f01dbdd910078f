// loader/gguf.c -- reads the directory of one GGUF file and believes nothing in it before it is checked against the
// file's size. Sums and products are compared before they are formed, so none can wrap.
#include "loader/gguf.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "loader/little_endian.h"

typedef unsigned long long ull; // what "%llu" prints

static const struct {
    enum meta_type type;
    uint32_t size_bytes; // 0: the value says its own length
} values[GGUF_VALUE_COUNT] = {
    [GGUF_U8] = { META_UINT, 1 },     [GGUF_I8] = { META_INT, 1 },    [GGUF_U16] = { META_UINT, 2 },
    [GGUF_I16] = { META_INT, 2 },     [GGUF_U32] = { META_UINT, 4 },  [GGUF_I32] = { META_INT, 4 },
    [GGUF_F32] = { META_FLOAT, 4 },   [GGUF_BOOL] = { META_BOOL, 1 }, [GGUF_TEXT] = { META_STRING, 0 },
    [GGUF_ARRAY] = { META_ARRAY, 0 }, [GGUF_U64] = { META_UINT, 8 },  [GGUF_I64] = { META_INT, 8 },
    [GGUF_F64] = { META_FLOAT, 8 },
};

// ------------------------------------------------------------------------------------------------ taking bytes

struct reader {
    struct span bytes;
    size_t at; // never beyond the end
};

static size_t left(const struct reader *r)
{
    return r->bytes.size_bytes - r->at;
}

// Lends the next size_bytes bytes and steps over them.
static enum karat_status take(struct reader *r, uint64_t size_bytes, const char *what, const uint8_t **out,
                              struct karat_error *err)
{
    if (size_bytes > left(r))
        return status_fail(err, KARAT_ERR_FORMAT,
                           "%s takes %llu bytes from byte %zu, but the file ends after %zu bytes: is it complete?",
                           what, (ull)size_bytes, r->at, r->bytes.size_bytes);
    *out = r->bytes.data + r->at;
    r->at += (size_t)size_bytes;
    return KARAT_OK;
}

static enum karat_status take_u32(struct reader *r, const char *what, uint32_t *out, struct karat_error *err)
{
    const uint8_t *p = NULL;
    const enum karat_status status = take(r, 4, what, &p, err);
    if (status == KARAT_OK)
        *out = load_u32(p);
    return status;
}

static enum karat_status take_u64(struct reader *r, const char *what, uint64_t *out, struct karat_error *err)
{
    const uint8_t *p = NULL;
    const enum karat_status status = take(r, 8, what, &p, err);
    if (status == KARAT_OK)
        *out = load_u64(p);
    return status;
}

static enum karat_status take_text(struct reader *r, const char *what, struct span *out, struct karat_error *err)
{
    uint64_t size_bytes = 0;
    const uint8_t *p = NULL;
    enum karat_status status = take_u64(r, what, &size_bytes, err);
    if (status == KARAT_OK)
        status = take(r, size_bytes, what, &p, err);
    if (status == KARAT_OK)
        *out = span_of(p, (size_t)size_bytes);
    return status;
}

// Names are printed, compared with C strings and shown to users, so they are clean text of a sane length.
static enum karat_status take_name(struct reader *r, size_t max_bytes, struct span *out, struct karat_error *err)
{
    const enum karat_status status = take_text(r, "the name", out, err);
    if (status != KARAT_OK)
        return status;
    if (out->size_bytes < 1 || out->size_bytes > max_bytes)
        return status_fail(err, KARAT_ERR_FORMAT, "the name has %zu bytes, expected 1 to %zu", out->size_bytes,
                           max_bytes);
    size_t bad;
    if (!utf8_valid((const char *)out->data, out->size_bytes, &bad))
        return status_fail(err, KARAT_ERR_FORMAT, "the name \"%.*s\" is not valid UTF-8 at byte %zu", SPAN_ARGS(*out),
                           bad);
    for (size_t i = 0; i < out->size_bytes; ++i)
        if (out->data[i] < 32 || out->data[i] == 127)
            return status_fail(err, KARAT_ERR_FORMAT, "the name \"%.*s\" holds control character %u, expected text",
                               SPAN_ARGS(*out), out->data[i]);
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ the header

// What people open by mistake.
static const struct {
    const char *magic, *is;
} strangers[] = {
    { "version https://git-lfs", "a Git LFS pointer, not the file it points to" },
    { "<!DOCTYPE", "a web page" },
    { "<html", "a web page" },
    { "PK\x03\x04", "a zip archive (a PyTorch checkpoint?)" },
    { "\xFD\x37zXZ", "compressed with xz" },
    { "\x1F\x8B", "compressed with gzip" },
    { "\x28\xB5\x2F\xFD", "compressed with zstd" },
    { "lmgg", "in a format older than GGUF" },
    { "fmgg", "in a format older than GGUF" },
    { "tjgg", "in a format older than GGUF" },
};

static enum karat_status refuse_stranger(struct span bytes, struct karat_error *err)
{
    for (size_t i = 0; i < COUNT(strangers); ++i) {
        const struct span magic = span_text(strangers[i].magic);
        if (bytes.size_bytes >= magic.size_bytes && memcmp(bytes.data, magic.data, magic.size_bytes) == 0)
            return status_fail(err, KARAT_ERR_FORMAT, "the file is %s, expected GGUF", strangers[i].is);
    }
    if (bytes.size_bytes > 9 && bytes.data[8] == '{')
        return status_fail(err, KARAT_ERR_FORMAT, "the file looks like safetensors, expected GGUF");
    return status_fail(err, KARAT_ERR_FORMAT,
                       "the file does not begin with \"GGUF\": it is not a model of that format");
}

static enum karat_status read_version(struct reader *r, struct karat_error *err)
{
    if (r->bytes.size_bytes == 0)
        return status_fail(err, KARAT_ERR_FORMAT, "the file is empty, expected GGUF");
    if (left(r) < 4 || memcmp(r->bytes.data, "GGUF", 4) != 0)
        return refuse_stranger(r->bytes, err);
    r->at = 4;

    uint32_t version = 0;
    const enum karat_status status = take_u32(r, "the version", &version, err);
    if (status != KARAT_OK || version == 2 || version == 3)
        return status;
    if ((version & 0xFFFF) == 0)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the file is big-endian GGUF, expected little-endian");
    return status_fail(err, KARAT_ERR_UNSUPPORTED, "the file is GGUF version %u, expected 2 or 3", version);
}

// A count is believed only as far as the bytes that follow could hold the things it counts.
static enum karat_status take_count(struct reader *r, const char *things, uint64_t max, size_t *out,
                                    struct karat_error *err)
{
    uint64_t count = 0;
    const enum karat_status status = take_u64(r, "a count in the header", &count, err);
    if (status != KARAT_OK)
        return status;
    if (count > max)
        return status_fail(err, KARAT_ERR_FORMAT, "the header counts %llu %s, expected at most %llu", (ull)count,
                           things, (ull)max);
    *out = (size_t)count;
    return KARAT_OK;
}

static enum karat_status bound_count(const struct reader *r, const char *things, size_t count, size_t min_bytes,
                                     struct karat_error *err)
{
    if (count <= left(r) / min_bytes)
        return KARAT_OK;
    return status_fail(err, KARAT_ERR_FORMAT, "the header counts %zu %s, but only %zu bytes follow: is it complete?",
                       count, things, left(r));
}

// ------------------------------------------------------------------------------------------------ metadata

// Every string of the array lies inside the file, and their ends are noted so that any one is found at once. The index
// is made after the walk: its size is then bounded by bytes that are really there.
static enum karat_status read_strings(struct reader *r, struct meta_entry *entry, struct arena *arena,
                                      struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const size_t start = r->at;
    struct span text;
    for (uint64_t i = 0; i < entry->n_elements; ++i)
        if ((status = take_text(r, "the string", &text, err)) != KARAT_OK)
            return status_context(err, status, "element %llu of %llu", (ull)i, (ull)entry->n_elements);
    entry->raw = span_of(r->bytes.data + start, r->at - start);

    uint64_t *ends = arena_alloc(arena, (size_t)entry->n_elements, sizeof *ends);
    if (!ends)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory to index %llu strings", (ull)entry->n_elements);
    uint64_t at = 0;
    for (uint64_t i = 0; i < entry->n_elements; ++i)
        ends[i] = at += 8 + load_u64(entry->raw.data + at);
    entry->string_ends = ends;
    return KARAT_OK;
}

static enum karat_status check_bools(struct span raw, struct karat_error *err)
{
    for (size_t i = 0; i < raw.size_bytes; ++i)
        if (raw.data[i] > 1)
            return status_fail(err, KARAT_ERR_FORMAT, "a boolean is %u, expected 0 or 1", raw.data[i]);
    return KARAT_OK;
}

// entry->n_elements numbers of the type that entry->gguf_type says.
static enum karat_status read_numbers(struct reader *r, struct meta_entry *entry, struct karat_error *err)
{
    const uint32_t size_bytes = values[entry->gguf_type].size_bytes;
    if (entry->n_elements > left(r) / size_bytes)
        return status_fail(err, KARAT_ERR_FORMAT,
                           "%llu values of %u bytes do not fit into the %zu bytes left in the file",
                           (ull)entry->n_elements, size_bytes, left(r));
    const uint8_t *p = NULL;
    const enum karat_status status = take(r, entry->n_elements * size_bytes, "the value", &p, err);
    if (status != KARAT_OK)
        return status;
    entry->raw = span_of(p, (size_t)entry->n_elements * size_bytes);
    return entry->gguf_type == GGUF_BOOL ? check_bools(entry->raw, err) : KARAT_OK;
}

static enum karat_status take_value_type(struct reader *r, uint32_t *out, struct karat_error *err)
{
    const enum karat_status status = take_u32(r, "the value type", out, err);
    if (status == KARAT_OK && *out >= GGUF_VALUE_COUNT)
        return status_fail(err, KARAT_ERR_FORMAT, "the value type is %u, expected 0 to %d", *out, GGUF_VALUE_COUNT - 1);
    return status;
}

static enum karat_status read_array(struct reader *r, struct meta_entry *entry, struct arena *arena,
                                    struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(take_value_type(r, &entry->gguf_type, err));
    TRY(take_u64(r, "the array's length", &entry->n_elements, err));
    if (entry->gguf_type == GGUF_ARRAY)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the value is an array of arrays, expected numbers or text");
    entry->element_type = values[entry->gguf_type].type;
    if (entry->gguf_type == GGUF_TEXT)
        return read_strings(r, entry, arena, err);
    TRY(read_numbers(r, entry, err));
cleanup:
    return status;
}

static enum karat_status read_value(struct reader *r, struct meta_entry *entry, struct arena *arena,
                                    struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct span text;
    TRY(take_value_type(r, &entry->gguf_type, err));
    entry->type = entry->element_type = values[entry->gguf_type].type;
    entry->n_elements = 1;
    if (entry->gguf_type == GGUF_ARRAY)
        return read_array(r, entry, arena, err);
    if (entry->gguf_type == GGUF_TEXT) {
        const size_t start = r->at;
        TRY(take_text(r, "the text", &text, err));
        entry->raw = span_of(r->bytes.data + start, r->at - start);
        return KARAT_OK;
    }
    TRY(read_numbers(r, entry, err));
cleanup:
    return status;
}

static enum karat_status read_meta(struct reader *r, struct gguf *gguf, struct arena *arena, struct karat_error *err)
{
    gguf->meta = arena_alloc(arena, gguf->n_meta, sizeof *gguf->meta);
    if (!gguf->meta)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for %zu metadata entries", gguf->n_meta);
    for (size_t i = 0; i < gguf->n_meta; ++i) {
        struct meta_entry *entry = &gguf->meta[i];
        enum karat_status status = take_name(r, GGUF_KEY_BYTES_MAX, &entry->key, err);
        if (status != KARAT_OK)
            return status_context(err, status, "metadata entry %zu of %zu", i + 1, gguf->n_meta);
        status = read_value(r, entry, arena, err);
        if (status != KARAT_OK)
            return status_context(err, status, "key \"%.*s\"", SPAN_ARGS(entry->key));
    }
    return KARAT_OK;
}

static enum karat_status find_alignment(const struct gguf *gguf, uint32_t *out, struct karat_error *err)
{
    *out = GGUF_ALIGNMENT_DEFAULT;
    for (size_t i = 0; i < gguf->n_meta; ++i) {
        const struct meta_entry *entry = &gguf->meta[i];
        if (!span_is(entry->key, "general.alignment"))
            continue;
        if (entry->type != META_UINT || entry->gguf_type != GGUF_U32)
            return status_fail(err, KARAT_ERR_FORMAT,
                               "key \"general.alignment\": the value type is %u, expected %u (u32)",
                               entry->type == META_ARRAY ? GGUF_ARRAY : entry->gguf_type, GGUF_U32);
        *out = load_u32(entry->raw.data);
        if (*out < GGUF_ALIGNMENT_MIN || *out > GGUF_ALIGNMENT_MAX || (*out & (*out - 1)) != 0)
            return status_fail(err, KARAT_ERR_FORMAT,
                               "key \"general.alignment\": the value is %u, expected a power of two from %u to %u",
                               *out, GGUF_ALIGNMENT_MIN, GGUF_ALIGNMENT_MAX);
    }
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ tensors

// Where a tensor says that it lies, counted from the start of the data.
struct extent {
    uint64_t offset;
    uint64_t size_bytes; // 1 for a format we cannot size: at least that much must be there
    const struct tensor_info *tensor;
};

static enum karat_status read_dims(struct reader *r, struct tensor_info *tensor, uint64_t *n_weights,
                                   struct karat_error *err)
{
    enum karat_status status = take_u32(r, "the number of dimensions", &tensor->n_dims, err);
    if (status != KARAT_OK)
        return status;
    if (tensor->n_dims < 1 || tensor->n_dims > TENSOR_DIMS_MAX)
        return status_fail(err, KARAT_ERR_FORMAT, "it has %u dimensions, expected 1 to %d", tensor->n_dims,
                           TENSOR_DIMS_MAX);
    *n_weights = 1;
    for (uint32_t i = 0; i < TENSOR_DIMS_MAX; ++i) {
        tensor->dims[i] = 1;
        if (i < tensor->n_dims && (status = take_u64(r, "the dimension", &tensor->dims[i], err)) != KARAT_OK)
            return status;
        if (tensor->dims[i] == 0)
            return status_fail(err, KARAT_ERR_FORMAT, "dimension %u is 0, expected at least 1", i);
        // The bound leaves room to count bits.
        if (tensor->dims[i] > UINT64_MAX / 64 / *n_weights)
            return status_fail(err, KARAT_ERR_FORMAT,
                               "dimension %u is %llu, which makes more weights than can be counted", i,
                               (ull)tensor->dims[i]);
        *n_weights *= tensor->dims[i];
    }
    return KARAT_OK;
}

static enum karat_status read_tensor(struct reader *r, struct tensor_info *tensor, struct extent *extent,
                                     struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    uint64_t n_weights = 0;
    TRY(read_dims(r, tensor, &n_weights, err));
    TRY(take_u32(r, "the format", &tensor->gguf_type, err));
    TRY(take_u64(r, "the offset", &extent->offset, err));

    tensor->type = qtype_from_gguf(tensor->gguf_type);
    extent->tensor = tensor;
    extent->size_bytes = 1;
    if (tensor->type == QTYPE_COUNT)
        return KARAT_OK; // whoever needs this tensor says that its format is unknown
    const struct qtype_info *format = &qtypes[tensor->type];
    if (tensor->dims[0] % format->block_len != 0)
        return status_fail(err, KARAT_ERR_FORMAT, "its rows have %llu weights, expected a multiple of %u for %s",
                           (ull)tensor->dims[0], format->block_len, format->name);
    // No format has more than 4 bytes per weight, and read_dims() left a factor of 64.
    extent->size_bytes = qtype_bytes(tensor->type, n_weights);
cleanup:
    return status;
}

static enum karat_status read_tensors(struct reader *r, struct gguf *gguf, struct extent *extents,
                                      struct karat_error *err)
{
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        struct tensor_info *tensor = &gguf->tensors[i];
        enum karat_status status = take_name(r, GGUF_NAME_BYTES_MAX, &tensor->name, err);
        if (status != KARAT_OK)
            return status_context(err, status, "tensor %zu of %zu", i + 1, gguf->n_tensors);
        status = read_tensor(r, tensor, &extents[i], err);
        if (status != KARAT_OK)
            return status_context(err, status, "tensor \"%.*s\"", SPAN_ARGS(tensor->name));
    }
    return KARAT_OK;
}

// Lends every tensor its bytes.
static enum karat_status place_tensors(struct gguf *gguf, const struct extent *extents, struct span data,
                                       uint32_t alignment, struct karat_error *err)
{
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        struct tensor_info *tensor = &gguf->tensors[i];
        const struct extent *e = &extents[i];
        if (e->offset % alignment != 0)
            return status_fail(err, KARAT_ERR_FORMAT, "tensor \"%.*s\": its offset is %llu, expected a multiple of %u",
                               SPAN_ARGS(tensor->name), (ull)e->offset, alignment);
        if (e->offset > data.size_bytes || e->size_bytes > data.size_bytes - e->offset)
            return status_fail(err, KARAT_ERR_FORMAT,
                               "tensor \"%.*s\": it takes %llu bytes from offset %llu, but the file holds %zu bytes of "
                               "data: is it complete?",
                               SPAN_ARGS(tensor->name), (ull)e->size_bytes, (ull)e->offset, data.size_bytes);
        if (tensor->type != QTYPE_COUNT)
            tensor->data = span_of(data.data + e->offset, (size_t)e->size_bytes);
    }
    return KARAT_OK;
}

static int by_offset(const void *left_extent, const void *right_extent)
{
    const struct extent *a = left_extent, *b = right_extent;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

// Sorts the extents. Their ends are known to be inside the file, so the sums below cannot wrap.
static enum karat_status check_overlap(struct extent *extents, size_t n_extents, struct karat_error *err)
{
    if (n_extents < 2)
        return KARAT_OK;
    qsort(extents, n_extents, sizeof *extents, by_offset);
    for (size_t i = 1; i < n_extents; ++i) {
        const struct extent *a = &extents[i - 1], *b = &extents[i];
        if (a->offset + a->size_bytes > b->offset)
            return status_fail(err, KARAT_ERR_FORMAT,
                               "tensor \"%.*s\": it begins at offset %llu, but tensor \"%.*s\" before it ends at %llu",
                               SPAN_ARGS(b->tensor->name), (ull)b->offset, SPAN_ARGS(a->tensor->name),
                               (ull)(a->offset + a->size_bytes));
    }
    return KARAT_OK;
}

// What follows the directory, from the next multiple of the alignment on. A file without tensors may end before that.
static struct span find_data(const struct reader *r, uint32_t alignment)
{
    const size_t padding = (alignment - r->at % alignment) % alignment;
    const size_t skipped = padding < left(r) ? padding : left(r);
    return span_of(r->bytes.data + r->at + skipped, left(r) - skipped);
}

// ------------------------------------------------------------------------------------------------ the whole

static enum karat_status read_all(struct gguf *gguf, struct arena *arena, struct span bytes, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct reader r = { .bytes = bytes };
    struct extent *extents = NULL;
    uint32_t alignment;

    TRY(read_version(&r, err));
    TRY(take_count(&r, "tensors", GGUF_TENSORS_MAX, &gguf->n_tensors, err));
    TRY(take_count(&r, "metadata entries", GGUF_META_MAX, &gguf->n_meta, err));
    TRY(bound_count(&r, "metadata entries", gguf->n_meta, 8 + 1 + 4 + 1, err)); // name, type, value
    TRY(read_meta(&r, gguf, arena, err));
    TRY(find_alignment(gguf, &alignment, err));

    TRY(bound_count(&r, "tensors", gguf->n_tensors, 8 + 1 + 4 + 8 + 4 + 8, err)); // name, n_dims, dims, format, offset
    gguf->tensors = arena_alloc(arena, gguf->n_tensors, sizeof *gguf->tensors);
    extents = calloc(gguf->n_tensors + 1, sizeof *extents);
    if (!gguf->tensors || !extents)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for %zu tensor records", gguf->n_tensors));
    TRY(read_tensors(&r, gguf, extents, err));
    TRY(place_tensors(gguf, extents, find_data(&r, alignment), alignment, err));
    TRY(check_overlap(extents, gguf->n_tensors, err));
cleanup:
    free(extents);
    return status;
}

enum karat_status gguf_read(struct gguf *out, struct arena *arena, const char *name, struct span bytes,
                            struct karat_error *err)
{
    *out = (struct gguf){ 0 };
    const enum karat_status status = read_all(out, arena, bytes, err);
    return status == KARAT_OK ? KARAT_OK : status_context(err, status, "%s", name);
}
