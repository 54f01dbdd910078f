// text/tokenizer.c -- the vocabulary: see tokenizer.h.
//
// Everything is built once, in four steps: the tokens and an index of their names, the byte tokens, the special tokens
// in alphabetical order, the merges. Encoding with it is in tokenizer_encode.c.
#include <stdlib.h>

#include "base/utf8.h"
#include "text/tokenizer_table.h"

uint32_t tokenizer_find(const struct tokenizer *tokenizer, struct span name)
{
    for (uint64_t at = hash_bytes(name) & tokenizer->names_mask;; at = (at + 1) & tokenizer->names_mask) {
        if (tokenizer->names[at] == 0)
            return TOKEN_NONE;
        const uint32_t id = tokenizer->names[at] - 1;
        if (span_equal(tokenizer_name(tokenizer, id), name))
            return id;
    }
}

// ---- creation

static enum karat_status check_counts(const struct tokenizer_source *source, struct karat_error *err)
{
    if (source->n_tokens == 0)
        return status_fail(err, KARAT_ERR_FORMAT, "the vocabulary has no tokens");
    if (source->n_tokens > TOKENIZER_TOKENS_MAX)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the vocabulary has %zu tokens, at most %u expected",
                           source->n_tokens, TOKENIZER_TOKENS_MAX);
    if (source->n_merges > TOKENIZER_MERGES_MAX)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the vocabulary has %zu merges, at most %u expected",
                           source->n_merges, TOKENIZER_MERGES_MAX);
    const struct {
        const char *name;
        uint32_t id;
    } ids[] = { { "start", source->bos }, { "end", source->eos }, { "unknown", source->unk } };
    for (size_t i = 0; i < COUNT(ids); ++i)
        if (ids[i].id != TOKEN_NONE && ids[i].id >= source->n_tokens)
            return status_fail(err, KARAT_ERR_FORMAT, "the %s token has id %u, but there are only %zu tokens",
                               ids[i].name, ids[i].id, source->n_tokens);
    return KARAT_OK;
}

// The value of a name of the form "<0x41>", -1 for any other.
static int byte_of_name(struct span name)
{
    if (name.size_bytes != BYTE_NAME_SIZE || memcmp(name.data, "<0x", 3) != 0 || name.data[5] != '>')
        return -1;
    int value = 0;
    for (size_t i = 3; i < 5; ++i) {
        static const char digits[] = "0123456789ABCDEF";
        const char *digit = memchr(digits, name.data[i], 16);
        if (!digit)
            return -1;
        value = value * 16 + (int)(digit - digits);
    }
    return value;
}

// Files call some of these user-defined, but a text that is not trusted must not end a turn.
static bool is_ending(struct span name)
{
    static const char *const names[] = { "<eos>", "<turn|>", "<|tool_response>" };
    for (size_t i = 0; i < COUNT(names); ++i)
        if (span_is(name, names[i]))
            return true;
    return false;
}

static enum karat_status read_type(uint8_t *out, const struct tokenizer_source *source, uint32_t id,
                                   struct karat_error *err)
{
    const struct span name = source->tokens[id];
    int32_t type = TOKEN_NORMAL;
    if (source->types)
        type = source->types[id];
    else if (id == source->unk)
        type = TOKEN_UNKNOWN;
    else if (byte_of_name(name) >= 0)
        type = TOKEN_BYTE;
    if (type < 0 || type >= TOKEN_TYPE_COUNT)
        return status_fail(err, KARAT_ERR_FORMAT, "token %u \"%.*s\" has type %d, 0 to %d expected", id,
                           SPAN_ARGS(name), (int)type, TOKEN_TYPE_COUNT - 1);
    if (type == TOKEN_BYTE && byte_of_name(name) < 0)
        return status_fail(err, KARAT_ERR_FORMAT, "byte token %u is named \"%.*s\", \"<0x00>\" to \"<0xFF>\" expected",
                           id, SPAN_ARGS(name));
    if (id == source->bos || id == source->eos || is_ending(name))
        type = TOKEN_CONTROL;
    *out = (uint8_t)type;
    return KARAT_OK;
}

static bool starts_with_mark(struct span name, size_t at)
{
    return name.size_bytes - at >= SPACE_MARK_SIZE && memcmp(name.data + at, "\xE2\x96\x81", SPACE_MARK_SIZE) == 0;
}

static bool has_mark(struct span name)
{
    for (size_t at = 0; at < name.size_bytes; ++at)
        if (starts_with_mark(name, at))
            return true;
    return false;
}

