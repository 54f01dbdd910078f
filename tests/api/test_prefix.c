// tests/api/test_prefix.c -- what is known of a prompt is not evaluated again, wherever it is known.
#include <stdlib.h>

#include "engine/shelf.h"
#include "gpu/hooks.h"
#include "prefix_bed.h"

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
    REQUIRE(demo_open(t));
    CHECK_UINT(demo_facts.sliding_window, WINDOW);
    for (uint32_t n_slots = test_brief() ? 2 : 1; n_slots <= 2; ++n_slots) {
        struct karat_scheduler *s = bed_scheduler(t, n_slots, 0);
        REQUIRE(s);
        for (uint32_t turn = 0; turn < 3; ++turn)
            for (size_t i = 0; i < COUNT(ids); ++i) {
                char row[64];
                snprintf(row, sizeof row, "%u slots, turn %u, a prompt of %u", n_slots, turn, lengths[i] + 20 * turn);
                t->row = row;
                bed_fill(ids[i], COUNT(ids[i]), i + 1);
                const uint32_t want = turn == 0 ? 0 : lengths[i] + 20 * (turn - 1);
                CHECK_UINT(bed_ask(t, s, ids[i], lengths[i] + 20 * turn, 0), want);
            }
        karat_scheduler_close(s);
    }
    t->row = NULL;
}

TEST(answers_longer_than_the_rings_are_gone_back_from)
{
    static uint32_t ids[2][300];
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < 2; ++i)
        bed_fill(ids[i], COUNT(ids[i]), i + 11);
    struct karat_scheduler *s = bed_scheduler(t, 1, 0);
    REQUIRE(s);
    CHECK_UINT(bed_ask(t, s, ids[0], 100, 120), 0);
    CHECK_UINT(bed_ask(t, s, ids[0], 100, 0), 99); // another answer: the last token again, for its scores
    CHECK_UINT(bed_ask(t, s, ids[0], 100, 120), 99);
    CHECK_UINT(bed_ask(t, s, ids[0], 130, 120), 100); // or another question
    CHECK_UINT(bed_ask(t, s, ids[1], 200, 0), 0);     // someone else in between
    CHECK_UINT(bed_ask(t, s, ids[0], 130, 0), 129);
    CHECK_UINT(bed_ask(t, s, ids[1], 210, 0), 200);
    CHECK_UINT(bed_ask(t, s, ids[0], 150, 0), 130);
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
    REQUIRE(demo_open(t));
    for (uint32_t n_slots = 1; n_slots <= 2; ++n_slots) {
        struct karat_scheduler *s = bed_scheduler(t, n_slots, 0);
        t->row = n_slots == 1 ? "one slot" : "two slots";
        REQUIRE(s);
        bed_fill(ids, COUNT(ids), 25);
        bed_fill(edited, COUNT(edited), 26);
        open_turns(ids, turns, 6);
        open_turns(edited, turns, 6);
        memcpy(edited, ids, 185 * sizeof *ids); // the last question begins at 180
        CHECK_UINT(bed_ask(t, s, ids, 280, 120), 0);
        CHECK_UINT(bed_ask(t, s, edited, 270, 120), 180);
        open_turns(ids, turns, COUNT(turns));
        open_turns(edited, turns, COUNT(turns));
        CHECK_UINT(bed_ask(t, s, ids, 340, 120), 280);
        CHECK_UINT(bed_ask(t, s, edited, 350, 0), 270);
        CHECK_UINT(bed_ask(t, s, ids, 350, 0), 340);
        karat_scheduler_close(s);
    }
    t->row = NULL;
}

