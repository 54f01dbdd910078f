// server/exchange.c -- requests and replies on evhttp.
#include "server/exchange.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/network.h"
#include "server/connections.h"
#include "server/state.h"

// ---------------------------------------------------------------------------------------------------- begin and end

static void on_close(struct evhttp_connection *connection, void *user)
{
    struct exchange *x = user;
    (void)connection;
    if (x->closed)
        return;
    x->closed = true;
    if (x->ping)
        event_del(x->ping);
    if (x->on_close)
        x->on_close(x->user);
}

struct exchange *exchange_create(struct server *server, struct evhttp_request *request)
{
    struct exchange *x = app_memory_new(1, sizeof *x);
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    const size_t size = evbuffer_get_length(input);
    x->server = server;
    x->request = request;
    x->rest = "";
    memcpy(x->id, "req_", 4);
    server_random_name(x->id + 4, 24);
    app_text_reserve(&x->body, size);
    evbuffer_remove(input, x->body.data, size);
    x->body.size = size;
    x->body.data[size] = '\0';
    server->n_exchanges++;
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    evhttp_connection_set_closecb(connection, on_close, x);
    connections_begin_answer(server->connections, connection);
    exchange_add_header(x, "X-Request-Id", x->id);
    return x;
}

// The connection is free for a next request, and nothing of it points here any more.
static void let_go(struct exchange *x)
{
    if (x->closed)
        return;
    struct evhttp_connection *connection = evhttp_request_get_connection(x->request);
    evhttp_connection_set_closecb(connection, NULL, NULL);
    connections_end_answer(x->server->connections, connection);
}

static void destroy(struct exchange *x)
{
    x->server->n_exchanges--;
    if (x->ping)
        event_free(x->ping);
    app_json_free(&x->json);
    app_text_free(&x->body);
    free(x->rest_memory);
    free(x);
}

bool exchange_read_json(struct exchange *x, struct fault *fault)
{
    struct text why = { 0 };
    if (x->body.size == 0)
        return fault_set(fault, ERROR_INVALID, NULL, "the request has no body, expected a JSON object");
    if (!app_json_parse(&x->json, x->body.data, x->body.size, &why)) {
        fault_set(fault, ERROR_INVALID, NULL, "the body is not JSON: %s", why.data);
        app_text_free(&why);
        return false;
    }
    if (!app_json_is(&x->json, 0, JSON_OBJECT))
        return fault_set(fault, ERROR_INVALID, NULL, "the body is JSON but no object");
    return true;
}

const char *exchange_header(const struct exchange *x, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(x->request), name);
}

void exchange_add_header(struct exchange *x, const char *name, const char *value)
{
    if (!x->closed)
        evhttp_add_header(evhttp_request_get_output_headers(x->request), name, value);
}

// ---------------------------------------------------------------------------------------------------- whole replies

void exchange_reply(struct exchange *x, int status, const char *content_type, const struct text *body)
{
    struct evbuffer *out = evbuffer_new();
    if (!out)
        event_base_loopbreak(x->server->base);
    else if (body)
        evbuffer_add(out, app_text_of(body), body->size);
    if (content_type)
        exchange_add_header(x, "Content-Type", content_type);
    let_go(x);
    evhttp_send_reply(x->request, status, NULL, out); // frees the request where the connection is gone
    if (out)
        evbuffer_free(out);
    destroy(x);
}

void exchange_fail(struct exchange *x, const struct fault *fault)
{
    struct text body = { 0 };
    error_write(&body, x->dialect, fault, x->id);
    if (x->streaming) {
        exchange_stream_send(x, x->dialect == DIALECT_ANTHROPIC ? "error" : NULL, body.data, body.size);
        exchange_stream_end(x);
    } else {
        if (fault->kind == ERROR_UNAVAILABLE)
            exchange_add_header(x, "Retry-After", "2");
        exchange_reply(x, error_status(fault->kind), "application/json; charset=utf-8", &body);
    }
    app_text_free(&body);
}

// ---------------------------------------------------------------------------------------------------- streams

static void send_bytes(struct exchange *x, const char *bytes, size_t size)
{
    static const struct timeval silence = { .tv_sec = EXCHANGE_PING_S };
    if (x->closed)
        return;
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(x->request));
    if (evbuffer_get_length(bufferevent_get_output(bev)) > EXCHANGE_UNREAD_BYTES_MAX) {
        network_hang_up(bufferevent_getfd(bev)); // the close of it comes as any other
        return;
    }
    struct evbuffer *out = evbuffer_new();
    if (!out)
        return;
    evbuffer_add(out, bytes, size);
    evhttp_send_reply_chunk(x->request, out);
    evbuffer_free(out);
    event_add(x->ping, &silence);
}

static void on_silence(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    send_bytes(user, ": still here\n\n", 14);
}

void exchange_stream_begin(struct exchange *x)
{
    x->streaming = true;
    if (x->closed)
        return;
    struct evhttp_connection *connection = evhttp_request_get_connection(x->request);
    // Tokens are small, and each is waited for.
    network_no_delay(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)));
    exchange_add_header(x, "Content-Type", "text/event-stream; charset=utf-8");
    exchange_add_header(x, "Cache-Control", "no-cache");
    exchange_add_header(x, "X-Accel-Buffering", "no");
    x->ping = event_new(x->server->base, -1, 0, on_silence, x);
    evhttp_send_reply_start(x->request, 200, NULL);
}

void exchange_stream_send(struct exchange *x, const char *event, const char *data, size_t size)
{
    struct text out = { 0 };
    if (event)
        app_text_format(&out, "event: %s\n", event);
    app_text_add(&out, "data: ");
    app_text_append(&out, data, size);
    app_text_add(&out, "\n\n");
    send_bytes(x, out.data, out.size);
    app_text_free(&out);
}

void exchange_stream_end(struct exchange *x)
{
    let_go(x);
    evhttp_send_reply_end(x->request);
    destroy(x);
}
