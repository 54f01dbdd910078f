// tests/fuzz/fuzz_mcp.c -- whatever a tool server streams, its tools are sound or refused in one sentence.
//
// The first byte is the size of the pieces that the stream comes in, the rest the stream: server-sent events, whose
// data are the server's messages.
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mcp_link.h"
#include "common/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGES_MAX 64

struct fuzz_link {
    struct mcp_link link;
    struct text messages[MESSAGES_MAX];
    size_t n_messages, n_heard;
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void on_event(void *user, const char *type, const struct text *text)
{
    struct fuzz_link *fuzz = user;
    demand(type != NULL);
    if (fuzz->n_messages < MESSAGES_MAX)
        app_text_append(&fuzz->messages[fuzz->n_messages++], app_text_of(text), text->size);
}

static void read_stream(struct fuzz_link *fuzz, const uint8_t *data, size_t size, size_t piece)
{
    struct sse sse = { 0 };
    for (size_t at = 0; at < size; at += piece)
        demand(sse_feed(&sse, (const char *)data + at, size - at < piece ? size - at : piece, on_event, fuzz));
    sse_free(&sse);
}

static enum mcp_passed fuzz_send(struct mcp_link *link, const struct text *message, bool wants_answer,
                                 unsigned timeout_ms, const struct stop *stop, struct text *why)
{
    struct json json;
    (void)link, (void)wants_answer, (void)timeout_ms, (void)stop;
    demand(app_json_parse(&json, message->data, message->size, why));
    app_json_free(&json);
    return MCP_PASSED;
}

static enum mcp_passed fuzz_hear(struct mcp_link *link, struct text *message, unsigned timeout_ms,
                                 const struct stop *stop, struct text *why)
{
    struct fuzz_link *fuzz = (struct fuzz_link *)link;
    (void)timeout_ms, (void)stop;
    if (fuzz->n_heard == fuzz->n_messages) {
        app_text_add(why, "ended");
        return MCP_FAILED;
    }
    const struct text *next = &fuzz->messages[fuzz->n_heard++];
    app_text_clear(message);
    app_text_append(message, app_text_of(next), next->size);
    return MCP_PASSED;
}

static void fuzz_agreed(struct mcp_link *link, const char *version)
{
    (void)link;
    demand(*version && !strpbrk(version, "\r\n"));
}

static void fuzz_close(struct mcp_link *link)
{
    (void)link;
}

static void check_tools(struct mcp *mcp)
{
    struct json json;
    struct text why = { 0 }, answer = { 0 };
    const char *all = mcp_declarations(mcp);
    demand(app_json_parse(&json, all, strlen(all), &why) && app_json_count(&json, 0) == mcp_n_tools(mcp));
    app_json_free(&json);
    for (size_t i = 0; i < mcp_n_tools(mcp); ++i) {
        const struct mcp_tool *tool = mcp_tool_at(mcp, i);
        demand(mcp_find(mcp, tool->name) == tool);
        demand(app_json_parse(&json, tool->declaration, strlen(tool->declaration), &why));
        app_json_free(&json);
    }
    mcp_call(mcp, mcp_n_tools(mcp) ? mcp_tool_at(mcp, 0)->name : "none", "{}", NULL, &answer);
    app_text_free(&why);
    app_text_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct fuzz_link fuzz = { .link = {
                                  .send = fuzz_send, .hear = fuzz_hear, .agreed = fuzz_agreed, .close = fuzz_close } };
    struct fuzz_link whole = { 0 };
    struct text fault = { 0 };
    struct mcp *mcp = NULL;
    read_stream(&fuzz, data + 1, size - 1, (size_t)data[0] + 1);
    read_stream(&whole, data + 1, size - 1, size);
    demand(fuzz.n_messages == whole.n_messages);
    for (size_t i = 0; i < fuzz.n_messages; ++i)
        demand(strcmp(app_text_of(&fuzz.messages[i]), app_text_of(&whole.messages[i])) == 0);
    if (mcp_open_link(&mcp, "fuzz", &fuzz.link, NULL, &fault))
        check_tools(mcp);
    else
        demand(fault.size > 0 && !mcp);
    mcp_close(mcp);
    for (size_t i = 0; i < fuzz.n_messages; ++i) {
        app_text_free(&fuzz.messages[i]);
        app_text_free(&whole.messages[i]);
    }
    app_text_free(&fault);
    return 0;
}
