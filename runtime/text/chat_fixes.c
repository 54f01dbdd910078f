// text/chat_fixes.c -- messages brought into the form that the template prints without defects.
#include "text/chat_fixes.h"

struct fixer {
    struct arena *arena;
    const struct chat_options *options;
    struct karat_error *err;
    bool generation_prompt;
};

#define REFUSE(f, ...) status_fail((f)->err, KARAT_ERR_ARGUMENT, __VA_ARGS__)

struct json *chat_with_member(struct arena *arena, const struct json *object, const char *key, struct json *value)
{
    struct json *copy = json_new(arena, JSON_OBJECT);
    bool placed = false;
    for (const struct json *member = object->first_child; copy && member; member = member->next) {
        const bool same = !placed && span_is(member->key, key) && (value || *key);
        struct json *child = same ? value : json_copy_shallow(arena, member);
        placed |= same;
        if (same && !value)
            continue;
        if (!child)
            return NULL;
        child->key = member->key;
        json_append(copy, child);
    }
    if (copy && value && !placed) {
        value->key = span_text(key);
        json_append(copy, value);
    }
    return copy;
}

static bool is_role(const struct json *message, const char *role)
{
    return json_is_text(json_find(message, "role"), role);
}

static bool is_system(const struct json *message)
{
    return is_role(message, "system") || is_role(message, "developer");
}

// ---------------------------------------------------------------------------------------------------- system

static enum karat_status append_system_text(struct fixer *f, struct text *out, size_t index, const struct json *message)
{
    const struct json *content = json_find(message, "content");
    if (out->size_bytes > 0 && json_truthy(content))
        text_append_string(out, "\n\n");
    if (json_is(content, JSON_STRING))
        text_append_span(out, content->text);
    if (json_is(content, JSON_ARRAY))
        for (const struct json *part = content->first_child; part; part = part->next) {
            const struct json *text = json_find(part, "text");
            if (!json_is(text, JSON_STRING))
                return REFUSE(f, "messages[%zu]: a system message holds text only", index);
            text_append_span(out, text->text);
            if (part->next)
                text_append_string(out, " ");
        }
    return KARAT_OK;
}

static enum karat_status merge_system(struct fixer *f, struct json **out, const struct json *messages)
{
    enum karat_status status = KARAT_OK;
    struct text merged = { 0 };
    size_t index = 0;
    for (const struct json *message = messages->first_child; message; message = message->next, ++index)
        if (is_system(message))
            TRY(append_system_text(f, &merged, index, message));
    const char *copy = merged.failed ? NULL : arena_text(f->arena, merged.data, merged.size_bytes);
    struct json *system = json_new(f->arena, JSON_OBJECT), *array = json_new(f->arena, JSON_ARRAY);
    struct json *role = json_new_string(f->arena, span_text("system"));
    struct json *content = json_new_string(f->arena, span_of(copy, merged.size_bytes));
    if (!copy || !system || !array || !role || !content) {
        status = CHAT_NO_MEMORY(f->err);
        goto cleanup;
    }
    role->key = span_text("role");
    content->key = span_text("content");
    json_append(system, role);
    json_append(system, content);
    json_append(array, system);
    *out = array;
cleanup:
    text_free(&merged);
    return status;
}

static bool has_late_system(const struct json *messages)
{
    const struct json *first = messages->first_child;
    for (const struct json *message = first; message; message = message->next)
        if (message != first && is_system(message))
            return true;
    return false;
}

// ---------------------------------------------------------------------------------------------------- calls

// Arguments as OpenAI's clients send them: the JSON text of an object.
static enum karat_status read_arguments(struct fixer *f, struct json **out, size_t index, struct span name,
                                        const struct json *arguments)
{
    *out = NULL;
    if (!arguments || arguments->kind == JSON_NULL || (arguments->kind == JSON_STRING && !json_truthy(arguments))) {
        *out = json_new(f->arena, JSON_OBJECT);
        return *out ? KARAT_OK : CHAT_NO_MEMORY(f->err);
    }
    if (arguments->kind == JSON_STRING) {
        const enum karat_status status = json_parse(out, f->arena, arguments->text, NULL, f->err);
        if (status == KARAT_ERR_MEMORY)
            return status;
        if (status != KARAT_OK)
            return status_context(f->err, KARAT_ERR_ARGUMENT, "messages[%zu]: the arguments of the call of %.*s", index,
                                  SPAN_ARGS(name));
    } else if (!(*out = json_copy_shallow(f->arena, arguments))) {
        return CHAT_NO_MEMORY(f->err);
    }
    if ((*out)->kind != JSON_OBJECT)
        return REFUSE(f, "messages[%zu]: the arguments of the call of %.*s are %s, expected an object", index,
                      SPAN_ARGS(name), json_kind_name(*out));
    return KARAT_OK;
}

