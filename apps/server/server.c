// server/server.c -- from options to a listening socket, and back when the user has had enough.
#include "server/server.h"

#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/network.h"
#include "common/platform.h"
#include "server/answer.h"
#include "server/chats.h"
#include "server/connections.h"
#include "server/gate.h"
#include "server/replay.h"
#include "server/responses.h"
#include "server/state.h"

static const char no_loop[] = "the event loop cannot be set up";

static const char *host_of(const struct server_options *options)
{
    return options->host ? options->host : "127.0.0.1";
}

bool server_check(const struct server_options *options, struct text *fault)
{
    const char *host = host_of(options);
    if (options->api_key || gate_is_loopback(host))
        return true;
    app_text_format(fault,
                    "%s can be reached from other machines, so the server wants a key: add --api-key KEY, or listen on "
                    "127.0.0.1",
                    host);
    return false;
}

void server_random_name(char *out, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < n;) {
        unsigned char random[64];
        evutil_secure_rng_get_bytes(random, sizeof random);
        for (size_t k = 0; k < sizeof random && i < n; ++k)
            if (random[k] < 4 * (sizeof letters - 1)) // each letter as likely as any other
                out[i++] = letters[random[k] % (sizeof letters - 1)];
    }
    out[n] = '\0';
}

int64_t server_now(void)
{
    return (int64_t)time(NULL);
}

// ---------------------------------------------------------------------------------------------------- opening

// The file's name without folder and ending.
static void name_model(struct server *s)
{
    const struct server_options *options = s->options;
    const char *path = options->alias ? options->alias : options->model_path ? options->model_path : "pebble";
    app_text_add(&s->alias, options->alias ? path : platform_file_name(path));
    if (!options->alias && s->alias.size > 5 && strcmp(s->alias.data + s->alias.size - 5, ".gguf") == 0) {
        s->alias.size -= 5;
        s->alias.data[s->alias.size] = '\0';
    }
}

static bool listen_at(struct server *s, struct text *url, struct text *fault)
{
    const intptr_t socket = network_listen(s->host, s->options->port, fault);
    if (socket == -1)
        return false;
    network_url(socket, url);
    evutil_make_socket_nonblocking((evutil_socket_t)socket);
    if (evhttp_accept_socket(s->http, (evutil_socket_t)socket) == 0)
        return true; // evhttp closes it
    network_close(socket);
    app_text_add(fault, no_loop);
    return false;
}

static void on_signal(evutil_socket_t signal, short what, void *base)
{
    (void)signal, (void)what;
    event_base_loopexit(base, NULL);
}

// libevent's locks, of the kind of threads that it was built for.
static bool use_threads(void)
{
#ifdef EVTHREAD_USE_WINDOWS_THREADS_IMPLEMENTED
    return evthread_use_windows_threads() == 0;
#else
    return evthread_use_pthreads() == 0;
#endif
}

static bool open_all(struct server *s, struct text *fault)
{
    struct karat_error err = { 0 };
    if (!network_start() || !use_threads() || !(s->base = event_base_new()) || !(s->http = evhttp_new(s->base))) {
        app_text_add(fault, no_loop);
        return false;
    }
    s->connections = connections_create(s->base, s->http, 0);
    s->mailbox = mailbox_create(s->base);
    s->replay = replay_create();
    s->responses = responses_create();
    s->chats = chats_open(s);
    evhttp_set_gencb(s->http, routes_serve, s);
    evhttp_set_allowed_methods(s->http, 0x1ff); // others are refused by the table of routes
    evhttp_set_default_content_type(s->http, NULL);
    if (karat_scheduler_open(&s->scheduler, s->model, &s->options->scheduler, &err) != KARAT_OK) {
        app_text_add(fault, err.text);
        return false;
    }
    return true;
}

static void close_all(struct server *s)
{
    karat_scheduler_close(s->scheduler);
    s->scheduler = NULL;
    if (s->mailbox)
        mailbox_empty(s->mailbox);
    chats_close(s->chats);
    if (s->http)
        evhttp_free(s->http);
    connections_destroy(s->connections);
    mailbox_destroy(s->mailbox);
    replay_destroy(s->replay);
    responses_destroy(s->responses);
    if (s->base)
        event_base_free(s->base);
    app_text_free(&s->alias);
}

bool server_run(struct karat_model *model, const struct server_options *options, server_ready_fn *on_ready, void *user,
                struct text *fault)
{
    struct server s = {
        .options = options,
        .host = host_of(options),
        .model = model,
        .started = server_now(),
    };
    struct event *signals[2] = { 0 };
    static const int numbers[2] = { SIGINT, SIGTERM };
    struct text url = { 0 };
    karat_model_describe(model, &s.facts);
    name_model(&s);
    const bool good = open_all(&s, fault) && listen_at(&s, &url, fault);
    if (good) {
        platform_ends_are_signals();
        for (int i = 0; i < 2; ++i) {
            signals[i] = evsignal_new(s.base, numbers[i], on_signal, s.base);
            event_add(signals[i], NULL);
        }
        if (on_ready)
            on_ready(user, url.data);
        event_base_dispatch(s.base);
    }
    for (int i = 0; i < 2; ++i)
        if (signals[i])
            event_free(signals[i]);
    close_all(&s);
    app_text_free(&url);
    return good;
}
