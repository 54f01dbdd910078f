// common/mcp.c -- tools of other programs, by the Model Context Protocol.
#include "common/mcp.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/json.h"
#include "common/platform.h"
#include "common/process.h"

// A newer server answers with the version that it would rather speak. What is used here is the same in all of them.
#define PROTOCOL "2025-06-18"
#define START_MS 60000u // some fetch themselves first
#define CALL_MS 120000u
#define PAGES_MAX 100
#define TOOLS_MAX 512

struct server {
    char *name;
    struct process *process;
    unsigned long long last_id;
};

struct tool {
    char *name;        // as the model knows it
    char *asked;       // as the server does
    char *declaration; // {"description"?, "parameters"} without its braces
    size_t server;
};

struct mcp {
    struct server *servers;
    size_t n_servers;
    struct tool *tools;
    size_t n_tools;
    struct text declarations;
};

// ---------------------------------------------------------------------------------------------------- messages

static bool fail(struct text *fault, const struct server *server, const char *what)
{
    const char *words = process_last_words(server->process);
    app_text_clear(fault);
    app_text_format(fault, "the tool server %s %s%s%s%s", server->name, what, *words ? " (it said: " : "", words,
                    *words ? ")" : "");
    return false;
}

static bool send(struct server *server, const struct text *message, struct text *fault)
{
    return process_write(server->process, message->data, message->size) ||
           fail(fault, server, "takes no more requests");
}

// What a server may ask of us: whether we are there. It is told that we can do nothing else.
static bool answer_request(struct server *server, const struct json *json, size_t method, size_t id, struct text *fault)
{
    struct text message = { 0 };
    app_text_add(&message, "{\"jsonrpc\":\"2.0\",\"id\":");
    app_json_raw(json, id, &message);
    app_text_add(&message, app_json_equals(json, method, "ping")
                               ? ",\"result\":{}}\n"
                               : ",\"error\":{\"code\":-32601,\"message\":\"not supported\"}}\n");
    const bool ok = send(server, &message, fault);
    app_text_free(&message);
    return ok;
}

enum heard { HEARD_ANSWER, HEARD_OTHER, HEARD_FAULT };

// Looks at one line: the answer to request `id`, whose source is kept in *line and parsed in *json, or something else.
static enum heard hear(struct server *server, unsigned long long id, struct text *line, struct json *json,
                       struct text *fault)
{
    if (!app_json_parse(json, app_text_of(line), line->size, fault)) {
        fail(fault, server, "says what is no JSON");
        return HEARD_FAULT;
    }
    const size_t method = app_json_member(json, 0, "method"), said_id = app_json_member(json, 0, "id");
    enum heard heard = HEARD_OTHER;
    if (method != JSON_NONE && said_id != JSON_NONE)
        heard = answer_request(server, json, method, said_id, fault) ? HEARD_OTHER : HEARD_FAULT;
    else if (method == JSON_NONE && app_json_is(json, said_id, JSON_NUMBER) &&
             app_json_number(json, said_id) == (double)id)
        heard = HEARD_ANSWER;
    if (heard != HEARD_ANSWER)
        app_json_free(json);
    return heard;
}

// Tells the server that nobody waits for the answer any more.
static void cancel(struct server *server, unsigned long long id)
{
    struct text message = { 0 }, fault = { 0 };
    app_text_format(
        &message, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%llu}}\n", id);
    send(server, &message, &fault);
    app_text_free(&message);
    app_text_free(&fault);
}

static bool wait_for(struct server *server, unsigned long long id, unsigned timeout_ms, bool (*stop)(void),
                     struct text *line, struct json *json, struct text *fault)
{
    static const char *const reasons[] = {
        [PROCESS_ENDED] = "ended",
        [PROCESS_LATE] = "does not answer",
        [PROCESS_STOPPED] = "was not waited for",
        [PROCESS_TOO_LONG] = "answers without end",
    };
    const unsigned long long start_ms = platform_clock_ns() / 1000000u;
    for (;;) {
        const unsigned long long past_ms = platform_clock_ns() / 1000000u - start_ms;
        const enum process_read read =
            process_read_line(server->process, line, past_ms < timeout_ms ? timeout_ms - (unsigned)past_ms : 0, stop);
        if (read != PROCESS_LINE) {
            if (read != PROCESS_ENDED)
                cancel(server, id);
            return fail(fault, server, reasons[read]);
        }
        const enum heard heard = line->size == 0 ? HEARD_OTHER : hear(server, id, line, json, fault);
        if (heard != HEARD_OTHER)
            return heard == HEARD_ANSWER;
    }
}

