// model/scratch.h -- where the scratch buffers of a step lie in one arena. Pure and private to the room.
//
// A step is a sequence of phases, told apart by bits. Two spans may share bytes when no phase needs both.
#ifndef MODEL_SCRATCH_H
#define MODEL_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

struct scratch_span {
    uint64_t size_bytes; // 0: not there, takes no room
    uint32_t alive;      // bit p: phase p writes or reads it, or leaves it for a later one
};

#define SCRATCH_SPANS_MAX 64

// Lays the spans out so that those with a phase in common do not overlap: one after the other at the lowest offset that
// is free for it, the widest first or those that live longest, whichever takes less. Offsets are multiples of
// `alignment`, a power of two. Returns the bytes of the arena.
uint64_t scratch_pack(uint64_t *offsets, const struct scratch_span *spans, size_t n, uint64_t alignment);

// The same with every span on bytes of its own: nothing waits for a neighbour that merely lay there before.
uint64_t scratch_spread(uint64_t *offsets, const struct scratch_span *spans, size_t n, uint64_t alignment);

#endif
