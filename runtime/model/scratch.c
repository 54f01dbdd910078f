// model/scratch.c -- see scratch.h.
#include "model/scratch.h"

#include <assert.h>
#include <stdbool.h>

static uint64_t round_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

// Whether `span` may lie at `offset` among those that are placed; if not, *next is the nearest end that is in its way.
static bool is_free(uint64_t offset, size_t span, const uint64_t *offsets, const struct scratch_span *spans,
                    const bool *placed, size_t n, uint64_t *next)
{
    *next = UINT64_MAX;
    for (size_t i = 0; i < n; ++i) {
        const uint64_t end = offsets[i] + spans[i].size_bytes;
        if (placed[i] && (spans[i].alive & spans[span].alive) != 0 && offset < end &&
            offsets[i] < offset + spans[span].size_bytes && end < *next)
            *next = end;
    }
    return *next == UINT64_MAX;
}

enum order { WIDEST_FIRST, LONGEST_FIRST, ORDER_COUNT };

static uint32_t count_phases(uint32_t alive)
{
    uint32_t n = 0;
    for (; alive != 0; alive &= alive - 1)
        ++n;
    return n;
}

static bool comes_before(const struct scratch_span *a, const struct scratch_span *b, enum order order)
{
    const uint32_t a_phases = count_phases(a->alive), b_phases = count_phases(b->alive);
    if (order == LONGEST_FIRST && a_phases != b_phases)
        return a_phases > b_phases;
    return a->size_bytes > b->size_bytes;
}

static size_t find_next(const struct scratch_span *spans, const bool *placed, size_t n, enum order order)
{
    size_t next = n;
    for (size_t i = 0; i < n; ++i)
        if (!placed[i] && (next == n || comes_before(&spans[i], &spans[next], order)))
            next = i;
    return next;
}

static uint64_t pack_in_order(uint64_t *offsets, const struct scratch_span *spans, size_t n, uint64_t alignment,
                              enum order order)
{
    bool placed[SCRATCH_SPANS_MAX] = { false };
    uint64_t total = 0;
    for (size_t i = 0; i < n; ++i) {
        offsets[i] = 0;
        placed[i] = spans[i].size_bytes == 0;
    }
    for (size_t span; (span = find_next(spans, placed, n, order)) < n;) {
        uint64_t offset = 0, next;
        while (!is_free(offset, span, offsets, spans, placed, n, &next))
            offset = round_up(next, alignment);
        offsets[span] = offset;
        placed[span] = true;
        total = offset + spans[span].size_bytes > total ? offset + spans[span].size_bytes : total;
    }
    return total;
}

uint64_t scratch_pack(uint64_t *offsets, const struct scratch_span *spans, size_t n, uint64_t alignment)
{
    assert(n <= SCRATCH_SPANS_MAX);
    uint64_t best = UINT64_MAX;
    enum order best_order = WIDEST_FIRST;
    for (int order = 0; order < ORDER_COUNT; ++order) {
        const uint64_t total = pack_in_order(offsets, spans, n, alignment, (enum order)order);
        if (total < best) {
            best = total;
            best_order = (enum order)order;
        }
    }
    return pack_in_order(offsets, spans, n, alignment, best_order);
}

uint64_t scratch_spread(uint64_t *offsets, const struct scratch_span *spans, size_t n, uint64_t alignment)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; ++i) {
        offsets[i] = spans[i].size_bytes > 0 ? round_up(total, alignment) : 0;
        total = spans[i].size_bytes > 0 ? offsets[i] + spans[i].size_bytes : total;
    }
    return total;
}
