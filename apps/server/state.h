// server/state.h -- what all requests share. Private to the folder.
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include <event2/event.h>
#include <event2/http.h>

#include "server/exchange.h"
#include "server/server.h"

struct chats;
struct connections;
struct mailbox;
struct replay;
struct responses;

struct server {
    const struct server_options *options;
    const char *host; // that it listens on
    struct event_base *base;
    struct evhttp *http;
    struct connections *connections;
    struct karat_model *model;
    struct karat_model_facts facts;
    struct karat_scheduler *scheduler;
    struct mailbox *mailbox;
    struct replay *replay;
    struct responses *responses;
    struct chats *chats;
    struct text alias; // what the model is called
    int64_t started;   // seconds since 1970
    size_t n_exchanges;
    uint64_t n_requests; // answered on routes that generate
    bool lost;           // the device: nothing can be generated any more
};

// n random letters and digits, and a terminator.
void server_random_name(char *out, size_t n);
int64_t server_now(void); // seconds since 1970

// The callback of every request (routes.c).
void routes_serve(struct evhttp_request *request, void *server);

#endif
