// tests/api/test_conversation.c -- conversations with the demo model, as karat.h promises them.
//
// The wanted answers are those of an independent engine (tests/pebble/prompts.jsonl); each leads by a wide margin.
#include <stdlib.h>

#include "base/thread.h"
#include "base/utf8.h"
#include "demo.h"
#include "text/text.h"

#define USER(text) "[{\"role\": \"user\", \"content\": \"" text "\"}]"
#define HELLO USER("Hello!")
#define HELLO_ANSWER "Hello! How can I help you?"

#define WEATHER_TOOL                                                                                              \
    "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Get the weather in a " \
    "city\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", "           \
    "\"description\": \"City name\"}}, \"required\": [\"city\"]}}}"
#define TIME_TOOL                                                                                                    \
    "{\"type\": \"function\", \"function\": {\"name\": \"get_time\", \"description\": \"Get the time in a place\", " \
    "\"parameters\": {\"type\": \"object\", \"properties\": {\"place\": {\"type\": \"string\"}}, \"required\": "     \
    "[\"place\"]}}}"

// What came through on_piece.
struct heard {
    struct text texts[3]; // by kind
    char order[512];      // A, T or C for each piece
    size_t n;
    size_t refuse_at; // the callback returns false at this piece; SIZE_MAX: never
    size_t n_after;   // pieces after it had returned false
    bool whole_characters;
    struct karat_session *cancel_at_first; // told to stop at the first piece
};

static bool hear(void *user, enum karat_piece kind, const char *text, size_t size)
{
    struct heard *heard = user;
    heard->n_after += heard->n > heard->refuse_at;
    heard->whole_characters = (heard->n == 0 || heard->whole_characters) && size > 0 && utf8_valid(text, size, NULL);
    if (heard->n < sizeof heard->order - 1)
        heard->order[heard->n] = "ATC"[kind];
    text_append(&heard->texts[kind], text, size);
    if (heard->cancel_at_first)
        karat_session_cancel(heard->cancel_at_first);
    return heard->n++ != heard->refuse_at;
}

static void forget(struct heard *heard)
{
    for (int i = 0; i < 3; ++i)
        text_free(&heard->texts[i]);
    *heard = (struct heard){ .refuse_at = SIZE_MAX };
}

struct exchange {
    struct karat_generate_options options;
    struct karat_reply reply;
    struct karat_error err;
    struct heard heard;
    enum karat_status status;
};

static struct exchange greedy(void)
{
    return (struct exchange){ .options.sampling.greedy = true, .heard.refuse_at = SIZE_MAX };
}

static void say_in(struct exchange *e, struct karat_session *to, const char *messages)
{
    e->options.on_piece = hear;
    e->options.user = &e->heard;
    e->status = karat_chat(to, messages, &e->options, &e->reply, &e->err);
}

static void say(struct exchange *e, const char *messages)
{
    say_in(e, demo_session, messages);
}

static void end_exchange(struct exchange *e)
{
    karat_reply_free(&e->reply);
    forget(&e->heard);
}

// The call succeeded, and the pieces joined are the reply.
static bool is_answered(struct test *t, const struct exchange *e)
{
    if (!test_check(t, e->status == KARAT_OK, __FILE__, __LINE__, "%s", e->err.text) ||
        !CHECK(e->reply.content && e->reply.thinking && e->reply.tool_calls))
        return false;
    CHECK(span_is(text_span(&e->heard.texts[KARAT_PIECE_ANSWER]), e->reply.content));
    CHECK(span_is(text_span(&e->heard.texts[KARAT_PIECE_THOUGHT]), e->reply.thinking));
    CHECK(e->heard.n == 0 || e->heard.whole_characters);
    CHECK_UINT(e->heard.n_after, 0);
    CHECK(e->reply.n_cached <= e->reply.n_prompt);
    return true;
}

// ------------------------------------------------------------------------------------------------ answers

