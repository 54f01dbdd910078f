// engine/grammar_cache.c -- see grammar_cache.h.
#include "engine/grammar_cache.h"

#include <stdlib.h>

#define IDLE_MAX 4 // matchers of one grammar

struct cached_grammar {
    struct cached_grammar *next;
    struct text key;
    struct grammar *grammar;
    struct matcher *idle[IDLE_MAX];
    unsigned n_idle, n_users;
    bool listed; // in the cache; else it ends with its last user
};

// ------------------------------------------------------------------------------------------------ keys

// All that a grammar depends on. Texts are told apart by their lengths.
static enum karat_status write_key(struct text *out, const struct grammar_reply *reply, struct karat_error *err)
{
    const struct span texts[] = { reply->schema, reply->gbnf, reply->tool };
    text_append_format(out, "%d%d%d%d%d", reply->may_think, reply->starts_in_thought, (int)reply->calls,
                       reply->one_call, reply->strict);
    for (size_t i = 0; i < COUNT(texts); ++i) {
        text_append_format(out, " %zu ", texts[i].size_bytes);
        text_append_span(out, texts[i]);
    }
    if (reply->tools)
        text_append_json(out, reply->tools);
    return text_check(out, "the key of a grammar", err);
}

// ------------------------------------------------------------------------------------------------ the list

// The mutex is held in this section.

static void destroy_idle(struct grammar_cache *cache, struct cached_grammar *grammar)
{
    while (grammar->n_idle > 0) {
        struct matcher *matcher = grammar->idle[--grammar->n_idle];
        cache->idle_bytes -= matcher_bytes(matcher);
        matcher_destroy(matcher);
    }
}

static void destroy(struct grammar_cache *cache, struct cached_grammar *grammar)
{
    destroy_idle(cache, grammar);
    grammar_destroy(grammar->grammar);
    text_free(&grammar->key);
    free(grammar);
}

static void unlink_grammar(struct grammar_cache *cache, struct cached_grammar *grammar)
{
    struct cached_grammar **link = &cache->first;
    while (*link != grammar)
        link = &(*link)->next;
    *link = grammar->next;
    grammar->listed = false;
    --cache->n_grammars;
}

static void link_first(struct grammar_cache *cache, struct cached_grammar *grammar)
{
    grammar->next = cache->first;
    cache->first = grammar;
    grammar->listed = true;
    ++cache->n_grammars;
}

static struct cached_grammar *find(struct grammar_cache *cache, const struct text *key)
{
    for (struct cached_grammar *grammar = cache->first; grammar; grammar = grammar->next)
        if (span_equal(text_span(&grammar->key), text_span(key)))
            return grammar;
    return NULL;
}

// Takes the one used longest ago out of the list.
static void drop_last(struct grammar_cache *cache)
{
    struct cached_grammar *last = cache->first;
    while (last->next)
        last = last->next;
    unlink_grammar(cache, last);
    destroy_idle(cache, last);
    if (last->n_users == 0)
        destroy(cache, last);
}

// Someone uses it: it comes first. A matcher of it that is idle goes along.
static void use(struct grammar_cache *cache, struct cached_grammar *grammar, struct matcher **matcher)
{
    unlink_grammar(cache, grammar);
    link_first(cache, grammar);
    ++grammar->n_users;
    if (grammar->n_idle > 0) {
        *matcher = grammar->idle[--grammar->n_idle];
        cache->idle_bytes -= matcher_bytes(*matcher);
    }
}

// ------------------------------------------------------------------------------------------------ taking

// Another thread may have compiled the same meanwhile: then this one is not needed.
static void add(struct grammar_cache *cache, struct cached_grammar *made, struct cached_grammar **out,
                struct matcher **matcher)
{
    mutex_lock(&cache->mutex);
    struct cached_grammar *known = find(cache, &made->key);
    ++cache->n_compiled;
    if (known) {
        destroy(cache, made);
    } else {
        if (cache->n_grammars == GRAMMAR_CACHE_MAX)
            drop_last(cache);
        link_first(cache, known = made);
    }
    use(cache, known, matcher);
    *out = known;
    mutex_unlock(&cache->mutex);
}

static enum karat_status compile(struct cached_grammar **out, const struct grammar_reply *reply, struct text *key,
                                 struct karat_error *err)
{
    struct cached_grammar *made = calloc(1, sizeof *made);
    if (!made)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a grammar");
    const enum karat_status status = grammar_from_reply(&made->grammar, reply, err);
    if (status != KARAT_OK) {
        free(made);
        return status;
    }
    made->key = *key;
    *key = (struct text){ 0 };
    *out = made;
    return KARAT_OK;
}

enum karat_status grammar_cache_take(struct grammar_cache *cache, const struct grammar_reply *reply,
                                     const struct token_index *index, struct cached_grammar **grammar,
                                     struct matcher **matcher, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct cached_grammar *made = NULL;
    struct text key = { 0 };
    *grammar = NULL;
    *matcher = NULL;
    TRY(write_key(&key, reply, err));
    mutex_lock(&cache->mutex);
    struct cached_grammar *known = find(cache, &key);
    if (known) {
        ++cache->n_found;
        use(cache, known, matcher);
        *grammar = known;
    }
    mutex_unlock(&cache->mutex);
    if (!known) {
        TRY(compile(&made, reply, &key, err));
        add(cache, made, grammar, matcher);
    }
    if (!*matcher)
        TRY(matcher_create(matcher, (*grammar)->grammar, index, err));
cleanup:
    text_free(&key);
    return status;
}

// ------------------------------------------------------------------------------------------------ returning

static bool keep_idle(struct grammar_cache *cache, struct cached_grammar *grammar, struct matcher *matcher)
{
    if (!grammar->listed || grammar->n_idle == IDLE_MAX || matcher_check(matcher, NULL) != KARAT_OK)
        return false;
    matcher_reset(matcher);
    const size_t bytes = matcher_bytes(matcher);
    if (bytes > GRAMMAR_CACHE_IDLE_BYTES_MAX / 4)
        return false;
    // The matchers of grammars used longer ago make room.
    while (cache->idle_bytes + bytes > GRAMMAR_CACHE_IDLE_BYTES_MAX) {
        struct cached_grammar *last = NULL;
        for (struct cached_grammar *one = cache->first; one; one = one->next)
            last = one->n_idle > 0 ? one : last;
        destroy_idle(cache, last);
    }
    grammar->idle[grammar->n_idle++] = matcher;
    cache->idle_bytes += bytes;
    return true;
}

void grammar_cache_return(struct grammar_cache *cache, struct cached_grammar *grammar, struct matcher *matcher)
{
    if (!grammar)
        return;
    mutex_lock(&cache->mutex);
    if (matcher && !keep_idle(cache, grammar, matcher))
        matcher_destroy(matcher);
    if (--grammar->n_users == 0 && !grammar->listed)
        destroy(cache, grammar);
    mutex_unlock(&cache->mutex);
}

void grammar_cache_free(struct grammar_cache *cache)
{
    while (cache->first)
        drop_last(cache);
}
