// tests/test.h -- the harness: TEST(claim) { CHECK...; } in any order, one program per file.
//
// A test's name is its claim. A failed CHECK prints file, line and both values, and the test goes on; REQUIRE leaves
// it. SKIP says why and counts as skipped, never as passed. The program exits 0, 1 (something failed) or 77 (nothing
// failed but something was skipped, which ctest shows as "Skipped" when every test was).
#ifndef TEST_H
#define TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

struct test {
    const char *name;
    void (*run)(struct test *t);
    struct test *next;
    unsigned n_failed, n_checks;
    const char *skipped; // the reason
    const char *row;     // of a table; printed with failures
};

void test_register(struct test *t);
bool test_check_uint(struct test *t, uint64_t got, uint64_t want, const char *file, int line, const char *what);
bool test_check(struct test *t, bool ok, const char *file, int line, const char *format, ...) STATUS_PRINTF(5, 6);

#define TEST(claim)                                                     \
    static void claim(struct test *t);                                  \
    static struct test test_##claim = { .name = #claim, .run = claim }; \
    __attribute__((constructor)) static void register_##claim(void)     \
    {                                                                   \
        test_register(&test_##claim);                                   \
    }                                                                   \
    static void claim(struct test *t)

#define CHECK(condition) test_check(t, (condition), __FILE__, __LINE__, "%s", #condition)
#define REQUIRE(condition)     \
    do {                       \
        if (!CHECK(condition)) \
            return;            \
    } while (0)
#define CHECK_UINT(got, want) test_check_uint(t, (uint64_t)(got), (uint64_t)(want), __FILE__, __LINE__, #got)
#define CHECK_TEXT(got, want)                                                                                      \
    test_check(t, strcmp((got), (want)) == 0, __FILE__, __LINE__, "%s is\n    \"%s\", expected\n    \"%s\"", #got, \
               (got), (want))
#define CHECK_NEAR(got, want, bound)                                                   \
    test_check(t, fabs((double)(got) - (double)(want)) <= (bound), __FILE__, __LINE__, \
               "%s is %.9g, expected %.9g +- %g", #got, (double)(got), (double)(want), (double)(bound))
// The call succeeds; otherwise its sentence is printed and the test is left.
#define REQUIRE_OK(call, err)                                                                    \
    do {                                                                                         \
        if (!test_check(t, (call) == KARAT_OK, __FILE__, __LINE__, "%s: %s", #call, (err).text)) \
            return;                                                                              \
    } while (0)
#define SKIP(reason)           \
    do {                       \
        t->skipped = (reason); \
        return;                \
    } while (0)

// Deterministic random numbers: the same seed, the same sequence, on every system.
struct test_random {
    uint64_t state;
};
uint32_t test_random_u32(struct test_random *random);
uint32_t test_random_below(struct test_random *random, uint32_t limit);
float test_random_float(struct test_random *random, float low, float high);
float test_random_normal(struct test_random *random); // mean 0, variance 1

// A time limit in seconds for work that should take much less. KARAT_TEST_PATIENCE multiplies it where everything is
// slower (sanitizers, an emulated system), so that the limit stays tight elsewhere.
double test_seconds(double limit);

// True where KARAT_TEST_BRIEF asks for a sample of a long table, because the same test runs in full elsewhere.
bool test_brief(void);

// Path of a file in tests/data; static storage, overwritten by the next call.
const char *test_data_path(const char *name);

// The whole file, terminated, or NULL; *size may be NULL. The caller frees it.
char *test_read_file(const char *path, size_t *size);

#endif
