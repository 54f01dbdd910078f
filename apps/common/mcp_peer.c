// common/mcp_peer.c -- JSON-RPC 2.0 with one MCP server.
#include "common/mcp_peer.h"

#include <stdlib.h>
#include <string.h>

#include "common/platform.h"

// A newer server answers with the version that it would rather speak. What is used here is the same in all of them.
#define PROTOCOL "2025-06-18"
#define NOTE_MS 20000u  // for what has no answer
#define CANCEL_MS 1000u // for what nobody waits for

bool mcp_peer_fail(const struct mcp_peer *peer, const char *what, struct text *fault)
{
    app_text_clear(fault);
    app_text_format(fault, "the tool server %s %s", peer->name, what);
    return false;
}

void mcp_add_words(struct text *why, const char *words, size_t size)
{
    size_t start = 0, n = 0;
    while (start < size && (unsigned char)words[start] <= ' ')
        ++start;
    while (start + n < size && n < 200 && words[start + n] != '\n' && words[start + n] != '\r')
        ++n;
    n = app_text_utf8_prefix(words + start, n);
    if (n == 0)
        return;
    app_text_add(why, " (it said: ");
    for (size_t i = start; i < start + n; ++i)
        app_text_append(why, (unsigned char)words[i] < ' ' ? " " : words + i, 1);
    app_text_add(why, ")");
}

// ---------------------------------------------------------------------------------------------------- messages

static enum mcp_passed send_note(struct mcp_peer *peer, const struct text *message, const struct stop *stop,
                                 struct text *why)
{
    return peer->link->send(peer->link, message, false, NOTE_MS, stop, why);
}

// What a server may ask of us: whether we are there. It is told that we can do nothing else.
static enum mcp_passed answer_request(struct mcp_peer *peer, const struct json *json, size_t method, size_t id,
                                      const struct stop *stop, struct text *why)
{
    struct text message = { 0 };
    app_text_add(&message, "{\"jsonrpc\":\"2.0\",\"id\":");
    app_json_raw(json, id, &message);
    app_text_add(&message, app_json_equals(json, method, "ping")
                               ? ",\"result\":{}}"
                               : ",\"error\":{\"code\":-32601,\"message\":\"not supported\"}}");
    const enum mcp_passed passed = send_note(peer, &message, stop, why);
    app_text_free(&message);
    return passed;
}

// Looks at one message. *is_answer: it is that to request `id`, and *json stays parsed.
static enum mcp_passed look_at(struct mcp_peer *peer, unsigned long long id, const struct text *message,
                               struct json *json, bool *is_answer, const struct stop *stop, struct text *why)
{
    struct text fault = { 0 };
    *is_answer = false;
    if (!app_json_parse(json, app_text_of(message), message->size, &fault)) {
        app_text_free(&fault);
        app_text_add(why, "says what is no JSON");
        return MCP_FAILED;
    }
    const size_t method = app_json_member(json, 0, "method"), said_id = app_json_member(json, 0, "id");
    enum mcp_passed passed = MCP_PASSED;
    if (method != JSON_NONE && said_id != JSON_NONE)
        passed = answer_request(peer, json, method, said_id, stop, why);
    else if (method == JSON_NONE && app_json_is(json, said_id, JSON_NUMBER))
        *is_answer = app_json_number(json, said_id) == (double)id;
    if (!*is_answer)
        app_json_free(json);
    return passed;
}

// Tells the server that nobody waits for the answer any more.
static void cancel(struct mcp_peer *peer, unsigned long long id)
{
    struct text message = { 0 }, why = { 0 };
    app_text_format(&message,
                    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%llu}}", id);
    peer->link->send(peer->link, &message, false, CANCEL_MS, NULL, &why);
    app_text_free(&message);
    app_text_free(&why);
}

