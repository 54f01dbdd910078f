// tests/unit/test_workers.c -- helpers share a job: every part once, whatever the numbers.
#include "base/thread.h"
#include "base/workers.h"
#include "test.h"

#define PARTS_MAX 1000

struct tally {
    unsigned n_calls[PARTS_MAX]; // each written by one thread
    struct mutex mutex;
    unsigned n_inside, n_inside_most;
    unsigned sleep_ms;
};

static void count(void *user, size_t index)
{
    struct tally *tally = user;
    ++tally->n_calls[index];
    mutex_lock(&tally->mutex);
    if (++tally->n_inside > tally->n_inside_most)
        tally->n_inside_most = tally->n_inside;
    mutex_unlock(&tally->mutex);
    if (tally->sleep_ms > 0)
        clock_sleep_ms(tally->sleep_ms);
    mutex_lock(&tally->mutex);
    --tally->n_inside;
    mutex_unlock(&tally->mutex);
}

static void check_once(struct test *t, struct workers *workers, size_t n)
{
    static struct tally tally;
    tally = (struct tally){ .mutex = MUTEX_INIT };
    workers_run(workers, count, &tally, n);
    for (size_t i = 0; i < PARTS_MAX; ++i)
        CHECK_UINT(tally.n_calls[i], i < n);
    CHECK_UINT(tally.n_inside, 0);
}

TEST(every_part_is_done_once_and_all_are_done_on_return)
{
    static const size_t parts[] = { 0, 1, 2, 3, 7, 16, 17, 1000 };
    static const unsigned threads[] = { 0, 1, 2, 5, 16, 100 };
    for (size_t k = 0; k < COUNT(threads); ++k) {
        struct workers *workers = workers_create(threads[k]);
        REQUIRE(workers);
        for (int round = 0; round < 5; ++round)
            for (size_t i = 0; i < COUNT(parts); ++i)
                check_once(t, workers, parts[i]);
        workers_destroy(workers);
    }
    check_once(t, NULL, 10);
    workers_destroy(NULL);
}

TEST(helpers_work_at_the_same_time)
{
    struct workers *workers = workers_create(4);
    struct tally tally = { .mutex = MUTEX_INIT, .sleep_ms = 100 };
    REQUIRE(workers);
    workers_run(workers, count, &tally, 4);
    CHECK(tally.n_inside_most > 1); // four sleepers of 100 ms cannot miss each other
    workers_destroy(workers);
}