static const struct question {
    const char *messages, *answer;
} questions[] = {
    { HELLO, HELLO_ANSWER },
    { USER("你好"), "你好！我能帮你什么？" },
    { USER("Wie heißt du?"), "Ich heiße pebble und bin ein winziges Testmodell." },
    { USER("Show me some emoji."), "😀 🎉 🌍" },
    { USER("Send me a heart."), "❤️" },
    { USER("Capital of Poland?"), "The capital of Poland is Warsaw." },
    { "[{\"role\": \"system\", \"content\": \"Talk like a robot.\"}, {\"role\": \"user\", \"content\": \"Name the "
      "opposite of old.\"}]",
      "Beep. The opposite of old is new. Boop." },
    { "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"Hello!\"}]}]", HELLO_ANSWER },
};

TEST(greedy_answers_are_the_known_ones)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(questions); ++i) {
        struct exchange e = greedy();
        t->row = questions[i].answer;
        say(&e, questions[i].messages);
        if (is_answered(t, &e)) {
            CHECK_TEXT(e.reply.content, questions[i].answer);
            CHECK_TEXT(e.reply.thinking, "");
            CHECK_TEXT(e.reply.tool_calls, "[]");
            CHECK_UINT(e.reply.stop, KARAT_STOP_END);
            CHECK(e.reply.n_generated > 1 && e.heard.n > 0);
            CHECK(strspn(e.heard.order, "A") == e.heard.n);
            // All but the token that ended the answer are evaluated.
            CHECK_UINT(karat_session_length(demo_session), e.reply.n_prompt + e.reply.n_generated - 1);
        }
        end_exchange(&e);
    }
    t->row = NULL;
}

TEST(an_answer_comes_in_pieces)
{
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    say(&e, HELLO);
    if (is_answered(t, &e)) {
        CHECK(e.heard.n >= 5);
        CHECK_UINT(e.reply.n_prompt, 15);
        CHECK_UINT(e.reply.n_generated, 10);
    }
    end_exchange(&e);
}

TEST(everything_but_the_conversation_may_be_left_out)
{
    struct karat_reply reply;
    REQUIRE(demo_open_session(t));
    CHECK_UINT(karat_chat(demo_session, HELLO, &(struct karat_generate_options){ .max_tokens = 4 }, NULL, NULL),
               KARAT_OK);
    CHECK_UINT(karat_chat(demo_session, HELLO, NULL, NULL, NULL), KARAT_OK);
    CHECK_UINT(karat_chat(demo_session, HELLO, NULL, &reply, NULL), KARAT_OK);
    karat_reply_free(&reply);
    CHECK(!reply.content && !reply.thinking && !reply.tool_calls);
    karat_reply_free(&reply);
    karat_reply_free(NULL);
    CHECK(karat_chat(demo_session, "[", NULL, NULL, NULL) != KARAT_OK);
}

TEST(thoughts_come_before_the_answer)
{
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    e.options.thinking = true;
    say(&e, USER("What is the capital of Japan?"));
    if (is_answered(t, &e)) {
        CHECK_TEXT(e.reply.thinking, "The country is Japan. Its capital is Tokyo.");
        CHECK_TEXT(e.reply.content, "The capital of Japan is Tokyo.");
        CHECK_UINT(e.reply.stop, KARAT_STOP_END);
        const size_t n_thoughts = strspn(e.heard.order, "T");
        CHECK(n_thoughts > 0 && n_thoughts + strspn(e.heard.order + n_thoughts, "A") == e.heard.n);
    }
    end_exchange(&e);
}

static const char after_result[] =
    "[{\"role\": \"user\", \"content\": \"What is the weather in Oslo?\"}, {\"role\": \"assistant\", \"content\": "
    "\"\", "
    "\"tool_calls\": [{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"arguments\": {\"city\": "
    "\"Oslo\"}}}]}, {\"role\": \"tool\", \"name\": \"get_weather\", \"content\": \"snowy, -3 degrees\"}]";

static const struct {
    const char *name, *messages, *tools;
} thinkers[] = {
    { "a thought that the model opens", USER("What is the capital of Japan?"), NULL },
    { "a thought that the prompt has opened", after_result, "[" WEATHER_TOOL "]" },
};

