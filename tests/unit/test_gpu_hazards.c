// tests/unit/test_gpu_hazards.c -- which steps must wait for which.
#include "gpu/hazards.h"
#include "test.h"

static const struct {
    const char *name;
    struct hazard_range first, second;
    bool conflict;
} cases[] = {
    { "reading what was written", { 0, 64, false, true }, { 0, 64, true, false }, true },
    { "writing what was read", { 0, 64, true, false }, { 0, 64, false, true }, true },
    { "writing what was written", { 0, 64, false, true }, { 0, 64, false, true }, true },
    { "reading what was read", { 0, 64, true, false }, { 0, 64, true, false }, false },
    { "writing the range behind", { 0, 64, false, true }, { 64, 128, false, true }, false },
    { "writing the range before", { 64, 128, false, true }, { 0, 64, false, true }, false },
    { "one byte in common", { 0, 65, false, true }, { 64, 128, true, false }, true },
    { "a range inside another", { 0, 1024, false, true }, { 256, 512, true, false }, true },
    { "an empty range", { 0, 64, false, true }, { 32, 32, true, true }, false },
    { "the end of the address space", { 0, 64, false, true }, { UINT64_MAX - 1, UINT64_MAX, true, true }, false },
};

TEST(only_overlapping_ranges_of_which_one_is_written_conflict)
{
    static struct hazards hazards;
    for (size_t i = 0; i < COUNT(cases); ++i) {
        t->row = cases[i].name;
        hazards_clear(&hazards);
        CHECK(!hazards_conflict(&hazards, &cases[i].first, 1));
        hazards_add(&hazards, &cases[i].first, 1);
        CHECK(hazards_conflict(&hazards, &cases[i].second, 1) == cases[i].conflict);
    }
}

TEST(a_step_does_not_conflict_with_itself)
{
    static struct hazards hazards;
    const struct hazard_range in_place[] = { { 0, 64, true, false }, { 0, 64, false, true } };
    hazards_clear(&hazards);
    CHECK(!hazards_conflict(&hazards, in_place, 2));
}

TEST(every_step_since_the_barrier_counts)
{
    static struct hazards hazards;
    hazards_clear(&hazards);
    for (uint64_t i = 0; i < 100; ++i)
        hazards_add(&hazards, &(struct hazard_range){ i * 64, i * 64 + 64, false, true }, 1);
    CHECK(hazards_conflict(&hazards, &(struct hazard_range){ 0, 1, true, false }, 1));
    CHECK(hazards_conflict(&hazards, &(struct hazard_range){ 6399, 6400, true, false }, 1));
    CHECK(!hazards_conflict(&hazards, &(struct hazard_range){ 6400, 6464, true, false }, 1));
    hazards_clear(&hazards);
    CHECK(!hazards_conflict(&hazards, &(struct hazard_range){ 0, 1, true, false }, 1));
}

TEST(a_full_list_asks_for_a_barrier)
{
    static struct hazards hazards;
    const struct hazard_range far = { 1u << 30, (1u << 30) + 1, true, false };
    hazards_clear(&hazards);
    for (uint64_t i = 0; i < HAZARD_RANGES_MAX; ++i) {
        CHECK(!hazards_conflict(&hazards, &far, 1));
        hazards_add(&hazards, &(struct hazard_range){ i * 64, i * 64 + 64, false, true }, 1);
    }
    CHECK(hazards_conflict(&hazards, &far, 1));
}
