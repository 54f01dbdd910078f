// engine/engine.h -- private to the room: the two public objects.
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/status.h"
#include "base/thread.h"
#include "engine/ahead.h"
#include "engine/grammar_cache.h"
#include "engine/rewind.h"
#include "gpu/gpu.h"
#include "loader/model_file.h"
#include "model/gemma.h"
#include "text/text.h"

// Ids of the control tokens the engine itself speaks; UINT32_MAX where the vocabulary has none.
struct control_ids {
    uint32_t bos, eos, turn_open, turn_close, tool_response_open, channel_close;
};

// Immutable once open, but for what is made when it is first asked for.
struct karat_model {
    struct model_file *file;
    struct tokenizer *tokenizer;
    struct control_ids control;
    uint8_t *parse_kinds;    // [n_tokens]: what the output parser takes each token for
    uint32_t *never_sampled; // ids that are no output of a text model
    size_t n_never_sampled;
    struct karat_model_facts facts;
    char *name;
    struct mutex lock;         // of what follows
    struct token_index *index; // NULL: no answer had to keep to anything yet
    struct grammar_cache grammars;
    // Only with weights:
    struct gpu_device *device;
    struct gemma_shape shape;
    struct gemma_weights weights;
    bool has_weights;
    struct gpu_warm_up *warm_up; // makes kernels, until the model is closed
    uint64_t weights_ns;         // what loading them took
};

// One timeline.
struct karat_session {
    struct karat_model *model;
    struct gpu_recorder *recorder;
    struct gemma_state *state;
    struct sampler *sampler;
    uint32_t n_context, n_batch, n_rows;
    uint32_t *ids; // [n_context]: evaluated tokens
    uint32_t n_ids;
    const float *logits; // [n_vocab] of the next token; NULL: not there, or another step's by now
    struct {
        uint32_t n, n_rows; // tokens, at ids[n_ids]; 0: none
        uint64_t start_ns;
    } step; // under way
    struct ahead ahead;
    struct rewind rewind;
    struct constraint_counts masks;
    volatile int cancel; // set by karat_session_cancel() from any thread; read and written atomically
    struct karat_timings timings;
};

// The file at path, or the built-in one for NULL; and what to call it in a sentence.
enum karat_status model_open_file(struct model_file **out, const char *path, struct karat_error *err);
const char *model_label(const char *path);

// The tree of the model's tokens, made by the first one who asks; any thread.
enum karat_status model_token_index(const struct karat_model *model, const struct token_index **out,
                                    struct karat_error *err);

enum karat_status model_check_vocabulary(const struct gemma_shape *shape, const struct tokenizer *tokenizer,
                                         struct karat_error *err);
struct gpu_device_options model_device_options(const struct karat_model_options *options);

// Appends the ids of a rendered prompt: controls by name, what was sampled as it was, everything else as plain text.
// *n_history (may be NULL) is how many of them are of prompt->n_history.
enum karat_status engine_prompt_ids(const struct karat_model *model, const struct chat_prompt *prompt,
                                    struct token_ids *ids, size_t *n_history, struct karat_error *err);

enum karat_status session_check_options(const struct karat_session_options *options, const struct karat_model *model,
                                        struct karat_error *err);

// Sizes that these wishes give to each of n_sessions sessions with one scratch on a device with this plan and
// free_bytes left beside the weights. Pure.
struct gemma_state_options session_plan(const struct karat_session_options *options, const struct gemma_shape *shape,
                                        const struct gpu_plan *plan, uint64_t free_bytes, uint32_t n_sessions);

// workspace and store NULL: of its own; else sessions that share them have a step under way one at a time.
enum karat_status session_create(struct karat_session **out, struct karat_model *model,
                                 const struct gemma_state_options *plan, struct gemma_workspace *workspace,
                                 struct snapshot_store *store, bool timing, struct karat_error *err);
uint64_t session_free_bytes(const struct karat_model *model); // device memory of our budget that is not in use

// At the beginning of every public call that evaluates: a cancel from before it is over.
void session_clear_cancel(struct karat_session *session);

// Brings the session to ids[0..n): keeps what it can, evaluates the rest. *n_kept (may be NULL) is what was kept.
enum karat_status session_sync(struct karat_session *session, const uint32_t *ids, size_t n_ids, uint32_t *n_kept,
                               struct karat_error *err);

// The same in steps: check; begin, which tells how many tokens of the prompt are kept; then a step after the other,
// until the session holds them all. A step is begun, and each of its submissions waited for until *done; others may use
// the device in between, but not the workspace. After a failure there is no step under way.
enum karat_status session_check_ids(const struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                    struct karat_error *err);
// Of the prompt's tokens those that need not be evaluated again: the longest common beginning that the session can go
// back to, and in any case without the last one if that is needed for its scores.
uint32_t session_shared(const struct karat_session *session, const uint32_t *ids, size_t n_ids);
uint32_t session_reusable(const struct karat_session *session, const uint32_t *ids, size_t n_ids);
enum karat_status session_sync_begin(struct karat_session *session, const uint32_t *ids, size_t n_ids, uint32_t *n_kept,
                                     struct karat_error *err);
enum karat_status session_step_begin(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                     struct karat_error *err);
enum karat_status session_step_wait(struct karat_session *session, bool *done, struct karat_error *err);

// One answer, after ahead_begin(): sample a token, have the sampler accept it, advance by it, and so on. The tokens are
// the same wherever they are drawn. Between the beginning and the end of advancing the device works and the host need
// not; after a failed beginning there is no end.
enum karat_status session_sample(struct karat_session *session, uint32_t *id, struct karat_error *err);
enum karat_status session_advance_begin(struct karat_session *session, uint32_t id, struct karat_error *err);
enum karat_status session_advance_end(struct karat_session *session, struct karat_error *err);

bool session_is_cancelled(const struct karat_session *session);

// A token was evaluated by itself after those there are, in so long.
void session_note_token(struct karat_session *session, uint32_t id, uint64_t ns);

#endif
