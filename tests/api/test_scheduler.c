// tests/api/test_scheduler.c -- many requests on one model, as karat.h promises them.
#include <stdlib.h>

#include "base/thread.h"
#include "demo.h"
#include "engine/hooks.h"
#include "text/text.h"

#define CHAT(text)                                                                                                \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"" text "\"}], \"options\": {\"add_generation_prompt\": " \
    "true}}"

#define SECONDS_MAX 120.0 // for whatever is waited for

static struct karat_scheduler *open_scheduler(struct test *t, const struct karat_scheduler_options *options)
{
    struct karat_error err = { 0 };
    struct karat_scheduler *scheduler = NULL;
    const enum karat_status status = karat_scheduler_open(&scheduler, demo, options, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    return scheduler;
}

// ------------------------------------------------------------------------------------------------ clients

enum moment { NEVER, AT_START, AT_PROGRESS, AT_PIECE };

// A request and what came of it. The mutex guards what the callbacks write.
struct client {
    struct mutex mutex;
    struct condition changed;
    struct karat_generate_options options;
    struct text answer;
    uint32_t n_prompt, n_cached, n_done, n_start, n_progress, n_pieces, n_ends;
    bool out_of_order;
    enum karat_status status;
    enum karat_stop stop;
    uint32_t n_generated;
    struct karat_request_times times;
    struct karat_error err;
    uint64_t ticket, ended_ns;
    enum moment cancels_at; // this client cancels itself
    struct karat_scheduler *scheduler;
    bool holds; // on_start does not return before `released`
    bool released;
};

static void note(struct client *c)
{
    condition_signal_all(&c->changed);
    mutex_unlock(&c->mutex);
}

static void cancel_at(struct client *c, enum moment moment)
{
    if (c->cancels_at == moment)
        karat_scheduler_cancel(c->scheduler, c->ticket);
}

static void on_start(void *user, uint32_t n_prompt, uint32_t n_cached)
{
    struct client *c = user;
    mutex_lock(&c->mutex);
    c->out_of_order |= c->n_start > 0 || c->n_progress > 0 || c->n_pieces > 0 || c->n_ends > 0;
    c->n_prompt = n_prompt;
    c->n_cached = n_cached;
    ++c->n_start;
    condition_signal_all(&c->changed);
    while (c->holds && !c->released)
        condition_wait(&c->changed, &c->mutex);
    mutex_unlock(&c->mutex);
    cancel_at(c, AT_START);
}

static void on_progress(void *user, uint32_t n_done, uint32_t n_prompt)
{
    struct client *c = user;
    mutex_lock(&c->mutex);
    c->out_of_order |= c->n_start != 1 || c->n_pieces > 0 || c->n_ends > 0 || n_done <= c->n_done ||
                       n_prompt != c->n_prompt || n_done > n_prompt;
    c->n_done = n_done;
    ++c->n_progress;
    note(c);
    cancel_at(c, AT_PROGRESS);
}

static bool on_piece(void *user, enum karat_piece kind, const char *text, size_t size)
{
    struct client *c = user;
    mutex_lock(&c->mutex);
    c->out_of_order |= c->n_start != 1 || c->n_done != c->n_prompt || c->n_ends > 0;
    if (kind == KARAT_PIECE_ANSWER)
        text_append(&c->answer, text, size);
    ++c->n_pieces;
    note(c);
    cancel_at(c, AT_PIECE);
    return true;
}

static void on_done(void *user, enum karat_status status, const struct karat_reply *reply,
                    const struct karat_request_times *times, const struct karat_error *err)
{
    struct client *c = user;
    mutex_lock(&c->mutex);
    c->ended_ns = clock_ns();
    c->status = status;
    c->times = *times;
    c->err = *err;
    c->out_of_order |= (reply != NULL) != (status == KARAT_OK || status == KARAT_ERR_CANCELLED);
    if (reply) {
        c->stop = reply->stop;
        c->n_generated = reply->n_generated;
        // Pieces and reply are the same text.
        c->out_of_order |= strcmp(reply->content, c->answer.data ? c->answer.data : "") != 0;
    }
    ++c->n_ends;
    note(c);
}

static void open_client(struct client *c, struct karat_scheduler *scheduler, uint32_t max_tokens)
{
    *c = (struct client){
        .mutex = MUTEX_INIT,
        .changed = CONDITION_INIT,
        .options = { .max_tokens = max_tokens, .sampling.greedy = true, .on_piece = on_piece },
        .scheduler = scheduler,
    };
}

static void close_client(struct client *c)
{
    text_free(&c->answer);
}

static struct karat_request request_of(struct client *c, const char *chat, const uint32_t *ids, size_t n_ids)
{
    c->options.user = c;
    return (struct karat_request){
        .chat = chat,
        .ids = ids,
        .n_ids = n_ids,
        .generate = &c->options,
        .on_start = on_start,
        .on_progress = on_progress,
        .on_done = on_done,
        .user = c,
    };
}

// The mutex is held, so that no callback runs before the ticket is known.
static enum karat_status submit(struct client *c, const char *chat, const uint32_t *ids, size_t n_ids,
                                struct karat_error *err)
{
    const struct karat_request request = request_of(c, chat, ids, n_ids);
    mutex_lock(&c->mutex);
    const enum karat_status status = karat_scheduler_submit(c->scheduler, &request, &c->ticket, err);
    mutex_unlock(&c->mutex);
    return status;
}

static bool submit_ok(struct test *t, struct client *c, const char *chat, const uint32_t *ids, size_t n_ids)
{
    struct karat_error err = { 0 };
    const enum karat_status status = submit(c, chat, ids, n_ids, &err);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text) && CHECK(c->ticket != 0);
}