static enum karat_status fix_call(struct fixer *f, struct json **out, size_t index, const struct json *call)
{
    enum karat_status status = KARAT_OK;
    const struct json *function = json_find(call, "function"), *name = json_find(function, "name");
    struct json *arguments = NULL;
    if (!json_is(name, JSON_STRING) || !json_truthy(name))
        return REFUSE(f, "messages[%zu]: the function name of a tool call is %s, expected a string with characters",
                      index, json_is(name, JSON_STRING) ? "empty" : json_kind_name(name));
    TRY(read_arguments(f, &arguments, index, name->text, json_find(function, "arguments")));
    struct json *fixed = chat_with_member(f->arena, function, "arguments", arguments);
    *out = fixed ? chat_with_member(f->arena, call, "function", fixed) : NULL;
    if (!*out)
        status = CHAT_NO_MEMORY(f->err);
cleanup:
    return status;
}

static enum karat_status fix_calls(struct fixer *f, struct json **message, size_t index)
{
    enum karat_status status = KARAT_OK;
    const struct json *calls = json_find(*message, "tool_calls");
    if (!json_truthy(calls))
        return KARAT_OK;
    if (calls->kind != JSON_ARRAY)
        return REFUSE(f, "messages[%zu]: \"tool_calls\" is %s, expected an array", index, json_kind_name(calls));
    struct json *fixed = json_new(f->arena, JSON_ARRAY);
    if (!fixed)
        return CHAT_NO_MEMORY(f->err);
    for (const struct json *call = calls->first_child; call; call = call->next) {
        struct json *copy = NULL;
        TRY(fix_call(f, &copy, index, call));
        json_append(fixed, copy);
    }
    *message = chat_with_member(f->arena, *message, "tool_calls", fixed);
    if (!*message)
        status = CHAT_NO_MEMORY(f->err);
cleanup:
    return status;
}

// ---------------------------------------------------------------------------------------------------- results

static const struct json *id_of(const struct json *value, const char *key)
{
    const struct json *id = json_find(value, key);
    return json_is(id, JSON_NULL) ? NULL : id;
}

static bool is_answered(const struct json *call, const struct json *results)
{
    const struct json *id = id_of(call, "id");
    for (const struct json *result = results; is_role(result, "tool"); result = result->next) {
        const struct json *answers = id_of(result, "tool_call_id");
        // Without ids, the number of results decides.
        if (!answers || !id || json_equal(id, answers))
            return true;
    }
    return false;
}

// The template leaves the turn open after a call without result, and the model would have to invent one.
static enum karat_status check_answered(struct fixer *f, size_t index, const struct json *message)
{
    const struct json *calls = json_find(message, "tool_calls");
    if (!json_is(calls, JSON_ARRAY) || !json_truthy(calls) || json_truthy(json_find(message, "tool_responses")))
        return KARAT_OK;
    if (!message->next && !f->generation_prompt)
        return KARAT_OK;
    size_t n_results = 0;
    for (const struct json *result = message->next; is_role(result, "tool"); result = result->next)
        ++n_results;
    if (calls->n_children > CHAT_CALLS_MAX || n_results > CHAT_CALLS_MAX)
        return REFUSE(f, "messages[%zu]: %zu tool calls with %zu results, at most %d are rendered", index,
                      calls->n_children, n_results, CHAT_CALLS_MAX);
    for (const struct json *call = calls->first_child; call; call = call->next) {
        const struct json *name = json_find(json_find(call, "function"), "name");
        if (!is_answered(call, message->next))
            return REFUSE(f, "messages[%zu]: the call of %.*s has no result", index,
                          SPAN_ARGS(json_is(name, JSON_STRING) ? name->text : span_text("a tool")));
    }
    if (n_results < calls->n_children)
        return REFUSE(f, "messages[%zu]: %zu tool calls have only %zu results", index, calls->n_children, n_results);
    return KARAT_OK;
}

