// cli/support.c -- saying what happened, opening models, reporting speed, Ctrl-C.
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/files.h"
#include "common/platform.h"
#include "common/terminal.h"

static void say(const char *format, va_list args)
{
    fflush(stdout);
    fputs("karat: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return 1;
}

int cli_wrong_usage(enum cli_command command, const char *format, ...)
{
#define NAME(name, usage, summary) #name,
    static const char *const names[] = { CLI_COMMANDS(NAME) };
#undef NAME
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    if (command < CLI_N_COMMANDS)
        fprintf(stderr, "Try: karat %s --help\n", names[command]);
    else
        fputs("Try: karat --help\n", stderr);
    return 2;
}

int cli_done(void)
{
    struct text fault = { 0 };
    int code = 0;
    if (!files_flush_stdout(&fault))
        code = cli_fail("%s", fault.data);
    app_text_free(&fault);
    return code;
}

// ---------------------------------------------------------------------------------------------------- opening

static bool on_loading(void *user, uint64_t done, uint64_t total)
{
    terminal_progress(user, done, total);
    return !cli_interrupted();
}

bool cli_open_model(struct karat_model **out, const struct cli_options *options, bool vocabulary_only)
{
    struct karat_error err = { 0 };
    struct terminal_progress progress = { .what = "loading" };
    const bool quiet = options->quiet || vocabulary_only;
    const struct karat_model_options wanted = {
        .device = options->device,
        .vocabulary_only = vocabulary_only,
        .vram_limit_bytes = options->vram_mib.count << 20,
        .pipeline_cache_dir = options->kernel_cache,
        .on_progress = quiet ? NULL : on_loading,
        .user = &progress,
    };
    if (!quiet) {
        cli_interrupt_forget();
        cli_interrupt_watch(NULL);
    }
    const enum karat_status status = karat_model_open(out, options->model, &wanted, &err);
    terminal_progress_end(&progress);
    if (status == KARAT_ERR_CANCELLED)
        cli_fail("stopped while loading the model");
    else if (status != KARAT_OK)
        cli_fail("%s", err.text);
    return status == KARAT_OK;
}

struct karat_session_options cli_session_options(const struct cli_options *options, uint32_t n_context, bool timing)
{
    return (struct karat_session_options){
        .n_context = n_context ? n_context : (uint32_t)options->n_context.count,
        .n_batch = (uint32_t)options->batch.count,
        .cache = options->cache && strcmp(options->cache, "f32") == 0 ? KARAT_CACHE_F32 : KARAT_CACHE_F16,
        .timing = timing,
    };
}

bool cli_open_session(struct karat_session **out, struct karat_model *model, const struct cli_options *options,
                      uint32_t n_context)
{
    struct karat_error err = { 0 };
    const struct karat_session_options wanted = cli_session_options(options, n_context, false);
    if (karat_session_open(out, model, &wanted, &err) == KARAT_OK)
        return true;
    cli_fail("%s", err.text);
    return false;
}

struct karat_sampling cli_sampling(const struct cli_options *options, const struct karat_model *model)
{
    struct karat_model_facts facts;
    karat_model_describe(model, &facts);
    struct karat_sampling sampling = {
        .temperature = (float)options->temperature.number,
        .greedy = options->temperature.given && options->temperature.number == 0,
        .top_k = (uint32_t)options->top_k.count,
        .top_p = (float)options->top_p.number,
        .min_p = (float)options->min_p.number,
        .seed = options->seed.count,
    };
    if (options->top_k.given && options->top_k.count == 0)
        sampling.top_k = facts.n_vocab; // zero would mean the file's recommendation
    return sampling;
}

// ---------------------------------------------------------------------------------------------------- speed

void cli_rate(double per_second, struct text *out)
{
    app_text_format(out, per_second >= 99.95 ? "%.0f" : per_second >= 9.995 ? "%.1f" : "%.2f", per_second);
}

void cli_speed_line(const struct karat_timings *t, double possible, struct text *out)
{
    if (t->prefill_tokens && t->prefill_ns) {
        app_text_add(out, "prefill ");
        cli_rate((double)t->prefill_tokens * 1e9 / (double)t->prefill_ns, out);
        app_text_add(out, " t/s");
    }
    if (t->decode_tokens && t->decode_ns) {
        app_text_add(out, out->size ? ", decode " : "decode ");
        cli_rate((double)t->decode_tokens * 1e9 / (double)t->decode_ns, out);
        app_text_add(out, " t/s");
        if (t->decode_bytes) {
            app_text_add(out, ", ");
            const double reached = (double)t->decode_bytes / (double)t->decode_ns;
            cli_rate(reached, out);
            app_text_add(out, " GB/s");
            if (possible > 0) {
                app_text_add(out, " of ");
                cli_rate(possible * 1e-9, out);
                app_text_format(out, " (%.0f %%)", 100e9 * reached / possible);
            }
        }
    }
}

void cli_print_speed(struct karat_model *model, const struct karat_session *session, const struct cli_options *options)
{
    struct karat_timings timings;
    struct text line = { 0 };
    double possible = 0;
    if (options->quiet)
        return;
    fflush(stdout); // the answer does not wait for a measurement
    karat_session_timings(session, &timings);
    if (timings.decode_bytes > 0)
        karat_model_bandwidth(model, KARAT_BANDWIDTH_MEASURED, &possible, NULL);
    cli_speed_line(&timings, possible, &line);
    if (line.size)
        fprintf(stderr, "%s%s%s\n", terminal_style(stderr, TERMINAL_DIM), line.data,
                terminal_style(stderr, TERMINAL_PLAIN));
    app_text_free(&line);
}

// ---------------------------------------------------------------------------------------------------- Ctrl-C

static volatile sig_atomic_t n_interrupts;
static struct karat_session *volatile watched;

static void on_interrupt(void)
{
    n_interrupts = n_interrupts + 1;
    if (n_interrupts >= 3)
        platform_end_now(130);
    if (watched)
        karat_session_cancel(watched);
}

void cli_interrupt_watch(struct karat_session *session)
{
    watched = session;
    platform_interrupts(on_interrupt);
}

bool cli_interrupted(void)
{
    return n_interrupts > 0;
}

void cli_interrupt_forget(void)
{
    n_interrupts = 0;
}
