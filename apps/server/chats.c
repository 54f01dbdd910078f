// server/chats.c -- the chats of the web page, and the way of a request to what it asks for.
#include "server/chats.h"

#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mcp.h"
#include "common/platform.h"
#include "server/routes.h"
#include "server/tool_runs.h"
#include "server/watchers.h"

#define LIST_MAX 1000u

// ---------------------------------------------------------------------------------------------------- opening

static bool default_path(struct text *path, struct text *fault)
{
    struct text why = { 0 };
    if (platform_data_folder(path, &why))
        app_text_add(path, "/chats.db");
    else
        app_text_format(fault, "there is no folder to keep chats in (%s); --chats FILE names a place", why.data);
    app_text_free(&why);
    return path->size > 0;
}

// A copy of today, before anything is added. Without it the server serves all the same.
static void back_up(struct chats *chats, const char *day)
{
    const struct server_options *options = chats->server->options;
    struct text fault = { 0 };
    if (!chat_store_back_up(chats->store, day, &fault) && options->on_warning)
        options->on_warning(fault.data);
    app_text_free(&fault);
}

struct chats *chats_open(struct server *server)
{
    struct chats *chats = app_memory_new(1, sizeof *chats);
    struct text path = { 0 };
    char day[] = "2026-01-31";
    const time_t now = time(NULL);
    strftime(day, sizeof day, "%Y-%m-%d", localtime(&now));
    chats->server = server;
    if (server->options->chats_path)
        app_text_add(&path, server->options->chats_path);
    if (path.size > 0 || default_path(&path, &chats->why)) {
        if (!server->options->chats_path)
            platform_make_folders(path.data);
        if (chat_store_open(&chats->store, path.data, day, &chats->why))
            back_up(chats, day);
    }
    if (chats->store && server->options->mcp)
        chats->runs = tool_runs_open(server->base, server->options->mcp);
    app_text_free(&path);
    return chats;
}

void chats_close(struct chats *chats)
{
    if (!chats)
        return;
    chats->closing = true;
    tool_runs_close(chats->runs);
    watchers_tell(chats, 0, 0);
    chat_store_close(chats->store);
    app_text_free(&chats->why);
    app_text_free(&chats->fault);
    free(chats);
}

// ---------------------------------------------------------------------------------------------------- replies

void chats_reply(struct exchange *x, struct text *body)
{
    exchange_reply(x, 200, "application/json; charset=utf-8", body);
    app_text_free(body);
}

void chats_reply_done(struct exchange *x)
{
    struct text body = { 0 };
    app_text_add(&body, "{}");
    chats_reply(x, &body);
}

void chats_fail(struct exchange *x, enum error_kind kind, const char *sentence)
{
    struct fault fault;
    fault_set(&fault, kind, NULL, "%s", sentence);
    exchange_fail(x, &fault);
}

