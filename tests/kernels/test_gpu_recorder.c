// tests/kernels/test_gpu_recorder.c -- dispatches, copies, barriers, slices and submissions on a device.
#include "gpu/hooks.h"
#include "kernels/gpu_bed.h"

TEST(a_dispatch_computes)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 2.0f), 0);
    CHECK_UINT(bed_counters(&bed).n_dispatches, 1);
    CHECK_UINT(bed_counters(&bed).n_submits, 1);
    bed_close(t, &bed);
}

TEST(a_kernel_reads_through_a_device_address)
{
    static const struct gpu_kernel_desc desc = {
        .name = "test_address",
        .code = spv_test_address,
        .code_bytes = sizeof spv_test_address,
        .n_buffers = 1,
        .params_bytes = 16, // the C struct ends in padding
    };
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    struct {
        uint64_t address;
        uint32_t n;
    } params = { gpu_buffer_address(bed.x) + 1024, 1000 };
    CHECK_UINT(gpu_buffer_address(bed.x) % 16, 0);
    uint32_t *x = gpu_buffer_map(bed.x), *y = gpu_buffer_map(bed.y);
    for (uint32_t i = 0; i < 2000; ++i) {
        x[i] = 7 * i;
        y[i] = 1000000;
    }
    gpu_record_dispatch(bed.recorder,
                        &(struct gpu_dispatch){
                            .desc = &desc, .buffers = { bed_whole(bed.y) }, .params = &params, .grid = { 16, 1, 1 } });
    REQUIRE_OK(bed_run(&bed), bed.err);
    for (uint32_t i = 0; i < 1000; ++i)
        CHECK_UINT(y[i], 1000000 + 7 * (i + 256));
    CHECK_UINT(y[1000], 1000000);
    bed_close(t, &bed);
}

TEST(copies_and_fills_reach_their_ranges_only)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const uint32_t word = 0x12345678;
    gpu_record_fill(bed.recorder, (struct gpu_view){ bed.y, 4, 8 }, word);
    gpu_record_copy(bed.recorder, (struct gpu_view){ bed.z, 400, 4000 }, (struct gpu_view){ bed.x, 400, 4000 });
    gpu_record_copy(bed.recorder, (struct gpu_view){ bed.z, 0, 4 }, (struct gpu_view){ bed.y, 8, 4 });
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(((uint32_t *)gpu_buffer_map(bed.y))[1], word);
    CHECK_UINT(((uint32_t *)gpu_buffer_map(bed.y))[2], word);
    CHECK(isnan(bed_floats(bed.y)[0]) && isnan(bed_floats(bed.y)[3]));
    CHECK_UINT(bed_count_wrong(bed.z, 100, 1000, 1.0f), 0);
    CHECK(isnan(bed_floats(bed.z)[99]) && isnan(bed_floats(bed.z)[1100]));
    CHECK_UINT(((uint32_t *)gpu_buffer_map(bed.z))[0], word);
    CHECK_UINT(bed_counters(&bed).n_barriers, 1); // the last copy reads what the fill wrote
    bed_close(t, &bed);
}

TEST(barriers_stand_only_where_ranges_overlap)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const struct gpu_view low = { bed.y, 0, BED_BYTES / 2 }, high = { bed.y, BED_BYTES / 2, BED_BYTES / 2 };
    bed_scale(&bed, low, bed_whole(bed.x), 1.0f);
    bed_scale(&bed, high, bed_whole(bed.x), 3.0f);
    bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.x), 1.0f);
    CHECK_UINT(bed_counters(&bed).n_barriers, 0); // three writers of three ranges
    bed_scale(&bed, low, high, 2.0f);
    CHECK_UINT(bed_counters(&bed).n_barriers, 1); // reads what was written
    bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.x), 1.0f);
    CHECK_UINT(bed_counters(&bed).n_barriers, 1); // written before that barrier
    bed_scale(&bed, high, bed_whole(bed.x), 1.0f);
    CHECK_UINT(bed_counters(&bed).n_barriers, 2); // overwrites what is being read
    REQUIRE_OK(bed_run(&bed), bed.err);
    for (uint32_t i = 0; i < BED_FLOATS / 2; ++i)
        CHECK(bed_floats(bed.y)[i] == 6.0f * (float)i);
    bed_scale(&bed, low, bed_whole(bed.x), 1.0f);
    CHECK_UINT(bed_counters(&bed).n_barriers, 2); // every round ends in a barrier of its own
    REQUIRE_OK(bed_run(&bed), bed.err);
    bed_close(t, &bed);
}

