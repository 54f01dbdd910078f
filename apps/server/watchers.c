// server/watchers.c -- see watchers.h.
#include "server/watchers.h"

#include <stdlib.h>
#include <string.h>

#include "server/chats.h"

struct watcher {
    struct watcher *next;
    struct chats *chats;
    int64_t chat, message;
    struct exchange *exchange;
};

static void send_kind(struct exchange *x, const char *event)
{
    exchange_stream_send(x, NULL, event, strlen(event));
}

static void tell_followed(struct exchange *x)
{
    send_kind(x, "{\"kind\":\"followed\"}");
    exchange_stream_end(x);
}

static void on_watcher_gone(void *user)
{
    struct watcher *gone = user;
    for (struct watcher **at = &gone->chats->watchers; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    exchange_stream_end(gone->exchange);
    free(gone);
}

void watchers_tell(struct chats *chats, int64_t chat, int64_t message)
{
    for (struct watcher **at = &chats->watchers, *watcher; (watcher = *at);) {
        if ((chat != 0 && watcher->chat != chat) || (message != 0 && watcher->message != message)) {
            at = &watcher->next;
            continue;
        }
        *at = watcher->next;
        watcher->exchange->on_close = NULL;
        tell_followed(watcher->exchange);
        free(watcher);
    }
}

void serve_next(struct exchange *x, int64_t chat, int64_t message)
{
    struct chats *chats = x->server->chats;
    struct text source = { 0 }, why = { 0 };
    const bool known = chat_store_message(chats->store, chat, message, &source, &why);
    app_text_free(&source);
    if (!known) {
        chats_fail_stored(x, &why);
        return;
    }
    exchange_stream_begin(x);
    send_kind(x, "{\"kind\":\"waiting\"}"); // and with it begin the signs of life
    if (chat_store_is_followed(chats->store, message)) {
        tell_followed(x);
        return;
    }
    struct watcher *watcher = app_memory_new(1, sizeof *watcher);
    *watcher = (struct watcher){
        .next = chats->watchers,
        .chats = chats,
        .chat = chat,
        .message = message,
        .exchange = x,
    };
    chats->watchers = watcher;
    x->on_close = on_watcher_gone;
    x->user = watcher;
}
