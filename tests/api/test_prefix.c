// tests/api/test_prefix.c -- what is known of a prompt is not evaluated again, wherever it is known.
//
// The demo model's sliding layers see 64 tokens. With steps of 16 their rings keep 80, so that a conversation of some
// hundred tokens has lost what its beginning needs, unless that was set aside.
#include <stdlib.h>

#include "base/thread.h"
#include "engine/engine.h"
#include "engine/shelf.h"
#include "gpu/hooks.h"
#include "karat.h"
#include "test.h"
#include "text/text.h"

#define WINDOW 64
#define BATCH 16
#define SECONDS_MAX 120.0 // for whatever is waited for

static struct karat_model *demo;
static struct karat_model_facts facts;

static bool open_demo(struct test *t)
{
    struct karat_error err = { 0 };
    if (!demo && karat_model_open(&demo, NULL, NULL, &err) == KARAT_OK)
        karat_model_describe(demo, &facts);
    return test_check(t, demo, __FILE__, __LINE__, "%s", err.text);
}

__attribute__((destructor)) static void close_demo(void)
{
    karat_model_close(demo);
}

static struct karat_scheduler *open_scheduler(struct test *t, uint32_t n_slots, uint64_t prefix_bytes)
{
    struct karat_error err = { 0 };
    struct karat_scheduler *scheduler = NULL;
    const struct karat_scheduler_options options = {
        .n_slots = n_slots, .n_context = 1024, .n_batch = BATCH, .prefix_bytes = prefix_bytes
    };
    const enum karat_status status = karat_scheduler_open(&scheduler, demo, &options, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return scheduler;
}

// Ordinary tokens, the same for the same seed.
static void fill_ids(uint32_t *ids, size_t n, uint64_t seed)
{
    struct test_random random = { seed };
    for (size_t i = 0; i < n; ++i)
        ids[i] = 300 + test_random_below(&random, facts.n_vocab - 300);
}

// ------------------------------------------------------------------------------------------------ requests

// A request and what came of it. The mutex guards what the callbacks write.
struct asked {
    struct mutex mutex;
    struct condition changed;
    struct karat_scheduler *scheduler;
    struct karat_generate_options options;
    uint64_t ticket;
    struct text answer;
    uint32_t n_prompt, n_cached, n_generated;
    enum karat_status status;
    bool cancels; // itself, at its first step
    bool holds;   // on_start does not return before `released`
    bool released, started, done;
};

static void note(struct asked *a)
{
    condition_signal_all(&a->changed);
    mutex_unlock(&a->mutex);
}

static void on_start(void *user, uint32_t n_prompt, uint32_t n_cached)
{
    struct asked *a = user;
    mutex_lock(&a->mutex);
    a->n_prompt = n_prompt;
    a->n_cached = n_cached;
    a->started = true;
    condition_signal_all(&a->changed);
    while (a->holds && !a->released)
        condition_wait(&a->changed, &a->mutex);
    mutex_unlock(&a->mutex);
    if (a->cancels)
        karat_scheduler_cancel(a->scheduler, a->ticket);
}

static bool on_piece(void *user, enum karat_piece kind, const char *text, size_t size)
{
    struct asked *a = user;
    (void)kind;
    mutex_lock(&a->mutex);
    text_append(&a->answer, text, size);
    note(a);
    return true;
}

static void on_done(void *user, enum karat_status status, const struct karat_reply *reply,
                    const struct karat_request_times *times, const struct karat_error *err)
{
    struct asked *a = user;
    (void)times;
    (void)err;
    mutex_lock(&a->mutex);
    a->status = status;
    a->n_generated = reply ? reply->n_generated : 0;
    a->done = true;
    note(a);
}

static void open_asked(struct asked *a, struct karat_scheduler *scheduler, uint32_t max_tokens)
{
    *a = (struct asked){
        .mutex = MUTEX_INIT,
        .changed = CONDITION_INIT,
        .scheduler = scheduler,
        .options = { .max_tokens = max_tokens, .sampling.greedy = true, .on_piece = on_piece },
    };
}

static bool submit(struct test *t, struct asked *a, const uint32_t *ids, size_t n_ids)
{
    struct karat_error err = { 0 };
    a->options.user = a;
    const struct karat_request request = {
        .ids = ids,
        .n_ids = n_ids,
        .generate = &a->options,
        .on_start = on_start,
        .on_done = on_done,
        .user = a,
    };
    mutex_lock(&a->mutex);
    const enum karat_status status = karat_scheduler_submit(a->scheduler, &request, &a->ticket, &err);
    mutex_unlock(&a->mutex);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
}

static bool wait_for(struct test *t, struct asked *a, const bool *what)
{
    const uint64_t start_ns = clock_ns();
    for (;;) {
        mutex_lock(&a->mutex);
        const bool there = *what;
        mutex_unlock(&a->mutex);
        if (there)
            return true;
        if ((double)(clock_ns() - start_ns) > test_seconds(SECONDS_MAX) * 1e9)
            return test_check(t, false, __FILE__, __LINE__, "nothing came within %g s", SECONDS_MAX);
        clock_sleep_ms(1);
    }
}

static void release(struct asked *a)
{
    mutex_lock(&a->mutex);
    a->released = true;
    note(a);
}

// An answer of just so many tokens: all are about as likely, and an end is none of those that were tried.
static void make_long(struct asked *a, uint32_t n_tokens)
{
    a->options.max_tokens = n_tokens;
    a->options.sampling = (struct karat_sampling){ .temperature = 50, .top_k = 2048, .top_p = 1, .seed = 5 };
}

// Asks and waits; returns how many tokens were known. n_long > 0: for an answer of so many tokens.
static uint32_t ask(struct test *t, struct karat_scheduler *s, const uint32_t *ids, size_t n_ids, uint32_t n_long)
{
    struct asked a;
    open_asked(&a, s, 1);
    if (n_long > 0)
        make_long(&a, n_long);
    if (submit(t, &a, ids, n_ids) && wait_for(t, &a, &a.done)) {
        CHECK_UINT(a.status, KARAT_OK);
        if (n_long > 0)
            CHECK_UINT(a.n_generated, n_long);
    }
    text_free(&a.answer);
    return a.n_cached;
}

static uint64_t kept_bytes(struct karat_scheduler *s)
{
    struct karat_scheduler_counts counts;
    karat_scheduler_counts(s, &counts);
    return counts.prefix_bytes;
}

// ------------------------------------------------------------------------------------------------ conversations

TEST(more_conversations_than_slots_take_turns)
{
    static uint32_t ids[5][400];
    const uint32_t lengths[] = { 40, 70, 100, 150, 300 }; // shorter and longer than the window
    REQUIRE(open_demo(t));
    CHECK_UINT(facts.sliding_window, WINDOW);
    for (uint32_t n_slots = test_brief() ? 2 : 1; n_slots <= 2; ++n_slots) {
        struct karat_scheduler *s = open_scheduler(t, n_slots, 0);
        REQUIRE(s);
        for (uint32_t turn = 0; turn < 3; ++turn)
            for (size_t i = 0; i < COUNT(ids); ++i) {
                char row[64];
                snprintf(row, sizeof row, "%u slots, turn %u, a prompt of %u", n_slots, turn, lengths[i] + 20 * turn);
                t->row = row;
                fill_ids(ids[i], COUNT(ids[i]), i + 1);
                const uint32_t want = turn == 0 ? 0 : lengths[i] + 20 * (turn - 1);
                CHECK_UINT(ask(t, s, ids[i], lengths[i] + 20 * turn, 0), want);
            }
        karat_scheduler_close(s);
    }
    t->row = NULL;
}

TEST(answers_longer_than_the_rings_are_gone_back_from)
{
    static uint32_t ids[2][300];
    REQUIRE(open_demo(t));
    for (size_t i = 0; i < 2; ++i)
        fill_ids(ids[i], COUNT(ids[i]), i + 11);
    struct karat_scheduler *s = open_scheduler(t, 1, 0);
    REQUIRE(s);
    CHECK_UINT(ask(t, s, ids[0], 100, 120), 0);
    CHECK_UINT(ask(t, s, ids[0], 100, 0), 99); // another answer: the last token again, for its scores
    CHECK_UINT(ask(t, s, ids[0], 100, 120), 99);
    CHECK_UINT(ask(t, s, ids[0], 130, 120), 100); // or another question
    CHECK_UINT(ask(t, s, ids[1], 200, 0), 0);     // someone else in between
    CHECK_UINT(ask(t, s, ids[0], 130, 0), 129);
    CHECK_UINT(ask(t, s, ids[1], 210, 0), 200);
    CHECK_UINT(ask(t, s, ids[0], 150, 0), 130);
    karat_scheduler_close(s);
}

// Turns of ordinary tokens, each behind the token that opens one, at the positions given.
static void open_turns(uint32_t *ids, const uint32_t *turns, size_t n_turns)
{
    for (size_t i = 0; i < n_turns; ++i)
        ids[turns[i]] = demo->control.turn_open;
}

TEST(an_edited_question_leaves_both_conversations)
{
    static uint32_t ids[400], edited[400];
    static const uint32_t turns[] = { 0, 60, 90, 150, 180, 260, 300, 330 };
    REQUIRE(open_demo(t));
    for (uint32_t n_slots = 1; n_slots <= 2; ++n_slots) {
        struct karat_scheduler *s = open_scheduler(t, n_slots, 0);
        t->row = n_slots == 1 ? "one slot" : "two slots";
        REQUIRE(s);
        fill_ids(ids, COUNT(ids), 25);
        fill_ids(edited, COUNT(edited), 26);
        open_turns(ids, turns, 6);
        open_turns(edited, turns, 6);
        memcpy(edited, ids, 185 * sizeof *ids); // the last question begins at 180
        CHECK_UINT(ask(t, s, ids, 280, 120), 0);
        CHECK_UINT(ask(t, s, edited, 270, 120), 180);
        open_turns(ids, turns, COUNT(turns));
        open_turns(edited, turns, COUNT(turns));
        CHECK_UINT(ask(t, s, ids, 340, 120), 280);
        CHECK_UINT(ask(t, s, edited, 350, 0), 270);
        CHECK_UINT(ask(t, s, ids, 350, 0), 340);
        karat_scheduler_close(s);
    }
    t->row = NULL;
}

TEST(an_answer_that_was_kept_is_gone_on_from)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    static uint32_t ids[200], other[200];
    REQUIRE(open_demo(t));
    fill_ids(ids, COUNT(ids), 21);
    fill_ids(other, COUNT(other), 22);
    // What the greedy answer to the first 100 tokens is.
    struct karat_reply reply = { 0 };
    REQUIRE_OK(karat_session_open(&session, demo, &(struct karat_session_options){ .n_context = 256 }, &err), err);
    CHECK_UINT(karat_generate(session, ids, 100,
                              &(struct karat_generate_options){ .max_tokens = 20, .sampling.greedy = true }, &reply,
                              &err),
               KARAT_OK);
    const uint32_t n_answer = karat_session_length(session) - 100; // the last one was drawn, not evaluated
    memcpy(ids + 100, session->ids + 100, n_answer * sizeof *ids);
    karat_reply_free(&reply);
    karat_session_close(session);

