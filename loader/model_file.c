// loader/model_file.c -- one directory over one file or over the parts of a split model; see model_file.h.
//
// A split model is files NAME-00001-of-00003.gguf and so on. Each says which part it is (split.no, from 0, of
// split.count); the first holds the metadata, and split.tensors.count counts the tensors of all.
#include "loader/model_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file_map.h"
#include "loader/gguf.h"
#include "loader/name_index.h"

#define PARTS_MAX 1024

struct part {
    struct file_map map; // empty when the caller lent the bytes
    struct span bytes;
    struct gguf gguf;
};

struct model_file {
    struct arena arena;
    struct part *parts; // [n_parts]
    size_t n_parts;
    const struct meta_entry *meta; // [n_meta], the first part's
    size_t n_meta;
    struct tensor_info *tensors; // [n_tensors], of all parts in order
    size_t n_tensors;
    struct name_index meta_by_key, tensor_by_name;
};

// ------------------------------------------------------------------------------------------------ one directory

static enum karat_status index_meta(struct model_file *file, struct karat_error *err)
{
    if (!name_index_create(&file->meta_by_key, &file->arena, file->n_meta))
        return status_fail(err, KARAT_ERR_MEMORY, "no memory to index %zu metadata entries", file->n_meta);
    for (size_t i = 0; i < file->n_meta; ++i)
        file->meta_by_key.rows[i] = (struct named){ file->meta[i].key, i };
    const struct span *twice = name_index_sort(&file->meta_by_key);
    if (twice)
        return status_fail(err, KARAT_ERR_FORMAT, "key \"%.*s\" occurs twice", SPAN_ARGS(*twice));
    return KARAT_OK;
}

static enum karat_status index_tensors(struct model_file *file, struct karat_error *err)
{
    if (!name_index_create(&file->tensor_by_name, &file->arena, file->n_tensors))
        return status_fail(err, KARAT_ERR_MEMORY, "no memory to index %zu tensors", file->n_tensors);
    for (size_t i = 0; i < file->n_tensors; ++i)
        file->tensor_by_name.rows[i] = (struct named){ file->tensors[i].name, i };
    const struct span *twice = name_index_sort(&file->tensor_by_name);
    if (twice)
        return status_fail(err, KARAT_ERR_FORMAT, "tensor \"%.*s\" occurs twice", SPAN_ARGS(*twice));
    return KARAT_OK;
}

static enum karat_status join_parts(struct model_file *file, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    file->meta = file->parts[0].gguf.meta;
    file->n_meta = file->parts[0].gguf.n_meta;
    for (size_t i = 0; i < file->n_parts; ++i)
        file->n_tensors += file->parts[i].gguf.n_tensors;
    file->tensors = arena_alloc(&file->arena, file->n_tensors, sizeof *file->tensors);
    if (!file->tensors)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for %zu tensor records", file->n_tensors);
    struct tensor_info *next = file->tensors;
    for (size_t i = 0; i < file->n_parts; ++i)
        for (size_t k = 0; k < file->parts[i].gguf.n_tensors; ++k)
            *next++ = file->parts[i].gguf.tensors[k];
    TRY(index_meta(file, err));
    TRY(index_tensors(file, err));
cleanup:
    return status;
}

// ------------------------------------------------------------------------------------------------ split models

// What a file says about being a part; a file that says nothing is part 0 of 1.
struct split {
    uint64_t no, count;
    uint64_t n_tensors; // of all parts; UINT64_MAX when it does not say
};

static enum karat_status read_split_key(const struct gguf *gguf, const char *key, uint64_t *out,
                                        struct karat_error *err)
{
    for (size_t i = 0; i < gguf->n_meta; ++i) {
        const struct meta_entry *entry = &gguf->meta[i];
        if (!span_is(entry->key, key))
            continue;
        if (entry->type != META_UINT && entry->type != META_INT)
            return status_fail(err, KARAT_ERR_FORMAT, "key \"%s\" is not a number", key);
        const struct meta_value value = meta_get(entry, 0);
        if (value.type == META_INT && value.sint < 0)
            return status_fail(err, KARAT_ERR_FORMAT, "key \"%s\" is %lld, expected at least 0", key,
                               (long long)value.sint);
        *out = value.uint; // a signed value that is not negative has the same bits
        return KARAT_OK;
    }
    return KARAT_OK;
}

