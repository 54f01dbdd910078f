// server/metrics.c -- counters for Prometheus, under the names that llama.cpp's dashboards know.
#include "server/routes.h"
#include "server/state.h"

static double per_second(uint64_t n, uint64_t ns)
{
    return ns ? (double)n * 1e9 / (double)ns : 0;
}

void serve_metrics(struct exchange *x)
{
    struct karat_scheduler_counts c;
    struct fault fault;
    if (!x->server->options->metrics) {
        fault_set(&fault, ERROR_UNSUPPORTED, NULL, "metrics are off; start the server with --metrics");
        exchange_fail(x, &fault);
        return;
    }
    karat_scheduler_counts(x->server->scheduler, &c);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        { "prompt_tokens_total", "counter", "Number of prompt tokens processed.", (double)c.prefill_tokens },
        { "prompt_seconds_total", "counter", "Prompt process time", (double)c.prefill_ns * 1e-9 },
        { "tokens_predicted_total", "counter", "Number of generation tokens processed.", (double)c.decode_tokens },
        { "tokens_predicted_seconds_total", "counter", "Predict process time", (double)c.decode_ns * 1e-9 },
        { "prompt_tokens_cached_total", "counter", "Number of prompt tokens that were known already.",
          (double)c.cached_tokens },
        { "prompt_cache_bytes", "gauge", "Memory that beginnings of prompts take beside the slots.",
          (double)c.prefix_bytes },
        { "prompt_tokens_seconds", "gauge", "Average prompt throughput in tokens/s.",
          per_second(c.prefill_tokens, c.prefill_ns) },
        { "predicted_tokens_seconds", "gauge", "Average generation throughput in tokens/s.",
          per_second(c.decode_tokens, c.decode_ns) },
        { "requests_processing", "gauge", "Number of requests processing.", c.n_running },
        { "requests_deferred", "gauge", "Number of requests deferred.", c.n_waiting },
        { "requests_finished_total", "counter", "Number of requests that have ended.", (double)c.n_finished },
    };
    struct text out = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
        app_text_format(&out, "# HELP llamacpp:%s %s\n# TYPE llamacpp:%s %s\nllamacpp:%s %.10g\n", rows[i].name,
                        rows[i].help, rows[i].name, rows[i].type, rows[i].name, rows[i].value);
    exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
    app_text_free(&out);
}
