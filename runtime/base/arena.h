// base/arena.h -- many small pieces, one free.
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

// Zero-initialised is empty. Pieces live until arena_free(). Not for threads.
struct arena {
    struct arena_block *blocks;
    size_t size_bytes; // handed out so far
};

// Zeroed bytes aligned for any type, or NULL when memory is out. count * size may not wrap: NULL then, too.
void *arena_alloc(struct arena *arena, size_t count, size_t size);

// A terminated copy of text[0..size), or NULL.
char *arena_text(struct arena *arena, const char *text, size_t size);

void arena_free(struct arena *arena);

#endif
