// server/chat_calls.c -- the model's calls of tools in the chats of the web page: permission, the call, its result.
//
// A call waits for permission as long as nothing follows it in the chat: there is no other trace of it, so it waits
// through reloads and restarts. Calls of one answer are taken in their order, and results follow each other likewise.
#include <inttypes.h>
#include <string.h>

#include "common/mcp.h"
#include "server/chats.h"
#include "server/routes.h"
#include "server/tool_runs.h"

#define UNASKED_MAX 25 // calls after one question that go without asking, however much is allowed
#define DECLINED "{\"error\": \"the user did not allow this call\"}"

// A call without a result.
struct wanted {
    struct text id, name, arguments;
    unsigned n_results; // since the user's last message
};

static void wanted_free(struct wanted *wanted)
{
    app_text_free(&wanted->id);
    app_text_free(&wanted->name);
    app_text_free(&wanted->arguments);
}

// ---------------------------------------------------------------------------------------------------- finding

static int64_t number_at(const struct json *json, const char *name)
{
    return (int64_t)app_json_number(json, app_json_member(json, 0, name));
}

static void read_call(struct wanted *wanted, const struct json *json, size_t call)
{
    const size_t function = app_json_member(json, call, "function");
    const size_t arguments = app_json_member(json, function, "arguments");
    app_json_content(json, app_json_member(json, call, "id"), &wanted->id);
    app_json_content(json, app_json_member(json, function, "name"), &wanted->name);
    if (app_json_is(json, arguments, JSON_OBJECT))
        app_json_raw(json, arguments, &wanted->arguments);
    else
        app_text_add(&wanted->arguments, "{}");
}

// The message's nth call, if it has so many.
static bool read_nth(struct wanted *wanted, const struct json *json, unsigned nth)
{
    const size_t calls = app_json_member(json, 0, "tool_calls");
    size_t call = app_json_first(json, calls);
    while (call != JSON_NONE && nth-- > 0)
        call = app_json_next(json, calls, call);
    if (call != JSON_NONE)
        read_call(wanted, json, call);
    return call != JSON_NONE;
}

// False: it is not there. Else both are the caller's to free.
static bool read_message(struct chats *chats, int64_t chat, int64_t message, struct text *source, struct json *json)
{
    struct text why = { 0 };
    *source = (struct text){ 0 };
    const bool ok = chat_store_message(chats->store, chat, message, source, &why) &&
                    app_json_parse(json, source->data, source->size, &why);
    if (!ok)
        app_text_free(source);
    app_text_free(&why);
    return ok;
}

// The first call without a result on the branch that ends with message `after`: the way up passes results until it
// comes to the calls that they answer, and goes on to the user's message, to count. *n_results (may be NULL) is how
// many results stand between the calls and `after`. False: there is none, or no such message.
static bool find_wanted(struct chats *chats, int64_t chat, int64_t after, struct wanted *wanted, unsigned *n_results)
{
    bool found = false, looked = false;
    unsigned nth = 0;
    struct text source;
    struct json json;
    *wanted = (struct wanted){ 0 };
    while (after > 0 && read_message(chats, chat, after, &source, &json)) {
        const size_t role = app_json_member(&json, 0, "role");
        const bool is_result = app_json_equals(&json, role, "tool"),
                   is_answer = app_json_equals(&json, role, "assistant");
        wanted->n_results += is_result;
        nth += is_result && !looked;
        if (is_answer && !looked)
            found = read_nth(wanted, &json, nth);
        looked |= is_answer;
        after = is_result || is_answer ? number_at(&json, "parent") : 0;
        app_json_free(&json);
        app_text_free(&source);
    }
    if (n_results)
        *n_results = nth;
    return found;
}

// ---------------------------------------------------------------------------------------------------- results

