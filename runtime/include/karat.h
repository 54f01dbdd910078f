// karat.h -- run Gemma 4 on any Vulkan 1.3 device.
//
// The whole story, as one program:
//
//     #include <karat.h>
//     #include <stdio.h>
//
//     static bool print(void *user, enum karat_piece kind, const char *text, size_t size)
//     {
//         (void)user;
//         if (kind == KARAT_PIECE_ANSWER)
//             fwrite(text, 1, size, stdout);
//         return true;  // false stops the answer
//     }
//
//     int main(int argc, char **argv)
//     {
//         struct karat_error err;
//         struct karat_model *model = NULL;
//         struct karat_session *session = NULL;
//         const char *messages = "[{\"role\": \"user\", \"content\": \"Hello!\"}]";
//         if (karat_model_open(&model, argc > 1 ? argv[1] : NULL, NULL, &err) != KARAT_OK ||
//             karat_session_open(&session, model, NULL, &err) != KARAT_OK ||
//             karat_chat(session, messages, &(struct karat_generate_options){ .on_piece = print }, NULL, &err) !=
//             KARAT_OK) fprintf(stderr, "%s\n", err.text);
//         karat_session_close(session);
//         karat_model_close(model);
//         return 0;
//     }
//
// Objects.  A model is one file on one device: immutable once open, shared by any number of sessions and threads. A
// session is one timeline of tokens with its cache: one caller at a time, except karat_session_cancel(). A scheduler
// answers many requests on one model, with sessions of its own and from any number of threads.
//
// Options.  Every options struct may be NULL or zeroed; zero means the sensible default of each field.
//
// Errors.  Whatever can fail returns enum karat_status and, if `err` is not NULL, fills it with one sentence that names
// the thing, the value found and the value expected. The library never prints, exits or aborts. After
// KARAT_ERR_DEVICE_LOST only the close functions may be called on the model and its sessions.
//
// Strings.  UTF-8, checked. Strings and arrays returned through `char **out` or `uint32_t **out` belong to the caller,
// who returns them with karat_free(). Close and free functions accept NULL.
#ifndef KARAT_H
#define KARAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(KARAT_SHARED) && defined(_WIN32)
#define KARAT_API __declspec(dllexport)
#elif defined(__GNUC__)
#define KARAT_API __attribute__((visibility("default")))
#else
#define KARAT_API
#endif

#define KARAT_VERSION "0.1.0"

struct karat_model;
struct karat_session;
struct karat_scheduler;

// ---------------------------------------------------------------------------------------------------- errors

// Name and general meaning; the sentence in struct karat_error says what happened this time.
#define KARAT_STATUS_LIST(X)                                                           \
    X(OK, "no error")                                                                  \
    X(ERR_ARGUMENT, "an argument is out of its documented range")                      \
    X(ERR_MEMORY, "not enough host memory")                                            \
    X(ERR_IO, "a file cannot be read or written")                                      \
    X(ERR_FORMAT, "the input is not well-formed")                                      \
    X(ERR_UNSUPPORTED, "the input is well-formed but not something this version runs") \
    X(ERR_NO_DEVICE, "no usable Vulkan device")                                        \
    X(ERR_DEVICE, "the Vulkan driver reported a failure")                              \
    X(ERR_DEVICE_MEMORY, "not enough device memory")                                   \
    X(ERR_DEVICE_LOST, "the device was lost; close the model")                         \
    X(ERR_CONTEXT_FULL, "the context has no room for more tokens")                     \
    X(ERR_CANCELLED, "cancelled by the caller")                                        \
    X(ERR_BUSY, "too much is waiting already; try again later")                        \
    X(ERR_INTERNAL, "a fault in karat itself")

enum karat_status {
#define KARAT_STATUS_ENUM(name, text) KARAT_##name,
    KARAT_STATUS_LIST(KARAT_STATUS_ENUM)
#undef KARAT_STATUS_ENUM
};

struct karat_error {
    enum karat_status status;
    char text[1024]; // one sentence, no newline, printable UTF-8
};

// The general meaning of a status; static text.
KARAT_API const char *karat_status_text(enum karat_status status);

// Returns memory the library handed out through an `out` parameter. NULL is fine.
KARAT_API void karat_free(void *memory);

// ---------------------------------------------------------------------------------------------------- logging

enum karat_log_level { KARAT_LOG_ERROR, KARAT_LOG_WARNING, KARAT_LOG_INFO, KARAT_LOG_DEBUG };

typedef void karat_log_fn(void *user, enum karat_log_level level, const char *line);

