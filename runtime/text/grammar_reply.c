// text/grammar_reply.c -- a whole turn: [thought] ( answer | [text] calls ).
#include <stdio.h>

#include "text/grammar_schema.h"

struct turn {
    struct grammar_builder builder;
    struct arena arena;
    const struct grammar_reply *reply;
    struct karat_error *err;
    uint32_t any_char; // rule
};

// Text of any length, empty included.
static uint32_t add_any_text(struct turn *t, uint32_t next)
{
    if (t->any_char == NODE_DEAD)
        t->any_char = grammar_add_any_char(&t->builder, SPELL_RAW, NODE_RETURN);
    return grammar_add_repeat(&t->builder, t->any_char, 0, REPEAT_FOREVER, next);
}

static uint32_t add_thought(struct turn *t, uint32_t next)
{
    const uint32_t inside = add_any_text(t, grammar_add_token(&t->builder, PARSE_CHANNEL_CLOSE, next));
    if (t->reply->starts_in_thought)
        return inside;
    return grammar_add_either(&t->builder, grammar_add_token(&t->builder, PARSE_CHANNEL_OPEN, inside), next);
}

// ------------------------------------------------------------------------------------------------ the answer

static enum karat_status add_schema_answer(struct turn *t, uint32_t *start)
{
    struct json *schema = NULL;
    const struct json_limits limits = { .size_bytes_max = SCHEMA_BYTES_MAX };
    const enum karat_status status = json_parse(&schema, &t->arena, t->reply->schema, &limits, t->err);
    if (status != KARAT_OK)
        return status_context(t->err, status, "the schema");
    return grammar_add_schema(&t->builder, schema, DIALECT_JSON, "the schema", NODE_END, start, t->err);
}

