// text/parse.c -- the states of a reply.
//
// Whitespace is held back until something visible follows, because a thought or a call that comes next swallows it.
#include "text/parse.h"

#include <stdlib.h>

#include "text/parse_call.h"

enum state {
    STATE_TEXT,
    STATE_HEADER, // after a <|turn> at the very beginning: "model\n" is swallowed, anything else is a stop
    STATE_NAME,   // after <|channel>: the name of the channel is swallowed
    STATE_THOUGHT,
    STATE_CALL,
    STATE_STOPPED,
};

static const char header_text[] = "model\n", channel_name[] = "thought\n";

struct parser {
    struct parser_options options;
    enum state state;
    struct text space; // whitespace held back, of the answer or of the thought
    struct text held;  // what may become header_text or channel_name; the body of a call
    bool any_answer;   // something of the answer was reported
    bool any_thought;  // something of an earlier block of thought was reported: join with a newline
    bool block_begun;  // something of this block was reported
    bool skip_space;   // directly after a thought or a call
    bool first_text;   // nothing was seen yet, so that a bare "thought\n" may be a channel without opener
    bool call_too_long;
    size_t n_calls;
    enum karat_status status; // sticky
    struct text raw;          // for parser_raw(): the beginning of a control's name
};

// ---------------------------------------------------------------------------------------------------- events

static void report(struct parser *p, const struct parse_event *event)
{
    if (p->status == KARAT_OK && p->options.on_event && !p->options.on_event(p->options.user, event))
        p->status = KARAT_ERR_CANCELLED;
}

static void report_text(struct parser *p, struct span text)
{
    const bool thought = p->state == STATE_THOUGHT;
    if (text.size_bytes == 0)
        return;
    *(thought ? &p->block_begun : &p->any_answer) = true;
    report(p, &(struct parse_event){ .kind = thought ? PARSE_EVENT_THOUGHT : PARSE_EVENT_ANSWER, .text = text });
}

static void check_memory(struct parser *p)
{
    if (p->status == KARAT_OK && (p->space.failed || p->held.failed || p->raw.failed))
        p->status = KARAT_ERR_MEMORY;
}

// ---------------------------------------------------------------------------------------------------- flowing text

static size_t visible_size(struct span text)
{
    size_t size = text.size_bytes;
    while (size > 0 && parse_is_space(text.data[size - 1]))
        --size;
    return size;
}

static void release_space(struct parser *p)
{
    report_text(p, text_span(&p->space));
    text_clear(&p->space);
}

// Text of the answer or of a thought.
static void flow(struct parser *p, struct span text)
{
    while (p->skip_space && text.size_bytes > 0 && parse_is_space(text.data[0])) {
        ++text.data;
        --text.size_bytes;
    }
    const size_t visible = visible_size(text);
    if (visible > 0) {
        p->skip_space = false;
        if (p->state == STATE_THOUGHT && !p->block_begun && p->any_thought)
            report_text(p, span_text("\n"));
        release_space(p);
        report_text(p, span_of(text.data, visible));
    }
    text_append(&p->space, text.data + visible, text.size_bytes - visible);
    if (p->space.size_bytes > PARSE_SPACE_BYTES_MAX)
        release_space(p);
}

// Of a block of thought the whitespace at its end is dropped.
static void end_thought(struct parser *p)
{
    p->any_thought |= p->block_begun;
    p->block_begun = false;
    text_clear(&p->space);
    p->state = STATE_TEXT;
    p->skip_space = true;
}

// ---------------------------------------------------------------------------------------------------- held-back text

static bool is_beginning(struct span text, const char *whole)
{
    return text.size_bytes <= strlen(whole) && memcmp(text.data, whole, text.size_bytes) == 0;
}

// Moves bytes of *text to the held ones while these can still become `whole`; true when they have.
static bool hold(struct parser *p, struct span *text, const char *whole)
{
    while (text->size_bytes > 0 && p->held.size_bytes < strlen(whole) &&
           (char)text->data[0] == whole[p->held.size_bytes]) {
        text_append(&p->held, text->data++, 1);
        --text->size_bytes;
    }
    return p->held.size_bytes == strlen(whole);
}

static void flow_held(struct parser *p)
{
    if (p->held.size_bytes > 0)
        flow(p, text_span(&p->held));
    text_clear(&p->held);
}