TEST(an_answer_that_was_kept_is_gone_on_from)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    static uint32_t ids[200], other[200];
    REQUIRE(demo_open(t));
    bed_fill(ids, COUNT(ids), 21);
    bed_fill(other, COUNT(other), 22);
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

    struct karat_scheduler *s = bed_scheduler(t, 1, 0);
    REQUIRE(s);
    struct asked a;
    asked_open(&a, s, 20);
    if (asked_submit(t, &a, ids, 100) && asked_wait(t, &a, &a.done)) {
        CHECK_UINT(bed_ask(t, s, other, 100, 0), 0);
        CHECK(n_answer > 0);
        CHECK_UINT(bed_ask(t, s, ids, 150, 0), 100 + n_answer);
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
    REQUIRE(demo_open(t));
    bed_fill(ids, COUNT(ids), 31);
    struct karat_scheduler *s = bed_scheduler(t, COUNT(choices), 0);
    REQUIRE(s);
    for (size_t i = 0; i < COUNT(choices); ++i) {
        asked_open(&choices[i], s, 0);
        asked_make_long(&choices[i], 30);
        choices[i].holds = i == 0;
        asked_submit(t, &choices[i], ids, COUNT(ids));
    }
    asked_release(&choices[0]);
    for (size_t i = 0; i < COUNT(choices); ++i)
        if (asked_wait(t, &choices[i], &choices[i].done)) {
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
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < COUNT(questions); ++i)
        ids[i] = render(t, questions[i], &n[i]);
    const uint32_t n_shared = find_question(ids[0], n[0]);
    CHECK(n_shared > 2 * (WINDOW + BATCH));
    struct karat_scheduler *s = bed_scheduler(t, 2, 0);
    REQUIRE(s);
    CHECK_UINT(bed_ask(t, s, ids[0], n[0], 100), 0); // its rings have lost them in the end
    const uint32_t second = bed_ask(t, s, ids[1], n[1], 0);
    CHECK_UINT(second, n_shared);
    // The first conversation is where it was, and both go on.
    CHECK_UINT(bed_ask(t, s, ids[0], n[0], 100), n[0] - 1);
    CHECK_UINT(bed_ask(t, s, ids[1], n[1], 0), n[1] - 1);
    // Many others, and then a third one that begins like them.
    for (size_t i = 0; i < COUNT(other); ++i) {
        bed_fill(other[i], COUNT(other[i]), i + 41);
        CHECK_UINT(bed_ask(t, s, other[i], COUNT(other[i]), 0), 0);
    }
    CHECK(bed_ask(t, s, ids[2], n[2], 0) >= n_shared);
    CHECK_UINT(bed_ask(t, s, ids[0], n[0], 0), n[0] - 1);
    karat_scheduler_close(s);

    // What is shared goes last where there is room for little: one conversation, and the instructions.
    const struct gemma_extent one = { 0, WINDOW + 40, 200 };
    const uint64_t bytes = gemma_extent_bytes(&demo->shape, &one, OP_CACHE_F16);
    s = bed_scheduler(t, 1, 3 * bytes);
    REQUIRE(s);
    CHECK_UINT(bed_ask(t, s, ids[0], n[0], 100), 0);
    CHECK_UINT(bed_ask(t, s, ids[1], n[1], 100), n_shared);
    for (int round = 0; round < 2; ++round) {
        for (size_t i = 0; i < COUNT(other); ++i) {
            bed_ask(t, s, other[i], COUNT(other[i]), 0);
            CHECK(kept_bytes(s) <= 3 * bytes);
        }
        CHECK(bed_ask(t, s, ids[2 + round], n[2 + round], 0) >= n_shared);
    }
    karat_scheduler_close(s);
    for (size_t i = 0; i < COUNT(questions); ++i)
        karat_free(ids[i]);
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
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_error err = { 0 };
        struct text request = { 0 };
        uint32_t *ids = NULL;
        size_t n = 0;
        struct karat_session *session = bed_session(t);
        text_append_format(&request, "{\"messages\": [%s], \"options\": {\"add_generation_prompt\": true}}",
                           rows[i].messages);
        t->row = rows[i].messages;
        if (session && CHECK_UINT(karat_render_tokens(demo, request.data, 0, &ids, &n, &err), KARAT_OK) &&
            bed_sync(t, session, ids, (uint32_t)n, 0))
            CHECK_UINT(session->rewind.n_shared, rows[i].has_instructions ? find_question(ids, n) : 0);
        karat_free(ids);
        text_free(&request);
        karat_session_close(session);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ trouble

TEST(a_cancel_leaves_what_was_taken_over)
{
    static uint32_t ids[2][300];
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < 2; ++i)
        bed_fill(ids[i], COUNT(ids[i]), i + 61);
    struct karat_scheduler *s = bed_scheduler(t, 1, 0);
    REQUIRE(s);
    CHECK_UINT(bed_ask(t, s, ids[0], 200, 100), 0);
    CHECK_UINT(bed_ask(t, s, ids[1], 200, 0), 0);
    // Copied back from where it was kept, and cancelled before its first step.
    struct asked a;
    asked_open(&a, s, 3);
    a.cancels = true;
    if (asked_submit(t, &a, ids[0], 300) && asked_wait(t, &a, &a.done)) {
        CHECK_UINT(a.status, KARAT_ERR_CANCELLED);
        CHECK_UINT(a.n_cached, 200);
    }
    text_free(&a.answer);
    CHECK_UINT(bed_ask(t, s, ids[1], 220, 0), 200);
    CHECK_UINT(bed_ask(t, s, ids[0], 300, 0), 200);
    karat_scheduler_close(s);
}