// Sends log lines up to `level` to `sink`; NULL (the start) is silence. Any thread; the sink may be called from any
// thread but never twice at once, and may not call karat functions.
KARAT_API void karat_log_set(karat_log_fn *sink, enum karat_log_level level, void *user);

// ---------------------------------------------------------------------------------------------------- models

// Called now and then while a model loads; `done` of `total` bytes are on the device. Returning false cancels.
typedef bool karat_progress_fn(void *user, uint64_t done, uint64_t total);

struct karat_model_options {
    const char *device;             // index as karat_devices() counts, or part of the name; NULL: the best one
    bool vocabulary_only;           // no weights, no device: for tokenizing and rendering; such files may lack tensors
    uint64_t vram_limit_bytes;      // use at most this much device memory; 0: what the device has free
    const char *pipeline_cache_dir; // where compiled kernels are kept; NULL: the user's cache folder; "": nowhere
    karat_progress_fn *on_progress; // may be NULL
    void *user;                     // for on_progress
};

// Opens a GGUF file (of a split model: its first part) and puts its weights on the device. path NULL: the demo model
// built into the library.
//
// Errors   KARAT_ERR_IO, _FORMAT, _UNSUPPORTED   the file; _NO_DEVICE, _DEVICE_MEMORY   the device;
//          KARAT_ERR_CANCELLED   on_progress returned false
// Cost     reads the file once, keeps no second copy of the weights in memory
KARAT_API enum karat_status karat_model_open(struct karat_model **out, const char *path,
                                             const struct karat_model_options *options, struct karat_error *err);
KARAT_API void karat_model_close(struct karat_model *model); // after its sessions

struct karat_model_facts {
    const char *name;    // from the file, may be ""; lives as long as the model
    const char *device;  // name of the Vulkan device, "" without one
    const char *weights; // main weight format, such as "Q4_K"
    uint64_t n_parameters;
    uint64_t weight_bytes; // on the device
    uint64_t weights_ns;   // karat_model_open() took for reading, repacking and uploading them
    uint32_t n_kernels;    // compiled so far, in the background since the weights began to load
    uint64_t kernels_ns;   // what that took, summed over the threads that did it
    uint32_t n_vocab, n_layers, n_embd, n_experts, n_experts_used;
    uint32_t n_context_max; // tokens the model was made for
    uint32_t token_bos, token_end_of_turn;
    uint32_t sliding_window;  // tokens
    float temperature, top_p; // the file's recommendation, or the family's
    uint32_t top_k;
};
KARAT_API void karat_model_describe(const struct karat_model *model, struct karat_model_facts *out);

// What the device's memory gives to a kernel that copies more than the caches hold, in bytes per second, read and
// written both counted: the yardstick for karat_timings.decode_bytes. It is kept beside the compiled kernels.
enum karat_bandwidth {
    KARAT_BANDWIDTH_KNOWN,    // what was kept for this device and driver; 0 if nothing was
    KARAT_BANDWIDTH_MEASURED, // the same, measured now if nothing was kept: once some 0.1 s and up to 512 MiB
    KARAT_BANDWIDTH_AGAIN,    // measured now in any case
};
KARAT_API enum karat_status karat_model_bandwidth(struct karat_model *model, enum karat_bandwidth how,
                                                  double *bytes_per_second, struct karat_error *err);

// What a file holds and how it would be placed on this machine, without loading weights, as a JSON object.
KARAT_API enum karat_status karat_file_info(char **json_out, const char *path,
                                            const struct karat_model_options *options, uint32_t n_context,
                                            struct karat_error *err);

// ---------------------------------------------------------------------------------------------------- sessions

// F32 is for comparing scores: nothing else is rounded either, where the device would multiply matrices of f16.
enum karat_cache_type { KARAT_CACHE_F16, KARAT_CACHE_F32 };

struct karat_session_options {
    uint32_t n_context;          // most tokens the session can hold; 0: 8192 or the model's own limit if smaller
    uint32_t n_batch;            // tokens per prefill step, 1..2048; 0: what suits the device and its memory
    enum karat_cache_type cache; // how keys and values are kept
    bool timing;                 // measure what every phase takes on the device (karat_session_phases()); costs speed
};

// Allocates caches and scratch for one timeline. After this the token loop allocates nothing but what
// karat_session_sync() sets aside to go back to.
// Errors   KARAT_ERR_DEVICE_MEMORY says how much was wanted, how much there was, and what to change
//          KARAT_ERR_UNSUPPORTED     timing is wanted and the device has no clock for it
KARAT_API enum karat_status karat_session_open(struct karat_session **out, struct karat_model *model,
                                               const struct karat_session_options *options, struct karat_error *err);