TEST(rounds_follow_each_other_without_waiting)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 1.0f);
    for (int round = 0; round < 6; ++round) {
        bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.y), 2.0f);
        REQUIRE_OK(gpu_recorder_submit(bed.recorder, &bed.err), bed.err);
        bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.z), 2.0f);
        REQUIRE_OK(gpu_recorder_submit(bed.recorder, &bed.err), bed.err);
    }
    REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
    CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 4096.0f), 0);
    bed_close(t, &bed);
}

TEST(long_grids_are_sliced_and_nothing_is_lost)
{
    static const struct {
        const char *name;
        uint32_t grid[3];
    } grids[] = {
        { "along x", { 1024, 1, 1 } },  { "along y", { 1, 1024, 1 } },
        { "along z", { 1, 1, 1024 } },  { "a few fat rows, each too long", { 341, 3, 1 } },
        { "all three", { 11, 31, 3 } },
    };
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const struct gpu_kernel *kernel = NULL;
    for (size_t i = 0; i < COUNT(grids); ++i) {
        const uint32_t *grid = grids[i].grid;
        const uint32_t n = grid[0] * grid[1] * grid[2] * 64;
        t->row = grids[i].name;
        REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed.err), bed.err);
        // What the room takes for two seconds of work.
        const uint64_t work = (uint64_t)(2e9 / (double)gpu_kernel_ns_per_work(kernel));
        for (uint32_t k = 0; k < BED_FLOATS; ++k)
            bed_floats(bed.y)[k] = NAN;
        gpu_recorder_reset(bed.recorder);
        bed_scale_grid(&bed, (struct gpu_view){ bed.y, 0, n * 4 }, bed_whole(bed.x), 2.0f, 1, work, grid[0], grid[1],
                       grid[2]);
        REQUIRE_OK(bed_run(&bed), bed.err);
        CHECK_UINT(bed_count_wrong(bed.y, 0, n, 2.0f), 0);
        CHECK(bed_counters(&bed).n_submits >= 20);
        CHECK(bed_counters(&bed).n_dispatches >= bed_counters(&bed).n_submits);
        CHECK_UINT(bed_counters(&bed).n_barriers, 0);
    }
    bed_close(t, &bed);
}

TEST(estimates_follow_the_measured_time)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const struct gpu_kernel *kernel = NULL;
    REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed.err), bed.err);
    const float guess = gpu_kernel_ns_per_work(kernel);
    const uint64_t work = (uint64_t)(2e9 / (double)guess); // much more than it is
    uint64_t n_submits_by_guess = 0;
    for (int round = 0; round < 8; ++round) {
        gpu_recorder_reset(bed.recorder);
        bed_scale_grid(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f, 1, work, 1024, 1, 1);
        REQUIRE_OK(bed_run(&bed), bed.err);
        if (round == 0)
            n_submits_by_guess = bed_counters(&bed).n_submits;
    }
    // How far the time falls below the guess is up to the device and to what else the machine does.
    CHECK(n_submits_by_guess >= 20);
    CHECK(gpu_kernel_ns_per_work(kernel) < guess / 10);
    CHECK(bed_counters(&bed).n_submits <= (n_submits_by_guess + 9) / 10);
    bed_close(t, &bed);
}

TEST(long_work_runs_in_short_submissions)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    if (!gpu_device_plan(bed.device)->cpu) {
        bed_close(t, &bed);
        SKIP("needs a device on which this work is long");
    }
    const uint32_t rounds = 8000;
    for (int round = 0; round < 2; ++round) {
        gpu_recorder_reset(bed.recorder);
        bed_scale_grid(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f, rounds, (uint64_t)rounds * BED_FLOATS / 16, 1024,
                       1, 1);
        REQUIRE_OK(bed_run(&bed), bed.err);
    }
    printf("    %llu submissions, the longest %.1f ms\n", (unsigned long long)bed_counters(&bed).n_submits,
           (double)bed_counters(&bed).longest_submit_ns / 1e6);
    CHECK(bed_counters(&bed).n_submits > 1);
    CHECK((double)bed_counters(&bed).longest_submit_ns * 1e-9 < test_seconds(0.3)); // the machine may be busy
    bed_close(t, &bed);
}

