// tests/api/test_logprobs.c -- the tokens of an answer and their log probabilities, as karat.h promises them.
#include <stdlib.h>

#include "base/thread.h"
#include "demo.h"
#include "text/text.h"

#define USER(text) "[{\"role\": \"user\", \"content\": \"" text "\"}]"
#define WEATHER_TOOL                                                                                              \
    "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Get the weather in a " \
    "city\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", "           \
    "\"description\": \"City name\"}}, \"required\": [\"city\"]}}}"

// What came through the callbacks.
struct heard {
    struct text text;   // of the tokens
    struct text pieces; // of the answer
    uint32_t ids[512];
    float logprobs[512];
    size_t n, n_top;
    bool best_first, ahead; // the tokens' text was there before every piece's
};

static void hear_token(void *user, const struct karat_logprob *token, const struct karat_logprob *top, size_t n_top)
{
    struct heard *heard = user;
    char *text = NULL;
    size_t size = 0;
    if (karat_detokenize(demo, &token->id, 1, &text, &size, NULL) == KARAT_OK)
        text_append(&heard->text, text, size);
    karat_free(text);
    heard->best_first = heard->n == 0 || heard->best_first;
    for (size_t i = 0; i < n_top; ++i)
        heard->best_first = heard->best_first && (i == 0 || top[i].logprob <= top[i - 1].logprob);
    if (n_top > 0)
        heard->best_first = heard->best_first && token->logprob <= top[0].logprob;
    heard->n_top = n_top;
    if (heard->n < COUNT(heard->ids)) {
        heard->ids[heard->n] = token->id;
        heard->logprobs[heard->n++] = token->logprob;
    }
}

static bool hear_piece(void *user, enum karat_piece kind, const char *text, size_t size)
{
    struct heard *heard = user;
    if (kind == KARAT_PIECE_ANSWER) {
        text_append(&heard->pieces, text, size);
        heard->ahead = heard->text.size_bytes >= heard->pieces.size_bytes;
    }
    return true;
}

static void forget(struct heard *heard)
{
    text_free(&heard->text);
    text_free(&heard->pieces);
    *heard = (struct heard){ 0 };
}

static struct karat_generate_options greedy(struct heard *heard)
{
    return (struct karat_generate_options){ .sampling.greedy = true,
                                            .max_tokens = 100,
                                            .on_token = hear_token,
                                            .on_piece = hear_piece,
                                            .user = heard,
                                            .n_top = 5 };
}

static const struct {
    const char *name, *messages;
    bool thinking;
    const char *tools, *schema, *stop;
    const char *text; // of the tokens; NULL: the answer
} cases[] = {
    { "an answer", USER("Hello!"), .text = "Hello! How can I help you?" },
    { "characters of several tokens", USER("Show me some emoji."), .text = "😀 🎉 🌍" },
    { "a thought has none", USER("What is the capital of Japan?"), .thinking = true,
      .text = "The capital of Japan is Tokyo." },
    { "a call has none", USER("What is the weather in Oslo?"), .tools = "[" WEATHER_TOOL "]", .text = "" },
    { "a schema", USER("Hello!"), .schema = "{\"enum\": [\"one\", \"two\", \"three\"]}" },
    { "a stop text between tokens", USER("Hello!"), .stop = " help", .text = "Hello! How can I" },
    { "a stop text within a token", USER("Hello!"), .stop = "elp", .text = "Hello! How can I" },
    { "a stop text over tokens", USER("Hello!"), .stop = "ow can I he", .text = "Hello! " },
    { "the beginning of a stop text", USER("Hello!"), .stop = "you? No", .text = "Hello! How can I help you?" },
};

TEST(the_tokens_are_those_of_the_answer)
{
    REQUIRE(demo_open_session(t));
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct heard heard = { 0 };
        struct karat_reply reply = { 0 };
        struct karat_error err = { 0 };
        struct karat_generate_options options = greedy(&heard);
        t->row = cases[i].name;
        options.thinking = cases[i].thinking;
        options.tools = cases[i].tools;
        options.schema = cases[i].schema;
        options.stop = &cases[i].stop;
        options.n_stop = cases[i].stop ? 1 : 0;
        REQUIRE_OK(karat_chat(demo_session, cases[i].messages, &options, &reply, &err), err);
        const char *want = cases[i].text ? cases[i].text : reply.content;
        CHECK_TEXT(heard.text.data ? heard.text.data : "", want);
        CHECK_TEXT(heard.pieces.data ? heard.pieces.data : "", reply.content);
        CHECK(strncmp(reply.content, want, strlen(want)) == 0);
        if (heard.n > 0) {
            CHECK_UINT(heard.n_top, 5);
            CHECK(heard.best_first);
            CHECK(heard.ahead || cases[i].stop);
        }
        forget(&heard);
        karat_reply_free(&reply);
    }
    t->row = NULL;
}

