// server/info.c -- what the server is and how it is: models, health, properties.
#include <stdlib.h>
#include <string.h>

#include "server/routes.h"
#include "server/state.h"

static void reply_json(struct exchange *x, struct text *out)
{
    exchange_reply(x, 200, "application/json; charset=utf-8", out);
    app_text_free(out);
}

static void add_json(struct text *out, const char *name, const char *value)
{
    app_text_format(out, "\"%s\":", name);
    app_text_json(out, value, strlen(value));
}

static uint32_t context_of(const struct server *server)
{
    struct karat_scheduler_counts counts;
    karat_scheduler_counts(server->scheduler, &counts);
    return counts.n_context;
}

static void add_model(struct text *out, const struct server *server)
{
    const struct karat_model_facts *facts = &server->facts;
    app_text_add(out, "{");
    add_json(out, "id", app_text_of(&server->alias));
    app_text_format(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"karat\",\"aliases\":[],\"tags\":[],",
                    (long long)server->started);
    app_text_add(out, "\"architecture\":{\"input_modalities\":[\"text\"],\"output_modalities\":[\"text\"]},\"meta\":{");
    app_text_format(out,
                    "\"n_ctx\":%u,\"n_ctx_train\":%u,\"n_vocab\":%u,\"n_embd\":%u,\"n_params\":%llu,\"size\":%llu,",
                    context_of(server), facts->n_context_max, facts->n_vocab, facts->n_embd,
                    (unsigned long long)facts->n_parameters, (unsigned long long)facts->weight_bytes);
    add_json(out, "ftype", facts->weights);
    app_text_add(out, "}}");
}

void serve_models(struct exchange *x)
{
    struct text out = { 0 };
    app_text_add(&out, "{\"object\":\"list\",\"data\":[");
    add_model(&out, x->server);
    app_text_add(&out, "]}");
    reply_json(x, &out);
}

void serve_model(struct exchange *x)
{
    struct text out = { 0 };
    struct fault fault;
    if (strcmp(x->rest, app_text_of(&x->server->alias)) != 0) {
        fault_set(&fault, ERROR_MISSING, "model", "there is no model %.200s; this server has %.200s", x->rest,
                  app_text_of(&x->server->alias));
        exchange_fail(x, &fault);
        return;
    }
    add_model(&out, x->server);
    reply_json(x, &out);
}

void serve_health(struct exchange *x)
{
    struct text out = { 0 };
    struct fault fault;
    if (x->server->lost) {
        fault_set(&fault, ERROR_UNAVAILABLE, NULL, "the graphics device was lost; restart the server");
        exchange_fail(x, &fault);
        return;
    }
    app_text_add(&out, "{\"status\":\"ok\"}");
    reply_json(x, &out);
}

static void add_token(struct text *out, const char *name, const struct server *server, uint32_t id)
{
    char *piece = NULL;
    size_t size = 0;
    app_text_format(out, ",\"%s\":", name);
    if (id < server->facts.n_vocab && karat_detokenize(server->model, &id, 1, &piece, &size, NULL) == KARAT_OK)
        app_text_json(out, piece, size);
    else
        app_text_add(out, "\"\"");
    karat_free(piece);
}

void serve_props(struct exchange *x)
{
    const struct server *server = x->server;
    struct karat_scheduler_counts counts;
    struct text out = { 0 };
    karat_scheduler_counts(server->scheduler, &counts);
    app_text_format(&out, "{\"default_generation_settings\":{\"n_ctx\":%u,\"params\":{\"temperature\":%g,\"top_k\":%u,",
                    counts.n_context, (double)server->facts.temperature, server->facts.top_k);
    app_text_format(&out, "\"top_p\":%g,\"min_p\":0}},\"total_slots\":%u,", (double)server->facts.top_p,
                    counts.n_slots);
    add_json(&out, "model_alias", app_text_of(&server->alias));
    app_text_add(&out, ",");
    add_json(&out, "model_path", server->options->model_path ? server->options->model_path : "");
    app_text_add(&out, ",");
    add_json(&out, "model_ftype", server->facts.weights);
    app_text_add(&out, ",\"modalities\":{\"vision\":false,\"video\":false,\"audio\":false},\"chat_template\":\"\"");
    add_token(&out, "bos_token", server, server->facts.token_bos);
    add_token(&out, "eos_token", server, server->facts.token_end_of_turn);
    app_text_add(&out, ",\"build_info\":\"karat " KARAT_VERSION "\",\"is_sleeping\":false}");
    reply_json(x, &out);
}