TEST(cancelling_drops_what_was_not_handed_over)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    int cancel = 1;
    gpu_recorder_set_cancel(bed.recorder, &cancel);
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f);
    CHECK(gpu_recorder_submit(bed.recorder, &bed.err) == KARAT_ERR_CANCELLED);
    CHECK(gpu_recorder_wait(bed.recorder, &bed.err) == KARAT_ERR_CANCELLED);
    CHECK(isnan(bed_floats(bed.y)[0]));
    CHECK_UINT(bed_counters(&bed).n_submits, 0);

    // Forty pieces of which two may be under way when submit returns.
    cancel = 0;
    const struct gpu_kernel *kernel = NULL;
    REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed.err), bed.err);
    const uint64_t work = (uint64_t)(2e9 / (double)gpu_kernel_ns_per_work(kernel));
    bed_scale_grid(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f, 20000, work, 1024, 1, 1);
    REQUIRE_OK(gpu_recorder_submit(bed.recorder, &bed.err), bed.err);
    __atomic_store_n(&cancel, 1, __ATOMIC_RELAXED);
    CHECK(gpu_recorder_wait(bed.recorder, &bed.err) == KARAT_ERR_CANCELLED);
    CHECK(bed_counters(&bed).n_submits < 40);
    CHECK(isnan(bed_floats(bed.y)[BED_FLOATS - 1]));

    // And the recorder goes on as if nothing had been.
    cancel = 0;
    bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.x), 2.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(bed_count_wrong(bed.z, 0, BED_FLOATS, 2.0f), 0);
    bed_close(t, &bed);
}

TEST(all_pieces_run_under_a_cancel_flag_that_stays_down)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const int cancel = 0;
    const struct gpu_kernel *kernel = NULL;
    gpu_recorder_set_cancel(bed.recorder, &cancel);
    REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed.err), bed.err);
    const uint64_t work = (uint64_t)(1e9 / (double)gpu_kernel_ns_per_work(kernel));
    bed_scale_grid(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f, 1, work, 1024, 1, 1);
    REQUIRE_OK(gpu_recorder_submit(bed.recorder, &bed.err), bed.err);
    bed_scale_grid(&bed, bed_whole(bed.z), bed_whole(bed.y), 2.0f, 1, work, 1024, 1, 1); // not submitted yet
    REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
    CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 2.0f), 0);
    CHECK(isnan(bed_floats(bed.z)[0]));
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(bed_count_wrong(bed.z, 0, BED_FLOATS, 4.0f), 0);
    bed_close(t, &bed);
}

// Steps of about 50 ms by their estimate, of which only two or three are with the device at a time.
static uint64_t submit_steps(struct test *t, struct bed *bed, int n)
{
    const struct gpu_kernel *kernel = NULL;
    enum karat_status status =
        gpu_kernel_get(&kernel, bed->device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed->err);
    uint64_t first_ticket = 0;
    for (int i = 0; i < n && status == KARAT_OK; ++i) {
        const uint64_t work = (uint64_t)(45e6 / (double)gpu_kernel_ns_per_work(kernel));
        bed_scale_grid(bed, (struct gpu_view){ bed->y, i * 1024ull, 1024 }, bed_whole(bed->x), 2.0f, 200000, work, 4, 1,
                       1);
        status = gpu_recorder_submit(bed->recorder, &bed->err);
        first_ticket = i == 0 ? gpu_recorder_ticket(bed->recorder) : first_ticket;
    }
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", bed->err.text);
    return first_ticket;
}

TEST(a_ticket_waits_for_its_own_round_only)
{
    struct bed bed;
    const int cancel = 0;
    if (!bed_open(t, &bed, NULL))
        return;
    gpu_recorder_set_cancel(bed.recorder, &cancel); // keeps most of the rounds on the host's side
    const uint64_t ticket = submit_steps(t, &bed, 16);
    CHECK(ticket > 0 && ticket < gpu_recorder_ticket(bed.recorder));
    REQUIRE_OK(gpu_recorder_wait_until(bed.recorder, ticket, &bed.err), bed.err);
    CHECK(!isnan(bed_floats(bed.y)[0]) && !isnan(bed_floats(bed.y)[255]));
    CHECK(bed_counters(&bed).n_submits < 16);
    REQUIRE_OK(gpu_recorder_wait_until(bed.recorder, ticket, &bed.err), bed.err); // again costs nothing
    REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
    CHECK_UINT(bed_counters(&bed).n_submits, 16);
    bed_close(t, &bed);
}

TEST(discarded_rounds_never_run)
{
    struct bed bed;
    const int cancel = 0;
    if (!bed_open(t, &bed, NULL))
        return;
    gpu_recorder_set_cancel(bed.recorder, &cancel);
    const uint64_t ticket = submit_steps(t, &bed, 16);
    bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.x), 1.0f); // recorded, not submitted
    REQUIRE_OK(gpu_recorder_discard(bed.recorder, &bed.err), bed.err);
    const uint64_t n_run = bed_counters(&bed).n_submits;
    CHECK(n_run > 0 && n_run < 16);
    CHECK(!isnan(bed_floats(bed.y)[(n_run - 1) * 256]) && isnan(bed_floats(bed.y)[n_run * 256]));
    REQUIRE_OK(gpu_recorder_discard(bed.recorder, &bed.err), bed.err);
    REQUIRE_OK(gpu_recorder_wait_until(bed.recorder, ticket + 15, &bed.err), bed.err);
    // And the recorder goes on as if nothing had been.
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 3.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 3.0f), 0);
    CHECK(isnan(bed_floats(bed.z)[0]));
    bed_close(t, &bed);
}