static bool begins(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

void chats_fail_stored(struct exchange *x, struct text *why)
{
    const char *sentence = app_text_of(why);
    chats_fail(x,
               begins(sentence, "there is no ")    ? ERROR_MISSING
               : begins(sentence, "the chats in ") ? ERROR_SERVER
                                                   : ERROR_INVALID,
               sentence);
    app_text_free(why);
}

int64_t chats_id_at(const struct json *json, const char *name)
{
    const double value = app_json_number(json, app_json_member(json, 0, name));
    return value > 0 && value < 9e15 ? (int64_t)value : 0;
}

bool chats_may_begin(struct exchange *x, int64_t chat)
{
    struct fault fault;
    if (live_find(x->server->chats, chat, 0)) {
        chats_fail(x, ERROR_INVALID, "an answer is being given in this chat already");
        return false;
    }
    if (x->server->lost) {
        chats_fail(x, ERROR_UNAVAILABLE, "the graphics device was lost; restart the server");
        return false;
    }
    if (exchange_read_json(x, &fault))
        return true;
    exchange_fail(x, &fault);
    return false;
}

struct text chats_options(const struct exchange *x)
{
    struct text options = { 0 };
    const size_t node = app_json_member(&x->json, 0, "options");
    if (app_json_is(&x->json, node, JSON_OBJECT))
        app_json_raw(&x->json, node, &options);
    return options;
}

bool chats_add(struct chats *chats, const struct chat_message *message, int64_t *id, struct text *why)
{
    const bool ok = chat_store_add(chats->store, message, id, why);
    if (ok && message->parent != 0)
        watchers_tell(chats, message->chat, message->parent);
    return ok;
}

// ---------------------------------------------------------------------------------------------------- chats

static void serve_read(struct exchange *x, int64_t chat)
{
    struct text body = { 0 }, why = { 0 };
    struct live *live = live_find(x->server->chats, chat, 0);
    if (live)
        live_save(live);
    if (chat_store_read(x->server->chats->store, chat, &body, &why)) {
        chats_reply(x, &body);
        return;
    }
    app_text_free(&body);
    chats_fail_stored(x, &why);
}

static char *member_text(const struct json *json, const char *name)
{
    struct text text = { 0 };
    const size_t node = app_json_member(json, 0, name);
    if (!app_json_is(json, node, JSON_STRING))
        return NULL;
    app_json_content(json, node, &text);
    return app_text_take(&text);
}

static void serve_change(struct exchange *x, int64_t chat)
{
    struct fault fault;
    struct text why = { 0 };
    if (!exchange_read_json(x, &fault)) {
        exchange_fail(x, &fault);
        return;
    }
    char *title = member_text(&x->json, "title"), *system = member_text(&x->json, "system");
    const int64_t tip = chats_id_at(&x->json, "tip");
    struct chat_store *store = x->server->chats->store;
    const bool asks_again = app_json_is(&x->json, app_json_member(&x->json, 0, "ask_again"), JSON_TRUE);
    const bool ok = chat_store_rename(store, chat, title, system, &why) &&
                    (tip == 0 || chat_store_turn_to(store, chat, tip, &why)) &&
                    (!asks_again || chat_store_forbid(store, chat, &why));
    free(title);
    free(system);
    if (ok)
        chats_reply_done(x);
    else
        chats_fail_stored(x, &why);
}

static void serve_remove(struct exchange *x, int64_t chat)
{
    struct text why = { 0 };
    if (live_find(x->server->chats, chat, 0)) {
        chats_fail(x, ERROR_INVALID, "an answer is being given in this chat; stop it first");
    } else if (chat_store_remove(x->server->chats->store, chat, &why)) {
        watchers_tell(x->server->chats, chat, 0);
        chats_reply_done(x);
    } else {
        chats_fail_stored(x, &why);
    }
}

static void serve_new(struct exchange *x)
{
    struct fault fault;
    struct text body = { 0 }, why = { 0 };
    int64_t id = 0;
    if (!exchange_read_json(x, &fault)) {
        exchange_fail(x, &fault);
        return;
    }
    char *title = member_text(&x->json, "title"), *system = member_text(&x->json, "system");
    const bool ok = chat_store_create(x->server->chats->store, title, system, &id, &why);
    free(title);
    free(system);
    if (ok) {
        app_text_format(&body, "{\"id\":%" PRId64 "}", id);
        chats_reply(x, &body);
    } else {
        chats_fail_stored(x, &why);
    }
}

// ---------------------------------------------------------------------------------------------------- routes

// Another page of this machine may use the model, but not read what was said. Browsers tell who asks.
static bool is_allowed(struct exchange *x)
{
    const char *origin = exchange_header(x, "Origin"), *host = exchange_header(x, "Host");
    const char *site = exchange_header(x, "Sec-Fetch-Site");
    const bool own = !origin || (host && strncmp(origin, "http://", 7) == 0 && strcmp(origin + 7, host) == 0);
    if (!own || (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)) {
        chats_fail(x, ERROR_PERMISSION, "chats are for the server's own page only");
        return false;
    }
    if (!x->server->chats->store) {
        struct fault fault;
        fault_set(&fault, ERROR_UNAVAILABLE, NULL, "no chats are kept: %s", app_text_of(&x->server->chats->why));
        exchange_fail(x, &fault);
        return false;
    }
    return true;
}

// The tools that the model may call here.
void serve_tools(struct exchange *x)
{
    const struct mcp *mcp = x->server->options->mcp;
    struct text body = { 0 };
    if (!is_allowed(x))
        return;
    app_text_add(&body, "[");
    for (size_t i = 0; mcp && i < mcp_n_tools(mcp); ++i) {
        const struct mcp_tool *tool = mcp_tool_at(mcp, i);
        app_text_format(&body, "%s{\"name\":\"%s\",\"server\":", i ? "," : "", tool->name);
        app_text_json(&body, tool->server, strlen(tool->server));
        app_text_add(&body, ",\"declaration\":");
        app_text_json(&body, tool->declaration, strlen(tool->declaration));
        app_text_add(&body, "}");
    }
    app_text_add(&body, "]");
    chats_reply(x, &body);
}

void serve_chat_list(struct exchange *x)
{
    struct text body = { 0 }, why = { 0 };
    struct evkeyvalq query;
    if (!is_allowed(x))
        return;
    if (evhttp_request_get_command(x->request) == EVHTTP_REQ_POST) {
        serve_new(x);
        return;
    }
    const char *source = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(x->request));
    const bool parsed = source && evhttp_parse_query_str(source, &query) == 0;
    const char *words = parsed ? evhttp_find_header(&query, "q") : NULL;
    const bool valid = !words || app_text_utf8_prefix(words, strlen(words)) == strlen(words);
    const bool ok = chat_store_list(x->server->chats->store, valid ? words : "", LIST_MAX, &body, &why);
    if (parsed)
        evhttp_clear_headers(&query);
    if (ok) {
        chats_reply(x, &body);
        return;
    }
    app_text_free(&body);
    chats_fail_stored(x, &why);
}

