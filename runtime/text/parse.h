// text/parse.h -- from what the model writes to thought, answer and tool calls.
//
// The parser is fed control tokens by kind and everything else as text, in pieces of any size, and reports events as
// soon as they are final. It recognises controls only where it is told of one, so a literal "<|channel>" typed out in
// ordinary characters stays text. A call is reported once, complete.
//
//     struct parser *parser = NULL;
//     TRY(parser_create(&parser, &(struct parser_options){ .on_event = print, .tools = tools }, err));
//     for each token:  control != PARSE_NONE ? parser_control(parser, control, err) : parser_text(parser, bytes, err)
//     TRY(parser_finish(parser, err));
//     parser_destroy(parser);
#ifndef TEXT_PARSE_H
#define TEXT_PARSE_H

#include "text/json.h"

// The control tokens that mean something in a reply. All others are passed on as text (their name).
#define PARSE_CONTROL_LIST(X)            \
    X(CHANNEL_OPEN, "<|channel>")        \
    X(CHANNEL_CLOSE, "<channel|>")       \
    X(CALL_OPEN, "<|tool_call>")         \
    X(CALL_CLOSE, "<tool_call|>")        \
    X(QUOTE, "<|\"|>")                   \
    X(TURN_OPEN, "<|turn>")              \
    X(TURN_CLOSE, "<turn|>")             \
    X(RESPONSE_OPEN, "<|tool_response>") \
    X(END, "<eos>")

enum parse_control {
    PARSE_NONE,
#define PARSE_CONTROL_ENUM(name, text) PARSE_##name,
    PARSE_CONTROL_LIST(PARSE_CONTROL_ENUM)
#undef PARSE_CONTROL_ENUM
};

// PARSE_NONE when the token of this name is no control of a reply. For mapping token ids once.
enum parse_control parser_control_from_name(struct span name);

enum parse_event_kind {
    PARSE_EVENT_ANSWER,   // text: more of the answer, never empty
    PARSE_EVENT_THOUGHT,  // text: more of the thought, never empty; blocks are joined by one newline
    PARSE_EVENT_CALL,     // name, text: the arguments as a JSON object
    PARSE_EVENT_BAD_CALL, // text: the call as written, name: as far as known, reason: why it cannot be used
};

// All spans die with the callback. Text events split a character only where the text fed in did.
struct parse_event {
    enum parse_event_kind kind;
    struct span text, name;
    const char *reason; // one sentence; NULL but for bad calls
};

// Returning false ends the parsing: the running and all later calls return KARAT_ERR_CANCELLED.
typedef bool parse_event_fn(void *user, const struct parse_event *event);

#define PARSE_CALL_BYTES_MAX ((size_t)1 << 20)  // a longer call is reported as bad
#define PARSE_SPACE_BYTES_MAX ((size_t)1 << 16) // whitespace held back; what is longer counts as text

struct parser_options {
    bool starts_in_thought;   // the prompt ended inside an open thought
    const struct json *tools; // declarations as given to chat_render(), for repairing calls; may be NULL; must outlive
                              // the parser
    parse_event_fn *on_event;
    void *user; // for on_event
};

struct parser;

// The parser holds at most PARSE_CALL_BYTES_MAX + PARSE_SPACE_BYTES_MAX of text, and a small multiple of a call while
// it is being read. One thread at a time.
enum karat_status parser_create(struct parser **out, const struct parser_options *options, struct karat_error *err);
void parser_destroy(struct parser *parser); // NULL is fine

// Errors  KARAT_ERR_CANCELLED   the callback returned false;  KARAT_ERR_MEMORY
// Whatever comes after a stop (PARSE_TURN_CLOSE, PARSE_RESPONSE_OPEN, PARSE_END) is ignored.
enum karat_status parser_text(struct parser *parser, struct span text, struct karat_error *err);
enum karat_status parser_control(struct parser *parser, enum parse_control control, struct karat_error *err);

// For raw text in which controls are spelled out; holds back what may become the name of a control. Not to be mixed
// with the two above.
enum karat_status parser_raw(struct parser *parser, struct span raw, struct karat_error *err);

// Nothing more comes: releases what was held back and tries to read an unfinished call. Call it once.
enum karat_status parser_finish(struct parser *parser, struct karat_error *err);

bool parser_stopped(const struct parser *parser);    // a stop was seen
bool parser_in_thought(const struct parser *parser); // since it was opened
bool parser_thinks(const struct parser *parser);     // since its name, which is no part of it, was complete
bool parser_in_call(const struct parser *parser);
size_t parser_n_held(const struct parser *parser);  // bytes fed last that may still become part of the answer
size_t parser_n_calls(const struct parser *parser); // good ones so far; more than 0 makes the finish reason tool_calls

// A whole raw reply at once: appends {"thinking": ..., "content": ..., "tool_calls": [{"name", "arguments"}, ...]}.
// Calls that cannot be read are left out. tools may be NULL.
enum karat_status parse_reply(struct text *out, struct span raw, bool starts_in_thought, const struct json *tools,
                              struct karat_error *err);

#endif
