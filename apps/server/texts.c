// server/texts.c -- tokens and text without generating: tokenize, detokenize, the rendered prompt, counting.
#include <stdlib.h>
#include <string.h>

#include "server/ask.h"
#include "server/replay.h"
#include "server/responses.h"
#include "server/routes.h"
#include "server/state.h"

static void reply_json(struct exchange *x, struct text *out)
{
    exchange_reply(x, 200, "application/json; charset=utf-8", out);
    app_text_free(out);
}

static void fail_with(struct exchange *x, const struct karat_error *err)
{
    struct fault fault;
    fault_from(&fault, err);
    exchange_fail(x, &fault);
}

// ---------------------------------------------------------------------------------------------------- tokenize

// A token's text, or its bytes where they are no characters.
static void add_piece(struct text *out, const struct server *server, uint32_t id)
{
    char *piece = NULL;
    size_t size = 0;
    karat_detokenize(server->model, &id, 1, &piece, &size, NULL);
    if (app_text_utf8_prefix(piece ? piece : "", size) == size) {
        app_text_json(out, piece ? piece : "", size);
    } else {
        app_text_add(out, "[");
        for (size_t i = 0; i < size; ++i)
            app_text_format(out, i ? ",%u" : "%u", (unsigned char)piece[i]);
        app_text_add(out, "]");
    }
    karat_free(piece);
}

void serve_tokenize(struct exchange *x)
{
    struct fault fault;
    struct ask ask = { 0 };
    struct text content = { 0 }, out = { 0 };
    struct karat_error err = { 0 };
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    bool good = exchange_read_json(x, &fault) && ask_read_wishes(&ask, &x->json, &fault);
    const size_t node = good ? ask_member(&x->json, 0, "content") : JSON_NONE;
    if (good && !app_json_is(&x->json, node, JSON_STRING))
        good = ask_wrong(&fault, &x->json, node, "content", "a string");
    if (!good) {
        exchange_fail(x, &fault);
        return;
    }
    app_json_content(&x->json, node, &content);
    const unsigned flags = (ask.add_special.number != 0 ? KARAT_TOKENIZE_BOS : 0u) |
                           (!ask.parse_special.given || ask.parse_special.number != 0 ? KARAT_TOKENIZE_SPECIAL : 0u);
    if (karat_tokenize(x->server->model, app_text_of(&content), content.size, flags, &ids, &n_ids, &err) != KARAT_OK) {
        fail_with(x, &err);
    } else {
        app_text_add(&out, "{\"tokens\":[");
        for (size_t i = 0; i < n_ids; ++i) {
            app_text_format(&out, ask.with_pieces.number != 0 ? "%s{\"id\":%u,\"piece\":" : "%s%u", i ? "," : "",
                            ids[i]);
            if (ask.with_pieces.number != 0) {
                add_piece(&out, x->server, ids[i]);
                app_text_add(&out, "}");
            }
        }
        app_text_add(&out, "]}");
        reply_json(x, &out);
    }
    karat_free(ids);
    app_text_free(&content);
}

static bool read_ids(const struct exchange *x, uint32_t **ids, size_t *n_ids, struct fault *fault)
{
    const struct json *json = &x->json;
    const size_t list = ask_member(json, 0, "tokens");
    if (!app_json_is(json, list, JSON_ARRAY))
        return ask_wrong(fault, json, list, "tokens", "a list of token ids");
    *ids = app_memory_new(app_json_count(json, list), sizeof **ids);
    for (size_t i = app_json_first(json, list); i != JSON_NONE; i = app_json_next(json, list, i)) {
        const double id = app_json_number(json, i);
        if (!app_json_is(json, i, JSON_NUMBER) || !(id >= 0 && id < x->server->facts.n_vocab) || id != (uint32_t)id) {
            char wanted[64];
            snprintf(wanted, sizeof wanted, "token ids from 0 to %u", x->server->facts.n_vocab - 1);
            return ask_wrong(fault, json, i, "tokens", wanted);
        }
        (*ids)[(*n_ids)++] = (uint32_t)id;
    }
    return true;
}