// ------------------------------------------------------------------------------------------------ recordings

#define PAIR_FLOATS 4096u // little, so that it is no long submission anywhere

// z = factor * y, y = 2 * x: two dispatches with a barrier between them.
static void record_pair(struct bed *bed, float factor)
{
    const uint64_t size_bytes = PAIR_FLOATS * sizeof(float);
    const struct gpu_view y = { bed->y, 0, size_bytes };
    bed_scale(bed, y, (struct gpu_view){ bed->x, 0, size_bytes }, 2.0f);
    bed_scale(bed, (struct gpu_view){ bed->z, 0, size_bytes }, y, factor);
}

// A busy machine, or a driver that compiles at the first run, may make a submission so long that the recording has to
// be made again.
static bool keep_pair(struct test *t, struct bed *bed, struct gpu_recording *recording, float factor)
{
    for (int attempt = 0; attempt < 50 && !gpu_recording_is_ready(recording); ++attempt) {
        gpu_recording_begin(recording);
        record_pair(bed, factor);
        if (!test_check(t, bed_run(bed) == KARAT_OK, __FILE__, __LINE__, "%s", bed->err.text))
            return false;
    }
    return CHECK(gpu_recording_is_ready(recording));
}

TEST(a_recording_runs_again_on_what_is_there_then)
{
    struct bed bed;
    struct gpu_recording *recording = NULL;
    if (!bed_open(t, &bed, NULL))
        return;
    REQUIRE_OK(gpu_recording_create(&recording, bed.recorder, &bed.err), bed.err);
    CHECK(!gpu_recording_is_ready(recording));
    gpu_recording_begin(recording);
    record_pair(&bed, 3.0f);
    REQUIRE_OK(bed_run(&bed), bed.err); // runs as ever
    CHECK_UINT(bed_count_wrong(bed.z, 0, PAIR_FLOATS, 6.0f), 0);
    const uint64_t growths = gpu_recorder_growths(bed.recorder);
    for (int round = 0; round < 5 && keep_pair(t, &bed, recording, 3.0f); ++round) {
        for (uint32_t i = 0; i < BED_FLOATS; ++i) {
            bed_floats(bed.x)[i] = (float)(i + (uint32_t)round);
            bed_floats(bed.y)[i] = bed_floats(bed.z)[i] = NAN;
        }
        gpu_recorder_reset(bed.recorder);
        REQUIRE_OK(gpu_recording_submit(recording, &bed.err), bed.err);
        REQUIRE_OK(gpu_recorder_wait_until(bed.recorder, gpu_recorder_ticket(bed.recorder), &bed.err), bed.err);
        for (uint32_t i = 0; i < PAIR_FLOATS; i += 99)
            CHECK(bed_floats(bed.z)[i] == 6.0f * (float)(i + (uint32_t)round));
        CHECK_UINT(bed_counters(&bed).n_dispatches, 2);
        CHECK_UINT(bed_counters(&bed).n_barriers, 1);
        CHECK_UINT(bed_counters(&bed).n_submits, 1);
    }
    CHECK_UINT(gpu_recorder_growths(bed.recorder), growths);

    // Recorded anew it does something else, and ordinary rounds go on beside it.
    gpu_recording_begin(recording);
    CHECK(!gpu_recording_is_ready(recording));
    record_pair(&bed, 5.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    keep_pair(t, &bed, recording, 5.0f);
    bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.x), 1.0f);
    REQUIRE_OK(gpu_recorder_submit(bed.recorder, &bed.err), bed.err);
    REQUIRE_OK(gpu_recording_submit(recording, &bed.err), bed.err);
    bed_scale(&bed, (struct gpu_view){ bed.y, 0, 256 }, (struct gpu_view){ bed.z, 0, 256 }, 1.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK(bed_floats(bed.z)[9] == 10.0f * 13.0f && bed_floats(bed.y)[9] == 130.0f);
    gpu_recording_destroy(recording);
    gpu_recording_destroy(NULL);
    bed_close(t, &bed);
}

// One of four that read what the one before wrote.
static enum karat_status record_turn(struct bed *bed, struct gpu_recording *recording, uint32_t i)
{
    const struct gpu_view y = { bed->y, 0, 4096 }, z = { bed->z, 0, 4096 };
    gpu_recording_begin(recording);
    bed_scale(bed, i % 2 ? y : z, i % 2 ? z : y, 2.0f);
    return gpu_recorder_submit(bed->recorder, &bed->err);
}