static void enter_name(struct parser *p)
{
    text_clear(&p->held);
    p->skip_space = false; // the line breaks at the start of a thought are its own
    p->state = STATE_NAME;
}

static void stop(struct parser *p)
{
    text_clear(&p->held);
    p->state = STATE_STOPPED;
}

// The name is complete, or what was held is no name and belongs to the thought.
static void leave_name(struct parser *p)
{
    p->state = STATE_THOUGHT;
    const bool is_name =
        p->held.size_bytes + 1 >= strlen(channel_name) && is_beginning(text_span(&p->held), channel_name);
    if (is_name)
        text_clear(&p->held);
    flow_held(p);
}

static void name_text(struct parser *p, struct span text)
{
    // "thought" with anything but a newline behind it is the beginning of a thought, not its name.
    if (!hold(p, &text, channel_name) && text.size_bytes > 0) {
        p->state = STATE_THOUGHT;
        flow_held(p);
    } else if (text.size_bytes > 0) {
        leave_name(p);
    }
    if (text.size_bytes > 0)
        flow(p, text);
}

static void answer_text(struct parser *p, struct span text)
{
    if (p->first_text) {
        hold(p, &text, channel_name);
        if (text.size_bytes == 0)
            return;
        p->first_text = false;
        flow_held(p);
    }
    flow(p, text);
}

static void header_text_piece(struct parser *p, struct span text)
{
    if (hold(p, &text, header_text)) {
        text_clear(&p->held);
        text_clear(&p->space);
        p->state = STATE_TEXT;
        p->first_text = true;
        if (text.size_bytes > 0)
            answer_text(p, text);
    } else if (text.size_bytes > 0) {
        stop(p);
    }
}

// ---------------------------------------------------------------------------------------------------- calls

static void append_body(struct parser *p, struct span text)
{
    if (text.size_bytes > PARSE_CALL_BYTES_MAX - p->held.size_bytes) {
        p->call_too_long = true;
        return;
    }
    // The byte that stands for the delimiter may not come in as text; any other broken byte makes the call a bad one.
    for (size_t i = 0; i < text.size_bytes; ++i) {
        const char c = (char)text.data[i];
        text_append_char(&p->held, c == PARSE_DELIMITER ? '\xFE' : c);
    }
}

static void report_bad_call(struct parser *p, struct span name, const char *reason)
{
    struct text written = { 0 };
    for (size_t i = 0; i < p->held.size_bytes; ++i) {
        if (p->held.data[i] == PARSE_DELIMITER)
            text_append_string(&written, "<|\"|>");
        else
            text_append_char(&written, p->held.data[i]);
    }
    report(p, &(struct parse_event){
                  .kind = PARSE_EVENT_BAD_CALL, .text = text_span(&written), .name = name, .reason = reason });
    text_free(&written);
}

static void read_body(struct parser *p)
{
    struct arena arena = { 0 };
    struct parse_call call = { 0 };
    struct text arguments = { 0 };
    p->status = parse_call_read(&call, &arena, text_span(&p->held), p->options.tools, NULL);
    if (p->status == KARAT_OK && call.reason) {
        report_bad_call(p, call.name, call.reason);
    } else if (p->status == KARAT_OK) {
        text_append_json(&arguments, call.arguments);
        p->status = arguments.failed ? KARAT_ERR_MEMORY : KARAT_OK;
        ++p->n_calls;
        report(p, &(struct parse_event){ .kind = PARSE_EVENT_CALL, .text = text_span(&arguments), .name = call.name });
    }
    text_free(&arguments);
    arena_free(&arena);
}

static void enter_call(struct parser *p)
{
    text_clear(&p->held);
    text_clear(&p->space);
    p->call_too_long = false;
    p->state = STATE_CALL;
}

static void end_call(struct parser *p)
{
    check_memory(p);
    if (p->status == KARAT_OK && p->call_too_long)
        report_bad_call(p, (struct span){ 0 }, "the call is longer than the parser reads");
    else if (p->status == KARAT_OK)
        read_body(p);
    text_clear(&p->held);
    p->state = STATE_TEXT;
    p->skip_space = true;
}

// ---------------------------------------------------------------------------------------------------- controls

