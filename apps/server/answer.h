// server/answer.h -- an answer in the making: choices that the scheduler generates, told to a writer of one dialect.
//
// The scheduler's callbacks put letters into the mailbox; the loop takes them out, so that writers, like all else, run
// on the loop's thread.
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "server/ask.h"
#include "server/state.h"

struct call {
    char id[32];                 // "call_..."
    struct text name, arguments; // the latter a JSON object
};

// A token of the text, and the likeliest ones in its place.
struct token {
    struct karat_logprob own, top[KARAT_TOP_LOGPROBS_MAX];
    size_t n_top;
};

struct answer;

struct choice {
    struct answer *answer;
    unsigned index;
    uint64_t ticket;
    bool done;
    struct text content, thinking;
    struct call *calls;
    size_t n_calls;
    struct token *tokens; // of `content`, where the client asked for log probabilities
    size_t n_tokens;
    enum karat_stop stop;
    uint32_t n_prompt, n_cached, n_generated, n_thought;
    struct karat_request_times times;
    unsigned phase;   // the writer's: what was written last
    size_t n_told;    // the writer's: tokens so far,
    size_t n_written; // and their characters
};

// How a dialect tells it. The tokens of a piece are there before it. The first three are of streams only; all may call
// answer_event().
struct writer {
    const char *id_prefix;
    void (*begin)(struct answer *answer);
    void (*piece)(struct choice *choice, enum karat_piece kind, const char *text,
                  size_t size); // call: calls[n_calls - 1]
    void (*choice_end)(struct choice *choice);
    void (*end)(struct answer *answer);                     // the last events
    void (*whole)(struct answer *answer, struct text *out); // the body of a reply that is no stream
};

struct answer {
    struct server *server;
    struct exchange *exchange; // NULL: unattended
    void *user;                // of an unattended one
    struct ask ask;
    const struct writer *writer;
    struct choice *choices;
    unsigned n_choices, n_done, n_submitted;
    char id[64];
    int64_t created;
    bool begun, gone, failed;
    unsigned sequence, n_items; // the writer's: events and items so far
    struct fault fault;
};

// Takes over the exchange and the ask (left empty), and frees both in the end.
void answer_start(struct exchange *exchange, struct ask *ask, const struct writer *writer);

// An answer that no single client waits for: its writer is told everything as of a stream, and `end` in any case, where
// `failed` and `fault` say what went wrong. It may come before the return.
void answer_start_unattended(struct server *server, struct ask *ask, const struct writer *writer, void *user);
void answer_cancel(struct answer *answer);

void answer_event(struct answer *answer, const char *event, const struct text *data);

// "stop", "length", "tool_calls"
const char *answer_finish_reason(const struct choice *choice);
// Tokens over all choices; the prompt of choices that share it counts once.
struct usage {
    uint32_t prompt, cached, completion, thought;
};
struct usage answer_usage(const struct answer *answer);
void answer_write_timings(struct text *out, const struct choice *choice); // llama.cpp's object

struct mailbox *mailbox_create(struct event_base *base);
void mailbox_empty(struct mailbox *mailbox); // delivers what is in it
void mailbox_destroy(struct mailbox *mailbox);

extern const struct writer writer_chat, writer_completion, writer_messages, writer_responses;

#endif
