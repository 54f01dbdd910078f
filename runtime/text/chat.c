// text/chat.c -- a conversation turn by turn, as the publisher's template of 2026-07-09 prints it.
#include "text/chat.h"

#include <stdlib.h>

#include "text/chat_fixes.h"
#include "text/chat_replay.h"
#include "text/chat_writer.h"

struct render {
    struct chat_writer writer;
    const struct chat_options *options;
    const struct json *request;  // as it came
    const struct json *messages; // without a leading system message
    size_t offset;               // of the first of them in the request, for naming
    bool thinking, preserve_thinking, generation_prompt;
    size_t last_user;                                    // index of the last user message, SIZE_MAX without one
    const struct json *previous;                         // the last message that was no tool's
    enum { ENDED_TURN, ENDED_CALL, ENDED_RESULT } ended; // how that message left the model's turn
};

static bool is_role(const struct json *message, const char *role)
{
    return json_is_text(json_find(message, "role"), role);
}

// The members of these messages that exist in the template under either name.
static bool is_model(const struct json *message)
{
    return is_role(message, "assistant") || is_role(message, "model");
}

static const struct json *next_turn(const struct json *message)
{
    do
        message = message->next;
    while (message && is_role(message, "tool"));
    return message;
}

// ---------------------------------------------------------------------------------------------------- content

static const struct {
    const char *type, *control;
} media_types[] = {
    { "image", "<|image|>" },       { "image_url", "<|image|>" }, { "audio", "<|audio|>" },
    { "input_audio", "<|audio|>" }, { "video", "<|video|>" },
};

static bool write_media(struct chat_writer *w, const struct json *part)
{
    const struct json *type = json_find(part, "type");
    for (size_t i = 0; i < COUNT(media_types); ++i)
        if (json_is_text(type, media_types[i].type)) {
            writer_media(w, media_types[i].control, part);
            return true;
        }
    return false;
}

static size_t find(struct span text, const char *needle)
{
    const size_t size = strlen(needle);
    for (size_t i = 0; i + size <= text.size_bytes; ++i)
        if (memcmp(text.data + i, needle, size) == 0)
            return i;
    return SIZE_MAX;
}

// Thoughts that a client left inside the text of an earlier answer: cut at every closing tag, keep of each piece what
// comes before an opening one.
static bool write_without_thoughts(struct chat_writer *w, struct span text)
{
    static const char opener[] = "<|channel>", closer[] = "<channel|>";
    struct text kept = { 0 };
    for (bool last = false; !last;) {
        const size_t end = find(text, closer);
        last = end == SIZE_MAX;
        struct span piece = text;
        if (!last) {
            piece.size_bytes = end;
            text.data += end + strlen(closer);
            text.size_bytes -= end + strlen(closer);
        }
        const size_t cut = find(piece, opener);
        if (cut != SIZE_MAX)
            piece.size_bytes = cut;
        text_append_span(&kept, piece);
    }
    const struct span trimmed = chat_trim(text_span(&kept));
    writer_text(w, trimmed);
    w->run.failed |= kept.failed;
    text_free(&kept);
    return trimmed.size_bytes > 0;
}

static bool write_trimmed(struct chat_writer *w, const struct json *value)
{
    struct text plain = { 0 };
    chat_append_plain(&plain, value);
    const struct span trimmed = chat_trim(text_span(&plain));
    writer_text(w, trimmed);
    w->run.failed |= plain.failed;
    text_free(&plain);
    return trimmed.size_bytes > 0;
}

static enum karat_status write_part(struct render *r, size_t index, const struct json *part, bool model, bool *any)
{
    struct chat_writer *w = &r->writer;
    if (part->kind != JSON_OBJECT)
        return REJECT(w, "messages[%zu]: a part of the content is %s, expected an object", index, json_kind_name(part));
    const struct json *text = json_find(part, "text");
    if (!json_is_text(json_find(part, "type"), "text")) {
        *any |= write_media(w, part);
        return KARAT_OK;
    }
    if (!json_is(text, JSON_STRING) && (model || !w->strict))
        return REJECT(w, "messages[%zu]: the text of a content part is %s, expected a string", index,
                      json_kind_name(text));
    *any |= model ? write_without_thoughts(w, text->text) : write_trimmed(w, text);
    return KARAT_OK;
}