TEST(recordings_take_turns)
{
    struct bed bed;
    struct gpu_recording *recordings[4] = { 0 };
    if (!bed_open(t, &bed, NULL))
        return;
    for (uint32_t i = 0; i < COUNT(recordings); ++i) {
        REQUIRE_OK(gpu_recording_create(&recordings[i], bed.recorder, &bed.err), bed.err);
        REQUIRE_OK(record_turn(&bed, recordings[i], i), bed.err);
    }
    REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
    for (uint32_t i = 0; i < 1024; ++i)
        bed_floats(bed.y)[i] = (float)i;
    uint64_t tickets[COUNT(recordings)] = { 0 };
    uint32_t n_replayed = 0;
    for (uint32_t run = 0; run < 24; ++run) {
        struct gpu_recording *const recording = recordings[run % 4];
        REQUIRE_OK(gpu_recorder_wait_until(bed.recorder, tickets[run % 4], &bed.err), bed.err);
        const bool is_ready = gpu_recording_is_ready(recording);
        n_replayed += is_ready;
        REQUIRE_OK(is_ready ? gpu_recording_submit(recording, &bed.err) : record_turn(&bed, recording, run), bed.err);
        tickets[run % 4] = gpu_recorder_ticket(bed.recorder);
    }
    CHECK(n_replayed > 8);
    // The last is still under way, and destroying waits for it.
    for (uint32_t i = 0; i < COUNT(recordings); ++i)
        gpu_recording_destroy(recordings[i]);
    CHECK_UINT(bed_count_wrong(bed.y, 0, 1024, 16777216.0f), 0);
    bed_close(t, &bed);
}

TEST(a_long_recording_stays_in_short_submissions)
{
    struct bed bed;
    struct gpu_recording *recording = NULL;
    const struct gpu_kernel *kernel = NULL;
    if (!bed_open(t, &bed, NULL))
        return;
    REQUIRE_OK(gpu_recording_create(&recording, bed.recorder, &bed.err), bed.err);
    REQUIRE_OK(gpu_kernel_get(&kernel, bed.device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed.err), bed.err);
    const uint64_t work = (uint64_t)(1e9 / (double)gpu_kernel_ns_per_work(kernel));
    gpu_recording_begin(recording);
    bed_scale_grid(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f, 1, work, 1024, 1, 1);
    REQUIRE_OK(bed_run(&bed), bed.err);
    const struct gpu_counters first = bed_counters(&bed);
    CHECK(first.n_submits >= 10);
    // It took much less than a second, so it is to be recorded again, and then it is short.
    CHECK(!gpu_recording_is_ready(recording));
    for (int round = 0; round < 12 && !gpu_recording_is_ready(recording); ++round) {
        gpu_recorder_reset(bed.recorder);
        gpu_recording_begin(recording);
        bed_scale_grid(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f, 1, work, 1024, 1, 1);
        REQUIRE_OK(bed_run(&bed), bed.err);
    }
    CHECK(bed_counters(&bed).n_submits < first.n_submits);
    if (CHECK(gpu_recording_is_ready(recording))) {
        const uint64_t n_submits = bed_counters(&bed).n_submits;
        gpu_recorder_reset(bed.recorder);
        REQUIRE_OK(gpu_recording_submit(recording, &bed.err), bed.err);
        REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
        CHECK_UINT(bed_counters(&bed).n_submits, n_submits);
        CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 2.0f), 0);
    }
    gpu_recording_destroy(recording);
    bed_close(t, &bed);
}

