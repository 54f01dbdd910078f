// cli/bench.c -- karat bench: prefill and decode speed.
//
// For each depth the context is filled with that many random tokens; then prompts of the given lengths are evaluated
// (prefill), and tokens one at a time (decode). One warm-up round, then the median of three. Times are wall-clock and
// include everything a caller waits for.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/platform.h"
#include "common/terminal.h"

enum { ROUNDS = 3, DECODE_WARM_UP = 2 };

struct bench {
    const struct cli_options *options;
    struct karat_session *session;
    struct karat_model_facts facts;
    uint32_t *ids; // room for the longest run
    uint64_t random;
    struct text json;
    size_t n_rows;
};

struct measure {
    const char *what;
    uint32_t n, depth;
    double seconds[ROUNDS]; // sorted
    double bytes;           // read by the decoded tokens of one round, 0 if unknown
};

static uint32_t random_id(struct bench *bench)
{
    bench->random = bench->random * 6364136223846793005u + 1442695040888963407u;
    // The first ids are control tokens and bytes; skip them where the vocabulary is large enough.
    const uint32_t first = bench->facts.n_vocab > 1000 ? 600 : 0;
    return first + (uint32_t)((bench->random >> 33) % (bench->facts.n_vocab - first));
}

static void fill(struct bench *bench, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; ++i)
        bench->ids[i] = random_id(bench);
}

static enum karat_status sync_to(struct bench *bench, uint32_t n, struct karat_error *err)
{
    return karat_session_sync(bench->session, bench->ids, n, err);
}

// New tokens from the start, so that nothing of the round before is reused.
static enum karat_status prefill_round(struct bench *bench, struct measure *m, double *seconds, struct karat_error *err)
{
    fill(bench, 0, m->depth + m->n);
    enum karat_status status = m->depth ? sync_to(bench, m->depth, err) : KARAT_OK;
    const uint64_t start = platform_clock_ns();
    if (status == KARAT_OK)
        status = sync_to(bench, m->depth + m->n, err);
    *seconds = (double)(platform_clock_ns() - start) * 1e-9;
    return status;
}