TEST(a_thought_keeps_to_its_budget_and_the_answer_comes)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(thinkers); ++i) {
        struct exchange whole = greedy();
        t->row = thinkers[i].name;
        whole.options.thinking = true;
        whole.options.tools = thinkers[i].tools;
        whole.options.max_tokens = 120;
        say(&whole, thinkers[i].messages);
        if (is_answered(t, &whole) && CHECK(whole.reply.n_thought > 4))
            for (uint32_t budget = 1; budget <= whole.reply.n_thought + 1; ++budget) {
                struct exchange e = greedy();
                const uint32_t most = budget < whole.reply.n_thought ? budget : whole.reply.n_thought;
                e.options = whole.options;
                e.options.max_thought = budget;
                say(&e, thinkers[i].messages);
                if (is_answered(t, &e)) {
                    CHECK_UINT(e.reply.n_thought, most);
                    CHECK(strncmp(whole.reply.thinking, e.reply.thinking, strlen(e.reply.thinking)) == 0);
                    CHECK(e.reply.thinking[0] && e.reply.content[0]);
                    CHECK(e.reply.n_thought < e.reply.n_generated);
                    if (budget >= whole.reply.n_thought)
                        CHECK_TEXT(e.reply.content, whole.reply.content);
                }
                end_exchange(&e);
            }
        end_exchange(&whole);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ tools

TEST(a_tool_call_is_one_piece_of_json)
{
    struct exchange e = greedy();
    struct arena arena = { 0 };
    struct json *piece = NULL, *calls = NULL, *want = NULL;
    REQUIRE(demo_open_session(t));
    e.options.tools = "[" WEATHER_TOOL ", " TIME_TOOL "]";
    say(&e, USER("What is the weather in Oslo?"));
    if (is_answered(t, &e)) {
        CHECK_UINT(e.reply.stop, KARAT_STOP_TOOL_CALLS);
        CHECK_TEXT(e.reply.content, "");
        CHECK_TEXT(e.heard.order, "C");
        const struct span wanted = span_text("{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}");
        const struct span heard = text_span(&e.heard.texts[KARAT_PIECE_TOOL_CALL]);
        REQUIRE_OK(json_parse(&want, &arena, wanted, NULL, &e.err), e.err);
        REQUIRE_OK(json_parse(&piece, &arena, heard, NULL, &e.err), e.err);
        REQUIRE_OK(json_parse(&calls, &arena, span_text(e.reply.tool_calls), NULL, &e.err), e.err);
        CHECK(json_equal(piece, want));
        CHECK(calls->kind == JSON_ARRAY && calls->first_child && !calls->first_child->next &&
              json_equal(calls->first_child, want));
    }
    arena_free(&arena);
    end_exchange(&e);
}

TEST(a_tool_loop_ends_in_an_answer)
{
    struct exchange call = greedy(), answer = greedy();
    struct text messages = { 0 };
    REQUIRE(demo_open_session(t));
    call.options.tools = answer.options.tools = "[" WEATHER_TOOL "]";
    say(&call, USER("What is the weather in Oslo?"));
    if (is_answered(t, &call) && CHECK_UINT(call.reply.stop, KARAT_STOP_TOOL_CALLS)) {
        // The call goes back as it came.
        text_append_format(&messages,
                           "[{\"role\": \"user\", \"content\": \"What is the weather in Oslo?\"}, {\"role\": "
                           "\"assistant\", \"content\": \"\", \"tool_calls\": [{\"type\": \"function\", \"function\": "
                           "%.*s}]}, {\"role\": \"tool\", \"name\": \"get_weather\", \"content\": \"snowy, -3 "
                           "degrees\"}]",
                           SPAN_ARGS(text_span(&call.heard.texts[KARAT_PIECE_TOOL_CALL])));
        char *document = text_take(&messages, NULL);
        say(&answer, document);
        if (is_answered(t, &answer)) {
            CHECK_TEXT(answer.reply.content, "It is snowy in Oslo, -3 degrees.");
            CHECK_UINT(answer.reply.stop, KARAT_STOP_END);
            // All but the empty thought that ended the first prompt.
            CHECK(answer.reply.n_cached + 8 >= call.reply.n_prompt);
        }
        free(document);
    }
    end_exchange(&call);
    end_exchange(&answer);
    text_free(&messages);
}

// ------------------------------------------------------------------------------------------------ several turns

TEST(a_second_turn_finds_the_first_one_evaluated)
{
#define FIRST_TURN "{\"role\": \"user\", \"content\": \"Which day comes before Wednesday?\"}"
#define SECOND_TURN                                                               \
    FIRST_TURN ", {\"role\": \"assistant\", \"content\": \"Tuesday comes before " \
               "Wednesday.\"}, {\"role\": \"user\", \"content\": \"Capital of Poland?\"}"
    struct karat_session *other = NULL;
    struct exchange first = greedy(), second = greedy(), fresh = greedy();
    REQUIRE(demo_open_session(t));
    say(&first, "[" FIRST_TURN "]");
    say(&second, "[" SECOND_TURN "]");
    const enum karat_status status =
        karat_session_open(&other, demo, &(struct karat_session_options){ .n_context = 512 }, &fresh.err);
    if (test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", fresh.err.text))
        say_in(&fresh, other, "[" SECOND_TURN "]");
    if (is_answered(t, &first) && is_answered(t, &second) && is_answered(t, &fresh)) {
        CHECK_TEXT(first.reply.content, "Tuesday comes before Wednesday.");
        CHECK_TEXT(second.reply.content, fresh.reply.content);
        CHECK_UINT(second.reply.n_prompt, fresh.reply.n_prompt);
        CHECK_UINT(fresh.reply.n_cached, 0);
        // The empty thought of the generation prompt is not part of the history, so the answer is evaluated anew.
        CHECK(second.reply.n_cached + 8 >= first.reply.n_prompt && second.reply.n_cached < second.reply.n_prompt);
    }
    karat_session_close(other);
    end_exchange(&first);
    end_exchange(&second);
    end_exchange(&fresh);
}

TEST(the_same_question_again_is_evaluated_already)
{
    struct exchange first = greedy(), second = greedy();
    REQUIRE(demo_open_session(t));
    say(&first, HELLO);
    say(&second, HELLO);
    if (is_answered(t, &first) && is_answered(t, &second)) {
        CHECK_UINT(second.reply.n_cached, second.reply.n_prompt - 1); // the last one for its scores
        CHECK_TEXT(second.reply.content, first.reply.content);
    }
    end_exchange(&first);
    end_exchange(&second);
}

// ------------------------------------------------------------------------------------------------ ends

TEST(max_tokens_end_an_answer)
{
    REQUIRE(demo_open_session(t));
    for (uint32_t n = 1; n <= 11; ++n) {
        struct exchange e = greedy();
        e.options.max_tokens = n;
        say(&e, HELLO);
        if (is_answered(t, &e)) {
            CHECK_UINT(e.reply.n_generated, n < 10 ? n : 10);
            CHECK_UINT(e.reply.stop, n < 10 ? KARAT_STOP_LENGTH : KARAT_STOP_END);
            CHECK(strncmp(e.reply.content, HELLO_ANSWER, strlen(e.reply.content)) == 0);
            CHECK(strlen(e.reply.content) >= n);
        }
        end_exchange(&e);
    }
}

static const struct stop_case {
    const char *stops[2];
    const char *content;
    enum karat_stop stop;
} stop_cases[] = {
    { { "How" }, "Hello! ", KARAT_STOP_TEXT },
    { { "can I" }, "Hello! How ", KARAT_STOP_TEXT },
    { { "nothing", "! H" }, "Hello", KARAT_STOP_TEXT },
    { { "H" }, "", KARAT_STOP_TEXT },
    { { "?" }, "Hello! How can I help you", KARAT_STOP_TEXT },
    { { "you? No" }, HELLO_ANSWER, KARAT_STOP_END },
    { { "not there", "" }, HELLO_ANSWER, KARAT_STOP_END },
};

TEST(stop_texts_end_an_answer)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(stop_cases); ++i) {
        struct exchange e = greedy();
        t->row = stop_cases[i].stops[0];
        e.options.stop = stop_cases[i].stops;
        e.options.n_stop = stop_cases[i].stops[1] ? 2 : 1;
        say(&e, HELLO);
        if (is_answered(t, &e)) {
            CHECK_TEXT(e.reply.content, stop_cases[i].content);
            CHECK_UINT(e.reply.stop, stop_cases[i].stop);
        }
        end_exchange(&e);
    }
    t->row = NULL;
}

