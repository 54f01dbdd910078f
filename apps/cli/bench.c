// cli/bench.c -- karat bench: how fast prefill and decode are, where the time goes, how long a start takes.
//
// For each depth the context is filled with that many random tokens; then prompts of the given lengths are evaluated
// (prefill), and answers are made of the best tokens (decode). One warm-up round, then the median of three. Only then,
// in a session of its own because timestamps cost time, every row runs once more to see what its phases take on the
// device. At the end the model is opened anew, once without any compiled kernels and once with those of before.
#include <stdlib.h>

#include "cli/bench_report.h"
#include "cli/cli.h"
#include "common/platform.h"

enum { PHASE_TOKENS_MAX = 32, PHASES_MAX = 512, START_TOKENS = 16 };

struct bench {
    const struct cli_options *options;
    struct karat_model *model;
    struct bench_report report;
    uint32_t n_context;
};

static void print(const struct bench *bench, struct text *text)
{
    if (!bench->options->json)
        fputs(app_text_of(text), stdout);
    fflush(stdout);
    app_text_free(text);
}

// ---------------------------------------------------------------------------------------------------- rows

// What to measure: for every depth all prompts, then decode.
static void plan_rows(struct bench *bench)
{
    const struct cli_options *o = bench->options;
    const struct option_counts prompts = o->prompts.n ? o->prompts : (struct option_counts){ { 512 }, 1 };
    const struct option_counts depths = o->depths.n ? o->depths : (struct option_counts){ { 0 }, 1 };
    const uint32_t n_decode = o->n_predict.given ? (uint32_t)o->n_predict.count : 128;
    struct bench_report *report = &bench->report;
    report->rows = app_memory_new(depths.n * (prompts.n + 1), sizeof *report->rows);
    for (size_t d = 0; d < depths.n; ++d) {
        for (size_t p = 0; p < prompts.n; ++p)
            report->rows[report->n_rows++] = (struct bench_row){ .n = prompts.values[p], .depth = depths.values[d] };
        report->rows[report->n_rows++] =
            (struct bench_row){ .is_decode = true, .n = n_decode, .depth = depths.values[d] };
    }
    for (size_t i = 0; i < report->n_rows; ++i) {
        const struct bench_row *row = &report->rows[i];
        const uint32_t needed =
            row->is_decode ? bench_decode_capacity(row->n, row->depth) : bench_prefill_capacity(row->n, row->depth);
        bench->n_context = needed > bench->n_context ? needed : bench->n_context;
    }
}

static enum karat_status run_round(struct bench_bed *bed, const struct bench_row *row, struct bench_round *out,
                                   struct karat_error *err)
{
    return row->is_decode ? bench_decode(bed, row->n, row->depth, out, err)
                          : bench_prefill(bed, row->n, row->depth, out, err);
}

static enum karat_status measure_row(struct bench_bed *bed, struct bench_row *row, struct karat_error *err)
{
    struct bench_round warm_up;
    enum karat_status status = run_round(bed, row, &warm_up, err);
    for (int i = 0; i < BENCH_ROUNDS && status == KARAT_OK; ++i)
        status = run_round(bed, row, &row->rounds[i], err);
    bench_row_sort(row);
    return status;
}

// Opens a session for the rows; NULL where timing is wanted and the device cannot. *code is 1 after a failure.
static struct karat_session *open_session(struct bench *bench, bool timing, int *code)
{
    struct karat_session *session = NULL;
    struct karat_error err = { 0 };
    const struct karat_session_options options =
        cli_session_options(bench->options, bench->options->n_context.given ? 0 : bench->n_context, timing);
    const enum karat_status status = karat_session_open(&session, bench->model, &options, &err);
    if (status != KARAT_OK && !(timing && status == KARAT_ERR_UNSUPPORTED))
        *code = cli_fail("%s", err.text);
    else if (status != KARAT_OK && !bench->options->quiet)
        fprintf(stderr, "no table of phases: %s\n", err.text);
    cli_interrupt_watch(session);
    return session;
}

