// loader/name_index.h -- finds things by their names, and proves that names are unique. Private to the loader.
#ifndef LOADER_NAME_INDEX_H
#define LOADER_NAME_INDEX_H

#include "base/arena.h"
#include "base/span.h"

// A sorted table rather than a hash: no choice of names makes it slow.
struct name_index {
    struct named {
        struct span name;
        size_t at;
    } * rows; // [n], sorted by name once name_index_sort() was called
    size_t n;
};

// Room for n names; fill in all of rows, then sort. False when memory is out.
bool name_index_create(struct name_index *out, struct arena *arena, size_t n);

// Returns NULL, or a name that occurs twice.
const struct span *name_index_sort(struct name_index *index);

// The `at` of this name, or SIZE_MAX.
size_t name_index_find(const struct name_index *index, const char *name);

#endif
