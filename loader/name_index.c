// loader/name_index.c -- see name_index.h.
#include "loader/name_index.h"

#include <stdlib.h>

static int compare(struct span a, struct span b)
{
    const size_t common = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    const int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.size_bytes > b.size_bytes) - (a.size_bytes < b.size_bytes);
}

static int by_name(const void *a, const void *b)
{
    return compare(((const struct named *)a)->name, ((const struct named *)b)->name);
}

bool name_index_create(struct name_index *out, struct arena *arena, size_t n)
{
    out->rows = arena_alloc(arena, n, sizeof *out->rows);
    out->n = n;
    return out->rows != NULL;
}

const struct span *name_index_sort(struct name_index *index)
{
    if (index->n < 2)
        return NULL;
    qsort(index->rows, index->n, sizeof *index->rows, by_name);
    for (size_t i = 1; i < index->n; ++i)
        if (span_equal(index->rows[i - 1].name, index->rows[i].name))
            return &index->rows[i].name;
    return NULL;
}

size_t name_index_find(const struct name_index *index, const char *name)
{
    const struct span wanted = span_text(name);
    size_t first = 0, n = index->n;
    while (n > 0) {
        const size_t half = n / 2;
        const int order = compare(index->rows[first + half].name, wanted);
        if (order == 0)
            return index->rows[first + half].at;
        if (order < 0) {
            first += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return SIZE_MAX;
}
