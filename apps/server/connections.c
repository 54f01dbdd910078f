// server/connections.c -- connections from their first byte: counted, timed, and answered in JSON even by evhttp
// itself.
#include "server/connections.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/network.h"
#include "common/platform.h"
#include "server/errors.h"

// One connection. The reference on its bufferevent keeps the pointer good after evhttp has freed it, and its socket
// open until the next sweep.
struct link {
    struct connections *owner;
    struct bufferevent *bev;
    uint64_t request_ns; // when the first byte of the request came that is being read; 0: none is
    bool answering;
};

struct connections {
    struct event_base *base;
    struct event *sweep;
    struct link **links; // oldest first, but for gaps that the last one filled
    size_t n_links;
    uint64_t request_ns_max;
};

// ---------------------------------------------------------------------------------------------------- error pages

static struct text error_page(int status)
{
    struct text out = { 0 }, body = { 0 };
    struct fault fault;
    fault_set(&fault, error_kind_of_status(status), NULL, "%s",
              status == 413   ? "the request's body is larger than the server takes"
              : status == 405 ? "the server does not know this method"
              : status >= 500
                  ? "the server does not know this method"
                  : "this is not a well-formed HTTP request, or its headers are larger than the server takes");
    error_write(&body, DIALECT_OPENAI, &fault, NULL);
    app_text_format(&out,
                    "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: "
                    "close\r\n\r\n%s",
                    status,
                    status == 413   ? "Payload Too Large"
                    : status >= 500 ? "Not Implemented"
                                    : "Bad Request",
                    body.size, body.data);
    app_text_free(&body);
    return out;
}

// What evhttp refuses it answers with a page of its own, header and page in two pieces. When the second comes, both are
// still here: they leave with the loop's next round.
static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *user)
{
    static const char mark[] = "<HTML><HEAD>";
    char head[16] = { 0 };
    struct evbuffer_ptr at;
    (void)user;
    if (info->n_added < sizeof mark || evbuffer_copyout(output, head, 13) != 13 || memcmp(head, "HTTP/1.", 7) != 0 ||
        (head[9] != '4' && head[9] != '5'))
        return;
    if ((at = evbuffer_search(output, mark, sizeof mark - 1, NULL)).pos < 0)
        return;
    struct text page = error_page(atoi(head + 9));
    evbuffer_drain(output, evbuffer_get_length(output));
    evbuffer_add(output, page.data, page.size);
    app_text_free(&page);
}

// ---------------------------------------------------------------------------------------------------- accepting

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *user)
{
    struct link *link = user;
    (void)input;
    if (info->n_added > 0 && !link->answering && !link->request_ns)
        link->request_ns = platform_clock_ns();
}

static struct bufferevent *on_connection(struct event_base *base, void *user)
{
    struct connections *c = user;
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!bev)
        return NULL;
    struct link *link = app_memory_new(1, sizeof *link);
    link->owner = c;
    link->bev = bev;
    bufferevent_incref(bev);
    evbuffer_add_cb(bufferevent_get_input(bev), on_input, link);
    evbuffer_add_cb(bufferevent_get_output(bev), on_output, link);
    c->links = app_memory_resize(c->links, c->n_links + 1, sizeof(struct link *));
    c->links[c->n_links++] = link;
    return bev;
}

static void release(struct link *link)
{
    evbuffer_remove_cb(bufferevent_get_input(link->bev), on_input, link);
    evbuffer_remove_cb(bufferevent_get_output(link->bev), on_output, link);
    bufferevent_decref(link->bev);
    free(link);
}

// evhttp always listens for the end of a connection that it has.
static bool is_gone(const struct link *link)
{
    bufferevent_data_cb on_read, on_write;
    bufferevent_event_cb on_event;
    void *argument;
    bufferevent_getcb(link->bev, &on_read, &on_write, &on_event, &argument);
    return !on_event;
}

static void on_sweep(evutil_socket_t fd, short what, void *user)
{
    struct connections *c = user;
    const uint64_t now = platform_clock_ns();
    (void)fd, (void)what;
    for (size_t i = 0; i < c->n_links;) {
        struct link *link = c->links[i];
        if (is_gone(link)) {
            release(link);
            c->links[i] = c->links[--c->n_links];
            continue;
        }
        const bool late = link->request_ns && now - link->request_ns > c->request_ns_max;
        if (late || (i >= CONNECTIONS_MAX && !link->answering))
            network_hang_up(bufferevent_getfd(link->bev)); // evhttp sees the end of it and frees what it has
        ++i;
    }
}

struct connections *connections_create(struct event_base *base, struct evhttp *http, unsigned request_seconds)
{
    struct connections *c = app_memory_new(1, sizeof *c);
    const struct timeval period = { .tv_usec = 100000 };
    c->base = base;
    c->request_ns_max = (uint64_t)(request_seconds ? request_seconds : CONNECTION_REQUEST_S) * 1000000000u;
    c->sweep = event_new(base, -1, EV_PERSIST, on_sweep, c);
    event_add(c->sweep, &period);
    evhttp_set_bevcb(http, on_connection, c);
    evhttp_set_max_headers_size(http, CONNECTION_HEADER_BYTES);
    evhttp_set_max_body_size(http, CONNECTION_BODY_BYTES);
    evhttp_set_timeout(http, CONNECTION_IDLE_S);
    evhttp_set_flags(http, EVHTTP_SERVER_LINGERING_CLOSE);
    return c;
}

void connections_destroy(struct connections *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_links; ++i)
        release(c->links[i]);
    event_free(c->sweep);
    free(c->links);
    free(c);
}

// ---------------------------------------------------------------------------------------------------- answering

static void mark(struct connections *c, struct bufferevent *bev, bool answering)
{
    for (size_t i = 0; i < c->n_links; ++i)
        if (c->links[i]->bev == bev) {
            c->links[i]->answering = answering;
            c->links[i]->request_ns = 0;
        }
}

void connections_begin_answer(struct connections *c, struct evhttp_connection *connection)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);
    const struct timeval write = { .tv_sec = CONNECTION_WRITE_S };
    bufferevent_data_cb on_read, on_write;
    bufferevent_event_cb on_event;
    void *argument;
    mark(c, bev, true);
    // evhttp stops reading here, and so would not see the client go. Bytes of a next request wait in the buffer; its
    // reader, which takes bytes at this point for a fault of the program, is not called.
    bufferevent_getcb(bev, &on_read, &on_write, &on_event, &argument);
    bufferevent_setcb(bev, NULL, on_write, on_event, argument);
    bufferevent_setwatermark(bev, EV_READ, 0, CONNECTION_HEADER_BYTES);
    bufferevent_set_timeouts(bev, NULL, &write);
    bufferevent_enable(bev, EV_READ);
}

void connections_end_answer(struct connections *c, struct evhttp_connection *connection)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);
    const struct timeval idle = { .tv_sec = CONNECTION_IDLE_S }, write = { .tv_sec = CONNECTION_WRITE_S };
    bufferevent_setwatermark(bev, EV_READ, 0, 0);
    bufferevent_set_timeouts(bev, &idle, &write);
    mark(c, bev, false);
}

size_t connections_count(const struct connections *c)
{
    return c->n_links;
}