static enum mcp_passed wait_for(struct mcp_peer *peer, unsigned long long id, unsigned timeout_ms,
                                const struct stop *stop, struct text *message, struct json *json, struct text *why)
{
    const unsigned long long start_ms = platform_clock_ns() / 1000000u;
    bool is_answer = false;
    enum mcp_passed passed = MCP_PASSED;
    while (passed == MCP_PASSED && !is_answer) {
        const unsigned long long past_ms = platform_clock_ns() / 1000000u - start_ms;
        passed =
            peer->link->hear(peer->link, message, past_ms < timeout_ms ? timeout_ms - (unsigned)past_ms : 0, stop, why);
        if (passed == MCP_PASSED && message->size > 0)
            passed = look_at(peer, id, message, json, &is_answer, stop, why);
    }
    if (passed == MCP_GIVEN_UP)
        cancel(peer, id);
    return passed;
}

static enum mcp_passed ask_once(struct mcp_peer *peer, const char *method, const char *params, unsigned timeout_ms,
                                const struct stop *stop, struct text *message, struct json *json, struct text *why)
{
    struct text request = { 0 };
    const unsigned long long id = ++peer->last_id;
    app_text_format(&request, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\",\"params\":%s}", id, method, params);
    enum mcp_passed passed = peer->link->send(peer->link, &request, true, timeout_ms, stop, why);
    if (passed == MCP_PASSED)
        passed = wait_for(peer, id, timeout_ms, stop, message, json, why);
    app_text_free(&request);
    return passed;
}

// ---------------------------------------------------------------------------------------------------- requests

// False where the answer is an error, which frees it.
static bool is_result(struct mcp_peer *peer, struct json *json, struct text *fault)
{
    struct text said = { 0 };
    const size_t error = app_json_member(json, 0, "error");
    if (error == JSON_NONE)
        return true;
    app_text_add(&said, "refuses: ");
    app_json_content(json, app_json_member(json, error, "message"), &said);
    mcp_peer_fail(peer, said.data, fault);
    app_text_free(&said);
    app_json_free(json);
    return false;
}

bool mcp_peer_ask(struct mcp_peer *peer, const char *method, const char *params, unsigned timeout_ms,
                  const struct stop *stop, struct text *message, struct json *json, struct text *fault)
{
    struct text why = { 0 };
    enum mcp_passed passed = ask_once(peer, method, params, timeout_ms, stop, message, json, &why);
    const bool greets = strcmp(method, "initialize") == 0;
    if (passed == MCP_FORGOTTEN && !greets) {
        app_text_clear(&why);
        if (!mcp_peer_greet(peer, stop, fault)) {
            app_text_free(&why);
            return false;
        }
        passed = ask_once(peer, method, params, timeout_ms, stop, message, json, &why);
    }
    if (passed != MCP_PASSED)
        mcp_peer_fail(peer, app_text_of(&why), fault);
    app_text_free(&why);
    return passed == MCP_PASSED && is_result(peer, json, fault);
}

// The version goes into a header of later requests, so it is made of nothing but what versions are made of.
static void agree(struct mcp_peer *peer, const struct json *json)
{
    struct text version = { 0 };
    app_json_content(json, app_json_member(json, app_json_member(json, 0, "result"), "protocolVersion"), &version);
    const char *text = app_text_of(&version);
    if (*text && version.size < 40 &&
        text[strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-")] == '\0')
        peer->link->agreed(peer->link, text);
    app_text_free(&version);
}

bool mcp_peer_greet(struct mcp_peer *peer, const struct stop *stop, struct text *fault)
{
    struct text message = { 0 }, note = { 0 }, why = { 0 };
    struct json json;
    bool ok = mcp_peer_ask(peer, "initialize",
                           "{\"protocolVersion\":\"" PROTOCOL
                           "\",\"capabilities\":{},\"clientInfo\":{\"name\":\"karat\",\"version\":\"1\"}}",
                           MCP_START_MS, stop, &message, &json, fault);
    if (ok) {
        if (peer->link->agreed)
            agree(peer, &json);
        app_json_free(&json);
        app_text_add(&note, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
        ok = send_note(peer, &note, stop, &why) == MCP_PASSED || mcp_peer_fail(peer, app_text_of(&why), fault);
    }
    app_text_free(&message);
    app_text_free(&note);
    app_text_free(&why);
    return ok;
}

void mcp_peer_close(struct mcp_peer *peer)
{
    if (peer->link)
        peer->link->close(peer->link);
    free(peer->name);
}
