// tests/model/test_pebble.c -- the demo model says what it said elsewhere.
//
// prompts.jsonl holds conversations with their prompt ids and the greedy
// continuation computed by an independent engine on the CPU, and the smallest
// gap between the two best scores on the way.
#include <stdlib.h>

#include "karat.h"
#include "test.h"
#include "text/text.h"

#define MARGIN_MIN 0.3 // below this gap another correct implementation may choose differently
#define IDS_MAX 4096

struct fixture {
    struct karat_model *model;
    struct karat_session *session;
    struct arena arena;
    char *document;
    size_t size;
};

static bool open_fixture(struct test *t, struct fixture *f)
{
    struct karat_error err;
    char path[512];
    const char *folder = getenv("KARAT_TEST_PEBBLE");
    snprintf(path, sizeof path, "%s/prompts.jsonl", folder ? folder : "tests/pebble");
    f->document = test_read_file(path, &f->size);
    return CHECK(f->document) &&
           test_check(t, karat_model_open(&f->model, NULL, NULL, &err) == KARAT_OK, __FILE__, __LINE__, "%s",
                      err.text) &&
           test_check(t,
                      karat_session_open(&f->session, f->model, &(struct karat_session_options){ .n_context = 2048 },
                                         &err) == KARAT_OK,
                      __FILE__, __LINE__, "%s", err.text);
}

static void close_fixture(struct fixture *f)
{
    karat_session_close(f->session);
    karat_model_close(f->model);
    arena_free(&f->arena);
    free(f->document);
}

// The next line of the document as JSON, or NULL at its end.
static const struct json *next_case(struct fixture *f, size_t *at)
{
    struct json *value = NULL;
    const char *line = f->document + *at, *end = memchr(line, '\n', f->size - *at);
    if (!end)
        return NULL;
    *at = (size_t)(end + 1 - f->document);
    return json_parse(&value, &f->arena, span_of(line, (size_t)(end - line)), NULL, NULL) == KARAT_OK ? value : NULL;
}

static size_t read_ids(uint32_t *ids, const struct json *array)
{
    size_t n = 0;
    for (const struct json *item = array ? array->first_child : NULL; item && n < IDS_MAX; item = item->next) {
        int64_t id = 0;
        if (json_get_int64(item, &id))
            ids[n++] = (uint32_t)id;
    }
    return n;
}

static char *render_request(const struct json *item)
{
    struct text request = { 0 };
    const struct json *tools = json_find(item, "tools");
    bool thinking = false;
    json_get_bool(json_find(item, "enable_thinking"), &thinking);
    text_append_string(&request, "{\"messages\":");
    text_append_json(&request, json_find(item, "messages"));
    text_append_string(&request, ",\"tools\":");
    text_append_json(&request, tools);
    text_append_format(&request, ",\"options\":{\"add_generation_prompt\":true,\"enable_thinking\":%s}}",
                       thinking ? "true" : "false");
    return text_take(&request, NULL);
}

TEST(prompts_become_the_same_tokens)
{
    struct fixture f = { 0 };
    static uint32_t want[IDS_MAX];
    size_t at = 0, n_cases = 0;
    if (open_fixture(t, &f))
        for (const struct json *item; (item = next_case(&f, &at)); ++n_cases) {
            struct karat_error err = { 0 };
            uint32_t *got = NULL;
            size_t n_got = 0;
            char *request = render_request(item), row[32];
            int64_t id = -1;
            json_get_int64(json_find(item, "id"), &id);
            snprintf(row, sizeof row, "case %lld", (long long)id);
            t->row = row;
            const size_t n_want = read_ids(want, json_find(item, "prompt_ids"));
            const enum karat_status status =
                karat_render_tokens(f.model, request, KARAT_RENDER_NO_FIXES, &got, &n_got, &err);
            test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
            CHECK_UINT(n_got, n_want);
            CHECK(n_got == n_want && memcmp(got, want, n_got * sizeof *got) == 0);
            karat_free(got);
            free(request);
        }
    t->row = NULL;
    CHECK(n_cases >= 50);
    close_fixture(&f);
}

static uint32_t best_token(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; ++i)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

// Number of tokens that agree before the first difference; n_want when all do.
static size_t count_agreeing(struct fixture *f, uint32_t *ids, size_t n_prompt, const uint32_t *want, size_t n_want,
                             struct karat_error *err)
{
    struct karat_model_facts facts;
    karat_model_describe(f->model, &facts);
    for (size_t i = 0; i < n_want; ++i) {
        if (karat_session_sync(f->session, ids, n_prompt + i, err) != KARAT_OK)
            return i;
        if (best_token(karat_session_logits(f->session), facts.n_vocab) != want[i])
            return i;
        ids[n_prompt + i] = want[i];
    }
    return n_want;
}

TEST(greedy_answers_equal_the_independent_engine)
{
    struct fixture f = { 0 };
    static uint32_t ids[2 * IDS_MAX], want[IDS_MAX];
    size_t at = 0, n_cases = 0, n_near_ties = 0;
    if (open_fixture(t, &f))
        for (const struct json *item; (item = next_case(&f, &at)); ++n_cases) {
            struct karat_error err = { 0 };
            double margin = 0;
            char row[32];
            int64_t id = -1;
            json_get_int64(json_find(item, "id"), &id);
            json_get_double(json_find(item, "min_margin"), &margin);
            snprintf(row, sizeof row, "case %lld", (long long)id);
            t->row = row;
            if (test_brief() && n_cases % 6 != 0)
                continue;
            const size_t n_prompt = read_ids(ids, json_find(item, "prompt_ids"));
            const size_t n_want = read_ids(want, json_find(item, "output_ids"));
            const size_t n_equal = count_agreeing(&f, ids, n_prompt, want, n_want, &err);
            if (n_equal < n_want && margin < MARGIN_MIN && err.status == KARAT_OK) {
                ++n_near_ties;
                continue;
            }
            test_check(t, n_equal == n_want, __FILE__, __LINE__, "token %zu of %zu differs (smallest gap %.3f) %s",
                       n_equal, n_want, margin, err.text);
        }
    t->row = NULL;
    CHECK(n_cases >= 50);
    printf("  %zu conversations%s, %zu left out after a near tie\n", n_cases,
           test_brief() ? ", every sixth of them (KARAT_TEST_BRIEF)" : "", n_near_ties);
    CHECK(n_near_ties * 10 < n_cases);
    close_fixture(&f);
}