static int say_why(enum karat_status status, const struct karat_error *err)
{
    if (status == KARAT_OK)
        return 0;
    return status == KARAT_ERR_CANCELLED ? cli_fail("stopped by Ctrl-C") : cli_fail("%s", err->text);
}

static void close_session(struct karat_session *session, struct bench_bed *bed)
{
    cli_interrupt_watch(NULL);
    bench_bed_deinit(bed);
    karat_session_close(session);
}

static int measure_rates(struct bench *bench)
{
    int code = 0;
    struct karat_error err = { 0 };
    enum karat_status status = KARAT_OK;
    struct bench_bed bed = { 0 };
    struct bench_report *report = &bench->report;
    struct karat_session *session = open_session(bench, false, &code);
    if (!session)
        return code;
    bench_bed_init(&bed, session, bench->model, bench->n_context);
    for (size_t i = 0; i < report->n_rows && status == KARAT_OK; ++i) {
        struct text line = { 0 };
        status = measure_row(&bed, &report->rows[i], &err);
        if (status == KARAT_OK)
            bench_report_row(report, &report->rows[i], &line);
        print(bench, &line);
    }
    close_session(session, &bed);
    return say_why(status, &err);
}

// ---------------------------------------------------------------------------------------------------- phases

// Phases of prompts hardly depend on what is in front of them: one depth shows them.
static bool wants_phases(const struct bench *bench, const struct bench_row *row)
{
    return row->is_decode || row->depth == bench->report.rows[0].depth;
}

static int measure_phases(struct bench *bench)
{
    int code = 0;
    struct karat_error err = { 0 };
    enum karat_status status = KARAT_OK;
    struct bench_bed bed = { 0 };
    struct karat_session *session = open_session(bench, true, &code);
    if (!session)
        return code;
    bench_bed_init(&bed, session, bench->model, bench->n_context);
    for (size_t i = 0; i < bench->report.n_rows && status == KARAT_OK; ++i) {
        struct bench_row *row = &bench->report.rows[i];
        struct bench_round round;
        struct text table = { 0 };
        if (!wants_phases(bench, row))
            continue;
        row->n_phase_tokens = row->is_decode && row->n > PHASE_TOKENS_MAX ? PHASE_TOKENS_MAX : row->n;
        status = row->is_decode ? bench_decode_steps(&bed, row->n_phase_tokens, row->depth, &round, &err)
                                : bench_prefill(&bed, row->n_phase_tokens, row->depth, &round, &err);
        row->phases = app_memory_new(PHASES_MAX, sizeof *row->phases);
        row->n_phases = karat_session_phases(session, row->phases, PHASES_MAX);
        row->n_phases = row->n_phases < PHASES_MAX ? row->n_phases : PHASES_MAX;
        if (status == KARAT_OK)
            bench_report_phases(&bench->report, row, &table);
        print(bench, &table);
    }
    close_session(session, &bed);
    return say_why(status, &err);
}

// ---------------------------------------------------------------------------------------------------- start

// Drivers keep compiled kernels of their own. A start without any has to do without these, too.
static void allow_driver_caches(bool allow)
{
    platform_environment("MESA_SHADER_CACHE_DISABLE", allow ? NULL : "true");
    platform_environment("__GL_SHADER_DISK_CACHE", allow ? NULL : "0");
}

