// tests/kernels/test_selftest.c -- the checks that `karat selftest` runs pass here, and name every kernel.
#include "kernels/kernel_table.h"

struct seen {
    struct test *t;
    uint32_t n, n_failed;
};

static void look(void *user, const struct karat_check *check)
{
    struct seen *seen = user;
    struct test *t = seen->t;
    ++seen->n;
    seen->n_failed += !check->passed;
    t->row = check->name;
    test_check(t, check->passed, __FILE__, __LINE__, "error %.3g, allowed %.3g", check->error, check->bound);
    t->row = NULL;
}

TEST(selftest_passes_on_this_device)
{
    struct karat_error err = { 0 };
    struct gpu_device *device = kernel_device(t);
    if (!device)
        return;
    struct seen seen = { .t = t };
    uint32_t n_failed = 0;
    REQUIRE_OK(op_selftest(device, false, look, &seen, &n_failed, &err), err);
    CHECK(seen.n > 20);
    CHECK_UINT(n_failed, seen.n_failed);
}

TEST(quick_selftest_is_shorter)
{
    struct karat_error err = { 0 };
    struct gpu_device *device = kernel_device(t);
    if (!device)
        return;
    struct seen all = { .t = t }, quick = { .t = t };
    uint32_t n_failed = 0;
    REQUIRE_OK(op_selftest(device, true, look, &quick, &n_failed, &err), err);
    REQUIRE_OK(op_selftest(device, false, look, &all, &n_failed, &err), err);
    CHECK(quick.n > 0 && quick.n < all.n);
}

// A check that cannot fail is worth nothing: a broken op must show.
static void check_wrong_norm(struct check *c, const void *shape)
{
    check_rms_norm(c, shape);
    const float got[2] = { 1, 2 };
    const double want[2] = { 1, 2.001 };
    check_compare(c, got, want, 2);
}

static void check_stray_write(struct check *c, const void *shape)
{
    (void)shape;
    c->bound = 1;
    struct gpu_view out = check_output(c, 256);
    if (c->status == KARAT_OK)
        gpu_record_fill(c->rec, (struct gpu_view){ out.buffer, 256, 4 }, 0);
    check_submit(c);
    check_read(c, out);
}

TEST(a_wrong_value_and_a_stray_write_are_noticed)
{
    struct karat_error err = { 0 };
    struct check c;
    struct gpu_device *device = kernel_device(t);
    if (!device)
        return;
    REQUIRE_OK(check_init(&c, device, &err), err);
    CHECK(check_run(&c, check_wrong_norm, &(struct check_rows){ 1, 64, true }, &err) == KARAT_OK && !check_passed(&c));
    CHECK(check_run(&c, check_stray_write, NULL, &err) == KARAT_OK && !check_passed(&c));
    check_deinit(&c);
}
