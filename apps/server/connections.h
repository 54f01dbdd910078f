// server/connections.h -- limits on what one connection, and all of them, may cost before there is a request to answer.
//
// evhttp limits sizes, and how long a connection may be silent; not how long a request may trickle in, nor how many
// connections there are. And what it refuses by itself it refuses in HTML; here its pages become error objects.
#ifndef SERVER_CONNECTIONS_H
#define SERVER_CONNECTIONS_H

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdbool.h>

#define CONNECTIONS_MAX 900           // further ones are closed; a process may often have 1,024 files
#define CONNECTION_HEADER_BYTES 65536 // request line and headers
#define CONNECTION_BODY_BYTES ((long)32 << 20)
#define CONNECTION_IDLE_S 75    // without a request
#define CONNECTION_REQUEST_S 60 // from a request's first byte to its last
#define CONNECTION_WRITE_S 60   // for a client that does not read

struct connections;

// Applies the limits to `http` from now on. `request_seconds` 0: CONNECTION_REQUEST_S.
struct connections *connections_create(struct event_base *base, struct evhttp *http, unsigned request_seconds);
void connections_destroy(struct connections *connections); // after the evhttp is freed

// While a request is being answered its connection may be silent; the close of it is noticed.
void connections_begin_answer(struct connections *connections, struct evhttp_connection *connection);
void connections_end_answer(struct connections *connections, struct evhttp_connection *connection);

size_t connections_count(const struct connections *connections);

#endif