TEST(a_cancelled_recording_runs_again_once_recorded)
{
    struct bed bed;
    struct gpu_recording *recording = NULL;
    int cancel = 0;
    if (!bed_open(t, &bed, NULL))
        return;
    REQUIRE_OK(gpu_recording_create(&recording, bed.recorder, &bed.err), bed.err);
    gpu_recorder_set_cancel(bed.recorder, &cancel);
    keep_pair(t, &bed, recording, 3.0f);
    cancel = 1;
    CHECK(gpu_recording_submit(recording, &bed.err) == KARAT_ERR_CANCELLED);
    CHECK(gpu_recorder_wait(bed.recorder, &bed.err) == KARAT_ERR_CANCELLED);
    cancel = 0;
    CHECK(!gpu_recording_is_ready(recording)); // a barrier is due
    CHECK(gpu_recording_submit(recording, &bed.err) == KARAT_ERR_INTERNAL);
    CHECK_TEXT(bed.err.text, "a recording that is not ready cannot be submitted");
    bed_scale(&bed, (struct gpu_view){ bed.y, 0, 256 }, (struct gpu_view){ bed.x, 0, 256 }, 1.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    REQUIRE_OK(gpu_recording_submit(recording, &bed.err), bed.err); // the round before set the barrier
    REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
    CHECK_UINT(bed_count_wrong(bed.z, 0, PAIR_FLOATS, 6.0f), 0);
    gpu_recording_destroy(recording);
    bed_close(t, &bed);
}

TEST(a_recording_out_of_turn_is_refused)
{
    struct bed bed;
    struct gpu_recording *recording = NULL;
    const int cancel = 0;
    if (!bed_open(t, &bed, NULL))
        return;
    REQUIRE_OK(gpu_recording_create(&recording, bed.recorder, &bed.err), bed.err);
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f);
    gpu_recording_begin(recording);
    CHECK(gpu_recorder_submit(bed.recorder, &bed.err) == KARAT_ERR_INTERNAL);
    CHECK_TEXT(bed.err.text, "a recording that begins in the middle of a round");
    keep_pair(t, &bed, recording, 3.0f);
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f);
    CHECK(gpu_recording_submit(recording, &bed.err) == KARAT_ERR_INTERNAL);
    CHECK_TEXT(bed.err.text, "a recording that is submitted in the middle of a round");
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f);
    REQUIRE_OK(bed_run(&bed), bed.err); // the dropped work is forgotten, and the barrier set

    gpu_recorder_set_cancel(bed.recorder, &cancel); // so that it waits behind long work
    submit_steps(t, &bed, 4);
    REQUIRE_OK(gpu_recording_submit(recording, &bed.err), bed.err);
    CHECK(gpu_recording_submit(recording, &bed.err) == KARAT_ERR_INTERNAL);
    CHECK_TEXT(bed.err.text, "a recording that is under way cannot be used");
    REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
    gpu_recording_destroy(recording);
    bed_close(t, &bed);
}

TEST(recordings_know_when_their_descriptors_are_gone)
{
    struct bed bed;
    struct gpu_buffer *large = NULL;
    struct gpu_recording *recording = NULL;
    if (!bed_open(t, &bed, NULL))
        return;
    REQUIRE_OK(gpu_buffer_create(&large, bed.device,
                                 &(struct gpu_buffer_options){ 20000 * 256, GPU_MEMORY_DEVICE, "large" }, &bed.err),
               bed.err);
    REQUIRE_OK(gpu_recording_create(&recording, bed.recorder, &bed.err), bed.err);
    keep_pair(t, &bed, recording, 3.0f);
    uint32_t n_steps = 0;
    for (; n_steps < 20000 && gpu_recording_is_ready(recording); ++n_steps) {
        bed_scale(&bed, (struct gpu_view){ large, n_steps * 256ull, 256 }, (struct gpu_view){ bed.x, 0, 256 }, 1.0f);
        if (n_steps % 50 == 49)
            REQUIRE_OK(bed_run(&bed), bed.err);
    }
    CHECK(n_steps > 1000 && n_steps < 20000);
    REQUIRE_OK(bed_run(&bed), bed.err);
    keep_pair(t, &bed, recording, 3.0f);
    REQUIRE_OK(gpu_recording_submit(recording, &bed.err), bed.err);
    REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
    CHECK_UINT(bed_count_wrong(bed.z, 0, PAIR_FLOATS, 6.0f), 0);
    gpu_recording_destroy(recording);
    gpu_buffer_destroy(large);
    bed_close(t, &bed);
}

TEST(the_same_round_again_asks_for_no_memory)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    uint64_t growths = 0;
    for (int round = 0; round < 20; ++round) {
        for (uint32_t i = 0; i < 300; ++i) {
            const struct gpu_view part = { bed.y, i % 100 * 512, 512 };
            bed_scale(&bed, part, (struct gpu_view){ bed.x, i / 100 * 512, 512 }, 1.0f);
        }
        REQUIRE_OK(bed_run(&bed), bed.err);
        if (round == 0)
            growths = gpu_recorder_growths(bed.recorder);
    }
    CHECK(growths > 0);
    CHECK_UINT(gpu_recorder_growths(bed.recorder), growths);
    bed_close(t, &bed);
}

TEST(offsets_that_never_return_do_not_fill_memory)
{
    struct bed bed;
    struct gpu_buffer *large = NULL;
    if (!bed_open(t, &bed, NULL))
        return;
    REQUIRE_OK(gpu_buffer_create(&large, bed.device,
                                 &(struct gpu_buffer_options){ 20000 * 256, GPU_MEMORY_DEVICE, "large" }, &bed.err),
               bed.err);
    uint64_t growths = 0;
    for (uint32_t i = 0; i < 20000; ++i) {
        bed_scale(&bed, (struct gpu_view){ large, i * 256ull, 256 }, (struct gpu_view){ bed.x, 0, 256 }, 1.0f);
        if (i % 50 == 49)
            REQUIRE_OK(bed_run(&bed), bed.err);
        if (i == 9999)
            growths = gpu_recorder_growths(bed.recorder);
    }
    // Thousands of sets later only pools were made again, and fewer than before.
    CHECK(gpu_recorder_growths(bed.recorder) < 2 * growths);
    gpu_buffer_destroy(large);
    bed_close(t, &bed);
}