static const char *const control_names[] = {
#define CONTROL_NAME(name, text) [PARSE_##name] = (text),
    PARSE_CONTROL_LIST(CONTROL_NAME)
#undef CONTROL_NAME
};

static void feed_text(struct parser *p, struct span text)
{
    switch (p->state) {
    case STATE_TEXT:
        answer_text(p, text);
        break;
    case STATE_HEADER:
        header_text_piece(p, text);
        break;
    case STATE_NAME:
        name_text(p, text);
        break;
    case STATE_THOUGHT:
        flow(p, text);
        break;
    case STATE_CALL:
        append_body(p, text);
        break;
    case STATE_STOPPED:
        break;
    }
}

static bool is_stop(enum parse_control control)
{
    return control == PARSE_TURN_CLOSE || control == PARSE_RESPONSE_OPEN || control == PARSE_END;
}

static void text_control(struct parser *p, enum parse_control control)
{
    // A bare "thought\n" that is closed right away is an empty thought whose opener the model forgot.
    const bool bare_thought = p->first_text && control == PARSE_CHANNEL_CLOSE && p->held.size_bytes > 0 &&
                              p->held.size_bytes == strlen(channel_name);
    const bool beginning = !p->any_answer && !p->any_thought && p->n_calls == 0 && p->held.size_bytes == 0;
    if (bare_thought)
        text_clear(&p->held);
    flow_held(p);
    p->first_text = false;
    if (is_stop(control) || (control == PARSE_TURN_OPEN && !beginning)) {
        release_space(p);
        stop(p);
    } else if (control == PARSE_TURN_OPEN) {
        p->state = STATE_HEADER;
    } else if (control == PARSE_CHANNEL_OPEN) {
        text_clear(&p->space);
        enter_name(p);
    } else if (control == PARSE_CHANNEL_CLOSE) {
        p->skip_space = true;
    } else if (control == PARSE_CALL_OPEN) {
        enter_call(p);
    } else if (control == PARSE_QUOTE) {
        flow(p, span_text(control_names[control]));
    }
}

static void thought_control(struct parser *p, enum parse_control control)
{
    if (p->state == STATE_NAME && control != PARSE_QUOTE && control != PARSE_CALL_CLOSE && control != PARSE_TURN_OPEN)
        leave_name(p);
    if (is_stop(control)) {
        end_thought(p);
        stop(p);
    } else if (control == PARSE_CHANNEL_OPEN) {
        end_thought(p);
        enter_name(p);
    } else if (control == PARSE_CHANNEL_CLOSE) {
        end_thought(p);
    } else if (control == PARSE_CALL_OPEN) {
        end_thought(p);
        enter_call(p);
    } else {
        feed_text(p, span_text(control_names[control]));
    }
}

static void call_control(struct parser *p, enum parse_control control)
{
    if (control == PARSE_CALL_CLOSE || is_stop(control)) {
        end_call(p);
        if (is_stop(control))
            stop(p);
    } else if (control == PARSE_QUOTE) {
        if (p->held.size_bytes < PARSE_CALL_BYTES_MAX)
            text_append_char(&p->held, PARSE_DELIMITER);
        else
            p->call_too_long = true;
    } else {
        append_body(p, span_text(control_names[control]));
    }
}

static void feed_control(struct parser *p, enum parse_control control)
{
    switch (p->state) {
    case STATE_TEXT:
        text_control(p, control);
        break;
    case STATE_HEADER:
        stop(p);
        break;
    case STATE_NAME:
    case STATE_THOUGHT:
        thought_control(p, control);
        break;
    case STATE_CALL:
        call_control(p, control);
        break;
    case STATE_STOPPED:
        break;
    }
}

enum parse_control parser_control_from_name(struct span name)
{
    for (size_t i = 1; i < COUNT(control_names); ++i)
        if (span_is(name, control_names[i]))
            return (enum parse_control)i;
    return PARSE_NONE;
}

// ---------------------------------------------------------------------------------------------------- the object

enum karat_status parser_create(struct parser **out, const struct parser_options *options, struct karat_error *err)
{
    struct parser *p = *out = calloc(1, sizeof *p);
    if (!p)
        return status_fail(err, KARAT_ERR_MEMORY, "not enough memory for a parser");
    p->options = *options;
    p->state = options->starts_in_thought ? STATE_THOUGHT : STATE_TEXT;
    p->first_text = !options->starts_in_thought;
    return KARAT_OK;
}