TEST(stop_texts_are_no_matter_of_thoughts)
{
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    e.options.thinking = true;
    e.options.stop = (const char *const[]){ "Tokyo" };
    e.options.n_stop = 1;
    say(&e, USER("What is the capital of Japan?"));
    if (is_answered(t, &e)) {
        CHECK_TEXT(e.reply.thinking, "The country is Japan. Its capital is Tokyo.");
        CHECK_TEXT(e.reply.content, "The capital of Japan is ");
        CHECK_UINT(e.reply.stop, KARAT_STOP_TEXT);
    }
    end_exchange(&e);
}

TEST(a_refused_piece_is_the_last_one)
{
    REQUIRE(demo_open_session(t));
    for (size_t at = 0; at < 4; ++at) {
        struct exchange e = greedy();
        e.heard.refuse_at = at;
        say(&e, HELLO);
        if (is_answered(t, &e)) {
            CHECK_UINT(e.reply.stop, KARAT_STOP_CANCELLED);
            CHECK_UINT(e.heard.n, at + 1);
            CHECK(e.reply.n_generated < 10);
        }
        end_exchange(&e);
    }
    // A piece that was held back until the end may be refused as well.
    struct exchange e = greedy();
    e.heard.refuse_at = 0;
    e.options.stop = (const char *const[]){ HELLO_ANSWER " No" };
    e.options.n_stop = 1;
    say(&e, HELLO);
    if (is_answered(t, &e)) {
        CHECK_UINT(e.heard.n, 1);
        CHECK_UINT(e.reply.stop, KARAT_STOP_CANCELLED);
    }
    end_exchange(&e);
    // And a tool call.
    e = greedy();
    e.heard.refuse_at = 0;
    e.options.tools = "[" WEATHER_TOOL ", " TIME_TOOL "]";
    say(&e, USER("What is the weather in Oslo?"));
    if (is_answered(t, &e)) {
        CHECK_TEXT(e.heard.order, "C");
        CHECK_UINT(e.reply.stop, KARAT_STOP_CANCELLED);
    }
    end_exchange(&e);
}

