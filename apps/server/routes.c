// server/routes.c -- the table of routes, and the way of a request to one of them.
#include "server/routes.h"

#include <stdlib.h>
#include <string.h>

#include "server/gate.h"
#include "server/state.h"

enum { CHANGE = EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE };
enum { GET = EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, POST = EVHTTP_REQ_POST };
enum { OPEN = 1, BEGINNING = 2, MODEL = 4 }; // needs no key; is the beginning of longer paths; needs the model

struct route {
    unsigned methods;
    const char *path; // also served with /v1 before it
    unsigned flags;
    enum dialect dialect;
    void (*serve)(struct exchange *x);
};

static const struct route routes[] = {
    { POST, "/chat/completions", MODEL, DIALECT_OPENAI, serve_chat },
    { POST, "/completions", MODEL, DIALECT_OPENAI, serve_completion },
    { POST, "/responses", MODEL, DIALECT_OPENAI, serve_responses },
    { GET | EVHTTP_REQ_DELETE, "/responses/", BEGINNING, DIALECT_OPENAI, serve_response },
    { POST, "/messages", MODEL, DIALECT_ANTHROPIC, serve_messages },
    { POST, "/messages/count_tokens", 0, DIALECT_ANTHROPIC, serve_count_messages },
    { POST, "/chat/completions/input_tokens", 0, DIALECT_OPENAI, serve_count_chat },
    { POST, "/responses/input_tokens", 0, DIALECT_OPENAI, serve_count_responses },
    { GET, "/models", OPEN, DIALECT_OPENAI, serve_models },
    { GET, "/models/", OPEN | BEGINNING, DIALECT_OPENAI, serve_model },
    { GET, "/health", OPEN, DIALECT_OPENAI, serve_health },
    { GET, "/props", 0, DIALECT_OPENAI, serve_props },
    { GET, "/metrics", 0, DIALECT_OPENAI, serve_metrics },
    { POST, "/tokenize", 0, DIALECT_OPENAI, serve_tokenize },
    { POST, "/detokenize", 0, DIALECT_OPENAI, serve_detokenize },
    { POST, "/apply-template", 0, DIALECT_OPENAI, serve_apply_template },
    { GET, "/", OPEN, DIALECT_OPENAI, serve_page },
    { GET, "/page.js", OPEN, DIALECT_OPENAI, serve_page },
    { GET, "/page.css", OPEN, DIALECT_OPENAI, serve_page },
    { GET, "/licences.txt", OPEN, DIALECT_OPENAI, serve_page },
    { GET, "/tools", 0, DIALECT_OPENAI, serve_tools },
    { GET | POST, "/chats", 0, DIALECT_OPENAI, serve_chat_list },
    { GET | POST | CHANGE, "/chats/", BEGINNING, DIALECT_OPENAI, serve_chats },
};

// ---------------------------------------------------------------------------------------------------- finding

static bool matches(const struct route *route, const char *path, const char **rest)
{
    const size_t size = strlen(route->path);
    *rest = "";
    if (!(route->flags & BEGINNING))
        return strcmp(path, route->path) == 0;
    if (strncmp(path, route->path, size) != 0 || path[size] == '\0')
        return false;
    *rest = path + size;
    return true;
}

// The route of a path; *methods are those of all that have the path.
static const struct route *find(const char *path, unsigned method, const char **rest, unsigned *methods)
{
    const bool versioned = strncmp(path, "/v1/", 4) == 0;
    *methods = 0;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; ++i) {
        if (!matches(&routes[i], versioned ? path + 3 : path, rest))
            continue;
        *methods |= routes[i].methods;
        if (routes[i].methods & method)
            return &routes[i];
    }
    return NULL;
}

static void add_methods(struct exchange *x, const char *header, unsigned methods)
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = {
        { EVHTTP_REQ_GET, "GET, " },     { EVHTTP_REQ_HEAD, "HEAD, " },     { EVHTTP_REQ_POST, "POST, " },
        { EVHTTP_REQ_PATCH, "PATCH, " }, { EVHTTP_REQ_DELETE, "DELETE, " },
    };
    struct text list = { 0 };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        app_text_add(&list, methods & names[i].method ? names[i].name : "");
    app_text_add(&list, "OPTIONS");
    exchange_add_header(x, header, list.data);
    app_text_free(&list);
}

// ---------------------------------------------------------------------------------------------------- the way

static bool check_sender(struct exchange *x, struct fault *fault)
{
    const char *host = exchange_header(x, "Host"), *origin = exchange_header(x, "Origin");
    if (!gate_host_allowed(host, x->server->host))
        return fault_set(fault, ERROR_PERMISSION, NULL,
                         "the Host header is %.200s, but this server answers to names of this machine only",
                         host ? host : "missing");
    if (!gate_origin_allowed(origin, host))
        return fault_set(fault, ERROR_PERMISSION, NULL, "pages of %.200s may not use this server", origin);
    if (origin) {
        exchange_add_header(x, "Access-Control-Allow-Origin", origin);
        exchange_add_header(x, "Vary", "Origin");
    }
    return true;
}

static bool check_key(const struct exchange *x, struct fault *fault)
{
    const char *wanted = x->server->options->api_key;
    const char *bearer = exchange_header(x, "Authorization"), *key = exchange_header(x, "X-Api-Key");
    if (!wanted || gate_key_matches(bearer, key, wanted))
        return true;
    return fault_set(fault, ERROR_AUTHENTICATION, NULL,
                     bearer || key ? "the API key is not the one this server was given"
                                   : "this server wants an API key: Authorization: Bearer KEY, or X-Api-Key: KEY");
}

// A browser asks before it lets a page of another port send JSON.
static void answer_preflight(struct exchange *x, const char *path)
{
    const char *rest;
    unsigned methods;
    find(path, 0, &rest, &methods);
    add_methods(x, "Access-Control-Allow-Methods", methods);
    exchange_add_header(x, "Access-Control-Allow-Headers", "*, Authorization");
    exchange_add_header(x, "Access-Control-Max-Age", "600");
    exchange_reply(x, 204, NULL, NULL);
}

static bool choose(struct exchange *x, const char *path, unsigned method, struct fault *fault)
{
    unsigned methods;
    const char *rest;
    const struct route *route = find(path, method, &rest, &methods);
    if (!route && methods) {
        add_methods(x, "Allow", methods);
        return fault_set(fault, ERROR_METHOD, NULL, "%.200s does not take this method", path);
    }
    if (!route)
        return fault_set(fault, ERROR_MISSING, NULL, "there is nothing at %.200s", path);
    x->route = route;
    x->dialect = route->dialect;
    if (*rest)
        x->rest = x->rest_memory = evhttp_uridecode(rest, 0, NULL);
    if (!(route->flags & OPEN) && !check_key(x, fault))
        return false;
    if ((route->flags & MODEL) && x->server->lost)
        return fault_set(fault, ERROR_UNAVAILABLE, NULL, "the graphics device was lost; restart the server");
    return true;
}

void routes_serve(struct evhttp_request *request, void *server)
{
    struct exchange *x = exchange_create(server, request);
    const unsigned method = evhttp_request_get_command(request);
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    struct fault fault;
    if (strstr(path, "/messages"))
        x->dialect = DIALECT_ANTHROPIC;
    const bool sender_good = check_sender(x, &fault);
    if (sender_good && method == EVHTTP_REQ_OPTIONS) {
        answer_preflight(x, path);
        return;
    }
    if (sender_good && choose(x, path, method, &fault))
        x->route->serve(x);
    else
        exchange_fail(x, &fault);
}
