// server/exchange.h -- one request and the reply to it.
//
// A route's function gets an exchange and owes it exactly one end: exchange_reply(), exchange_fail(), or
// exchange_stream_end(). After the end the exchange is gone. When the client goes away first, on_close is called once
// and all later writes do nothing, but the end is still owed.
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include <event2/http.h>

#include "common/json.h"
#include "server/errors.h"

struct server;
struct route;

#define EXCHANGE_PING_S 30
#define EXCHANGE_UNREAD_BYTES_MAX ((size_t)4 << 20) // of a stream whose client does not read; more closes it

struct exchange {
    struct server *server;
    struct evhttp_request *request;
    const struct route *route;
    enum dialect dialect; // of errors
    char id[32];          // "req_..."
    const char *rest;     // what follows the path of a route that is a beginning, decoded; "" else
    struct text body;     // of the request, as it came
    struct json json;     // of the body, once exchange_read_json() said yes
    // Called when the client goes away before the end; may be NULL.
    void (*on_close)(void *user);
    void *user;
    // Private:
    struct event *ping;
    bool streaming, closed;
    char *rest_memory;
};

// The body as a JSON object. On failure false; the caller passes the fault to exchange_fail().
bool exchange_read_json(struct exchange *x, struct fault *fault);

const char *exchange_header(const struct exchange *x, const char *name); // of the request; NULL: it has none
void exchange_add_header(struct exchange *x, const char *name, const char *value);

void exchange_reply(struct exchange *x, int status, const char *content_type, const struct text *body);
void exchange_fail(struct exchange *x, const struct fault *fault); // also in mid-stream, as an event

// Server-sent events. Comments go out when there is nothing to send for EXCHANGE_PING_S: clients drop silent sockets.
void exchange_stream_begin(struct exchange *x);
// event NULL: without a name. One line of data.
void exchange_stream_send(struct exchange *x, const char *event, const char *data, size_t size);
void exchange_stream_end(struct exchange *x);

// For the router: makes an exchange, takes what is left of one.
struct exchange *exchange_create(struct server *server, struct evhttp_request *request);

#endif
