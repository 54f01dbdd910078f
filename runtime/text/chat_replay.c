// text/chat_replay.c -- see chat_replay.h.
#include "text/chat_replay.h"

#include "text/chat_writer.h"
#include "text/parse.h"
#include "text/stream.h"

#define NO_MEMORY(err) status_fail(err, KARAT_ERR_MEMORY, "not enough memory for what was sampled")

// ------------------------------------------------------------------------------------------------ the record

// The entry of "sampled" in which this call is, and where. NULL: none.
static const struct json *find_entry(const struct json *sampled, const struct json *id, size_t *at)
{
    for (const struct json *entry = json_is(sampled, JSON_ARRAY) ? sampled->first_child : NULL; entry;
         entry = entry->next) {
        const struct json *ids = json_find(entry, "calls");
        *at = 0;
        for (const struct json *one = json_is(ids, JSON_ARRAY) ? ids->first_child : NULL; one; one = one->next, ++*at)
            if (json_is(one, JSON_STRING) && json_equal(one, id))
                return entry;
    }
    return NULL;
}

static enum karat_status read_ids(struct sampled_part *out, const struct json *tokens, uint32_t n_vocab,
                                  struct arena *arena, struct karat_error *err)
{
    int64_t id = 0;
    size_t n = 0;
    if (!json_is(tokens, JSON_ARRAY))
        return status_fail(err, KARAT_ERR_ARGUMENT, "\"tokens\" in \"sampled\" is %s, expected an array",
                           json_kind_name(tokens));
    uint32_t *ids = arena_alloc(arena, tokens->n_children + 1, sizeof *ids);
    if (!ids)
        return NO_MEMORY(err);
    for (const struct json *token = tokens->first_child; token; token = token->next) {
        if (!json_get_int64(token, &id) || id < 0 || id >= n_vocab)
            return status_fail(err, KARAT_ERR_ARGUMENT,
                               "\"tokens\" in \"sampled\" holds something else than token ids from 0 to %u",
                               n_vocab - 1);
        ids[n++] = (uint32_t)id;
    }
    *out = (struct sampled_part){ ids, n };
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ what it says

struct read_call {
    struct json *arguments;
    struct span name;
    struct sampled_part part;
};

struct reading {
    struct arena *arena;
    struct stream stream;
    char *characters; // [STREAM_OUT_BYTES(longest token)]
    struct text thought, content;
    struct read_call *calls; // [n_calls_max]
    size_t n_calls, n_calls_max;
    bool other; // it holds what a turn with such calls does not
    enum karat_status status;
};

static bool on_event(void *user, const struct parse_event *event)
{
    struct reading *reading = user;
    if (event->kind == PARSE_EVENT_THOUGHT) {
        text_append_span(&reading->thought, event->text);
    } else if (event->kind == PARSE_EVENT_ANSWER) {
        text_append_span(&reading->content, event->text);
    } else if (event->kind == PARSE_EVENT_BAD_CALL || reading->n_calls == reading->n_calls_max) {
        reading->other = true;
    } else {
        struct read_call *call = &reading->calls[reading->n_calls++];
        const char *name = arena_text(reading->arena, (const char *)event->name.data, event->name.size_bytes);
        call->name = span_of(name, name ? event->name.size_bytes : 0);
        reading->status =
            name ? json_parse(&call->arguments, reading->arena, event->text, NULL, NULL) : KARAT_ERR_MEMORY;
    }
    return !reading->other && reading->status == KARAT_OK;
}

static enum parse_control control_of(const struct tokenizer *tokenizer, uint32_t id)
{
    const enum token_type type = tokenizer_type(tokenizer, id);
    return type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED ? parser_control_from_name(tokenizer_name(tokenizer, id))
                                                               : PARSE_NONE;
}

// Controls that a turn may hold before its end. Others could change what the rest of the prompt means.
static bool is_of_a_turn(const struct tokenizer *tokenizer, uint32_t id, enum parse_control control)
{
    static const bool allowed[] = { [PARSE_CHANNEL_OPEN] = true, [PARSE_CHANNEL_CLOSE] = true, [PARSE_CALL_OPEN] = true,
                                    [PARSE_CALL_CLOSE] = true,   [PARSE_QUOTE] = true,         [PARSE_END] = false };
    return control == PARSE_NONE ? tokenizer_type(tokenizer, id) != TOKEN_CONTROL : allowed[control];
}

// As when it was generated: whole characters.
static enum karat_status feed(struct reading *reading, struct parser *parser, const struct tokenizer *tokenizer,
                              uint32_t id)
{
    char *characters = reading->characters;
    const enum parse_control control = control_of(tokenizer, id);
    const size_t n = control == PARSE_NONE ? stream_feed(&reading->stream, tokenizer_text(tokenizer, id), characters)
                                           : stream_finish(&reading->stream, characters);
    const enum karat_status status = parser_text(parser, span_of(characters, n), NULL);
    return status == KARAT_OK ? parser_control(parser, control, NULL) : status;
}

// Reads the tokens of a turn; reading->other where they are none, or do not end with a call.
static enum karat_status read_turn(struct reading *reading, const struct sampled_part *turn,
                                   const struct tokenizer *tokenizer, const struct json *tools, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct parser *parser = NULL;
    size_t opened = 0, ended = 0;
    TRY(parser_create(&parser,
                      &(struct parser_options){
                          .tools = json_is(tools, JSON_ARRAY) ? tools : NULL, .on_event = on_event, .user = reading },
                      err));
    for (size_t i = 0; i < turn->n_ids && !reading->other && status == KARAT_OK; ++i) {
        const size_t n_calls = reading->n_calls;
        const enum parse_control control = control_of(tokenizer, turn->ids[i]);
        if (!is_of_a_turn(tokenizer, turn->ids[i], control)) {
            reading->other = true;
            break;
        }
        if (control == PARSE_CALL_OPEN && !parser_in_call(parser))
            opened = i;
        status = feed(reading, parser, tokenizer, turn->ids[i]);
        if (reading->n_calls > n_calls) {
            ended = i + 1;
            reading->calls[n_calls].part = (struct sampled_part){ turn->ids + opened, ended - opened };
        }
    }
    reading->other = reading->other || ended != turn->n_ids;
    if (reading->other || reading->status == KARAT_ERR_FORMAT)
        status = KARAT_OK; // the reader had enough
    else if (status != KARAT_OK || reading->thought.failed || reading->content.failed)
        status = NO_MEMORY(err);
cleanup:
    parser_destroy(parser);
    return status;
}

// ------------------------------------------------------------------------------------------------ comparing

static bool same_call(const struct read_call *read, const struct json *call)
{
    const struct json *function = json_find(call, "function"), *name = json_find(function, "name");
    return json_is(name, JSON_STRING) && span_equal(name->text, read->name) &&
           json_equal(json_find(function, "arguments"), read->arguments);
}

static bool same_text(const struct text *read, const struct text *said)
{
    return span_equal(chat_trim(text_span(read)), chat_trim(text_span(said)));
}

static bool same_content(const struct reading *reading, const struct json *content)
{
    struct text said = { 0 };
    if (json_is(content, JSON_STRING))
        text_append_span(&said, content->text);
    for (const struct json *part = json_is(content, JSON_ARRAY) ? content->first_child : NULL; part; part = part->next)
        if (json_is(json_find(part, "text"), JSON_STRING))
            text_append_span(&said, json_find(part, "text")->text);
    const bool same = !said.failed && same_text(&reading->content, &said);
    text_free(&said);
    return same;
}

// A thought that a client did not send back is none that it has changed.
static bool same_thought(const struct reading *reading, const struct json *message)
{
    struct text said = { 0 };
    const struct json *thought = json_find(message, "reasoning");
    if (!json_truthy(thought))
        thought = json_find(message, "reasoning_content");
    if (!json_truthy(thought))
        return true;
    if (thought->kind == JSON_STRING)
        text_append_span(&said, thought->text);
    const bool same = thought->kind == JSON_STRING && !said.failed && same_text(&reading->thought, &said);
    text_free(&said);
    return same;
}

static enum karat_status compare(struct sampled_turn *out, const struct json *request, const struct json *message,
                                 const struct json *entry, const struct tokenizer *tokenizer, struct arena *arena,
                                 struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct json *calls = json_find(message, "tool_calls"), *sampled = json_find(request, "sampled");
    struct sampled_part turn = { 0 };
    struct reading reading = { .arena = arena, .n_calls_max = json_find(entry, "calls")->n_children };
    size_t n_same = 0, i = 0, at = 0;
    TRY(read_ids(&turn, json_find(entry, "tokens"), tokenizer_n_tokens(tokenizer), arena, err));
    reading.calls = arena_alloc(arena, reading.n_calls_max, sizeof *reading.calls);
    reading.characters = arena_alloc(arena, STREAM_OUT_BYTES(tokenizer_text_bytes_max(tokenizer)), 1);
    if (!reading.calls || !reading.characters)
        TRY(NO_MEMORY(err));
    TRY(read_turn(&reading, &turn, tokenizer, json_find(request, "tools"), err));
    if (reading.other || reading.n_calls != reading.n_calls_max)
        goto cleanup;
    for (const struct json *call = calls->first_child; call; call = call->next, ++i)
        if (find_entry(sampled, json_find(call, "id"), &at) == entry && same_call(&reading.calls[at], call)) {
            out->calls[i] = reading.calls[at].part;
            n_same += at == i;
        }
    if (n_same == calls->n_children && n_same == reading.n_calls &&
        same_content(&reading, json_find(message, "content")) && same_thought(&reading, message))
        out->whole = turn;
cleanup:
    text_free(&reading.thought);
    text_free(&reading.content);
    return status;
}

enum karat_status chat_find_sampled(struct sampled_turn *out, const struct json *request, const struct json *message,
                                    const struct tokenizer *tokenizer, struct arena *arena, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct json *sampled = json_find(request, "sampled"), *calls = json_find(message, "tool_calls");
    const struct json *before = NULL;
    size_t at = 0;
    *out = (struct sampled_turn){ 0 };
    if (!tokenizer || !json_is(calls, JSON_ARRAY))
        return KARAT_OK;
    out->calls = arena_alloc(arena, calls->n_children + 1, sizeof *out->calls);
    if (!out->calls)
        return NO_MEMORY(err);
    if (json_truthy(sampled) && sampled->kind != JSON_ARRAY)
        return status_fail(err, KARAT_ERR_ARGUMENT, "\"sampled\" is %s, expected an array", json_kind_name(sampled));
    // Clients join turns; most often all calls of a message are of one.
    for (const struct json *call = calls->first_child; call; call = call->next) {
        const struct json *entry = find_entry(sampled, json_find(call, "id"), &at);
        if (entry && entry != before)
            TRY(compare(out, request, message, entry, tokenizer, arena, err));
        before = entry ? entry : before;
    }
cleanup:
    return status;
}
