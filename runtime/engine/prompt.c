// engine/prompt.c -- what is asked: from messages to a request, from a request to the tokens of its prompt.
#include "engine/generation.h"

static struct json *new_bool(struct arena *arena, const char *key, bool value)
{
    struct json *json = json_new(arena, JSON_BOOL);
    if (json) {
        json->boolean = value;
        json->key = span_text(key);
    }
    return json;
}

// `what` begins the sentence of a failure.
static struct json *read_member(struct arena *arena, const char *key, const char *what, const char *document,
                                struct karat_error *err)
{
    struct json *value = NULL;
    enum karat_status status = json_parse(&value, arena, span_text(document), NULL, err);
    if (status != KARAT_OK) {
        status_context(err, status, "%s", what);
        return NULL;
    }
    value->key = span_text(key);
    return value;
}

enum karat_status prompt_build_request(struct json **out, struct arena *arena, const char *messages,
                                       const struct karat_generate_options *options, struct karat_error *err)
{
    struct karat_error why = { .status = KARAT_ERR_MEMORY, .text = "no memory for the conversation" };
    struct json *request = json_new(arena, JSON_OBJECT), *wishes = json_new(arena, JSON_OBJECT);
    struct json *conversation = read_member(arena, "messages", "the messages", messages, &why);
    const bool has_tools = options->tools && options->tool_choice != KARAT_TOOLS_NONE;
    const bool has_sampled = options->sampled;
    struct json *tools =
        has_tools && conversation ? read_member(arena, "tools", "the tools", options->tools, &why) : NULL;
    struct json *sampled =
        has_sampled && conversation ? read_member(arena, "sampled", "what was sampled", options->sampled, &why) : NULL;
    struct json *thinking = new_bool(arena, "enable_thinking", options->thinking);
    struct json *prompt = new_bool(arena, "add_generation_prompt", true);
    if (!request || !wishes || !conversation || (has_tools && !tools) || (has_sampled && !sampled) || !thinking ||
        !prompt) {
        if (err)
            *err = why;
        return why.status;
    }
    wishes->key = span_text("options");
    json_append(wishes, thinking);
    json_append(wishes, prompt);
    json_append(request, conversation);
    if (tools)
        json_append(request, tools);
    if (sampled)
        json_append(request, sampled);
    json_append(request, wishes);
    *out = request;
    return KARAT_OK;
}

static enum karat_status refuse_media(const struct chat_prompt *prompt, struct karat_error *err)
{
    for (size_t i = 0; i < prompt->n_items; ++i)
        if (prompt->items[i].media)
            return status_fail(err, KARAT_ERR_UNSUPPORTED,
                               "the conversation holds a %.*s part; only text is read so far",
                               SPAN_ARGS(prompt->items[i].text));
    return KARAT_OK;
}

enum karat_status prompt_read(struct prompt *out, const struct karat_model *model, const struct json *request,
                              struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct chat_prompt rendered = { 0 };
    *out = (struct prompt){ .is_chat = true };
    TRY(chat_render(&rendered, request, &(struct chat_options){ .tokenizer = model->tokenizer }, err));
    TRY(refuse_media(&rendered, err));
    TRY(engine_prompt_ids(model, &rendered, &out->ids, &out->n_history, err));
    json_get_string(json_find(json_find(request, "options"), "begun_answer"), &out->begun);
    out->may_think = rendered.thinking;
    out->starts_in_thought = rendered.starts_in_thought;
    out->tools = json_is(json_find(request, "tools"), JSON_ARRAY) ? json_find(request, "tools") : NULL;
cleanup:
    chat_prompt_free(&rendered);
    return status;
}

void prompt_free(struct prompt *prompt)
{
    token_ids_free(&prompt->ids);
}