static enum karat_status read_split(struct split *out, const struct gguf *gguf, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = (struct split){ .count = 1, .n_tensors = UINT64_MAX };
    TRY(read_split_key(gguf, "split.no", &out->no, err));
    TRY(read_split_key(gguf, "split.count", &out->count, err));
    TRY(read_split_key(gguf, "split.tensors.count", &out->n_tensors, err));
    if (out->count == 0) // some writers mark a whole file so
        out->count = 1;
    if (out->count > PARTS_MAX)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "key \"split.count\" is %llu, expected at most %d",
                        (unsigned long long)out->count, PARTS_MAX));
    if (out->no >= out->count)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "key \"split.no\" is %llu, expected less than split.count, %llu",
                        (unsigned long long)out->no, (unsigned long long)out->count));
cleanup:
    return status;
}

static void format_ending(char ending[32], uint64_t no, uint64_t count)
{
    snprintf(ending, 32, "-%05u-of-%05u.gguf", (unsigned)no + 1, (unsigned)count);
}

// The path of another part beside this one, from the arena; NULL when memory is out.
static char *sibling(struct arena *arena, const char *path, uint64_t no, uint64_t count)
{
    char ending[32];
    format_ending(ending, no, count);
    char *other = arena_text(arena, path, strlen(path));
    if (other)
        memcpy(other + strlen(other) - strlen(ending), ending, strlen(ending));
    return other;
}

static enum karat_status check_ending(const char *path, const struct split *split, struct karat_error *err)
{
    char ending[32];
    format_ending(ending, split->no, split->count);
    const size_t n = strlen(path), n_ending = strlen(ending);
    if (n >= n_ending && strcmp(path + n - n_ending, ending) == 0)
        return KARAT_OK;
    return status_fail(
        err, KARAT_ERR_FORMAT,
        "the file is part %u of %u of a split model, so its name must end in \"%s\" for the others to be found",
        (unsigned)split->no + 1, (unsigned)split->count, ending);
}

static enum karat_status open_part(struct part *part, struct arena *arena, const char *path, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(file_map_open(&part->map, path, err));
    part->bytes = part->map.bytes;
    TRY(gguf_read(&part->gguf, arena, path, part->bytes, err));
cleanup:
    return status;
}

// One more part, which must be what its place says.
static enum karat_status open_sibling(struct part *part, struct arena *arena, const char *path, uint64_t no,
                                      uint64_t count, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct split split;
    const char *other = sibling(arena, path, no, count);
    if (!other)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a path");
    TRY(open_part(part, arena, other, err));
    TRY(read_split(&split, &part->gguf, err));
    if (split.no != no || split.count != count)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "%s: says that it is part %u of %u, expected part %u of %u", other,
                        (unsigned)split.no + 1, (unsigned)split.count, (unsigned)no + 1, (unsigned)count));
cleanup:
    return status;
}

// Opens the parts that are not open yet; path is part `mine->no`, already read as parts[0].
static enum karat_status open_siblings(struct model_file *file, const char *path, const struct split *mine,
                                       struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(check_ending(path, mine, err));
    struct part *parts = arena_alloc(&file->arena, (size_t)mine->count, sizeof *parts);
    if (!parts)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for %u parts", (unsigned)mine->count);
    parts[mine->no] = file->parts[0];
    file->parts = parts;
    file->n_parts = (size_t)mine->count; // from here on close() sees all of them, empty ones too
    for (uint64_t no = 0; no < mine->count; ++no)
        if (no != mine->no && (status = open_sibling(&parts[no], &file->arena, path, no, mine->count, err)) != KARAT_OK)
            return status_context(err, status, "part %u of %u", (unsigned)no + 1, (unsigned)mine->count);
cleanup:
    return status;
}

// ------------------------------------------------------------------------------------------------ open and close

// From parts[0], read, to the whole directory. path is NULL when there is no place where other parts could be.
static enum karat_status assemble(struct model_file *file, const char *path, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct split split;
    TRY(read_split(&split, &file->parts[0].gguf, err));
    if (split.count > 1 && !path)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "the bytes are part %u of %u of a split model, expected a whole one",
                        (unsigned)split.no + 1, (unsigned)split.count));
    if (split.count > 1)
        TRY(open_siblings(file, path, &split, err));
    TRY(join_parts(file, err));
    if (split.n_tensors != UINT64_MAX && split.n_tensors != file->n_tensors)
        TRY(status_fail(err, KARAT_ERR_FORMAT, "key \"split.tensors.count\" is %llu, but there are %zu tensors",
                        (unsigned long long)split.n_tensors, file->n_tensors));