static enum karat_status decode_round(struct bench *bench, struct measure *m, double *seconds, struct karat_error *err)
{
    const uint32_t first = m->depth ? m->depth : 1;
    fill(bench, 0, first + DECODE_WARM_UP + m->n);
    enum karat_status status = sync_to(bench, first, err);
    uint64_t start = 0;
    struct karat_timings t;
    for (uint32_t i = 0; i < DECODE_WARM_UP + m->n && status == KARAT_OK; ++i) {
        if (i == DECODE_WARM_UP) {
            karat_session_timings_reset(bench->session);
            start = platform_clock_ns();
        }
        status = sync_to(bench, first + i + 1, err);
    }
    *seconds = (double)(platform_clock_ns() - start) * 1e-9;
    karat_session_timings(bench->session, &t);
    m->bytes = (double)t.decode_bytes;
    return status;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef enum karat_status round_fn(struct bench *bench, struct measure *m, double *seconds, struct karat_error *err);

static enum karat_status measure(struct bench *bench, struct measure *m, round_fn *round, struct karat_error *err)
{
    double warm_up;
    enum karat_status status = round(bench, m, &warm_up, err);
    for (int i = 0; i < ROUNDS && status == KARAT_OK; ++i)
        status = round(bench, m, &m->seconds[i], err);
    qsort(m->seconds, ROUNDS, sizeof m->seconds[0], by_size);
    return status;
}

static void report(struct bench *bench, const struct measure *m)
{
    const double median = m->seconds[ROUNDS / 2];
    const double rate = (double)m->n / median, low = (double)m->n / m->seconds[ROUNDS - 1],
                 high = (double)m->n / m->seconds[0], bandwidth = m->bytes / median;
    if (bench->options->json) {
        app_text_format(&bench->json,
                        "%s\n  {\"test\": \"%s\", \"tokens\": %u, \"depth\": %u, \"tokens_per_second\": %.6g, ",
                        bench->n_rows ? "," : "", m->what, m->n, m->depth, rate);
        app_text_format(&bench->json, "\"slowest\": %.6g, \"fastest\": %.6g, \"bytes_per_second\": %.6g}", low, high,
                        bandwidth);
    } else {
        struct text line = { 0 }, spread = { 0 };
        cli_rate(rate, &line);
        cli_rate(low, &spread);
        app_text_add(&spread, " to ");
        cli_rate(high, &spread);
        printf("%-8s %7u %7u %10s  %-18s", m->what, m->n, m->depth, line.data, spread.data);
        if (m->bytes > 0)
            printf(" %7.2f", bandwidth * 1e-9);
        putchar('\n');
        fflush(stdout);
        app_text_free(&line);
        app_text_free(&spread);
    }
    bench->n_rows++;
}

static enum karat_status measure_all(struct bench *bench, const struct option_counts *prompts,
                                     const struct option_counts *depths, uint32_t n_decode, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (size_t d = 0; d < depths->n && status == KARAT_OK; ++d) {
        for (size_t p = 0; p < prompts->n && status == KARAT_OK; ++p) {
            struct measure m = { .what = "prefill", .n = prompts->values[p], .depth = depths->values[d] };
            status = measure(bench, &m, prefill_round, err);
            if (status == KARAT_OK)
                report(bench, &m);
        }
        struct measure m = { .what = "decode", .n = n_decode, .depth = depths->values[d] };
        if (status == KARAT_OK)
            status = measure(bench, &m, decode_round, err);
        if (status == KARAT_OK)
            report(bench, &m);
    }
    return status;
}

static uint32_t largest(const struct option_counts *counts)
{
    uint32_t most = 0;
    for (size_t i = 0; i < counts->n; ++i)
        most = counts->values[i] > most ? counts->values[i] : most;
    return most;
}

static void print_head(const struct bench *bench)
{
    const struct karat_model_facts *f = &bench->facts;
    if (!bench->options->json)
        printf("%s, %s, on %s\n\n%-8s %7s %7s %10s  %-18s %7s\n",
               f->name && *f->name ? f->name : "a model without a name", f->weights, f->device, "test", "tokens",
               "depth", "t/s", "slowest to fastest", "GB/s");
}

static void print_json(const struct bench *bench)
{
    struct text out = { 0 };
    app_text_add(&out, "{\"version\": \"" KARAT_VERSION "\", \"model\": ");
    app_text_json(&out, bench->facts.name, strlen(bench->facts.name));
    app_text_add(&out, ", \"weights\": ");
    app_text_json(&out, bench->facts.weights, strlen(bench->facts.weights));
    app_text_add(&out, ", \"device\": ");
    app_text_json(&out, bench->facts.device, strlen(bench->facts.device));
    app_text_format(&out, ", \"rows\": [%s]}\n", app_text_of(&bench->json));
    fputs(out.data, stdout);
    app_text_free(&out);
}

int cli_bench(const struct cli_options *options)
{
    struct bench bench = { .options = options, .random = 12345 };
    struct karat_model *model = NULL;
    struct karat_error err = { 0 };
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_bench, "karat bench takes no \"%s\"; a model is given with -m",
                               options->rest.words[0]);
    const struct option_counts prompts = options->prompts.n ? options->prompts : (struct option_counts){ { 512 }, 1 };
    const struct option_counts depths = options->depths.n ? options->depths : (struct option_counts){ { 0 }, 1 };
    const uint32_t n_decode = options->n_predict.given ? (uint32_t)options->n_predict.count : 128;
    const uint32_t longest =
        largest(&prompts) > n_decode + DECODE_WARM_UP + 1 ? largest(&prompts) : n_decode + DECODE_WARM_UP + 1;
    const uint32_t n_context = largest(&depths) + longest;
    if (options->n_context.given && options->n_context.count < n_context)
        return cli_wrong_usage(CLI_bench, "--ctx %llu is too small for what is measured, which needs %u tokens",
                               (unsigned long long)options->n_context.count, n_context);
    if (!cli_open_model(&model, options, false) ||
        !cli_open_session(&bench.session, model, options, options->n_context.given ? 0 : n_context))
        goto cleanup;
    karat_model_describe(model, &bench.facts);
    bench.ids = app_memory_new(n_context, sizeof *bench.ids);
    print_head(&bench);
    cli_interrupt_forget();
    cli_interrupt_watch(bench.session);
    const enum karat_status status = measure_all(&bench, &prompts, &depths, n_decode, &err);
    cli_interrupt_watch(NULL);
    if (status == KARAT_ERR_CANCELLED) {
        cli_fail("stopped by Ctrl-C");
    } else if (status != KARAT_OK) {
        cli_fail("%s", err.text);
    } else {
        if (options->json)
            print_json(&bench);
        code = cli_done();
    }
cleanup:
    free(bench.ids);
    app_text_free(&bench.json);
    karat_session_close(bench.session);
    karat_model_close(model);
    return code;
}
