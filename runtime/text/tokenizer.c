// text/tokenizer.c -- see tokenizer.h.
//
// Everything is built once, in four steps: the tokens and an index of their names, the byte tokens, the special tokens
// in alphabetical order, the merges. Encoding then reads the text once: it cuts out the special tokens, cuts the rest
// wherever no merge can reach across, and merges within each stretch.
#include "text/tokenizer.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/utf8.h"

#define NO_RANK UINT32_MAX
#define LETTERS_PER_PAGE 256
#define LETTER_PAGES (0x110000 / LETTERS_PER_PAGE)
#define BYTE_NAME_SIZE 6      // "<0x41>"
#define SPACE_MARK 0x2581     // stands for a space in names
#define SPACE_MARK_SIZE 3     // bytes of it
#define SHORT_STRETCH_MAX 256 // symbols up to which looking at all pairs is fast enough

struct token {
    uint32_t name_at, text_at; // in bytes[]
    uint16_t name_size, text_size;
    uint8_t type;
};

// The pair of tokens that one line of the merge list joins.
struct merge {
    uint32_t left, right;
    uint32_t rank; // its line; NO_RANK in an empty slot
};

struct tokenizer {
    struct arena arena;
    uint32_t n_tokens, n_ranks;
    struct token *tokens; // [n_tokens]
    // By code point: id + 1 of the plain token that is just this character, 0 where there is none. A page without any
    // is NULL.
    uint32_t *letters[LETTER_PAGES]; // [LETTERS_PER_PAGE]
    uint8_t *bytes;                  // all names, and the texts that differ from them
    uint32_t *names;                 // [names_mask + 1] id + 1 by hash of the name, 0 where empty
    struct merge *merges;            // [merges_mask + 1] by hash of the pair
    uint32_t *results;               // [n_ranks] by rank: the token that the merge makes
    uint64_t *joints;                // a bit per hash of two code points: some merge joins a text ending in the first
                                     // with one starting with the second. Collisions only make stretches longer.
    uint64_t names_mask, merges_mask, joints_mask;
    uint32_t byte_ids[256];      // TOKEN_NONE where missing
    uint32_t *specials;          // [n_specials] ids in order of their names
    uint32_t first_special[257]; // where the names starting with this byte begin in specials[]
    size_t name_bytes_max, text_bytes_max;
    uint32_t bos, eos, unk;
    bool add_bos;
};

// ---- look-ups

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

static uint64_t hash_bytes(struct span bytes)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < bytes.size_bytes; ++i)
        hash = (hash ^ bytes.data[i]) * 0x100000001B3u;
    return mix(hash);
}

static uint64_t hash_pair(uint32_t left, uint32_t right)
{
    return mix((uint64_t)left << 32 | right);
}

// A table of at least twice n slots, so that probing stays short.
static uint64_t mask_for(size_t n)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)n)
        size *= 2;
    return size - 1;
}

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

static bool is_plain(enum token_type type)
{
    return type == TOKEN_NORMAL || type == TOKEN_UNUSED || type == TOKEN_UNDEFINED;
}

static bool is_special(enum token_type type)
{
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER_DEFINED;
}

// The token for a piece of plain text: special and byte tokens are never meant by their names.
static uint32_t find_plain(const struct tokenizer *tokenizer, struct span name)
{
    const uint32_t id = tokenizer_find(tokenizer, name);
    return id != TOKEN_NONE && is_plain(tokenizer->tokens[id].type) ? id : TOKEN_NONE;
}

static uint32_t find_letter(const struct tokenizer *tokenizer, uint32_t code_point)
{
    const uint32_t *page = tokenizer->letters[code_point / LETTERS_PER_PAGE];
    return page ? page[code_point % LETTERS_PER_PAGE] - 1 : TOKEN_NONE; // 0 - 1 is TOKEN_NONE, too
}

static struct merge *find_merge_slot(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    uint64_t at = hash_pair(left, right) & tokenizer->merges_mask;
    for (;; at = (at + 1) & tokenizer->merges_mask) {
        struct merge *slot = &tokenizer->merges[at];
        if (slot->rank == NO_RANK || (slot->left == left && slot->right == right))
            return slot;
    }
}

