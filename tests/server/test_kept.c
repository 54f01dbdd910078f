// tests/server/test_kept.c -- what the server keeps of replies, and for how long.
#include <stdlib.h>
#include <string.h>

#include "server/replay.h"
#include "server/responses.h"
#include "test.h"

static const uint32_t tokens[] = { 12, 700, 13 };

static void keep(struct replay *replay, unsigned number, const uint32_t *ids, size_t n)
{
    struct call call = { 0 };
    snprintf(call.id, sizeof call.id, "call_%024u", number);
    const struct choice choice = { .calls = &call, .n_calls = 1 };
    replay_keep(replay, &choice, ids, n);
}

// Whether a conversation with the call of this number gets its tokens.
static bool is_kept(struct replay *replay, const char *prefix, unsigned number)
{
    struct ask ask = { 0 };
    app_text_format(&ask.chat, "{\"messages\":[{\"tool_calls\":[{\"id\":\"%s%024u\"}]}],\"options\":{}}", prefix,
                    number);
    replay_attach(replay, &ask);
    struct json json = { 0 };
    struct text why = { 0 };
    const bool is_json = app_json_parse(&json, ask.chat.data, ask.chat.size, &why);
    const bool found = is_json && app_json_member(&json, 0, "sampled") != JSON_NONE;
    app_json_free(&json);
    app_text_free(&why);
    ask_free(&ask);
    return found;
}

TEST(calls_are_known_by_their_ids_in_every_dialect)
{
    struct replay *replay = replay_create();
    keep(replay, 7, tokens, 3);
    CHECK(is_kept(replay, "call_", 7) && is_kept(replay, "toolu_", 7));
    CHECK(!is_kept(replay, "call_", 8) && !is_kept(replay, "fc_", 7) && !is_kept(replay, "", 7));
    replay_destroy(replay);
}

TEST(a_conversation_gets_the_tokens_of_its_calls_once)
{
    struct replay *replay = replay_create();
    struct ask ask = { 0 };
    keep(replay, 1, tokens, 3);
    app_text_format(&ask.chat,
                    "{\"messages\":[{\"tool_calls\":[{\"id\":\"call_%024u\"},{\"id\":7}]},{\"role\":\"user\"},"
                    "{\"tool_calls\":[{\"id\":\"call_%024u\"}]}],\"options\":{}}",
                    1, 1);
    replay_attach(replay, &ask);
    CHECK(strstr(ask.chat.data, "\"options\":{},\"sampled\":[{\"calls\":[\"call_000000000000000000000001\"],"
                                "\"tokens\":[12,700,13]}]}"));
    ask_free(&ask);
    replay_destroy(replay);
}

TEST(the_replies_used_longest_ago_are_forgotten)
{
    struct replay *replay = replay_create();
    for (unsigned i = 0; i < REPLAY_REPLIES_MAX; ++i)
        keep(replay, i, tokens, 3);
    CHECK(is_kept(replay, "call_", 0)); // and used
    keep(replay, REPLAY_REPLIES_MAX, tokens, 3);
    CHECK(is_kept(replay, "call_", 0) && !is_kept(replay, "call_", 1) && is_kept(replay, "call_", 2));

    uint32_t *many = calloc(REPLAY_TOKENS_MAX, sizeof *many);
    REQUIRE(many);
    keep(replay, 5000, many, REPLAY_TOKENS_MAX);
    CHECK(is_kept(replay, "call_", 5000) && !is_kept(replay, "call_", 0));
    keep(replay, 5001, many, REPLAY_TOKENS_MAX / 2);
    keep(replay, 5002, many, REPLAY_TOKENS_MAX / 2);
    CHECK(!is_kept(replay, "call_", 5000) && is_kept(replay, "call_", 5001) && is_kept(replay, "call_", 5002));
    free(many);
    replay_destroy(replay);
}

// ------------------------------------------------------------------------------------------------ responses

static void keep_response(struct responses *responses, unsigned number, const char *said, const char *content,
                          bool forget)
{
    struct choice choice = { .content = { 0 } };
    struct answer answer = { .choices = &choice, .n_choices = 1 };
    struct text body = { 0 };
    snprintf(answer.id, sizeof answer.id, "resp_%u", number);
    answer.ask.forget = forget;
    app_text_add(&answer.ask.said, said);
    app_text_add(&choice.content, content);
    app_text_format(&body, "{\"id\":\"resp_%u\"}", number);
    responses_keep(responses, &answer, &body);
    app_text_free(&body);
    app_text_free(&choice.content);
    ask_free(&answer.ask);
}

static bool has_response(struct responses *responses, unsigned number)
{
    char id[32];
    struct fault fault;
    snprintf(id, sizeof id, "resp_%u", number);
    return responses_find(responses, id, &fault) != NULL;
}

TEST(a_conversation_grows_by_question_and_answer)
{
    struct responses *responses = responses_create();
    struct ask ask = { 0 };
    struct json json = { 0 };
    struct fault fault = { 0 };
    struct text why = { 0 };
    static const char body[] =
        "{\"input\":\"And you?\",\"previous_response_id\":\"resp_1\",\"instructions\":\"Be brief.\"}";
    keep_response(responses, 1, "{\"role\":\"user\",\"content\":\"Hi\"}", "Hello \"you\"", false);
    REQUIRE(app_json_parse(&json, body, sizeof body - 1, &why));
    CHECK(responses_read(responses, &ask, &json, &fault));
    CHECK_TEXT(
        app_text_of(&ask.chat),
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hi\"},"
        "{\"role\":\"assistant\",\"content\":\"Hello \\\"you\\\"\"},{\"role\":\"user\",\"content\":\"And you?\"}],"
        "\"options\":{\"enable_thinking\":false,\"add_generation_prompt\":true}}");
    ask_free(&ask);
    app_json_free(&json);
    responses_destroy(responses);
}

TEST(the_responses_used_longest_ago_are_forgotten)
{
    struct responses *responses = responses_create();
    struct fault fault;
    for (unsigned i = 0; i < RESPONSES_MAX; ++i)
        keep_response(responses, i, "", "a", false);
    CHECK(has_response(responses, 0)); // and used
    keep_response(responses, RESPONSES_MAX, "", "a", false);
    CHECK(has_response(responses, 0) && !has_response(responses, 1) && has_response(responses, 2));
    keep_response(responses, 5000, "", "a", true);
    CHECK(!has_response(responses, 5000));

    const size_t half = RESPONSES_BYTES_MAX / 2;
    char *large = calloc(half + 1, 1);
    REQUIRE(large);
    memset(large, 'a', half);
    keep_response(responses, 6000, "", large, false);
    CHECK(has_response(responses, 6000) && has_response(responses, 2));
    keep_response(responses, 6001, "", large, false);
    CHECK(has_response(responses, 6001) && !has_response(responses, 6000) && !has_response(responses, 3));
    keep_response(responses, 6002, large, large, false); // larger than all may be together
    CHECK(!has_response(responses, 6002) && has_response(responses, 6001));
    CHECK(responses_forget(responses, "resp_6001", &fault) && !has_response(responses, 6001));
    CHECK(!responses_forget(responses, "resp_6001", &fault));
    CHECK_UINT(fault.kind, ERROR_MISSING);
    free(large);
    responses_destroy(responses);
}
