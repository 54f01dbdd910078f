// ops/store.h -- where the planner of a store puts what. Private to the room; pure, so that tests can make blocks tiny.
#ifndef OPS_STORE_H
#define OPS_STORE_H

#include "base/arena.h"
#include "ops/ops.h"

// A run of rows of one weight inside one block. Rows count through all planes.
struct store_run {
    uint32_t block;
    uint64_t offset; // bytes from the start of the block, a multiple of 16
    uint64_t first_row, n_rows;
};

struct store_place {
    uint64_t n_cols, n_rows, n_planes; // rows: per plane, of the item's range
    uint64_t first_row;                // of the item's range in the tensor's plane
    uint64_t row_bytes;                // on the device
    uint64_t vector_offset;            // vectors: into the vector buffer; stacked weights: of the table of planes
    uint32_t n_runs;                   // 0 for vectors
    struct store_run *runs;
};

struct store_layout {
    struct store_place *places; // one per item
    uint64_t vector_bytes;      // of the buffer that holds all vectors and tables of planes; 0: none
    uint32_t n_blocks;
    uint64_t *block_bytes;
};

// Fills *out for the items; everything lives in `arena`. No block is larger than block_limit_bytes.
// Errors  KARAT_ERR_UNSUPPORTED  a tensor's format or shape; KARAT_ERR_MEMORY
enum karat_status store_plan(struct store_layout *out, struct arena *arena, const struct op_store_item *items,
                             size_t n_items, uint64_t block_limit_bytes, struct karat_error *err);

// op_store_create() with a limit of one's own.
enum karat_status store_create_limited(struct op_store **out, struct gpu_device *device,
                                       const struct op_store_item *items, size_t n_items, uint64_t block_limit_bytes,
                                       struct karat_error *err);

#endif
