// cli/conversation.c -- the messages so far, and one more answer to them.
#include "cli/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/terminal.h"

enum { TOOL_ROUNDS_MAX = 8 };

void conversation_cut(struct conversation *talk, size_t n_messages)
{
    while (talk->n_messages > n_messages) {
        struct message *last = &talk->messages[--talk->n_messages];
        free(last->json);
        free(last->sampled);
    }
}

void conversation_clear(struct conversation *talk)
{
    conversation_cut(talk, 0);
}

void conversation_free(struct conversation *talk)
{
    conversation_clear(talk);
    free(talk->messages);
    free(talk->system);
    *talk = (struct conversation){ 0 };
}

void conversation_set_system(struct conversation *talk, const char *text)
{
    char *copy = text && *text ? app_memory_copy(text, strlen(text)) : NULL;
    free(talk->system);
    talk->system = copy;
}

// Takes the text and leaves it empty.
static void add_take(struct conversation *talk, struct text *message)
{
    if (talk->n_messages == talk->capacity) {
        talk->capacity = talk->capacity ? talk->capacity * 2 : 16;
        talk->messages = app_memory_resize(talk->messages, talk->capacity, sizeof *talk->messages);
    }
    talk->messages[talk->n_messages++] = (struct message){ .json = app_text_take(message) };
}

static void begin_message(struct text *message, const char *role)
{
    app_text_format(message, "{\"role\": \"%s\"", role);
}

static void add_field(struct text *message, const char *name, const char *value, size_t size)
{
    app_text_format(message, ", \"%s\": ", name);
    app_text_json(message, value, size);
}

void conversation_add_user(struct conversation *talk, const char *text, size_t size)
{
    struct text message = { 0 };
    begin_message(&message, "user");
    add_field(&message, "content", text, size);
    app_text_add(&message, "}");
    add_take(talk, &message);
}

static bool has_role(const char *message, const char *role)
{
    struct json json;
    struct text fault = { 0 };
    bool same = false;
    if (app_json_parse(&json, message, strlen(message), &fault)) {
        same = app_json_equals(&json, app_json_member(&json, 0, "role"), role);
        app_json_free(&json);
    }
    app_text_free(&fault);
    return same;
}

bool conversation_back_to_user(struct conversation *talk)
{
    for (size_t n = talk->n_messages; n > 0; --n)
        if (has_role(talk->messages[n - 1].json, "user")) {
            conversation_cut(talk, n);
            return true;
        }
    return false;
}

// ---------------------------------------------------------------------------------------------------- JSON

void conversation_json(const struct conversation *talk, struct text *out)
{
    app_text_add(out, "[");
    if (talk->system) {
        begin_message(out, "system");
        add_field(out, "content", talk->system, strlen(talk->system));
        app_text_add(out, "}");
    }
    for (size_t i = 0; i < talk->n_messages; ++i) {
        if (i > 0 || talk->system)
            app_text_add(out, ",\n ");
        app_text_add(out, talk->messages[i].json);
    }
    app_text_add(out, "]");
}

static bool is_message(const struct json *json, size_t node)
{
    static const char *const roles[] = { "system", "developer", "user", "assistant", "tool" };
    const size_t role = app_json_member(json, node, "role");
    for (size_t i = 0; i < COUNT(roles); ++i)
        if (app_json_equals(json, role, roles[i]))
            return true;
    return false;
}

static bool load_parsed(struct conversation *talk, const struct json *json, struct text *fault)
{
    size_t index = 0;
    if (!app_json_is(json, 0, JSON_ARRAY)) {
        app_text_add(fault, "expected an array of messages");
        return false;
    }
    for (size_t node = app_json_first(json, 0); node != JSON_NONE; node = app_json_next(json, 0, node), ++index) {
        struct text message = { 0 };
        if (!is_message(json, node)) {
            app_text_format(fault, "message %zu has no role of system, developer, user, assistant or tool", index + 1);
            return false;
        }
        const size_t content = app_json_member(json, node, "content");
        if (index == 0 && app_json_equals(json, app_json_member(json, node, "role"), "system") &&
            app_json_is(json, content, JSON_STRING)) {
            app_json_content(json, content, &message);
            conversation_set_system(talk, app_text_of(&message));
            app_text_free(&message);
            continue;
        }
        app_json_raw(json, node, &message);
        add_take(talk, &message);
    }
    return true;
}

bool conversation_load(struct conversation *talk, const char *text, size_t size, struct text *fault)
{
    struct json json;
    struct conversation loaded = { 0 };
    if (!app_json_parse(&json, text, size, fault))
        return false;
    const bool good = load_parsed(&loaded, &json, fault);
    if (good) {
        conversation_free(talk);
        *talk = loaded;
    } else {
        conversation_free(&loaded);
    }
    app_json_free(&json);
    return good;
}

// ---------------------------------------------------------------------------------------------------- answers

// The calls of a reply come as {"name", "arguments"} or in the API's long form; a history wants the long form with ids.
static void add_calls(struct text *message, const struct json *calls, unsigned first_id)
{
    app_text_add(message, ", \"tool_calls\": [");
    unsigned id = first_id;
    for (size_t call = app_json_first(calls, 0); call != JSON_NONE; call = app_json_next(calls, 0, call)) {
        size_t function = app_json_member(calls, call, "function");
        if (function == JSON_NONE)
            function = call;
        app_text_format(message, "%s{\"id\": \"call_%u\", \"type\": \"function\", \"function\": {\"name\": ",
                        id > first_id ? ", " : "", id);
        app_json_raw(calls, app_json_member(calls, function, "name"), message);
        app_text_add(message, ", \"arguments\": ");
        app_json_raw(calls, app_json_member(calls, function, "arguments"), message);
        app_text_add(message, "}}");
        id++;
    }
    app_text_add(message, "]");
}

