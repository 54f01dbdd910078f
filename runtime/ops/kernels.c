// ops/kernels.c -- see kernels.h. Reflection compares every row with its SPIR-V when the kernel is made.
#include "ops/kernels.h"

#include <inttypes.h>
#include <stdio.h>

#include "ops/ops.h"
#include "shared/add_norm.h"
#include "shared/attention.h"
#include "shared/attention_cpu.h"
#include "shared/claim.h"
#include "shared/copy.h"
#include "shared/embed.h"
#include "shared/gelu_mul.h"
#include "shared/heads.h"
#include "shared/join.h"
#include "shared/mat_mul.h"
#include "shared/mat_mul_cm.h"
#include "shared/mat_mul_cpu.h"
#include "shared/mat_vec.h"
#include "shared/mat_vec_join.h"
#include "shared/mat_vec_tails.h"
#include "shared/pair_sum.h"
#include "shared/rms_norm.h"
#include "shared/route.h"
#include "shared/route_sort.h"
#include "shared/sample.h"
#include "shared/softcap.h"
#include "shared/top_k.h"
#include "spv/all.h"

#define CODE(spirv) .code = (spirv), .code_bytes = sizeof(spirv)

#define ROW(title, spirv, buffers, params, specs, full)                                              \
    {                                                                                                \
        .name = (title), CODE(spirv), .n_buffers = (buffers), .params_bytes = sizeof(struct params), \
        .n_spec = (specs), .full_subgroups = (full),                                                 \
    }

