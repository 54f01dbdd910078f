// cli/bench_report.c -- see bench_report.h.
#include "cli/bench_report.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

// ---------------------------------------------------------------------------------------------------- numbers

static int by_seconds(const void *a, const void *b)
{
    const double x = ((const struct bench_round *)a)->seconds, y = ((const struct bench_round *)b)->seconds;
    return (x > y) - (x < y);
}

void bench_row_sort(struct bench_row *row)
{
    qsort(row->rounds, BENCH_ROUNDS, sizeof row->rounds[0], by_seconds);
}

static const struct bench_round *median(const struct bench_row *row)
{
    return &row->rounds[BENCH_ROUNDS / 2];
}

// Tokens that a round evaluated.
static double tokens_of(const struct bench_row *row, const struct bench_round *round)
{
    return row->is_decode ? (double)round->timings.decode_tokens : (double)row->n;
}

static double rate_of(const struct bench_row *row, const struct bench_round *round)
{
    return round->seconds > 0 ? tokens_of(row, round) / round->seconds : 0;
}

double bench_row_rate(const struct bench_row *row)
{
    return rate_of(row, median(row));
}

double bench_row_bytes(const struct bench_row *row)
{
    const struct karat_timings *t = &median(row)->timings;
    return row->is_decode && t->decode_tokens > 0 ? (double)t->decode_bytes / (double)t->decode_tokens : 0;
}

static double bandwidth_of(const struct bench_row *row)
{
    return bench_row_bytes(row) * bench_row_rate(row);
}

// Of all rounds: an outlier is what this number is about.
static double longest_submit_ms(const struct bench_row *row)
{
    uint64_t longest = 0;
    for (int i = 0; i < BENCH_ROUNDS; ++i)
        longest =
            row->rounds[i].timings.longest_submit_ns > longest ? row->rounds[i].timings.longest_submit_ns : longest;
    return (double)longest * 1e-6;
}

// Units of a row: what its counters are given per.
static double n_units(const struct bench_row *row, double n_tokens)
{
    return row->is_decode && n_tokens > 0 ? n_tokens : 1;
}

static const char *test_of(const struct bench_row *row)
{
    return row->is_decode ? "decode" : "prefill";
}

struct bench_fit bench_fit_decode(const struct bench_row *rows, size_t n_rows)
{
    struct bench_fit fit = { 0 };
    double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
    for (size_t i = 0; i < n_rows; ++i) {
        const double gb = bench_row_bytes(&rows[i]) * 1e-9, rate = bench_row_rate(&rows[i]);
        if (gb <= 0 || rate <= 0)
            continue;
        bool is_new = true;
        for (size_t k = 0; k < i; ++k)
            is_new = is_new && bench_row_bytes(&rows[k]) != bench_row_bytes(&rows[i]);
        fit.n_points += is_new;
        n += 1;
        sum_x += gb;
        sum_y += 1e3 / rate;
        sum_xx += gb * gb;
        sum_xy += gb * 1e3 / rate;
    }
    if (fit.n_points < 2)
        return fit;
    fit.known = true;
    fit.ms_per_gb = (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x);
    fit.intercept_ms = (sum_y - fit.ms_per_gb * sum_x) / n;
    return fit;
}

// ---------------------------------------------------------------------------------------------------- tables

static void add_cell(struct text *out, int width, double value)
{
    struct text cell = { 0 };
    cli_rate(value, &cell);
    app_text_format(out, " %*s", width, cell.data);
    app_text_free(&cell);
}

static void add_share(struct text *out, double part, double whole)
{
    if (part > 0 && whole > 0)
        app_text_format(out, " %6.0f %%", 100 * part / whole);
}

void bench_report_head(const struct bench_report *report, struct text *out)
{
    const struct karat_model_facts *f = &report->facts;
    app_text_format(out, "%s, %s, on %s\n\n", f->name && *f->name ? f->name : "a model without a name", f->weights,
                    f->device);
    if (report->copy_bytes_per_second > 0) {
        app_text_add(out, "copy probe:");
        add_cell(out, 0, report->copy_bytes_per_second * 1e-9);
        app_text_add(out, " GB/s, read and written\n\n");
    }
    app_text_format(out, "%-8s %7s %7s %10s  %-18s %8s%s\n", "test", "tokens", "depth", "t/s", "slowest to fastest",
                    "GB/s", report->copy_bytes_per_second > 0 ? "  of copy" : "");
}