// Waits until a counter of the client is at least `wanted`.
static bool wait_for(struct test *t, struct client *c, const uint32_t *counter, uint32_t wanted)
{
    const uint64_t start_ns = clock_ns();
    for (;;) {
        mutex_lock(&c->mutex);
        const bool there = *counter >= wanted;
        mutex_unlock(&c->mutex);
        if (there)
            return true;
        if ((double)(clock_ns() - start_ns) > test_seconds(SECONDS_MAX) * 1e9)
            return test_check(t, false, __FILE__, __LINE__, "nothing came within %g s", SECONDS_MAX);
        clock_sleep_ms(1);
    }
}

static bool wait_end(struct test *t, struct client *c)
{
    return wait_for(t, c, &c->n_ends, 1) && CHECK_UINT(c->n_ends, 1) && CHECK(!c->out_of_order);
}

static void release(struct client *c)
{
    mutex_lock(&c->mutex);
    c->released = true;
    note(c);
}

// Ordinary tokens, the same for the same seed.
static void fill_ids(uint32_t *ids, size_t n, uint64_t seed)
{
    struct test_random random = { seed };
    for (size_t i = 0; i < n; ++i)
        ids[i] = 300 + test_random_below(&random, demo_facts.n_vocab - 300);
}

// An answer that does not end by itself: all tokens are about as likely.
static void make_endless(struct client *c, uint64_t seed)
{
    c->options.sampling = (struct karat_sampling){ .temperature = 50, .top_k = 2048, .top_p = 1, .seed = seed };
}

// ------------------------------------------------------------------------------------------------ answers

static const char *const chats[] = {
    CHAT("Hello!"),          CHAT("What is the capital of France?"), CHAT("Count from one to five."),
    CHAT("What is 2 + 3?"),  CHAT("Thank you very much!"),           CHAT("Who are you?"),
    CHAT("Say good night."), CHAT("What colour is the sky?"),
};

// How the answer to chats[i] is drawn: every other one greedily.
static struct karat_sampling sampling_of(size_t i)
{
    return i % 2 == 0 ? (struct karat_sampling){ .greedy = true }
                      : (struct karat_sampling){ .seed = i, .temperature = 2 };
}

