// text/tokenizer_encode.c -- text to token ids: see tokenizer.h.
//
// The text is read once: special tokens are cut out, the rest is cut wherever no merge can reach across, and each
// stretch is merged by itself.
#include <stdlib.h>

#include "base/utf8.h"
#include "text/tokenizer_table.h"

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