static int measure_start(struct bench *bench, const char *kernel_cache, struct bench_start *out)
{
    struct cli_options options = *bench->options;
    struct karat_session *session = NULL;
    struct karat_error err = { 0 };
    struct bench_bed bed = { 0 };
    struct bench_round round;
    int code = 1;
    options.kernel_cache = kernel_cache;
    options.quiet = true;
    const uint64_t start_ns = platform_clock_ns();
    if (!cli_open_model(&bench->model, &options, false))
        return 1;
    out->open_s = (double)(platform_clock_ns() - start_ns) * 1e-9;
    if (cli_open_session(&session, bench->model, &options, START_TOKENS)) {
        bench_bed_init(&bed, session, bench->model, START_TOKENS);
        cli_interrupt_watch(session);
        code = say_why(bench_prefill(&bed, START_TOKENS, 0, &round, &err), &err);
        out->first_token_s = (double)(platform_clock_ns() - start_ns) * 1e-9;
    }
    struct karat_model_facts facts;
    karat_model_describe(bench->model, &facts);
    out->weights_s = (double)facts.weights_ns * 1e-9;
    out->n_kernels = facts.n_kernels;
    out->kernels_s = (double)facts.kernels_ns * 1e-9;
    out->measured = code == 0;
    close_session(session, &bed);
    karat_model_close(bench->model);
    bench->model = NULL;
    return code;
}

static int measure_starts(struct bench *bench)
{
    struct text table = { 0 }, folder = { 0 };
    if (!platform_temporary_folder(&folder))
        return cli_fail("no temporary folder can be made, which a start without compiled kernels needs");
    bench->report.n_start_tokens = START_TOKENS;
    allow_driver_caches(false);
    int code = measure_start(bench, folder.data, &bench->report.cold);
    allow_driver_caches(true);
    platform_remove_folder(folder.data);
    app_text_free(&folder);
    if (code == 0)
        code = measure_start(bench, NULL, &bench->report.warm);
    bench_report_start(&bench->report, &table);
    print(bench, &table);
    return code;
}

// ---------------------------------------------------------------------------------------------------- the command

static int measure(struct bench *bench)
{
    struct bench_report *report = &bench->report;
    struct text text = { 0 };
    struct karat_error err = { 0 };
    int code;
    cli_interrupt_forget();
    if (!bench->options->rates &&
        karat_model_bandwidth(bench->model, KARAT_BANDWIDTH_AGAIN, &report->copy_bytes_per_second, &err) != KARAT_OK)
        return cli_fail("%s", err.text);
    bench_report_head(report, &text);
    print(bench, &text);
    if ((code = measure_rates(bench)) != 0 || bench->options->rates)
        return code;
    bench_report_counters(report, &text);
    bench_report_fit(report, &text);
    print(bench, &text);
    if ((code = measure_phases(bench)) != 0)
        return code;
    karat_model_close(bench->model); // saves the kernels for the start that finds them
    bench->model = NULL;
    return measure_starts(bench);
}

int cli_bench(const struct cli_options *options)
{
    struct bench bench = { .options = options };
    struct text json = { 0 }, name = { 0 }, device = { 0 };
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_bench, "karat bench takes no \"%s\"; a model is given with -m",
                               options->rest.words[0]);
    plan_rows(&bench);
    if (options->n_context.given && options->n_context.count < bench.n_context) {
        code = cli_wrong_usage(CLI_bench, "--ctx %llu is too small for what is measured, which needs %u tokens",
                               (unsigned long long)options->n_context.count, bench.n_context);
        goto cleanup;
    }
    if (!cli_open_model(&bench.model, options, false))
        goto cleanup;
    karat_model_describe(bench.model, &bench.report.facts);
    // The model does not live until the end.
    app_text_add(&name, bench.report.facts.name);
    app_text_add(&device, bench.report.facts.device);
    bench.report.facts.name = app_text_of(&name);
    bench.report.facts.device = app_text_of(&device);
    code = measure(&bench);
    if (code == 0 && options->json) {
        bench_report_json(&bench.report, &json);
        fputs(json.data, stdout);
    }
    code = code == 0 ? cli_done() : code;
cleanup:
    for (size_t i = 0; i < bench.report.n_rows; ++i)
        free(bench.report.rows[i].phases);
    free(bench.report.rows);
    app_text_free(&json);
    app_text_free(&name);
    app_text_free(&device);
    karat_model_close(bench.model);
    return code;
}
