// tests/fuzz/fuzz_tokenizer.c -- any vocabulary is refused in one sentence or tokenizes any text.
//
// The input: one byte of choices, then tokens, merges and the text. FF ends each of the first two lists, FE each of
// their members; a token's first byte is its type.
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMBERS_MAX 2048
#define WITH_BYTES 1
#define WITHOUT_TYPES 2
#define WITH_UNKNOWN 4

struct input {
    struct span names[MEMBERS_MAX], merges[MEMBERS_MAX];
    int32_t types[MEMBERS_MAX];
    char byte_names[256][8];
    struct tokenizer_source source;
    struct span text;
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

// The bytes up to the next member or list; *rest is what follows them.
static struct span next_member(struct span *rest, bool *more)
{
    size_t n = 0;
    while (n < rest->size_bytes && rest->data[n] < 0xFE)
        ++n;
    const struct span member = span_of(rest->data, n);
    *more = n < rest->size_bytes && rest->data[n] == 0xFE;
    n += n < rest->size_bytes;
    *rest = span_of(rest->data + n, rest->size_bytes - n);
    return member;
}

static void read_input(struct input *input, const uint8_t *data, size_t size)
{
    const uint8_t choices = data[0];
    struct span rest = span_of(data + 1, size - 1);
    struct tokenizer_source *source = &input->source;
    *source = (struct tokenizer_source){ .tokens = input->names, .merges = input->merges };
    for (int byte = 0; choices & WITH_BYTES && byte < 256; ++byte) {
        snprintf(input->byte_names[byte], sizeof input->byte_names[byte], "<0x%02X>", (unsigned)byte);
        input->types[source->n_tokens] = TOKEN_BYTE;
        input->names[source->n_tokens++] = span_text(input->byte_names[byte]);
    }
    for (bool more = true; more && source->n_tokens < MEMBERS_MAX;) {
        const struct span member = next_member(&rest, &more);
        if (member.size_bytes == 0)
            continue;
        input->types[source->n_tokens] = (int8_t)member.data[0];
        input->names[source->n_tokens++] = span_of(member.data + 1, member.size_bytes - 1);
    }
    for (bool more = true; more && source->n_merges < MEMBERS_MAX;)
        input->merges[source->n_merges++] = next_member(&rest, &more);
    if (source->n_merges == 1 && source->merges[0].size_bytes == 0)
        source->n_merges = 0;
    input->text = rest;
    source->types = choices & WITHOUT_TYPES ? NULL : input->types;
    source->bos = source->eos = TOKEN_NONE;
    source->unk = choices & WITH_UNKNOWN ? (uint32_t)(choices >> 3) : TOKEN_NONE;
}

static void check_sentence(const struct karat_error *err)
{
    const size_t length = strlen(err->text);
    demand(length > 0 && utf8_valid(err->text, length, NULL));
}

static void append_with_spaces(struct text *out, struct span text)
{
    for (size_t at = 0; at < text.size_bytes;) {
        const bool mark = text.size_bytes - at >= 3 && memcmp(text.data + at, "\xE2\x96\x81", 3) == 0;
        text_append_char(out, mark ? ' ' : (char)text.data[at]);
        at += mark ? 3 : 1;
    }
}

static void check_encoding(const struct tokenizer *tokenizer, struct span text, enum tokenizer_match match)
{
    struct token_ids ids = { 0 };
    struct karat_error err = { 0 };
    struct text raw = { 0 }, joined = { 0 }, want = { 0 };
    bool lossless = true;
    if (tokenizer_encode(tokenizer, text, match, &ids, &err) != KARAT_OK) {
        check_sentence(&err);
        demand(ids.n_ids == 0 && !utf8_valid((const char *)text.data, text.size_bytes, NULL));
    } else {
        for (size_t i = 0; i < ids.n_ids; ++i) {
            demand(ids.ids[i] < tokenizer_n_tokens(tokenizer));
            const enum token_type type = tokenizer_type(tokenizer, ids.ids[i]);
            demand(match != TOKENIZER_MATCH_NONE || ids.ids[i] == tokenizer_unk(tokenizer) ||
                   (type != TOKEN_CONTROL && type != TOKEN_USER_DEFINED && type != TOKEN_UNKNOWN));
            lossless = lossless && ids.ids[i] != tokenizer_unk(tokenizer);
            text_append_span(&raw, tokenizer_text(tokenizer, ids.ids[i]));
        }
        append_with_spaces(&joined, text_span(&raw));
        append_with_spaces(&want, text);
        demand(!lossless || span_equal(text_span(&joined), text_span(&want)));
    }
    text_free(&raw);
    text_free(&joined);
    text_free(&want);
    token_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct input input;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err = { 0 };
    if (size == 0)
        return 0;
    read_input(&input, data, size);
    if (tokenizer_create(&tokenizer, &input.source, &err) != KARAT_OK) {
        check_sentence(&err);
        demand(tokenizer == NULL);
        return 0;
    }
    for (int match = TOKENIZER_MATCH_NONE; match <= TOKENIZER_MATCH_ALL; ++match)
        check_encoding(tokenizer, input.text, (enum tokenizer_match)match);
    for (uint32_t id = 0; id < tokenizer_n_tokens(tokenizer); ++id) {
        demand(tokenizer_text(tokenizer, id).size_bytes <= tokenizer_text_bytes_max(tokenizer));
        const uint32_t found = tokenizer_find(tokenizer, tokenizer_name(tokenizer, id));
        demand(found != TOKEN_NONE && found >= id);
    }
    tokenizer_destroy(tokenizer);
    return 0;
}