// *any becomes true when something other than whitespace is printed.
static enum karat_status write_content(struct render *r, size_t index, const struct json *message, bool *any)
{
    enum karat_status status = KARAT_OK;
    struct chat_writer *w = &r->writer;
    const struct json *content = json_find(message, "content");
    const bool model = is_model(message);
    *any = false;
    if (json_is(content, JSON_STRING))
        *any = model ? write_without_thoughts(w, content->text) : write_trimmed(w, content);
    if (json_is(content, JSON_OBJECT) && json_truthy(content))
        return REJECT(w, "messages[%zu]: the content is an object, expected text or a list of parts", index);
    if (json_is(content, JSON_ARRAY))
        for (const struct json *part = content->first_child; part; part = part->next)
            TRY(write_part(r, index, part, model, any));
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- system turn

static bool is_system(const struct json *message)
{
    return is_role(message, "system") || is_role(message, "developer");
}

static void write_system_text(struct chat_writer *w, const struct json *content)
{
    if (json_is(content, JSON_STRING))
        writer_text(w, chat_trim(content->text));
    if (json_is(content, JSON_ARRAY) || json_is(content, JSON_OBJECT))
        for (const struct json *part = content->first_child; part; part = part->next) {
            // The template walks over the keys of an object, and a key has no text.
            if (content->kind == JSON_ARRAY)
                write_trimmed(w, json_find(part, "text"));
            writer_string(w, " ");
        }
}

static enum karat_status write_system_turn(struct render *r, const struct json *tools)
{
    enum karat_status status = KARAT_OK;
    struct chat_writer *w = &r->writer;
    const struct json *first = r->messages;
    const bool has_system = is_system(first);
    if (!r->thinking && !json_truthy(tools) && !has_system)
        return KARAT_OK;
    writer_control(w, "<|turn>");
    writer_string(w, "system\n");
    if (r->thinking) {
        writer_control(w, "<|think|>");
        writer_string(w, "\n");
    }
    if (has_system) {
        write_system_text(w, json_find(first, "content"));
        r->messages = first->next;
        r->offset = 1;
    }
    if (json_truthy(tools))
        TRY(chat_write_tools(w, tools));
    writer_control(w, "<turn|>");
    writer_string(w, "\n");
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- model's turn

static bool keeps_thought(const struct render *r, size_t index, const struct json *message)
{
    const bool current = r->last_user == SIZE_MAX || index > r->last_user;
    return current || (r->preserve_thinking && json_truthy(json_find(message, "tool_calls")));
}

static enum karat_status write_thought(struct render *r, size_t index, const struct json *message)
{
    struct chat_writer *w = &r->writer;
    const struct json *thought = json_find(message, "reasoning");
    if (!json_truthy(thought))
        thought = json_find(message, "reasoning_content");
    if (!json_truthy(thought) || !keeps_thought(r, index, message))
        return KARAT_OK;
    if (thought->kind != JSON_STRING)
        return REJECT(w, "messages[%zu]: the reasoning is %s, expected a string", r->offset + index,
                      json_kind_name(thought));
    writer_control(w, "<|channel>");
    writer_string(w, "thought\n");
    writer_text(w, thought->text);
    writer_string(w, "\n");
    writer_control(w, "<channel|>");
    return KARAT_OK;
}

static enum karat_status write_call(struct render *r, size_t index, const struct json *call)
{
    struct chat_writer *w = &r->writer;
    const struct json *function = json_find(call, "function");
    const struct json *name = json_find(function, "name");
    const struct json *arguments = json_find(function, "arguments");
    if (!json_is(name, JSON_STRING))
        return REJECT(w, "messages[%zu]: the function name of a tool call is %s, expected a string", index,
                      json_kind_name(name));
    if (!json_is(arguments, JSON_OBJECT) && !json_is(arguments, JSON_NULL))
        return REJECT(w, "messages[%zu]: the arguments of the call of %.*s are %s, expected an object", index,
                      SPAN_ARGS(name->text), json_kind_name(arguments));
    writer_control(w, "<|tool_call>");
    writer_string(w, "call:");
    writer_text(w, name->text);
    writer_string(w, "{");
    chat_write_members(w, arguments);
    writer_string(w, "}");
    writer_control(w, "<tool_call|>");
    return KARAT_OK;
}

static enum karat_status write_calls(struct render *r, size_t index, const struct json *calls,
                                     const struct sampled_turn *sampled)
{
    enum karat_status status = KARAT_OK;
    if (calls->kind != JSON_ARRAY)
        return REJECT(&r->writer, "messages[%zu]: \"tool_calls\" is %s, expected an array", index,
                      json_kind_name(calls));
    if (calls->n_children > CHAT_CALLS_MAX)
        return REJECT(&r->writer, "messages[%zu]: %zu tool calls, at most %d are rendered", index, calls->n_children,
                      CHAT_CALLS_MAX);
    size_t i = 0;
    for (const struct json *call = calls->first_child; call; call = call->next, ++i) {
        const struct sampled_part none = { 0 }, part = sampled->calls ? sampled->calls[i] : none;
        if (part.n_ids > 0)
            writer_ids(&r->writer, r->options->tokenizer, part.ids, part.n_ids);
        else
            TRY(write_call(r, index, call));
    }
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- results

static void open_result(struct chat_writer *w, struct span name, bool object)
{
    writer_control(w, "<|tool_response>");
    writer_string(w, "response:");
    writer_text(w, name);
    writer_string(w, object ? "{" : "{value:");
}

static void close_result(struct chat_writer *w)
{
    writer_string(w, "}");
    writer_control(w, "<tool_response|>");
}

// value NULL prints what the template prints for a missing response.
static void write_result(struct chat_writer *w, struct span name, const struct json *value)
{
    const bool object = json_is(value, JSON_OBJECT);
    open_result(w, name, object);
    if (object)
        chat_write_members(w, value);
    else if (value)
        chat_write_value(w, value, CHAT_KEYS_BARE);
    else
        writer_string(w, "[]");
    close_result(w);
}

static enum karat_status write_embedded_results(struct render *r, size_t index, const struct json *results)
{
    struct chat_writer *w = &r->writer;
    if (results->kind != JSON_ARRAY)
        return REJECT(w, "messages[%zu]: \"tool_responses\" is %s, expected an array", index, json_kind_name(results));
    for (const struct json *result = results->first_child; result; result = result->next) {
        const struct json *name = json_find(result, "name");
        if (result->kind != JSON_OBJECT || (json_truthy(name) && name->kind != JSON_STRING))
            return REJECT(w, "messages[%zu]: an entry of \"tool_responses\" is no object with a name", index);
        write_result(w, json_truthy(name) ? name->text : span_text("unknown"), json_find(result, "response"));
    }
    return KARAT_OK;
}

static bool same_id(const struct json *a, const struct json *b)
{
    const bool a_missing = !a || a->kind == JSON_NULL, b_missing = !b || b->kind == JSON_NULL;
    return a_missing || b_missing ? a_missing && b_missing : json_equal(a, b);
}

// The name of the last call with the result's id, else the result's own name.
static const struct json *result_name(const struct json *calls, const struct json *result)
{
    static const struct json unknown = { .kind = JSON_STRING, .text = { (const uint8_t *)"unknown", 7 } };
    const struct json *id = json_find(result, "tool_call_id"), *name = json_find(result, "name");
    if (!json_truthy(name))
        name = &unknown;
    for (const struct json *call = calls->first_child; call; call = call->next)
        if (same_id(json_find(call, "id"), id))
            name = json_find(json_find(call, "function"), "name");
    return name;
}

// The texts as one value, the media after it.
static enum karat_status write_result_parts(struct render *r, size_t index, struct span name, const struct json *parts)
{
    struct chat_writer *w = &r->writer;
    for (const struct json *part = parts->first_child; part; part = part->next) {
        const struct json *text = json_find(part, "text");
        if (part->kind != JSON_OBJECT)
            return REJECT(w, "messages[%zu]: a part of the tool result is %s, expected an object", index,
                          json_kind_name(part));
        if (json_is_text(json_find(part, "type"), "text") && !json_is(text, JSON_STRING))
            return REJECT(w, "messages[%zu]: the text of a content part is %s, expected a string", index,
                          json_kind_name(text));
    }
    open_result(w, name, false);
    writer_control(w, "<|\"|>");
    for (const struct json *part = parts->first_child; part; part = part->next)
        if (json_is_text(json_find(part, "type"), "text"))
            chat_write_plain(w, json_find(part, "text"));
    writer_control(w, "<|\"|>");
    close_result(w);
    for (const struct json *part = parts->first_child; part; part = part->next)
        write_media(w, part);
    return KARAT_OK;
}

static enum karat_status write_tool_message(struct render *r, size_t index, const struct json *calls,
                                            const struct json *result)
{
    static const struct json null_value = { .kind = JSON_NULL };
    struct chat_writer *w = &r->writer;
    const struct json *content = json_find(result, "content"), *name_value = result_name(calls, result);
    struct span name = { 0 };
    if (!json_get_string(name_value, &name))
        return REJECT(w, "messages[%zu]: the name of a tool result is %s, expected a string", index,
                      json_kind_name(name_value));
    if (w->strict && json_is(content, JSON_OBJECT) && json_truthy(content))
        return REJECT(w, "messages[%zu]: the content of a tool result is an object, expected text", index);
    if (json_is(content, JSON_ARRAY) || (w->strict && json_is(content, JSON_OBJECT)))
        return write_result_parts(r, index, name, content);
    write_result(w, name, content ? content : &null_value);
    return KARAT_OK;
}

// *answered becomes true when at least one result was printed.
static enum karat_status write_results(struct render *r, size_t index, const struct json *message, bool *answered)
{
    enum karat_status status = KARAT_OK;
    const struct json *embedded = json_find(message, "tool_responses"), *calls = json_find(message, "tool_calls");
    *answered = json_truthy(embedded);
    if (json_truthy(embedded))
        return write_embedded_results(r, index, embedded);
    if (!json_truthy(calls))
        return KARAT_OK;
    size_t n = 0;
    for (const struct json *result = message->next; is_role(result, "tool"); result = result->next) {
        if (++n > CHAT_CALLS_MAX)
            return REJECT(&r->writer, "messages[%zu]: more than %d tool results follow", index, CHAT_CALLS_MAX);
        TRY(write_tool_message(r, index + n, calls, result));
        *answered = true;
    }
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- turns

static void end_turn(struct render *r, const struct json *message, bool answered, bool has_content)
{
    const bool calls = json_truthy(json_find(message, "tool_calls"));
    const struct json *next = next_turn(message);
    bool closed = false;
    if (calls && !answered) {
        writer_control(&r->writer, "<|tool_response>");
    } else if (is_model(message) && is_role(next, "assistant")) {
        // The next message continues this turn.
    } else if (!answered || has_content || next) {
        writer_control(&r->writer, "<turn|>");
        writer_string(&r->writer, "\n");
        closed = true;
    }
    r->ended = answered ? ENDED_RESULT : calls ? ENDED_CALL : ENDED_TURN;
    // The template forgets that an answer after embedded results closes the turn.
    if (closed && !r->writer.strict)
        r->ended = ENDED_TURN;
}

// What the model wrote before the results of its calls.
static enum karat_status write_reply(struct render *r, size_t index, const struct json *message, bool text_first)
{
    enum karat_status status = KARAT_OK;
    struct chat_writer *w = &r->writer;
    const size_t number = r->offset + index;
    const struct json *calls = json_find(message, "tool_calls");
    struct sampled_turn sampled = { 0 };
    bool has_content = false;
    if (!w->strict)
        TRY(chat_find_sampled(&sampled, r->request, message, r->options->tokenizer, &w->prompt->arena, w->err));
    if (sampled.whole.n_ids > 0 && text_first && keeps_thought(r, index, message)) {
        writer_ids(w, r->options->tokenizer, sampled.whole.ids, sampled.whole.n_ids);
        return KARAT_OK;
    }
    TRY(write_thought(r, index, message));
    if (text_first)
        TRY(write_content(r, number, message, &has_content));
    if (json_truthy(calls))
        TRY(write_calls(r, number, calls, &sampled));
cleanup:
    return status;
}

static enum karat_status write_message(struct render *r, size_t index, const struct json *message)
{
    enum karat_status status = KARAT_OK;
    struct chat_writer *w = &r->writer;
    const size_t number = r->offset + index;
    const struct json *role = json_find(message, "role"), *calls = json_find(message, "tool_calls");
    bool answered = false, has_content = false;
    if (!json_is(role, JSON_STRING))
        return REJECT(w, "messages[%zu]: the role is %s, expected a string", number, json_kind_name(role));
    if (!is_model(message) || !is_role(r->previous, "assistant")) {
        writer_control(w, "<|turn>");
        writer_text(w, is_role(message, "assistant") ? span_text("model") : role->text);
        writer_string(w, "\n");
    }
    // The model wrote its text before it called; the template prints it after the results and closes the turn.
    const bool text_first = !w->strict && json_truthy(calls) && !json_truthy(json_find(message, "tool_responses"));
    TRY(write_reply(r, index, message, text_first));
    TRY(write_results(r, number, message, &answered));
    if (!text_first)
        TRY(write_content(r, number, message, &has_content));
    end_turn(r, message, answered, has_content);
    r->previous = message;
cleanup:
    return status;
}

static enum karat_status write_messages(struct render *r)
{
    enum karat_status status = KARAT_OK;
    size_t index = 0;
    r->last_user = SIZE_MAX;
    for (const struct json *message = r->messages; message; message = message->next, ++index) {
        if (message->kind != JSON_OBJECT)
            return REJECT(&r->writer, "messages[%zu] is %s, expected an object", r->offset + index,
                          json_kind_name(message));
        if (is_role(message, "user"))
            r->last_user = index;
    }
    index = 0;
    for (const struct json *message = r->messages; message; message = message->next, ++index)
        if (!is_role(message, "tool"))
            TRY(write_message(r, index, message));
cleanup:
    return status;
}

static void write_empty_thought(struct chat_writer *w)
{
    w->prompt->n_history = writer_mark(w);
    writer_control(w, "<|channel>");
    writer_string(w, "thought\n");
    writer_control(w, "<channel|>");
}

static void write_generation_prompt(struct render *r)
{
    struct chat_writer *w = &r->writer;
    if (r->ended == ENDED_TURN) {
        writer_control(w, "<|turn>");
        writer_string(w, "model\n");
        if (!r->thinking && !r->options->small)
            write_empty_thought(w);
    } else if (r->ended == ENDED_RESULT && r->thinking) {
        w->prompt->n_history = writer_mark(w);
        writer_control(w, "<|channel>");
        writer_string(w, "thought\n");
        w->prompt->starts_in_thought = true;
    } else if (r->ended == ENDED_RESULT && r->options->empty_thought_after_results && !w->strict) {
        write_empty_thought(w);
    }
}

// ---------------------------------------------------------------------------------------------------- the whole

static enum karat_status write_start(struct chat_writer *w, const struct json *bos)
{
    if (!bos || json_is_text(bos, "<bos>"))
        writer_control(w, "<bos>");
    else if (!json_is_text(bos, ""))
        return REJECT(w, "options.bos_token is neither \"<bos>\" nor \"\"");
    return KARAT_OK;
}

// The answer begins with this text, which is in the prompt; it is not trimmed.
static enum karat_status write_begun_answer(struct render *r, const struct json *text)
{
    struct chat_writer *w = &r->writer;
    if (!text || text->kind == JSON_NULL)
        return KARAT_OK;
    if (text->kind != JSON_STRING)
        return REJECT(w, "options.begun_answer is %s, expected a string", json_kind_name(text));
    if (!r->generation_prompt || r->thinking)
        return REJECT(w, "options.begun_answer wants a generation prompt and no thinking");
    writer_text(w, text->text);
    return KARAT_OK;
}

static enum karat_status check_list(struct chat_writer *w, const struct json *value, const char *name)
{
    if (!json_truthy(value) || value->kind == JSON_ARRAY)
        return KARAT_OK;
    return REJECT(w, "\"%s\" is %s, expected an array", name, json_kind_name(value));
}

static enum karat_status render_all(struct render *r, const struct json *request)
{
    enum karat_status status = KARAT_OK;
    struct chat_writer *w = &r->writer;
    const struct json *options = json_find(request, "options");
    const struct json *messages = json_find(request, "messages"), *tools = json_find(request, "tools");
    r->thinking = w->prompt->thinking = json_truthy(json_find(options, "enable_thinking"));
    r->preserve_thinking = json_truthy(json_find(options, "preserve_thinking"));
    r->generation_prompt = json_truthy(json_find(options, "add_generation_prompt"));
    r->messages = messages->first_child;
    TRY(write_start(w, json_find(options, "bos_token")));
    TRY(write_system_turn(r, tools));
    TRY(write_messages(r));
    w->prompt->n_history = SIZE_MAX;
    if (r->generation_prompt)
        write_generation_prompt(r);
    TRY(write_begun_answer(r, json_find(options, "begun_answer")));
    TRY(writer_finish(w));
    if (w->prompt->n_history > w->prompt->n_items)
        w->prompt->n_history = w->prompt->n_items;
cleanup:
    return status;
}

enum karat_status chat_render(struct chat_prompt *out, const struct json *request, const struct chat_options *options,
                              struct karat_error *err)
{
    static const struct chat_options defaults = { 0 };
    enum karat_status status = KARAT_OK;
    struct chat_prompt prompt = { 0 };
    struct render r = { .options = options ? options : &defaults, .request = request };
    *out = (struct chat_prompt){ 0 };
    r.writer = (struct chat_writer){ .prompt = &prompt, .strict = r.options->strict, .err = err };
    r.writer.run.limit_bytes = CHAT_PROMPT_BYTES_MAX;
    if (!json_is(json_find(request, "messages"), JSON_ARRAY))
        return REJECT(&r.writer, "\"messages\" is %s, expected an array",
                      json_kind_name(json_find(request, "messages")));
    TRY(check_list(&r.writer, json_find(request, "tools"), "tools"));
    if (!r.options->strict)
        TRY(chat_fix_request(&request, &prompt.arena, r.options, err));
    TRY(render_all(&r, request));
    *out = prompt;
    prompt = (struct chat_prompt){ 0 };
cleanup:
    text_free(&r.writer.run);
    chat_prompt_free(&prompt);
    return status;
}

void chat_prompt_free(struct chat_prompt *prompt)
{
    free(prompt->items);
    arena_free(&prompt->arena);
    *prompt = (struct chat_prompt){ 0 };
}

void chat_prompt_text(const struct chat_prompt *prompt, struct text *out)
{
    for (size_t i = 0; i < prompt->n_items; ++i)
        text_append_span(out, prompt->items[i].text);
}
