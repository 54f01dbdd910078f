// tests/fuzz/fuzz_chat.c -- any request is refused in one sentence or becomes a list of items that keeps its promises.
//
// The first byte holds the options, the rest is the request.
#include <stdlib.h>

#include "base/utf8.h"
#include "engine/engine.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static bool is_control_name(struct span name)
{
    static const char *const names[] = {
        "<bos>",        "<|turn>",   "<turn|>",    "<|think|>",  "<|tool>",          "<tool|>",          "<|tool_call>",
        "<tool_call|>", "<|\"|>",    "<|channel>", "<channel|>", "<|tool_response>", "<tool_response|>", "<|image|>",
        "<|audio|>",    "<|video|>",
    };
    for (size_t i = 0; i < COUNT(names); ++i)
        if (span_is(name, names[i]))
            return true;
    return false;
}

static void check_items(const struct chat_prompt *prompt)
{
    for (size_t i = 0; i < prompt->n_items; ++i) {
        const struct chat_item *item = &prompt->items[i];
        demand(item->text.size_bytes > 0);
        demand(utf8_valid((const char *)item->text.data, item->text.size_bytes, NULL));
        demand(!item->control || is_control_name(item->text));
        demand((item->ids != NULL) == (item->n_ids > 0) && !(item->ids && item->control));
        // Text between two controls is one item, but for what was sampled.
        demand(item->control || item->ids || i == 0 || prompt->items[i - 1].control || prompt->items[i - 1].ids);
        demand(!item->media || (item->control && json_find(item->media, "type")));
    }
}

// The demo model's.
static const struct tokenizer *vocabulary(void)
{
    static struct karat_model *model;
    if (!model)
        demand(karat_model_open(&model, NULL, &(struct karat_model_options){ .vocabulary_only = true }, NULL) ==
               KARAT_OK);
    return model->tokenizer;
}

static void check_request(const struct json *request, uint8_t flags)
{
    const struct chat_options options = {
        .strict = flags & 1,
        .small = flags & 2,
        .structured_results = flags & 4,
        .empty_thought_after_results = flags & 8,
        .tokenizer = flags & 16 ? vocabulary() : NULL,
    };
    struct chat_prompt prompt;
    struct karat_error err = { 0 };
    const enum karat_status status = chat_render(&prompt, request, &options, &err);
    if (status == KARAT_OK) {
        check_items(&prompt);
    } else {
        demand(status == KARAT_ERR_ARGUMENT || status == KARAT_ERR_MEMORY);
        demand(strlen(err.text) > 0 && utf8_valid(err.text, strlen(err.text), NULL));
        demand(prompt.items == NULL);
    }
    chat_prompt_free(&prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = { 0 };
    struct json *request = NULL;
    if (size > 0 && json_parse(&request, &arena, span_of(data + 1, size - 1), NULL, NULL) == KARAT_OK)
        check_request(request, data[0]);
    arena_free(&arena);
    return 0;
}
