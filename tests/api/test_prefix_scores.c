// tests/api/test_prefix_scores.c -- what was taken over from a known prefix has the scores and answers of what was
// evaluated.
#include <stdlib.h>

#include "engine/shelf.h"
#include "prefix_bed.h"

// ------------------------------------------------------------------------------------------------ bits

static void check_same_scores(struct test *t, const struct karat_session *got, const struct karat_session *want)
{
    const float *a = karat_session_logits(got), *b = karat_session_logits(want);
    CHECK(a && b && memcmp(a, b, demo_facts.n_vocab * sizeof *a) == 0);
}

// A session that took over the first n tokens of another, and the other after it went back to them, have the scores of
// one that evaluated the same steps and nothing else.
TEST(what_is_taken_over_has_the_bits_of_what_was_evaluated)
{
    static const struct {
        const char *name;
        uint32_t n_prompt, n_evaluated, n, to;
        bool aside; // the rings have lost it
    } rows[] = {
        { "within the window", 50, 50, 32, 60, false },
        { "all of it", 200, 200, 200, 230, false },
        { "out of the rings", 200, 200, 192, 230, false },
        { "out of what was set aside in the middle", 300, 300, 144, 290, true },
        { "from the end of a prompt with a long answer", 100, 300, 100, 130, true },
    };
    static uint32_t ids[400], other[400];
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_session *one = bed_session(t), *two = bed_session(t), *fresh = bed_session(t);
        struct karat_error err = { 0 };
        const uint32_t n = rows[i].n, to = rows[i].to;
        t->row = rows[i].name;
        bed_fill(ids, COUNT(ids), 51);
        bed_fill(other, COUNT(other), 52);
        if (one && two && fresh && bed_sync(t, one, ids, rows[i].n_prompt, 0) && bed_sync(t, two, other, 90, 0)) {
            for (uint32_t k = rows[i].n_prompt; k < rows[i].n_evaluated; ++k)
                bed_advance(t, one, ids[k]);
            memcpy(other, ids, n * sizeof *other); // from there on it is something else
            REQUIRE(rewind_reach(one, n) == n);
            const struct rewind_source source = rewind_source(one, n, n);
            CHECK((source.ring != one->state) == rows[i].aside);
            CHECK_UINT(rewind_adopt(two, &source, &err), KARAT_OK);
            bed_sync(t, two, other, to, n);
            bed_sync(t, one, other, to, n);
            bed_sync(t, fresh, other, n, 0);
            bed_sync(t, fresh, other, to, n);
            check_same_scores(t, two, fresh);
            check_same_scores(t, one, fresh);
        }
        karat_session_close(one);
        karat_session_close(two);
        karat_session_close(fresh);
    }
    t->row = NULL;
}

// A prompt of 100 tokens, and an answer of so many that are read one by one.
static bool evaluate(struct test *t, struct karat_session *session, const uint32_t *ids, uint32_t n_answer)
{
    bool ok = bed_sync(t, session, ids, 100, 0);
    for (uint32_t k = 0; k < n_answer && ok; ++k)
        ok = bed_advance(t, session, ids[100 + k]);
    return ok;
}

TEST(so_it_has_off_the_shelf)
{
    static const struct {
        const char *name;
        uint32_t n_answer, n; // what is kept of it all
    } rows[] = {
        { "as the rings have it", 10, 110 },
        { "partly set aside before", 60, 160 },
        { "set aside before, without an answer that is long", 150, 100 },
    };
    static uint32_t ids[300], other[300];
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_session *one = bed_session(t), *two = bed_session(t), *fresh = bed_session(t);
        struct karat_error err = { 0 };
        const uint32_t n = rows[i].n;
        uint32_t reach = 0;
        t->row = rows[i].name;
        bed_fill(ids, COUNT(ids), 55);
        bed_fill(other, COUNT(other), 56);
        if (one && two && fresh && evaluate(t, one, ids, rows[i].n_answer) && bed_sync(t, two, other, 70, 0) &&
            evaluate(t, fresh, ids, n - 100)) {
            struct shelf shelf = { .store = one->rewind.store };
            shelf_put(&shelf, one, &(struct shelf_wish){ 0 });
            memcpy(other, ids, n * sizeof *other);
            struct shelf_entry *entry = shelf_find(&shelf, other, COUNT(other), &reach);
            if (CHECK_UINT(reach, n)) {
                const struct rewind_source source = shelf_source(entry, n);
                CHECK_UINT(rewind_adopt(two, &source, &err), KARAT_OK);
                bed_sync(t, two, other, n + 30, n);
                bed_sync(t, fresh, other, n + 30, n);
                check_same_scores(t, two, fresh);
            }
            shelf_clear(&shelf);
        }
        karat_session_close(one);
        karat_session_close(two);
        karat_session_close(fresh);
    }
    t->row = NULL;
}

TEST(so_it_has_where_the_device_draws)
{
    static uint32_t ids[400], other[400];
    struct karat_error err = { 0 };
    struct karat_reply reply = { 0 };
    struct asked a;
    REQUIRE(demo_open(t));
    bed_fill(ids, COUNT(ids), 53);
    bed_fill(other, COUNT(other), 54);
    memcpy(other, ids, 100 * sizeof *other);
    struct karat_session *one = bed_session(t), *fresh = bed_session(t);
    asked_open(&a, NULL, 0);
    asked_make_long(&a, 200);
    a.options.on_piece = NULL;
    a.options.sampling.top_k = 40; // what the device chooses from
    if (one && fresh) {
        session_force_ahead(one, 4, false);
        // Until one of the answers is long.
        for (uint64_t seed = 1; seed < 100 && reply.n_generated <= 2 * (WINDOW + BATCH); ++seed) {
            karat_reply_free(&reply);
            a.options.sampling.seed = seed;
            CHECK_UINT(karat_generate(one, ids, 100, &a.options, &reply, &err), KARAT_OK);
        }
        CHECK(reply.n_generated > 2 * (WINDOW + BATCH));
        CHECK(session_ahead_counts(one).most > 0);
        bed_sync(t, one, other, 150, 100);
        bed_sync(t, fresh, other, 100, 0);
        bed_sync(t, fresh, other, 150, 100);
        check_same_scores(t, one, fresh);
    }
    karat_reply_free(&reply);
    karat_session_close(one);
    karat_session_close(fresh);
}

