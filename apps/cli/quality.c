// cli/quality.c -- karat quality: perplexity over a text, and distance from reference scores.
//
// Without a reference the text runs through windows of --ctx tokens (default 512) that overlap by half, so that every
// token but the first is scored once, with at least half a window before it. With a reference, which has one row of
// scores per token, the text is one window.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/files.h"
#include "common/platform.h"
#include "common/terminal.h"

// Mean and standard error of numbers that come one by one.
struct series {
    double n, sum, sum_of_squares;
};

static void series_add(struct series *series, double value)
{
    series->n += 1;
    series->sum += value;
    series->sum_of_squares += value * value;
}

static double series_mean(const struct series *series)
{
    return series->n > 0 ? series->sum / series->n : NAN;
}

static double series_error(const struct series *series)
{
    if (series->n < 2)
        return NAN;
    const double mean = series_mean(series);
    const double variance = (series->sum_of_squares - series->n * mean * mean) / (series->n - 1);
    return sqrt(fmax(variance, 0) / series->n);
}

struct quality {
    uint32_t n_vocab;
    const uint32_t *ids;    // of the whole text
    size_t n_ids;           // of the whole text
    size_t window, skip;    // first token of the window; rows of it that earlier windows have scored
    struct series surprise; // -log p of the tokens that came
    FILE *reference;        // NULL without
    float *row;             // [n_vocab] of the reference
    struct series divergence;
    struct series agreement; // 1 where both name the same best token
    bool read_failed;
    struct terminal_progress progress;
};

// log of the sum of exp, and the index of the largest.
static double log_sum_exp(const float *scores, uint32_t n, uint32_t *best)
{
    *best = 0;
    for (uint32_t i = 1; i < n; ++i)
        if (scores[i] > scores[*best])
            *best = i;
    double sum = 0;
    for (uint32_t i = 0; i < n; ++i)
        sum += exp((double)scores[i] - (double)scores[*best]);
    return (double)scores[*best] + log(sum);
}

// Kullback-Leibler divergence of our distribution from the reference's, in nats.
static bool compare_row(struct quality *q, const float *ours, double our_norm, uint32_t our_best)
{
    if (fread(q->row, sizeof *q->row, q->n_vocab, q->reference) != q->n_vocab) {
        q->read_failed = true;
        return false;
    }
    uint32_t best;
    const double norm = log_sum_exp(q->row, q->n_vocab, &best);
    double divergence = 0;
    for (uint32_t i = 0; i < q->n_vocab; ++i) {
        const double log_p = (double)q->row[i] - norm, log_q = (double)ours[i] - our_norm;
        if (app_number_is_finite(log_p)) // a suppressed token has -inf and adds nothing
            divergence += exp(log_p) * (log_p - log_q);
    }
    series_add(&q->divergence, divergence);
    series_add(&q->agreement, best == our_best);
    return true;
}

static bool on_logits(void *user, size_t index, const float *logits)
{
    struct quality *q = user;
    const size_t next = q->window + index + 1; // the token these scores are about
    const bool known = next < q->n_ids && index >= q->skip;
    if (known || q->reference) {
        uint32_t best;
        const double norm = log_sum_exp(logits, q->n_vocab, &best);
        if (known)
            series_add(&q->surprise, norm - (double)logits[q->ids[next]]);
        if (q->reference && !compare_row(q, logits, norm, best))
            return false;
    }
    terminal_progress(&q->progress, next, q->n_ids);
    return !cli_interrupted();
}

// `ids` is scratch for one window.
static enum karat_status run_windows(struct quality *q, struct karat_session *session, uint32_t *ids, size_t window,
                                     struct karat_error *err)
{
    const size_t step = window / 2;
    q->skip = 0;
    for (q->window = 0; q->window + 1 < q->n_ids; q->window += step) {
        const size_t left = q->n_ids - q->window, n = left < window ? left : window;
        memcpy(ids, q->ids + q->window, n * sizeof *ids);
        ids[0] = q->ids[0]; // every window begins with the start token
        const enum karat_status status = karat_session_evaluate(session, ids, n, on_logits, q, err);
        if (status != KARAT_OK)
            return status;
        q->skip = window - step; // rows of the next window that are scored by now
        if (q->window + n + 1 >= q->n_ids)
            break;
    }
    return KARAT_OK;
}