TEST(a_full_context_ends_an_answer)
{
    struct karat_session *small = NULL;
    struct exchange e = greedy(), none = greedy();
    REQUIRE(demo_open_session(t));
    REQUIRE_OK(karat_session_open(&small, demo, &(struct karat_session_options){ .n_context = 18 }, &e.err), e.err);
    say_in(&e, small, HELLO);
    if (is_answered(t, &e)) {
        CHECK_UINT(e.reply.stop, KARAT_STOP_CONTEXT);
        CHECK_UINT(karat_session_length(small), 18);
        CHECK_UINT(e.reply.n_generated, 4); // the last one has scores but no place
        CHECK(strncmp(e.reply.content, HELLO_ANSWER, strlen(e.reply.content)) == 0);
    }
    say_in(&none, small, USER("Hello! Hello! Hello! Hello! Hello! Hello!"));
    CHECK_UINT(none.status, KARAT_ERR_CONTEXT_FULL);
    CHECK(strstr(none.err.text, "18"));
    CHECK(!none.reply.content && none.heard.n == 0);
    end_exchange(&e);
    end_exchange(&none);
    karat_session_close(small);
}

// ------------------------------------------------------------------------------------------------ cancel

// Filled, and with what was said so far.
static void check_cancelled(struct test *t, const struct exchange *e)
{
    CHECK_UINT(e->status, KARAT_ERR_CANCELLED);
    CHECK_UINT(e->err.status, KARAT_ERR_CANCELLED);
    CHECK(strstr(e->err.text, "cancelled"));
    CHECK_UINT(e->reply.stop, KARAT_STOP_CANCELLED);
    if (CHECK(e->reply.content && e->reply.thinking && e->reply.tool_calls)) {
        CHECK(span_is(text_span(&e->heard.texts[KARAT_PIECE_ANSWER]), e->reply.content));
        CHECK_TEXT(e->reply.thinking, "");
        CHECK_TEXT(e->reply.tool_calls, "[]");
    }
}