    struct karat_scheduler *s = open_scheduler(t, 1, 0);
    REQUIRE(s);
    struct asked a;
    open_asked(&a, s, 20);
    if (submit(t, &a, ids, 100) && wait_for(t, &a, &a.done)) {
        CHECK_UINT(ask(t, s, other, 100, 0), 0);
        CHECK(n_answer > 0);
        CHECK_UINT(ask(t, s, ids, 150, 0), 100 + n_answer);
    }
    text_free(&a.answer);
    karat_scheduler_close(s);
}

// ------------------------------------------------------------------------------------------------ other slots

TEST(answers_to_one_prompt_read_it_once)
{
    static uint32_t ids[200];
    struct asked choices[4];
    struct karat_scheduler_counts counts;
    REQUIRE(open_demo(t));
    fill_ids(ids, COUNT(ids), 31);
    struct karat_scheduler *s = open_scheduler(t, COUNT(choices), 0);
    REQUIRE(s);
    for (size_t i = 0; i < COUNT(choices); ++i) {
        open_asked(&choices[i], s, 0);
        make_long(&choices[i], 30);
        choices[i].holds = i == 0;
        submit(t, &choices[i], ids, COUNT(ids));
    }
    release(&choices[0]);
    for (size_t i = 0; i < COUNT(choices); ++i)
        if (wait_for(t, &choices[i], &choices[i].done)) {
            CHECK_UINT(choices[i].status, KARAT_OK);
            CHECK_UINT(choices[i].n_cached, i == 0 ? 0 : COUNT(ids) - 1);
            CHECK_UINT(choices[i].n_generated, 30);
        }
    karat_scheduler_counts(s, &counts);
    CHECK_UINT(counts.prefill_tokens, COUNT(ids) + COUNT(choices) - 1);
    CHECK_UINT(counts.cached_tokens, (COUNT(choices) - 1) * (COUNT(ids) - 1));
    karat_scheduler_close(s);
    for (size_t i = 0; i < COUNT(choices); ++i)
        text_free(&choices[i].answer);
}