// What a session of its own answers to chats[i].
static bool answer_alone(struct test *t, struct text *out, size_t i, uint32_t max_tokens)
{
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    struct karat_reply reply = { 0 };
    const struct karat_generate_options options = { .max_tokens = max_tokens, .sampling = sampling_of(i) };
    const struct karat_session_options wish = { .n_context = 512 };
    enum karat_status status = karat_session_open(&session, demo, &wish, &err);
    if (status == KARAT_OK)
        status = karat_render_tokens(demo, chats[i], 0, &ids, &n_ids, &err);
    if (status == KARAT_OK)
        status = karat_generate(session, ids, n_ids, &options, &reply, &err);
    if (status == KARAT_OK)
        text_append_string(out, reply.content);
    karat_reply_free(&reply);
    karat_free(ids);
    karat_session_close(session);
    return test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text) && CHECK(out->size_bytes > 0);
}

// All at once, on so many slots. n_ahead: alone an answer runs so many steps ahead on the device.
static void check_all(struct test *t, uint32_t n_slots, uint32_t n_ahead)
{
    struct client clients[COUNT(chats)];
    struct karat_scheduler *s =
        open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = n_slots, .n_context = 512 });
    if (!s)
        return;
    scheduler_force_ahead(s, n_ahead);
    for (size_t i = 0; i < COUNT(chats); ++i) {
        const uint32_t max_tokens = 24 + 8 * (uint32_t)i;
        open_client(&clients[i], s, max_tokens);
        clients[i].options.sampling = sampling_of(i);
        submit_ok(t, &clients[i], chats[i], NULL, 0);
        if (n_ahead >
            0) // each begins when the one before has begun, so that the first and the last are alone for a while
            wait_for(t, &clients[i], &clients[i].n_pieces, 2);
    }
    for (size_t i = 0; i < COUNT(chats); ++i) {
        struct client *c = &clients[i];
        struct text alone = { 0 };
        if (wait_end(t, c) && answer_alone(t, &alone, i, 24 + 8 * (uint32_t)i)) {
            CHECK_UINT(c->status, KARAT_OK);
            CHECK_TEXT(c->answer.data ? c->answer.data : "", alone.data);
            CHECK_UINT(c->n_start, 1);
            CHECK(c->n_progress >= 1 && c->n_done == c->n_prompt);
            CHECK_UINT(c->times.n_prefilled, c->n_prompt - c->n_cached);
            CHECK_UINT(c->times.n_decoded, c->n_generated);
            CHECK(c->times.prefill_ns > 0 && c->times.decode_ns > 0);
        }
        text_free(&alone);
    }
    struct karat_scheduler_counts counts;
    karat_scheduler_counts(s, &counts);
    CHECK_UINT(counts.n_slots, n_slots);
    CHECK_UINT(counts.n_context, 512);
    CHECK_UINT(counts.n_running, 0);
    CHECK_UINT(counts.n_waiting, 0);
    CHECK_UINT(counts.n_finished, COUNT(chats));
    CHECK(counts.prompt_tokens > 0 && counts.prompt_tokens == counts.cached_tokens + counts.prefill_tokens);
    CHECK(counts.decode_tokens > 0 && counts.decode_ns > 0 && counts.prefill_ns > 0);
    karat_scheduler_close(s);
    for (size_t i = 0; i < COUNT(chats); ++i)
        close_client(&clients[i]);
}

TEST(every_request_is_answered_as_if_it_were_alone)
{
    REQUIRE(demo_open(t));
    check_all(t, 1, 0);
    check_all(t, 3, 0);
    check_all(t, 8, 0);
}

TEST(so_it_is_where_the_device_draws)
{
    REQUIRE(demo_open(t));
    check_all(t, 1, 4);
    check_all(t, 8, 4);
}