// Asks and waits. On success *json holds the answer, whose source is *line; both are the caller's to free. params is a
// JSON object.
static bool ask(struct server *server, const char *method, const char *params, unsigned timeout_ms, bool (*stop)(void),
                struct text *line, struct json *json, struct text *fault)
{
    struct text message = { 0 };
    const unsigned long long id = ++server->last_id;
    app_text_format(&message, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\",\"params\":%s}\n", id, method,
                    params);
    const bool ok = send(server, &message, fault) && wait_for(server, id, timeout_ms, stop, line, json, fault);
    app_text_free(&message);
    if (!ok)
        return false;
    const size_t error = app_json_member(json, 0, "error");
    if (error == JSON_NONE)
        return true;
    struct text said = { 0 };
    app_text_add(&said, "refuses: ");
    app_json_content(json, app_json_member(json, error, "message"), &said);
    fail(fault, server, said.data);
    app_text_free(&said);
    app_json_free(json);
    return false;
}

// ---------------------------------------------------------------------------------------------------- tools

static char *copy_of(const struct json *json, size_t node)
{
    struct text text = { 0 };
    app_json_content(json, node, &text);
    return app_text_take(&text);
}

static char *declaration_of(const struct json *json, size_t tool)
{
    struct text text = { 0 };
    const size_t description = app_json_member(json, tool, "description");
    const size_t schema = app_json_member(json, tool, "inputSchema");
    if (app_json_is(json, description, JSON_STRING)) {
        app_text_add(&text, "\"description\":");
        app_json_raw(json, description, &text);
        app_text_add(&text, ",");
    }
    app_text_add(&text, "\"parameters\":");
    if (app_json_is(json, schema, JSON_OBJECT))
        app_json_raw(json, schema, &text);
    else
        app_text_add(&text, "{\"type\":\"object\"}");
    return app_text_take(&text);
}

static bool add_tools(struct mcp *mcp, size_t server, const struct json *json, struct text *fault)
{
    const size_t list = app_json_member(json, app_json_member(json, 0, "result"), "tools");
    if (!app_json_is(json, list, JSON_ARRAY))
        return fail(fault, &mcp->servers[server], "lists no tools");
    for (size_t tool = app_json_first(json, list); tool != JSON_NONE; tool = app_json_next(json, list, tool)) {
        const size_t name = app_json_member(json, tool, "name");
        if (!app_json_is(json, name, JSON_STRING) || mcp->n_tools == TOOLS_MAX)
            return fail(fault, &mcp->servers[server],
                        mcp->n_tools == TOOLS_MAX ? "has more tools than the 512 that are kept"
                                                  : "has a tool without a name");
        mcp->tools = app_memory_resize(mcp->tools, mcp->n_tools + 1, sizeof *mcp->tools);
        mcp->tools[mcp->n_tools++] = (struct tool){
            .asked = copy_of(json, name),
            .declaration = declaration_of(json, tool),
            .server = server,
        };
    }
    return true;
}

// The list may come in pages.
static bool list_tools(struct mcp *mcp, size_t server, bool (*stop)(void), struct text *fault)
{
    struct text params = { 0 }, line = { 0 };
    bool ok = true, more = true;
    app_text_add(&params, "{}");
    for (int page = 0; ok && more && page < PAGES_MAX; ++page) {
        struct json json;
        ok = ask(&mcp->servers[server], "tools/list", params.data, START_MS, stop, &line, &json, fault);
        if (!ok)
            break;
        ok = add_tools(mcp, server, &json, fault);
        const size_t cursor = app_json_member(&json, app_json_member(&json, 0, "result"), "nextCursor");
        more = app_json_is(&json, cursor, JSON_STRING);
        app_text_clear(&params);
        app_text_add(&params, "{\"cursor\":");
        app_json_raw(&json, cursor, &params);
        app_text_add(&params, "}");
        app_json_free(&json);
    }
    app_text_free(&params);
    app_text_free(&line);
    return ok;
}

static bool is_shared(const struct mcp *mcp, const struct tool *tool)
{
    for (size_t i = 0; i < mcp->n_tools; ++i)
        if (mcp->tools[i].server != tool->server && strcmp(mcp->tools[i].asked, tool->asked) == 0)
            return true;
    return false;
}

// No server's tool can pass for another's.
static void name_tool(struct mcp *mcp, struct tool *tool)
{
    struct text name = { 0 };
    if (is_shared(mcp, tool))
        app_text_format(&name, "%s_", mcp->servers[tool->server].name);
    app_text_add(&name, tool->asked);
    for (size_t i = 0; i < name.size; ++i)
        if (!isalnum((unsigned char)name.data[i]) && !strchr("_-.", name.data[i]))
            name.data[i] = '_';
    const size_t size = name.size;
    for (unsigned n = 2; mcp_server_of(mcp, app_text_of(&name)); ++n) {
        name.size = size;
        app_text_format(&name, "_%u", n);
    }
    tool->name = app_text_take(&name);
}

