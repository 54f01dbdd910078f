// engine/generation.h -- an answer in the making, token by token, and the prompt it begins with. Private to the room.
//
//     prompt_read() or ids     what is asked
//     generation_open          what needs no session
//     generation_begin         a session of one's own: the options of sampling
//     session_sync ...         the session reads the prompt
//     generation_accept        the penalties learn of the prompt
//     generation_next          draws a token and takes it: generation_draw, generation_take
//     generation_advance       unless it ended: the session takes the token, too; and again
//     generation_finish        what was held back; the reply
//     generation_close
#ifndef ENGINE_GENERATION_H
#define ENGINE_GENERATION_H

#include "engine/constraint.h"
#include "engine/engine.h"
#include "engine/stop.h"
#include "engine/token_log.h"

struct prompt {
    struct token_ids ids;
    size_t n_history; // of them, before what the prompt begins the reply with
    bool is_chat, may_think, starts_in_thought;
    struct span begun;        // of the answer
    const struct json *tools; // of the request; may be NULL
};

// {"messages", "tools", "sampled", "options"} as karat_render() takes them, from what karat_chat() is given. All memory
// is the arena's and the caller's.
enum karat_status prompt_build_request(struct json **out, struct arena *arena, const char *messages,
                                       const struct karat_generate_options *options, struct karat_error *err);

// The prompt of a request as karat_render() takes it; the request must outlive what is generated.
enum karat_status prompt_read(struct prompt *out, const struct karat_model *model, const struct json *request,
                              struct karat_error *err);
void prompt_free(struct prompt *prompt);

// Text takes the way token -> stream (whole characters) -> parser (chat only) -> stop filter -> the caller and the
// reply.
struct generation {
    const struct karat_model *model;
    struct karat_session *session;
    const struct karat_generate_options *options;
    struct parser *parser; // NULL without a chat format
    struct constraint constraint;
    struct stream stream;
    struct stop_filter filter;
    char *characters;  // [STREAM_OUT_BYTES(longest token)]
    struct text ready; // of the answer: final, and passed on with the next piece
    struct text content, thinking, calls;
    struct token_log log; // where on_token wants to know
    size_t n_answer;      // bytes of the answer that the parser has given since the log was settled
    size_t n_calls;
    bool keeps_turn;                 // a chat with tools: into
    struct token_ids turn;           // what the prompt began of the reply, and what was sampled
    size_t n_turn_called;            // of them up to the last call; SIZE_MAX: a call that cannot be read is among them
    uint32_t n_prompt, n_kept;       // of the prompt's tokens, n_kept were known
    uint32_t n_generated, n_thought; // tokens; the latter of thoughts
    enum karat_stop stop;
    bool ended;   // `stop` says by what
    bool refused; // on_piece returned false
};

// Errors  KARAT_ERR_ARGUMENT  an option of sampling is out of range
enum karat_status generation_check(const struct karat_model *model, const struct karat_generate_options *options,
                                   struct karat_error *err);

// Keeps a pointer to itself: *g may not be moved. After a failure, too, generation_close() takes it.
enum karat_status generation_open(struct generation *g, const struct karat_model *model, const struct prompt *prompt,
                                  const struct karat_generate_options *options, struct karat_error *err);
enum karat_status generation_begin(struct generation *g, struct karat_session *session, struct karat_error *err);
// Instead of ahead_begin(): lets steps run ahead unless every token waits for its mask.
enum karat_status generation_run_ahead(struct generation *g, uint32_t max_tokens, struct karat_error *err);
void generation_accept(struct generation *g, const uint32_t *ids, size_t n_ids);
enum karat_status generation_next(struct generation *g, uint32_t *id, struct karat_error *err);
// The first half touches nothing that another answer touches: threads may draw for several at once.
enum karat_status generation_draw(struct generation *g, uint32_t *id, struct karat_error *err);
enum karat_status generation_take(struct generation *g, uint32_t id, struct karat_error *err);
enum karat_status generation_advance(struct generation *g, uint32_t id, struct karat_error *err);

// `status` is how the work before ended; with KARAT_OK and KARAT_ERR_CANCELLED the reply (may be NULL) is filled.
// Returns how the whole ended.
enum karat_status generation_finish(struct generation *g, enum karat_status status, struct karat_reply *reply,
                                    struct karat_error *err);
void generation_close(struct generation *g);

#endif