KARAT_API void karat_session_close(struct karat_session *session);

KARAT_API uint32_t karat_session_capacity(const struct karat_session *session); // tokens
KARAT_API uint32_t karat_session_length(const struct karat_session *session);   // tokens evaluated so far

// Brings the session to exactly the given tokens, evaluating only what is new: the longest prefix already evaluated is
// kept, anything after it is forgotten, the rest runs in steps of n_batch.
//
// Sliding windows allow going back by n_batch tokens. From further on one can go back to where the prompt before ended,
// where its last question and its first one begin, and to the ends of two of its steps, because what those positions
// see is set aside in time: up to five times 200 MiB of 26B-A4B, in a part of what the device has left. Where there is
// no memory for that, more is evaluated again. The scores are those of the steps that evaluated the tokens: other steps
// give the same to rounding, so that where two tokens are nearly equal the better one may be the other.
//
//   ids     token ids, each below n_vocab; read before return, not kept
//   n_ids   1 .. karat_session_capacity()
//
// Afterwards karat_session_logits() holds the scores of the next token.
// Errors   KARAT_ERR_ARGUMENT       an id or n_ids out of range; nothing changed
//          KARAT_ERR_CONTEXT_FULL   n_ids above the capacity; nothing changed
//          KARAT_ERR_CANCELLED      karat_session_cancel() was called; whole steps done so far are kept
KARAT_API enum karat_status karat_session_sync(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                               struct karat_error *err);

// f32 [n_vocab], after the soft cap, for the token after the last one; valid until the next call on the session. NULL
// before the first successful sync, and after an answer, whose tokens the device may have drawn by itself.
KARAT_API const float *karat_session_logits(const struct karat_session *session);

// Like karat_session_sync() from an empty session, but hands over the scores after every token: row i belongs to the
// token that follows ids[i]. `logits` is f32 [n_vocab], valid during the call. Returning false cancels.
typedef bool karat_logits_fn(void *user, size_t index, const float *logits);
KARAT_API enum karat_status karat_session_evaluate(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                                   karat_logits_fn *on_logits, void *user, struct karat_error *err);

// Makes the running call on this session return KARAT_ERR_CANCELLED soon (within about 100 ms). From any thread or a
// signal handler; without a running call it does nothing.
KARAT_API void karat_session_cancel(struct karat_session *session);

struct karat_timings {
    uint64_t prefill_tokens, prefill_ns; // tokens evaluated more than one at a time
    uint64_t decode_tokens, decode_ns;   // tokens evaluated one at a time
    uint64_t decode_bytes;               // weights and cache read by the decoded tokens
    uint64_t n_dispatches, n_barriers, n_submits;
    uint64_t longest_submit_ns; // what the device took for the longest of the submissions
};
KARAT_API void karat_session_timings(const struct karat_session *session, struct karat_timings *out);
KARAT_API void karat_session_timings_reset(struct karat_session *session);

// One kind of work on the device: one weight matrix of every layer, or one operation.
struct karat_phase {
    char name[48];      // what it works for, such as "attn_q", "ffn_down_exps", "attention.full", "heads"
    const char *kernel; // what runs, such as "mat_vec.Q4_K"; "" for plain copies; lives as long as the model
    uint64_t n;         // dispatches
    uint64_t ns;        // of the device's time; the sum over all phases is that of the steps
    uint64_t bytes;     // weights, cache and activations it must read and write, each counted once per dispatch
};

// The phases since the last karat_session_timings_reset(), longest first, into out[0..capacity). Returns how many there
// are, which may be more; 0 for a session without `timing`. Expert weights count as if a prompt of many tokens needed
// as many experts as it can.
KARAT_API size_t karat_session_phases(struct karat_session *session, struct karat_phase *out, size_t capacity);

// ---------------------------------------------------------------------------------------------------- generation

enum karat_piece { KARAT_PIECE_ANSWER, KARAT_PIECE_THOUGHT, KARAT_PIECE_TOOL_CALL };

// A piece of the reply, as soon as it is final: whole UTF-8 characters of answer or thought, or one whole tool call as
// a JSON object {"name": ..., "arguments": {...}}. Returning false ends the answer (stop reason CANCELLED).
typedef bool karat_piece_fn(void *user, enum karat_piece kind, const char *text, size_t size);

