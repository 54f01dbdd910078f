// ops/rows.h -- shared by the ops that work on rows: how wide a workgroup is, and views cut to what a dispatch needs.
// Private to the room.
#ifndef OPS_ROWS_H
#define OPS_ROWS_H

#include "gpu/gpu.h"

// Invocations for a row of n_items independent items. A software device pays per workgroup and per barrier, so it gets
// few lanes with long loops; a GPU gets about one item per lane.
static inline uint32_t rows_group_size(const struct gpu_plan *plan, uint32_t n_items)
{
    if (plan->cpu)
        return 32;
    uint32_t size = 64;
    while (size < n_items && size < 256)
        size *= 2;
    return size;
}

// How many of n_items equal pieces of work a workgroup takes, one after the other: one on a GPU; on a software device
// as many as leave a few workgroups for every core, yet at least `least`.
static inline uint32_t rows_per_group(const struct gpu_plan *plan, uint32_t n_items, uint32_t least)
{
    if (!plan->cpu)
        return 1;
    const uint32_t per_group = (n_items + 31) / 32;
    return per_group > least ? per_group : least;
}

static inline uint32_t rows_div_up(uint32_t n, uint32_t d)
{
    return (n + d - 1) / d;
}

// `size_bytes` of a view from `offset` on.
static inline struct gpu_view rows_view(struct gpu_view view, uint64_t offset, uint64_t size_bytes)
{
    return (struct gpu_view){ view.buffer, view.offset + offset, size_bytes };
}

// The device address of a view's first byte.
static inline uint64_t rows_address(struct gpu_view view)
{
    return gpu_buffer_address(view.buffer) + view.offset;
}

// How many rows of row_bytes one binding holds; a multiple of 64, so that the next window begins at an aligned offset.
static inline uint32_t rows_per_window(const struct gpu_plan *plan, uint64_t row_bytes)
{
    const uint64_t rows = plan->max_binding_bytes / row_bytes / 64 * 64;
    return rows < 64 ? 64 : rows > UINT32_MAX ? UINT32_MAX / 64 * 64 : (uint32_t)rows;
}

static inline uint32_t rows_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t rows_max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

#endif
