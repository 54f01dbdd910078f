// engine/token_log.c -- see token_log.h.
#include "engine/token_log.h"

#include <stdlib.h>
#include <string.h>

struct logged_token {
    struct karat_logprob token, top[KARAT_TOP_LOGPROBS_MAX];
    size_t n_top;
    size_t n_text;   // bytes that the parser may still hold
    size_t n_answer; // bytes that went on to the stop filter and are still there
    bool lost;       // some of its text is not part of the answer
};

void token_log_free(struct token_log *log)
{
    free(log->tokens);
    *log = (struct token_log){ 0 };
}

// Forgets the tokens at the front that are done with, now and then.
static void compact(struct token_log *log)
{
    if (log->n_passed < log->n && log->n_passed < 64)
        return;
    log->n -= log->n_passed;
    log->n_settled -= log->n_passed;
    if (log->n > 0)
        memmove(log->tokens, log->tokens + log->n_passed, log->n * sizeof *log->tokens);
    log->n_passed = 0;
}

static struct logged_token *push(struct token_log *log, struct karat_error *err)
{
    if (log->n_passed > 0)
        compact(log);
    if (log->n == log->capacity) {
        const size_t capacity = log->capacity > 0 ? 2 * log->capacity : 16;
        struct logged_token *tokens = realloc(log->tokens, capacity * sizeof *tokens);
        if (!tokens) {
            status_fail(err, KARAT_ERR_MEMORY, "no memory for log probabilities");
            return NULL;
        }
        log->tokens = tokens;
        log->capacity = capacity;
    }
    struct logged_token *added = &log->tokens[log->n++];
    *added = (struct logged_token){ 0 };
    return added;
}

enum karat_status token_log_add(struct token_log *log, const struct karat_logprob *token,
                                const struct karat_logprob *top, size_t n_top, struct karat_error *err)
{
    struct logged_token *added = push(log, err);
    if (!added)
        return KARAT_ERR_MEMORY;
    added->token = *token;
    added->n_top = n_top;
    memcpy(added->top, top, n_top * sizeof *top);
    return KARAT_OK;
}

void token_log_text(struct token_log *log, size_t n_bytes)
{
    if (log->n > log->n_settled)
        log->tokens[log->n - 1].n_text += n_bytes;
}

static size_t take(size_t *from, size_t n)
{
    const size_t taken = *from < n ? *from : n;
    *from -= taken;
    return taken;
}

// The first token of the unsettled ones gets this much text that is none of a token: a call that is shown as written.
static enum karat_status add_foreign(struct token_log *log, size_t n_bytes, struct karat_error *err)
{
    if (log->n_settled == log->n && !push(log, err))
        return KARAT_ERR_MEMORY;
    log->tokens[log->n_settled].n_text += n_bytes;
    log->tokens[log->n_settled].lost = true;
    return KARAT_OK;
}

enum karat_status token_log_settle(struct token_log *log, size_t n_held, size_t n_answer, struct karat_error *err)
{
    size_t n_text = 0;
    for (size_t i = log->n_settled; i < log->n; ++i)
        n_text += log->tokens[i].n_text;
    size_t n_gone = n_text > n_held ? n_text - n_held : 0;
    if (n_answer > n_gone) {
        const enum karat_status status = add_foreign(log, n_answer - n_gone, err);
        if (status != KARAT_OK)
            return status;
        n_gone = n_answer;
    }
    size_t n_dropped = n_gone - n_answer;
    for (size_t i = log->n_settled; i < log->n && n_gone > 0; ++i) {
        struct logged_token *token = &log->tokens[i];
        if (token->n_text == 0)
            continue; // it began a character: what becomes of that is its fate, too
        const size_t dropped = take(&token->n_text, n_dropped);
        const size_t answered = take(&token->n_text, n_gone - n_dropped);
        n_dropped -= dropped;
        n_gone -= dropped + answered;
        token->lost = token->lost || dropped > 0;
        token->n_answer += answered;
        if (token->n_text > 0)
            break;
        for (; log->n_settled < i; ++log->n_settled)
            log->tokens[log->n_settled].lost = token->lost;
        log->n_settled = i + 1;
    }
    return KARAT_OK;
}

void token_log_pass(struct token_log *log, size_t n_bytes, karat_token_fn *on_token, void *user)
{
    for (size_t i = log->n_passed; i < log->n_settled; ++i) {
        struct logged_token *token = &log->tokens[i];
        if (token->n_answer == 0 && !token->lost)
            continue; // it began a character, and goes with the token that completes it
        n_bytes -= take(&token->n_answer, n_bytes);
        if (token->n_answer > 0)
            break;
        for (; log->n_passed <= i; ++log->n_passed) {
            const struct logged_token *passed = &log->tokens[log->n_passed];
            if (!passed->lost)
                on_token(user, &passed->token, passed->top, passed->n_top);
        }
    }
}
