// ops/kernels.h -- the table of kernels. Private to the room: ops name kernels, nobody else does.
//
// To add a kernel: shaders/x.comp and shaders/shared/x.h, a line in shaders/list.cmake, a name in the enum below, a row
// in kernels.c, and the specialisation values it is used with in a kernel_list_ function.
#ifndef OPS_KERNELS_H
#define OPS_KERNELS_H

#include "gpu/gpu.h"
#include "loader/qtype.h"

// A family has one kernel per weight format: KERNEL_X + type.
#define KERNEL_FAMILY(name) name, name##_LAST = name + QTYPE_COUNT - 1

enum kernel {
    KERNEL_FAMILY(KERNEL_EMBED),
    KERNEL_FAMILY(KERNEL_MAT_VEC),
    KERNEL_FAMILY(KERNEL_MAT_VEC_ADD_NORM),
    KERNEL_FAMILY(KERNEL_MAT_VEC_HEADS),
    KERNEL_FAMILY(KERNEL_MAT_VEC_ROUTE), // of F32, F16 and BF16
    KERNEL_FAMILY(KERNEL_MAT_VEC_EXPERTS),
    KERNEL_FAMILY(KERNEL_MAT_VEC_JOIN),
    KERNEL_FAMILY(KERNEL_MAT_MUL),
    KERNEL_FAMILY(KERNEL_MAT_MUL_EXPERTS),
    KERNEL_FAMILY(KERNEL_MAT_MUL_CM),
    KERNEL_FAMILY(KERNEL_MAT_MUL_CM_EXPERTS),
    KERNEL_FAMILY(KERNEL_MAT_MUL_CPU),
    KERNEL_FAMILY(KERNEL_MAT_MUL_CPU_EXPERTS),
    KERNEL_RMS_NORM,
    KERNEL_ADD_NORM,
    KERNEL_GELU_MUL,
    KERNEL_HEADS,
    KERNEL_ATTENTION,
    KERNEL_ATTENTION_CPU_F16,
    KERNEL_ATTENTION_CPU_F32,
    KERNEL_ROUTE,
    KERNEL_ROUTE_SORT,
    KERNEL_PAIR_SUM,
    KERNEL_JOIN,
    KERNEL_SOFTCAP,
    KERNEL_TOP_K,
    KERNEL_SAMPLE,
    KERNEL_COPY,
    KERNEL_COUNT
};

static inline enum kernel kernel_of(enum kernel family, enum qtype type)
{
    return (enum kernel)((int)family + (int)type);
}

// Indexed by enum kernel. A row whose code is NULL is not there yet.
extern const struct gpu_kernel_desc kernels[KERNEL_COUNT];

// Called once per kernel and set of specialisation values in use; false stops the listing.
typedef bool kernel_visit_fn(void *user, enum kernel kernel, const uint32_t *spec);

// All of them.
bool kernel_list_all(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);

// Each kernel group lists what its ops use on devices with this plan, and returns false when stopped. Pure.
// kernel_list_all() calls them all.
bool kernel_list_linear(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);
bool kernel_list_tails(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);
bool kernel_list_norm(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);
bool kernel_list_rope(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);
bool kernel_list_attention(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);
bool kernel_list_moe(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);
bool kernel_list_scores(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);
bool kernel_list_probe(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user);

#endif
