// common/mcp.c -- tools of other programs, by the Model Context Protocol.
#include "common/mcp.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mcp_config.h"
#include "common/mcp_peer.h"

#define PAGES_MAX 100
#define TOOLS_MAX 512

struct tool {
    struct mcp_tool known; // as everyone else knows it
    char *name, *asked;    // as the model knows it; as the server does
    char *declaration;
};

struct mcp {
    struct mcp_peer *servers;
    size_t n_servers;
    struct tool *tools;
    size_t n_tools;
    struct text declarations;
};

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
    app_text_add(&text, "{");
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
    app_text_add(&text, "}");
    return app_text_take(&text);
}

static bool add_tools(struct mcp *mcp, size_t server, const struct json *json, struct text *fault)
{
    const size_t list = app_json_member(json, app_json_member(json, 0, "result"), "tools");
    if (!app_json_is(json, list, JSON_ARRAY))
        return mcp_peer_fail(&mcp->servers[server], "lists no tools", fault);
    for (size_t tool = app_json_first(json, list); tool != JSON_NONE; tool = app_json_next(json, list, tool)) {
        const size_t name = app_json_member(json, tool, "name");
        if (!app_json_is(json, name, JSON_STRING) || mcp->n_tools == TOOLS_MAX)
            return mcp_peer_fail(&mcp->servers[server],
                                 mcp->n_tools == TOOLS_MAX ? "has more tools than the 512 that are kept"
                                                           : "has a tool without a name",
                                 fault);
        mcp->tools = app_memory_resize(mcp->tools, mcp->n_tools + 1, sizeof *mcp->tools);
        mcp->tools[mcp->n_tools++] = (struct tool){
            .asked = copy_of(json, name),
            .declaration = declaration_of(json, tool),
            .known.server_index = server,
        };
    }
    return true;
}