static uint32_t find_rank(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    return find_merge_slot(tokenizer, left, right)->rank;
}

static uint64_t joint_bit(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    return mix((uint64_t)left << 21 | right) & tokenizer->joints_mask;
}

static bool may_join(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    if ((left == '\n') != (right == '\n'))
        return false;
    const uint64_t bit = joint_bit(tokenizer, left, right);
    return tokenizer->joints[bit / 64] >> bit % 64 & 1;
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

// ---- encoding

enum karat_status token_ids_push(struct token_ids *list, uint32_t id, struct karat_error *err)
{
    if (list->n_ids == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 256;
        uint32_t *grown = realloc(list->ids, capacity * sizeof *grown);
        if (!grown)
            return status_fail(err, KARAT_ERR_MEMORY, "no memory for %zu token ids", capacity);
        list->ids = grown;
        list->capacity = capacity;
    }
    list->ids[list->n_ids++] = id;
    return KARAT_OK;
}

void token_ids_free(struct token_ids *list)
{
    free(list->ids);
    *list = (struct token_ids){ 0 };
}

// Merges ids[0..n) by looking at all pairs each time; returns how many are left.
static size_t merge_short(const struct tokenizer *tokenizer, uint32_t *ids, size_t n)
{
    uint32_t ranks[SHORT_STRETCH_MAX];
    for (size_t i = 0; i + 1 < n; ++i)
        ranks[i] = find_rank(tokenizer, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; ++i)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == NO_RANK)
            break;
        ids[best] = tokenizer->results[ranks[best]];
        --n;
        for (size_t i = best + 1; i < n; ++i) {
            ids[i] = ids[i + 1];
            ranks[i - 1] = ranks[i];
        }
        if (best + 1 < n)
            ranks[best] = find_rank(tokenizer, ids[best], ids[best + 1]);
        if (best > 0)
            ranks[best - 1] = find_rank(tokenizer, ids[best - 1], ids[best]);
    }
    return n;
}

#define NO_SYMBOL UINT32_MAX
#define NO_ENTRY UINT32_MAX

// One token of a long stretch, in a list so that merging two costs the same wherever they are.
struct symbol {
    uint32_t id, previous, next;
    uint32_t rank; // of the merge with the next one; NO_RANK when there is none
};

// A pair waiting in the queue of its rank. One that changes meanwhile stays there, and is known by a rank that is no
// longer the symbol's.
struct entry {
    uint32_t symbol; // the left one
    uint32_t next;
};

// Pairs by rank. Each rank has a queue; a heap holds the ranks whose queue is not empty.
struct agenda {
    struct symbol *symbols; // [capacity]
    struct entry *entries;  // [2 * capacity]: a merge takes one entry and adds at most two
    uint32_t *order;        // [2 * capacity] the queue being worked on, and room to sort it
    size_t capacity;
    uint32_t n_entries, free_entry; // used so far, and the first of those used no more
    uint32_t *first, *last;         // [n_ranks] ends of the queues; first is NO_ENTRY in an empty one
    uint32_t *heap;                 // [n_ranks] of ranks, the smallest on top
    uint32_t n_heap;
};

static void free_agenda(struct agenda *agenda)
{
    free(agenda->symbols);
    free(agenda->entries);
    free(agenda->order);
    free(agenda->first);
    free(agenda->last);
    free(agenda->heap);
}

static bool reserve_agenda(struct agenda *agenda, size_t n, size_t n_ranks)
{
    if (!agenda->heap) {
        agenda->first = malloc(n_ranks * sizeof *agenda->first);
        agenda->last = malloc(n_ranks * sizeof *agenda->last);
        agenda->heap = malloc(n_ranks * sizeof *agenda->heap);
        if (!agenda->first || !agenda->last || !agenda->heap)
            return false;
        memset(agenda->first, 0xFF, n_ranks * sizeof *agenda->first);
    }
    agenda->n_entries = 0;
    agenda->free_entry = NO_ENTRY;
    if (n <= agenda->capacity)
        return true;
    free(agenda->symbols);
    free(agenda->entries);
    free(agenda->order);
    agenda->symbols = malloc(n * sizeof *agenda->symbols);
    agenda->entries = malloc(2 * n * sizeof *agenda->entries);
    agenda->order = malloc(2 * n * sizeof *agenda->order);
    agenda->capacity = agenda->symbols && agenda->entries && agenda->order ? n : 0;
    return agenda->capacity > 0;
}

