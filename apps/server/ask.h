// server/ask.h -- what a request asks for, in any dialect, checked and in the library's words.
//
// One table (ask.c) names every number and switch with its range. Each dialect has a reader that fills the rest:
// ask_chat.c, ask_completion.c, ask_messages.c, ask_responses.c. What several of them have is in ask_format.c and
// ask_sampling.c. Fields that nobody here knows are ignored, as clients
// expect; a field of the wrong kind or out of range is an error that names it.
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include "common/json.h"
#include "server/errors.h"

#define ASK_CHOICES_MAX 16 // of one request
#define ASK_STOPS_MAX 16

struct wish {
    bool given;
    double number; // of a switch 0 or 1
};

struct ask_prompt {
    uint32_t *ids;
    size_t n_ids;
};

struct ask {
    // As the request has them; see the table.
    struct wish max_tokens, temperature, top_k, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
    struct wish seed, n, thought, stream, parallel_calls, add_special, parse_special, with_pieces;
    bool include_usage; // a last chunk with the usage, in OpenAI's streams
    bool thinking;
    bool hide_thoughts; // reasoning_format "none"
    bool logprobs;      // of the answer's tokens, with the n_top likeliest in the place of each
    unsigned n_top;

    struct text chat;  // as karat_render() takes it; empty where there are prompts
    struct text begun; // what a final message of the assistant says; the answer goes on from there
    bool has_begun;
    struct text said;     // of a response: the messages in `chat` without the instructions, those before it included
    struct text items;    // of a response: what it answers, as input_items.h has it
    struct text previous; // the id of the response that it goes on from; empty: none
    bool forget;          // it is not to be kept
    struct ask_prompt *prompts;
    size_t n_prompts;
    unsigned n_choices; // of one prompt

    struct text schema, grammar; // what the answer must keep to; empty: nothing
    enum karat_tool_choice tool_choice;
    struct text tool; // the only one that may be called; empty: any

    struct karat_bias *biases;
    size_t n_biases;
    char *stops[ASK_STOPS_MAX];
    size_t n_stops;
    struct karat_generate_options
        generate; // ready for karat_scheduler_submit(), but for on_piece; borrows from the ask
};

// Zeroed is empty.
void ask_free(struct ask *ask);

// Each reads a whole body. On failure false and the fault; the ask is freed by the caller in both cases.
bool ask_read_chat(struct ask *ask, const struct json *json, struct fault *fault);
bool ask_read_completion(struct ask *ask, const struct json *json, const struct karat_model *model,
                         struct fault *fault);
bool ask_read_messages(struct ask *ask, const struct json *json, bool only_count, struct fault *fault);
// ask->said holds the messages that come before its own, if any; see responses.h.
bool ask_read_responses(struct ask *ask, const struct json *json, struct fault *fault);

// ---------------------------------------------------------------------------------------------------- for the readers

// The numbers and switches that stand in the table. Then `generate` from them, with ask_finish().
bool ask_read_wishes(struct ask *ask, const struct json *json, struct fault *fault);
bool ask_read_stops(struct ask *ask, const struct json *json, const char *name, struct fault *fault);
void ask_finish(struct ask *ask, uint32_t n_vocab);
// Refuses fields that change what is generated and are not served yet, rather than ignoring them.
bool ask_refuse(const struct json *json, struct fault *fault);

// A member that is there and not null; JSON_NONE else.
size_t ask_member(const struct json *json, size_t object, const char *name);
bool ask_is_type(const struct json *json, size_t node, const char *type); // an object of that "type"
// "is a string", "is 7": what was found, for a sentence.
void ask_describe(const struct json *json, size_t node, struct text *out);
// "NAME is FOUND, expected WANTED", about field NAME.
bool ask_wrong(struct fault *fault, const struct json *json, size_t node, const char *name, const char *wanted);

// response_format, and llama.cpp's json_schema and grammar; a node (or JSON_NONE) of the form of a response_format that
// is called `name`; a `tool_choice` of any dialect. Then whether they go together.
bool ask_read_formats(struct ask *ask, const struct json *json, struct fault *fault);
bool ask_read_format(struct ask *ask, const struct json *json, size_t format, const char *name, struct fault *fault);
bool ask_read_choice(struct ask *ask, const struct json *json, size_t choice, struct fault *fault);
bool ask_check_format(const struct ask *ask, bool has_tools, struct fault *fault);

// The tools of a dialect that does not declare them as the library reads them, appended to `chat`; none where none may
// be called.
struct tool_form {
    bool (*is_declared)(const struct json *json, size_t tool); // else the server would have to run it
    const char *schema;                                        // the member that holds it
    const char *otherwise;                                     // one sentence
};
bool ask_read_tools(struct ask *ask, const struct json *json, const struct tool_form *form, struct fault *fault);

// logprobs and top_logprobs of a chat; of completions, where the former is a number; of responses, which `include`
// them.
bool ask_read_logprobs(struct ask *ask, const struct json *json, struct fault *fault);
bool ask_read_logprobs_count(struct ask *ask, const struct json *json, struct fault *fault);
bool ask_read_logprobs_include(struct ask *ask, const struct json *json, struct fault *fault);

// An effort of reasoning (a node or JSON_NONE) called `name`: whether to think, and how much unless the request says so
// by number. A budget of tokens of thought, which counts before those of the table.
bool ask_read_effort(struct ask *ask, const struct json *json, size_t effort, const char *name, struct fault *fault);
bool ask_read_budget(struct ask *ask, const struct json *json, size_t budget, const char *name, struct fault *fault);

// logit_bias, of any dialect: {"id": bias, ...} or [[id or text, bias], ...]; a text is all its tokens, false is a ban.
bool ask_read_biases(struct ask *ask, const struct json *json, const struct karat_model *model, struct fault *fault);

// The end of `chat`: its tools (a node of the request, or JSON_NONE) and options. Where none may
// be called the model is not told of them. JSON_NONE with has_tools: they are in `chat` already.
bool ask_finish_chat(struct ask *ask, const struct json *json, size_t tools, bool has_tools, struct fault *fault);

#endif
