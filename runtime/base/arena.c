// base/arena.c -- see arena.h.
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 16
#define BLOCK_BYTES_MIN (64u * 1024)

struct arena_block {
    struct arena_block *next;
    size_t used, capacity;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct arena_block *add_block(struct arena *arena, size_t size_bytes)
{
    // Doubling with the arena keeps the number of blocks small however large it grows.
    size_t capacity = arena->size_bytes > BLOCK_BYTES_MIN ? arena->size_bytes : BLOCK_BYTES_MIN;
    if (capacity < size_bytes)
        capacity = size_bytes;
    if (capacity > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *block = calloc(1, sizeof *block + capacity);
    if (!block)
        return NULL;
    block->capacity = capacity;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX - ALIGNMENT) / size)
        return NULL;
    const size_t size_bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_block *block = arena->blocks;
    if (!block || block->capacity - block->used < size_bytes)
        block = add_block(arena, size_bytes);
    if (!block)
        return NULL;
    void *piece = block->bytes + block->used;
    block->used += size_bytes;
    arena->size_bytes += size_bytes;
    return piece;
}

char *arena_text(struct arena *arena, const char *text, size_t size)
{
    char *copy = size < SIZE_MAX ? arena_alloc(arena, size + 1, 1) : NULL;
    if (copy && size > 0)
        memcpy(copy, text, size);
    return copy;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->size_bytes = 0;
}