void bench_report_row(const struct bench_report *report, const struct bench_row *row, struct text *out)
{
    struct text spread = { 0 };
    cli_rate(rate_of(row, &row->rounds[BENCH_ROUNDS - 1]), &spread);
    app_text_add(&spread, " to ");
    cli_rate(rate_of(row, &row->rounds[0]), &spread);
    app_text_format(out, "%-8s %7u %7u", test_of(row), row->n, row->depth);
    add_cell(out, 10, bench_row_rate(row));
    const double bandwidth = bandwidth_of(row);
    app_text_format(out, bandwidth > 0 ? "  %-18s" : "  %s", spread.data);
    if (bandwidth > 0)
        add_cell(out, 8, bandwidth * 1e-9);
    add_share(out, bandwidth, report->copy_bytes_per_second);
    app_text_add(out, "\n");
    app_text_free(&spread);
}

void bench_report_counters(const struct bench_report *report, struct text *out)
{
    app_text_format(out, "\n%-24s %9s %9s %10s %9s %9s %12s\n", "per token or prompt", "ms", "MB", "dispatches",
                    "barriers", "submits", "longest ms");
    for (size_t i = 0; i < report->n_rows; ++i) {
        const struct bench_row *row = &report->rows[i];
        const struct karat_timings *t = &median(row)->timings;
        const double units = n_units(row, tokens_of(row, median(row)));
        char what[64];
        snprintf(what, sizeof what, row->is_decode ? "%s at %u" : "%s %u at %u", test_of(row),
                 row->is_decode ? row->depth : row->n, row->depth);
        app_text_format(out, "%-24s", what);
        add_cell(out, 9, median(row)->seconds * 1e3 / units);
        if (row->is_decode)
            add_cell(out, 9, bench_row_bytes(row) * 1e-6);
        else
            app_text_format(out, " %9s", "");
        app_text_format(out, " %10.0f %9.0f", (double)t->n_dispatches / units, (double)t->n_barriers / units);
        add_cell(out, 9, (double)t->n_submits / units);
        add_cell(out, 12, longest_submit_ms(row));
        app_text_add(out, "\n");
    }
}

#define SMALL_SHARE 0.005 // phases below it are summed up in one line

static void add_phase(const struct bench_report *report, const struct karat_phase *phase, double units, double total_ns,
                      struct text *out)
{
    const double ns = (double)phase->ns, bytes = (double)phase->bytes;
    app_text_format(out, "%-20s %-26s", phase->name, phase->kernel);
    add_cell(out, 7, (double)phase->n / units);
    app_text_format(out, " %9.3f %5.1f %%", ns / units * 1e-6, 100 * ns / total_ns);
    add_cell(out, 9, bytes / units * 1e-6);
    if (ns > 0)
        add_cell(out, 8, bytes / ns);
    if (ns > 0)
        add_share(out, bytes / ns * 1e9, report->copy_bytes_per_second);
    app_text_add(out, "\n");
}

void bench_report_phases(const struct bench_report *report, const struct bench_row *row, struct text *out)
{
    const double units = n_units(row, row->n_phase_tokens);
    struct karat_phase rest = { .name = "everything else", .kernel = "" };
    double total_ns = 0;
    for (size_t i = 0; i < row->n_phases; ++i)
        total_ns += (double)row->phases[i].ns;
    if (row->is_decode)
        app_text_format(out, "\ndecode at %u: ", row->depth);
    else
        app_text_format(out, "\nprefill %u at %u: ", row->n, row->depth);
    app_text_format(out, "%.3f ms of the device's time per %s, measured with timestamps\n", total_ns / units * 1e-6,
                    row->is_decode ? "token" : "prompt");
    app_text_format(out, "%-20s %-26s %7s %9s %7s %9s %8s%s\n", "phase", "kernel", "n", "ms", "share", "MB", "GB/s",
                    report->copy_bytes_per_second > 0 ? "  of copy" : "");
    for (size_t i = 0; i < row->n_phases; ++i) {
        const struct karat_phase *phase = &row->phases[i];
        if ((double)phase->ns >= SMALL_SHARE * total_ns) {
            add_phase(report, phase, units, total_ns, out);
            continue;
        }
        rest.n += phase->n;
        rest.ns += phase->ns;
        rest.bytes += phase->bytes;
    }
    if (rest.n > 0)
        add_phase(report, &rest, units, total_ns, out);
}

void bench_report_fit(const struct bench_report *report, struct text *out)
{
    const struct bench_fit fit = bench_fit_decode(report->rows, report->n_rows);
    if (!fit.known)
        app_text_format(out, "\nfixed cost per token: unknown; it takes decoding at two depths at least, such as "
                             "-d 0,8192\n");
    else
        app_text_format(out, "\nfixed cost per token: %.3f ms, and %.3f ms per GB read (a line through %zu depths%s)\n",
                        fit.intercept_ms, fit.ms_per_gb, fit.n_points,
                        fit.n_points == 2 ? ", which any two fit; measure three or more" : "");
}

