// tests/cli/test_bench.c -- what karat bench makes of its numbers: the fit, the tables, the JSON.
#include <stdlib.h>

#include "cli/bench_report.h"
#include "cli/cli.h"
#include "common/files.h"
#include "common/json.h"
#include "common/platform.h"
#include "test.h"

// A row that decodes `n` tokens of `bytes` each at `ms` in the median, one round faster and one slower.
static struct bench_row decode_row(uint32_t n, uint32_t depth, double bytes, double ms)
{
    struct bench_row row = { .is_decode = true, .n = n, .depth = depth };
    for (int i = 0; i < BENCH_ROUNDS; ++i)
        row.rounds[i] = (struct bench_round){
            .seconds = n * ms * 1e-3 *
                       (i == 0   ? 2
                        : i == 1 ? 1
                                 : 0.5), // not in order
            .timings = { .decode_tokens = n,
                         .decode_bytes = (uint64_t)(bytes * n),
                         .n_dispatches = 600ull * n,
                         .n_barriers = 400ull * n,
                         .n_submits = 2ull * n,
                         .longest_submit_ns = (uint64_t)(i + 1) * 1000000 },
        };
    bench_row_sort(&row);
    return row;
}

TEST(rounds_are_sorted_and_the_median_counts)
{
    const struct bench_row row = decode_row(10, 0, 1e9, 20);
    CHECK_NEAR(row.rounds[0].seconds, 0.1, 1e-12);
    CHECK_NEAR(row.rounds[2].seconds, 0.4, 1e-12);
    CHECK_NEAR(bench_row_rate(&row), 50, 1e-9);
    CHECK_NEAR(bench_row_bytes(&row), 1e9, 1e-3);
}

TEST(the_fixed_cost_is_where_the_line_meets_no_bytes)
{
    // ms = 3 + 2 per GB
    const struct bench_row exact[] = { decode_row(8, 0, 1e9, 5), decode_row(8, 100, 2e9, 7),
                                       decode_row(8, 200, 4e9, 11) };
    struct bench_fit fit = bench_fit_decode(exact, 3);
    CHECK(fit.known);
    CHECK_UINT(fit.n_points, 3);
    CHECK_NEAR(fit.intercept_ms, 3, 1e-9);
    CHECK_NEAR(fit.ms_per_gb, 2, 1e-9);
    // Least squares by hand: points (1, 1), (2, 3), (3, 2) have slope 0.5 and meet 0 at 1.
    const struct bench_row scattered[] = { decode_row(8, 0, 1e9, 1), decode_row(8, 1, 2e9, 3),
                                           decode_row(8, 2, 3e9, 2) };
    fit = bench_fit_decode(scattered, 3);
    CHECK_NEAR(fit.intercept_ms, 1, 1e-9);
    CHECK_NEAR(fit.ms_per_gb, 0.5, 1e-9);
}

TEST(too_few_points_make_no_line)
{
    struct bench_row rows[3] = { decode_row(8, 0, 1e9, 5), decode_row(8, 0, 1e9, 6) };
    CHECK(!bench_fit_decode(rows, 0).known);
    CHECK_UINT(bench_fit_decode(rows, 0).n_points, 0);
    CHECK(!bench_fit_decode(rows, 1).known);
    // The same depth twice is one point, and prompts are none.
    rows[2] = (struct bench_row){ .n = 8, .rounds = { { .seconds = 1 }, { .seconds = 1 }, { .seconds = 1 } } };
    CHECK(!bench_fit_decode(rows, 3).known);
    CHECK_UINT(bench_fit_decode(rows, 3).n_points, 1);
    rows[2] = decode_row(8, 9, 2e9, 8);
    CHECK(bench_fit_decode(rows, 3).known);
    CHECK_UINT(bench_fit_decode(rows, 3).n_points, 2);
}

// A report of one prompt and two depths, with phases for one of them.
struct example {
    struct bench_row rows[3];
    struct karat_phase phases[3];
    struct bench_report report;
};

static void make_example(struct example *e)
{
    *e = (struct example){
        .rows = { { .n = 512,
                    .rounds = { { .seconds = 0.5 },
                                { .seconds = 0.512,
                                  .timings = { .prefill_tokens = 512,
                                               .n_dispatches = 700,
                                               .n_barriers = 500,
                                               .n_submits = 9 } },
                                { .seconds = 0.6 } } },
                  decode_row(64, 0, 2e9, 20),
                  decode_row(64, 8192, 3e9, 25) },
        .phases = { { .name = "attn_q", .kernel = "mat_vec.Q4_K", .n = 960, .ns = 480000000, .bytes = 28800000000 },
                    { .name = "route", .kernel = "route", .n = 960, .ns = 1000000, .bytes = 32000 },
                    { .name = "copy", .kernel = "", .n = 32, .ns = 999968, .bytes = 64 } },
        .report = { .facts = { .name = "a \"model\"", .weights = "Q4_K", .device = "a card" },
                    .n_rows = 3,
                    .copy_bytes_per_second = 250e9,
                    .cold = { true, 9.5, 8.25, 20.5, 97, 12.125 },
                    .warm = { true, 5, 4.75, 0.125, 98, 5.5 },
                    .n_start_tokens = 16 },
    };
    e->rows[1].phases = e->phases;
    e->rows[1].n_phases = 3;
    e->rows[1].n_phase_tokens = 32;
    e->report.rows = e->rows;
}

