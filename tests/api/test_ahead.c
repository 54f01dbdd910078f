// tests/api/test_ahead.c -- tokens that the device draws by itself, several ahead, are the tokens the host would draw.
//
// Every row runs on any device: how many steps run ahead is forced, and the host's own way is the one compared with.
#include <stdlib.h>

#include "demo.h"
#include "engine/ahead.h"
#include "engine/hooks.h"
#include "gpu/hooks.h"

#define PROMPT_MAX 512

static struct karat_session *open_session(struct test *t, uint32_t n_context, uint32_t n_batch)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    const struct karat_session_options options = { .n_context = n_context, .n_batch = n_batch };
    test_check(t, karat_session_open(&session, demo, &options, &err) == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return session;
}

// Ways to run an answer; the first is the host's.
static const struct way {
    const char *name;
    uint32_t n_steps;
    bool spoiled;
} ways[] = {
    { "the host draws", 0, false },
    { "one step at a time", 1, false },
    { "three ahead", 3, false },
    { "eight ahead", 8, false },
    { "eight ahead with wrong numbers", 8, true },
};

struct answer {
    struct karat_reply reply;
    struct karat_error err;
    enum karat_status status;
    size_t n_pieces, cancel_at; // the piece that cancels; 0: none does
    struct karat_session *session;
};

static bool hear(void *user, enum karat_piece kind, const char *text, size_t size)
{
    struct answer *answer = user;
    (void)kind, (void)text, (void)size;
    if (++answer->n_pieces == answer->cancel_at)
        karat_session_cancel(answer->session);
    return true;
}

static void ask(struct answer *a, struct karat_session *session, const struct way *way, const char *prompt,
                struct karat_generate_options options)
{
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    a->session = session;
    options.on_piece = hear;
    options.user = a;
    session_force_ahead(session, way->n_steps, way->spoiled);
    a->status = karat_tokenize(demo, prompt, strlen(prompt), KARAT_TOKENIZE_BOS | KARAT_TOKENIZE_SPECIAL, &ids, &n_ids,
                               &a->err);
    if (a->status == KARAT_OK)
        a->status = karat_generate(session, ids, n_ids, &options, &a->reply, &a->err);
    karat_free(ids);
}

#define USER(text) "<|turn>user\n" text "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>"

// In no chat format the model goes on and on after this.
#define ENDLESS "I"

static const char *const stop_how[] = { "How" }, *const stop_letter[] = { "q", "z", "x" };

static const struct row {
    const char *name, *prompt;
    struct karat_generate_options options;
    uint32_t n_context, n_batch;
} rows[] = {
    { "greedy", USER("Capital of Poland?"), { .sampling = { .greedy = true } }, 256, 32 },
    { "greedy, long", ENDLESS, { .sampling = { .greedy = true }, .max_tokens = 90 }, 256, 32 },
    { "greedy, rings as small as they get", ENDLESS, { .sampling = { .greedy = true }, .max_tokens = 120 }, 256, 1 },
    { "the model's own chain", ENDLESS, { .sampling = { .seed = 2 }, .max_tokens = 90 }, 256, 32 },
    { "hot", ENDLESS, { .sampling = { .temperature = 3, .seed = 11 }, .max_tokens = 90 }, 256, 3 },
    { "every cut",
      ENDLESS,
      { .sampling = { .temperature = 2, .top_k = 20, .top_p = 0.9f, .min_p = 0.05f, .seed = 3 }, .max_tokens = 60 },
      256,
      32 },
    { "penalties",
      ENDLESS,
      { .sampling = { .repeat_penalty = 1.3f,
                      .frequency_penalty = 0.2f,
                      .presence_penalty = 0.1f,
                      .repeat_window = 16,
                      .seed = 2 },
        .max_tokens = 90 },
      256,
      32 },
    { "greedy with penalties",
      ENDLESS,
      { .sampling = { .greedy = true, .repeat_penalty = 1.5f }, .max_tokens = 90 },
      256,
      32 },
    { "a window shorter than what runs ahead stays with the host",
      ENDLESS,
      { .sampling = { .repeat_penalty = 1.3f, .repeat_window = 3, .seed = 2 }, .max_tokens = 30 },
      256,
      32 },
    { "the whole vocabulary stays with the host",
      ENDLESS,
      { .sampling = { .top_k = 2000, .temperature = 1, .seed = 1 }, .max_tokens = 30 },
      256,
      32 },
    { "a stop text", USER("Hello!"), { .sampling = { .greedy = true }, .stop = stop_how, .n_stop = 1 }, 256, 32 },
    { "a stop text anywhere",
      ENDLESS,
      { .sampling = { .temperature = 2, .seed = 11 }, .stop = stop_letter, .n_stop = 3, .max_tokens = 90 },
      256,
      32 },
    { "one token", USER("Hello!"), { .sampling = { .greedy = true }, .max_tokens = 1 }, 256, 32 },
    { "two tokens", USER("Hello!"), { .sampling = { .greedy = true }, .max_tokens = 2 }, 256, 32 },
    { "eight tokens", ENDLESS, { .sampling = { .greedy = true }, .max_tokens = 8 }, 256, 32 },
    { "nine tokens", ENDLESS, { .sampling = { .greedy = true }, .max_tokens = 9 }, 256, 32 },
    { "until the context is full", ENDLESS, { .sampling = { .seed = 2 } }, 50, 32 },
    { "until the context is full, greedy", ENDLESS, { .sampling = { .greedy = true } }, 23, 8 },
};