static bool set_id(struct fixer *f, struct json **object, const char *key, size_t number)
{
    struct text text = { 0 };
    text_append_format(&text, "call %zu", number);
    const char *copy = text.failed ? NULL : arena_text(f->arena, text.data, text.size_bytes);
    struct json *id = copy ? json_new_string(f->arena, span_of(copy, text.size_bytes)) : NULL;
    text_free(&text);
    *object = id ? chat_with_member(f->arena, *object, key, id) : NULL;
    return *object != NULL;
}

static bool lacks_ids(const struct json *message, size_t *n_calls)
{
    size_t n_results = 0;
    const struct json *calls = json_find(message, "tool_calls");
    *n_calls = json_is(calls, JSON_ARRAY) ? calls->n_children : 0;
    for (const struct json *call = *n_calls ? calls->first_child : NULL; call; call = call->next)
        if (id_of(call, "id"))
            return false;
    for (const struct json *result = message->next; is_role(result, "tool"); result = result->next, ++n_results)
        if (id_of(result, "tool_call_id"))
            return false;
    return *n_calls > 1 && n_results == *n_calls;
}

// Several calls and as many results, all without ids: the template would give every result the name of the last call.
static enum karat_status number_calls(struct fixer *f, struct json **message)
{
    const struct json *calls = json_find(*message, "tool_calls");
    struct json *numbered = json_new(f->arena, JSON_ARRAY);
    size_t number = 0;
    for (const struct json *call = calls->first_child; numbered && call; call = call->next, ++number) {
        struct json *copy = json_copy_shallow(f->arena, call);
        if (!copy || !set_id(f, &copy, "id", number))
            return CHAT_NO_MEMORY(f->err);
        json_append(numbered, copy);
    }
    *message = numbered ? chat_with_member(f->arena, *message, "tool_calls", numbered) : NULL;
    return *message ? KARAT_OK : CHAT_NO_MEMORY(f->err);
}

// A tool's text that is a JSON object becomes one; anything else stays as it is.
static enum karat_status structure_result(struct fixer *f, struct json **message)
{
    const struct json *content = json_find(*message, "content");
    struct json *value = NULL;
    if (!f->options->structured_results || !json_is(content, JSON_STRING))
        return KARAT_OK;
    const enum karat_status status = json_parse(&value, f->arena, content->text, NULL, NULL);
    if (status == KARAT_ERR_MEMORY || status == KARAT_OK)
        if (status == KARAT_ERR_MEMORY ||
            (json_is(value, JSON_OBJECT) && !(*message = chat_with_member(f->arena, *message, "content", value))))
            return CHAT_NO_MEMORY(f->err);
    return KARAT_OK;
}

// ---------------------------------------------------------------------------------------------------- messages

static const char *const roles[] = { "system", "developer", "user", "assistant", "model", "tool" };
static const char *const part_types[] = { "text", "image", "image_url", "audio", "input_audio", "video" };

static bool is_one_of(const struct json *value, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; ++i)
        if (json_is_text(value, texts[i]))
            return true;
    return false;
}

// The template would make a turn of any role, which the model was never shown.
static enum karat_status check_role(struct fixer *f, size_t index, const struct json *message)
{
    const struct json *role = json_find(message, "role");
    struct span name = { 0 };
    if (is_one_of(role, roles, COUNT(roles)))
        return KARAT_OK;
    if (json_get_string(role, &name))
        return REFUSE(f, "messages[%zu]: the role is \"%.*s\", expected system, developer, user, assistant or tool",
                      index, SPAN_ARGS(name));
    return REFUSE(f, "messages[%zu]: the role is %s, expected text", index, json_kind_name(role));
}

// The template would drop a part it does not know without a word.
static enum karat_status check_parts(struct fixer *f, size_t index, const struct json *content)
{
    for (const struct json *part = content->first_child; part; part = part->next) {
        const struct json *type = json_find(part, "type");
        struct span name = { 0 };
        if (is_one_of(type, part_types, COUNT(part_types)))
            continue;
        if (json_get_string(type, &name))
            return REFUSE(f, "messages[%zu]: a content part has the type \"%.*s\", which is not known", index,
                          SPAN_ARGS(name));
        return REFUSE(f, "messages[%zu]: the type of a content part is %s, expected text", index, json_kind_name(type));
    }
    return KARAT_OK;
}