// The text of a stream grows while another's prompt is read, even in the middle of a step.
TEST(a_long_prompt_does_not_stop_a_stream)
{
    static uint32_t ids[3000];
    struct client stream, reader;
    REQUIRE(demo_open(t));
    struct karat_scheduler *s =
        open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 2, .n_context = 4096, .n_batch = 2048 });
    REQUIRE(s);
    fill_ids(ids, COUNT(ids), 4);
    open_client(&stream, s, 0);
    open_client(&reader, s, 1);
    make_endless(&stream, 6);
    if (submit_ok(t, &stream, NULL, ids, 20) && wait_for(t, &stream, &stream.n_pieces, 1) &&
        submit_ok(t, &reader, NULL, ids, COUNT(ids)) && wait_for(t, &reader, &reader.n_start, 1)) {
        mutex_lock(&stream.mutex);
        const uint32_t n_before = stream.n_pieces;
        mutex_unlock(&stream.mutex);
        wait_for(t, &reader, &reader.n_progress, 1);
        mutex_lock(&stream.mutex);
        const uint32_t n_meanwhile = stream.n_pieces - n_before;
        mutex_unlock(&stream.mutex);
        CHECK(n_meanwhile >= 2);
        if (wait_end(t, &reader)) {
            CHECK_UINT(reader.status, KARAT_OK);
            printf("  %u pieces of a stream during a step of 2048 tokens; %.0f ms for a prompt of %zu\n", n_meanwhile,
                   (double)reader.times.prefill_ns * 1e-6, COUNT(ids));
        }
    }
    karat_scheduler_cancel(s, stream.ticket);
    if (wait_end(t, &stream)) // or it has drawn an end before
        CHECK(stream.status == KARAT_ERR_CANCELLED || stream.stop == KARAT_STOP_END);
    karat_scheduler_close(s);
    close_client(&stream);
    close_client(&reader);
}

TEST(a_raw_prompt_is_continued)
{
    uint32_t ids[40];
    struct client c;
    struct karat_error err = { 0 };
    struct karat_session *session = NULL;
    struct karat_reply reply = { 0 };
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 5);
    struct karat_scheduler *s = open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 2, .n_context = 128 });
    REQUIRE(s);
    open_client(&c, s, 12);
    if (submit_ok(t, &c, NULL, ids, COUNT(ids)) && wait_end(t, &c) &&
        CHECK(karat_session_open(&session, demo, &(struct karat_session_options){ .n_context = 128 }, &err) ==
              KARAT_OK) &&
        CHECK(karat_generate(session, ids, COUNT(ids),
                             &(struct karat_generate_options){ .max_tokens = 12, .sampling.greedy = true }, &reply,
                             &err) == KARAT_OK)) {
        CHECK_UINT(c.status, KARAT_OK);
        CHECK_TEXT(c.answer.data ? c.answer.data : "", reply.content);
        CHECK_UINT(c.n_generated, reply.n_generated);
        CHECK_UINT(c.stop, reply.stop);
    }
    karat_reply_free(&reply);
    karat_session_close(session);
    karat_scheduler_close(s);
    close_client(&c);
}

TEST(what_a_slot_knows_is_not_evaluated_again)
{
    uint32_t ids[3][60];
    REQUIRE(demo_open(t));
    struct karat_scheduler *s = open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 3, .n_context = 128 });
    REQUIRE(s);
    for (size_t i = 0; i < COUNT(ids); ++i)
        fill_ids(ids[i], COUNT(ids[i]), i + 1);
    // Three conversations take turns; the second turn of each finds its own slot.
    for (size_t turn = 0; turn < 2; ++turn)
        for (size_t i = 0; i < COUNT(ids); ++i) {
            struct client c;
            open_client(&c, s, 1);
            if (submit_ok(t, &c, NULL, ids[i], turn == 0 ? 50 : 60) && wait_end(t, &c))
                CHECK_UINT(c.n_cached, turn == 0 ? 0 : 50);
            close_client(&c);
        }
    karat_scheduler_close(s);
}

// ------------------------------------------------------------------------------------------------ refusals

static void check_refused(struct test *t, struct client *c, const struct karat_request *request, enum karat_status want,
                          const char *says)
{
    struct karat_error err = { 0 };
    CHECK_UINT(karat_scheduler_submit(c->scheduler, request, NULL, &err), want);
    CHECK_UINT(err.status, want);
    test_check(t, strstr(err.text, says), __FILE__, __LINE__, "the sentence is \"%s\", expected \"%s\" in it", err.text,
               says);
}

