// tests/bench/compare_karat.c -- this program's side of tests/bench/compare: one measurement round on demand.
//
//     compare_karat MODEL CONTEXT DEVICE BATCH
//
// The model is loaded once; then every line on stdin {"prefill": N, "depth": D}, {"decode": N, "depth": D} or
// {"decode": N, "prompts": [[ID, ...], ...]} is answered by one line on stdout, as compare_llama.mjs does it for the
// other program, so that both stay warm while they take turns:
//
//     {"ready": "DEVICE NAME", "version": "...", "vocabulary": N}    once, after loading
//     {"tokens": N, "seconds": S}                                    one per request
//
// With prompts there is a stream for each, all in one scheduler; 0 tokens say that an answer ended before it was
// measured.
#include <stdlib.h>
#include <string.h>

#include "cli/bench_rounds.h"
#include "common/json.h"
#include "common/options.h"
#include "common/platform.h"
#include "streams.h"

#define USAGE "usage: compare_karat MODEL CONTEXT DEVICE BATCH"
#define LINE_BYTES_MAX (4u << 20)

struct bench {
    struct karat_model *model;
    struct karat_session *session;
    struct bench_bed bed;
    struct streams streams;
};

static bool fail(const char *text)
{
    fprintf(stderr, "compare_karat: %s\n", text);
    return false;
}

static bool count_argument(const char *word, uint32_t *out)
{
    uint64_t count = 0;
    const bool ok = options_count(word, &count) && count <= UINT32_MAX;
    *out = ok ? (uint32_t)count : 0;
    return ok;
}

// A member that is a whole number; 0 where there is none.
static uint32_t count_member(const struct json *json, const char *key)
{
    const double number = app_json_number(json, app_json_member(json, 0, key));
    return number > 0 && number < 1e9 ? (uint32_t)number : 0;
}

static bool measure_one(struct bench *bench, const struct json *json, struct streams_speed *out)
{
    struct bench_bed *bed = &bench->bed;
    struct karat_error err = { 0 };
    struct bench_round round = { 0 };
    const uint32_t prefill = count_member(json, "prefill"), decode = count_member(json, "decode");
    const uint32_t depth = count_member(json, "depth"), n = prefill ? prefill : decode;
    const uint32_t needed = prefill ? bench_prefill_capacity(n, depth) : bench_decode_capacity(n, depth);
    if (n == 0 || needed > bed->capacity)
        return fail("a request wants no tokens, or more than CONTEXT holds");
    const enum karat_status status =
        prefill ? bench_prefill(bed, n, depth, &round, &err) : bench_decode(bed, n, depth, &round, &err);
    *out = (struct streams_speed){ prefill ? n : round.timings.decode_tokens, round.seconds };
    return status == KARAT_OK || fail(err.text);
}

static bool measure_streams(struct bench *bench, const struct json *json, size_t node, struct streams_speed *out)
{
    struct karat_error err = { 0 };
    struct streams_prompt prompts[STREAMS_MAX];
    const size_t n = app_json_count(json, node);
    const uint32_t n_tokens = count_member(json, "decode");
    if (n == 0 || n > STREAMS_MAX || n_tokens == 0)
        return fail("a request wants no tokens, no streams, or more of them than a scheduler has slots");
    uint32_t *ids = app_memory_new(json->n_nodes, sizeof *ids), *next = ids;
    size_t prompt = app_json_first(json, node);
    for (size_t i = 0; i < n; ++i, prompt = app_json_next(json, node, prompt)) {
        prompts[i] = (struct streams_prompt){ next, app_json_count(json, prompt) };
        for (size_t id = app_json_first(json, prompt); id != JSON_NONE; id = app_json_next(json, prompt, id))
            *next++ = (uint32_t)app_json_number(json, id);
    }
    const enum karat_status status = streams_decode(&bench->streams, prompts, (uint32_t)n, n_tokens, out, &err);
    free(ids);
    return status == KARAT_OK || fail(err.text);
}

static bool measure(struct bench *bench, const struct json *json, struct streams_speed *out)
{
    const size_t prompts = app_json_member(json, 0, "prompts");
    return prompts != JSON_NONE ? measure_streams(bench, json, prompts, out) : measure_one(bench, json, out);
}

static bool answer(struct bench *bench, const char *line)
{
    struct json json = { 0 };
    struct text fault = { 0 };
    struct streams_speed speed;
    const bool is_json = app_json_parse(&json, line, strlen(line), &fault) || fail(fault.data);
    const bool ok = is_json && measure(bench, &json, &speed);
    if (ok)
        printf("{\"tokens\": %llu, \"seconds\": %.9g}\n", (unsigned long long)speed.n_tokens, speed.seconds);
    fflush(stdout);
    app_json_free(&json);
    app_text_free(&fault);
    return ok;
}

static bool open_bench(struct bench *bench, char **argv)
{
    struct karat_error err = { 0 };
    struct karat_session_options options = { 0 };
    if (!count_argument(argv[2], &options.n_context) || !count_argument(argv[4], &options.n_batch))
        return fail(USAGE);
    if (karat_model_open(&bench->model, argv[1], &(struct karat_model_options){ .device = argv[3] }, &err) !=
            KARAT_OK ||
        karat_session_open(&bench->session, bench->model, &options, &err) != KARAT_OK)
        return fail(err.text);
    bench_bed_init(&bench->bed, bench->session, bench->model, karat_session_capacity(bench->session));
    bench->streams = (struct streams){ .model = bench->model,
                                       .n_context = options.n_context,
                                       .n_batch = options.n_batch,
                                       .mutex = MUTEX_INIT,
                                       .changed = CONDITION_INIT };
    return true;
}

static void say_ready(const struct bench *bench)
{
    struct karat_model_facts facts;
    struct text ready = { 0 };
    karat_model_describe(bench->model, &facts);
    app_text_json(&ready, facts.device, strlen(facts.device));
    printf("{\"ready\": %s, \"version\": \"" KARAT_VERSION "\", \"vocabulary\": %u}\n", ready.data, facts.n_vocab);
    fflush(stdout);
    app_text_free(&ready);
}

static void close_bench(struct bench *bench)
{
    streams_deinit(&bench->streams);
    bench_bed_deinit(&bench->bed);
    karat_session_close(bench->session);
    karat_model_close(bench->model);
}

// Whatever fails, the device is given back before the program ends.
int main(int argc, char **argv)
{
    struct bench bench = { 0 };
    platform_start(&argc, &argv);
    bool ok = argc == 5 ? open_bench(&bench, argv) : fail(USAGE);
    char *line = app_memory_new(LINE_BYTES_MAX, 1);
    if (ok)
        say_ready(&bench);
    while (ok && fgets(line, LINE_BYTES_MAX, stdin))
        ok = answer(&bench, line);
    free(line);
    close_bench(&bench);
    return ok ? 0 : 1;
}
