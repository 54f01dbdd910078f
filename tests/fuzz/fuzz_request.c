// tests/fuzz/fuzz_request.c -- any body is refused in one sentence or becomes a conversation that the library can
// judge.
//
// The first byte chooses the dialect, the rest is the body.
#include <stdlib.h>
#include <string.h>

#include "server/ask.h"
#include "server/input_items.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_fault(const struct fault *fault)
{
    struct json json;
    struct text out = { 0 }, why = { 0 };
    demand(strlen(fault->message) > 0);
    for (int dialect = DIALECT_OPENAI; dialect <= DIALECT_ANTHROPIC; ++dialect) {
        error_write(&out, (enum dialect)dialect, fault, "req_1");
        demand(app_json_parse(&json, out.data, out.size, &why));
        app_json_free(&json);
        app_text_clear(&out);
    }
    app_text_free(&out);
}

// The demo model's, without weights.
static const struct karat_model *vocabulary(void)
{
    static struct karat_model *model;
    if (!model)
        demand(karat_model_open(&model, NULL, &(struct karat_model_options){ .vocabulary_only = true }, NULL) ==
               KARAT_OK);
    return model;
}

static void check_ask(struct ask *ask)
{
    struct karat_error err = { 0 };
    struct json json;
    struct text why = { 0 };
    char *prompt = NULL;
    ask_finish(ask, 2048);
    demand(ask->n_choices >= 1 && ask->n_choices <= ASK_CHOICES_MAX && ask->generate.sampling.seed != 0);
    for (size_t i = 0; i < ask->n_biases; ++i)
        demand(ask->biases[i].id < 2048 && ask->biases[i].bias <= 100);
    if (ask->prompts)
        return;
    demand(app_json_parse(&json, app_text_of(&ask->chat), ask->chat.size, &why));
    app_json_free(&json);
    // Rendering needs no model.
    if (karat_render(NULL, ask->chat.data, 0, &prompt, &err) != KARAT_OK)
        demand(err.status == KARAT_ERR_ARGUMENT || err.status == KARAT_ERR_FORMAT ||
               err.status == KARAT_ERR_UNSUPPORTED || err.status == KARAT_ERR_MEMORY);
    karat_free(prompt);
}

// Whatever a response answers can be listed.
static void check_items(const struct json *json)
{
    struct text items = { 0 }, list = { 0 }, why = { 0 };
    struct json listed;
    struct fault fault;
    input_items_add_request(&items, json);
    demand(items.size > 0 && input_items_list(&list, &items, "limit=3&order=asc", &fault));
    demand(app_json_parse(&listed, list.data, list.size, &why));
    app_json_free(&listed);
    app_text_free(&items);
    app_text_free(&list);
}

static bool read_response(struct ask *ask, const struct json *json, struct fault *fault)
{
    if (!ask_read_responses(ask, json, fault))
        return false;
    check_items(json);
    return true;
}

static bool read_ask(struct ask *ask, const struct json *json, uint8_t dialect, struct fault *fault)
{
    switch (dialect & 7) {
    case 0:
        return ask_read_chat(ask, json, fault);
    case 1:
        if (dialect & 8)
            app_text_add(&ask->said,
                         "{\"role\":\"user\",\"content\":\"before\"},{\"role\":\"assistant\",\"content\":\"x\"}");
        return read_response(ask, json, fault);
    case 4:
        return ask_read_completion(ask, json, vocabulary(), fault);
    default:
        return ask_read_messages(ask, json, dialect & 1, fault);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json json;
    struct text why = { 0 };
    if (size == 0)
        return 0;
    char *body = app_memory_copy((const char *)data + 1, size - 1);
    if (app_json_parse(&json, body, size - 1, &why)) {
        struct ask ask = { 0 };
        struct fault fault = { 0 };
        if (!app_json_is(&json, 0, JSON_OBJECT))
            ;
        else if (read_ask(&ask, &json, data[0], &fault) && ask_read_biases(&ask, &json, vocabulary(), &fault))
            check_ask(&ask);
        else
            check_fault(&fault);
        ask_free(&ask);
        app_json_free(&json);
    }
    app_text_free(&why);
    free(body);
    return 0;
}