// Writes the name with its marks as spaces; returns the size.
static size_t write_text(uint8_t *out, struct span name)
{
    size_t size = 0;
    for (size_t at = 0; at < name.size_bytes; ++size) {
        const bool mark = starts_with_mark(name, at);
        out[size] = mark ? ' ' : name.data[at];
        at += mark ? SPACE_MARK_SIZE : 1;
    }
    return size;
}

static enum karat_status check_names(const struct tokenizer_source *source, size_t *size_bytes, struct karat_error *err)
{
    size_t total = 0;
    for (uint32_t id = 0; id < source->n_tokens; ++id) {
        const struct span name = source->tokens[id];
        size_t bad_offset = 0;
        if (name.size_bytes > TOKENIZER_NAME_BYTES_MAX)
            return status_fail(err, KARAT_ERR_UNSUPPORTED, "token %u has a text of %zu bytes, at most %u expected", id,
                               name.size_bytes, TOKENIZER_NAME_BYTES_MAX);
        if (!utf8_valid((const char *)name.data, name.size_bytes, &bad_offset))
            return status_fail(err, KARAT_ERR_FORMAT, "token %u \"%.*s\" is not valid UTF-8 at byte %zu", id,
                               SPAN_ARGS(name), bad_offset);
        total += name.size_bytes + (has_mark(name) ? name.size_bytes : 0) + 1;
    }
    if (total > UINT32_MAX)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "the tokens have %zu bytes of text, at most 4 GiB expected",
                           total);
    *size_bytes = total;
    return KARAT_OK;
}

static enum karat_status copy_tokens(struct tokenizer *tokenizer, const struct tokenizer_source *source,
                                     struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    size_t size_bytes = 0, used = 0;
    TRY(check_names(source, &size_bytes, err));
    tokenizer->tokens = arena_alloc(&tokenizer->arena, source->n_tokens, sizeof *tokenizer->tokens);
    tokenizer->bytes = arena_alloc(&tokenizer->arena, size_bytes, 1);
    if (!tokenizer->tokens || !tokenizer->bytes)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the texts of %zu tokens", source->n_tokens);
    tokenizer->n_tokens = (uint32_t)source->n_tokens;
    for (uint32_t id = 0; id < tokenizer->n_tokens; ++id) {
        const struct span name = source->tokens[id];
        struct token *token = &tokenizer->tokens[id];
        TRY(read_type(&token->type, source, id, err));
        token->name_at = token->text_at = (uint32_t)used;
        token->name_size = token->text_size = (uint16_t)name.size_bytes;
        if (name.size_bytes > 0)
            memcpy(tokenizer->bytes + used, name.data, name.size_bytes);
        used += name.size_bytes;
        if (token->type == TOKEN_BYTE) {
            token->text_at = (uint32_t)used;
            token->text_size = 1;
            tokenizer->bytes[used++] = (uint8_t)byte_of_name(name);
        } else if (is_plain(token->type) && has_mark(name)) {
            token->text_at = (uint32_t)used;
            token->text_size = (uint16_t)write_text(tokenizer->bytes + used, name);
            used += token->text_size;
        }
        if (token->name_size > tokenizer->name_bytes_max)
            tokenizer->name_bytes_max = token->name_size;
        if (token->text_size > tokenizer->text_bytes_max)
            tokenizer->text_bytes_max = token->text_size;
    }
cleanup:
    return status;
}

// Notes the token if its name is a single character; false when memory is out.
static bool index_letter(struct tokenizer *tokenizer, uint32_t id)
{
    const struct span name = tokenizer_name(tokenizer, id);
    uint32_t code_point = 0;
    const size_t size = utf8_decode((const char *)name.data, name.size_bytes, &code_point);
    if (size == 0 || size != name.size_bytes)
        return true;
    uint32_t **page = &tokenizer->letters[code_point / LETTERS_PER_PAGE];
    if (!*page)
        *page = arena_alloc(&tokenizer->arena, LETTERS_PER_PAGE, sizeof **page);
    if (*page)
        (*page)[code_point % LETTERS_PER_PAGE] = is_plain(tokenizer_type(tokenizer, id)) ? id + 1 : 0;
    return *page != NULL;
}

static enum karat_status index_names(struct tokenizer *tokenizer, struct karat_error *err)
{
    tokenizer->names_mask = mask_for(tokenizer->n_tokens);
    tokenizer->names = arena_alloc(&tokenizer->arena, tokenizer->names_mask + 1, sizeof *tokenizer->names);
    if (!tokenizer->names)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the index of %u tokens", tokenizer->n_tokens);
    for (uint32_t id = 0; id < tokenizer->n_tokens; ++id) {
        const struct span name = tokenizer_name(tokenizer, id);
        uint64_t at = hash_bytes(name) & tokenizer->names_mask;
        while (tokenizer->names[at] != 0 && !span_equal(tokenizer_name(tokenizer, tokenizer->names[at] - 1), name))
            at = (at + 1) & tokenizer->names_mask;
        tokenizer->names[at] = id + 1;
        if (!index_letter(tokenizer, id))
            return status_fail(err, KARAT_ERR_MEMORY, "no memory for the letters of %u tokens", tokenizer->n_tokens);
    }
    return KARAT_OK;
}

