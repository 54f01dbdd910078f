// text/chat.h -- from a conversation to the prompt that Gemma 4 was trained on.
//
// A prompt is a list of items: control tokens by name and runs of plain text between them. Looking the controls up by
// name and tokenising each run as plain text gives ids into which no message can smuggle a control token. All text
// between two controls is one item, because tokenising it in pieces would break merges.
//
// By default the known defects of the publisher's template are corrected (see chat_fixes.h); strict mode reproduces the
// template byte for byte.
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include "text/json.h"
#include "text/tokenizer.h"

struct chat_options {
    bool strict;                       // exactly the publisher's template, its defects included
    bool small;                        // template of E2B and E4B: no empty thought in the generation prompt
    bool structured_results;           // a tool's text that is a JSON object is printed as one; not in strict mode
    const struct tokenizer *tokenizer; // reads what was "sampled"; NULL: that is passed over, as in strict mode
    bool empty_thought_after_results;  // thinking off, last message is a tool's: close the thought; not in strict mode
};

struct chat_item {
    bool control;        // text is the name of a control token such as "<|turn>", else plain text, never empty
    struct span text;    // lives as long as the prompt
    const uint32_t *ids; // [n_ids] of a turn that was sampled, `text` being theirs; NULL else. The prompt's
    size_t n_ids;
    const struct json *media; // of <|image|>, <|audio|> and <|video|>: the content part; lives as long as the request
};

struct chat_prompt {
    struct chat_item *items;
    size_t n_items;
    size_t n_history;       // items before those with which the generation prompt begins the reply: its thought
    bool thinking;          // enable_thinking was on
    bool starts_in_thought; // the prompt ends inside an open thought; tell it the parser
    struct arena arena;     // private
};

// Renders {"messages": [...], "tools": [...] or null, "options": {"enable_thinking", "preserve_thinking",
// "add_generation_prompt", "bos_token", "begun_answer"}}; messages and tools as in OpenAI's chat format, images as
// parts of type "image" or "image_url". All but messages may be missing. bos_token may only be "<bos>" or "" (no start
// token); begun_answer follows the generation prompt as it is. "sampled" beside them is a list of {"calls": [id, ...],
// "tokens": [...]}: what the model wrote, from the beginning of its reply to the last of these calls. Calls with such
// an id that are still the same are put back as these tokens; so is the whole, its thought included, where the format
// keeps the thought.
//
//   out       zeroed by the call; the caller frees it with chat_prompt_free() after success
//   request   must live as long as the prompt's media pointers are used
//   options   may be NULL
// Errors  KARAT_ERR_ARGUMENT   a conversation that cannot be rendered, in one sentence;  KARAT_ERR_MEMORY
// Threads any; the request is only read
enum karat_status chat_render(struct chat_prompt *out, const struct json *request, const struct chat_options *options,
                              struct karat_error *err);

// Accepts a zeroed prompt.
void chat_prompt_free(struct chat_prompt *prompt);

// Appends what joining all items gives: the rendered text.
void chat_prompt_text(const struct chat_prompt *prompt, struct text *out);

#endif