// Scores are a function of the tokens: the session goes on as a fresh one would.
static void check_goes_on(struct test *t, struct karat_session *session, uint32_t n_context, uint32_t n_batch)
{
    struct karat_session *fresh = open_session(t, n_context, n_batch);
    struct answer got = { 0 }, want = { 0 };
    const struct karat_generate_options options = { .sampling.greedy = true, .max_tokens = 12 };
    if (fresh) {
        ask(&got, session, &ways[0], ENDLESS, options);
        ask(&want, fresh, &ways[0], ENDLESS, options);
        if (CHECK_UINT(got.status, KARAT_OK) && CHECK_UINT(want.status, KARAT_OK))
            CHECK_TEXT(got.reply.content, want.reply.content);
    }
    karat_reply_free(&got.reply);
    karat_reply_free(&want.reply);
    karat_session_close(fresh);
}

TEST(a_thought_is_closed_where_the_host_says)
{
    static const char messages[] = "[{\"role\": \"user\", \"content\": \"What is the capital of Japan?\"}]";
    const struct karat_generate_options options = {
        .sampling = { .seed = 3 }, .thinking = true, .max_thought = 4, .max_tokens = 60
    };
    struct karat_reply replies[COUNT(ways)] = { { 0 } };
    struct karat_error err = { 0 };
    REQUIRE(demo_open(t));
    for (size_t w = 0; w < COUNT(ways); ++w) {
        struct karat_session *session = open_session(t, 256, 32);
        t->row = ways[w].name;
        session_force_ahead(session, ways[w].n_steps, ways[w].spoiled);
        REQUIRE_OK(karat_chat(session, messages, &options, &replies[w], &err), err);
        CHECK_UINT(replies[w].n_thought, 4);
        CHECK_TEXT(replies[w].thinking, replies[0].thinking);
        CHECK_TEXT(replies[w].content, replies[0].content);
        karat_session_close(session);
    }
    for (size_t w = 0; w < COUNT(ways); ++w)
        karat_reply_free(&replies[w]);
    t->row = NULL;
}

TEST(an_answer_is_the_same_however_many_steps_run_ahead)
{
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        const struct row *row = &rows[i];
        struct karat_reply want = { 0 };
        uint32_t want_length = 0;
        for (size_t w = 0; w < COUNT(ways); ++w) {
            char name[200];
            snprintf(name, sizeof name, "%s: %s", row->name, ways[w].name);
            t->row = name;
            struct karat_session *session = open_session(t, row->n_context, row->n_batch);
            struct answer a = { 0 };
            if (!session)
                break;
            ask(&a, session, &ways[w], row->prompt, row->options);
            if (test_check(t, a.status == KARAT_OK, __FILE__, __LINE__, "%s", a.err.text)) {
                if (w == 0) {
                    want = a.reply;
                    want_length = karat_session_length(session);
                    printf("  %-60s %u tokens\n", row->name, a.reply.n_generated);
                    CHECK(want.n_generated > 0 && want_length + 1 == want.n_prompt + want.n_generated);
                    a.reply = (struct karat_reply){ 0 };
                } else {
                    CHECK_TEXT(a.reply.content, want.content);
                    CHECK_UINT(a.reply.n_generated, want.n_generated);
                    CHECK_UINT(a.reply.stop, want.stop);
                    CHECK_UINT(karat_session_length(session), want_length);
                    if (ways[w].n_steps == AHEAD_MAX)
                        check_goes_on(t, session, row->n_context, row->n_batch);
                }
            }
            karat_reply_free(&a.reply);
            karat_session_close(session);
        }
        karat_reply_free(&want);
    }
    t->row = NULL;
}

