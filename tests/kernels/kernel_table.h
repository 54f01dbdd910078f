// tests/kernels/kernel_table.h -- runs a table of checks on the device that the driver settings choose.
#ifndef KERNEL_TABLE_H
#define KERNEL_TABLE_H

#include <stdlib.h>

#include "ops/check.h"
#include "test.h"

// Rows of tables leave out what is zero.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct kernel_row {
    const char *name;
    check_fn *run;
    const void *shape;
};

static struct gpu_device *kernel_table_device;

static inline void kernel_table_close(void)
{
    gpu_device_destroy(kernel_table_device);
}

// One device for the whole program; NULL, with the test skipped or failed, where there is none. It is destroyed before
// the program ends: a validation layer counts what is left over, and does not survive a device that is.
static inline struct gpu_device *kernel_device(struct test *t)
{
    struct karat_error err = { 0 };
    if (kernel_table_device)
        return kernel_table_device;
    const enum karat_status status = gpu_device_create(&kernel_table_device, &(struct gpu_device_options){ 0 }, &err);
    if (status == KARAT_OK)
        atexit(kernel_table_close);
    static char reason[sizeof err.text];
    snprintf(reason, sizeof reason, "%s", err.text);
    if (status == KARAT_ERR_NO_DEVICE)
        t->skipped = reason;
    else if (status != KARAT_OK)
        test_check(t, false, __FILE__, __LINE__, "no device: %s", reason);
    return kernel_table_device;
}

static inline void kernel_table_run(struct test *t, const struct kernel_row *rows, size_t n_rows)
{
    struct karat_error err = { 0 };
    struct check c;
    struct gpu_device *device = kernel_device(t);
    if (!device)
        return;
    REQUIRE_OK(check_init(&c, device, &err), err);
    for (size_t i = 0; i < n_rows; ++i) {
        t->row = rows[i].name;
        if (check_run(&c, rows[i].run, rows[i].shape, &err) != KARAT_OK) {
            test_check(t, false, __FILE__, __LINE__, "%s", err.text);
            break;
        }
        test_check(t, check_passed(&c), __FILE__, __LINE__, "error %.3g, allowed %.3g", c.error, c.bound);
        if (getenv("KARAT_TEST_VERBOSE"))
            printf("  %-60s error %9.3g of %7.1g  %10.3f ms\n", rows[i].name, c.error, c.bound, (double)c.ns / 1e6);
    }
    t->row = NULL;
    check_deinit(&c);
}

#endif