static int64_t add_result(struct chats *chats, int64_t chat, int64_t after, const struct wanted *wanted,
                          const char *content, enum chat_state state, struct text *why)
{
    int64_t id = 0;
    const struct chat_message message = {
        .chat = chat,
        .parent = after,
        .role = "tool",
        .content = content,
        .name = app_text_of(&wanted->name),
        .call_id = app_text_of(&wanted->id),
        .state = state,
    };
    return chats_add(chats, &message, &id, why) ? id : 0;
}

static void on_run_done(void *user, const struct text *answer)
{
    struct live *live = user;
    struct chats *chats = live->chats;
    struct text event = { 0 };
    const enum chat_state state = chats->closing  ? CHAT_STATE_CUT
                                  : live->stopped ? CHAT_STATE_STOPPED
                                                  : CHAT_STATE_DONE;
    live->run = NULL;
    live_grow(live, false, app_text_of(answer), answer->size);
    live_finish(live, state, NULL);
    if (state == CHAT_STATE_DONE)
        chat_calls_go_on(chats, live->chat, live->message, &live->options);
    app_text_format(&event, "{\"kind\":\"end\",\"state\":\"%s\",\"tool_calls\":[]}", chat_state_name(state));
    live_end(live, &event);
    app_text_free(&event);
}

static bool run(struct chats *chats, int64_t chat, int64_t after, const struct wanted *wanted,
                const struct mcp_tool *tool, const struct text *options, struct text *why)
{
    const int64_t id = add_result(chats, chat, after, wanted, NULL, CHAT_STATE_GROWING, why);
    if (id == 0)
        return false;
    struct live *live = live_create(chats, chat, id, options);
    live->run = tool_run_start(chats->runs, tool, app_text_of(&wanted->arguments), on_run_done, live);
    return true;
}

// ---------------------------------------------------------------------------------------------------- permission

static const struct mcp_tool *find_tool(const struct chats *chats, const struct wanted *wanted)
{
    return chats->runs ? mcp_find(chats->server->options->mcp, app_text_of(&wanted->name)) : NULL;
}

static bool needs_no_asking(struct chats *chats, int64_t chat, const struct mcp_tool *tool)
{
    const char *allowed = chats->server->options->allow;
    return app_text_lists(allowed, "all") || app_text_lists(allowed, tool->name) ||
           chat_store_permits(chats->store, chat, tool->server, tool->name, tool->declaration);
}

// Whether the page has switched tools off.
static bool are_off(const struct text *options)
{
    struct json json = { 0 };
    struct text why = { 0 };
    const bool off = app_json_parse(&json, app_text_of(options), options->size, &why) &&
                     app_json_is(&json, app_json_member(&json, 0, "tools"), JSON_FALSE);
    app_json_free(&json);
    app_text_free(&why);
    return off;
}

void chat_calls_go_on(struct chats *chats, int64_t chat, int64_t after, const struct text *options)
{
    struct wanted wanted;
    struct text why = { 0 };
    unsigned n_results = 0;
    bool going = true;
    while (going && find_wanted(chats, chat, after, &wanted, &n_results)) {
        const struct mcp_tool *tool = are_off(options) ? NULL : find_tool(chats, &wanted);
        const bool asks = wanted.n_results >= UNASKED_MAX; // the model may never come to an end by itself
        going = false;
        if (!asks && !tool) {
            after = add_result(chats, chat, after, &wanted, "{\"error\": \"there is no such tool\"}", CHAT_STATE_DONE,
                               &why);
            going = after != 0;
        } else if (!asks && needs_no_asking(chats, chat, tool)) {
            run(chats, chat, after, &wanted, tool, options, &why);
        }
        wanted_free(&wanted);
    }
    if (going && n_results > 0)
        chat_answer_begin(chats, chat, after, options, &why);
    app_text_free(&why);
}

bool chat_calls_wait(struct chats *chats, int64_t chat, int64_t after)
{
    struct wanted wanted;
    const bool waits = find_wanted(chats, chat, after, &wanted, NULL);
    wanted_free(&wanted);
    return waits;
}