// A kernel that comes in one module.
#define SINGLE(NAME, module, full) \
    [KERNEL_##NAME] = ROW(#module, spv_##module, NAME##_N_BUFFERS, module##_params, NAME##_N_SPEC, full)

// A step that runs alone, behind the size of its workgroup.
#define STEP(NAME, module, params) \
    [KERNEL_##NAME] = ROW(#module, spv_##module, NAME##_N_BUFFERS, params, 1 + NAME##_N_SPEC, false)

// A kernel's module for one weight format.
#define FORMAT(NAME, module, format, buffers, params, specs, full) \
    [KERNEL_##NAME + QTYPE_##format] = ROW(#module "." #format, spv_##module##_##format, buffers, params, specs, full)

// The same for software devices, in whatever row: its workgroups claim their tiles.
#define CLAIMS(row, module, format, buffers, params, specs) \
    [row] = {                                               \
        .name = #module "." #format,                        \
        CODE(spv_##module##_##format),                      \
        .n_buffers = (buffers),                             \
        .params_bytes = sizeof(struct params),              \
        .n_spec = (specs),                                  \
        .claims = true,                                     \
        .full_subgroups = true,                             \
    }
_Static_assert(sizeof(struct claim_params) == sizeof(struct gpu_claim) &&
                   offsetof(struct claim_params, first_x) == offsetof(struct gpu_claim, first_x) &&
                   offsetof(struct claim_params, n_tiles) == offsetof(struct gpu_claim, n_tiles),
               "both are what lib/claim.glsl reads");

// A product with a step as its tail.
#define TAIL(STEP, step, format)                                                                      \
    FORMAT(MAT_VEC_##STEP, mat_vec_##step, format, MAT_VEC_N_BUFFERS_##STEP, mat_vec_##step##_params, \
           MAT_VEC_N_SPEC + STEP##_N_SPEC, true)

// clang-format off
const struct gpu_kernel_desc kernels[KERNEL_COUNT] = {
#define ROWS(name, text, id, block_len, block_bytes)                                                                    \
    FORMAT(EMBED, embed, name, EMBED_N_BUFFERS, embed_params, EMBED_N_SPEC, false),                                     \
    FORMAT(MAT_VEC, mat_vec, name, MAT_VEC_N_BUFFERS, mat_vec_params, MAT_VEC_N_SPEC, true),                            \
    TAIL(ADD_NORM, add_norm, name),                                                                                     \
    TAIL(HEADS, heads, name),                                                                                           \
    FORMAT(MAT_VEC_EXPERTS, mat_vec_experts, name, MAT_VEC_N_BUFFERS_EXPERTS, mat_vec_params, MAT_VEC_N_SPEC, true),    \
    FORMAT(MAT_VEC_JOIN, mat_vec_join, name, MAT_VEC_JOIN_N_BUFFERS, mat_vec_join_all_params, MAT_VEC_JOIN_N_SPEC, true), \
    FORMAT(MAT_MUL, mat_mul, name, MAT_VEC_N_BUFFERS, mat_vec_params, MAT_MUL_N_SPEC, false),                           \
    FORMAT(MAT_MUL_EXPERTS, mat_mul_experts, name, MAT_MUL_N_BUFFERS_EXPERTS, mat_vec_params, MAT_MUL_N_SPEC, false),   \
    FORMAT(MAT_MUL_CM, mat_mul_cm, name, MAT_VEC_N_BUFFERS, mat_vec_params, MAT_MUL_CM_N_SPEC, true),                   \
    FORMAT(MAT_MUL_CM_EXPERTS, mat_mul_cm_experts, name, MAT_MUL_N_BUFFERS_EXPERTS, mat_vec_params, MAT_MUL_CM_N_SPEC, true),   \
    CLAIMS(KERNEL_MAT_MUL_CPU + QTYPE_##name, mat_mul_cpu, name, MAT_VEC_N_BUFFERS, mat_mul_cpu_params, MAT_MUL_CPU_N_SPEC), \
    CLAIMS(KERNEL_MAT_MUL_CPU_EXPERTS + QTYPE_##name, mat_mul_cpu_experts, name, MAT_MUL_N_BUFFERS_EXPERTS,             \
           mat_mul_cpu_params, MAT_MUL_CPU_N_SPEC),
    QTYPE_LIST(ROWS)
#undef ROWS
    TAIL(ROUTE, route, F32),
    TAIL(ROUTE, route, F16),
    TAIL(ROUTE, route, BF16),
    SINGLE(RMS_NORM, rms_norm, false),
    STEP(ADD_NORM, add_norm, add_norm_params),
    SINGLE(GELU_MUL, gelu_mul, false),
    STEP(HEADS, heads, heads_alone_params),
    SINGLE(ATTENTION, attention, true),
    CLAIMS(KERNEL_ATTENTION_CPU_F16, attention_cpu, F16, ATTENTION_CPU_N_BUFFERS, attention_cpu_params, ATTENTION_CPU_N_SPEC),
    CLAIMS(KERNEL_ATTENTION_CPU_F32, attention_cpu, F32, ATTENTION_CPU_N_BUFFERS, attention_cpu_params, ATTENTION_CPU_N_SPEC),
    STEP(ROUTE, route, route_alone_params),
    SINGLE(ROUTE_SORT, route_sort, false),
    SINGLE(PAIR_SUM, pair_sum, false),
    STEP(JOIN, join, join_params),
    SINGLE(SOFTCAP, softcap, false),
    SINGLE(TOP_K, top_k, false),
    SINGLE(SAMPLE, sample, false),
    SINGLE(COPY, copy, false),
};
// clang-format on

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

bool kernel_list_all(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    return kernel_list_linear(plan, visit, user) && kernel_list_tails(plan, visit, user) &&
           kernel_list_norm(plan, visit, user) && kernel_list_rope(plan, visit, user) &&
           kernel_list_attention(plan, visit, user) && kernel_list_moe(plan, visit, user) &&
           kernel_list_scores(plan, visit, user) && kernel_list_probe(plan, visit, user);
}

void op_kernel_list(const struct gpu_device *device, bool (*write)(void *user, const char *line), void *user)
{
    const struct gpu_plan *plan = gpu_device_plan(device);
    struct listing listing = { write, user };
    (void)kernel_list_all(plan, write_row, &listing);
}
