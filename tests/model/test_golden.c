// tests/model/test_golden.c -- the scores of random models of the architecture
// against an independent reference.
//
// The models are written by tests/oracle/mkgguf.py before this runs (the
// fixture `models`), the golden scores are in tests/oracle/golden; README.md
// there states the bounds. Rows whose router was nearly tied may legitimately
// choose another expert: they are counted and printed, never averaged in.
#include <stdlib.h>

#include "gpu/gpu.h"
#include "gpu/hooks.h"
#include "karat.h"
#include "test.h"
#include "text/text.h"

#define MARGIN_MIN 0.03
#define EARLIER_MARGIN_MIN_F16 0.001      // two roundings to f16
#define EARLIER_MARGIN_MIN_MATRICES 0.003 // two roundings in every product
#define TOP_GAP_MIN 0.05

static const struct golden_case {
    const char *name;
    double bound;  // of the normalised mean squared error
    bool all_ways; // in chunks and token by token, too
} cases[] = {
    { "f32", 2e-6, false },
    { "f16", 2e-6, false },
    { "bf16", 2e-5, false },
    { "q8_0", 2e-6, false },
    { "q4_0", 2e-6, false },
    { "q4_1", 2e-6, false },
    { "q5_0", 2e-6, false },
    { "q5_1", 2e-6, false },
    { "q2_k", 2e-6, false },
    { "q3_k", 2e-6, false },
    { "q4_k", 2e-6, false },
    { "q5_k", 2e-6, false },
    { "q6_k", 2e-6, false },
    { "iq4_nl", 2e-6, false },
    { "iq4_xs", 2e-6, false },
    { "q4_k_m", 2e-6, true },
    { "q5_k_m", 2e-6, false },
    { "qat-q4_0", 2e-6, false },
    { "ud-q4_k_xl", 2e-6, false },
    { "dense", 2e-6, true },
    { "separate-gate-up", 2e-6, false },
    { "untied-head", 2e-6, false },
    { "with-v-everywhere", 2e-6, false },
    { "narrow-experts", 2e-6, false },
    { "long-window", 2e-6, true },
    { "small", 2e-6, false },
};

struct golden {
    uint32_t *tokens, *positions;
    double *margins;      // [n_positions]
    float *token_margins; // [n_tokens]
    float *logits;        // [n_positions][n_vocab]
    size_t n_tokens, n_positions;
    uint32_t n_vocab;
};

static const char *models_folder(void)
{
    const char *folder = getenv("KARAT_TEST_MODELS");
    return folder ? folder : "build/models";
}

static uint32_t *read_ids(const struct json *array, size_t *n)
{
    uint32_t *ids = calloc(array ? array->n_children + 1 : 1, sizeof *ids);
    *n = 0;
    for (const struct json *item = array ? array->first_child : NULL; item; item = item->next) {
        int64_t value = 0;
        if (json_get_int64(item, &value))
            ids[(*n)++] = (uint32_t)value;
    }
    return ids;
}

static bool read_golden(struct golden *out, const char *name)
{
    char path[512];
    struct arena arena = { 0 };
    struct json *root = NULL;
    size_t size = 0;
    const char *folder = getenv("KARAT_TEST_ORACLE");
    folder = folder ? folder : "tests/oracle";
    snprintf(path, sizeof path, "%s/golden/%s.json", folder, name);
    char *document = test_read_file(path, &size);
    bool ok = document && json_parse(&root, &arena, span_of(document, size), NULL, NULL) == KARAT_OK;
    int64_t n_vocab = 0;
    if (ok) {
        out->tokens = read_ids(json_find(root, "tokens"), &out->n_tokens);
        out->positions = read_ids(json_find(root, "positions"), &out->n_positions);
        out->margins = calloc(out->n_positions + 1, sizeof *out->margins);
        const struct json *margins = json_find(root, "router_margin");
        size_t i = 0;
        for (const struct json *m = margins ? margins->first_child : NULL; m && i < out->n_positions; m = m->next, ++i)
            if (!json_get_double(m, &out->margins[i]))
                out->margins[i] = 1e9; // a dense model has no router: null
        for (; i < out->n_positions; ++i)
            out->margins[i] = 1e9;
        ok = json_get_int64(json_find(root, "n_vocab"), &n_vocab);
        out->n_vocab = (uint32_t)n_vocab;
        snprintf(path, sizeof path, "%s/golden/%s.f32", folder, name);
        out->logits = (float *)(void *)test_read_file(path, &size);
        ok = ok && out->logits && size == out->n_positions * out->n_vocab * sizeof(float);
        snprintf(path, sizeof path, "%s/margins/%s.f32", folder, name);
        out->token_margins = (float *)(void *)test_read_file(path, &size);
        ok = ok && out->token_margins && size == out->n_tokens * sizeof(float);
    }
    free(document);
    arena_free(&arena);
    return ok;
}