static char *write_sampled(const struct karat_reply *reply, size_t n_calls, unsigned first_id)
{
    struct text out = { 0 };
    app_text_add(&out, "{\"calls\": [");
    for (size_t i = 0; i < n_calls; ++i)
        app_text_format(&out, "%s\"call_%u\"", i ? ", " : "", first_id + (unsigned)i);
    app_text_add(&out, "], \"tokens\": [");
    for (size_t i = 0; i < reply->n_sampled; ++i)
        app_text_format(&out, "%s%u", i ? ", " : "", reply->sampled[i]);
    app_text_add(&out, "]}");
    return app_text_take(&out);
}

static void add_reply(struct conversation *talk, const struct karat_reply *reply, const struct json *calls,
                      unsigned first_id)
{
    struct text message = { 0 };
    begin_message(&message, "assistant");
    add_field(&message, "content", reply->content, strlen(reply->content));
    if (reply->thinking[0])
        add_field(&message, "reasoning", reply->thinking, strlen(reply->thinking));
    if (calls)
        add_calls(&message, calls, first_id);
    app_text_add(&message, "}");
    add_take(talk, &message);
    if (calls && reply->n_sampled > 0)
        talk->messages[talk->n_messages - 1].sampled = write_sampled(reply, app_json_count(calls, 0), first_id);
}

static void answer_call(struct conversation *talk, const struct json *calls, size_t call, unsigned id,
                        struct tools *tools, const struct reply_view *view)
{
    size_t function = app_json_member(calls, call, "function");
    if (function == JSON_NONE)
        function = call;
    struct text source = { 0 }, answer = { 0 }, name = { 0 }, message = { 0 };
    app_json_raw(calls, function, &source);
    app_json_content(calls, app_json_member(calls, function, "name"), &name);
    tools_answer(tools, app_text_of(&source), source.size, &answer);
    if (!view->hide_calls)
        fprintf(stderr, "%s  = %s%s\n", terminal_style(stderr, TERMINAL_CALL), app_text_of(&answer),
                terminal_style(stderr, TERMINAL_PLAIN));

    begin_message(&message, "tool");
    app_text_format(&message, ", \"tool_call_id\": \"call_%u\"", id);
    add_field(&message, "name", app_text_of(&name), name.size);
    add_field(&message, "content", app_text_of(&answer), answer.size);
    app_text_add(&message, "}");
    add_take(talk, &message);
    app_text_free(&source);
    app_text_free(&answer);
    app_text_free(&name);
}

// Appends the reply and, where there are tools (else NULL), the answers to its calls. True if the model should go on.
static bool take_turn(struct conversation *talk, const struct karat_reply *reply, struct tools *tools,
                      const struct reply_view *view)
{
    struct json calls;
    struct text fault = { 0 };
    const unsigned first_id = (unsigned)talk->n_messages; // unique within the conversation
    const bool parsed = app_json_parse(&calls, reply->tool_calls, strlen(reply->tool_calls), &fault);
    const bool called = parsed && app_json_first(&calls, 0) != JSON_NONE;
    add_reply(talk, reply, called ? &calls : NULL, first_id);
    unsigned id = first_id;
    if (called && tools)
        for (size_t call = app_json_first(&calls, 0); call != JSON_NONE; call = app_json_next(&calls, 0, call))
            answer_call(talk, &calls, call, id++, tools, view);
    if (parsed)
        app_json_free(&calls);
    app_text_free(&fault);
    return called && tools && !cli_interrupted();
}

static void write_all_sampled(const struct conversation *talk, struct text *out)
{
    app_text_add(out, "[");
    for (size_t i = 0; i < talk->n_messages; ++i)
        if (talk->messages[i].sampled)
            app_text_format(out, "%s%s", out->size > 1 ? ", " : "", talk->messages[i].sampled);
    app_text_add(out, "]");
}

enum karat_status conversation_answer(struct conversation *talk, struct karat_session *session,
                                      struct karat_generate_options *options, struct reply_view *view,
                                      struct tools *tools, struct karat_reply *reply, struct karat_error *err)
{
    const size_t n_before = talk->n_messages;
    enum karat_status status = KARAT_OK;
    options->on_piece = reply_view_piece;
    options->user = view;
    options->tools = tools_declarations(tools);
    for (int round = 0; round < TOOL_ROUNDS_MAX; ++round) {
        struct text messages = { 0 }, sampled = { 0 };
        conversation_json(talk, &messages);
        write_all_sampled(talk, &sampled);
        options->sampled = sampled.data;
        karat_reply_free(reply);
        *reply = (struct karat_reply){ 0 };
        status = karat_chat(session, messages.data, options, reply, err);
        options->sampled = NULL;
        app_text_free(&messages);
        app_text_free(&sampled);
        reply_view_end(view);
        if (status != KARAT_OK && status != KARAT_ERR_CANCELLED) {
            conversation_cut(talk, n_before);
            break;
        }
        const bool finished = status == KARAT_OK && reply->stop != KARAT_STOP_CANCELLED;
        if (!reply->content)
            break; // cancelled before anything was said
        if (!take_turn(talk, reply, options->tools && finished ? tools : NULL, view) || !finished)
            break;
    }
    return status;
}