static enum karat_status add_answer(struct turn *t, uint32_t *start)
{
    if (t->reply->schema.size_bytes > 0 && t->reply->gbnf.size_bytes > 0)
        return status_fail(t->err, KARAT_ERR_ARGUMENT, "an answer follows a schema or a grammar, not both");
    if (t->reply->schema.size_bytes > 0)
        return add_schema_answer(t, start);
    if (t->reply->gbnf.size_bytes > 0)
        return grammar_add_gbnf(&t->builder, t->reply->gbnf, NODE_END, start, t->err);
    *start = add_any_text(t, NODE_END);
    return KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ calls

// {name{arguments}<tool_call|>, after "call:".
static enum karat_status add_tool(struct turn *t, const struct json *function, uint32_t next, uint32_t *start)
{
    const struct json *parameters = json_find(function, "parameters");
    const struct span name = json_find(function, "name")->text;
    const bool strict = t->reply->strict || json_truthy(json_find(function, "strict"));
    uint32_t arguments = NODE_DEAD;
    char what[96];
    snprintf(what, sizeof what, "the schema of the tool %.*s", name.size_bytes < 60 ? (int)name.size_bytes : 60,
             (const char *)name.data);
    if (strict && json_is(parameters, JSON_OBJECT) && parameters->n_children > 0) {
        const enum karat_status status =
            grammar_add_schema(&t->builder, parameters, DIALECT_CALL, what, next, &arguments, t->err);
        if (status != KARAT_OK)
            return status;
    } else {
        arguments = grammar_add_any_object(&t->builder, DIALECT_CALL, next);
    }
    *start = grammar_add_text(&t->builder, name, arguments);
    return KARAT_OK;
}

// All calls that may be made, up to and with <tool_call|>; at least one tool.
static enum karat_status add_tools(struct turn *t, uint32_t next, uint32_t *start)
{
    enum karat_status status = KARAT_OK;
    const struct span wanted = t->reply->tool;
    size_t n = 0;
    *start = NODE_DEAD;
    for (const struct json *tool = t->reply->tools->first_child; tool; tool = tool->next) {
        const struct json *function = json_find(tool, "function") ? json_find(tool, "function") : tool;
        const struct json *name = json_find(function, "name");
        uint32_t one = NODE_DEAD;
        if (!json_is(name, JSON_STRING) || name->text.size_bytes == 0 ||
            memchr(name->text.data, '{', name->text.size_bytes))
            return status_fail(t->err, KARAT_ERR_ARGUMENT, "tool %zu has no name that can be called", n);
        ++n;
        if (wanted.size_bytes > 0 && !span_equal(wanted, name->text))
            continue;
        TRY(add_tool(t, function, next, &one));
        *start = grammar_add_either(&t->builder, *start, one);
    }
    if (*start == NODE_DEAD && wanted.size_bytes > 0)
        TRY(status_fail(t->err, KARAT_ERR_ARGUMENT, "the tool %.*s is to be called, but it is not declared",
                        SPAN_ARGS(wanted)));
cleanup:
    return status;
}

// Calls one after the other, then the end.
static enum karat_status add_calls(struct turn *t, uint32_t *start)
{
    struct grammar_builder *b = &t->builder;
    uint32_t names = NODE_DEAD;
    const enum karat_status status = add_tools(t, grammar_add_token(b, PARSE_CALL_CLOSE, NODE_RETURN), &names);
    if (status != KARAT_OK)
        return status;
    const uint32_t call = grammar_add_token(b, PARSE_CALL_OPEN, grammar_add_text(b, span_text("call:"), names));
    *start = grammar_add_repeat(b, call, 1, t->reply->one_call ? 1 : REPEAT_FOREVER, NODE_END);
    return KARAT_OK;
}

static enum karat_status add_turn(struct turn *t, uint32_t *start)
{
    enum karat_status status = KARAT_OK;
    const struct grammar_reply *reply = t->reply;
    const bool has_tools = json_is(reply->tools, JSON_ARRAY) && reply->tools->n_children > 0;
    const bool free_answer = reply->schema.size_bytes == 0 && reply->gbnf.size_bytes == 0;
    uint32_t answer = NODE_DEAD, calls = NODE_DEAD;
    if (reply->calls == GRAMMAR_CALLS_REQUIRED && !has_tools)
        return status_fail(t->err, KARAT_ERR_ARGUMENT, "a call is required, but no tools are declared");
    if (reply->calls != GRAMMAR_CALLS_NONE && has_tools)
        TRY(add_calls(t, &calls));
    if (reply->calls != GRAMMAR_CALLS_REQUIRED || !has_tools)
        TRY(add_answer(t, &answer));
    // Words may come before a call where the answer is free.
    if (free_answer && answer != NODE_DEAD && calls != NODE_DEAD)
        answer = add_any_text(t, grammar_add_either(&t->builder, calls, NODE_END));
    else
        answer = grammar_add_either(&t->builder, answer, calls);
    *start = reply->may_think || reply->starts_in_thought ? add_thought(t, answer) : answer;
cleanup:
    return status;
}

// ------------------------------------------------------------------------------------------------ the whole

static enum karat_status explain(const struct grammar_reply *reply, enum grammar_fault fault, struct karat_error *err)
{
    const char *what = reply->gbnf.size_bytes > 0 ? "the grammar" : "the schema";
    switch (fault) {
    case GRAMMAR_FAULT_NONE:
        break;
    case GRAMMAR_FAULT_LEFT_RECURSION:
        return status_fail(err, KARAT_ERR_FORMAT, "%s has a rule that begins with itself", what);
    case GRAMMAR_FAULT_NOTHING:
        return status_fail(err, KARAT_ERR_FORMAT, "no text satisfies %s: every way through it is without end", what);
    case GRAMMAR_FAULT_EMPTY_REPEAT:
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "%s repeats something that may be empty more than 64 times",
                           what);
    }
    return KARAT_OK;
}

enum karat_status grammar_from_reply(struct grammar **out, const struct grammar_reply *reply, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    enum grammar_fault fault = GRAMMAR_FAULT_NONE;
    struct turn t = { .reply = reply, .err = err };
    uint32_t start = NODE_DEAD, node = NODE_DEAD;
    *out = NULL;
    TRY(grammar_builder_begin(&t.builder, err));
    TRY(add_turn(&t, &start));
    TRY(grammar_builder_finish(&t.builder, start, reply->gbnf.size_bytes > 0 ? "the grammar" : "the schema", out,
                               &fault, &node, err));
    TRY(explain(reply, fault, err));
cleanup:
    grammar_builder_free(&t.builder);
    arena_free(&t.arena);
    return status;
}