static void push_rank(struct agenda *agenda, uint32_t rank)
{
    size_t at = agenda->n_heap++;
    for (; at > 0 && agenda->heap[(at - 1) / 2] > rank; at = (at - 1) / 2)
        agenda->heap[at] = agenda->heap[(at - 1) / 2];
    agenda->heap[at] = rank;
}

static uint32_t pop_rank(struct agenda *agenda)
{
    const uint32_t top = agenda->heap[0], moved = agenda->heap[--agenda->n_heap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < agenda->n_heap; at = child) {
        if (child + 1 < agenda->n_heap && agenda->heap[child + 1] < agenda->heap[child])
            ++child;
        if (agenda->heap[child] >= moved)
            break;
        agenda->heap[at] = agenda->heap[child];
    }
    agenda->heap[at] = moved;
    return top;
}

// Puts the symbol at the end of the queue of its rank.
static void enqueue(struct agenda *agenda, uint32_t symbol)
{
    const uint32_t rank = agenda->symbols[symbol].rank;
    if (rank == NO_RANK)
        return;
    uint32_t entry = agenda->free_entry;
    if (entry == NO_ENTRY)
        entry = agenda->n_entries++;
    else
        agenda->free_entry = agenda->entries[entry].next;
    agenda->entries[entry] = (struct entry){ symbol, NO_ENTRY };
    if (agenda->first[rank] == NO_ENTRY) {
        agenda->first[rank] = entry;
        push_rank(agenda, rank);
    } else {
        agenda->entries[agenda->last[rank]].next = entry;
    }
    agenda->last[rank] = entry;
}

// Empties the queue of the rank into order[0..n) and returns n. Frees its entries.
static size_t take_queue(struct agenda *agenda, uint32_t rank)
{
    size_t n = 0;
    for (uint32_t entry = agenda->first[rank]; entry != NO_ENTRY; entry = agenda->entries[entry].next)
        agenda->order[n++] = agenda->entries[entry].symbol;
    agenda->entries[agenda->last[rank]].next = agenda->free_entry;
    agenda->free_entry = agenda->first[rank];
    agenda->first[rank] = NO_ENTRY;
    return n;
}

static size_t run_length(const uint32_t *values, size_t n)
{
    size_t length = n > 0;
    while (length < n && values[length - 1] <= values[length])
        ++length;
    return length;
}

// Sorts order[0..n) by merging neighbouring ascending runs, until one is left. Mostly there is only one to begin with:
// each pass over the text adds to a queue from left to right.
static void sort_order(struct agenda *agenda, size_t n)
{
    uint32_t *from = agenda->order, *spare = agenda->order + agenda->capacity;
    while (run_length(from, n) < n) {
        for (size_t at = 0; at < n;) {
            const size_t middle = at + run_length(from + at, n - at),
                         end = middle + run_length(from + middle, n - middle);
            for (size_t i = at, j = middle; at < end; ++at)
                spare[at] = j == end || (i < middle && from[i] <= from[j]) ? from[i++] : from[j++];
        }
        memcpy(from, spare, n * sizeof *from);
    }
}

static void rank_symbol(const struct tokenizer *tokenizer, struct symbol *symbols, uint32_t at)
{
    struct symbol *symbol = &symbols[at];
    symbol->rank = symbol->next == NO_SYMBOL ? NO_RANK : find_rank(tokenizer, symbol->id, symbols[symbol->next].id);
}

// Joins the symbol with the next one.
static void join(const struct tokenizer *tokenizer, struct symbol *symbols, uint32_t at)
{
    struct symbol *left = &symbols[at], *right = &symbols[left->next];
    left->id = tokenizer->results[left->rank];
    left->next = right->next;
    right->rank = NO_RANK;
    if (left->next != NO_SYMBOL)
        symbols[left->next].previous = at;
    rank_symbol(tokenizer, symbols, at);
    if (left->previous != NO_SYMBOL)
        rank_symbol(tokenizer, symbols, left->previous);
}

