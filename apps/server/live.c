// server/live.c -- messages in the making, and the pages that look on.
#include "server/live.h"

#include <stdlib.h>
#include <string.h>

#include "server/answer.h"
#include "server/chats.h"
#include "server/tool_runs.h"

// A page that looks on.
struct follower {
    struct follower *next;
    struct live *live;
    struct exchange *exchange;
    bool gone;
};

// ---------------------------------------------------------------------------------------------------- life

struct live *live_create(struct chats *chats, int64_t chat, int64_t message, const struct text *options)
{
    struct live *live = app_memory_new(1, sizeof *live);
    *live = (struct live){ .next = chats->lives, .chats = chats, .chat = chat, .message = message };
    app_text_append(&live->options, app_text_of(options), options->size);
    chats->lives = live;
    return live;
}

struct live *live_find(const struct chats *chats, int64_t chat, int64_t message)
{
    for (struct live *live = chats->lives; live; live = live->next)
        if ((chat == 0 || live->chat == chat) && (message == 0 || live->message == message))
            return live;
    return NULL;
}

static void send_event(struct exchange *x, const char *kind, const char *text, size_t size)
{
    struct text event = { 0 };
    if (size == 0)
        return;
    app_text_format(&event, "{\"kind\":\"%s\",\"text\":", kind);
    app_text_json(&event, text, size);
    app_text_add(&event, "}");
    exchange_stream_send(x, NULL, event.data, event.size);
    app_text_free(&event);
}

void live_grow(struct live *live, bool is_thought, const char *text, size_t size)
{
    app_text_append(is_thought ? &live->thinking : &live->content, text, size);
    for (struct follower *f = live->followers; f; f = f->next)
        if (!f->gone)
            send_event(f->exchange, is_thought ? "thought" : "answer", text, size);
}

void live_save(struct live *live)
{
    struct text fault = { 0 };
    if (live->content.size + live->thinking.size > 0 &&
        chat_store_grow(live->chats->store, live->message, app_text_of(&live->content), app_text_of(&live->thinking),
                        &fault)) {
        app_text_clear(&live->content);
        app_text_clear(&live->thinking);
    }
    app_text_free(&fault);
}

static void on_second(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    live_save(user);
}

void live_watch(struct live *live)
{
    static const struct timeval second = { .tv_sec = 1 };
    live->timer = event_new(live->chats->server->base, -1, EV_PERSIST, on_second, live);
    event_add(live->timer, &second);
}

void live_finish(struct live *live, enum chat_state state, const char *tool_calls)
{
    struct text fault = { 0 };
    live_save(live);
    chat_store_finish(live->chats->store, live->message, state, tool_calls, &fault);
    app_text_free(&fault);
    for (struct live **at = &live->chats->lives; *at; at = &(*at)->next)
        if (*at == live) {
            *at = live->next;
            break;
        }
}

void live_end(struct live *live, const struct text *event)
{
    for (struct follower *f = live->followers, *next; f; f = next) {
        next = f->next;
        f->exchange->on_close = NULL;
        if (!f->gone)
            exchange_stream_send(f->exchange, NULL, event->data, event->size);
        exchange_stream_end(f->exchange);
        free(f);
    }
    if (live->timer)
        event_free(live->timer);
    app_text_free(&live->options);
    app_text_free(&live->content);
    app_text_free(&live->thinking);
    free(live);
}

// ---------------------------------------------------------------------------------------------------- looking on

static void on_follower_gone(void *user)
{
    struct follower *gone = user;
    for (struct follower **at = &gone->live->followers; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    exchange_stream_end(gone->exchange);
    free(gone);
}

// What the store has of a message, as the events that made it. *state is its state. False: it is not there.
static bool replay(struct exchange *x, int64_t chat, int64_t message, struct text *state)
{
    struct text source = { 0 }, why = { 0 }, content = { 0 };
    struct json json = { 0 };
    if (!chat_store_message(x->server->chats->store, chat, message, &source, &why) ||
        !app_json_parse(&json, source.data, source.size, &why)) {
        app_text_free(&source);
        chats_fail_stored(x, &why);
        return false;
    }
    exchange_stream_begin(x);
    app_json_content(&json, app_json_member(&json, 0, "thinking"), &content);
    send_event(x, "thought", app_text_of(&content), content.size);
    app_text_clear(&content);
    app_json_content(&json, app_json_member(&json, 0, "content"), &content);
    send_event(x, "answer", app_text_of(&content), content.size);
    app_json_content(&json, app_json_member(&json, 0, "state"), state);
    if (strcmp(app_text_of(state), "growing") != 0) {
        app_text_clear(&content);
        app_text_format(&content, "{\"kind\":\"end\",\"state\":\"%s\",\"tool_calls\":", state->data);
        app_json_raw(&json, app_json_member(&json, 0, "tool_calls"), &content);
        app_text_add(&content, "}");
        exchange_stream_send(x, NULL, content.data, content.size);
    }
    app_json_free(&json);
    app_text_free(&content);
    app_text_free(&source);
    return true;
}

void serve_follow(struct exchange *x, int64_t chat, int64_t message)
{
    struct live *live = live_find(x->server->chats, chat, message);
    struct text state = { 0 };
    if (live)
        live_save(live);
    if (!replay(x, chat, message, &state))
        return;
    app_text_free(&state);
    if (!live) {
        exchange_stream_end(x);
        return;
    }
    // What the store could not take is told from here.
    send_event(x, "thought", app_text_of(&live->thinking), live->thinking.size);
    send_event(x, "answer", app_text_of(&live->content), live->content.size);
    struct follower *follower = app_memory_new(1, sizeof *follower);
    *follower = (struct follower){ .next = live->followers, .live = live, .exchange = x };
    live->followers = follower;
    x->on_close = on_follower_gone;
    x->user = follower;
}

void serve_stop(struct exchange *x, int64_t chat, int64_t message)
{
    struct live *live = live_find(x->server->chats, chat, message);
    if (live) {
        live->stopped = true;
        if (live->answer)
            answer_cancel(live->answer);
        if (live->run)
            tool_run_stop(live->run);
    }
    chats_reply_done(x); // what has ended is stopped
}