static void serve_of(struct exchange *x, int64_t chat, const char *part, int64_t message, const char *action)
{
    const unsigned method = evhttp_request_get_command(x->request);
    const bool posts = method == EVHTTP_REQ_POST, gets = method == EVHTTP_REQ_GET;
    if (!*part && gets)
        serve_read(x, chat);
    else if (!*part && method == EVHTTP_REQ_PATCH)
        serve_change(x, chat);
    else if (!*part && method == EVHTTP_REQ_DELETE)
        serve_remove(x, chat);
    else if (posts && strcmp(part, "messages") == 0 && message == 0)
        serve_message(x, chat);
    else if (posts && strcmp(part, "answers") == 0 && message == 0)
        serve_again(x, chat);
    else if (posts && strcmp(part, "calls") == 0 && message == 0)
        serve_call(x, chat);
    else if (gets && strcmp(part, "messages") == 0 && message > 0 && strcmp(action, "next") == 0)
        serve_next(x, chat, message);
    else if (gets && strcmp(part, "answers") == 0 && message > 0 && !*action)
        serve_follow(x, chat, message);
    else if (posts && strcmp(part, "answers") == 0 && message > 0 && strcmp(action, "stop") == 0)
        serve_stop(x, chat, message);
    else
        chats_fail(x, ERROR_MISSING, "there is no such request for chats");
}

// ID[/PART[/ID[/ACTION]]]
void serve_chats(struct exchange *x)
{
    char part[16] = "", action[16] = "";
    int64_t chat = 0, message = 0;
    if (!is_allowed(x))
        return;
    if (sscanf(x->rest, "%" SCNd64 "/%15[a-z]/%" SCNd64 "/%15[a-z]", &chat, part, &message, action) < 1 || chat <= 0)
        chats_fail(x, ERROR_MISSING, "there is no such chat");
    else
        serve_of(x, chat, part, message, action);
}
