// tests/bench/compare_karat.c -- this program's side of tests/bench/compare: one measurement round on demand.
//
//     compare_karat MODEL CONTEXT DEVICE BATCH
//
// The model is loaded once; then every line on stdin {"prefill": N, "depth": D} or {"decode": N, "depth": D} is
// answered by one line on stdout, as compare_llama.mjs does it for the other program, so that both stay warm while they
// take turns:
//
//     {"ready": "DEVICE NAME", "version": "..."}          once, after loading
//     {"tokens": N, "seconds": S}                         one per request
#include <stdlib.h>
#include <string.h>

#include "cli/bench_rounds.h"
#include "common/json.h"
#include "common/options.h"
#include "common/platform.h"

static void fail(const char *text)
{
    fprintf(stderr, "compare_karat: %s\n", text);
    exit(1);
}

static uint32_t count_argument(const char *word)
{
    uint64_t count = 0;
    if (!options_count(word, &count) || count > UINT32_MAX)
        fail("usage: compare_karat MODEL CONTEXT DEVICE BATCH");
    return (uint32_t)count;
}

// A member that is a whole number; 0 where there is none.
static uint32_t count_member(const struct json *json, const char *key)
{
    const double number = app_json_number(json, app_json_member(json, 0, key));
    return number > 0 && number < 1e9 ? (uint32_t)number : 0;
}

static void answer(struct bench_bed *bed, const char *line)
{
    struct json json;
    struct text fault = { 0 };
    struct karat_error err = { 0 };
    struct bench_round round = { 0 };
    if (!app_json_parse(&json, line, strlen(line), &fault))
        fail(fault.data);
    const uint32_t prefill = count_member(&json, "prefill"), decode = count_member(&json, "decode");
    const uint32_t depth = count_member(&json, "depth"), n = prefill ? prefill : decode;
    const uint32_t needed = prefill ? bench_prefill_capacity(n, depth) : bench_decode_capacity(n, depth);
    if (n == 0 || needed > bed->capacity)
        fail("a request wants no tokens, or more than CONTEXT holds");
    const enum karat_status status =
        prefill ? bench_prefill(bed, n, depth, &round, &err) : bench_decode(bed, n, depth, &round, &err);
    if (status != KARAT_OK)
        fail(err.text);
    const unsigned long long n_done = prefill ? n : round.timings.decode_tokens;
    printf("{\"tokens\": %llu, \"seconds\": %.9g}\n", n_done, round.seconds);
    fflush(stdout);
    app_json_free(&json);
}

int main(int argc, char **argv)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    struct karat_model_facts facts;
    struct bench_bed bed;
    char line[1024];
    platform_start(&argc, &argv);
    if (argc != 5)
        fail("usage: compare_karat MODEL CONTEXT DEVICE BATCH");
    const struct karat_session_options options = { .n_context = count_argument(argv[2]),
                                                   .n_batch = count_argument(argv[4]) };
    if (karat_model_open(&model, argv[1], &(struct karat_model_options){ .device = argv[3] }, &err) != KARAT_OK ||
        karat_session_open(&session, model, &options, &err) != KARAT_OK)
        fail(err.text);
    karat_model_describe(model, &facts);
    bench_bed_init(&bed, session, model, karat_session_capacity(session));
    struct text ready = { 0 };
    app_text_json(&ready, facts.device, strlen(facts.device));
    printf("{\"ready\": %s, \"version\": \"" KARAT_VERSION "\"}\n", ready.data);
    fflush(stdout);
    app_text_free(&ready);
    while (fgets(line, sizeof line, stdin))
        answer(&bed, line);
    bench_bed_deinit(&bed);
    karat_session_close(session);
    karat_model_close(model);
    return 0;
}