int64_t chat_calls_decline(struct chats *chats, int64_t chat, int64_t after, struct text *why)
{
    struct wanted wanted;
    while (after != 0 && find_wanted(chats, chat, after, &wanted, NULL)) {
        after = add_result(chats, chat, after, &wanted, DECLINED, CHAT_STATE_DONE, why);
        wanted_free(&wanted);
    }
    return after;
}

// ---------------------------------------------------------------------------------------------------- the user's word

// What the user was shown must be what is called.
static bool check_tool(struct exchange *x, const struct wanted *wanted, const struct mcp_tool *tool)
{
    if (tool && app_json_equals(&x->json, app_json_member(&x->json, 0, "declaration"), tool->declaration))
        return true;
    struct fault fault;
    fault_set(&fault, ERROR_INVALID, NULL,
              tool ? "the tool %.100s is not declared as it was shown; look at it again" : "there is no tool %.100s",
              app_text_of(&wanted->name));
    exchange_fail(x, &fault);
    return false;
}

static bool deny(struct chats *chats, int64_t chat, int64_t after, const struct wanted *wanted,
                 const struct text *options, struct text *why)
{
    const int64_t id = add_result(chats, chat, after, wanted, DECLINED, CHAT_STATE_DONE, why);
    if (id != 0)
        chat_calls_go_on(chats, chat, id, options);
    return id != 0;
}

static bool allow(struct chats *chats, int64_t chat, int64_t after, const struct wanted *wanted,
                  const struct mcp_tool *tool, bool always, const struct text *options, struct text *why)
{
    return (!always || chat_store_permit(chats->store, chat, tool->server, tool->name, tool->declaration, why)) &&
           run(chats, chat, after, wanted, tool, options, why);
}

// False after it replied why not.
static bool obey(struct exchange *x, int64_t chat, int64_t after, const struct wanted *wanted, const char *verdict)
{
    struct chats *chats = x->server->chats;
    const struct mcp_tool *tool = find_tool(chats, wanted);
    const bool denies = strcmp(verdict, "deny") == 0;
    if (!denies && !check_tool(x, wanted, tool))
        return false;
    struct text options = chats_options(x), why = { 0 };
    const bool ok = denies ? deny(chats, chat, after, wanted, &options, &why)
                           : allow(chats, chat, after, wanted, tool, strcmp(verdict, "always") == 0, &options, &why);
    app_text_free(&options);
    if (!ok)
        chats_fail_stored(x, &why);
    return ok;
}

// A call waits while nothing follows; one that was stopped may be made again.
static bool is_place(const struct exchange *x, int64_t after, const char *verdict)
{
    return chat_store_is_followed(x->server->chats->store, after) == (strcmp(verdict, "again") == 0);
}

static bool is_verdict(const char *word)
{
    static const char *const verdicts[] = { "once", "always", "deny", "again" };
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; ++i)
        if (strcmp(word, verdicts[i]) == 0)
            return true;
    return false;
}

// {"after": the message that the result would follow, "verdict": "once", "always", "deny", or "again" for a call that
// has a result already, "declaration": as the tool was shown, "options"}
void serve_call(struct exchange *x, int64_t chat)
{
    struct wanted wanted = { 0 };
    struct text verdict = { 0 };
    if (!chats_may_begin(x, chat))
        return;
    const int64_t after = chats_id_at(&x->json, "after");
    app_json_content(&x->json, app_json_member(&x->json, 0, "verdict"), &verdict);
    if (!is_verdict(app_text_of(&verdict)))
        chats_fail(x, ERROR_INVALID, "verdict is none of \"once\", \"always\", \"deny\" and \"again\"");
    else if (!find_wanted(x->server->chats, chat, after, &wanted, NULL) || !is_place(x, after, verdict.data))
        chats_fail(x, ERROR_MISSING, "there is no call that waits there");
    else if (obey(x, chat, after, &wanted, verdict.data))
        chats_reply_done(x);
    wanted_free(&wanted);
    app_text_free(&verdict);
}