TEST(tables_show_every_number_in_its_unit)
{
    struct example e;
    struct text out = { 0 };
    make_example(&e);
    bench_report_head(&e.report, &out);
    for (int i = 0; i < 3; ++i)
        bench_report_row(&e.report, &e.rows[i], &out);
    bench_report_counters(&e.report, &out);
    bench_report_fit(&e.report, &out);
    bench_report_phases(&e.report, &e.rows[1], &out);
    bench_report_start(&e.report, &out);
    CHECK_TEXT(app_text_of(&out), //
               "a \"model\", Q4_K, on a card\n"
               "\n"
               "copy probe: 250 GB/s, read and written\n"
               "\n"
               "test      tokens   depth        t/s  slowest to fastest     GB/s  of copy\n"
               "prefill      512       0       1000  853 to 1024\n"
               "decode        64       0       50.0  25.0 to 100             100     40 %\n"
               "decode        64    8192       40.0  20.0 to 80.0            120     48 %\n"
               "\n"
               "per token or prompt             ms        MB dispatches  barriers   submits   longest ms\n"
               "prefill 512 at 0               512                  700       500      9.00         0.00\n"
               "decode at 0                   20.0      2000        600       400      2.00         3.00\n"
               "decode at 8192                25.0      3000        600       400      2.00         3.00\n"
               "\n"
               "fixed cost per token: 10.000 ms, and 5.000 ms per GB read (a line through 2 depths, which any two fit; "
               "measure three or more)\n"
               "\n"
               "decode at 0: 15.062 ms of the device's time per token, measured with timestamps\n"
               "phase                kernel                           n        ms   share        MB     GB/s  of copy\n"
               "attn_q               mat_vec.Q4_K                  30.0    15.000  99.6 %       900     60.0     24 %\n"
               "everything else                                    31.0     0.062   0.4 %      0.00     0.02      0 %\n"
               "\n"
               "start                  weights      open   kernels  of threads  first token   (seconds; a prompt of 16 "
               "tokens)\n"
               "nothing compiled         8.250     9.500        97      20.500       12.125\n"
               "compiled before          4.750     5.000        98       0.125        5.500\n");
    app_text_free(&out);
}

TEST(without_probe_and_depths_the_tables_say_less)
{
    struct example e;
    struct text out = { 0 };
    make_example(&e);
    e.report.copy_bytes_per_second = 0;
    e.report.n_rows = 2;
    e.report.warm.measured = false;
    bench_report_head(&e.report, &out);
    bench_report_row(&e.report, &e.rows[1], &out);
    bench_report_fit(&e.report, &out);
    bench_report_start(&e.report, &out);
    CHECK_TEXT(app_text_of(&out), //
               "a \"model\", Q4_K, on a card\n"
               "\n"
               "test      tokens   depth        t/s  slowest to fastest     GB/s\n"
               "decode        64       0       50.0  25.0 to 100             100\n"
               "\n"
               "fixed cost per token: unknown; it takes decoding at two depths at least, such as -d 0,8192\n");
    app_text_free(&out);
}

// The number of an object's member, or NaN.
static double number(const struct json *json, size_t object, const char *key)
{
    const size_t node = app_json_member(json, object, key);
    return node != JSON_NONE && app_json_is(json, node, JSON_NUMBER) ? app_json_number(json, node) : NAN;
}

static size_t child(const struct json *json, size_t parent, size_t index)
{
    size_t node = app_json_first(json, parent);
    while (index-- > 0)
        node = app_json_next(json, parent, node);
    return node;
}

