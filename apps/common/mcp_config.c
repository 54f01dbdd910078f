// common/mcp_config.c -- the file that names tool servers.
#include "common/mcp_config.h"

#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/json.h"

// ---------------------------------------------------------------------------------------------------- lists

static char *copy_of(const struct json *json, size_t node)
{
    struct text text = { 0 };
    app_json_content(json, node, &text);
    return app_text_take(&text);
}

static char **new_list(const struct json *json, size_t node)
{
    return app_memory_new((node == JSON_NONE ? 0 : app_json_count(json, node)) + 2, sizeof(char *));
}

// The command and its arguments.
static char **read_words(const struct json *json, size_t entry)
{
    const size_t args = app_json_member(json, entry, "args");
    size_t n = 0;
    char **words = new_list(json, args);
    words[n++] = copy_of(json, app_json_member(json, entry, "command"));
    if (app_json_is(json, args, JSON_ARRAY))
        for (size_t arg = app_json_first(json, args); arg != JSON_NONE; arg = app_json_next(json, args, arg))
            words[n++] = copy_of(json, arg);
    return words;
}

// The members of an object, each as its name, `between` and its value.
static char **read_pairs(const struct json *json, size_t object, const char *between)
{
    size_t n = 0;
    char **pairs = new_list(json, object);
    if (app_json_is(json, object, JSON_OBJECT))
        for (size_t key = app_json_first(json, object); key != JSON_NONE;) {
            const size_t value = app_json_next(json, object, key);
            struct text pair = { 0 };
            app_json_content(json, key, &pair);
            app_text_add(&pair, between);
            app_json_content(json, value, &pair);
            pairs[n++] = app_text_take(&pair);
            key = app_json_next(json, object, value);
        }
    return pairs;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; ++i)
        free(list[i]);
    free(list);
}

// ---------------------------------------------------------------------------------------------------- entries

static bool fail(const struct mcp_entry *entry, const char *what, struct text *fault)
{
    app_text_format(fault, "the tool server %s %s", entry->name, what);
    return false;
}

// A name that HTTP allows, a value on one line.
static bool is_header(const char *header)
{
    const size_t n = strcspn(header, ":");
    for (size_t i = 0; i < n; ++i)
        if ((unsigned char)header[i] <= ' ' || (unsigned char)header[i] > '~' ||
            strchr("\"(),/;<=>?@[\\]{}", header[i]))
            return false;
    for (const char *at = header + n; *at; ++at)
        if ((unsigned char)*at < ' ' && *at != '\t')
            return false;
    return n > 0;
}

static bool read_place(struct mcp_entry *entry, const struct json *json, size_t node, struct text *fault)
{
    if (app_json_equals(json, app_json_member(json, node, "type"), "sse"))
        return fail(entry, "is of the type \"sse\", which MCP gave up for \"http\" in 2025; that one is spoken", fault);
    entry->url = copy_of(json, app_json_member(json, node, "url"));
    entry->headers = read_pairs(json, app_json_member(json, node, "headers"), ": ");
    for (size_t i = 0; entry->headers[i]; ++i)
        if (!is_header(entry->headers[i]))
            return fail(entry, "has a header that HTTP does not allow", fault);
    return true;
}

static bool read_entry(struct mcp_entry *entry, const struct json *json, size_t node, struct text *fault)
{
    if (app_json_is(json, app_json_member(json, node, "command"), JSON_STRING)) {
        entry->words = read_words(json, node);
        entry->variables = read_pairs(json, app_json_member(json, node, "env"), "=");
        return true;
    }
    if (app_json_is(json, app_json_member(json, node, "url"), JSON_STRING))
        return read_place(entry, json, node, fault);
    return fail(entry, "has neither a \"command\" nor a \"url\"", fault);
}

static bool read_entries(struct mcp_config *config, const struct json *json, const char *path, struct text *fault)
{
    const size_t list = app_json_member(json, 0, "mcpServers");
    if (!app_json_is(json, list, JSON_OBJECT)) {
        app_text_format(fault, "%s has no object \"mcpServers\"", path);
        return false;
    }
    config->entries = app_memory_new(app_json_count(json, list) + 1, sizeof *config->entries);
    for (size_t name = app_json_first(json, list); name != JSON_NONE;) {
        const size_t node = app_json_next(json, list, name);
        if (!app_json_is(json, app_json_member(json, node, "disabled"), JSON_TRUE)) {
            struct mcp_entry *entry = &config->entries[config->n_entries++];
            entry->name = copy_of(json, name);
            if (!read_entry(entry, json, node, fault))
                return false;
        }
        name = app_json_next(json, list, node);
    }
    return true;
}

bool mcp_config_read(struct mcp_config *config, const char *path, struct text *fault)
{
    struct text source = { 0 }, why = { 0 };
    struct json json;
    bool ok = files_read(path, &source, fault);
    *config = (struct mcp_config){ 0 };
    if (ok && !app_json_parse(&json, app_text_of(&source), source.size, &why)) {
        app_text_format(fault, "%s is no JSON: %s", path, app_text_of(&why));
        ok = false;
    } else if (ok) {
        ok = read_entries(config, &json, path, fault);
        app_json_free(&json);
    }
    app_text_free(&source);
    app_text_free(&why);
    return ok;
}

void mcp_config_free(struct mcp_config *config)
{
    for (size_t i = 0; i < config->n_entries; ++i) {
        free(config->entries[i].name);
        free_list(config->entries[i].words);
        free_list(config->entries[i].variables);
        free(config->entries[i].url);
        free_list(config->entries[i].headers);
    }
    free(config->entries);
    *config = (struct mcp_config){ 0 };
}
