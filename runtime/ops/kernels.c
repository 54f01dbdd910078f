// ops/kernels.c -- see kernels.h. Reflection compares every row with its SPIR-V when the kernel is made.
#include "ops/kernels.h"

#include <inttypes.h>
#include <stdio.h>

#include "ops/ops.h"

#define CODE(spirv) .code = (spirv), .code_bytes = sizeof(spirv)

const struct gpu_kernel_desc kernels[KERNEL_COUNT] = {
    [KERNEL_EMBED] = { .name = NULL },
};

bool kernel_list_linear(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    (void)plan, (void)visit, (void)user;
    return true;
}

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
    (void)(kernel_list_linear(plan, write_row, &listing));
}