static void add_start(const char *what, const struct bench_start *start, struct text *out)
{
    app_text_format(out, "%-20s %9.3f %9.3f %9u %11.3f %12.3f\n", what, start->weights_s, start->open_s,
                    start->n_kernels, start->kernels_s, start->first_token_s);
}

void bench_report_start(const struct bench_report *report, struct text *out)
{
    if (!report->cold.measured || !report->warm.measured)
        return;
    app_text_format(out, "\n%-20s %9s %9s %9s %11s %12s   (seconds; a prompt of %u tokens)\n", "start", "weights",
                    "open", "kernels", "of threads", "first token", report->n_start_tokens);
    add_start("nothing compiled", &report->cold, out);
    add_start("compiled before", &report->warm, out);
}

// ---------------------------------------------------------------------------------------------------- JSON

static void add_number(struct text *out, const char *key, double value)
{
    app_text_format(out, ", \"%s\": ", key);
    app_text_json_number(out, value);
}

static void add_text(struct text *out, const char *key, const char *value)
{
    app_text_format(out, ", \"%s\": ", key);
    app_text_json(out, value, strlen(value));
}

static void add_phases(struct text *out, const struct bench_row *row)
{
    const double units = n_units(row, row->n_phase_tokens);
    app_text_add(out, ", \"phases\": [");
    for (size_t i = 0; i < row->n_phases; ++i) {
        const struct karat_phase *phase = &row->phases[i];
        app_text_format(out, "%s\n    {\"phase\": \"%s\"", i > 0 ? "," : "", phase->name);
        add_text(out, "kernel", phase->kernel);
        add_number(out, "dispatches", (double)phase->n / units);
        add_number(out, "ms", (double)phase->ns / units * 1e-6);
        add_number(out, "bytes", (double)phase->bytes / units);
        app_text_add(out, "}");
    }
    app_text_add(out, "]");
}

static void add_row(struct text *out, const struct bench_row *row)
{
    const struct karat_timings *t = &median(row)->timings;
    const double units = n_units(row, tokens_of(row, median(row)));
    app_text_format(out, "{\"test\": \"%s\", \"tokens\": %u, \"depth\": %u", test_of(row), row->n, row->depth);
    add_number(out, "tokens_per_second", bench_row_rate(row));
    add_number(out, "slowest", rate_of(row, &row->rounds[BENCH_ROUNDS - 1]));
    add_number(out, "fastest", rate_of(row, &row->rounds[0]));
    add_number(out, "bytes_per_second", bandwidth_of(row));
    add_number(out, "bytes_per_token", bench_row_bytes(row));
    add_text(out, "counted_per", row->is_decode ? "token" : "prompt");
    add_number(out, "ms", median(row)->seconds * 1e3 / units);
    add_number(out, "dispatches", (double)t->n_dispatches / units);
    add_number(out, "barriers", (double)t->n_barriers / units);
    add_number(out, "submits", (double)t->n_submits / units);
    add_number(out, "longest_submission_ms", longest_submit_ms(row));
    if (row->phases)
        add_phases(out, row);
    app_text_add(out, "}");
}

static void add_start_json(struct text *out, const char *key, const struct bench_start *start)
{
    app_text_format(out, ", \"%s\": {\"weights_s\": %.6g, \"open_s\": %.6g, \"kernels\": %u, ", key, start->weights_s,
                    start->open_s, start->n_kernels);
    app_text_format(out, "\"kernels_thread_s\": %.6g, \"first_token_s\": %.6g}", start->kernels_s,
                    start->first_token_s);
}

void bench_report_json(const struct bench_report *report, struct text *out)
{
    const struct bench_fit fit = bench_fit_decode(report->rows, report->n_rows);
    app_text_add(out, "{\"version\": \"" KARAT_VERSION "\"");
    add_text(out, "model", report->facts.name);
    add_text(out, "weights", report->facts.weights);
    add_text(out, "device", report->facts.device);
    if (report->copy_bytes_per_second > 0)
        add_number(out, "copy_bytes_per_second", report->copy_bytes_per_second);
    app_text_format(out, ", \"fixed_cost\": {\"points\": %zu", fit.n_points);
    if (fit.known) {
        add_number(out, "ms", fit.intercept_ms);
        add_number(out, "ms_per_gb", fit.ms_per_gb);
    }
    app_text_add(out, "}");
    if (report->cold.measured && report->warm.measured) {
        app_text_format(out, ", \"start\": {\"tokens\": %u", report->n_start_tokens);
        add_start_json(out, "cold", &report->cold);
        add_start_json(out, "warm", &report->warm);
        app_text_add(out, "}");
    }
    app_text_add(out, ", \"rows\": [");
    for (size_t i = 0; i < report->n_rows; ++i) {
        app_text_add(out, i > 0 ? ",\n  " : "\n  ");
        add_row(out, &report->rows[i]);
    }
    app_text_add(out, "]}\n");
}