static void report(const struct cli_options *options, const struct quality *q)
{
    const double mean = series_mean(&q->surprise), error = series_error(&q->surprise);
    const double perplexity = exp(mean), perplexity_error = perplexity * error;
    struct text out = { 0 };
    if (options->json) {
        app_text_format(&out, "{\"n_tokens\": %zu, \"n_scored\": %.0f, \"perplexity\": ", q->n_ids, q->surprise.n);
        app_text_json_number(&out, perplexity);
        app_text_add(&out, ", \"perplexity_standard_error\": ");
        app_text_json_number(&out, perplexity_error);
        if (q->reference) {
            app_text_add(&out, ", \"kl_divergence\": ");
            app_text_json_number(&out, series_mean(&q->divergence));
            app_text_add(&out, ", \"kl_divergence_standard_error\": ");
            app_text_json_number(&out, series_error(&q->divergence));
            app_text_add(&out, ", \"top_1_agreement\": ");
            app_text_json_number(&out, series_mean(&q->agreement));
        }
        app_text_add(&out, "}\n");
    } else {
        app_text_format(&out, "perplexity       %.4f +- %.4f over %.0f tokens\n", perplexity, perplexity_error,
                        q->surprise.n);
        if (q->reference)
            app_text_format(&out, "KL divergence    %.6f +- %.6f nats\ntop-1 agreement  %.2f %% of %.0f positions\n",
                            series_mean(&q->divergence), series_error(&q->divergence), series_mean(&q->agreement) * 100,
                            q->agreement.n);
    }
    fputs(out.data, stdout);
    app_text_free(&out);
}

// The reference must hold exactly one row per token.
static bool open_reference(struct quality *q, const char *path)
{
    q->reference = platform_open(path, "rb");
    if (!q->reference) {
        cli_fail("cannot open %s: %s", path, strerror(errno));
        return false;
    }
    uint64_t size = 0;
    char part[4096];
    size_t n;
    if (fseek(q->reference, 0, SEEK_END) == 0 && ftell(q->reference) > 0)
        size = (uint64_t)ftell(q->reference);
    else
        while ((n = fread(part, 1, sizeof part, q->reference)) > 0)
            size += n;
    const uint64_t wanted = (uint64_t)q->n_ids * q->n_vocab * sizeof(float);
    if (size != wanted) {
        cli_fail("%s has %llu bytes, but %zu tokens with %u scores each are %llu", path, (unsigned long long)size,
                 q->n_ids, q->n_vocab, (unsigned long long)wanted);
        return false;
    }
    q->row = app_memory_new(q->n_vocab, sizeof *q->row);
    return platform_seek(q->reference, 0);
}

static int measure(const struct cli_options *options, struct karat_model *model, struct quality *q)
{
    struct karat_session *session = NULL;
    struct karat_error err = { 0 };
    size_t window = options->n_context.given ? (size_t)options->n_context.count : 512;
    if (q->reference)
        window = q->n_ids;
    if (window > q->n_ids)
        window = q->n_ids;
    if (!cli_open_session(&session, model, options, (uint32_t)window))
        return 1;
    cli_interrupt_forget();
    cli_interrupt_watch(session);
    uint32_t *ids = app_memory_new(window, sizeof *ids);
    const enum karat_status status = run_windows(q, session, ids, window, &err);
    free(ids);
    cli_interrupt_watch(NULL);
    terminal_progress_end(&q->progress);
    int code;
    if (q->read_failed)
        code = cli_fail("cannot read %s: %s", options->reference, strerror(errno));
    else if (cli_interrupted())
        code = cli_fail("stopped by Ctrl-C");
    else if (status != KARAT_OK)
        code = cli_fail("%s", err.text);
    else {
        report(options, q);
        cli_print_speed(model, session, options);
        code = cli_done();
    }
    karat_session_close(session);
    return code;
}

int cli_quality(const struct cli_options *options)
{
    struct quality q = { .progress = { .what = "evaluating", .plain_numbers = true } };
    struct karat_model *model = NULL;
    struct karat_model_facts facts;
    struct karat_error err = { 0 };
    struct text input = { 0 }, fault = { 0 };
    uint32_t *ids = NULL;
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_quality, "karat quality takes no \"%s\"", options->rest.words[0]);
    if (!options->text_file)
        return cli_wrong_usage(CLI_quality, "karat quality wants -f FILE, the text to measure on");
    if (options->n_context.given && options->n_context.count < 8)
        return cli_wrong_usage(CLI_quality, "--ctx wants at least 8 for karat quality, not %llu",
                               (unsigned long long)options->n_context.count);
    if (!files_read(options->text_file, &input, &fault)) {
        cli_fail("%s", fault.data);
        goto cleanup;
    }
    if (!cli_open_model(&model, options, false))
        goto cleanup;
    karat_model_describe(model, &facts);
    q.n_vocab = facts.n_vocab;
    if (karat_tokenize(model, app_text_of(&input), input.size, KARAT_TOKENIZE_BOS, &ids, &q.n_ids, &err) != KARAT_OK) {
        cli_fail("%s: %s", options->text_file, err.text);
        goto cleanup;
    }
    q.ids = ids;
    if (q.n_ids < 2)
        cli_fail("%s is too short: %zu tokens where at least 2 are needed", options->text_file, q.n_ids);
    else if (!options->reference || open_reference(&q, options->reference))
        code = measure(options, model, &q);
cleanup:
    if (q.reference)
        fclose(q.reference);
    free(q.row);
    karat_free(ids);
    karat_model_close(model);
    app_text_free(&input);
    app_text_free(&fault);
    return code;
}
