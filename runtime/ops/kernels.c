// ops/kernels.c -- see kernels.h. Reflection compares every row with its SPIR-V when the kernel is made.
#include "ops/kernels.h"

#include <inttypes.h>
#include <stdio.h>

#include "ops/ops.h"
#include "shared/attention.h"
#include "shared/attention_combine.h"
#include "shared/cache_store.h"
#include "shared/embed.h"
#include "shared/gelu_mul.h"
#include "shared/head_norm.h"
#include "shared/mat_mul.h"
#include "shared/mat_vec.h"
#include "shared/moe_join.h"
#include "shared/norm_add.h"
#include "shared/rms_norm.h"
#include "shared/route.h"
#include "shared/route_sort.h"
#include "shared/softcap.h"
#include "shared/top_k.h"
#include "spv/all.h"

#define CODE(spirv) .code = (spirv), .code_bytes = sizeof(spirv)

// A kernel that comes in one module.
#define SINGLE(NAME, module, full)                      \
    [KERNEL_##NAME] = {                                 \
        .name = #module,                                \
        CODE(spv_##module),                             \
        .n_buffers = NAME##_N_BUFFERS,                  \
        .params_bytes = sizeof(struct module##_params), \
        .n_spec = NAME##_N_SPEC,                        \
        .full_subgroups = full,                         \
    }

// A kernel's module for one weight format. All products share their parameters.
#define mat_vec_experts_params mat_vec_params
#define mat_mul_params mat_vec_params
#define mat_mul_experts_params mat_vec_params
#define FORMAT(NAME, SIGNATURE, module, format, buffers, full) \
    [KERNEL_##NAME + QTYPE_##format] = {                       \
        .name = #module "." #format,                           \
        CODE(spv_##module##_##format),                         \
        .n_buffers = (buffers),                                \
        .params_bytes = sizeof(struct module##_params),        \
        .n_spec = SIGNATURE##_N_SPEC,                          \
        .full_subgroups = (full),                              \
    }

const struct gpu_kernel_desc kernels[KERNEL_COUNT] = {
// clang-format off
#define ROWS(name, text, id, block_len, block_bytes)                                          \
    FORMAT(EMBED, EMBED, embed, name, EMBED_N_BUFFERS, false),                                \
    FORMAT(MAT_VEC, MAT_VEC, mat_vec, name, MAT_VEC_N_BUFFERS, true),                         \
    FORMAT(MAT_VEC_EXPERTS, MAT_VEC, mat_vec_experts, name, MAT_VEC_N_BUFFERS_EXPERTS, true), \
    FORMAT(MAT_MUL, MAT_MUL, mat_mul, name, MAT_VEC_N_BUFFERS, false),                        \
    FORMAT(MAT_MUL_EXPERTS, MAT_MUL, mat_mul_experts, name, MAT_VEC_N_BUFFERS_EXPERTS, false),
    QTYPE_LIST(ROWS)
#undef ROWS
    SINGLE(RMS_NORM, rms_norm, false),
    SINGLE(NORM_ADD, norm_add, false),
    SINGLE(GELU_MUL, gelu_mul, false),
    SINGLE(HEAD_NORM, head_norm, false),
    SINGLE(CACHE_STORE, cache_store, false),
    SINGLE(ATTENTION, attention, true),
    SINGLE(ATTENTION_COMBINE, attention_combine, false),
    SINGLE(ROUTE, route, false),
    SINGLE(ROUTE_SORT, route_sort, false),
    SINGLE(MOE_JOIN, moe_join, false),
    SINGLE(SOFTCAP, softcap, false),
    SINGLE(TOP_K, top_k, false),
    // clang-format on
};

struct listing {
    bool (*write)(void *user, const char *line);
    void *user;
};

// The module is the row's name up to the first dot, the variant what follows it.
static bool write_row(void *user, enum kernel kernel, const uint32_t *spec)
{
    const struct listing *listing = user;
    const struct gpu_kernel_desc *desc = &kernels[kernel];
    const int module_len = (int)strcspn(desc->name, ".");
    char line[512];
    int used = snprintf(line, sizeof line, "%.*s\t%s\t", module_len, desc->name,
                        desc->name + module_len + (desc->name[module_len] == '.'));
    for (uint32_t i = 0; i < desc->n_spec && used < (int)sizeof line; ++i)
        used += snprintf(line + used, sizeof line - (size_t)used, "%s%" PRIu32, i > 0 ? "," : "", spec[i]);
    return listing->write(listing->user, line);
}

void op_kernel_list(const struct gpu_device *device, bool (*write)(void *user, const char *line), void *user)
{
    const struct gpu_plan *plan = gpu_device_plan(device);
    struct listing listing = { write, user };
    (void)(kernel_list_linear(plan, write_row, &listing) && kernel_list_norm(plan, write_row, &listing) &&
           kernel_list_rope(plan, write_row, &listing) && kernel_list_attention(plan, write_row, &listing) &&
           kernel_list_moe(plan, write_row, &listing) && kernel_list_scores(plan, write_row, &listing));
}
