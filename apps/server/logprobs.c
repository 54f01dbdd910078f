// server/logprobs.c -- see logprobs.h.
#include "server/logprobs.h"

#include <stdio.h>

// ---------------------------------------------------------------------------------------------------- a token's text

static struct text bytes_of(const struct choice *choice, uint32_t id)
{
    struct text bytes = { 0 };
    char *text = NULL;
    size_t size = 0;
    if (karat_detokenize(choice->answer->server->model, &id, 1, &text, &size, NULL) == KARAT_OK)
        app_text_append(&bytes, text, size);
    karat_free(text);
    return bytes;
}

// A JSON string; `prefix` goes before one that is spelled byte by byte.
static void add_spelled(struct text *out, const struct text *bytes, const char *prefix)
{
    struct text spelled = { 0 };
    const bool is_text = app_text_utf8_prefix(app_text_of(bytes), bytes->size) == bytes->size;
    if (!is_text) {
        app_text_add(&spelled, prefix);
        for (size_t i = 0; i < bytes->size; ++i)
            app_text_format(&spelled, "\\x%02x", (unsigned char)bytes->data[i]);
    }
    app_text_json(out, app_text_of(is_text ? bytes : &spelled), is_text ? bytes->size : spelled.size);
    app_text_free(&spelled);
}

static size_t count_characters(const struct text *bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes->size; ++i)
        n += ((unsigned char)bytes->data[i] & 0xC0) != 0x80;
    return n;
}

// ---------------------------------------------------------------------------------------------------- chats

// The members of an object, which the caller closes.
static void add_token(struct text *out, const struct choice *choice, const struct karat_logprob *token)
{
    struct text bytes = bytes_of(choice, token->id);
    app_text_format(out, "{\"id\":%u,\"token\":", token->id);
    add_spelled(out, &bytes, "");
    app_text_add(out, ",\"bytes\":[");
    for (size_t i = 0; i < bytes.size; ++i)
        app_text_format(out, "%s%u", i ? "," : "", (unsigned char)bytes.data[i]);
    app_text_add(out, "],\"logprob\":");
    app_text_json_number(out, (double)token->logprob);
    app_text_free(&bytes);
}

void logprobs_write_list(struct text *out, const struct choice *choice, size_t from)
{
    app_text_add(out, "[");
    for (size_t i = from; i < choice->n_tokens; ++i) {
        const struct token *token = &choice->tokens[i];
        app_text_add(out, i > from ? "," : "");
        add_token(out, choice, &token->own);
        app_text_add(out, ",\"top_logprobs\":[");
        for (size_t k = 0; k < token->n_top; ++k) {
            app_text_add(out, k ? "," : "");
            add_token(out, choice, &token->top[k]);
            app_text_add(out, "}");
        }
        app_text_add(out, "]}");
    }
    app_text_add(out, "]");
}

void logprobs_write_chat(struct text *out, struct choice *choice)
{
    if (!choice->answer->ask.logprobs) {
        app_text_add(out, "null");
        return;
    }
    app_text_add(out, "{\"content\":");
    logprobs_write_list(out, choice, choice->n_told);
    app_text_add(out, ",\"refusal\":null}");
    choice->n_told = choice->n_tokens;
}

// ---------------------------------------------------------------------------------------------------- completions

static void add_top(struct text *out, const struct choice *choice, const struct token *token)
{
    app_text_add(out, "{");
    for (size_t k = 0; k < token->n_top; ++k) {
        struct text bytes = bytes_of(choice, token->top[k].id);
        app_text_add(out, k ? "," : "");
        add_spelled(out, &bytes, "bytes:");
        app_text_add(out, ":");
        app_text_json_number(out, (double)token->top[k].logprob);
        app_text_free(&bytes);
    }
    app_text_add(out, "}");
}

void logprobs_write_completion(struct text *out, struct choice *choice)
{
    struct text texts = { 0 }, numbers = { 0 }, tops = { 0 }, offsets = { 0 };
    if (!choice->answer->ask.logprobs) {
        app_text_add(out, "null");
        return;
    }
    for (const char *comma = ""; choice->n_told < choice->n_tokens; ++choice->n_told, comma = ",") {
        const struct token *token = &choice->tokens[choice->n_told];
        struct text bytes = bytes_of(choice, token->own.id);
        app_text_add(&texts, comma);
        add_spelled(&texts, &bytes, "bytes:");
        app_text_add(&numbers, comma);
        app_text_json_number(&numbers, (double)token->own.logprob);
        app_text_add(&tops, comma);
        add_top(&tops, choice, token);
        app_text_format(&offsets, "%s%zu", comma, choice->n_written);
        choice->n_written += count_characters(&bytes);
        app_text_free(&bytes);
    }
    app_text_format(out, "{\"tokens\":[%s],\"token_logprobs\":[%s],\"top_logprobs\":[%s],\"text_offset\":[%s]}",
                    app_text_of(&texts), app_text_of(&numbers), app_text_of(&tops), app_text_of(&offsets));
    app_text_free(&texts);
    app_text_free(&numbers);
    app_text_free(&tops);
    app_text_free(&offsets);
}
