// server/live.h -- a message of a chat in the making, be it an answer or what a tool says, and the pages that look on.
//
// What has come since the last second is not in the store yet.
#ifndef SERVER_LIVE_H
#define SERVER_LIVE_H

#include "common/chat_store.h"
#include "server/state.h"

struct answer;
struct tool_run;
struct tool_runs;
struct watcher;

struct chats {
    struct server *server;
    struct chat_store *store; // NULL: see why
    struct text why;
    struct live *lives;
    struct watcher *watchers;
    struct tool_runs *runs; // NULL: there are no tools
    struct text fault;      // of the answer that failed last
    bool closing;
};

struct live {
    struct live *next;
    struct chats *chats;
    int64_t chat, message;
    struct text options;   // what the page wished for the answers here: a JSON object, or empty
    struct answer *answer; // one of these two; NULL before it is begun and after its end
    struct tool_run *run;
    struct text content, thinking; // not stored yet
    struct event *timer;
    struct follower *followers;
    bool stopped; // by the user
};

// For a message that was just stored as growing. `options` is copied.
struct live *live_create(struct chats *chats, int64_t chat, int64_t message, const struct text *options);
// Of this chat and with this message; 0 is any.
struct live *live_find(const struct chats *chats, int64_t chat, int64_t message);

// Saves every second from now on.
void live_watch(struct live *live);
// Takes a piece of the answer or of a thought, and tells it to those who look on.
void live_grow(struct live *live, bool is_thought, const char *text, size_t size);
// Brings the store up to what has come. What it refuses now is tried again with the next piece.
void live_save(struct live *live);
// Ends the message in the store; tool_calls may be NULL. It is no longer found from now on, so that the next one may
// begin.
void live_finish(struct live *live, enum chat_state state, const char *tool_calls);
// Tells those who look on the last event, a JSON object, and frees it.
void live_end(struct live *live, const struct text *event);

// GET /chats/ID/answers/ID: all of it so far, then what is added. POST .../stop.
void serve_follow(struct exchange *x, int64_t chat, int64_t message);
void serve_stop(struct exchange *x, int64_t chat, int64_t message);

#endif