// The same requests with and without memory for what is set aside: nobody is told, and more is evaluated.
static void check_forgetful(struct test *t, struct karat_scheduler *s)
{
    static uint32_t ids[2][300];
    for (size_t i = 0; i < 2; ++i)
        bed_fill(ids[i], COUNT(ids[i]), i + 71);
    CHECK_UINT(bed_ask(t, s, ids[0], 100, 120), 0);
    CHECK_UINT(bed_ask(t, s, ids[0], 100, 0), 0);
    CHECK_UINT(bed_ask(t, s, ids[0], 110, 0), 100); // as far as the rings reach
    CHECK_UINT(bed_ask(t, s, ids[1], 100, 0), 0);
    CHECK_UINT(bed_ask(t, s, ids[0], 110, 0), 0);
    CHECK_UINT(kept_bytes(s), 0);
}

TEST(without_memory_to_keep_anything_more_is_evaluated)
{
    REQUIRE(demo_open(t));
    struct karat_scheduler *s = bed_scheduler(t, 1, 1);
    REQUIRE(s);
    t->row = "no budget";
    check_forgetful(t, s);
    karat_scheduler_close(s);

    t->row = "the device has no memory";
    s = bed_scheduler(t, 1, 0);
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
    REQUIRE(demo_open(t));
    const uint64_t limit = 12 * gemma_extent_bytes(&demo->shape, &one, OP_CACHE_F16);
    struct karat_scheduler *s = bed_scheduler(t, 2, limit);
    REQUIRE(s);
    uint64_t most = 0;
    for (uint64_t i = 0; i < 10; ++i) {
        bed_fill(ids, COUNT(ids), i + 81);
        CHECK_UINT(bed_ask(t, s, ids, COUNT(ids), 0), 0);
        most = kept_bytes(s) > most ? kept_bytes(s) : most;
        CHECK(kept_bytes(s) <= limit);
    }
    CHECK(most > limit / 2);
    // The last ones are there: two in slots, some set aside.
    for (uint64_t i = 10; i-- > 6;) {
        char row[32];
        snprintf(row, sizeof row, "the one of round %u", (unsigned)i);
        t->row = row;
        bed_fill(ids, COUNT(ids), i + 81);
        CHECK_UINT(bed_ask(t, s, ids, COUNT(ids), 0), COUNT(ids) - 1);
    }
    t->row = NULL;
    karat_scheduler_close(s);
}

// A prompt of 100 tokens whose answer leaves the rings behind: what is set aside of it are 2 snapshots.
static uint32_t ask_at_length(struct test *t, struct karat_scheduler *s, uint64_t seed)
{
    static uint32_t ids[100];
    bed_fill(ids, COUNT(ids), seed);
    return bed_ask(t, s, ids, COUNT(ids), 120);
}

