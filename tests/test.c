// tests/test.c -- see test.h. `program [part-of-a-name]` runs only the tests whose names contain the part.
#include "test.h"

#include <stdarg.h>
#include <stdlib.h>

static struct test *first_test, **last_test = &first_test;

void test_register(struct test *t)
{
    *last_test = t;
    last_test = &t->next;
}

bool test_check(struct test *t, bool ok, const char *file, int line, const char *format, ...)
{
    ++t->n_checks;
    if (ok)
        return true;
    // A broken kernel fails every element of a table; the first few say it all.
    if (++t->n_failed <= 10) {
        va_list args;
        printf("  %s:%d: %s%s", file, line, t->row ? t->row : "", t->row ? ": " : "");
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("\n");
    }
    return false;
}

bool test_check_uint(struct test *t, uint64_t got, uint64_t want, const char *file, int line, const char *what)
{
    return test_check(t, got == want, file, line, "%s is %llu, expected %llu", what, (unsigned long long)got,
                      (unsigned long long)want);
}

uint32_t test_random_u32(struct test_random *random)
{
    // splitmix64
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

uint32_t test_random_below(struct test_random *random, uint32_t limit)
{
    return (uint32_t)((uint64_t)test_random_u32(random) * limit >> 32);
}

float test_random_float(struct test_random *random, float low, float high)
{
    return low + (high - low) * (float)(test_random_u32(random) >> 8) / 16777216.0f;
}

float test_random_normal(struct test_random *random)
{
    // The sum of twelve uniform numbers is close enough to normal for test data.
    float sum = -6.0f;
    for (int i = 0; i < 12; ++i)
        sum += test_random_float(random, 0, 1);
    return sum;
}

double test_seconds(double limit)
{
    const char *patience = getenv("KARAT_TEST_PATIENCE");
    return patience && atof(patience) > 1 ? limit * atof(patience) : limit;
}

bool test_brief(void)
{
    const char *brief = getenv("KARAT_TEST_BRIEF");
    return brief && *brief;
}

const char *test_data_path(const char *name)
{
    static char path[4096];
    const char *folder = getenv("KARAT_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "tests/data", name);
    return path;
}

char *test_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    size_t used = 0, capacity = 1 << 16;
    char *text = malloc(capacity);
    while (text) {
        used += fread(text + used, 1, capacity - 1 - used, file);
        if (used < capacity - 1)
            break;
        char *grown = realloc(text, capacity *= 2);
        if (!grown)
            free(text);
        text = grown;
    }
    fclose(file);
    if (text)
        text[used] = '\0';
    if (size)
        *size = used;
    return text;
}

int main(int argc, char **argv)
{
    unsigned n_passed = 0, n_failed = 0, n_skipped = 0;
    setvbuf(stdout, NULL, _IONBF, 0); // what was said before a crash is seen; Windows has no buffers of lines
    for (struct test *t = first_test; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1]))
            continue;
        t->run(t);
        if (t->n_failed > 0) {
            printf("FAIL %s (%u of %u checks); rerun: %s %s\n", t->name, t->n_failed, t->n_checks, argv[0], t->name);
            ++n_failed;
        } else if (t->skipped) {
            printf("SKIP %s: %s\n", t->name, t->skipped);
            ++n_skipped;
        } else if (t->n_checks == 0) {
            printf("FAIL %s: it checked nothing\n", t->name);
            ++n_failed;
        } else {
            printf("ok   %s (%u checks)\n", t->name, t->n_checks);
            ++n_passed;
        }
    }
    printf("%u passed, %u failed, %u skipped\n", n_passed, n_failed, n_skipped);
    if (n_failed > 0 || n_passed + n_skipped == 0)
        return 1;
    return n_passed == 0 ? 77 : 0;
}
