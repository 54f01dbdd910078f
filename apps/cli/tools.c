// cli/tools.c -- what answers the model's tool calls.
#include "cli/tools.h"

#include <string.h>

#include "cli/demo_tools.h"
#include "common/json.h"

static bool interrupted(void *user)
{
    (void)user;
    return cli_interrupted();
}

static const struct stop on_interrupt = { .asked = interrupted };

bool tools_open(struct tools *tools, const struct cli_options *options)
{
    struct text fault = { 0 };
    tools->demo = options->tools;
    tools->allowed = options->allow;
    if (!options->mcp)
        return true;
    cli_interrupt_forget();
    cli_interrupt_watch(NULL); // Ctrl-C ends the waiting
    const bool ok = mcp_open(&tools->mcp, options->mcp, &on_interrupt, &fault);
    if (!ok)
        cli_fail("%s", app_text_of(&fault));
    app_text_free(&fault);
    return ok;
}

void tools_close(struct tools *tools)
{
    mcp_close(tools->mcp);
    app_text_free(&tools->always);
    app_text_free(&tools->all);
    tools->mcp = NULL;
}

const char *tools_declarations(struct tools *tools)
{
    const char *const demo = tools->demo ? demo_tools_declarations() : "[]";
    const char *const mcp = tools->mcp ? mcp_declarations(tools->mcp) : "[]";
    if (tools->off || (!tools->demo && !tools->mcp))
        return NULL;
    // Two arrays become one; where a name is in both, the server's is found first.
    app_text_clear(&tools->all);
    app_text_append(&tools->all, mcp, strlen(mcp) - 1);
    if (strlen(mcp) > 2 && strlen(demo) > 2)
        app_text_add(&tools->all, ",");
    app_text_add(&tools->all, demo + 1);
    return tools->all.data;
}

static bool ask_user(struct tools *tools, const char *name, const char *server)
{
    struct text question = { 0 }, line = { 0 };
    app_text_format(&question, "  let the tool server %s do this? yes, no, always: ", server);
    bool yes = false;
    if (tools->edit && line_edit_read(tools->edit, question.data, &line) == LINE_READ) {
        const char first = line.size ? line.data[strspn(line.data, " \t")] : 'n';
        yes = first && strchr("yYaA", first);
        if (yes && strchr("aA", first))
            app_text_format(&tools->always, "%s,", name);
    }
    app_text_free(&question);
    app_text_free(&line);
    return yes;
}

static bool may_call(struct tools *tools, const char *name, const char *server)
{
    return app_text_lists(tools->allowed, "all") || app_text_lists(tools->allowed, name) ||
           app_text_lists(app_text_of(&tools->always), name) || ask_user(tools, name, server);
}

// Calls a server's tool if the user agrees. The question shows no more than the call itself, which stands above it.
static void call_server(struct tools *tools, const char *name, const struct json *json, struct text *answer)
{
    struct text arguments = { 0 };
    const size_t node = app_json_member(json, 0, "arguments");
    if (app_json_is(json, node, JSON_OBJECT))
        app_json_raw(json, node, &arguments);
    else
        app_text_add(&arguments, "{}");
    if (may_call(tools, name, mcp_find(tools->mcp, name)->server))
        mcp_call(tools->mcp, name, arguments.data, &on_interrupt, answer);
    else
        app_text_add(answer, "{\"error\": \"the user did not allow this call\"}");
    app_text_free(&arguments);
}

void tools_answer(struct tools *tools, const char *call, size_t size, struct text *answer)
{
    struct json json;
    struct text name = { 0 }, fault = { 0 };
    if (!app_json_parse(&json, call, size, &fault)) {
        app_text_add(answer, "{\"error\": \"the call is not well-formed\"}");
        app_text_free(&fault);
        return;
    }
    app_json_content(&json, app_json_member(&json, 0, "name"), &name);
    if (tools->mcp && mcp_find(tools->mcp, app_text_of(&name)))
        call_server(tools, name.data, &json, answer);
    else if (tools->demo)
        demo_tools_answer(call, size, answer);
    else
        app_text_add(answer, "{\"error\": \"there is no such tool\"}");
    app_json_free(&json);
    app_text_free(&name);
}