TEST(free_slots_give_up_what_they_set_aside)
{
    static const struct {
        const char *name;
        uint32_t n_slots, limit; // of the memory: in tenths of a snapshot, of which two conversations take 40
        struct {
            uint64_t seed;
            uint32_t n_known;
        } again[3];
    } rows[] = {
        { "the one used longest ago, for a busy one", 3, 45, { { 203, 99 }, { 202, 99 }, { 201, 0 } } },
        { "for a conversation that lost its slot", 2, 40, { { 201, 99 } } },
    };
    const struct gemma_extent one = { 0, WINDOW + REWIND_SLACK, 0 };
    REQUIRE(demo_open(t));
    const uint64_t bytes = gemma_extent_bytes(&demo->shape, &one, OP_CACHE_F16);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        const uint64_t limit = rows[i].limit * bytes / 10;
        struct karat_scheduler *s = bed_scheduler(t, rows[i].n_slots, limit);
        t->row = rows[i].name;
        REQUIRE(s);
        for (uint64_t seed = 201; seed <= 203; ++seed) {
            CHECK_UINT(ask_at_length(t, s, seed), 0);
            CHECK(kept_bytes(s) <= limit);
        }
        for (size_t k = 0; k < COUNT(rows[i].again) && rows[i].again[k].seed; ++k) {
            CHECK_UINT(ask_at_length(t, s, rows[i].again[k].seed), rows[i].again[k].n_known);
            CHECK(kept_bytes(s) <= limit && kept_bytes(s) > limit / 2);
        }
        karat_scheduler_close(s);
    }
    t->row = NULL;
}

TEST(what_never_fits_drives_nothing_out)
{
    static uint32_t ids[40];
    const struct gemma_extent one = { 0, WINDOW + REWIND_SLACK, 0 };
    REQUIRE(demo_open(t));
    // Room for what the short conversation sets aside, not for what the long one would.
    struct karat_scheduler *s = bed_scheduler(t, 2, 7 * gemma_extent_bytes(&demo->shape, &one, OP_CACHE_F16) / 10);
    REQUIRE(s);
    bed_fill(ids, COUNT(ids), 211);
    CHECK_UINT(bed_ask(t, s, ids, COUNT(ids), 120), 0);
    const uint64_t kept = kept_bytes(s);
    CHECK(kept > 0);
    CHECK_UINT(ask_at_length(t, s, 212), 0);
    CHECK_UINT(kept_bytes(s), kept);
    CHECK_UINT(bed_ask(t, s, ids, COUNT(ids), 0), COUNT(ids) - 1);
    karat_scheduler_close(s);
}

TEST(a_crowd_of_conversations_pushes_out_the_oldest)
{
    static uint32_t ids[40];
    const uint64_t n = SHELF_MAX + 6;
    REQUIRE(demo_open(t));
    struct karat_scheduler *s = bed_scheduler(t, 1, 0);
    REQUIRE(s);
    for (uint64_t i = 0; i < n; ++i) {
        bed_fill(ids, COUNT(ids), i + 101);
        CHECK_UINT(bed_ask(t, s, ids, COUNT(ids), 0), 0);
    }
    const uint64_t known[] = { n - 1, 10, 40 }, forgotten[] = { 0, 1 };
    for (size_t i = 0; i < COUNT(known); ++i) {
        bed_fill(ids, COUNT(ids), known[i] + 101);
        CHECK_UINT(bed_ask(t, s, ids, COUNT(ids), 0), COUNT(ids) - 1);
    }
    for (size_t i = 0; i < COUNT(forgotten); ++i) {
        bed_fill(ids, COUNT(ids), forgotten[i] + 101);
        CHECK_UINT(bed_ask(t, s, ids, COUNT(ids), 0), 0);
    }
    karat_scheduler_close(s);
}