static void declare_tools(struct mcp *mcp)
{
    app_text_add(&mcp->declarations, "[");
    for (size_t i = 0; i < mcp->n_tools; ++i) {
        name_tool(mcp, &mcp->tools[i]);
        app_text_format(&mcp->declarations, "%s{\"type\":\"function\",\"function\":{\"name\":\"%s\",%s}}", i ? "," : "",
                        mcp->tools[i].name, mcp->tools[i].declaration);
    }
    app_text_add(&mcp->declarations, "]");
}

// ---------------------------------------------------------------------------------------------------- servers

static void free_words(char **words)
{
    for (size_t i = 0; words[i]; ++i)
        free(words[i]);
    free(words);
}

// The command and its arguments, ended by NULL.
static char **read_words(const struct json *json, size_t entry)
{
    const size_t args = app_json_member(json, entry, "args");
    size_t n = 0;
    char **words = app_memory_new((args == JSON_NONE ? 0 : app_json_count(json, args)) + 2, sizeof *words);
    words[n++] = copy_of(json, app_json_member(json, entry, "command"));
    if (app_json_is(json, args, JSON_ARRAY))
        for (size_t arg = app_json_first(json, args); arg != JSON_NONE; arg = app_json_next(json, args, arg))
            words[n++] = copy_of(json, arg);
    return words;
}

static char **read_variables(const struct json *json, size_t entry)
{
    const size_t env = app_json_member(json, entry, "env");
    size_t n = 0;
    char **variables = app_memory_new((env == JSON_NONE ? 0 : app_json_count(json, env)) + 1, sizeof *variables);
    if (app_json_is(json, env, JSON_OBJECT))
        for (size_t key = app_json_first(json, env); key != JSON_NONE;) {
            const size_t value = app_json_next(json, env, key);
            struct text variable = { 0 };
            app_json_content(json, key, &variable);
            app_text_add(&variable, "=");
            app_json_content(json, value, &variable);
            variables[n++] = app_text_take(&variable);
            key = app_json_next(json, env, value);
        }
    return variables;
}