void parser_destroy(struct parser *p)
{
    if (!p)
        return;
    text_free(&p->space);
    text_free(&p->held);
    text_free(&p->raw);
    free(p);
}

static enum karat_status result(struct parser *p, struct karat_error *err)
{
    check_memory(p);
    if (p->status == KARAT_OK)
        return KARAT_OK;
    return status_fail(err, p->status,
                       p->status == KARAT_ERR_CANCELLED ? "the reader of the reply has had enough"
                                                        : "not enough memory for parsing a reply");
}

enum karat_status parser_text(struct parser *p, struct span text, struct karat_error *err)
{
    if (p->status == KARAT_OK && text.size_bytes > 0)
        feed_text(p, text);
    return result(p, err);
}

enum karat_status parser_control(struct parser *p, enum parse_control control, struct karat_error *err)
{
    if (p->status == KARAT_OK && control != PARSE_NONE)
        feed_control(p, control);
    return result(p, err);
}

// The control whose name stands at text, PARSE_NONE without one; *partial when the end of text cuts one off.
static enum parse_control match_control(struct span text, bool *partial)
{
    *partial = false;
    for (size_t i = 1; i < COUNT(control_names); ++i) {
        const size_t size = strlen(control_names[i]);
        if (text.size_bytes >= size && memcmp(text.data, control_names[i], size) == 0)
            return (enum parse_control)i;
        *partial |= text.size_bytes < size && memcmp(text.data, control_names[i], text.size_bytes) == 0;
    }
    return PARSE_NONE;
}

// Feeds all of text that is decided; returns how much that was.
static size_t feed_raw(struct parser *p, struct span text)
{
    size_t start = 0;
    for (size_t i = 0; i < text.size_bytes && p->status == KARAT_OK; ++i) {
        bool partial = false;
        if (text.data[i] != '<')
            continue;
        const enum parse_control control = match_control(span_of(text.data + i, text.size_bytes - i), &partial);
        if (control == PARSE_NONE && !partial)
            continue;
        if (i > start)
            feed_text(p, span_of(text.data + start, i - start));
        start = i;
        if (partial && control == PARSE_NONE)
            return start;
        feed_control(p, control);
        start = i + strlen(control_names[control]);
        i = start - 1;
    }
    if (start < text.size_bytes && p->status == KARAT_OK)
        feed_text(p, span_of(text.data + start, text.size_bytes - start));
    return text.size_bytes;
}

enum karat_status parser_raw(struct parser *p, struct span raw, struct karat_error *err)
{
    text_append_span(&p->raw, raw);
    check_memory(p);
    if (p->status == KARAT_OK && p->raw.size_bytes > 0) {
        const size_t used = feed_raw(p, text_span(&p->raw));
        memmove(p->raw.data, p->raw.data + used, p->raw.size_bytes - used);
        p->raw.size_bytes -= used;
    }
    return result(p, err);
}

enum karat_status parser_finish(struct parser *p, struct karat_error *err)
{
    if (p->status == KARAT_OK && p->raw.size_bytes > 0)
        feed_text(p, text_span(&p->raw));
    text_clear(&p->raw);
    check_memory(p);
    if (p->status == KARAT_OK && p->state == STATE_TEXT) {
        flow_held(p);
        release_space(p);
    } else if (p->status == KARAT_OK && p->state == STATE_NAME) {
        leave_name(p);
    } else if (p->status == KARAT_OK && p->state == STATE_CALL) {
        end_call(p);
    }
    stop(p);
    return result(p, err);
}

bool parser_stopped(const struct parser *p)
{
    return p->state == STATE_STOPPED;
}

bool parser_in_thought(const struct parser *p)
{
    return p->state == STATE_THOUGHT || p->state == STATE_NAME;
}

bool parser_thinks(const struct parser *p)
{
    return p->state == STATE_THOUGHT;
}

bool parser_in_call(const struct parser *p)
{
    return p->state == STATE_CALL;
}

size_t parser_n_held(const struct parser *p)
{
    return p->state == STATE_TEXT || p->state == STATE_HEADER ? p->space.size_bytes + p->held.size_bytes : 0;
}

size_t parser_n_calls(const struct parser *p)
{
    return p->n_calls;
}