// Joins the symbol with the next one, and then all that must come before any other pair of this rank further right:
// only the pairs that the new symbol forms can. Queues what it forms in the end.
static void join_around(const struct tokenizer *tokenizer, struct agenda *agenda, uint32_t at, uint32_t rank)
{
    struct symbol *symbols = agenda->symbols;
    for (;;) {
        join(tokenizer, symbols, at);
        const uint32_t previous = symbols[at].previous;
        const uint32_t left_rank = previous == NO_SYMBOL ? NO_RANK : symbols[previous].rank;
        if (left_rank <= symbols[at].rank && left_rank <= rank)
            at = previous;
        else if (symbols[at].rank > rank)
            break;
    }
    if (symbols[at].previous != NO_SYMBOL)
        enqueue(agenda, symbols[at].previous);
    enqueue(agenda, at);
}

// The state of one call. The stretch being read lies at the end of the output and is merged in place.
struct encoder {
    const struct tokenizer *tokenizer;
    struct token_ids *out;
    size_t stretch;       // where it begins in out->ids
    struct agenda agenda; // scratch of merge_long()
};

// Merges ids[0..*n_ids) in time near n log n.
static enum karat_status merge_long(struct encoder *encoder, uint32_t *ids, size_t *n_ids, struct karat_error *err)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    struct agenda *agenda = &encoder->agenda;
    const size_t n = *n_ids;
    if (!reserve_agenda(agenda, n, tokenizer->n_ranks))
        return status_fail(err, KARAT_ERR_MEMORY, "no memory to tokenize %zu characters without a break", n);
    struct symbol *symbols = agenda->symbols;
    for (uint32_t i = 0; i < n; ++i) {
        const uint32_t rank = i + 1 < n ? find_rank(tokenizer, ids[i], ids[i + 1]) : NO_RANK;
        symbols[i] = (struct symbol){ ids[i], i > 0 ? i - 1 : NO_SYMBOL, i + 1 < n ? i + 1 : NO_SYMBOL, rank };
        enqueue(agenda, i);
    }
    while (agenda->n_heap > 0) {
        const uint32_t rank = pop_rank(agenda);
        const size_t n_order = take_queue(agenda, rank);
        sort_order(agenda, n_order);
        for (size_t i = 0; i < n_order; ++i)
            if (symbols[agenda->order[i]].rank == rank)
                join_around(tokenizer, agenda, agenda->order[i], rank);
    }
    *n_ids = 0;
    for (uint32_t at = 0; at != NO_SYMBOL; at = symbols[at].next)
        ids[(*n_ids)++] = symbols[at].id;
    return KARAT_OK;
}

static enum karat_status end_stretch(struct encoder *encoder, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    size_t n = encoder->out->n_ids - encoder->stretch;
    if (n == 0)
        return KARAT_OK;
    uint32_t *ids = encoder->out->ids + encoder->stretch;
    if (n > SHORT_STRETCH_MAX)
        status = merge_long(encoder, ids, &n, err);
    else if (n > 1)
        n = merge_short(encoder->tokenizer, ids, n);
    encoder->stretch += n;
    encoder->out->n_ids = encoder->stretch;
    return status;
}

// The token that is exactly the run of newlines at `at`, or TOKEN_NONE.
static uint32_t find_newlines(const struct tokenizer *tokenizer, struct span text, size_t at)
{
    size_t n = 0;
    while (at + n < text.size_bytes && text.data[at + n] == '\n')
        ++n;
    return n <= tokenizer->name_bytes_max ? find_plain(tokenizer, span_of(text.data + at, n)) : TOKEN_NONE;
}

static enum karat_status push_bytes(struct encoder *encoder, struct span bytes, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    for (size_t i = 0; i < bytes.size_bytes; ++i)
        TRY(token_ids_push(encoder->out, encoder->tokenizer->byte_ids[bytes.data[i]], err));
    encoder->stretch = encoder->out->n_ids;
cleanup:
    return status;
}