// A token and the natural logarithm of the probability that the model itself gives it: among all tokens, before biases,
// penalties, the temperature, cuts, and what the answer must keep to. Never below the lowest finite float.
struct karat_logprob {
    uint32_t id;
    float logprob;
};

#define KARAT_TOP_LOGPROBS_MAX 20

// A token of the answer (none of a thought or a call), as sampled, before the piece of text that it completes. What is
// no part of the answer is left out: a token that a stop text cuts, white space before a call. top[0..n_top) are the
// likeliest tokens in its place, best first; both are lent for the call.
typedef void karat_token_fn(void *user, const struct karat_logprob *token, const struct karat_logprob *top,
                            size_t n_top);

// What is added to the score of a token before penalties, temperature and cuts: -1e6 .. 1e6, or minus infinity, which
// bans the token. Where what the answer must keep to lets only banned tokens pass, one of them comes all the same.
struct karat_bias {
    uint32_t id;
    float bias;
};

// Zero in a field means: the model file's recommendation where it has one, else off.
struct karat_sampling {
    float temperature; // < 0 or `greedy`: always the best token
    uint32_t top_k;
    float top_p, min_p;
    float repeat_penalty; // 1 is none; divides the score of tokens seen in the last repeat_window tokens
    float presence_penalty, frequency_penalty;
    uint32_t repeat_window; // 0: 64
    uint64_t seed;          // 0: from the clock
    bool greedy;
    const struct karat_bias *biases; // n_biases of them; those of the same token add up
    size_t n_biases;
};

enum karat_tool_choice {
    KARAT_TOOLS_AUTO,     // an answer or calls, as the model likes
    KARAT_TOOLS_NONE,     // no call, and the model is not told of the tools
    KARAT_TOOLS_REQUIRED, // at least one call
};

struct karat_generate_options {
    uint32_t max_tokens; // 0: until the model stops or the context is full
    struct karat_sampling sampling;
    bool thinking;           // karat_chat() only: let the model think first
    uint32_t max_thought;    // tokens of thought; then the engine closes it and the answer begins. 0: any number
    const char *tools;       // karat_chat() only: JSON array of tool declarations, or NULL
    const char *sampled;     // karat_chat() only: JSON array, "sampled" of karat_render(), or NULL
    const char *const *stop; // texts that end the answer (not part of it); n_stop of them
    size_t n_stop;
    karat_piece_fn *on_piece; // may be NULL
    void *user;               // for on_piece and on_token

    // Log probabilities, token by token. The device does not draw ahead then, which costs some speed.
    karat_token_fn *on_token; // may be NULL
    uint32_t n_top;           // that on_token gets, at most KARAT_TOP_LOGPROBS_MAX

    // What the answer must keep to, token by token. It begins after the thought, if there is one, and the turn ends
    // only where it is complete (or at max_tokens: KARAT_STOP_LENGTH). A schema or a grammar that cannot be kept to is
    // KARAT_ERR_FORMAT or, where it asks for more than an automaton can carry, KARAT_ERR_UNSUPPORTED, and the sentence
    // names the keyword with its JSON pointer. An answer that the prompt has begun is what must be kept to as a whole.
    const char *schema;  // a JSON Schema: the answer is compact JSON that satisfies it; NULL: any text
    const char *grammar; // GBNF, as llama.cpp reads it; NULL: any text. Not together with schema
    // karat_chat() with tools only:
    enum karat_tool_choice tool_choice;
    const char *tool;  // no other one may be called; NULL: any
    bool one_call;     // at most one call
    bool tools_strict; // arguments satisfy the schemas of all tools, not only of those that say "strict": true
};

enum karat_stop {
    KARAT_STOP_END,
    KARAT_STOP_TOOL_CALLS,
    KARAT_STOP_TEXT,
    KARAT_STOP_LENGTH,
    KARAT_STOP_CONTEXT,
    KARAT_STOP_CANCELLED
};

struct karat_reply {
    char *content, *thinking, *tool_calls; // tool_calls is a JSON array; each "" or "[]" when empty
    enum karat_stop stop;
    uint32_t n_prompt, n_cached, n_generated; // tokens; n_cached of the prompt were already evaluated
    uint32_t n_thought;                       // of n_generated
    // With calls that could be read: the tokens of the reply up to the last of them, what the prompt had begun of it
    // included, as "sampled" of karat_render() takes them back. NULL else.
    uint32_t *sampled;
    size_t n_sampled;
};
KARAT_API void karat_reply_free(struct karat_reply *reply); // its members; the struct is the caller's