static void free_golden(struct golden *golden)
{
    free(golden->tokens);
    free(golden->positions);
    free(golden->margins);
    free(golden->token_margins);
    free(golden->logits);
    *golden = (struct golden){ 0 };
}

// ------------------------------------------------------------------------------------------------
// comparing

struct comparison {
    struct test *t;
    double earlier_margin_min; // 0: earlier tokens are not rounded
    const struct golden_case *golden_case;
    const struct golden *golden;
    const char *how;
    double worst, worst_tied;
    size_t n_safe, n_tied;
};

static double row_error(const float *got, const float *want, uint32_t n)
{
    double difference = 0, scale = 0;
    for (uint32_t i = 0; i < n; ++i) {
        const double d = (double)got[i] - want[i];
        difference += d * d;
        scale += (double)want[i] * want[i];
    }
    return difference / scale;
}

static uint32_t best(const float *row, uint32_t n, uint32_t without)
{
    uint32_t top = without == 0 ? 1 : 0;
    for (uint32_t i = 0; i < n; ++i)
        if (i != without && row[i] > row[top])
            top = i;
    return top;
}

// Whether sessions with f16 caches get products of cooperative matrices.
static bool with_matrices;

static double earlier_margin_min(enum karat_cache_type cache)
{
    return cache == KARAT_CACHE_F32 ? 0 : with_matrices ? EARLIER_MARGIN_MIN_MATRICES : EARLIER_MARGIN_MIN_F16;
}

static bool has_matrices(bool pretend_gpu)
{
    struct gpu_device *device = NULL;
    gpu_device_pretend_gpu(pretend_gpu);
    gpu_device_create(&device, NULL, NULL);
    gpu_device_pretend_gpu(false);
    const struct gpu_plan *plan = device ? gpu_device_plan(device) : NULL;
    const bool has = plan && !plan->cpu && plan->tier == GPU_TIER_COOPMAT;
    gpu_device_destroy(device);
    return has;
}

static bool is_tied(const struct comparison *c, size_t row)
{
    const struct golden *g = c->golden;
    bool tied = g->margins[row] < MARGIN_MIN;
    for (uint32_t i = 0; i < g->positions[row]; ++i)
        tied = tied || g->token_margins[i] < c->earlier_margin_min;
    return tied;
}

static void compare_row(struct comparison *c, size_t row, const float *got)
{
    struct test *t = c->t;
    const struct golden *g = c->golden;
    const float *want = g->logits + row * g->n_vocab;
    const double error = row_error(got, want, g->n_vocab);
    if (is_tied(c, row)) {
        ++c->n_tied;
        c->worst_tied = error > c->worst_tied ? error : c->worst_tied;
        return;
    }
    ++c->n_safe;
    c->worst = error > c->worst ? error : c->worst;
    test_check(t, error <= c->golden_case->bound, __FILE__, __LINE__,
               "%s, position %u: error %.3g, at most %.3g allowed", c->how, g->positions[row], error,
               c->golden_case->bound);
    const uint32_t top = best(want, g->n_vocab, UINT32_MAX);
    const uint32_t second = best(want, g->n_vocab, top);
    if (want[top] - want[second] > TOP_GAP_MIN)
        test_check(t, best(got, g->n_vocab, UINT32_MAX) == top, __FILE__, __LINE__,
                   "%s, position %u: another best token", c->how, g->positions[row]);
}

static bool on_logits(void *user, size_t index, const float *logits)
{
    struct comparison *c = user;
    for (size_t row = 0; row < c->golden->n_positions; ++row)
        if (c->golden->positions[row] == index)
            compare_row(c, row, logits);
    return true;
}

static void report(const struct comparison *c)
{
    printf("  %-18s %-24s error %.2e over %zu rows; %.2e over %zu nearly tied "
           "rows\n",
           c->golden_case->name, c->how, c->worst, c->n_safe, c->worst_tied, c->n_tied);
}