TEST(what_cannot_be_answered_is_refused_at_once)
{
    uint32_t ids[65];
    struct client c;
    REQUIRE(demo_open(t));
    fill_ids(ids, COUNT(ids), 1);
    struct karat_scheduler *s = open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 1, .n_context = 64 });
    REQUIRE(s);
    open_client(&c, s, 1);
    struct karat_request request = request_of(&c, NULL, ids, 65);
    check_refused(t, &c, &request, KARAT_ERR_CONTEXT_FULL, "the prompt has 65 tokens, the context has room for 64");
    request.n_ids = 0;
    check_refused(t, &c, &request, KARAT_ERR_ARGUMENT, "empty");
    request.n_ids = 3;
    ids[1] = demo_facts.n_vocab;
    check_refused(t, &c, &request, KARAT_ERR_ARGUMENT, "token 1 is");
    request = request_of(&c, "{\"messages\": ", NULL, 0);
    check_refused(t, &c, &request, KARAT_ERR_FORMAT, "the request");
    request = request_of(&c, "{\"messages\": 3}", NULL, 0);
    check_refused(t, &c, &request, KARAT_ERR_ARGUMENT, "messages");
    c.options.sampling.min_p = 2;
    request = request_of(&c, chats[0], NULL, 0);
    check_refused(t, &c, &request, KARAT_ERR_ARGUMENT, "min-p is 2");
    karat_scheduler_close(s);
    CHECK_UINT(c.n_ends, 0);
    close_client(&c);
}

TEST(options_out_of_range_are_refused)
{
    REQUIRE(demo_open(t));
    const struct {
        struct karat_scheduler_options options;
        const char *says;
    } rows[] = {
        { { .n_slots = 65 }, "65 slots were asked for, expected at most 64" },
        { { .n_context = demo_facts.n_context_max + 1 }, "a context of 4097 tokens" },
        { { .n_batch = 2049 }, "a batch of 2049 tokens" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct karat_error err = { 0 };
        struct karat_scheduler *s = NULL;
        t->row = rows[i].says;
        CHECK_UINT(karat_scheduler_open(&s, demo, &rows[i].options, &err), KARAT_ERR_ARGUMENT);
        CHECK(strstr(err.text, rows[i].says));
        CHECK(s == NULL);
    }
    t->row = NULL;
    karat_scheduler_close(NULL);
}

TEST(a_full_queue_is_said_and_drains)
{
    struct client clients[4]; // one runs, two wait, one is too many
    REQUIRE(demo_open(t));
    struct karat_scheduler *s =
        open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 1, .n_waiting = 2, .n_context = 128 });
    REQUIRE(s);
    for (size_t i = 0; i < COUNT(clients); ++i)
        open_client(&clients[i], s, 2);
    clients[0].holds = true;
    if (submit_ok(t, &clients[0], chats[0], NULL, 0) && wait_for(t, &clients[0], &clients[0].n_start, 1)) {
        struct karat_scheduler_counts counts;
        submit_ok(t, &clients[1], chats[1], NULL, 0);
        submit_ok(t, &clients[2], chats[2], NULL, 0);
        const struct karat_request request = request_of(&clients[3], chats[3], NULL, 0);
        check_refused(t, &clients[3], &request, KARAT_ERR_BUSY, "2 requests wait already");
        karat_scheduler_counts(s, &counts);
        CHECK_UINT(counts.n_running, 1);
        CHECK_UINT(counts.n_waiting, 2);
        release(&clients[0]);
        for (size_t i = 0; i < 3; ++i)
            if (wait_end(t, &clients[i]))
                CHECK_UINT(clients[i].status, KARAT_OK);
        CHECK(clients[1].ended_ns < clients[2].ended_ns && clients[0].ended_ns < clients[1].ended_ns);
        CHECK(clients[2].times.queue_ns > clients[1].times.queue_ns);
        if (submit_ok(t, &clients[3], chats[3], NULL, 0) && wait_end(t, &clients[3]))
            CHECK_UINT(clients[3].status, KARAT_OK);
    }
    release(&clients[0]);
    karat_scheduler_close(s);
    for (size_t i = 0; i < COUNT(clients); ++i)
        close_client(&clients[i]);
}

// ------------------------------------------------------------------------------------------------ cancelling

