// server/chats.c -- the chats of the web page.
#define _POSIX_C_SOURCE 200809L
#include "server/chats.h"

#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/chat_store.h"
#include "server/answer.h"
#include "server/routes.h"

#define LIST_MAX 1000u

// An answer in the making. What has come since the last second is not in the store yet.
struct live {
    struct live *next;
    struct chats *chats;
    struct answer *answer; // NULL before it is begun and after its end
    int64_t chat, message;
    struct text content, thinking; // not stored yet
    struct event *timer;
    struct follower *followers;
    bool stopped; // by the user
};

// A page that looks on.
struct follower {
    struct follower *next;
    struct live *live;
    struct exchange *exchange;
    bool gone;
};

struct chats {
    struct server *server;
    struct chat_store *store; // NULL: see why
    struct text why;
    struct live *lives;
    struct text fault; // of the answer that failed last
};

// ---------------------------------------------------------------------------------------------------- opening

static void make_folders(const struct text *path)
{
    char *copy = app_memory_copy(path->data, path->size);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0700);
        *slash = '/';
    }
    free(copy);
}

static bool default_path(struct text *path, struct text *fault)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/')
        app_text_format(path, "%s/karat/chats.db", data);
    else if (home && *home == '/')
        app_text_format(path, "%s/.local/share/karat/chats.db", home);
    else
        app_text_add(fault, "there is no home folder to keep chats in; --chats FILE names a place");
    return path->size > 0;
}

struct chats *chats_open(struct server *server)
{
    struct chats *chats = app_memory_new(1, sizeof *chats);
    struct text path = { 0 };
    chats->server = server;
    if (server->options->chats_path)
        app_text_add(&path, server->options->chats_path);
    if (path.size > 0 || default_path(&path, &chats->why)) {
        if (!server->options->chats_path)
            make_folders(&path);
        chat_store_open(&chats->store, path.data, &chats->why);
    }
    app_text_free(&path);
    return chats;
}

void chats_close(struct chats *chats)
{
    if (!chats)
        return;
    chat_store_close(chats->store);
    app_text_free(&chats->why);
    app_text_free(&chats->fault);
    free(chats);
}

// ---------------------------------------------------------------------------------------------------- replies

static void reply_json(struct exchange *x, struct text *body)
{
    exchange_reply(x, 200, "application/json; charset=utf-8", body);
    app_text_free(body);
}

static void reply_done(struct exchange *x)
{
    struct text body = { 0 };
    app_text_add(&body, "{}");
    reply_json(x, &body);
}

static void fail(struct exchange *x, enum error_kind kind, const char *sentence)
{
    struct fault fault;
    fault_set(&fault, kind, NULL, "%s", sentence);
    exchange_fail(x, &fault);
}

