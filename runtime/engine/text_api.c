// engine/text_api.c -- the text functions of karat.h: argument checks, then one call down.
#include <stdlib.h>

#include "engine/engine.h"

void karat_free(void *memory)
{
    free(memory);
}

// Hands the bytes of `text` to the caller, or says that memory ran out.
static enum karat_status give_text(char **out, size_t *size_out, struct text *text, const char *what,
                                   struct karat_error *err)
{
    const enum karat_status status = text_check(text, what, err);
    if (status != KARAT_OK)
        return status;
    text_append(text, "", 0);
    *out = text_take(text, size_out);
    if (!*out)
        *out = calloc(1, 1);
    return *out ? KARAT_OK : status_fail(err, KARAT_ERR_MEMORY, "no memory for %s", what);
}

// ------------------------------------------------------------------------------------------------ tokens

enum karat_status karat_tokenize(const struct karat_model *model, const char *text, size_t size, unsigned flags,
                                 uint32_t **ids_out, size_t *n_out, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct token_ids ids = { 0 };
    const enum tokenizer_match match =
        flags & KARAT_TOKENIZE_SPECIAL ? TOKENIZER_MATCH_ALL : TOKENIZER_MATCH_USER_DEFINED;
    *ids_out = NULL;
    *n_out = 0;
    if ((flags & KARAT_TOKENIZE_BOS) && model->control.bos != TOKEN_NONE)
        TRY(token_ids_push(&ids, model->control.bos, err));
    TRY(tokenizer_encode(model->tokenizer, span_of(text, size), match, &ids, err));
    *n_out = ids.n_ids;
    *ids_out = ids.ids ? ids.ids : calloc(1, sizeof **ids_out);
    ids = (struct token_ids){ 0 };
    if (!*ids_out)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for token ids"));
cleanup:
    token_ids_free(&ids);
    return status;
}

enum karat_status karat_detokenize(const struct karat_model *model, const uint32_t *ids, size_t n_ids, char **text_out,
                                   size_t *size_out, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct text text = { 0 };
    *text_out = NULL;
    for (size_t i = 0; i < n_ids; ++i) {
        if (ids[i] >= tokenizer_n_tokens(model->tokenizer))
            TRY(status_fail(err, KARAT_ERR_ARGUMENT, "token %zu is %u, the vocabulary has %u", i, ids[i],
                            tokenizer_n_tokens(model->tokenizer)));
        text_append_span(&text, tokenizer_text(model->tokenizer, ids[i]));
    }
    TRY(give_text(text_out, size_out, &text, "the text", err));
cleanup:
    text_free(&text);
    return status;
}

// ------------------------------------------------------------------------------------------------ rendering

enum karat_status engine_prompt_ids(const struct karat_model *model, const struct chat_prompt *prompt,
                                    struct token_ids *ids, size_t *n_history, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (size_t i = 0; i < prompt->n_items; ++i) {
        const struct chat_item *item = &prompt->items[i];
        if (n_history && i == prompt->n_history)
            *n_history = ids->n_ids;
        for (size_t k = 0; k < item->n_ids; ++k)
            TRY(token_ids_push(ids, item->ids[k], err));
        if (item->n_ids > 0)
            continue;
        if (!item->control) {
            TRY(tokenizer_encode(model->tokenizer, item->text, TOKENIZER_MATCH_NONE, ids, err));
            continue;
        }
        const uint32_t id = tokenizer_find(model->tokenizer, item->text);
        if (id == TOKEN_NONE)
            TRY(status_fail(err, KARAT_ERR_UNSUPPORTED,
                            "the vocabulary has no token %.*s, which this conversation needs", SPAN_ARGS(item->text)));
        TRY(token_ids_push(ids, id, err));
    }
    if (n_history && prompt->n_history == prompt->n_items)
        *n_history = ids->n_ids;
cleanup:
    return status;
}

static enum karat_status render(struct chat_prompt *out, struct arena *arena, const struct karat_model *model,
                                const char *request, unsigned flags, struct karat_error *err)
{
    struct json *value = NULL;
    enum karat_status status = json_parse(&value, arena, span_text(request), NULL, err);
    if (status != KARAT_OK)
        return status_context(err, status, "the request");
    const struct chat_options options = { .strict = (flags & KARAT_RENDER_NO_FIXES) != 0,
                                          .tokenizer = model ? model->tokenizer : NULL };
    return chat_render(out, value, &options, err);
}

enum karat_status karat_render(const struct karat_model *model, const char *request, unsigned flags, char **text_out,
                               struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct chat_prompt prompt = { 0 };
    struct arena arena = { 0 };
    struct text text = { 0 };
    *text_out = NULL;
    TRY(render(&prompt, &arena, model, request, flags, err));
    chat_prompt_text(&prompt, &text);
    TRY(give_text(text_out, NULL, &text, "the prompt", err));
cleanup:
    text_free(&text);
    chat_prompt_free(&prompt);
    arena_free(&arena);
    return status;
}

enum karat_status karat_render_tokens(const struct karat_model *model, const char *request, unsigned flags,
                                      uint32_t **ids_out, size_t *n_out, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct chat_prompt prompt = { 0 };
    struct arena arena = { 0 };
    struct token_ids ids = { 0 };
    *ids_out = NULL;
    *n_out = 0;
    TRY(render(&prompt, &arena, model, request, flags, err));
    TRY(engine_prompt_ids(model, &prompt, &ids, NULL, err));
    *n_out = ids.n_ids;
    *ids_out = ids.ids;
    ids = (struct token_ids){ 0 };
cleanup:
    token_ids_free(&ids);
    chat_prompt_free(&prompt);
    arena_free(&arena);
    return status;
}

// ------------------------------------------------------------------------------------------------ parsing

enum karat_status karat_parse(const struct karat_model *model, const char *raw, size_t size, bool starts_in_thought,
                              const char *tools, char **json_out, struct karat_error *err)
{
    (void)model;
    enum karat_status status = KARAT_OK;
    struct arena arena = { 0 };
    struct json *declarations = NULL;
    struct text text = { 0 };
    *json_out = NULL;
    if (tools && (status = json_parse(&declarations, &arena, span_text(tools), NULL, err)) != KARAT_OK)
        TRY(status_context(err, status, "the tools"));
    TRY(parse_reply(&text, span_of(raw, size), starts_in_thought, declarations, err));
    TRY(give_text(json_out, NULL, &text, "the parsed reply", err));
cleanup:
    text_free(&text);
    arena_free(&arena);
    return status;
}