// A conversation with long instructions; the caller frees it.
static uint32_t *render(struct test *t, const char *question, size_t *n)
{
    struct karat_error err = { 0 };
    struct text request = { 0 };
    uint32_t *ids = NULL;
    text_append_string(&request, "{\"messages\": [{\"role\": \"system\", \"content\": \"");
    for (int i = 0; i < 14; ++i)
        text_append_format(&request, "Rule %d: say what colour the sky is. ", i);
    text_append_format(&request,
                       "\"}, {\"role\": \"user\", \"content\": \"%s\"}], "
                       "\"options\": {\"add_generation_prompt\": true}}",
                       question);
    const enum karat_status status = karat_render_tokens(demo, request.data, 0, &ids, n, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    text_free(&request);
    return ids;
}

// Where the first question begins: the second turn.
static uint32_t find_question(const uint32_t *ids, size_t n)
{
    uint32_t n_turns = 0;
    for (uint32_t i = 0; i < n; ++i)
        if (ids[i] == demo->control.turn_open && ++n_turns == 2)
            return i;
    return 0;
}

TEST(instructions_that_conversations_share_are_read_once)
{
    static uint32_t other[4][160];
    static const char *const questions[] = {
        "What is the capital of France, and of Spain, and of Italy? And what is the capital of Norway, and of Japan?",
        "Thank you very much!",
        "Who are you?",
        "What is 2 + 3?",
    };
    uint32_t *ids[COUNT(questions)];
    size_t n[COUNT(questions)];
    REQUIRE(open_demo(t));
    for (size_t i = 0; i < COUNT(questions); ++i)
        ids[i] = render(t, questions[i], &n[i]);
    const uint32_t n_shared = find_question(ids[0], n[0]);
    CHECK(n_shared > 2 * (WINDOW + BATCH));
    struct karat_scheduler *s = open_scheduler(t, 2, 0);
    REQUIRE(s);
    CHECK_UINT(ask(t, s, ids[0], n[0], 100), 0); // its rings have lost them in the end
    const uint32_t second = ask(t, s, ids[1], n[1], 0);
    CHECK_UINT(second, n_shared);
    // The first conversation is where it was, and both go on.
    CHECK_UINT(ask(t, s, ids[0], n[0], 100), n[0] - 1);
    CHECK_UINT(ask(t, s, ids[1], n[1], 0), n[1] - 1);
    // Many others, and then a third one that begins like them.
    for (size_t i = 0; i < COUNT(other); ++i) {
        fill_ids(other[i], COUNT(other[i]), i + 41);
        CHECK_UINT(ask(t, s, other[i], COUNT(other[i]), 0), 0);
    }
    CHECK(ask(t, s, ids[2], n[2], 0) >= n_shared);
    CHECK_UINT(ask(t, s, ids[0], n[0], 0), n[0] - 1);
    karat_scheduler_close(s);

    // What is shared goes last where there is room for little: one conversation, and the instructions.
    const struct gemma_extent one = { 0, WINDOW + 40, 200 };
    const uint64_t bytes = gemma_extent_bytes(&demo->shape, &one, OP_CACHE_F16);
    s = open_scheduler(t, 1, 3 * bytes);
    REQUIRE(s);
    CHECK_UINT(ask(t, s, ids[0], n[0], 100), 0);
    CHECK_UINT(ask(t, s, ids[1], n[1], 100), n_shared);
    for (int round = 0; round < 2; ++round) {
        for (size_t i = 0; i < COUNT(other); ++i) {
            ask(t, s, other[i], COUNT(other[i]), 0);
            CHECK(kept_bytes(s) <= 3 * bytes);
        }
        CHECK(ask(t, s, ids[2 + round], n[2 + round], 0) >= n_shared);
    }
    karat_scheduler_close(s);
    for (size_t i = 0; i < COUNT(questions); ++i)
        karat_free(ids[i]);
}

static struct karat_session *open_session(struct test *t)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    const struct karat_session_options options = { .n_context = 600, .n_batch = BATCH };
    const enum karat_status status = karat_session_open(&session, demo, &options, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return session;
}

// Brings a session to ids[0..n) and checks how many of them it knew.
static bool sync_to(struct test *t, struct karat_session *session, const uint32_t *ids, uint32_t n, uint32_t n_known)
{
    struct karat_error err = { 0 };
    uint32_t n_kept = 0;
    session_clear_cancel(session);
    const enum karat_status status = session_sync(session, ids, n, &n_kept, &err);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text) && CHECK_UINT(n_kept, n_known);
}