// ------------------------------------------------------------------------------------------------ answers

#define N_CHATS 8

// Prompts of the demo model's own cases, of which many share instructions and tools.
struct chat {
    uint32_t *ids;
    size_t n;
    char *cold; // what a session of its own answers
};

static void read_chat(struct chat *chat, const struct json *array)
{
    chat->ids = calloc(1024, sizeof *chat->ids);
    for (const struct json *item = array->first_child; item && chat->ids && chat->n < 1024; item = item->next) {
        int64_t id = 0;
        json_get_int64(item, &id);
        chat->ids[chat->n++] = (uint32_t)id;
    }
}

static void answer_cold(struct test *t, struct chat *chat)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    struct karat_reply reply = { 0 };
    const struct karat_session_options wish = { .n_context = 1024, .n_batch = BATCH };
    const struct karat_generate_options options = { .max_tokens = 24, .sampling.greedy = true };
    enum karat_status status = karat_session_open(&session, demo, &wish, &err);
    if (status == KARAT_OK)
        status = karat_generate(session, chat->ids, chat->n, &options, &reply, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    chat->cold = status == KARAT_OK ? reply.content : NULL;
    reply.content = NULL;
    karat_reply_free(&reply);
    karat_session_close(session);
}

// Line `first` of the demo model's cases and every `by`th after it.
static void read_chats(struct test *t, struct chat chats[N_CHATS], size_t first, size_t by)
{
    char path[512];
    size_t size = 0, n = 0, line = 0;
    struct arena arena = { 0 };
    const char *folder = getenv("KARAT_TEST_PEBBLE");
    snprintf(path, sizeof path, "%s/prompts.jsonl", folder ? folder : "tests/pebble");
    char *document = test_read_file(path, &size);
    CHECK(document);
    for (char *at = document, *end; at && n < N_CHATS && (end = strchr(at, '\n')); at = end + 1, ++line) {
        struct json *value = NULL;
        if (line < first || (line - first) % by != 0)
            continue;
        if (CHECK_UINT(json_parse(&value, &arena, span_of(at, (size_t)(end - at)), NULL, NULL), KARAT_OK))
            read_chat(&chats[n++], json_find(value, "prompt_ids"));
    }
    CHECK_UINT(n, N_CHATS);
    free(document);
    arena_free(&arena);
}

// All of them, so many at a time; returns how many of their tokens were known.
static uint64_t answer_all(struct test *t, struct karat_scheduler *s, const struct chat chats[N_CHATS], size_t n_beside)
{
    struct asked asked[N_CHATS];
    uint64_t n_cached = 0;
    for (size_t i = 0; i < N_CHATS; i += n_beside) {
        for (size_t k = i; k < i + n_beside; ++k) {
            asked_open(&asked[k], s, 24);
            asked_submit(t, &asked[k], chats[k].ids, chats[k].n);
        }
        for (size_t k = i; k < i + n_beside; ++k) {
            if (asked_wait(t, &asked[k], &asked[k].done) && CHECK(chats[k].cold))
                CHECK_TEXT(asked[k].answer.data ? asked[k].answer.data : "", chats[k].cold);
            n_cached += asked[k].n_cached;
            text_free(&asked[k].answer);
        }
    }
    return n_cached;
}

// What a cache holds may have been evaluated in other steps than a cold one would have, so scores agree to rounding and
// answers agree where no two tokens are nearly equal; in these cases the best leads by 0.4 at least.
TEST(greedy_answers_are_the_same_with_a_cold_and_a_warm_cache)
{
    static const struct {
        size_t first, by;
    } rows[] = { { 13, 1 }, { 0, 9 } }; // tools in front of everything; all kinds
    REQUIRE(demo_open(t));
    for (size_t i = test_brief() ? 1 : 0; i < COUNT(rows); ++i) {
        struct chat chats[N_CHATS] = { 0 };
        uint64_t n_tokens = 0;
        read_chats(t, chats, rows[i].first, rows[i].by);
        for (size_t k = 0; k < N_CHATS; ++k) {
            answer_cold(t, &chats[k]);
            n_tokens += chats[k].n;
        }
        struct karat_scheduler *wide = bed_scheduler(t, N_CHATS, 0), *narrow = bed_scheduler(t, 2, 0);
        if (wide && narrow) {
            answer_all(t, wide, chats, N_CHATS);
            CHECK_UINT(answer_all(t, wide, chats, N_CHATS), n_tokens - N_CHATS);
            answer_all(t, narrow, chats, 1);
            CHECK(answer_all(t, narrow, chats, 2) > n_tokens / 2);
            CHECK(answer_all(t, narrow, chats, 1) > n_tokens / 2);
        }
        karat_scheduler_close(wide);
        karat_scheduler_close(narrow);
        for (size_t k = 0; k < N_CHATS; ++k) {
            free(chats[k].ids);
            karat_free(chats[k].cold);
        }
    }
}