// All tokens in steps of n_batch, every row's scores.
static void check_batches(struct test *t, const struct golden_case *golden_case, const struct golden *golden,
                          struct karat_model *model, uint32_t n_batch, enum karat_cache_type cache, const char *how)
{
    struct karat_error err;
    struct karat_session *session = NULL;
    struct comparison c = { t, earlier_margin_min(cache), golden_case, golden, how, 0, 0, 0, 0 };
    const struct karat_session_options options = { .n_context = (uint32_t)golden->n_tokens + 8,
                                                   .n_batch = n_batch,
                                                   .cache = cache };
    REQUIRE_OK(karat_session_open(&session, model, &options, &err), err);
    const enum karat_status status =
        karat_session_evaluate(session, golden->tokens, golden->n_tokens, on_logits, &c, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s: %s", how, err.text);
    CHECK(status != KARAT_OK || c.n_safe + c.n_tied == golden->n_positions);
    report(&c);
    karat_session_close(session);
}

// Prefix by prefix: prefill in chunks of n_batch up to each wanted position,
// scores of the last token only.
static void check_prefixes(struct test *t, const struct golden_case *golden_case, const struct golden *golden,
                           struct karat_model *model, uint32_t n_batch, enum karat_cache_type cache, const char *how)
{
    struct karat_error err;
    struct karat_session *session = NULL;
    struct comparison c = { t, earlier_margin_min(cache), golden_case, golden, how, 0, 0, 0, 0 };
    const struct karat_session_options options = { .n_context = (uint32_t)golden->n_tokens,
                                                   .n_batch = n_batch,
                                                   .cache = cache };
    REQUIRE_OK(karat_session_open(&session, model, &options, &err), err);
    for (size_t row = 0; row < golden->n_positions; ++row) {
        const enum karat_status status = karat_session_sync(session, golden->tokens, golden->positions[row] + 1, &err);
        if (!test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s: %s", how, err.text))
            break;
        compare_row(&c, row, karat_session_logits(session));
    }
    report(&c);
    karat_session_close(session);
}

TEST(scores_equal_the_reference_for_every_format_and_shape)
{
    size_t n_left_out = 0;
    with_matrices = has_matrices(false);
    for (size_t i = 0; i < COUNT(cases); ++i) {
        char path[512];
        if (test_brief() && !cases[i].all_ways) {
            ++n_left_out;
            continue;
        }
        struct karat_error err;
        struct golden golden = { 0 };
        struct karat_model *model = NULL;
        t->row = cases[i].name;
        REQUIRE(read_golden(&golden, cases[i].name));
        snprintf(path, sizeof path, "%s/%s.gguf", models_folder(), cases[i].name);
        REQUIRE_OK(karat_model_open(&model, path, NULL, &err), err);
        check_batches(t, &cases[i], &golden, model, 512, KARAT_CACHE_F32, "one prompt, f32 cache");
        check_batches(t, &cases[i], &golden, model, 512, KARAT_CACHE_F16, "one prompt, f16 cache");
        if (cases[i].all_ways) {
            check_prefixes(t, &cases[i], &golden, model, 13, KARAT_CACHE_F32, "chunks of 13, f32 cache");
            check_prefixes(t, &cases[i], &golden, model, 13, KARAT_CACHE_F16, "chunks of 13, f16 cache");
            if (!test_brief() || strcmp(cases[i].name, "q4_k_m") == 0)
                check_batches(t, &cases[i], &golden, model, 1, KARAT_CACHE_F32, "one by one, f32 cache");
        }
        karat_model_close(model);
        free_golden(&golden);
    }
    if (n_left_out > 0)
        printf("  KARAT_TEST_BRIEF: %zu of %zu models left out\n", n_left_out, COUNT(cases));
}

// Operands rounded to f16 in every product of many columns but the router's, on a device that takes itself for a GPU.
static const char *const matrix_cases[] = { "q4_k_m", "dense", "with-v-everywhere" };

static const struct golden_case *find_case(const char *name)
{
    size_t i = 0;
    while (strcmp(cases[i].name, name) != 0)
        ++i;
    return &cases[i];
}

TEST(cooperative_matrices_keep_the_bounds)
{
    with_matrices = has_matrices(true);
    if (!with_matrices) {
        t->skipped = "the device multiplies no cooperative matrices";
        return;
    }
    for (size_t i = 0; i < COUNT(matrix_cases); ++i) {
        const struct golden_case *golden_case = find_case(matrix_cases[i]);
        char path[512];
        struct karat_error err;
        struct golden golden = { 0 };
        struct karat_model *model = NULL;
        t->row = golden_case->name;
        REQUIRE(read_golden(&golden, golden_case->name));
        snprintf(path, sizeof path, "%s/%s.gguf", models_folder(), golden_case->name);
        gpu_device_pretend_gpu(true);
        const enum karat_status status = karat_model_open(&model, path, NULL, &err);
        gpu_device_pretend_gpu(false);
        REQUIRE_OK(status, err);
        check_batches(t, golden_case, &golden, model, 512, KARAT_CACHE_F16, "matrices, f16 cache");
        // A session with f32 caches rounds nothing, so that its error is far below what f16 could reach.
        const struct golden_case exact = { golden_case->name, 1e-10, false };
        check_batches(t, &exact, &golden, model, 512, KARAT_CACHE_F32, "exact, f32 cache");
        karat_model_close(model);
        free_golden(&golden);
    }
}