TEST(what_waits_can_be_cancelled)
{
    struct client holder, waiting;
    REQUIRE(demo_open(t));
    struct karat_scheduler *s = open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 1, .n_context = 128 });
    REQUIRE(s);
    open_client(&holder, s, 4);
    open_client(&waiting, s, 4);
    holder.holds = true;
    if (submit_ok(t, &holder, chats[0], NULL, 0) && wait_for(t, &holder, &holder.n_start, 1) &&
        submit_ok(t, &waiting, chats[1], NULL, 0)) {
        karat_scheduler_cancel(s, waiting.ticket);
        karat_scheduler_cancel(s, waiting.ticket + 1000); // nobody's
        release(&holder);
        if (wait_end(t, &waiting) && wait_end(t, &holder)) {
            CHECK_UINT(waiting.status, KARAT_ERR_CANCELLED);
            CHECK_UINT(waiting.err.status, KARAT_ERR_CANCELLED);
            CHECK_UINT(waiting.stop, KARAT_STOP_CANCELLED);
            CHECK_UINT(waiting.n_start, 0);
            CHECK_UINT(waiting.n_generated, 0);
            CHECK_UINT(holder.status, KARAT_OK);
        }
    }
    release(&holder);
    karat_scheduler_close(s);
    close_client(&holder);
    close_client(&waiting);
}

// A client that cancels itself at this moment ends there, and another beside it does not notice.
static void check_cancel(struct test *t, enum moment moment)
{
    uint32_t ids[300];
    struct client c, other;
    struct karat_scheduler *s =
        open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 2, .n_context = 400, .n_batch = 64 });
    if (!s)
        return;
    fill_ids(ids, COUNT(ids), 9);
    open_client(&c, s, 0);
    open_client(&other, s, 8);
    make_endless(&c, 3);
    c.cancels_at = moment;
    if (submit_ok(t, &other, chats[0], NULL, 0) && submit_ok(t, &c, NULL, ids, COUNT(ids)) && wait_end(t, &c) &&
        wait_end(t, &other)) {
        CHECK_UINT(c.status, KARAT_ERR_CANCELLED);
        CHECK_UINT(c.stop, KARAT_STOP_CANCELLED);
        CHECK_UINT(c.n_start, 1);
        CHECK_UINT(other.status, KARAT_OK);
        if (moment == AT_START)
            CHECK_UINT(c.n_progress, 0);
        if (moment == AT_PROGRESS)
            CHECK_UINT(c.n_done, 64);
        if (moment == AT_PIECE)
            CHECK(c.n_generated >= 1 && c.n_pieces >= 1 && c.n_pieces < 40);
        else
            CHECK_UINT(c.n_generated, 0);
        // The slot is fit for the next one, and what was evaluated is kept.
        struct client again;
        open_client(&again, s, 1);
        if (submit_ok(t, &again, NULL, ids, COUNT(ids)) && wait_end(t, &again)) {
            CHECK_UINT(again.status, KARAT_OK);
            CHECK_UINT(again.n_cached, moment == AT_START ? 0 : moment == AT_PROGRESS ? 64 : COUNT(ids) - 1);
        }
        close_client(&again);
    }
    karat_scheduler_close(s);
    close_client(&c);
    close_client(&other);
}

TEST(a_request_can_be_cancelled_wherever_it_is)
{
    REQUIRE(demo_open(t));
    check_cancel(t, AT_START);
    check_cancel(t, AT_PROGRESS);
    check_cancel(t, AT_PIECE);
}