static enum karat_status index_bytes(struct tokenizer *tokenizer, struct karat_error *err)
{
    for (int byte = 0; byte < 256; ++byte)
        tokenizer->byte_ids[byte] = TOKEN_NONE;
    for (uint32_t id = 0; id < tokenizer->n_tokens; ++id)
        if (tokenizer->tokens[id].type == TOKEN_BYTE)
            tokenizer->byte_ids[*tokenizer_text(tokenizer, id).data] = id;
    for (int byte = 0; byte < 256; ++byte) {
        if (tokenizer->byte_ids[byte] == TOKEN_NONE)
            tokenizer->byte_ids[byte] = tokenizer->unk;
        if (tokenizer->byte_ids[byte] == TOKEN_NONE)
            return status_fail(err, KARAT_ERR_FORMAT,
                               "the vocabulary has neither the byte token \"<0x%02X>\" nor an unknown token", byte);
    }
    return KARAT_OK;
}

// A name with the id it belongs to, so that qsort() can do without a context.
struct special {
    struct span name;
    uint32_t id;
};

static int compare_specials(const void *a, const void *b)
{
    const struct special *x = a, *y = b;
    const size_t common = x->name.size_bytes < y->name.size_bytes ? x->name.size_bytes : y->name.size_bytes;
    const int order = memcmp(x->name.data, y->name.data, common);
    if (order != 0)
        return order;
    if (x->name.size_bytes != y->name.size_bytes)
        return x->name.size_bytes < y->name.size_bytes ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static enum karat_status index_specials(struct tokenizer *tokenizer, struct karat_error *err)
{
    size_t n = 0;
    for (uint32_t id = 0; id < tokenizer->n_tokens; ++id)
        n += is_special(tokenizer->tokens[id].type) && tokenizer->tokens[id].name_size > 0;
    struct special *specials = malloc((n + 1) * sizeof *specials);
    tokenizer->specials = arena_alloc(&tokenizer->arena, n + 1, sizeof *tokenizer->specials);
    if (!specials || !tokenizer->specials) {
        free(specials);
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for %zu special tokens", n);
    }
    n = 0;
    for (uint32_t id = 0; id < tokenizer->n_tokens; ++id)
        if (is_special(tokenizer->tokens[id].type) && tokenizer->tokens[id].name_size > 0)
            specials[n++] = (struct special){ tokenizer_name(tokenizer, id), id };
    qsort(specials, n, sizeof *specials, compare_specials);
    for (size_t i = 0; i < n; ++i) {
        tokenizer->specials[i] = specials[i].id;
        tokenizer->first_special[specials[i].name.data[0] + 1] = (uint32_t)(i + 1);
    }
    // A byte without names begins where the one before it ends.
    for (int byte = 1; byte < 257; ++byte)
        if (tokenizer->first_special[byte] < tokenizer->first_special[byte - 1])
            tokenizer->first_special[byte] = tokenizer->first_special[byte - 1];
    free(specials);
    return KARAT_OK;
}

static uint32_t first_code_point(struct span text)
{
    uint32_t code_point = 0;
    utf8_decode((const char *)text.data, text.size_bytes, &code_point);
    return code_point;
}

static uint32_t last_code_point(struct span text)
{
    size_t at = text.size_bytes - 1;
    while (at > 0 && (text.data[at] & 0xC0) == 0x80)
        --at;
    return first_code_point(span_of(text.data + at, text.size_bytes - at));
}

static enum karat_status read_merge(struct tokenizer *tokenizer, struct span line, uint32_t rank,
                                    struct karat_error *err)
{
    const uint8_t *space = line.size_bytes > 1 ? memchr(line.data + 1, ' ', line.size_bytes - 1) : NULL;
    if (!space || space == line.data + line.size_bytes - 1)
        return status_fail(err, KARAT_ERR_FORMAT, "merge %u is \"%.*s\", two tokens with a space between expected",
                           rank, SPAN_ARGS(line));
    const size_t left_size = (size_t)(space - line.data), right_size = line.size_bytes - left_size - 1;
    if (left_size + right_size > TOKENIZER_NAME_BYTES_MAX)
        return status_fail(err, KARAT_ERR_FORMAT, "merge %u has %zu bytes, which is longer than any token", rank,
                           line.size_bytes);
    uint8_t joined[TOKENIZER_NAME_BYTES_MAX];
    memcpy(joined, line.data, left_size);
    memcpy(joined + left_size, space + 1, right_size);
    const struct span names[] = { span_of(line.data, left_size), span_of(space + 1, right_size),
                                  span_of(joined, left_size + right_size) };
    uint32_t ids[COUNT(names)];
    bool plain = true;
    for (size_t i = 0; i < COUNT(names); ++i) {
        ids[i] = tokenizer_find(tokenizer, names[i]);
        if (ids[i] == TOKEN_NONE)
            return status_fail(err, KARAT_ERR_FORMAT, "merge %u \"%.*s\" needs \"%.*s\", which is not a token", rank,
                               SPAN_ARGS(line), SPAN_ARGS(names[i]));
        plain = plain && is_plain(tokenizer->tokens[ids[i]].type);
    }
    if (!plain)
        return KARAT_OK;
    struct merge *slot = find_merge_slot(tokenizer, ids[0], ids[1]);
    if (slot->rank != NO_RANK)
        return KARAT_OK;
    *slot = (struct merge){ ids[0], ids[1], rank };
    tokenizer->results[rank] = ids[2];
    const uint64_t bit = joint_bit(tokenizer, last_code_point(names[0]), first_code_point(names[1]));
    tokenizer->joints[bit / 64] |= UINT64_C(1) << bit % 64;
    return KARAT_OK;
}

static enum karat_status index_merges(struct tokenizer *tokenizer, const struct tokenizer_source *source,
                                      struct karat_error *err)
{
    tokenizer->merges_mask = mask_for(source->n_merges);
    tokenizer->n_ranks = (uint32_t)source->n_merges;
    tokenizer->joints_mask = mask_for(8 * source->n_merges);
    const size_t n_slots = tokenizer->merges_mask + 1;
    tokenizer->merges = arena_alloc(&tokenizer->arena, n_slots, sizeof *tokenizer->merges);
    tokenizer->joints = arena_alloc(&tokenizer->arena, tokenizer->joints_mask / 64 + 1, sizeof *tokenizer->joints);
    tokenizer->results = arena_alloc(&tokenizer->arena, source->n_merges + 1, sizeof *tokenizer->results);
    if (!tokenizer->merges || !tokenizer->joints || !tokenizer->results)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for %zu merges", source->n_merges);
    for (size_t i = 0; i < n_slots; ++i)
        tokenizer->merges[i].rank = NO_RANK;
    enum karat_status status = KARAT_OK;
    for (uint32_t rank = 0; rank < source->n_merges; ++rank)
        TRY(read_merge(tokenizer, source->merges[rank], rank, err));
cleanup:
    return status;
}

enum karat_status tokenizer_create(struct tokenizer **out, const struct tokenizer_source *source,
                                   struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the tokenizer");
    TRY(check_counts(source, err));
    tokenizer->bos = source->bos;
    tokenizer->eos = source->eos;
    tokenizer->unk = source->unk;
    tokenizer->add_bos = source->add_bos;
    TRY(copy_tokens(tokenizer, source, err));
    TRY(index_names(tokenizer, err));
    TRY(index_bytes(tokenizer, err));
    TRY(index_specials(tokenizer, err));
    TRY(index_merges(tokenizer, source, err));
    *out = tokenizer;
    tokenizer = NULL;
cleanup:
    tokenizer_destroy(tokenizer);
    return status;
}

void tokenizer_destroy(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    arena_free(&tokenizer->arena);
    free(tokenizer);
}

// ---- the table

uint32_t tokenizer_n_tokens(const struct tokenizer *tokenizer)
{
    return tokenizer->n_tokens;
}

struct span tokenizer_text(const struct tokenizer *tokenizer, uint32_t id)
{
    const struct token *token = &tokenizer->tokens[id];
    return span_of(tokenizer->bytes + token->text_at, token->text_size);
}

struct span tokenizer_name(const struct tokenizer *tokenizer, uint32_t id)
{
    const struct token *token = &tokenizer->tokens[id];
    return span_of(tokenizer->bytes + token->name_at, token->name_size);
}

enum token_type tokenizer_type(const struct tokenizer *tokenizer, uint32_t id)
{
    return (enum token_type)tokenizer->tokens[id].type;
}

size_t tokenizer_text_bytes_max(const struct tokenizer *tokenizer)
{
    return tokenizer->text_bytes_max;
}

uint32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

uint32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

uint32_t tokenizer_unk(const struct tokenizer *tokenizer)
{
    return tokenizer->unk;
}

bool tokenizer_add_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->add_bos;
}