// Text without special tokens in it.
static enum karat_status encode_plain(struct encoder *encoder, struct span text, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct tokenizer *tokenizer = encoder->tokenizer;
    uint32_t previous = 0;
    encoder->stretch = encoder->out->n_ids;
    for (size_t at = 0; at < text.size_bytes;) {
        uint32_t code_point = 0;
        size_t size = utf8_decode((const char *)text.data + at, text.size_bytes - at, &code_point);
        if (code_point == ' ')
            code_point = SPACE_MARK;
        if (encoder->stretch < encoder->out->n_ids && !may_join(tokenizer, previous, code_point))
            TRY(end_stretch(encoder, err));
        uint32_t id = find_letter(tokenizer, code_point);
        if (code_point == '\n' && previous != '\n') {
            const uint32_t run = find_newlines(tokenizer, text, at);
            if (run != TOKEN_NONE) {
                id = run;
                size = tokenizer->tokens[id].name_size;
            }
        }
        if (id != TOKEN_NONE) {
            TRY(token_ids_push(encoder->out, id, err));
        } else {
            TRY(end_stretch(encoder, err));
            // A space is a space here: only a token can stand for it by another name.
            TRY(push_bytes(encoder, span_of(text.data + at, size), err));
        }
        previous = code_point;
        at += size;
    }
    TRY(end_stretch(encoder, err));
cleanup:
    return status;
}

// The longest special token that the text at `at` begins with, or TOKEN_NONE. Names are in order, so each further byte
// narrows a range of them.
static uint32_t match_special(const struct tokenizer *tokenizer, struct span text, size_t at,
                              enum tokenizer_match match)
{
    uint32_t best = TOKEN_NONE;
    size_t low = tokenizer->first_special[text.data[at]], high = tokenizer->first_special[text.data[at] + 1];
    for (size_t depth = 1; low < high; ++depth) {
        for (; low < high && tokenizer->tokens[tokenizer->specials[low]].name_size == depth; ++low)
            if (match == TOKENIZER_MATCH_ALL || tokenizer->tokens[tokenizer->specials[low]].type == TOKEN_USER_DEFINED)
                best = tokenizer->specials[low];
        if (at + depth == text.size_bytes)
            break;
        const uint8_t byte = text.data[at + depth];
        size_t ends[2];
        for (int end = 0; end < 2; ++end) {
            // The first name whose byte here is at least `byte`, then the first that is above it.
            size_t from = low, to = high;
            while (from < to) {
                const size_t middle = from + (to - from) / 2;
                if (tokenizer_name(tokenizer, tokenizer->specials[middle]).data[depth] < byte + end)
                    from = middle + 1;
                else
                    to = middle;
            }
            ends[end] = from;
        }
        low = ends[0];
        high = ends[1];
    }
    return best;
}

enum karat_status tokenizer_encode(const struct tokenizer *tokenizer, struct span text, enum tokenizer_match match,
                                   struct token_ids *out, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const size_t n_before = out->n_ids;
    struct encoder encoder = { .tokenizer = tokenizer, .out = out };
    size_t bad_offset = 0, plain = 0;
    if (text.size_bytes == 0)
        return KARAT_OK;
    if (text.size_bytes >= UINT32_MAX)
        return status_fail(err, KARAT_ERR_ARGUMENT, "the text has %zu bytes, less than 4 GiB expected",
                           text.size_bytes);
    if (!utf8_valid((const char *)text.data, text.size_bytes, &bad_offset))
        return status_fail(err, KARAT_ERR_ARGUMENT, "the text is not valid UTF-8 at byte %zu of %zu", bad_offset,
                           text.size_bytes);
    for (size_t at = 0; match != TOKENIZER_MATCH_NONE && at < text.size_bytes;) {
        const uint32_t id = match_special(tokenizer, text, at, match);
        if (id == TOKEN_NONE) {
            ++at;
            continue;
        }
        TRY(encode_plain(&encoder, span_of(text.data + plain, at - plain), err));
        TRY(token_ids_push(out, id, err));
        plain = at += tokenizer->tokens[id].name_size;
    }
    TRY(encode_plain(&encoder, span_of(text.data + plain, text.size_bytes - plain), err));
cleanup:
    if (status != KARAT_OK)
        out->n_ids = n_before;
    free_agenda(&encoder.agenda);
    return status;
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
