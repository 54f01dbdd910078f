// server/chat_answers.c -- the model's answers in the chats of the web page.
#include <inttypes.h>
#include <string.h>

#include "common/mcp.h"
#include "server/answer.h"
#include "server/chats.h"
#include "server/replay.h"

// ---------------------------------------------------------------------------------------------------- answers

static void writer_begin(struct answer *answer)
{
    struct live *live = answer->user;
    live->answer = answer;
    live_watch(live);
}

static void writer_piece(struct choice *choice, enum karat_piece kind, const char *text, size_t size)
{
    if (kind != KARAT_PIECE_TOOL_CALL) // they are told at the end
        live_grow(choice->answer->user, kind != KARAT_PIECE_ANSWER, text, size);
}

static void writer_choice_end(struct choice *choice)
{
    (void)choice;
}

static enum chat_state state_of(const struct live *live, const struct answer *answer)
{
    const enum karat_stop stop = answer->choices[0].stop;
    if (live->stopped)
        return CHAT_STATE_STOPPED;
    if (answer->failed)
        return answer->fault.kind == ERROR_UNAVAILABLE && answer->n_submitted ? CHAT_STATE_CUT : CHAT_STATE_FAILED;
    return stop == KARAT_STOP_LENGTH || stop == KARAT_STOP_CONTEXT ? CHAT_STATE_FULL : CHAT_STATE_DONE;
}

// The calls in the form that chat requests have them.
static void add_calls(struct text *out, const struct choice *choice)
{
    app_text_add(out, "[");
    for (size_t i = 0; i < choice->n_calls; ++i) {
        const struct call *call = &choice->calls[i];
        app_text_format(out, "%s{\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", i ? "," : "", call->id);
        app_text_json(out, app_text_of(&call->name), call->name.size);
        app_text_format(out, ",\"arguments\":%s}}", app_text_of(&call->arguments));
    }
    app_text_add(out, "]");
}

static void add_speed(struct text *out, const struct choice *choice)
{
    const double seconds = (double)choice->times.decode_ns * 1e-9;
    if (seconds > 0 && choice->n_generated > 1)
        app_text_format(out, ",\"speed\":\"%u tokens, %.3g per second\"", choice->n_generated,
                        choice->n_generated / seconds);
}

static void add_end(struct text *event, const struct answer *answer, enum chat_state state, const char *calls)
{
    app_text_format(event, "{\"kind\":\"end\",\"state\":\"%s\",\"tool_calls\":%s", chat_state_name(state), calls);
    if (state == CHAT_STATE_FAILED) {
        app_text_add(event, ",\"fault\":");
        app_text_json(event, answer->fault.message, strlen(answer->fault.message));
    }
    add_speed(event, &answer->choices[0]);
    app_text_add(event, "}");
}

// What its calls lead to is begun before the page hears of the end, and then reads the chat again.
static void writer_end(struct answer *answer)
{
    struct live *live = answer->user;
    const enum chat_state state = state_of(live, answer);
    const bool calls_tools = answer->choices[0].n_calls > 0;
    struct text calls = { 0 }, event = { 0 };
    add_calls(&calls, &answer->choices[0]);
    live_finish(live, state, calls_tools ? calls.data : NULL);
    if (state == CHAT_STATE_FAILED) {
        app_text_clear(&live->chats->fault);
        app_text_add(&live->chats->fault, answer->fault.message);
    }
    if (state == CHAT_STATE_DONE && calls_tools)
        chat_calls_go_on(live->chats, live->chat, live->message, &live->options);
    add_end(&event, answer, state, calls.data);
    live_end(live, &event);
    app_text_free(&calls);
    app_text_free(&event);
}

static const struct writer writer_live = {
    .id_prefix = "answer-",
    .begin = writer_begin,
    .piece = writer_piece,
    .choice_end = writer_choice_end,
    .end = writer_end,
};

// ---------------------------------------------------------------------------------------------------- asking