static bool greet(struct server *server, bool (*stop)(void), struct text *fault)
{
    struct text line = { 0 }, message = { 0 };
    struct json json;
    const bool ok = ask(server, "initialize",
                        "{\"protocolVersion\":\"" PROTOCOL
                        "\",\"capabilities\":{},\"clientInfo\":{\"name\":\"karat\",\"version\":\"1\"}}",
                        START_MS, stop, &line, &json, fault);
    if (ok)
        app_json_free(&json);
    app_text_add(&message, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    const bool told = ok && send(server, &message, fault);
    app_text_free(&line);
    app_text_free(&message);
    return told;
}

static bool open_server(struct mcp *mcp, const struct json *json, size_t name, size_t entry, bool (*stop)(void),
                        struct text *fault)
{
    struct server *server = &mcp->servers[mcp->n_servers];
    server->name = copy_of(json, name);
    if (!app_json_is(json, app_json_member(json, entry, "command"), JSON_STRING)) {
        app_text_format(fault, "the tool server %s has no \"command\"; those at an address are not spoken to yet",
                        server->name);
        free(server->name);
        return false;
    }
    char **words = read_words(json, entry), **variables = read_variables(json, entry);
    struct text why = { 0 };
    const bool started =
        process_start(&server->process, (const char *const *)words, (const char *const *)variables, &why);
    if (started)
        ++mcp->n_servers;
    else
        app_text_format(fault, "the tool server %s: %s", server->name, app_text_of(&why));
    free_words(words);
    free_words(variables);
    app_text_free(&why);
    if (!started)
        free(server->name);
    return started && greet(server, stop, fault) && list_tools(mcp, mcp->n_servers - 1, stop, fault);
}

static bool open_servers(struct mcp *mcp, const struct json *json, const char *path, bool (*stop)(void),
                         struct text *fault)
{
    const size_t list = app_json_member(json, 0, "mcpServers");
    if (!app_json_is(json, list, JSON_OBJECT)) {
        app_text_format(fault, "%s has no object \"mcpServers\"", path);
        return false;
    }
    mcp->servers = app_memory_new(app_json_count(json, list) + 1, sizeof *mcp->servers);
    for (size_t name = app_json_first(json, list); name != JSON_NONE;) {
        const size_t entry = app_json_next(json, list, name);
        if (!open_server(mcp, json, name, entry, stop, fault))
            return false;
        name = app_json_next(json, list, entry);
    }
    declare_tools(mcp);
    return true;
}

bool mcp_open(struct mcp **out, const char *path, bool (*stop)(void), struct text *fault)
{
    struct mcp *mcp = app_memory_new(1, sizeof *mcp);
    struct text source = { 0 }, why = { 0 };
    struct json json;
    bool ok = files_read(path, &source, fault);
    if (ok && !app_json_parse(&json, app_text_of(&source), source.size, &why)) {
        app_text_format(fault, "%s is no JSON: %s", path, app_text_of(&why));
        ok = false;
    } else if (ok) {
        ok = open_servers(mcp, &json, path, stop, fault);
        app_json_free(&json);
    }
    app_text_free(&source);
    app_text_free(&why);
    if (!ok) {
        mcp_close(mcp);
        mcp = NULL;
    }
    *out = mcp;
    return ok;
}

void mcp_close(struct mcp *mcp)
{
    if (!mcp)
        return;
    for (size_t i = 0; i < mcp->n_servers; ++i) {
        process_end(mcp->servers[i].process);
        free(mcp->servers[i].name);
    }
    for (size_t i = 0; i < mcp->n_tools; ++i) {
        free(mcp->tools[i].name);
        free(mcp->tools[i].asked);
        free(mcp->tools[i].declaration);
    }
    free(mcp->servers);
    free(mcp->tools);
    app_text_free(&mcp->declarations);
    free(mcp);
}

size_t mcp_n_tools(const struct mcp *mcp)
{
    return mcp->n_tools;
}

const char *mcp_declarations(const struct mcp *mcp)
{
    return app_text_of(&mcp->declarations);
}

static const struct tool *find_tool(const struct mcp *mcp, const char *name)
{
    for (size_t i = 0; i < mcp->n_tools; ++i)
        if (mcp->tools[i].name && strcmp(mcp->tools[i].name, name) == 0)
            return &mcp->tools[i];
    return NULL;
}

const char *mcp_server_of(const struct mcp *mcp, const char *tool)
{
    const struct tool *found = find_tool(mcp, tool);
    return found ? mcp->servers[found->server].name : NULL;
}

// ---------------------------------------------------------------------------------------------------- calls

static void add_error(struct text *answer, const char *words)
{
    app_text_add(answer, "{\"error\": ");
    app_text_json(answer, words, strlen(words));
    app_text_add(answer, "}");
}

// The texts of a result, a line each. Of what is no text the model learns that it was there.
static void add_result(const struct json *json, size_t result, struct text *answer)
{
    struct text all = { 0 };
    const size_t content = app_json_member(json, result, "content");
    if (app_json_is(json, content, JSON_ARRAY))
        for (size_t part = app_json_first(json, content); part != JSON_NONE;
             part = app_json_next(json, content, part)) {
            const size_t resource = app_json_member(json, part, "resource");
            size_t text = app_json_member(json, part, "text");
            if (text == JSON_NONE && resource != JSON_NONE)
                text = app_json_member(json, resource, "text");
            if (all.size)
                app_text_add(&all, "\n");
            if (app_json_is(json, text, JSON_STRING)) {
                app_json_content(json, text, &all);
            } else {
                app_text_add(&all, "(a part that is no text: ");
                app_json_content(json, app_json_member(json, part, "type"), &all);
                app_text_add(&all, ")");
            }
        }
    if (app_json_is(json, app_json_member(json, result, "isError"), JSON_TRUE))
        add_error(answer, app_text_of(&all));
    else
        app_text_append(answer, app_text_of(&all), all.size);
    app_text_free(&all);
}

void mcp_call(struct mcp *mcp, const char *tool, const char *arguments, bool (*stop)(void), struct text *answer)
{
    const struct tool *found = find_tool(mcp, tool);
    if (!found) {
        add_error(answer, "there is no such tool");
        return;
    }
    struct text params = { 0 }, line = { 0 }, fault = { 0 };
    struct json json;
    app_text_add(&params, "{\"name\":");
    app_text_json(&params, found->asked, strlen(found->asked));
    app_text_format(&params, ",\"arguments\":%s}", arguments);
    // One message is one line; within JSON, line ends are blanks.
    for (size_t i = 0; i < params.size; ++i)
        if (params.data[i] == '\n' || params.data[i] == '\r')
            params.data[i] = ' ';
    if (ask(&mcp->servers[found->server], "tools/call", params.data, CALL_MS, stop, &line, &json, &fault)) {
        add_result(&json, app_json_member(&json, 0, "result"), answer);
        app_json_free(&json);
    } else {
        add_error(answer, app_text_of(&fault));
    }
    app_text_free(&params);
    app_text_free(&line);
    app_text_free(&fault);
}