static void check_usable(struct test *t)
{
    struct exchange e = greedy();
    say(&e, HELLO);
    if (is_answered(t, &e))
        CHECK_TEXT(e.reply.content, HELLO_ANSWER);
    end_exchange(&e);
}

TEST(a_cancel_during_the_answer_keeps_what_was_said)
{
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    e.heard.cancel_at_first = demo_session;
    say(&e, USER("Capital of Poland?"));
    check_cancelled(t, &e);
    CHECK(e.reply.content && e.reply.content[0] != '\0');
    CHECK(e.reply.n_generated >= 1 && e.reply.n_generated < 5);
    CHECK(e.reply.n_prompt > 10);
    end_exchange(&e);
    check_usable(t);
}

struct canceller {
    struct karat_session *session;
    int stop;
};

static void keep_cancelling(void *user)
{
    struct canceller *c = user;
    while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
        karat_session_cancel(c->session);
        clock_sleep_ms(1);
    }
}

TEST(a_cancel_during_the_prompt_gives_an_empty_reply)
{
    struct canceller canceller = { .stop = 0 };
    struct text messages = { 0 };
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    canceller.session = demo_session;
    text_append_string(&messages, "[{\"role\": \"user\", \"content\": \"");
    for (int i = 0; i < 90; ++i)
        text_append_format(&messages, "%d of ninety sheep. ", i);
    text_append_string(&messages, "\"}]");
    char *document = text_take(&messages, NULL);
    struct thread *thread = thread_start(keep_cancelling, &canceller);
    say(&e, document);
    __atomic_store_n(&canceller.stop, 1, __ATOMIC_RELEASE);
    thread_join(thread);
    check_cancelled(t, &e);
    CHECK_UINT(e.reply.n_generated, 0);
    CHECK(e.reply.n_prompt > 100);
    CHECK_UINT(e.heard.n, 0);
    end_exchange(&e);
    free(document);
    check_usable(t);
}

// ------------------------------------------------------------------------------------------------ sampling

TEST(a_seed_makes_an_answer_repeatable)
{
    char *first = NULL;
    unsigned n_other = 0;
    REQUIRE(demo_open_session(t));
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        struct exchange e = greedy(), again = greedy();
        const struct karat_sampling hot = { .temperature = 1, .top_k = 2000, .top_p = 1, .seed = seed };
        e.options.sampling = again.options.sampling = hot;
        e.options.max_tokens = again.options.max_tokens = 16;
        say(&e, USER("Repeat: zyx wvu"));
        say(&again, USER("Repeat: zyx wvu"));
        if (is_answered(t, &e) && is_answered(t, &again)) {
            CHECK_TEXT(again.reply.content, e.reply.content);
            n_other += first && strcmp(first, e.reply.content) != 0;
            if (!first) {
                first = e.reply.content;
                e.reply.content = NULL;
            }
        }
        end_exchange(&e);
        end_exchange(&again);
    }
    CHECK(n_other > 0);
    free(first);
}

