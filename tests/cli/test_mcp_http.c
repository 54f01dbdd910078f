// tests/cli/test_mcp_http.c -- tool servers at an address that behave, and some that do not. KARAT_TEST_PYTHON runs
// KARAT_TEST_SERVER.
#include <stdlib.h>

#include "common/mcp_link.h"
#include "common/platform.h"
#include "common/process.h"
#include "test.h"

#define WAIT_MS 30000u
#define WORDS_MAX 8

struct bed {
    struct process *server;
    struct text url, heard, fault, answer;
    struct mcp *mcp;
};

static const char *const no_headers[] = { NULL };

static void bed_close(struct bed *bed)
{
    mcp_close(bed->mcp);
    process_end(bed->server);
    app_text_free(&bed->url);
    app_text_free(&bed->heard);
    app_text_free(&bed->fault);
    app_text_free(&bed->answer);
}

// Starts a server with these words and opens its tools; what went wrong, or "".
static const char *bed_open(struct bed *bed, const char *words, const char *const *headers, const struct stop *stop)
{
    static const char *const no_variables[] = { NULL };
    const char *list[WORDS_MAX + 3] = { getenv("KARAT_TEST_PYTHON"), getenv("KARAT_TEST_SERVER") };
    char *copy = app_memory_copy(words, strlen(words));
    size_t n = 2;
    for (char *word = strtok(copy, " "); word && n < WORDS_MAX + 2; word = strtok(NULL, " "))
        list[n++] = word;
    const bool started = process_start(&bed->server, list, no_variables, &bed->fault) &&
                         process_read_line(bed->server, &bed->url, WAIT_MS, NULL) == PROCESS_LINE;
    free(copy);
    if (!started)
        return "the test's server does not start";
    struct mcp_link *link = mcp_http_open(bed->url.data, headers, &bed->fault);
    if (link)
        mcp_open_link(&bed->mcp, "far", link, stop, &bed->fault);
    return app_text_of(&bed->fault);
}

static void check_call(struct test *t, struct bed *bed, const struct stop *stop, const char *wanted)
{
    app_text_clear(&bed->answer);
    mcp_call(bed->mcp, "get_weather", "{\"city\": \"Oslo\"}", stop, &bed->answer);
    CHECK_TEXT(app_text_of(&bed->answer), wanted);
}

#define ANSWER "{\"asked\": \"get_weather\", \"city\": \"Oslo\"}"

// The server's next line about what it was asked.
static void check_asked(struct test *t, struct bed *bed, const char *wanted)
{
    if (CHECK_UINT(process_read_line(bed->server, &bed->heard, WAIT_MS, NULL), PROCESS_LINE))
        CHECK_TEXT(app_text_of(&bed->heard), wanted);
}

static bool asked_at_once(void *user)
{
    (void)user;
    return true;
}

// True from the second look on, so that a request is under way.
static bool asked_soon(void *user)
{
    unsigned *n_looks = user;
    return ++*n_looks > 2;
}

TEST(tools_are_listed_and_called)
{
    static const char *const rows[] = { "json", "events", "json session", "session", "chatty", "moved json" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct bed bed = { 0 };
        t->row = rows[i];
        const char *fault = bed_open(&bed, rows[i], no_headers, NULL);
        if (CHECK_TEXT(fault, "")) {
            CHECK_UINT(mcp_n_tools(bed.mcp), 1);
            check_call(t, &bed, NULL, ANSWER);
            check_call(t, &bed, NULL, ANSWER);
        }
        bed_close(&bed);
    }
    t->row = NULL;
}

TEST(a_server_may_ask_whether_we_are_there)
{
    struct bed bed = { 0 };
    const char *fault = bed_open(&bed, "chatty", no_headers, NULL);
    CHECK_TEXT(fault, "");
    check_asked(t, &bed, "initialize");
    check_asked(t, &bed, "answer theirs {}");
    check_asked(t, &bed, "notifications/initialized");
    bed_close(&bed);
}

TEST(headers_of_the_configuration_are_sent)
{
    static const char *const headers[] = { "X-Test: yes", NULL };
    struct bed bed = { 0 };
    const char *fault = bed_open(&bed, "json header:yes", headers, NULL);
    CHECK_TEXT(fault, "");
    bed_close(&bed);
    bed = (struct bed){ 0 };
    fault = bed_open(&bed, "json header:yes", no_headers, NULL);
    CHECK_TEXT(fault, "the tool server far answers with HTTP status 400 (it said: other headers are wanted)");
    bed_close(&bed);
}

