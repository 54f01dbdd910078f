// server/responses.c -- see responses.h.
#include "server/responses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/input_items.h"
#include "server/routes.h"
#include "server/turns.h"

struct kept {
    char id[64];
    struct text turns; // messages in the library's form, with commas between them; the last is the response
    struct text items; // that it answers
    struct text body;
    uint64_t used; // the higher, the later
};

struct responses {
    struct kept kept[RESPONSES_MAX];
    size_t n_kept, n_bytes;
    uint64_t clock;
};

// ---------------------------------------------------------------------------------------------------- the store

struct responses *responses_create(void)
{
    return app_memory_new(1, sizeof(struct responses));
}

static size_t size_of(const struct kept *kept)
{
    return kept->turns.size + kept->items.size + kept->body.size;
}

static void kept_free(struct kept *kept)
{
    app_text_free(&kept->turns);
    app_text_free(&kept->items);
    app_text_free(&kept->body);
}

static void drop(struct responses *r, size_t index)
{
    struct kept *kept = &r->kept[index];
    r->n_bytes -= size_of(kept);
    kept_free(kept);
    *kept = r->kept[--r->n_kept];
}

void responses_destroy(struct responses *r)
{
    while (r && r->n_kept > 0)
        drop(r, 0);
    free(r);
}

static size_t find_oldest(const struct responses *r)
{
    size_t oldest = 0;
    for (size_t i = 1; i < r->n_kept; ++i)
        if (r->kept[i].used < r->kept[oldest].used)
            oldest = i;
    return oldest;
}

static struct kept *find(struct responses *r, const char *id, const char *param, struct fault *fault)
{
    for (size_t i = 0; i < r->n_kept; ++i)
        if (strcmp(r->kept[i].id, id) == 0) {
            r->kept[i].used = ++r->clock;
            return &r->kept[i];
        }
    fault_set(fault, ERROR_MISSING, param,
              "there is no response %.80s; those that are not stored, and the oldest of many, are forgotten", id);
    return NULL;
}

const struct text *responses_find(struct responses *r, const char *id, struct fault *fault)
{
    const struct kept *kept = find(r, id, NULL, fault);
    return kept ? &kept->body : NULL;
}

bool responses_forget(struct responses *r, const char *id, struct fault *fault)
{
    const struct kept *kept = find(r, id, NULL, fault);
    if (kept)
        drop(r, (size_t)(kept - r->kept));
    return kept != NULL;
}

// ---------------------------------------------------------------------------------------------------- conversations

bool responses_read(struct responses *r, struct ask *ask, const struct json *json, struct fault *fault)
{
    const size_t previous = ask_member(json, 0, "previous_response_id");
    if (previous != JSON_NONE) {
        if (!app_json_is(json, previous, JSON_STRING))
            return ask_wrong(fault, json, previous, "previous_response_id", "the id of a response");
        app_json_content(json, previous, &ask->previous);
        const struct kept *kept = find(r, app_text_of(&ask->previous), "previous_response_id", fault);
        if (!kept)
            return false;
        app_text_append(&ask->said, kept->turns.data, kept->turns.size);
        app_text_append(&ask->items, app_text_of(&kept->items), kept->items.size);
        input_items_add_output(&ask->items, &kept->body);
    }
    if (!ask_read_responses(ask, json, fault))
        return false;
    input_items_add_request(&ask->items, json);
    return true;
}

// What was said before, and the answer.
static void write_turns(struct text *out, const struct answer *answer)
{
    const struct choice *choice = &answer->choices[0];
    struct turns turns = { .out = out, .n = answer->ask.said.size > 0 };
    struct text whole = { 0 };
    app_text_append(out, app_text_of(&answer->ask.said), answer->ask.said.size);
    app_text_append(&whole, app_text_of(&answer->ask.begun), answer->ask.begun.size);
    app_text_append(&whole, app_text_of(&choice->content), choice->content.size);
    turns_add_thought(&turns, &choice->thinking);
    turns_add_content(&turns, &whole);
    for (size_t i = 0; i < choice->n_calls; ++i) {
        struct text id = { 0 };
        app_text_add(&id, choice->calls[i].id);
        turns_add_call(&turns, &id, &choice->calls[i].name, &choice->calls[i].arguments);
        app_text_free(&id);
    }
    turns_end(&turns);
    app_text_free(&whole);
}

void responses_keep(struct responses *r, const struct answer *answer, const struct text *body)
{
    struct kept kept = { .used = ++r->clock };
    if (answer->ask.forget || answer->gone || answer->failed)
        return;
    snprintf(kept.id, sizeof kept.id, "%s", answer->id);
    write_turns(&kept.turns, answer);
    app_text_append(&kept.items, app_text_of(&answer->ask.items), answer->ask.items.size);
    app_text_append(&kept.body, body->data, body->size);
    const size_t size = size_of(&kept);
    if (size > RESPONSES_BYTES_MAX) {
        kept_free(&kept);
        return;
    }
    while (r->n_kept == RESPONSES_MAX || r->n_bytes + size > RESPONSES_BYTES_MAX)
        drop(r, find_oldest(r));
    r->kept[r->n_kept++] = kept;
    r->n_bytes += size;
}

// ---------------------------------------------------------------------------------------------------- its route

static void serve_input_items(struct exchange *x, const char *id)
{
    struct fault fault;
    struct text out = { 0 };
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(x->request));
    const struct kept *kept = find(x->server->responses, id, NULL, &fault);
    if (kept && input_items_list(&out, &kept->items, query, &fault))
        exchange_reply(x, 200, "application/json; charset=utf-8", &out);
    else
        exchange_fail(x, &fault);
    app_text_free(&out);
}

// ID or, to be read only, ID/input_items
void serve_response(struct exchange *x)
{
    struct fault fault;
    struct text out = { 0 };
    const bool removes = evhttp_request_get_command(x->request) == EVHTTP_REQ_DELETE;
    const char *part = strchr(x->rest, '/');
    if (part && strcmp(part, "/input_items") == 0 && !removes) {
        char *id = app_memory_copy(x->rest, (size_t)(part - x->rest));
        serve_input_items(x, id);
        free(id);
        return;
    }
    const struct text *body = responses_find(x->server->responses, x->rest, &fault);
    if (!body) {
        exchange_fail(x, &fault);
        return;
    }
    if (removes) {
        app_text_add(&out, "{\"id\":");
        app_text_json(&out, x->rest, strlen(x->rest));
        app_text_add(&out, ",\"object\":\"response\",\"deleted\":true}");
        responses_forget(x->server->responses, x->rest, &fault);
    } else {
        app_text_append(&out, body->data, body->size);
    }
    exchange_reply(x, 200, "application/json; charset=utf-8", &out);
    app_text_free(&out);
}