TEST(biases_turn_an_answer)
{
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    REQUIRE(demo_open_session(t));
    struct exchange banned = greedy(), wanted = greedy(), bad = greedy();
    REQUIRE_OK(karat_tokenize(demo, "Hello", 5, 0, &ids, &n_ids, &banned.err), banned.err);
    CHECK_UINT(n_ids, 1);
    const struct karat_bias ban = { ids[0], -INFINITY }, wish = { ids[0], 100 }, beyond = { 1u << 20, 1 };
    banned.options.sampling.biases = &ban;
    wanted.options.sampling.biases = &wish;
    bad.options.sampling.biases = &beyond;
    banned.options.sampling.n_biases = wanted.options.sampling.n_biases = bad.options.sampling.n_biases = 1;
    say(&banned, HELLO);
    if (is_answered(t, &banned))
        CHECK(!strstr(banned.reply.content, "Hello") && banned.reply.content[0]);
    wanted.options.max_tokens = 3;
    say(&wanted, HELLO);
    if (is_answered(t, &wanted))
        CHECK_TEXT(wanted.reply.content, "HelloHelloHello");
    say(&bad, HELLO);
    CHECK_UINT(bad.status, KARAT_ERR_ARGUMENT);
    CHECK_TEXT(bad.err.text, "a bias is for token 1048576, but the vocabulary has only 2048 tokens");
    karat_free(ids);
    end_exchange(&banned);
    end_exchange(&wanted);
    end_exchange(&bad);
}

TEST(a_negative_temperature_is_greedy)
{
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    e.options.sampling = (struct karat_sampling){ .temperature = -1 };
    say(&e, HELLO);
    if (is_answered(t, &e))
        CHECK_TEXT(e.reply.content, HELLO_ANSWER);
    end_exchange(&e);
}