static bool begins(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

// What is not there, and what the request has wrong, is the client's mistake; what the file does not take is ours.
static void fail_stored(struct exchange *x, struct text *why)
{
    const char *sentence = app_text_of(why);
    fail(x,
         begins(sentence, "there is no ")    ? ERROR_NOT_FOUND
         : begins(sentence, "the chats in ") ? ERROR_SERVER
                                             : ERROR_INVALID,
         sentence);
    app_text_free(why);
}

// ---------------------------------------------------------------------------------------------------- answers

// Of this chat and with this message; 0 is any.
static struct live *find_live(const struct chats *chats, int64_t chat, int64_t message)
{
    for (struct live *live = chats->lives; live; live = live->next)
        if ((chat == 0 || live->chat == chat) && (message == 0 || live->message == message))
            return live;
    return NULL;
}

static void send_event(struct exchange *x, const char *kind, const char *text, size_t size)
{
    struct text event = { 0 };
    if (size == 0)
        return;
    app_text_format(&event, "{\"kind\":\"%s\",\"text\":", kind);
    app_text_json(&event, text, size);
    app_text_add(&event, "}");
    exchange_stream_send(x, NULL, event.data, event.size);
    app_text_free(&event);
}

// Brings the store up to what has come. What it refuses now is tried again with the next piece.
static void save(struct live *live)
{
    struct text fault = { 0 };
    if (live->content.size + live->thinking.size > 0 &&
        chat_store_grow(live->chats->store, live->message, app_text_of(&live->content), app_text_of(&live->thinking),
                        &fault)) {
        app_text_clear(&live->content);
        app_text_clear(&live->thinking);
    }
    app_text_free(&fault);
}

static void on_second(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    save(user);
}

static void writer_begin(struct answer *answer)
{
    struct live *live = answer->user;
    static const struct timeval second = { .tv_sec = 1 };
    live->answer = answer;
    live->timer = event_new(answer->server->base, -1, EV_PERSIST, on_second, live);
    event_add(live->timer, &second);
}

static void writer_piece(struct choice *choice, enum karat_piece kind, const char *text, size_t size)
{
    struct live *live = choice->answer->user;
    if (kind == KARAT_PIECE_TOOL_CALL)
        return; // they are told at the end
    const bool is_answer = kind == KARAT_PIECE_ANSWER;
    app_text_append(is_answer ? &live->content : &live->thinking, text, size);
    for (struct follower *f = live->followers; f; f = f->next)
        if (!f->gone)
            send_event(f->exchange, is_answer ? "answer" : "thought", text, size);
}

static void writer_choice_end(struct choice *choice)
{
    (void)choice;
}

static enum chat_state state_of(const struct live *live, const struct answer *answer)
{
    const enum karat_stop stop = answer->choices[0].stop;
    if (live->stopped)
        return CHAT_STATE_STOPPED;
    if (answer->failed)
        return answer->fault.kind == ERROR_UNAVAILABLE && answer->n_submitted ? CHAT_STATE_CUT : CHAT_STATE_FAILED;
    return stop == KARAT_STOP_LENGTH || stop == KARAT_STOP_CONTEXT ? CHAT_STATE_FULL : CHAT_STATE_DONE;
}

// The calls in the form that chat requests have them.
static void add_calls(struct text *out, const struct choice *choice)
{
    app_text_add(out, "[");
    for (size_t i = 0; i < choice->n_calls; ++i) {
        const struct call *call = &choice->calls[i];
        app_text_format(out, "%s{\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", i ? "," : "", call->id);
        app_text_json(out, app_text_of(&call->name), call->name.size);
        app_text_format(out, ",\"arguments\":%s}}", app_text_of(&call->arguments));
    }
    app_text_add(out, "]");
}

static void add_speed(struct text *out, const struct choice *choice)
{
    const double seconds = (double)choice->times.decode_ns * 1e-9;
    if (seconds > 0 && choice->n_generated > 1)
        app_text_format(out, ",\"speed\":\"%u tokens, %.3g per second\"", choice->n_generated,
                        choice->n_generated / seconds);
}

static void drop_live(struct live *live)
{
    for (struct live **at = &live->chats->lives; *at; at = &(*at)->next)
        if (*at == live) {
            *at = live->next;
            break;
        }
    if (live->timer)
        event_free(live->timer);
    app_text_free(&live->content);
    app_text_free(&live->thinking);
    free(live);
}

static void writer_end(struct answer *answer)
{
    struct live *live = answer->user;
    const enum chat_state state = state_of(live, answer);
    struct text calls = { 0 }, event = { 0 }, fault = { 0 };
    add_calls(&calls, &answer->choices[0]);
    save(live);
    chat_store_finish(live->chats->store, live->message, state, answer->choices[0].n_calls ? calls.data : NULL, &fault);
    app_text_format(&event, "{\"kind\":\"end\",\"state\":\"%s\",\"tool_calls\":%s", chat_state_name(state), calls.data);
    if (state == CHAT_STATE_FAILED) {
        app_text_clear(&live->chats->fault);
        app_text_add(&live->chats->fault, answer->fault.message);
        app_text_add(&event, ",\"fault\":");
        app_text_json(&event, answer->fault.message, strlen(answer->fault.message));
    }
    add_speed(&event, &answer->choices[0]);
    app_text_add(&event, "}");
    for (struct follower *f = live->followers, *next; f; f = next) {
        next = f->next;
        f->exchange->on_close = NULL;
        if (!f->gone)
            exchange_stream_send(f->exchange, NULL, event.data, event.size);
        exchange_stream_end(f->exchange);
        free(f);
    }
    app_text_free(&calls);
    app_text_free(&event);
    app_text_free(&fault);
    drop_live(live);
}

static const struct writer writer_live = {
    .id_prefix = "answer-",
    .begin = writer_begin,
    .piece = writer_piece,
    .choice_end = writer_choice_end,
    .end = writer_end,
};

// ---------------------------------------------------------------------------------------------------- asking

// The branch that ends with `question` as a chat request, read as any other. `options` is a node of the body.
static bool read_ask(struct exchange *x, int64_t question, size_t options, struct ask *ask, struct text *why)
{
    struct text request = { 0 };
    struct json json = { 0 };
    struct fault fault;
    const bool thinks = app_json_is(&x->json, app_json_member(&x->json, options, "thinking"), JSON_TRUE);
    const size_t temperature = app_json_member(&x->json, options, "temperature");
    app_text_add(&request, "{\"messages\":");
    bool ok = chat_store_branch(x->server->chats->store, question, &request, why);
    app_text_format(&request, ",\"stream\":true,\"chat_template_kwargs\":{\"enable_thinking\":%s}",
                    thinks ? "true" : "false");
    if (temperature != JSON_NONE) {
        app_text_add(&request, ",\"temperature\":");
        app_json_raw(&x->json, temperature, &request);
    }
    app_text_add(&request, "}");
    if (ok && app_json_parse(&json, request.data, request.size, why)) {
        ok = ask_read_chat(ask, &json, &fault);
        if (!ok)
            app_text_add(why, fault.message);
        ask_finish(ask, x->server->facts.n_vocab);
    }
    app_json_free(&json);
    app_text_free(&request);
    return ok;
}

// Begins an answer to a question that is stored, and returns its id; 0 after it said why not.
static int64_t begin_answer(struct exchange *x, int64_t chat, int64_t question, struct text *why)
{
    struct chats *chats = x->server->chats;
    struct ask ask = { 0 };
    int64_t id = 0;
    const size_t options = app_json_member(&x->json, 0, "options");
    const struct chat_message message = {
        .chat = chat, .parent = question, .role = "assistant", .state = CHAT_STATE_GROWING
    };
    if (read_ask(x, question, options, &ask, why) && chat_store_add(chats->store, &message, &id, why)) {
        struct live *live = app_memory_new(1, sizeof *live);
        *live = (struct live){ .next = chats->lives, .chats = chats, .chat = chat, .message = id };
        chats->lives = live;
        app_text_clear(&chats->fault);
        answer_start_unattended(x->server, &ask, &writer_live, live);
    }
    ask_free(&ask);
    return id;
}

static int64_t id_at(const struct json *json, const char *name)
{
    const double value = app_json_number(json, app_json_member(json, 0, name));
    return value > 0 && value < 9e15 ? (int64_t)value : 0;
}

// One answer at a time in a chat: the page shows one.
static bool may_begin(struct exchange *x, int64_t chat)
{
    struct fault fault;
    if (find_live(x->server->chats, chat, 0)) {
        fail(x, ERROR_INVALID, "an answer is being given in this chat already");
        return false;
    }
    if (x->server->lost) {
        fail(x, ERROR_UNAVAILABLE, "the graphics device was lost; restart the server");
        return false;
    }
    if (exchange_read_json(x, &fault))
        return true;
    exchange_fail(x, &fault);
    return false;
}

static void reply_begun(struct exchange *x, int64_t question, int64_t answer, struct text *why)
{
    struct text body = { 0 };
    if (answer == 0) {
        fail_stored(x, why);
        return;
    }
    app_text_format(&body, "{\"question\":%" PRId64 ",\"answer\":%" PRId64, question, answer);
    // It may have failed before anyone could look on: a full queue, a chat longer than the context.
    if (!find_live(x->server->chats, 0, answer) && x->server->chats->fault.size > 0) {
        app_text_add(&body, ",\"fault\":");
        app_text_json(&body, x->server->chats->fault.data, x->server->chats->fault.size);
    }
    app_text_add(&body, "}");
    reply_json(x, &body);
}

static void serve_message(struct exchange *x, int64_t chat)
{
    struct text content = { 0 }, why = { 0 };
    int64_t question = 0, answer = 0;
    if (!may_begin(x, chat))
        return;
    app_json_content(&x->json, app_json_member(&x->json, 0, "content"), &content);
    const struct chat_message message = {
        .chat = chat,
        .parent = id_at(&x->json, "parent"),
        .role = "user",
        .content = app_text_of(&content),
        .state = CHAT_STATE_DONE,
    };
    if (chat_store_add(x->server->chats->store, &message, &question, &why))
        answer = begin_answer(x, chat, question, &why);
    app_text_free(&content);
    reply_begun(x, question, answer, &why);
}

static void serve_again(struct exchange *x, int64_t chat)
{
    struct text why = { 0 };
    if (!may_begin(x, chat))
        return;
    const int64_t question = id_at(&x->json, "parent");
    reply_begun(x, question, begin_answer(x, chat, question, &why), &why);
}

// ---------------------------------------------------------------------------------------------------- looking on

static void on_follower_gone(void *user)
{
    struct follower *gone = user;
    for (struct follower **at = &gone->live->followers; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    exchange_stream_end(gone->exchange);
    free(gone);
}

// What the store has of a message, as the events that made it. *state is its state. False: it is not there.
static bool replay(struct exchange *x, int64_t chat, int64_t message, struct text *state)
{
    struct text source = { 0 }, why = { 0 }, content = { 0 };
    struct json json = { 0 };
    if (!chat_store_message(x->server->chats->store, chat, message, &source, &why) ||
        !app_json_parse(&json, source.data, source.size, &why)) {
        app_text_free(&source);
        fail_stored(x, &why);
        return false;
    }
    exchange_stream_begin(x);
    app_json_content(&json, app_json_member(&json, 0, "thinking"), &content);
    send_event(x, "thought", app_text_of(&content), content.size);
    app_text_clear(&content);
    app_json_content(&json, app_json_member(&json, 0, "content"), &content);
    send_event(x, "answer", app_text_of(&content), content.size);
    app_json_content(&json, app_json_member(&json, 0, "state"), state);
    if (strcmp(app_text_of(state), "growing") != 0) {
        app_text_clear(&content);
        app_text_format(&content, "{\"kind\":\"end\",\"state\":\"%s\",\"tool_calls\":", state->data);
        app_json_raw(&json, app_json_member(&json, 0, "tool_calls"), &content);
        app_text_add(&content, "}");
        exchange_stream_send(x, NULL, content.data, content.size);
    }
    app_json_free(&json);
    app_text_free(&content);
    app_text_free(&source);
    return true;
}

static void serve_follow(struct exchange *x, int64_t chat, int64_t message)
{
    struct live *live = find_live(x->server->chats, chat, message);
    struct text state = { 0 };
    if (live)
        save(live);
    if (!replay(x, chat, message, &state))
        return;
    app_text_free(&state);
    if (!live) {
        exchange_stream_end(x);
        return;
    }
    // What the store could not take is told from here.
    send_event(x, "thought", app_text_of(&live->thinking), live->thinking.size);
    send_event(x, "answer", app_text_of(&live->content), live->content.size);
    struct follower *follower = app_memory_new(1, sizeof *follower);
    *follower = (struct follower){ .next = live->followers, .live = live, .exchange = x };
    live->followers = follower;
    x->on_close = on_follower_gone;
    x->user = follower;
}

static void serve_stop(struct exchange *x, int64_t chat, int64_t message)
{
    struct live *live = find_live(x->server->chats, chat, message);
    if (live) {
        live->stopped = true;
        answer_cancel(live->answer);
    }
    reply_done(x); // an answer that has ended is stopped
}

// ---------------------------------------------------------------------------------------------------- chats

static void serve_read(struct exchange *x, int64_t chat)
{
    struct text body = { 0 }, why = { 0 };
    struct live *live = find_live(x->server->chats, chat, 0);
    if (live)
        save(live);
    if (chat_store_read(x->server->chats->store, chat, &body, &why)) {
        reply_json(x, &body);
        return;
    }
    app_text_free(&body);
    fail_stored(x, &why);
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
    const int64_t tip = id_at(&x->json, "tip");
    struct chat_store *store = x->server->chats->store;
    const bool ok =
        chat_store_rename(store, chat, title, system, &why) && (tip == 0 || chat_store_turn_to(store, chat, tip, &why));
    free(title);
    free(system);
    if (ok)
        reply_done(x);
    else
        fail_stored(x, &why);
}

static void serve_remove(struct exchange *x, int64_t chat)
{
    struct text why = { 0 };
    if (find_live(x->server->chats, chat, 0))
        fail(x, ERROR_INVALID, "an answer is being given in this chat; stop it first");
    else if (chat_store_remove(x->server->chats->store, chat, &why))
        reply_done(x);
    else
        fail_stored(x, &why);
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
        reply_json(x, &body);
    } else {
        fail_stored(x, &why);
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
        fail(x, ERROR_PERMISSION, "chats are for the server's own page only");
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
        reply_json(x, &body);
        return;
    }
    app_text_free(&body);
    fail_stored(x, &why);
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
    else if (gets && strcmp(part, "answers") == 0 && message > 0 && !*action)
        serve_follow(x, chat, message);
    else if (posts && strcmp(part, "answers") == 0 && message > 0 && strcmp(action, "stop") == 0)
        serve_stop(x, chat, message);
    else
        fail(x, ERROR_NOT_FOUND, "there is no such request for chats");
}

// ID[/PART[/ID[/ACTION]]]
void serve_chats(struct exchange *x)
{
    char part[16] = "", action[16] = "";
    int64_t chat = 0, message = 0;
    if (!is_allowed(x))
        return;
    if (sscanf(x->rest, "%" SCNd64 "/%15[a-z]/%" SCNd64 "/%15[a-z]", &chat, part, &message, action) < 1 || chat <= 0)
        fail(x, ERROR_NOT_FOUND, "there is no such chat");
    else
        serve_of(x, chat, part, message, action);
}