// From the call of cancel to on_done: for one whose prompt is read, in the middle of a step, and one that waits for it.
TEST(a_cancel_takes_effect_soon)
{
    static uint32_t ids[3000];
    REQUIRE(demo_open(t));
    struct karat_scheduler *s =
        open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 1, .n_context = 4096, .n_batch = 2048 });
    REQUIRE(s);
    fill_ids(ids, COUNT(ids), 8);
    double slowest_ms = 0;
    for (unsigned i = 0; i < 4; ++i) {
        struct client reader, waiting;
        open_client(&reader, s, 1);
        open_client(&waiting, s, 1);
        if (submit_ok(t, &reader, NULL, ids, COUNT(ids)) && submit_ok(t, &waiting, NULL, ids, COUNT(ids)) &&
            wait_for(t, &reader, &reader.n_start, 1)) {
            clock_sleep_ms(10 + 20 * i);
            struct client *order[] = { &waiting, &reader };
            for (size_t k = 0; k < COUNT(order); ++k) {
                const uint64_t start_ns = clock_ns();
                karat_scheduler_cancel(s, order[k]->ticket);
                if (wait_end(t, order[k])) {
                    CHECK_UINT(order[k]->status, KARAT_ERR_CANCELLED);
                    slowest_ms = fmax(slowest_ms, (double)(order[k]->ended_ns - start_ns) * 1e-6);
                }
            }
            CHECK_UINT(reader.n_progress, 0);
        }
        close_client(&reader);
        close_client(&waiting);
    }
    printf("  the slowest cancel took %.0f ms\n", slowest_ms);
    CHECK(slowest_ms < test_seconds(0.25) * 1e3);
    karat_scheduler_close(s);
}

TEST(closing_ends_everything)
{
    struct client clients[5];
    uint32_t ids[40];
    REQUIRE(demo_open(t));
    struct karat_scheduler *s = open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 2, .n_context = 4096 });
    REQUIRE(s);
    fill_ids(ids, COUNT(ids), 2);
    for (size_t i = 0; i < COUNT(clients); ++i) {
        open_client(&clients[i], s, 0);
        make_endless(&clients[i], i + 1);
        submit_ok(t, &clients[i], NULL, ids, COUNT(ids));
    }
    wait_for(t, &clients[0], &clients[0].n_pieces, 1);
    karat_scheduler_close(s);
    for (size_t i = 0; i < COUNT(clients); ++i) {
        CHECK_UINT(clients[i].n_ends, 1);
        CHECK(!clients[i].out_of_order);
        CHECK(clients[i].status == KARAT_ERR_CANCELLED ||
              (clients[i].status == KARAT_OK && clients[i].stop == KARAT_STOP_END));
        close_client(&clients[i]);
    }
    CHECK_UINT(clients[4].status, KARAT_ERR_CANCELLED);
}

// ------------------------------------------------------------------------------------------------ threads

#define N_THREADS 4
#define N_EACH 6

struct caller {
    struct test *t;
    struct karat_scheduler *scheduler;
    uint64_t seed;
    unsigned n_ended;
};

// Submits, watches, cancels every third.
static void call(void *user)
{
    struct caller *caller = user;
    for (size_t i = 0; i < N_EACH; ++i) {
        struct client c;
        struct karat_error err;
        struct karat_scheduler_counts counts;
        open_client(&c, caller->scheduler, 6);
        if (submit(&c, chats[(caller->seed + i) % COUNT(chats)], NULL, 0, &err) == KARAT_OK) {
            if (i % 3 == 2)
                karat_scheduler_cancel(caller->scheduler, c.ticket);
            karat_scheduler_counts(caller->scheduler, &counts);
            mutex_lock(&c.mutex);
            while (c.n_ends == 0)
                condition_wait(&c.changed, &c.mutex);
            caller->n_ended +=
                !c.out_of_order && (c.status == KARAT_OK || (i % 3 == 2 && c.status == KARAT_ERR_CANCELLED));
            mutex_unlock(&c.mutex);
        }
        close_client(&c);
    }
}

TEST(any_thread_may_call)
{
    struct caller callers[N_THREADS];
    struct thread *threads[N_THREADS];
    REQUIRE(demo_open(t));
    struct karat_scheduler *s = open_scheduler(t, &(struct karat_scheduler_options){ .n_slots = 2, .n_context = 256 });
    REQUIRE(s);
    for (size_t i = 0; i < N_THREADS; ++i) {
        callers[i] = (struct caller){ .scheduler = s, .seed = i };
        threads[i] = thread_start(call, &callers[i]);
    }
    for (size_t i = 0; i < N_THREADS; ++i) {
        thread_join(threads[i]);
        CHECK_UINT(callers[i].n_ended, N_EACH);
    }
    karat_scheduler_close(s);
}