struct judged {
    const struct heard *heard;
    size_t n_prompt, n_checked;
    struct test *t;
};

static bool judge(void *user, size_t index, const float *logits)
{
    struct judged *judged = user;
    struct test *t = judged->t;
    if (index + 1 < judged->n_prompt || index + 1 - judged->n_prompt >= judged->heard->n)
        return true;
    const size_t k = index + 1 - judged->n_prompt;
    struct karat_model_facts facts;
    karat_model_describe(demo, &facts);
    double sum = 0;
    for (uint32_t i = 0; i < facts.n_vocab; ++i)
        sum += exp((double)logits[i]);
    CHECK_NEAR(judged->heard->logprobs[k], (double)logits[judged->heard->ids[k]] - log(sum), 2e-3);
    ++judged->n_checked;
    return true;
}

TEST(log_probabilities_are_the_models_own_whatever_the_sampling)
{
    static const char prompt[] = "The capital of";
    struct heard heard = { 0 };
    struct karat_error err = { 0 };
    uint32_t *ids = NULL, all[600];
    size_t n_ids = 0;
    REQUIRE(demo_open_session(t));
    REQUIRE_OK(karat_tokenize(demo, prompt, strlen(prompt), KARAT_TOKENIZE_BOS, &ids, &n_ids, &err), err);
    struct karat_generate_options options = greedy(&heard);
    options.max_tokens = 12;
    options.sampling = (struct karat_sampling){
        .temperature = 2, .top_k = 40, .repeat_penalty = 1.3f, .presence_penalty = 0.5f, .seed = 11
    };
    REQUIRE_OK(karat_generate(demo_session, ids, n_ids, &options, NULL, &err), err);
    CHECK(heard.n > 0 && n_ids + heard.n <= COUNT(all));
    memcpy(all, ids, n_ids * sizeof *ids);
    memcpy(all + n_ids, heard.ids, heard.n * sizeof *all);
    struct judged judged = { &heard, n_ids, 0, t };
    REQUIRE_OK(karat_session_evaluate(demo_session, all, n_ids + heard.n, judge, &judged, &err), err);
    CHECK_UINT(judged.n_checked, heard.n);
    karat_free(ids);
    forget(&heard);
}

TEST(more_than_twenty_are_refused)
{
    struct heard heard = { 0 };
    struct karat_error err = { 0 };
    struct karat_generate_options options = greedy(&heard);
    REQUIRE(demo_open_session(t));
    options.n_top = 21;
    CHECK_UINT(karat_chat(demo_session, USER("Hello!"), &options, NULL, &err), KARAT_ERR_ARGUMENT);
    CHECK_TEXT(err.text, "21 log probabilities were asked for at each token, at most 20 are kept");
}

// ------------------------------------------------------------------------------------------------ many at once

static struct {
    struct mutex mutex;
    struct condition changed;
    unsigned n_done;
} crowd = { MUTEX_INIT, CONDITION_INIT, 0 };

static void count_done(void *user, enum karat_status status, const struct karat_reply *reply,
                       const struct karat_request_times *times, const struct karat_error *err)
{
    (void)user, (void)status, (void)reply, (void)times, (void)err;
    mutex_lock(&crowd.mutex);
    ++crowd.n_done;
    condition_signal_all(&crowd.changed);
    mutex_unlock(&crowd.mutex);
}

TEST(a_scheduler_tells_them_to_each_request)
{
    static const char chat[] = "{\"messages\":" USER("Hello!") ",\"options\":{\"add_generation_prompt\":true}}";
    struct karat_scheduler *scheduler = NULL;
    struct karat_error err = { 0 };
    static struct heard heard[2];
    REQUIRE(demo_open_session(t));
    REQUIRE_OK(karat_scheduler_open(&scheduler, demo,
                                    &(struct karat_scheduler_options){ .n_slots = 2, .n_context = 256 }, &err),
               err);
    for (size_t i = 0; i < COUNT(heard); ++i) {
        struct karat_generate_options options = greedy(&heard[i]);
        const struct karat_request request = {
            .chat = chat, .generate = &options, .on_done = count_done, .user = &heard[i]
        };
        REQUIRE_OK(karat_scheduler_submit(scheduler, &request, NULL, &err), err);
    }
    mutex_lock(&crowd.mutex);
    while (crowd.n_done < COUNT(heard))
        condition_wait(&crowd.changed, &crowd.mutex);
    mutex_unlock(&crowd.mutex);
    karat_scheduler_close(scheduler);
    CHECK_NEAR(heard[1].logprobs[0], heard[0].logprobs[0], 1e-3);
    for (size_t i = 0; i < COUNT(heard); ++i) {
        CHECK_TEXT(heard[i].text.data, "Hello! How can I help you?");
        CHECK(heard[i].best_first && heard[i].n == 9);
        forget(&heard[i]);
    }
}