cleanup:
    return status;
}

static struct model_file *create_record(void)
{
    struct model_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->n_parts = 1;
    file->parts = arena_alloc(&file->arena, 1, sizeof *file->parts);
    if (file->parts)
        return file;
    free(file);
    return NULL;
}

enum karat_status model_file_open(struct model_file **out, const char *path, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    struct model_file *file = create_record();
    if (!file)
        return status_fail(err, KARAT_ERR_MEMORY, "%s: no memory for the file's record", path);

    TRY(open_part(&file->parts[0], &file->arena, path, err));
    if ((status = assemble(file, path, err)) != KARAT_OK)
        TRY(status_context(err, status, "%s", path));

    *out = file;
    file = NULL;
cleanup:
    model_file_close(file);
    return status;
}

enum karat_status model_file_from_bytes(struct model_file **out, const char *name, struct span bytes,
                                        struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    struct model_file *file = create_record();
    if (!file)
        return status_fail(err, KARAT_ERR_MEMORY, "%s: no memory for the file's record", name);

    file->parts[0].bytes = bytes;
    TRY(gguf_read(&file->parts[0].gguf, &file->arena, name, bytes, err));
    if ((status = assemble(file, NULL, err)) != KARAT_OK)
        TRY(status_context(err, status, "%s", name));

    *out = file;
    file = NULL;
cleanup:
    model_file_close(file);
    return status;
}

void model_file_close(struct model_file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->n_parts; ++i)
        file_map_close(&file->parts[i].map);
    arena_free(&file->arena);
    free(file);
}

// ------------------------------------------------------------------------------------------------ looking things up

uint64_t model_file_bytes(const struct model_file *file)
{
    uint64_t size_bytes = 0;
    for (size_t i = 0; i < file->n_parts; ++i)
        size_bytes += file->parts[i].bytes.size_bytes;
    return size_bytes;
}

size_t model_file_n_tensors(const struct model_file *file)
{
    return file->n_tensors;
}

const struct tensor_info *model_file_tensor(const struct model_file *file, size_t index)
{
    return index < file->n_tensors ? &file->tensors[index] : NULL;
}

const struct tensor_info *model_file_find(const struct model_file *file, const char *name)
{
    return model_file_tensor(file, name_index_find(&file->tensor_by_name, name));
}

size_t model_file_n_meta(const struct model_file *file)
{
    return file->n_meta;
}

const struct meta_entry *model_file_meta(const struct model_file *file, size_t index)
{
    return index < file->n_meta ? &file->meta[index] : NULL;
}

const struct meta_entry *model_file_find_meta(const struct model_file *file, const char *key)
{
    return model_file_meta(file, name_index_find(&file->meta_by_key, key));
}

typedef void hint_fn(const struct file_map *map, size_t offset, size_t size_bytes);

static void hint(const struct model_file *file, const struct tensor_info *tensor, uint64_t offset, uint64_t size_bytes,
                 hint_fn *give)
{
    if (offset >= tensor->data.size_bytes)
        return;
    if (size_bytes > tensor->data.size_bytes - offset)
        size_bytes = tensor->data.size_bytes - offset;
    const uintptr_t address = (uintptr_t)tensor->data.data + (size_t)offset;
    for (size_t i = 0; i < file->n_parts; ++i) {
        const struct file_map *map = &file->parts[i].map;
        const uintptr_t start = (uintptr_t)map->bytes.data;
        if (map->bytes.data && address >= start && address - start < map->bytes.size_bytes)
            give(map, address - start, (size_t)size_bytes);
    }
}

void model_file_want(const struct model_file *file, const struct tensor_info *tensor, uint64_t offset,
                     uint64_t size_bytes)
{
    hint(file, tensor, offset, size_bytes, file_map_want);
}

void model_file_release(const struct model_file *file, const struct tensor_info *tensor, uint64_t offset,
                        uint64_t size_bytes)
{
    hint(file, tensor, offset, size_bytes, file_map_release);
}