TEST(a_fault_while_recording_is_told_by_submit_and_forgotten)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    const uint32_t limit = gpu_device_snapshot(bed.device)->max_workgroups[1];
    const struct {
        const char *name;
        struct gpu_view dst, src;
        uint32_t grid_y;
        const char *sentence;
    } faults[] = {
        { "no buffer", { NULL, 0, 4 }, bed_whole(bed.x), 1, "test_scale: a buffer is missing" },
        { "crooked offset", { bed.y, 4, 4 }, bed_whole(bed.x), 1, "test_scale: offset 4 is not a multiple of" },
        { "beyond the end", { bed.y, 0, BED_BYTES + 1 }, bed_whole(bed.x), 1, "do not lie in a buffer of 262144" },
        { "nothing at all", { bed.y, 0, 0 }, bed_whole(bed.x), 1, "test_scale: 0 bytes at 0 do not lie" },
        { "too many workgroups", bed_whole(bed.y), bed_whole(bed.x), limit + 1, "workgroups in dimension 1" },
    };
    for (size_t i = 0; i < COUNT(faults); ++i) {
        if (faults[i].grid_y == 0)
            continue; // a device without a limit
        t->row = faults[i].name;
        bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 1.0f);
        bed_scale_grid(&bed, faults[i].dst, faults[i].src, 1.0f, 1, 0, 1, faults[i].grid_y, 1);
        bed_scale(&bed, bed_whole(bed.z), bed_whole(bed.x), 1.0f);
        CHECK(gpu_recorder_submit(bed.recorder, &bed.err) == KARAT_ERR_INTERNAL);
        test_check(t, strstr(bed.err.text, faults[i].sentence) != NULL, __FILE__, __LINE__, "%s", bed.err.text);
        REQUIRE_OK(gpu_recorder_wait(bed.recorder, &bed.err), bed.err);
        CHECK(isnan(bed_floats(bed.y)[0]));
    }
    t->row = "claims in three dimensions";
    bed_claim(&bed, bed_whole(bed.y), 0, 1, 1, 2);
    CHECK(gpu_recorder_submit(bed.recorder, &bed.err) == KARAT_ERR_INTERNAL);
    CHECK(strstr(bed.err.text, "test_claim: tiles are claimed in two dimensions, not in 2 planes") != NULL);
    t->row = NULL;
    gpu_record_fail(bed.recorder, KARAT_ERR_CONTEXT_FULL, NULL);
    CHECK(gpu_recorder_submit(bed.recorder, &bed.err) == KARAT_ERR_CONTEXT_FULL);
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 2.0f), 0);
    bed_close(t, &bed);
}

TEST(a_lost_device_stays_lost_and_closes_quietly)
{
    struct bed bed;
    if (!bed_open(t, &bed, NULL))
        return;
    struct gpu_buffer *buffer = NULL;
    struct gpu_recorder *recorder = NULL;
    struct gpu_upload *upload = NULL;
    const struct gpu_kernel *kernel = NULL;
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 1.0f);
    REQUIRE_OK(gpu_recorder_submit(bed.recorder, &bed.err), bed.err);
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 1.0f);
    gpu_device_lose(bed.device);
    CHECK(gpu_recorder_submit(bed.recorder, &bed.err) == KARAT_ERR_DEVICE_LOST);
    CHECK(gpu_recorder_wait(bed.recorder, &bed.err) == KARAT_ERR_DEVICE_LOST);
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 1.0f);
    CHECK(gpu_recorder_submit(bed.recorder, &bed.err) == KARAT_ERR_DEVICE_LOST);
    CHECK(gpu_buffer_create(&buffer, bed.device, &(struct gpu_buffer_options){ 64, GPU_MEMORY_DEVICE, "late" },
                            &bed.err) == KARAT_ERR_DEVICE_LOST);
    CHECK(gpu_kernel_get(&kernel, bed.device, &scale_desc, (const uint32_t[]){ 64, 0 }, &bed.err) ==
          KARAT_ERR_DEVICE_LOST);
    CHECK(gpu_recorder_create(&recorder, bed.device, &bed.err) == KARAT_ERR_DEVICE_LOST);
    CHECK(gpu_upload_create(&upload, bed.device, 0, &bed.err) == KARAT_ERR_DEVICE_LOST);
    CHECK(!buffer && !kernel && !recorder && !upload);
    bed_close(t, &bed);
}