// The list may come in pages.
static bool list_tools(struct mcp *mcp, size_t server, const struct stop *stop, struct text *fault)
{
    struct text params = { 0 }, message = { 0 };
    bool ok = true, more = true;
    app_text_add(&params, "{}");
    for (int page = 0; ok && more && page < PAGES_MAX; ++page) {
        struct json json;
        ok = mcp_peer_ask(&mcp->servers[server], "tools/list", params.data, MCP_START_MS, stop, &message, &json, fault);
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
    app_text_free(&message);
    return ok;
}

static bool is_shared(const struct mcp *mcp, const struct tool *tool)
{
    for (size_t i = 0; i < mcp->n_tools; ++i)
        if (mcp->tools[i].known.server_index != tool->known.server_index &&
            strcmp(mcp->tools[i].asked, tool->asked) == 0)
            return true;
    return false;
}

// No server's tool can pass for another's.
static void name_tool(struct mcp *mcp, struct tool *tool)
{
    struct text name = { 0 };
    if (is_shared(mcp, tool))
        app_text_format(&name, "%s_", mcp->servers[tool->known.server_index].name);
    app_text_add(&name, tool->asked);
    for (size_t i = 0; i < name.size; ++i)
        if (!isalnum((unsigned char)name.data[i]) && !strchr("_-.", name.data[i]))
            name.data[i] = '_';
    const size_t size = name.size;
    for (unsigned n = 2; mcp_find(mcp, app_text_of(&name)); ++n) {
        name.size = size;
        app_text_format(&name, "_%u", n);
    }
    tool->name = app_text_take(&name);
    tool->known.name = tool->name;
    tool->known.server = mcp->servers[tool->known.server_index].name;
    tool->known.declaration = tool->declaration;
}

static void declare_tools(struct mcp *mcp)
{
    app_text_add(&mcp->declarations, "[");
    for (size_t i = 0; i < mcp->n_tools; ++i) {
        name_tool(mcp, &mcp->tools[i]);
        app_text_format(&mcp->declarations, "%s{\"type\":\"function\",\"function\":{\"name\":\"%s\",%s}", i ? "," : "",
                        mcp->tools[i].name, mcp->tools[i].declaration + 1);
    }
    app_text_add(&mcp->declarations, "]");
}

// ---------------------------------------------------------------------------------------------------- servers

// The link becomes the server's in any case.
static bool add_server(struct mcp *mcp, const char *name, struct mcp_link *link, const struct stop *stop,
                       struct text *fault)
{
    struct mcp_peer *server = &mcp->servers[mcp->n_servers++];
    *server = (struct mcp_peer){ .name = app_memory_copy(name, strlen(name)), .link = link };
    return mcp_peer_greet(server, stop, fault) && list_tools(mcp, mcp->n_servers - 1, stop, fault);
}

static bool open_server(struct mcp *mcp, const struct mcp_entry *entry, const struct stop *stop, struct text *fault)
{
    struct text why = { 0 };
    struct mcp_link *link =
        entry->words ? mcp_stdio_open((const char *const *)entry->words, (const char *const *)entry->variables, &why)
                     : mcp_http_open(entry->url, (const char *const *)entry->headers, &why);
    if (!link)
        app_text_format(fault, "the tool server %s%s %s", entry->name, entry->words ? ":" : "", app_text_of(&why));
    app_text_free(&why);
    return link && add_server(mcp, entry->name, link, stop, fault);
}

// What could not be opened whole is closed.
static bool finish(struct mcp **out, struct mcp *mcp, bool ok)
{
    if (ok)
        declare_tools(mcp);
    else
        mcp_close(mcp);
    *out = ok ? mcp : NULL;
    return ok;
}

bool mcp_open_link(struct mcp **out, const char *name, struct mcp_link *link, const struct stop *stop,
                   struct text *fault)
{
    struct mcp *mcp = app_memory_new(1, sizeof *mcp);
    mcp->servers = app_memory_new(1, sizeof *mcp->servers);
    return finish(out, mcp, add_server(mcp, name, link, stop, fault));
}

bool mcp_open(struct mcp **out, const char *path, const struct stop *stop, struct text *fault)
{
    struct mcp *mcp = app_memory_new(1, sizeof *mcp);
    struct mcp_config config;
    bool ok = mcp_config_read(&config, path, fault);
    mcp->servers = app_memory_new(config.n_entries + 1, sizeof *mcp->servers);
    for (size_t i = 0; ok && i < config.n_entries; ++i)
        ok = open_server(mcp, &config.entries[i], stop, fault);
    mcp_config_free(&config);
    return finish(out, mcp, ok);
}

void mcp_close(struct mcp *mcp)
{
    if (!mcp)
        return;
    for (size_t i = 0; i < mcp->n_servers; ++i)
        mcp_peer_close(&mcp->servers[i]);
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

size_t mcp_n_servers(const struct mcp *mcp)
{
    return mcp->n_servers;
}

const struct mcp_tool *mcp_tool_at(const struct mcp *mcp, size_t i)
{
    return &mcp->tools[i].known;
}

static const struct tool *find_tool(const struct mcp *mcp, const char *name)
{
    for (size_t i = 0; i < mcp->n_tools; ++i)
        if (mcp->tools[i].name && strcmp(mcp->tools[i].name, name) == 0)
            return &mcp->tools[i];
    return NULL;
}

const struct mcp_tool *mcp_find(const struct mcp *mcp, const char *name)
{
    const struct tool *found = find_tool(mcp, name);
    return found ? &found->known : NULL;
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

void mcp_call(struct mcp *mcp, const char *tool, const char *arguments, const struct stop *stop, struct text *answer)
{
    const struct tool *found = find_tool(mcp, tool);
    if (!found) {
        add_error(answer, "there is no such tool");
        return;
    }
    struct text params = { 0 }, message = { 0 }, fault = { 0 };
    struct json json;
    app_text_add(&params, "{\"name\":");
    app_text_json(&params, found->asked, strlen(found->asked));
    app_text_format(&params, ",\"arguments\":%s}", arguments);
    if (mcp_peer_ask(&mcp->servers[found->known.server_index], "tools/call", params.data, MCP_CALL_MS, stop, &message,
                     &json, &fault)) {
        add_result(&json, app_json_member(&json, 0, "result"), answer);
        app_json_free(&json);
    } else {
        add_error(answer, app_text_of(&fault));
    }
    app_text_free(&params);
    app_text_free(&message);
    app_text_free(&fault);
}
