// engine/requests.c -- a request: what is asked, and how its caller is told what came of it.
#include <stdlib.h>
#include <string.h>

#include "engine/scheduler.h"

void request_destroy(struct request *request)
{
    generation_close(&request->generation);
    prompt_free(&request->prompt);
    arena_free(&request->arena);
    free(request);
}

static enum karat_status copy_options(struct request *request, const struct karat_generate_options *options,
                                      struct karat_error *err)
{
    const size_t n_biases = options->sampling.n_biases;
    const char **stop = arena_alloc(&request->arena, options->n_stop + 1, sizeof *stop);
    struct karat_bias *biases = arena_alloc(&request->arena, n_biases + 1, sizeof *biases);
    bool failed = !stop || !biases;
    for (size_t i = 0; i < options->n_stop && !failed; ++i) {
        stop[i] = arena_text(&request->arena, options->stop[i], strlen(options->stop[i]));
        failed = !stop[i];
    }
    request->options = *options;
    request->options.stop = stop;
    request->options.tools = NULL;
    if (failed)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the options of a request");
    if (n_biases > 0)
        memcpy(biases, options->sampling.biases, n_biases * sizeof *biases);
    request->options.sampling.biases = biases;
    return KARAT_OK;
}

static enum karat_status read_prompt(struct request *request, const struct karat_model *model,
                                     const struct karat_request *wish, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct json *chat = NULL;
    if (!wish->chat) {
        for (size_t i = 0; i < wish->n_ids; ++i)
            TRY(token_ids_push(&request->prompt.ids, wish->ids[i], err));
        return KARAT_OK;
    }
    status = json_parse(&chat, &request->arena, span_text(wish->chat), NULL, err);
    if (status != KARAT_OK)
        return status_context(err, status, "the request");
    TRY(prompt_read(&request->prompt, model, chat, err));
cleanup:
    return status;
}

enum karat_status request_create(struct request **out, const struct karat_scheduler *s,
                                 const struct karat_request *wish, struct karat_error *err)
{
    static const struct karat_generate_options defaults;
    enum karat_status status = KARAT_OK;
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a request");
    request->wish = *wish;
    TRY(copy_options(request, wish->generate ? wish->generate : &defaults, err));
    TRY(read_prompt(request, s->model, wish, err));
    TRY(session_check_ids(s->slots[0].session, request->prompt.ids.ids, request->prompt.ids.n_ids, err));
    TRY(generation_check(s->model, &request->options, err));
    TRY(generation_open(&request->generation, s->model, &request->prompt, &request->options, err));
    *out = request;
    request = NULL;
cleanup:
    if (request)
        request_destroy(request);
    return status;
}

void request_report(struct request *request, enum karat_status status, struct karat_error *err)
{
    struct karat_reply reply = { 0 };
    status = generation_finish(&request->generation, status, &reply, err);
    request->times.n_decoded = request->generation.n_generated;
    const bool has_reply = status == KARAT_OK || status == KARAT_ERR_CANCELLED;
    if (status == KARAT_OK)
        *err = (struct karat_error){ 0 };
    if (request->wish.on_done)
        request->wish.on_done(request->wish.user, status, has_reply ? &reply : NULL, &request->times, err);
    karat_reply_free(&reply);
    request_destroy(request);
}

void request_report_cancelled(struct karat_scheduler *s, struct request *request)
{
    struct karat_error err;
    mutex_lock(&s->mutex);
    ++s->counts.n_finished;
    mutex_unlock(&s->mutex);
    request->times.queue_ns = clock_ns() - request->since_ns;
    request_report(request, status_fail(&err, KARAT_ERR_CANCELLED, "cancelled before it was begun"), &err);
}