// The rows above would pass if nothing ever ran ahead.
TEST(steps_do_run_ahead)
{
    static const struct {
        const char *name;
        struct karat_sampling sampling;
        uint32_t forced, n_batch, max_tokens, under_way;
    } cases[] = {
        { "three", { .greedy = true }, 3, 32, 50, 2 },
        { "eight", { .greedy = true }, 8, 32, 50, 7 },
        { "no more than fit beside the window", { .greedy = true }, 8, 4, 50, 3 },
        { "no more than the answer needs", { .greedy = true }, 8, 32, 5, 3 },
        { "the host draws", { .temperature = 1, .top_k = 2000 }, 8, 32, 50, 0 },
    };
    REQUIRE(demo_open(t));
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct karat_session *session = open_session(t, 256, cases[i].n_batch);
        struct answer a = { 0 };
        t->row = cases[i].name;
        if (!session)
            break;
        ask(&a, session, &(struct way){ "", cases[i].forced, false }, ENDLESS,
            (struct karat_generate_options){ .sampling = cases[i].sampling, .max_tokens = cases[i].max_tokens });
        CHECK_UINT(a.status, KARAT_OK);
        CHECK_UINT(session_ahead_counts(session).most, cases[i].under_way);
        karat_reply_free(&a.reply);
        karat_session_close(session);
    }
    t->row = NULL;
}

TEST(the_device_draws_the_tokens_of_the_host_unless_its_numbers_are_wrong)
{
    const struct karat_generate_options options = { .sampling = { .temperature = 3, .seed = 11 }, .max_tokens = 90 };
    REQUIRE(demo_open(t));
    for (size_t w = 3; w < 5; ++w) {
        struct karat_session *session = open_session(t, 256, 16);
        struct answer a = { 0 };
        t->row = ways[w].name;
        if (!session)
            break;
        ask(&a, session, &ways[w], ENDLESS, options);
        const uint32_t n_wrong = session_ahead_counts(session).n_wrong;
        CHECK(a.reply.n_generated > 5);
        // A right one goes wrong when its number lies within a rounding of the next token's.
        CHECK(ways[w].spoiled ? n_wrong > a.reply.n_generated / 4 : n_wrong <= 1);
        karat_reply_free(&a.reply);
        karat_session_close(session);
    }
    t->row = NULL;
}

TEST(a_cancel_leaves_a_session_that_goes_on)
{
    REQUIRE(demo_open(t));
    struct karat_session *session = open_session(t, 256, 16);
    for (size_t w = 0; session && w < COUNT(ways); ++w)
        for (size_t at = 1; at < 12; at += 3) {
            struct answer a = { .cancel_at = at };
            t->row = ways[w].name;
            ask(&a, session, &ways[w], ENDLESS,
                (struct karat_generate_options){ .sampling.greedy = true, .max_tokens = 90 });
            CHECK_UINT(a.status, KARAT_ERR_CANCELLED);
            CHECK_UINT(a.reply.stop, KARAT_STOP_CANCELLED);
            CHECK(a.reply.n_generated >= at && a.reply.n_generated < at + 12);
            CHECK_UINT(karat_session_length(session), a.reply.n_prompt + a.reply.n_generated - 1);
            karat_reply_free(&a.reply);
            check_goes_on(t, session, 256, 16);
        }
    t->row = NULL;
    karat_session_close(session);
}

TEST(tokens_ahead_ask_for_no_memory)
{
    REQUIRE(demo_open(t));
    struct karat_session *session = open_session(t, 256, 16);
    uint64_t growths = 0;
    uint32_t n_replayed = 0;
    for (int round = 0; session && round < 3; ++round) {
        struct answer a = { 0 };
        ask(&a, session, &ways[3], ENDLESS,
            (struct karat_generate_options){ .sampling = { .greedy = true, .repeat_penalty = 1.1f },
                                             .max_tokens = 99 });
        CHECK_UINT(a.status, KARAT_OK);
        CHECK_UINT(a.reply.n_generated, 99);
        // Each answer records eight steps, and again as the positions grow, or as a slow device cuts them differently.
        struct karat_timings timings;
        karat_session_timings(session, &timings);
        karat_session_timings_reset(session);
        n_replayed = session_ahead_counts(session).n_replayed - n_replayed;
        CHECK(n_replayed < 92);
        CHECK(n_replayed > 50 || timings.n_submits > 120);
        n_replayed = session_ahead_counts(session).n_replayed;
        karat_reply_free(&a.reply);
        // Nothing per token; a busy machine may cut a step once more than before.
        if (round > 0)
            CHECK(gpu_recorder_growths(session_recorder(session)) < growths + 20);
        growths = gpu_recorder_growths(session_recorder(session));
    }
    karat_session_close(session);
}