TEST(a_session_that_was_forgotten_begins_anew_and_ends_in_the_end)
{
    static const char *const asked[] = { "initialize", "notifications/initialized", "tools/list", "tools/call",
                                         "initialize", "notifications/initialized", "tools/call", "DELETE session-0" };
    struct bed bed = { 0 };
    const char *fault = bed_open(&bed, "session forgets", no_headers, NULL);
    if (CHECK_TEXT(fault, "")) {
        check_call(t, &bed, NULL, ANSWER);
        mcp_close(bed.mcp);
        bed.mcp = NULL;
        for (size_t i = 0; i < sizeof asked / sizeof *asked; ++i)
            check_asked(t, &bed, asked[i]);
    }
    bed_close(&bed);
}

TEST(a_call_that_is_not_waited_for_ends)
{
    unsigned n_looks = 0;
    const struct stop soon = { .asked = asked_soon, .user = &n_looks }, at_once = { .asked = asked_at_once };
    struct bed bed = { 0 };
    const char *fault = bed_open(&bed, "silent json", no_headers, NULL);
    if (CHECK_TEXT(fault, "")) {
        check_call(t, &bed, &soon, "{\"error\": \"the tool server far was not waited for\"}");
        for (size_t i = 0; i < 4; ++i)
            process_read_line(bed.server, &bed.heard, WAIT_MS, NULL);
        check_asked(t, &bed, "notifications/cancelled");
    }
    bed_close(&bed);
    bed = (struct bed){ 0 };
    fault = bed_open(&bed, "json", no_headers, &at_once);
    CHECK_TEXT(fault, "the tool server far was not waited for");
    bed_close(&bed);
}

TEST(servers_that_misbehave_are_named)
{
    static const struct {
        const char *words, *fault;
    } rows[] = {
        { "html", "answers in the form text/html, not in JSON (it said: <p>Hello</p>)" },
        { "status:500", "answers with HTTP status 500 (it said: no licence)" },
        { "status:404", "answers with HTTP status 404 (it said: no licence)" },
        { "status:401", "answers with HTTP status 401, so it wants a header \"Authorization\" (it said: no licence)" },
        { "garbage", "says what is no JSON" },
        { "endless", "answers without end" },
        { "endless-events", "answers without end" },
        { "empty", "answers nothing" },
        { "tls", "cannot be reached: SSL certificate problem: self-signed certificate" },
        { "circle", "sends us from one address to the next" },
        { "elsewhere", "sends us to another host, where we do not follow: http://localhost:9/mcp" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct bed bed = { 0 };
        struct text wanted = { 0 };
        t->row = rows[i].words;
        app_text_format(&wanted, "the tool server far %s", rows[i].fault);
        const char *fault = bed_open(&bed, rows[i].words, no_headers, NULL);
        CHECK_TEXT(fault, wanted.data);
        CHECK(!bed.mcp);
        app_text_free(&wanted);
        bed_close(&bed);
    }
    t->row = NULL;
    struct bed bed = { 0 };
    const char *fault = bed_open(&bed, "cut", no_headers, NULL);
    if (CHECK_TEXT(fault, ""))
        check_call(t, &bed, NULL, "{\"error\": \"the tool server far ended its reply before the answer\"}");
    bed_close(&bed);
}

TEST(time_runs_out)
{
    struct bed bed = { 0 };
    struct text why = { 0 }, call = { 0 }, heard = { 0 };
    const char *fault = bed_open(&bed, "silent json", no_headers, NULL);
    struct mcp_link *link = mcp_http_open(app_text_of(&bed.url), no_headers, &why);
    app_text_add(&call, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}");
    if (CHECK_TEXT(fault, "") && CHECK(link)) {
        CHECK_UINT(link->send(link, &call, true, 100, NULL, &why), MCP_PASSED);
        CHECK_UINT(link->hear(link, &heard, 100, NULL, &why), MCP_GIVEN_UP);
        CHECK_TEXT(app_text_of(&why), "does not answer");
        link->close(link);
    }
    app_text_free(&why);
    app_text_free(&call);
    app_text_free(&heard);
    bed_close(&bed);
}