TEST(a_recorder_can_be_timed_on_its_own_and_slices_do_not_count_bytes_twice)
{
    struct bed bed;
    struct gpu_recorder *timed = NULL;
    struct gpu_label_time times[4];
    if (!bed_open(t, &bed, NULL))
        return;
    CHECK_UINT(gpu_recorder_report(bed.recorder, times, COUNT(times)), 0);
    REQUIRE_OK(gpu_recorder_create(&timed, bed.device, &bed.err), bed.err);
    const bool has_clock =
        gpu_device_snapshot(bed.device)->queue_families[gpu_device_plan(bed.device)->queue_family].timestamp_bits > 0;
    const enum karat_status status = gpu_recorder_start_timing(timed, &bed.err);
    CHECK_UINT(status, has_clock ? KARAT_OK : KARAT_ERR_UNSUPPORTED);
    struct gpu_recorder *plain = bed.recorder;
    bed.recorder = timed;
    // So much work that it is cut, of which a slice has no bytes of its own.
    bed_scale_grid(&bed, bed_whole(bed.y), bed_whole(bed.x), 2.0f, 1, UINT64_C(1) << 40, 1, 1, BED_FLOATS / 64);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(bed_count_wrong(bed.y, 0, BED_FLOATS, 2.0f), 0);
    if (has_clock) {
        CHECK_UINT(gpu_recorder_report(timed, times, COUNT(times)), 1);
        CHECK(times[0].n > 1);
        CHECK_UINT(times[0].bytes, 2ull * BED_BYTES);
    }
    bed.recorder = plain;
    gpu_recorder_destroy(timed);
    bed_close(t, &bed);
    if (!has_clock)
        SKIP("the device has no timestamps");
}

TEST(a_recorder_that_only_lists_records_nothing_and_needs_no_buffers)
{
    struct bed bed;
    struct gpu_kernel_set set = { 0 };
    if (!bed_open(t, &bed, NULL))
        return;
    const uint32_t n_made = gpu_kernel_totals(bed.device).n;
    gpu_recorder_only_list(bed.recorder, &set);
    const struct gpu_view nowhere = { .size_bytes = BED_BYTES };
    bed_scale(&bed, nowhere, nowhere, 2.0f);
    bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 3.0f);
    bed_scale_grid(&bed, nowhere, nowhere, 2.0f, 1, 0, 0, 1, 1); // nothing to do, so no kernel is needed
    gpu_record_copy(bed.recorder, nowhere, nowhere);
    gpu_record_fill(bed.recorder, nowhere, 0);
    REQUIRE_OK(bed_run(&bed), bed.err);
    CHECK_UINT(set.n, 1);
    CHECK(set.wishes[0].desc == &scale_desc && set.wishes[0].spec[0] == 64);
    CHECK(isnan(bed_floats(bed.y)[0]));
    CHECK_UINT(bed_counters(&bed).n_dispatches, 0);
    CHECK_UINT(gpu_kernel_totals(bed.device).n, n_made);
    gpu_kernel_set_free(&set);
    bed_close(t, &bed);
}

TEST(device_time_is_summed_by_label)
{
    struct bed bed;
    if (!bed_open(t, &bed, &(struct gpu_device_options){ .pipeline_cache_dir = "", .timing = true }))
        return;
    if (gpu_device_snapshot(bed.device)->queue_families[gpu_device_plan(bed.device)->queue_family].timestamp_bits ==
        0) {
        bed_close(t, &bed);
        SKIP("the device has no timestamps");
    }
    // More steps than one piece has timestamps for.
    for (int i = 0; i < 3000; ++i)
        bed_scale(&bed, bed_whole(bed.y), bed_whole(bed.x), 1.0f);
    gpu_record_fill(bed.recorder, (struct gpu_view){ bed.z, 0, 4 }, 0);
    REQUIRE_OK(bed_run(&bed), bed.err);
    struct gpu_label_time times[4];
    CHECK_UINT(gpu_recorder_report(bed.recorder, times, COUNT(times)), 2);
    CHECK_TEXT(times[0].label, "scale");
    CHECK_TEXT(times[0].kernel, "test_scale");
    CHECK_UINT(times[0].n, 3000);
    CHECK_UINT(times[0].bytes, 3000ull * 2 * BED_BYTES); // what the views hold, for want of a better number
    CHECK(times[0].ns > times[1].ns);
    CHECK_TEXT(times[1].label, "fill");
    CHECK_TEXT(times[1].kernel, "");
    CHECK_UINT(times[1].n, 1);
    CHECK_UINT(times[1].bytes, 4);
    CHECK(bed_counters(&bed).longest_submit_ns > 0);
    gpu_recorder_reset(bed.recorder);
    CHECK_UINT(gpu_recorder_report(bed.recorder, times, COUNT(times)), 0);
    bed_close(t, &bed);
}
