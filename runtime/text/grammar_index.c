// text/grammar_index.c -- see grammar_index.h.
#include "text/grammar_index.h"

#include <stdlib.h>

#include "base/utf8.h"

#define N_CHARS_MAX 255u // of a token of a class; a longer one counts as one of the others

// ------------------------------------------------------------------------------------------------ trees

struct entry {
    struct span text;
    uint32_t id;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const size_t common = x->text.size_bytes < y->text.size_bytes ? x->text.size_bytes : y->text.size_bytes;
    const int order = memcmp(x->text.data, y->text.data, common);
    if (order != 0)
        return order;
    if (x->text.size_bytes != y->text.size_bytes)
        return x->text.size_bytes < y->text.size_bytes ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static size_t common_prefix(struct span a, struct span b)
{
    size_t n = 0;
    while (n < a.size_bytes && n < b.size_bytes && a.data[n] == b.data[n])
        ++n;
    return n;
}

static void free_tree(struct token_tree *tree)
{
    free(tree->bytes);
    free(tree->depths);
    free(tree->skips);
    free(tree->first_token);
    free(tree->ids);
}

static bool reserve_tree(struct token_tree *tree, const struct entry *entries, size_t n)
{
    size_t n_nodes = 0;
    for (size_t i = 0; i < n; ++i)
        n_nodes += entries[i].text.size_bytes - (i > 0 ? common_prefix(entries[i - 1].text, entries[i].text) : 0);
    tree->bytes = malloc(n_nodes + 1);
    tree->depths = malloc((n_nodes + 1) * sizeof *tree->depths);
    tree->skips = malloc((n_nodes + 1) * sizeof *tree->skips);
    tree->first_token = malloc((n_nodes + 1) * sizeof *tree->first_token);
    tree->ids = malloc((n + 1) * sizeof *tree->ids);
    return tree->bytes && tree->depths && tree->skips && tree->first_token && tree->ids;
}

// entries are sorted; open[d] is the node at depth d + 1 that is still growing.
static bool build_tree(struct token_tree *tree, const struct entry *entries, size_t n)
{
    uint32_t open[TOKENIZER_NAME_BYTES_MAX];
    size_t depth = 0;
    if (!reserve_tree(tree, entries, n))
        return false;
    for (size_t i = 0; i < n; ++i) {
        const struct span text = entries[i].text;
        const size_t shared = i > 0 ? common_prefix(entries[i - 1].text, text) : 0;
        while (depth > shared)
            tree->skips[open[--depth]] = tree->n_nodes;
        for (; depth < text.size_bytes; ++depth) {
            open[depth] = tree->n_nodes;
            tree->bytes[tree->n_nodes] = text.data[depth];
            tree->depths[tree->n_nodes] = (uint16_t)(depth + 1);
            tree->first_token[tree->n_nodes++] = (uint32_t)i;
        }
        tree->ids[i] = entries[i].id;
    }
    while (depth > 0)
        tree->skips[open[--depth]] = tree->n_nodes;
    tree->first_token[tree->n_nodes] = (uint32_t)n;
    return true;
}

// ------------------------------------------------------------------------------------------------ classes

static bool is_plain(uint32_t c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7F && c != 0x2028 && c != 0x2029;
}

// How many characters of the class the text consists of, 0 when it is not made of those alone.
static uint32_t count_chars(struct span text, enum char_class class)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.size_bytes; ++n) {
        uint32_t c = 0;
        const size_t length = utf8_decode((const char *)text.data + i, text.size_bytes - i, &c);
        if (length == 0 || (class == CHARS_PLAIN && !is_plain(c)))
            return 0;
        i += length;
    }
    return n <= N_CHARS_MAX ? n : 0;
}

static void free_class(struct token_class *class)
{
    free(class->bits);
    free(class->ids);
    free(class->n_chars_of);
    free_tree(&class->others);
}