TEST(json_holds_the_same_numbers)
{
    struct example e;
    struct text out = { 0 }, fault = { 0 };
    struct json json;
    make_example(&e);
    bench_report_json(&e.report, &out);
    REQUIRE(app_json_parse(&json, out.data, out.size, &fault));
    CHECK(app_json_equals(&json, app_json_member(&json, 0, "model"), "a \"model\""));
    CHECK_NEAR(number(&json, 0, "copy_bytes_per_second"), 250e9, 1);
    const size_t fixed = app_json_member(&json, 0, "fixed_cost");
    CHECK_NEAR(number(&json, fixed, "points"), 2, 0);
    CHECK_NEAR(number(&json, fixed, "ms"), 10, 1e-6);
    CHECK_NEAR(number(&json, fixed, "ms_per_gb"), 5, 1e-6);
    const size_t cold = app_json_member(&json, app_json_member(&json, 0, "start"), "cold");
    CHECK_NEAR(number(&json, cold, "weights_s"), 8.25, 1e-9);
    CHECK_NEAR(number(&json, cold, "kernels"), 97, 0);
    CHECK_NEAR(number(&json, cold, "kernels_thread_s"), 20.5, 1e-9);
    CHECK_NEAR(number(&json, cold, "first_token_s"), 12.125, 1e-9);

    const size_t rows = app_json_member(&json, 0, "rows");
    CHECK_UINT(app_json_count(&json, rows), 3);
    const size_t prompt = child(&json, rows, 0), decode = child(&json, rows, 1);
    CHECK(app_json_equals(&json, app_json_member(&json, prompt, "counted_per"), "prompt"));
    CHECK_NEAR(number(&json, prompt, "tokens_per_second"), 1000, 1e-3);
    CHECK_NEAR(number(&json, prompt, "ms"), 512, 1e-3);
    CHECK_NEAR(number(&json, prompt, "dispatches"), 700, 0);
    CHECK(app_json_member(&json, prompt, "phases") == JSON_NONE);
    CHECK(app_json_equals(&json, app_json_member(&json, decode, "counted_per"), "token"));
    CHECK_NEAR(number(&json, decode, "tokens_per_second"), 50, 1e-6);
    CHECK_NEAR(number(&json, decode, "bytes_per_second"), 100e9, 10);
    CHECK_NEAR(number(&json, decode, "dispatches"), 600, 0);
    CHECK_NEAR(number(&json, decode, "barriers"), 400, 0);
    CHECK_NEAR(number(&json, decode, "submits"), 2, 0);
    CHECK_NEAR(number(&json, decode, "longest_submission_ms"), 3, 1e-9);
    const size_t phases = app_json_member(&json, decode, "phases"), first = child(&json, phases, 0);
    CHECK_UINT(app_json_count(&json, phases), 3);
    CHECK(app_json_equals(&json, app_json_member(&json, first, "phase"), "attn_q"));
    CHECK(app_json_equals(&json, app_json_member(&json, first, "kernel"), "mat_vec.Q4_K"));
    CHECK_NEAR(number(&json, first, "dispatches"), 30, 1e-9);
    CHECK_NEAR(number(&json, first, "ms"), 15, 1e-9);
    CHECK_NEAR(number(&json, first, "bytes"), 9e8, 1);
    app_json_free(&json);
    app_text_free(&out);
}

TEST(what_was_not_measured_is_not_in_the_json)
{
    struct example e;
    struct text out = { 0 };
    make_example(&e);
    e.report.copy_bytes_per_second = 0;
    e.report.n_rows = 1;
    e.report.cold.measured = false;
    bench_report_json(&e.report, &out);
    CHECK(!strstr(out.data, "copy_bytes_per_second") && !strstr(out.data, "start"));
    CHECK(strstr(out.data, "\"fixed_cost\": {\"points\": 0}") != NULL);
    app_text_free(&out);
}

TEST(the_last_line_of_a_run_says_what_was_possible)
{
    static const struct {
        const char *name;
        struct karat_timings timings;
        double possible;
        const char *want;
    } rows[] = {
        { "all of it",
          { .prefill_tokens = 406,
            .prefill_ns = 500000000,
            .decode_tokens = 413,
            .decode_ns = 10000000000,
            .decode_bytes = 1870000000000 },
          256e9,
          "prefill 812 t/s, decode 41.3 t/s, 187 GB/s of 256 (73 %)" },
        { "possible is not known",
          { .decode_tokens = 413, .decode_ns = 10000000000, .decode_bytes = 1870000000000 },
          0,
          "decode 41.3 t/s, 187 GB/s" },
        { "a prompt alone", { .prefill_tokens = 406, .prefill_ns = 500000000 }, 256e9, "prefill 812 t/s" },
        { "nothing", { 0 }, 256e9, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        struct text line = { 0 };
        t->row = rows[i].name;
        cli_speed_line(&rows[i].timings, rows[i].possible, &line);
        CHECK_TEXT(app_text_of(&line), rows[i].want);
        app_text_free(&line);
    }
    t->row = NULL;
}

TEST(a_temporary_folder_goes_with_its_files)
{
    struct text folder = { 0 }, path = { 0 }, fault = { 0 };
    REQUIRE(platform_temporary_folder(&folder));
    app_text_format(&path, "%s/kernels", folder.data);
    CHECK(files_write(path.data, "x", 1, &fault));
    platform_remove_folder(folder.data);
    CHECK(!platform_open(path.data, "rb"));
    CHECK(!files_write(path.data, "x", 1, &fault)); // the folder is gone as well
    app_text_free(&folder);
    app_text_free(&path);
    app_text_free(&fault);
#ifndef _WIN32
    char kept[1000];
    const char *old = getenv("TMPDIR");
    snprintf(kept, sizeof kept, "%s", old ? old : "");
    platform_environment("TMPDIR", "/no/such/folder");
    CHECK(!platform_temporary_folder(&folder));
    CHECK_UINT(folder.size, 0);
    platform_environment("TMPDIR", old ? kept : NULL);
    CHECK((getenv("TMPDIR") != NULL) == (old != NULL));
#endif
}