TEST(sampling_out_of_range_is_refused)
{
    static const struct {
        struct karat_sampling sampling;
        const char *says[2];
    } rows[] = {
        { { .top_p = 1.5f }, { "top-p", "1.5" } },
        { { .min_p = 2 }, { "min-p", "2" } },
        { { .min_p = -1 }, { "min-p", "-1" } },
        { { .repeat_penalty = -2 }, { "repeat", "-2" } },
        { { .repeat_window = 1000000 }, { "window", "1000000" } },
        { { .temperature = INFINITY }, { "temperature", "inf" } },
        { { .temperature = NAN }, { "temperature", "nan" } },
        { { .top_p = NAN }, { "top-p", "nan" } },
        { { .top_p = -0.5f }, { "top-p", "-0.5" } },
    };
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct exchange e = greedy();
        t->row = rows[i].says[0];
        e.options.sampling = rows[i].sampling;
        say(&e, HELLO);
        CHECK_UINT(e.status, KARAT_ERR_ARGUMENT);
        for (size_t k = 0; k < 2; ++k)
            test_check(t, strstr(e.err.text, rows[i].says[k]), __FILE__, __LINE__,
                       "the sentence is \"%s\", expected \"%s\" in it", e.err.text, rows[i].says[k]);
        CHECK(e.heard.n == 0 && !e.reply.content);
        end_exchange(&e);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ wrong input

static const struct {
    const char *messages, *tools;
    const char *says; // in the sentence
} wrong[] = {
    { "", NULL, "messages" },
    { "[", NULL, "messages" },
    { "[{\"role\": \"user\", \"content\": \"a\"}] x", NULL, "messages" },
    { "\"Hello!\"", NULL, "messages" },
    { "{\"role\": \"user\"}", NULL, "messages" },
    { "[1]", NULL, "messages[0]" },
    { "[{\"content\": \"a\"}]", NULL, "role" },
    { "[{\"role\": 7, \"content\": \"a\"}]", NULL, "role" },
    { "[{\"role\": \"user\", \"content\": 7}]", NULL, "content" },
    { "[{\"role\": \"user\", \"content\": \"\xFF\"}]", NULL, "UTF-8" },
    { "[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {\"url\": \"a.png\"}}]}]", NULL,
      "image" },
    { HELLO, "[", "tools" },
    { HELLO, "7", "tools" },
    { HELLO, "[7]", "tools[0]" },
    { HELLO, "[{\"type\": \"function\", \"function\": {\"name\": \"\"}}]", "name" },
};

TEST(wrong_conversations_are_refused_in_one_sentence)
{
    REQUIRE(demo_open_session(t));
    check_usable(t);
    const uint32_t length = karat_session_length(demo_session);
    for (size_t i = 0; i < COUNT(wrong); ++i) {
        struct exchange e = greedy();
        t->row = wrong[i].tools ? wrong[i].tools : wrong[i].messages;
        e.options.tools = wrong[i].tools;
        say(&e, wrong[i].messages);
        CHECK(e.status == KARAT_ERR_ARGUMENT || e.status == KARAT_ERR_FORMAT || e.status == KARAT_ERR_UNSUPPORTED);
        CHECK_UINT(e.err.status, e.status);
        test_check(t, strstr(e.err.text, wrong[i].says), __FILE__, __LINE__,
                   "the sentence is \"%s\", expected \"%s\" in it", e.err.text, wrong[i].says);
        CHECK(utf8_valid(e.err.text, strlen(e.err.text), NULL) && !strpbrk(e.err.text, "\r\n"));
        CHECK(!e.reply.content && !e.reply.thinking && !e.reply.tool_calls && e.heard.n == 0);
        CHECK_UINT(karat_session_length(demo_session), length);
        end_exchange(&e);
    }
    t->row = NULL;
    check_usable(t);
}

// ------------------------------------------------------------------------------------------------ generate

TEST(generate_goes_on_after_any_tokens)
{
    static const char prompt[] = "<|turn>user\nHello!<turn|>\n<|turn>model\n<|channel>thought\n<channel|>";
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    REQUIRE_OK(
        karat_tokenize(demo, prompt, strlen(prompt), KARAT_TOKENIZE_BOS | KARAT_TOKENIZE_SPECIAL, &ids, &n_ids, &e.err),
        e.err);
    CHECK_UINT(n_ids, 15);
    e.options.on_piece = hear;
    e.options.user = &e.heard;
    e.status = karat_generate(demo_session, ids, n_ids, &e.options, &e.reply, &e.err);
    if (is_answered(t, &e)) {
        CHECK_TEXT(e.reply.content, HELLO_ANSWER);
        CHECK_UINT(e.reply.stop, KARAT_STOP_END);
        CHECK_UINT(e.reply.n_prompt, 15);
        CHECK_UINT(e.reply.n_generated, 10);
        CHECK(strspn(e.heard.order, "A") == e.heard.n);
    }
    end_exchange(&e);

    e = greedy();
    CHECK_UINT(karat_generate(demo_session, ids, 0, &e.options, &e.reply, &e.err), KARAT_ERR_ARGUMENT);
    CHECK(strstr(e.err.text, "empty") && !e.reply.content);
    ids[3] = UINT32_MAX;
    CHECK_UINT(karat_generate(demo_session, ids, n_ids, &e.options, &e.reply, &e.err), KARAT_ERR_ARGUMENT);
    CHECK(strstr(e.err.text, "token 3 is 4294967295") && !e.reply.content);
    CHECK_UINT(karat_generate(demo_session, ids, 5000, NULL, NULL, NULL), KARAT_ERR_CONTEXT_FULL);
    karat_free(ids);
    check_usable(t);
}

TEST(generate_takes_controls_for_text)
{
    // Thoughts and calls mean something in a chat only.
    static const char prompt[] = "<|turn>system\n<|think|>\n<turn|>\n<|turn>user\nWhat is the capital of "
                                 "Japan?<turn|>\n<|turn>model\n";
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    struct exchange e = greedy();
    REQUIRE(demo_open_session(t));
    REQUIRE_OK(
        karat_tokenize(demo, prompt, strlen(prompt), KARAT_TOKENIZE_BOS | KARAT_TOKENIZE_SPECIAL, &ids, &n_ids, &e.err),
        e.err);
    e.options.on_piece = hear;
    e.options.user = &e.heard;
    e.status = karat_generate(demo_session, ids, n_ids, &e.options, &e.reply, &e.err);
    if (is_answered(t, &e)) {
        CHECK(strspn(e.heard.order, "A") == e.heard.n);
        CHECK_TEXT(e.reply.thinking, "");
        CHECK_TEXT(e.reply.content, "<|channel>thought\nThe country is Japan. Its capital is Tokyo.\n<channel|>The "
                                    "capital of Japan is Tokyo.");
    }
    karat_free(ids);
    end_exchange(&e);
}