// others is scratch for n entries.
static bool build_class(struct token_class *class, enum char_class kind, uint32_t n_words, const struct entry *entries,
                        size_t n, struct entry *others)
{
    uint32_t starts[N_CHARS_MAX + 2] = { 0 };
    size_t n_others = 0;
    class->bits = calloc(n_words, sizeof *class->bits);
    class->ids = malloc((n + 1) * sizeof *class->ids);
    class->n_chars_of = malloc(n + 1);
    if (!class->bits || !class->ids || !class->n_chars_of)
        return false;
    for (size_t i = 0; i < n; ++i)
        ++starts[count_chars(entries[i].text, kind) + 1];
    starts[1] = 0;
    for (size_t i = 1; i < COUNT(starts); ++i)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < n; ++i) {
        const uint32_t n_chars = count_chars(entries[i].text, kind), id = entries[i].id;
        if (n_chars == 0) {
            others[n_others++] = entries[i];
            continue;
        }
        class->n_chars_max = n_chars > class->n_chars_max ? n_chars : class->n_chars_max;
        class->bits[id / 32] |= 1u << id % 32;
        class->n_chars_of[starts[n_chars]] = (uint8_t)n_chars;
        class->ids[starts[n_chars]++] = id;
        ++class->n_ids;
    }
    return build_tree(&class->others, others, n_others);
}

// ------------------------------------------------------------------------------------------------ the index

void token_index_destroy(struct token_index *index)
{
    if (!index)
        return;
    free(index->is_text);
    free_tree(&index->tree);
    for (int i = 0; i < CHARS_COUNT; ++i)
        free_class(&index->classes[i]);
    free(index);
}

static bool is_text(const struct tokenizer *tokenizer, uint32_t id)
{
    const enum token_type type = tokenizer_type(tokenizer, id);
    return type != TOKEN_CONTROL && type != TOKEN_UNKNOWN && type != TOKEN_UNUSED &&
           tokenizer_text(tokenizer, id).size_bytes > 0 &&
           parser_control_from_name(tokenizer_name(tokenizer, id)) == PARSE_NONE;
}

static size_t list_texts(struct token_index *index, struct entry *entries)
{
    size_t n = 0;
    for (uint32_t id = 0; id < index->n_tokens; ++id) {
        const struct tokenizer *tokenizer = index->tokenizer;
        const enum parse_control control = parser_control_from_name(tokenizer_name(tokenizer, id));
        const struct span text = tokenizer_text(tokenizer, id);
        if (control != PARSE_NONE)
            index->controls[control] = id;
        if (!is_text(tokenizer, id))
            continue;
        index->is_text[id] = 1;
        entries[n++] = (struct entry){ text, id };
        if (text.size_bytes > index->n_bytes_max)
            index->n_bytes_max = (uint32_t)text.size_bytes;
    }
    return n;
}

// So that whatever byte a grammar wants next, there is a token for it.
static enum karat_status check_bytes(const struct token_index *index, struct karat_error *err)
{
    bool has[256] = { false };
    const struct token_tree *tree = &index->tree;
    for (uint32_t i = 0; i < tree->n_nodes; i = tree->skips[i])
        has[tree->bytes[i]] = tree->first_token[i] < tree->first_token[i + 1];
    for (unsigned byte = 0; byte < 256; ++byte)
        // Bytes that no UTF-8 text holds.
        if (!has[byte] && byte != 0xC0 && byte != 0xC1 && byte < 0xF5)
            return status_fail(err, KARAT_ERR_UNSUPPORTED,
                               "the vocabulary has no token for the byte 0x%02X alone, which grammars need", byte);
    return KARAT_OK;
}

enum karat_status token_index_create(struct token_index **out, const struct tokenizer *tokenizer,
                                     struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const uint32_t n_tokens = tokenizer_n_tokens(tokenizer);
    struct token_index *index = calloc(1, sizeof *index);
    struct entry *entries = malloc((n_tokens + 1) * sizeof *entries);
    struct entry *others = malloc((n_tokens + 1) * sizeof *others);
    *out = NULL;
    bool ok = index && entries && others && (index->is_text = calloc(n_tokens, 1)) != NULL;
    if (ok) {
        index->tokenizer = tokenizer;
        index->n_tokens = n_tokens;
        index->n_words = (n_tokens + 31) / 32;
        for (size_t i = 0; i < COUNT(index->controls); ++i)
            index->controls[i] = TOKEN_NONE;
        const size_t n = list_texts(index, entries);
        qsort(entries, n, sizeof *entries, compare_entries);
        ok = build_tree(&index->tree, entries, n) &&
             build_class(&index->classes[CHARS_PLAIN], CHARS_PLAIN, index->n_words, entries, n, others) &&
             build_class(&index->classes[CHARS_ANY], CHARS_ANY, index->n_words, entries, n, others);
    }
    if (!ok)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for an index of %u tokens", n_tokens));
    TRY(check_bytes(index, err));
    *out = index;
    index = NULL;
cleanup:
    token_index_destroy(index);
    free(entries);
    free(others);
    return status;
}