void serve_detokenize(struct exchange *x)
{
    struct fault fault;
    struct karat_error err = { 0 };
    struct text out = { 0 };
    uint32_t *ids = NULL;
    char *content = NULL;
    size_t n_ids = 0, size = 0;
    if (!exchange_read_json(x, &fault) || !read_ids(x, &ids, &n_ids, &fault)) {
        exchange_fail(x, &fault);
    } else if (karat_detokenize(x->server->model, ids, n_ids, &content, &size, &err) != KARAT_OK) {
        fail_with(x, &err);
    } else {
        app_text_add(&out, "{\"content\":");
        // Bytes that are no character cannot stand in JSON.
        for (size_t at = 0; at <= size;) {
            const size_t valid = app_text_utf8_prefix(content + at, size - at);
            struct text run = { 0 };
            app_text_json(&run, content + at, valid);
            // The runs are strings of their own; their inner parts make one.
            app_text_append(&out, run.data + (at > 0), run.size - 1 - (at > 0));
            app_text_free(&run);
            at += valid;
            if (at < size)
                app_text_add(&out, "\xef\xbf\xbd");
            at++;
        }
        app_text_add(&out, "\"}");
        reply_json(x, &out);
    }
    free(ids);
    karat_free(content);
}

// ---------------------------------------------------------------------------------------------------- prompts

void serve_apply_template(struct exchange *x)
{
    struct fault fault;
    struct ask ask = { 0 };
    struct karat_error err = { 0 };
    struct text out = { 0 };
    char *prompt = NULL;
    const bool good = exchange_read_json(x, &fault) && ask_read_chat(&ask, &x->json, &fault);
    if (good)
        replay_attach(x->server->replay, &ask);
    if (!good) {
        exchange_fail(x, &fault);
    } else if (karat_render(x->server->model, ask.chat.data, 0, &prompt, &err) != KARAT_OK) {
        fail_with(x, &err);
    } else {
        app_text_add(&out, "{\"prompt\":");
        app_text_json(&out, prompt, strlen(prompt));
        app_text_add(&out, "}");
        reply_json(x, &out);
    }
    karat_free(prompt);
    ask_free(&ask);
}

static void count(struct exchange *x, bool good, struct ask *ask, const struct fault *fault, const char *object)
{
    struct karat_error err = { 0 };
    struct text out = { 0 };
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    if (good)
        replay_attach(x->server->replay, ask);
    if (!good) {
        exchange_fail(x, fault);
    } else if (karat_render_tokens(x->server->model, ask->chat.data, 0, &ids, &n_ids, &err) != KARAT_OK) {
        fail_with(x, &err);
    } else {
        app_text_add(&out, "{");
        if (object)
            app_text_format(&out, "\"object\":\"%s\",", object);
        app_text_format(&out, "\"input_tokens\":%zu}", n_ids);
        reply_json(x, &out);
    }
    karat_free(ids);
    ask_free(ask);
}

void serve_count_chat(struct exchange *x)
{
    struct fault fault;
    struct ask ask = { 0 };
    const bool good = exchange_read_json(x, &fault) && ask_read_chat(&ask, &x->json, &fault);
    count(x, good, &ask, &fault, "response.input_tokens");
}

void serve_count_messages(struct exchange *x)
{
    struct fault fault;
    struct ask ask = { 0 };
    const bool good = exchange_read_json(x, &fault) && ask_read_messages(&ask, &x->json, true, &fault);
    count(x, good, &ask, &fault, NULL);
}

void serve_count_responses(struct exchange *x)
{
    struct fault fault;
    struct ask ask = { 0 };
    const bool good = exchange_read_json(x, &fault) && responses_read(x->server->responses, &ask, &x->json, &fault);
    count(x, good, &ask, &fault, "response.input_tokens");
}