static enum karat_status check_content(struct fixer *f, size_t index, const struct json *message)
{
    const struct json *content = json_find(message, "content");
    if (json_is(content, JSON_ARRAY))
        return check_parts(f, index, content);
    if (is_role(message, "tool") || !content || content->kind == JSON_NULL || content->kind == JSON_STRING)
        return KARAT_OK;
    return REFUSE(f, "messages[%zu]: the content is %s, expected text or a list of parts", index,
                  json_kind_name(content));
}

struct numbering {
    size_t n_calls, next; // results that are still to be numbered are next .. n_calls
};

static enum karat_status fix_message(struct fixer *f, struct json **out, size_t index, const struct json *message,
                                     struct numbering *numbering)
{
    enum karat_status status = KARAT_OK;
    struct json *fixed = json_copy_shallow(f->arena, message);
    size_t n_calls = 0;
    if (!fixed)
        return CHAT_NO_MEMORY(f->err);
    TRY(check_role(f, index, message));
    if (is_role(message, "tool")) {
        TRY(structure_result(f, &fixed));
        if (numbering->next < numbering->n_calls && !set_id(f, &fixed, "tool_call_id", numbering->next++))
            status = CHAT_NO_MEMORY(f->err);
        *out = fixed;
        return status;
    }
    *numbering = (struct numbering){ 0 };
    TRY(check_content(f, index, message));
    TRY(check_answered(f, index, message));
    TRY(fix_calls(f, &fixed, index));
    if (lacks_ids(message, &n_calls)) {
        TRY(number_calls(f, &fixed));
        numbering->n_calls = n_calls;
    }
    *out = fixed;
cleanup:
    return status;
}

static enum karat_status fix_messages(struct fixer *f, struct json **out, const struct json *messages)
{
    enum karat_status status = KARAT_OK;
    const bool merged = has_late_system(messages);
    struct numbering numbering = { 0 };
    struct json *fixed = json_new(f->arena, JSON_ARRAY);
    size_t index = 0;
    if (!fixed)
        return CHAT_NO_MEMORY(f->err);
    if (merged)
        TRY(merge_system(f, &fixed, messages));
    for (const struct json *message = messages->first_child; message; message = message->next, ++index) {
        struct json *copy = NULL;
        if (message->kind != JSON_OBJECT)
            return REFUSE(f, "messages[%zu] is %s, expected an object", index, json_kind_name(message));
        if (merged && is_system(message))
            continue;
        TRY(fix_message(f, &copy, index, message, &numbering));
        json_append(fixed, copy);
    }
    *out = fixed;
cleanup:
    return status;
}

static enum karat_status fix_tools(struct fixer *f, struct json **out, const struct json *tools)
{
    enum karat_status status = KARAT_OK;
    struct json *fixed = *out = json_new(f->arena, JSON_ARRAY);
    size_t index = 0;
    if (!fixed)
        return CHAT_NO_MEMORY(f->err);
    for (const struct json *tool = tools->first_child; tool; tool = tool->next, ++index) {
        struct json *copy = NULL;
        TRY(chat_fix_tool(&copy, f->arena, tool, index, f->err));
        json_append(fixed, copy);
    }
cleanup:
    return status;
}

enum karat_status chat_fix_request(const struct json **request, struct arena *arena, const struct chat_options *options,
                                   struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct fixer f = { .arena = arena, .options = options, .err = err };
    const struct json *tools = json_find(*request, "tools");
    struct json *messages = NULL, *fixed_tools = NULL;
    f.generation_prompt = json_truthy(json_find(json_find(*request, "options"), "add_generation_prompt"));
    TRY(fix_messages(&f, &messages, json_find(*request, "messages")));
    struct json *fixed = chat_with_member(arena, *request, "messages", messages);
    if (fixed && json_truthy(tools)) {
        TRY(fix_tools(&f, &fixed_tools, tools));
        fixed = chat_with_member(arena, fixed, "tools", fixed_tools);
    }
    if (!fixed)
        status = CHAT_NO_MEMORY(err);
    *request = fixed;
cleanup:
    return status;
}
