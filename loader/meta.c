// loader/meta.c -- values out of checked metadata entries; see model_file.h.
#include <assert.h>
#include <float.h>

#include "loader/gguf.h"
#include "loader/little_endian.h"

static struct meta_value number(enum gguf_value type, const uint8_t *p)
{
    switch (type) {
    case GGUF_U8:
        return (struct meta_value){ META_UINT, { .uint = p[0] } };
    case GGUF_U16:
        return (struct meta_value){ META_UINT, { .uint = load_u16(p) } };
    case GGUF_U32:
        return (struct meta_value){ META_UINT, { .uint = load_u32(p) } };
    case GGUF_U64:
        return (struct meta_value){ META_UINT, { .uint = load_u64(p) } };
    case GGUF_I8:
        return (struct meta_value){ META_INT, { .sint = (int8_t)p[0] } };
    case GGUF_I16:
        return (struct meta_value){ META_INT, { .sint = (int16_t)load_u16(p) } };
    case GGUF_I32:
        return (struct meta_value){ META_INT, { .sint = (int32_t)load_u32(p) } };
    case GGUF_I64:
        return (struct meta_value){ META_INT, { .sint = (int64_t)load_u64(p) } };
    case GGUF_F32:
        return (struct meta_value){ META_FLOAT, { .real = (double)load_f32(p) } };
    case GGUF_F64:
        return (struct meta_value){ META_FLOAT, { .real = load_f64(p) } };
    case GGUF_BOOL:
        return (struct meta_value){ META_BOOL, { .boolean = p[0] != 0 } };
    case GGUF_TEXT:
    case GGUF_ARRAY:
    case GGUF_VALUE_COUNT:
        break;
    }
    assert(!"a number's type: the reader has checked");
    return (struct meta_value){ 0 };
}

struct meta_value meta_get(const struct meta_entry *entry, uint64_t index)
{
    assert(index < entry->n_elements && "the caller stays inside the array");
    if (entry->gguf_type != GGUF_TEXT)
        return number((enum gguf_value)entry->gguf_type,
                      entry->raw.data + index * (entry->raw.size_bytes / entry->n_elements));
    // A stored string is its length in eight bytes, then its bytes. A scalar is the only one in raw.
    const uint64_t start = index > 0 ? entry->string_ends[index - 1] : 0;
    const uint64_t end = entry->string_ends ? entry->string_ends[index] : entry->raw.size_bytes;
    return (struct meta_value){ META_STRING,
                                { .string = span_of(entry->raw.data + start + 8, (size_t)(end - start - 8)) } };
}

// The scalar under this key, or false.
static bool find_scalar(const struct model_file *file, const char *key, struct meta_value *out)
{
    const struct meta_entry *entry = model_file_find_meta(file, key);
    if (!entry || entry->type == META_ARRAY)
        return false;
    *out = meta_get(entry, 0);
    return true;
}

bool model_file_get_u32(const struct model_file *file, const char *key, uint32_t *out)
{
    struct meta_value value;
    if (!find_scalar(file, key, &value))
        return false;
    if (value.type == META_INT && value.sint >= 0)
        value = (struct meta_value){ META_UINT, { .uint = (uint64_t)value.sint } };
    if (value.type != META_UINT || value.uint > UINT32_MAX)
        return false;
    *out = (uint32_t)value.uint;
    return true;
}

bool model_file_get_f32(const struct model_file *file, const char *key, float *out)
{
    struct meta_value value;
    if (!find_scalar(file, key, &value))
        return false;
    if (value.type == META_UINT)
        *out = (float)value.uint;
    else if (value.type == META_INT)
        *out = (float)value.sint;
    else if (value.type == META_FLOAT && value.real >= -(double)FLT_MAX && value.real <= (double)FLT_MAX)
        *out = (float)value.real;
    else
        return false;
    return true;
}

bool model_file_get_bool(const struct model_file *file, const char *key, bool *out)
{
    struct meta_value value;
    if (!find_scalar(file, key, &value) || value.type != META_BOOL)
        return false;
    *out = value.boolean;
    return true;
}

bool model_file_get_text(const struct model_file *file, const char *key, struct span *out)
{
    struct meta_value value;
    if (!find_scalar(file, key, &value) || value.type != META_STRING)
        return false;
    *out = value.string;
    return true;
}
