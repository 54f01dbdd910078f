// ops/check_linear.h -- checks of products and of the store that holds their weights. Private to the room and its
// tests.
#ifndef OPS_CHECK_LINEAR_H
#define OPS_CHECK_LINEAR_H

#include "ops/check.h"

struct check_linear_shape {
    enum qtype type;
    uint32_t n_rows, n_cols, n_tokens;
    uint32_t x_extra, y_extra, y_offset; // elements that the strides leave out; y_offset of them before the rows
    uint32_t first_row, n_more_rows;     // of the tensor that the weight leaves out, before and after
    uint64_t block_limit_bytes;          // 0: the device's
    bool like_gpu;                       // the kernels that a GPU would get
    double x_scale;                      // of the input; 0: 1
};
check_fn check_linear, check_embed; // check_embed: n_tokens rows of the table

struct check_experts_shape {
    enum qtype type;
    uint32_t n_experts, n_used, n_rows, n_cols, n_tokens;
    bool x_per_pair;
    uint32_t y_extra, y_offset;
    uint32_t first_row, n_more_rows; // of every plane, as above
    uint64_t block_limit_bytes;
    bool like_gpu;
};
check_fn check_experts;

struct check_down_shape {
    enum qtype type;
    uint32_t n_experts, n_used, n_rows, n_cols, n_tokens;
    uint32_t slab_rows; // that the scratch has room for; 0: all
    bool like_gpu;
};
check_fn check_experts_down;

// A tensor of random blocks on its way through the store to the device. The caller destroys the store.
struct check_stored {
    struct tensor_info tensor;
    struct op_weight weight;
    struct op_store *store;
    const float *decoded; // of the whole tensor
};
void check_store_tensor(struct check *c, struct check_stored *out, enum qtype type, uint32_t n_cols, uint32_t n_rows,
                        uint32_t n_planes, const struct op_store_item *range, uint64_t block_limit_bytes);

// The device's plan, or that plan for a GPU.
struct gpu_plan check_plan_like(const struct check *c, bool like_gpu);

#endif
