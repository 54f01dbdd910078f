// server/generate.c -- routes that generate: a reader of the dialect, then a writer of it.
#include "server/answer.h"
#include "server/replay.h"
#include "server/responses.h"
#include "server/routes.h"

static bool read_chat(struct ask *ask, const struct exchange *x, struct fault *fault)
{
    return ask_read_chat(ask, &x->json, fault);
}

static bool read_completion(struct ask *ask, const struct exchange *x, struct fault *fault)
{
    return ask_read_completion(ask, &x->json, x->server->model, fault);
}

static bool read_messages(struct ask *ask, const struct exchange *x, struct fault *fault)
{
    return ask_read_messages(ask, &x->json, false, fault);
}

static bool read_responses(struct ask *ask, const struct exchange *x, struct fault *fault)
{
    return responses_read(x->server->responses, ask, &x->json, fault);
}

static void generate(struct exchange *x, bool (*read)(struct ask *, const struct exchange *, struct fault *),
                     const struct writer *writer)
{
    struct fault fault;
    struct ask ask = { 0 };
    if (exchange_read_json(x, &fault) && read(&ask, x, &fault) &&
        ask_read_biases(&ask, &x->json, x->server->model, &fault)) {
        replay_attach(x->server->replay, &ask);
        ask_finish(&ask, x->server->facts.n_vocab);
        answer_start(x, &ask, writer);
    } else {
        exchange_fail(x, &fault);
    }
    ask_free(&ask);
}

void serve_chat(struct exchange *x)
{
    generate(x, read_chat, &writer_chat);
}

void serve_completion(struct exchange *x)
{
    generate(x, read_completion, &writer_completion);
}

void serve_messages(struct exchange *x)
{
    generate(x, read_messages, &writer_messages);
}

void serve_responses(struct exchange *x)
{
    generate(x, read_responses, &writer_responses);
}