// Renders the conversation, syncs the session to it and generates the model's next turn.
//
//   messages   JSON array of {"role", "content", ...} as OpenAI's chat format has them
//   reply      filled on success and on KARAT_ERR_CANCELLED; may be NULL
KARAT_API enum karat_status karat_chat(struct karat_session *session, const char *messages,
                                       const struct karat_generate_options *options, struct karat_reply *reply,
                                       struct karat_error *err);

// Generates after the given tokens, without any chat format: pieces are all KARAT_PIECE_ANSWER.
KARAT_API enum karat_status karat_generate(struct karat_session *session, const uint32_t *ids, size_t n_ids,
                                           const struct karat_generate_options *options, struct karat_reply *reply,
                                           struct karat_error *err);

// ---------------------------------------------------------------------------------------------------- many at once

struct karat_scheduler_options {
    uint32_t n_slots;            // requests that advance at once, 1..64; 0: 4
    uint32_t n_context;          // most tokens of each; 0: as for a session
    uint32_t n_waiting;          // requests that may wait for a slot; 0: 64
    uint32_t n_batch;            // tokens per prefill step; 0: as for a session
    enum karat_cache_type cache; // how keys and values are kept
    uint64_t prefix_bytes;       // memory for what is known of prompts beside the slots; 0: half of what the device has
                                 // left, and beside a card an eighth of the host's, up to 4 GiB; 1: none
};

// Starts a thread that answers requests on n_slots timelines of its own.
//
// Beginnings of prompts are evaluated once. A slot keeps what its last request evaluated. A request that goes on with a
// slot's conversation gets that slot, any other one the slot used longest ago, and what its prompt has in common with
// what is known anywhere is copied there: from another slot, busy or not, or from what slots held before, which is set
// aside as far as prefix_bytes go. What several conversations begin with is given up last. prefix_bytes bound what
// slots set aside for themselves as well, and where there is no room for more free slots do without that. So n answers
// to one prompt read it once, and more conversations than slots may take turns. One that is set aside takes 20 KiB for
// each of its tokens, and 200 KiB for each that sliding layers see (of 26B-A4B in f16; 200 MiB at most, as the window
// is 1024).
//
// Errors   KARAT_ERR_ARGUMENT, _DEVICE_MEMORY   as karat_session_open()
KARAT_API enum karat_status karat_scheduler_open(struct karat_scheduler **out, struct karat_model *model,
                                                 const struct karat_scheduler_options *options,
                                                 struct karat_error *err);
// Cancels what waits and runs and returns after the last on_done. Not from a callback. Before the model's close.
KARAT_API void karat_scheduler_close(struct karat_scheduler *scheduler);

// Where a request's time went; of a request that was not begun only the first.
struct karat_request_times {
    uint64_t queue_ns;    // from its submission until it had a slot
    uint64_t prefill_ns;  // from there until its prompt was evaluated
    uint64_t decode_ns;   // from there until its end
    uint32_t n_prefilled; // tokens of the prompt that were evaluated, those known before not counted
    uint32_t n_decoded;   // tokens generated
};

// Callbacks come from the scheduler's thread, never two at once, and hold up every request until they return. They may
// call submit, cancel and counts. Those that are NULL are not called.
struct karat_request {
    const char *chat;    // what karat_render() takes, options.add_generation_prompt included; NULL: a raw prompt
    const uint32_t *ids; // [n_ids]: the raw prompt, answered without any chat format
    size_t n_ids;
    const struct karat_generate_options *generate; // `tools`, `thinking` and `sampled` are not read: they are in `chat`
    // Before the first step; n_cached tokens of the prompt are known already.
    void (*on_start)(void *user, uint32_t n_prompt, uint32_t n_cached);
    // After each step of the prompt; the known tokens count as done.
    void (*on_progress)(void *user, uint32_t n_done, uint32_t n_prompt);
    // Exactly once and last. `reply` is NULL unless `status` is KARAT_OK or KARAT_ERR_CANCELLED, when it holds what
    // there is; it and the other two are lent for the call.
    void (*on_done)(void *user, enum karat_status status, const struct karat_reply *reply,
                    const struct karat_request_times *times, const struct karat_error *err);
    void *user;
};

