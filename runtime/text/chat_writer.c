// text/chat_writer.c -- the list of items: controls, and one run of text between two of them.
#include "text/chat_writer.h"

#include <stdlib.h>

#include "text/stream.h"

static void add_item(struct chat_writer *writer, struct chat_item item)
{
    struct chat_prompt *prompt = writer->prompt;
    if (prompt->n_items == writer->items_capacity) {
        const size_t capacity = writer->items_capacity > 0 ? 2 * writer->items_capacity : 64;
        struct chat_item *items = realloc(prompt->items, capacity * sizeof *items);
        if (!items) {
            writer->run.failed = true;
            return;
        }
        prompt->items = items;
        writer->items_capacity = capacity;
    }
    prompt->items[prompt->n_items++] = item;
    writer->size_bytes += item.text.size_bytes;
    if (writer->size_bytes > CHAT_PROMPT_BYTES_MAX)
        writer->run.failed = true;
}

static void flush(struct chat_writer *writer)
{
    struct text *run = &writer->run;
    if (run->failed || run->size_bytes == 0)
        return;
    const char *copy = arena_text(&writer->prompt->arena, run->data, run->size_bytes);
    const size_t size_bytes = run->size_bytes;
    text_clear(run);
    if (copy)
        add_item(writer, (struct chat_item){ .text = span_of(copy, size_bytes) });
    else
        run->failed = true;
}

void writer_text(struct chat_writer *writer, struct span text)
{
    text_append_span(&writer->run, text);
}

void writer_string(struct chat_writer *writer, const char *text)
{
    text_append_string(&writer->run, text);
}

void writer_media(struct chat_writer *writer, const char *name, const struct json *part)
{
    flush(writer);
    if (!writer->run.failed)
        add_item(writer, (struct chat_item){ .control = true, .text = span_text(name), .media = part });
}

void writer_ids(struct chat_writer *writer, const struct tokenizer *tokenizer, const uint32_t *ids, size_t n_ids)
{
    struct text text = { 0 };
    struct stream stream = { 0 }; // a model may have written what is no character
    flush(writer);
    for (size_t i = 0; i < n_ids; ++i)
        text_append_span(&text, tokenizer_text(tokenizer, ids[i]));
    char *characters = arena_alloc(&writer->prompt->arena, STREAM_OUT_BYTES(text.size_bytes), 1);
    writer->run.failed = writer->run.failed || text.failed || !characters;
    if (!writer->run.failed) {
        size_t n = stream_feed(&stream, text_span(&text), characters);
        n += stream_finish(&stream, characters + n);
        add_item(writer, (struct chat_item){ .text = span_of(characters, n), .ids = ids, .n_ids = n_ids });
    }
    text_free(&text);
}

size_t writer_mark(struct chat_writer *writer)
{
    flush(writer);
    return writer->prompt->n_items;
}

void writer_control(struct chat_writer *writer, const char *name)
{
    writer_media(writer, name, NULL);
}

void writer_quoted(struct chat_writer *writer, struct span text)
{
    writer_control(writer, "<|\"|>");
    writer_text(writer, text);
    writer_control(writer, "<|\"|>");
}

enum karat_status writer_finish(struct chat_writer *writer)
{
    flush(writer);
    if (!writer->run.failed)
        return KARAT_OK;
    return status_fail(writer->err, KARAT_ERR_MEMORY, "the prompt does not fit into memory or is longer than %zu bytes",
                       CHAT_PROMPT_BYTES_MAX);
}