// The request for an answer: the branch, the page's options, the tools.
static bool add_request(struct text *request, struct chats *chats, int64_t question, const struct json *options,
                        struct text *why)
{
    const bool thinks = app_json_is(options, app_json_member(options, 0, "thinking"), JSON_TRUE);
    const bool no_tools = app_json_is(options, app_json_member(options, 0, "tools"), JSON_FALSE);
    const size_t temperature = app_json_member(options, 0, "temperature");
    const struct mcp *mcp = chats->server->options->mcp;
    app_text_add(request, "{\"messages\":");
    if (!chat_store_branch(chats->store, question, request, why))
        return false;
    app_text_format(request, ",\"stream\":true,\"chat_template_kwargs\":{\"enable_thinking\":%s}",
                    thinks ? "true" : "false");
    if (mcp && mcp_n_tools(mcp) > 0 && !no_tools)
        app_text_format(request, ",\"tools\":%s", mcp_declarations(mcp));
    if (temperature != JSON_NONE) {
        app_text_add(request, ",\"temperature\":");
        app_json_raw(options, temperature, request);
    }
    app_text_add(request, "}");
    return true;
}

// The branch that ends with `question` as a chat request, read as any other.
static bool read_ask(struct chats *chats, int64_t question, const struct text *options, struct ask *ask,
                     struct text *why)
{
    struct text request = { 0 };
    struct json json = { 0 }, wishes = { 0 };
    struct fault fault;
    bool ok = app_json_parse(&wishes, options->size ? options->data : "{}", options->size ? options->size : 2, why) &&
              add_request(&request, chats, question, &wishes, why) &&
              app_json_parse(&json, request.data, request.size, why);
    if (ok) {
        ok = ask_read_chat(ask, &json, &fault);
        if (!ok)
            app_text_add(why, fault.message);
        replay_attach(chats->server->replay, ask);
        ask_finish(ask, chats->server->facts.n_vocab);
    }
    app_json_free(&wishes);
    app_json_free(&json);
    app_text_free(&request);
    return ok;
}

int64_t chat_answer_begin(struct chats *chats, int64_t chat, int64_t question, const struct text *options,
                          struct text *why)
{
    struct ask ask = { 0 };
    int64_t id = 0;
    const struct chat_message message = {
        .chat = chat, .parent = question, .role = "assistant", .state = CHAT_STATE_GROWING
    };
    if (read_ask(chats, question, options, &ask, why) && chats_add(chats, &message, &id, why)) {
        app_text_clear(&chats->fault);
        answer_start_unattended(chats->server, &ask, &writer_live, live_create(chats, chat, id, options));
    }
    ask_free(&ask);
    return id;
}

static void reply_begun(struct exchange *x, int64_t question, int64_t answer, struct text *why)
{
    struct text body = { 0 };
    if (answer == 0) {
        chats_fail_stored(x, why);
        return;
    }
    app_text_format(&body, "{\"question\":%" PRId64 ",\"answer\":%" PRId64, question, answer);
    // It may have failed before anyone could look on: a full queue, a chat longer than the context.
    if (!live_find(x->server->chats, 0, answer) && x->server->chats->fault.size > 0) {
        app_text_add(&body, ",\"fault\":");
        app_text_json(&body, x->server->chats->fault.data, x->server->chats->fault.size);
    }
    app_text_add(&body, "}");
    chats_reply(x, &body);
}

void serve_message(struct exchange *x, int64_t chat)
{
    struct chats *chats = x->server->chats;
    struct text content = { 0 }, why = { 0 };
    int64_t question = 0, answer = 0;
    if (!chats_may_begin(x, chat))
        return;
    struct text options = chats_options(x);
    const int64_t wanted = chats_id_at(&x->json, "parent");
    // Who writes on instead of answering does not want the call.
    const int64_t parent = wanted ? chat_calls_decline(chats, chat, wanted, &why) : 0;
    app_json_content(&x->json, app_json_member(&x->json, 0, "content"), &content);
    const struct chat_message message = {
        .chat = chat,
        .parent = parent,
        .role = "user",
        .content = app_text_of(&content),
        .state = CHAT_STATE_DONE,
    };
    if ((parent != 0 || wanted == 0) && chats_add(chats, &message, &question, &why))
        answer = chat_answer_begin(chats, chat, question, &options, &why);
    app_text_free(&content);
    app_text_free(&options);
    reply_begun(x, question, answer, &why);
}

void serve_again(struct exchange *x, int64_t chat)
{
    struct text why = { 0 };
    if (!chats_may_begin(x, chat))
        return;
    const int64_t question = chats_id_at(&x->json, "parent");
    if (chat_calls_wait(x->server->chats, chat, question)) {
        chats_fail(x, ERROR_INVALID, "a call of a tool waits for the user's word there");
        return;
    }
    struct text options = chats_options(x);
    const int64_t answer = chat_answer_begin(x->server->chats, chat, question, &options, &why);
    app_text_free(&options);
    reply_begun(x, question, answer, &why);
}