// Takes a request; everything it points to is copied before the return. The prompt is rendered and checked here, on the
// caller's thread. *ticket (may be NULL) is never 0.
// Errors   KARAT_ERR_BUSY           n_waiting requests wait already, or the scheduler is being closed
//          KARAT_ERR_CONTEXT_FULL   the prompt is longer than n_context
//          KARAT_ERR_ARGUMENT, _FORMAT, _UNSUPPORTED   the conversation or an option; on_done does not come after any
KARAT_API enum karat_status karat_scheduler_submit(struct karat_scheduler *scheduler,
                                                   const struct karat_request *request, uint64_t *ticket,
                                                   struct karat_error *err);

// Ends the request soon, wherever it is: on_done comes with KARAT_ERR_CANCELLED, or with what came first. Unknown and
// finished tickets are fine. Any thread.
KARAT_API void karat_scheduler_cancel(struct karat_scheduler *scheduler, uint64_t ticket);

struct karat_scheduler_counts {
    uint32_t n_slots, n_context;
    uint32_t n_running, n_waiting; // requests, now
    // Since the scheduler was opened:
    uint64_t n_finished;                 // requests whose on_done was called or is about to be
    uint64_t prompt_tokens;              // of requests that were begun
    uint64_t cached_tokens;              // of those, known already
    uint64_t prefill_tokens, prefill_ns; // evaluated for prompts, and the time of the steps that did it
    uint64_t decode_tokens, decode_ns;   // generated, and the time of the steps that did it
    uint64_t prefix_bytes;               // memory that beginnings of prompts take beside the slots, of late
};
KARAT_API void karat_scheduler_counts(struct karat_scheduler *scheduler, struct karat_scheduler_counts *out);

// ---------------------------------------------------------------------------------------------------- text

enum karat_tokenize_flags {
    KARAT_TOKENIZE_BOS = 1,     // begin with the start token
    KARAT_TOKENIZE_SPECIAL = 2, // text such as "<|turn>" becomes the control token; never use it on what a user typed
};

// text[0..size) must be valid UTF-8. *ids_out has *n_out entries.
KARAT_API enum karat_status karat_tokenize(const struct karat_model *model, const char *text, size_t size,
                                           unsigned flags, uint32_t **ids_out, size_t *n_out, struct karat_error *err);

// The bytes of the tokens, control tokens included as their names; terminated. Not always valid UTF-8: a character may
// be spread over several tokens.
KARAT_API enum karat_status karat_detokenize(const struct karat_model *model, const uint32_t *ids, size_t n_ids,
                                             char **text_out, size_t *size_out, struct karat_error *err);

enum karat_render_flags { KARAT_RENDER_NO_FIXES = 1 }; // exactly the publisher's template, its defects included

// `request` is {"messages": [...], "tools": [...] or null, "options": {"enable_thinking", "preserve_thinking",
// "add_generation_prompt", "begun_answer"}}; the latter is text that the model goes on from, without thinking. Beside
// them may stand "sampled", [{"calls": [id, ...], "tokens": karat_reply.sampled}, ...], where ids are those that
// messages give to the calls of that reply, in order: calls that are still the same go back token for token, and with
// them text and thought of the reply where the format keeps thoughts, so that what was evaluated need not be evaluated
// again.
KARAT_API enum karat_status karat_render(const struct karat_model *model, const char *request, unsigned flags,
                                         char **text_out, struct karat_error *err);

// The same as token ids: control tokens by id, message text as plain text.
KARAT_API enum karat_status karat_render_tokens(const struct karat_model *model, const char *request, unsigned flags,
                                                uint32_t **ids_out, size_t *n_out, struct karat_error *err);

// Raw model output (control tokens as text) to {"thinking", "content", "tool_calls"}. `tools` may be NULL.
KARAT_API enum karat_status karat_parse(const struct karat_model *model, const char *raw, size_t size,
                                        bool starts_in_thought, const char *tools, char **json_out,
                                        struct karat_error *err);

// ---------------------------------------------------------------------------------------------------- machine

// Every Vulkan device with its features, the tier karat would use and why one is chosen, as a JSON array.
KARAT_API enum karat_status karat_devices(char **json_out, struct karat_error *err);

// One kernel compared with its plain C twin.
struct karat_check {
    const char *name; // kernel and case
    bool passed;
    double error, bound; // largest deviation found and allowed, relative to the output's scale
    uint64_t ns;         // device time
};
typedef void karat_check_fn(void *user, const struct karat_check *check);

// Runs every kernel on the device against its twin. *n_failed counts the checks that did not pass.
KARAT_API enum karat_status karat_selftest(const char *device, karat_check_fn *on_check, void *user, uint32_t *n_failed,
                                           struct karat_error *err);

#ifdef __cplusplus
}
#endif
#endif