TEST(instructions_are_told_from_questions)
{
    static const struct {
        const char *messages;
        bool has_instructions;
    } rows[] = {
        { "{\"role\": \"system\", \"content\": \"You are a pirate who says that the sky is blue.\"}, "
          "{\"role\": \"user\", \"content\": \"Hello!\"}",
          true },
        { "{\"role\": \"user\", \"content\": \"What colour is the sky? Is it blue, or what else is it?\"}", false },
        { "{\"role\": \"user\", \"content\": \"What colour is the sky?\"}, "
          "{\"role\": \"assistant\", \"content\": \"Blue.\"}, {\"role\": \"user\", \"content\": \"Thank you!\"}",
          false },
    };
    REQUIRE(open_demo(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_error err = { 0 };
        struct text request = { 0 };
        uint32_t *ids = NULL;
        size_t n = 0;
        struct karat_session *session = open_session(t);
        text_append_format(&request, "{\"messages\": [%s], \"options\": {\"add_generation_prompt\": true}}",
                           rows[i].messages);
        t->row = rows[i].messages;
        if (session && CHECK_UINT(karat_render_tokens(demo, request.data, 0, &ids, &n, &err), KARAT_OK) &&
            sync_to(t, session, ids, (uint32_t)n, 0))
            CHECK_UINT(session->rewind.n_shared, rows[i].has_instructions ? find_question(ids, n) : 0);
        karat_free(ids);
        text_free(&request);
        karat_session_close(session);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ bits

static void check_same_scores(struct test *t, const struct karat_session *got, const struct karat_session *want)
{
    const float *a = karat_session_logits(got), *b = karat_session_logits(want);
    CHECK(a && b && memcmp(a, b, facts.n_vocab * sizeof *a) == 0);
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
    REQUIRE(open_demo(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_session *one = open_session(t), *two = open_session(t), *fresh = open_session(t);
        struct karat_error err = { 0 };
        const uint32_t n = rows[i].n, to = rows[i].to;
        t->row = rows[i].name;
        fill_ids(ids, COUNT(ids), 51);
        fill_ids(other, COUNT(other), 52);
        if (one && two && fresh && sync_to(t, one, ids, rows[i].n_prompt, 0) && sync_to(t, two, other, 90, 0)) {
            for (uint32_t k = rows[i].n_prompt; k < rows[i].n_evaluated; ++k)
                CHECK_UINT(session_advance(one, ids[k], &err), KARAT_OK);
            memcpy(other, ids, n * sizeof *other); // from there on it is something else
            REQUIRE(rewind_reach(one, n) == n);
            const struct rewind_source source = rewind_source(one, n, n);
            CHECK((source.ring != one->state) == rows[i].aside);
            CHECK_UINT(rewind_adopt(two, &source, &err), KARAT_OK);
            sync_to(t, two, other, to, n);
            sync_to(t, one, other, to, n);
            sync_to(t, fresh, other, n, 0);
            sync_to(t, fresh, other, to, n);
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
    struct karat_error err = { 0 };
    bool ok = sync_to(t, session, ids, 100, 0);
    for (uint32_t k = 0; k < n_answer && ok; ++k)
        ok = CHECK_UINT(session_advance(session, ids[100 + k], &err), KARAT_OK);
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
    REQUIRE(open_demo(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_session *one = open_session(t), *two = open_session(t), *fresh = open_session(t);
        struct karat_error err = { 0 };
        const uint32_t n = rows[i].n;
        uint32_t reach = 0;
        t->row = rows[i].name;
        fill_ids(ids, COUNT(ids), 55);
        fill_ids(other, COUNT(other), 56);
        if (one && two && fresh && evaluate(t, one, ids, rows[i].n_answer) && sync_to(t, two, other, 70, 0) &&
            evaluate(t, fresh, ids, n - 100)) {
            struct shelf shelf = { .store = one->rewind.store };
            shelf_put(&shelf, one, &(struct shelf_wish){ 0 });
            memcpy(other, ids, n * sizeof *other);
            struct shelf_entry *entry = shelf_find(&shelf, other, COUNT(other), &reach);
            if (CHECK_UINT(reach, n)) {
                const struct rewind_source source = shelf_source(entry, n);
                CHECK_UINT(rewind_adopt(two, &source, &err), KARAT_OK);
                sync_to(t, two, other, n + 30, n);
                sync_to(t, fresh, other, n + 30, n);
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
    REQUIRE(open_demo(t));
    fill_ids(ids, COUNT(ids), 53);
    fill_ids(other, COUNT(other), 54);
    memcpy(other, ids, 100 * sizeof *other);
    struct karat_session *one = open_session(t), *fresh = open_session(t);
    open_asked(&a, NULL, 0);
    make_long(&a, 200);
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
        sync_to(t, one, other, 150, 100);
        sync_to(t, fresh, other, 100, 0);
        sync_to(t, fresh, other, 150, 100);
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
            open_asked(&asked[k], s, 24);
            submit(t, &asked[k], chats[k].ids, chats[k].n);
        }
        for (size_t k = i; k < i + n_beside; ++k) {
            if (wait_for(t, &asked[k], &asked[k].done) && CHECK(chats[k].cold))
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
    REQUIRE(open_demo(t));
    for (size_t i = test_brief() ? 1 : 0; i < COUNT(rows); ++i) {
        struct chat chats[N_CHATS] = { 0 };
        uint64_t n_tokens = 0;
        read_chats(t, chats, rows[i].first, rows[i].by);
        for (size_t k = 0; k < N_CHATS; ++k) {
            answer_cold(t, &chats[k]);
            n_tokens += chats[k].n;
        }
        struct karat_scheduler *wide = open_scheduler(t, N_CHATS, 0), *narrow = open_scheduler(t, 2, 0);
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

// ------------------------------------------------------------------------------------------------ trouble

TEST(a_cancel_leaves_what_was_taken_over)
{
    static uint32_t ids[2][300];
    REQUIRE(open_demo(t));
    for (size_t i = 0; i < 2; ++i)
        fill_ids(ids[i], COUNT(ids[i]), i + 61);
    struct karat_scheduler *s = open_scheduler(t, 1, 0);
    REQUIRE(s);
    CHECK_UINT(ask(t, s, ids[0], 200, 100), 0);
    CHECK_UINT(ask(t, s, ids[1], 200, 0), 0);
    // Copied back from where it was kept, and cancelled before its first step.
    struct asked a;
    open_asked(&a, s, 3);
    a.cancels = true;
    if (submit(t, &a, ids[0], 300) && wait_for(t, &a, &a.done)) {
        CHECK_UINT(a.status, KARAT_ERR_CANCELLED);
        CHECK_UINT(a.n_cached, 200);
    }
    text_free(&a.answer);
    CHECK_UINT(ask(t, s, ids[1], 220, 0), 200);
    CHECK_UINT(ask(t, s, ids[0], 300, 0), 200);
    karat_scheduler_close(s);
}

// The same requests with and without memory for what is set aside: nobody is told, and more is evaluated.
static void check_forgetful(struct test *t, struct karat_scheduler *s)
{
    static uint32_t ids[2][300];
    for (size_t i = 0; i < 2; ++i)
        fill_ids(ids[i], COUNT(ids[i]), i + 71);
    CHECK_UINT(ask(t, s, ids[0], 100, 120), 0);
    CHECK_UINT(ask(t, s, ids[0], 100, 0), 0);
    CHECK_UINT(ask(t, s, ids[0], 110, 0), 100); // as far as the rings reach
    CHECK_UINT(ask(t, s, ids[1], 100, 0), 0);
    CHECK_UINT(ask(t, s, ids[0], 110, 0), 0);
    CHECK_UINT(kept_bytes(s), 0);
}

TEST(without_memory_to_keep_anything_more_is_evaluated)
{
    REQUIRE(open_demo(t));
    struct karat_scheduler *s = open_scheduler(t, 1, 1);
    REQUIRE(s);
    t->row = "no budget";
    check_forgetful(t, s);
    karat_scheduler_close(s);

    t->row = "the device has no memory";
    s = open_scheduler(t, 1, 0);
    REQUIRE(s);
    gpu_device_exhaust(demo->device, true);
    check_forgetful(t, s);
    gpu_device_exhaust(demo->device, false);
    karat_scheduler_close(s);
    t->row = NULL;
}

TEST(no_more_is_kept_than_was_allowed)
{
    static uint32_t ids[160];
    const struct gemma_extent one = { 0, WINDOW + REWIND_SLACK + 4, 164 };
    REQUIRE(open_demo(t));
    const uint64_t limit = 12 * gemma_extent_bytes(&demo->shape, &one, OP_CACHE_F16);
    struct karat_scheduler *s = open_scheduler(t, 2, limit);
    REQUIRE(s);
    uint64_t most = 0;
    for (uint64_t i = 0; i < 10; ++i) {
        fill_ids(ids, COUNT(ids), i + 81);
        CHECK_UINT(ask(t, s, ids, COUNT(ids), 0), 0);
        most = kept_bytes(s) > most ? kept_bytes(s) : most;
        CHECK(kept_bytes(s) <= limit);
    }
    CHECK(most > limit / 2);
    // The last ones are there: two in slots, some set aside.
    for (uint64_t i = 10; i-- > 6;) {
        char row[32];
        snprintf(row, sizeof row, "the one of round %u", (unsigned)i);
        t->row = row;
        fill_ids(ids, COUNT(ids), i + 81);
        CHECK_UINT(ask(t, s, ids, COUNT(ids), 0), COUNT(ids) - 1);
    }
    t->row = NULL;
    karat_scheduler_close(s);
}

TEST(a_crowd_of_conversations_pushes_out_the_oldest)
{
    static uint32_t ids[40];
    const uint64_t n = SHELF_MAX + 6;
    REQUIRE(open_demo(t));
    struct karat_scheduler *s = open_scheduler(t, 1, 0);
    REQUIRE(s);
    for (uint64_t i = 0; i < n; ++i) {
        fill_ids(ids, COUNT(ids), i + 101);
        CHECK_UINT(ask(t, s, ids, COUNT(ids), 0), 0);
    }
    const uint64_t known[] = { n - 1, 10, 40 }, forgotten[] = { 0, 1 };
    for (size_t i = 0; i < COUNT(known); ++i) {
        fill_ids(ids, COUNT(ids), known[i] + 101);
        CHECK_UINT(ask(t, s, ids, COUNT(ids), 0), COUNT(ids) - 1);
    }
    for (size_t i = 0; i < COUNT(forgotten); ++i) {
        fill_ids(ids, COUNT(ids), forgotten[i] + 101);
        CHECK_UINT(ask(t, s, ids, COUNT(ids), 0), 0);
    }
    karat_scheduler_close(s);
}
