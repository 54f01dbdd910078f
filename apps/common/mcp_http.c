// common/mcp_http.c -- a tool server at an address: MCP's "streamable HTTP" on libcurl.
//
// Every message of ours is a POST of its own. What the server has to say comes in the replies: one message as JSON, or
// several as a stream of events, the last of which is the answer.
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/mcp_link.h"
#include "common/platform.h"
#include "common/sse.h"

#define LOOK_MS 50 // between two looks at what is not waited for: `stop`
#define CONNECT_MS 20000L
#define GOODBYE_MS 1000u
#define REDIRECTS_MAX 3
#define WORDS_BYTES 1024u // kept of a reply that is no message, for the sentence about it

enum form { FORM_UNKNOWN, FORM_JSON, FORM_EVENTS, FORM_OTHER };

struct post {
    struct post *next;
    struct http_link *http;
    CURL *easy;
    struct curl_slist *headers;
    struct text body, reply; // what is sent; what came, unless events
    struct sse sse;
    enum form form;
    bool wants_answer, too_long;
    int n_redirects;
    char fault[CURL_ERROR_SIZE];
};

struct note {
    struct note *next;
    struct text text;
};

struct http_link {
    struct mcp_link link;
    CURLM *multi;
    char *url;
    char **headers; // of the configuration
    bool is_near;   // this machine
    struct text session, version;
    struct post *posts;         // under way
    struct note *first, **last; // messages that nobody has asked for yet
};

// ---------------------------------------------------------------------------------------------------- what comes in

static void put_note(struct http_link *http, const struct text *text)
{
    struct note *note = app_memory_new(1, sizeof *note);
    app_text_append(&note->text, app_text_of(text), text->size);
    *http->last = note;
    http->last = &note->next;
}

static bool take_note(struct http_link *http, struct text *message)
{
    struct note *note = http->first;
    if (!note)
        return false;
    http->first = note->next;
    if (!http->first)
        http->last = &http->first;
    app_text_free(message);
    *message = note->text;
    free(note);
    return true;
}

static void on_event(void *user, const char *type, const struct text *data)
{
    struct post *post = user;
    if (strcmp(type, "message") == 0)
        put_note(post->http, data);
}

static bool is_type(const char *content_type, const char *wanted)
{
    const size_t n = strlen(wanted);
    return content_type && curl_strnequal(content_type, wanted, n) && strchr("; \t", content_type[n]);
}

static enum form form_of(const struct post *post)
{
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(post->easy, CURLINFO_CONTENT_TYPE, &type);
    if (status < 200 || status > 299)
        return FORM_OTHER;
    return is_type(type, "application/json")    ? FORM_JSON
           : is_type(type, "text/event-stream") ? FORM_EVENTS
                                                : FORM_OTHER;
}

static size_t on_bytes(char *bytes, size_t one, size_t size, void *user)
{
    struct post *post = user;
    size_t room = MCP_MESSAGE_BYTES_MAX - post->reply.size;
    (void)one;
    if (post->form == FORM_UNKNOWN)
        post->form = form_of(post);
    if (post->form == FORM_EVENTS) {
        post->too_long = !sse_feed(&post->sse, bytes, size, on_event, post);
    } else if (post->form == FORM_JSON) {
        post->too_long = size > room;
        app_text_append(&post->reply, bytes, size < room ? size : room);
    } else {
        // No message. Its beginning is worth telling; the rest is not waited for.
        room = WORDS_BYTES - post->reply.size;
        app_text_append(&post->reply, bytes, size < room ? size : room);
        return post->reply.size < WORDS_BYTES ? size : CURL_WRITEFUNC_ERROR;
    }
    return post->too_long ? CURL_WRITEFUNC_ERROR : size;
}

// ---------------------------------------------------------------------------------------------------- posts

static void drop_post(struct post *post)
{
    for (struct post **at = &post->http->posts; *at; at = &(*at)->next)
        if (*at == post) {
            *at = post->next;
            break;
        }
    curl_multi_remove_handle(post->http->multi, post->easy);
    curl_easy_cleanup(post->easy);
    curl_slist_free_all(post->headers);
    app_text_free(&post->body);
    app_text_free(&post->reply);
    sse_free(&post->sse);
    free(post);
}

static void add_header(struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = curl_slist_append(*list, header);
    if (longer)
        *list = longer;
}

static struct curl_slist *headers_of(const struct http_link *http)
{
    struct curl_slist *list = NULL;
    struct text header = { 0 };
    add_header(&list, "Content-Type: application/json");
    add_header(&list, "Accept: application/json, text/event-stream");
    add_header(&list, "Expect:"); // no asking before a long body
    if (http->session.size) {
        app_text_format(&header, "Mcp-Session-Id: %s", http->session.data);
        add_header(&list, header.data);
        app_text_clear(&header);
    }
    if (http->version.size) {
        app_text_format(&header, "MCP-Protocol-Version: %s", http->version.data);
        add_header(&list, header.data);
    }
    for (char **own = http->headers; *own; ++own)
        add_header(&list, *own);
    app_text_free(&header);
    return list;
}

static void set_common(CURL *easy, const struct http_link *http, struct curl_slist *headers)
{
    curl_easy_setopt(easy, CURLOPT_URL, http->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "karat");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); // there may be other threads
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    if (http->is_near)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static struct post *begin_post(struct http_link *http, const struct text *message, bool wants_answer)
{
    struct post *post = app_memory_new(1, sizeof *post);
    *post = (struct post){
        .next = http->posts,
        .http = http,
        .easy = curl_easy_init(),
        .headers = headers_of(http),
        .wants_answer = wants_answer,
    };
    http->posts = post;
    app_text_append(&post->body, app_text_of(message), message->size);
    set_common(post->easy, http, post->headers);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, post->body.data);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.size);
    curl_easy_setopt(post->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(post->easy, CURLOPT_WRITEDATA, post);
    curl_easy_setopt(post->easy, CURLOPT_ERRORBUFFER, post->fault);
    curl_easy_setopt(post->easy, CURLOPT_PRIVATE, post);
    curl_multi_add_handle(http->multi, post->easy);
    return post;
}

// ---------------------------------------------------------------------------------------------------- their ends

// Scheme, host and port are the same: what our headers say is meant for both.
static bool is_same_place(const char *a, const char *b)
{
    static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
    CURLU *left = curl_url(), *right = curl_url();
    bool same =
        curl_url_set(left, CURLUPART_URL, a, 0) == CURLUE_OK && curl_url_set(right, CURLUPART_URL, b, 0) == CURLUE_OK;
    for (size_t i = 0; same && i < sizeof parts / sizeof *parts; ++i) {
        char *x = NULL, *y = NULL;
        same = curl_url_get(left, parts[i], &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(right, parts[i], &y, CURLU_DEFAULT_PORT) == CURLUE_OK && curl_strequal(x, y);
        curl_free(x);
        curl_free(y);
    }
    curl_url_cleanup(left);
    curl_url_cleanup(right);
    return same;
}

// The same message again, at the address that the server names.
static enum mcp_passed follow(struct post *post, struct text *why)
{
    char *place = NULL;
    curl_easy_getinfo(post->easy, CURLINFO_REDIRECT_URL, &place);
    if (!place || ++post->n_redirects > REDIRECTS_MAX) {
        app_text_add(why, place ? "sends us from one address to the next" : "redirects to no address");
        return MCP_FAILED;
    }
    if (!is_same_place(place, post->http->url)) {
        app_text_format(why, "sends us to another host, where we do not follow: %.200s", place);
        return MCP_FAILED;
    }
    curl_multi_remove_handle(post->http->multi, post->easy);
    curl_easy_setopt(post->easy, CURLOPT_URL, place);
    app_text_clear(&post->reply);
    post->form = FORM_UNKNOWN;
    curl_multi_add_handle(post->http->multi, post->easy);
    return MCP_PASSED;
}

// A new server names the session in its answer to the greeting.
static void learn_session(struct post *post)
{
    struct curl_header *header = NULL;
    if (post->http->session.size > 0 ||
        curl_easy_header(post->easy, "Mcp-Session-Id", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return;
    for (const char *at = header->value; *at; ++at)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at > '~')
            return;
    app_text_add(&post->http->session, header->value);
}

static enum mcp_passed judge_status(struct post *post, long status, struct text *why)
{
    if (status == 404 && post->http->session.size > 0) {
        app_text_clear(&post->http->session);
        app_text_add(why, "has forgotten the session");
        return MCP_FORGOTTEN;
    }
    app_text_format(why, "answers with HTTP status %ld%s", status,
                    status == 401 ? ", so it wants a header \"Authorization\"" : "");
    mcp_add_words(why, app_text_of(&post->reply), post->reply.size);
    return MCP_FAILED;
}

static enum mcp_passed judge_answer(struct post *post, struct text *why)
{
    const char *type = NULL;
    curl_easy_getinfo(post->easy, CURLINFO_CONTENT_TYPE, &type);
    const bool empty = post->form == FORM_UNKNOWN;
    if (empty)
        post->form = form_of(post);
    if (!post->wants_answer || post->form == FORM_EVENTS)
        return MCP_PASSED;
    if (post->form == FORM_JSON) {
        put_note(post->http, &post->reply);
        return MCP_PASSED;
    }
    if (empty)
        app_text_add(why, "answers nothing");
    else
        app_text_format(why, "answers in the form %.100s, not in JSON", type ? type : "of bytes");
    mcp_add_words(why, app_text_of(&post->reply), post->reply.size);
    return MCP_FAILED;
}

// A post has come to its end, which may be the beginning of another.
static enum mcp_passed end_post(struct post *post, CURLcode result, struct text *why)
{
    long status = 0;
    enum mcp_passed passed;
    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
    if (post->too_long) {
        app_text_add(why, "answers without end");
        passed = MCP_FAILED;
    } else if (result != CURLE_OK && post->form != FORM_OTHER) {
        app_text_format(why, "cannot be reached: %s", *post->fault ? post->fault : curl_easy_strerror(result));
        passed = MCP_FAILED;
    } else if (status == 301 || status == 302 || status == 307 || status == 308) {
        passed = follow(post, why);
        if (passed == MCP_PASSED)
            return passed;
    } else if (status < 200 || status > 299) {
        passed = judge_status(post, status, why);
    } else {
        learn_session(post);
        passed = judge_answer(post, why);
    }
    drop_post(post);
    return passed;
}

// Lets all posts go on, at most LOOK_MS. The first that fails is told about.
static enum mcp_passed advance(struct http_link *http, bool wait, struct text *why)
{
    int n_running = 0, n_left = 0;
    enum mcp_passed passed = MCP_PASSED;
    const CURLMsg *end;
    curl_multi_perform(http->multi, &n_running);
    while (passed == MCP_PASSED && (end = curl_multi_info_read(http->multi, &n_left)))
        if (end->msg == CURLMSG_DONE) {
            struct post *post = NULL;
            curl_easy_getinfo(end->easy_handle, CURLINFO_PRIVATE, (char **)&post);
            passed = end_post(post, end->data.result, why);
        }
    if (wait && passed == MCP_PASSED && !http->first && http->posts)
        curl_multi_poll(http->multi, NULL, 0, LOOK_MS, NULL);
    return passed;
}

static bool is_under_way(const struct http_link *http, const struct post *post)
{
    for (const struct post *p = http->posts; p; p = p->next)
        if (post ? p == post : p->wants_answer)
            return true;
    return false;
}

// Why a wait is over, if it is.
static enum mcp_passed look_up(unsigned long long start_ms, unsigned timeout_ms, const struct stop *stop,
                               struct text *why)
{
    const bool stopped = stop_asked(stop), late = platform_clock_ns() / 1000000u - start_ms >= timeout_ms;
    if (!stopped && !late)
        return MCP_PASSED;
    app_text_add(why, stopped ? "was not waited for" : "does not answer");
    return MCP_GIVEN_UP;
}

// ---------------------------------------------------------------------------------------------------- the link

static enum mcp_passed http_send(struct mcp_link *link, const struct text *message, bool wants_answer,
                                 unsigned timeout_ms, const struct stop *stop, struct text *why)
{
    struct http_link *http = (struct http_link *)link;
    const unsigned long long start_ms = platform_clock_ns() / 1000000u;
    struct post *post = begin_post(http, message, wants_answer);
    enum mcp_passed passed = advance(http, false, why);
    while (passed == MCP_PASSED && !wants_answer && is_under_way(http, post)) {
        passed = look_up(start_ms, timeout_ms, stop, why);
        if (passed != MCP_PASSED)
            drop_post(post);
        else
            passed = advance(http, true, why);
    }
    return passed;
}

static enum mcp_passed http_hear(struct mcp_link *link, struct text *message, unsigned timeout_ms,
                                 const struct stop *stop, struct text *why)
{
    struct http_link *http = (struct http_link *)link;
    const unsigned long long start_ms = platform_clock_ns() / 1000000u;
    enum mcp_passed passed = MCP_PASSED;
    while (passed == MCP_PASSED && !take_note(http, message)) {
        if (!is_under_way(http, NULL)) {
            app_text_add(why, "ended its reply before the answer");
            return MCP_FAILED;
        }
        passed = look_up(start_ms, timeout_ms, stop, why);
        if (passed == MCP_PASSED)
            passed = advance(http, true, why);
    }
    while (passed != MCP_PASSED && http->posts)
        drop_post(http->posts); // no late answer is taken for another's
    return passed;
}

static void http_agreed(struct mcp_link *link, const char *version)
{
    struct http_link *http = (struct http_link *)link;
    app_text_clear(&http->version);
    app_text_add(&http->version, version);
}

// The session is over. Servers may refuse to hear of it.
static void say_goodbye(struct http_link *http)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = headers_of(http);
    struct post ignored = { .form = FORM_OTHER };
    set_common(easy, http, headers);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)GOODBYE_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &ignored);
    curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    app_text_free(&ignored.reply);
}

static void http_close(struct mcp_link *link)
{
    struct http_link *http = (struct http_link *)link;
    struct text rest = { 0 };
    while (http->posts)
        drop_post(http->posts);
    if (http->session.size > 0)
        say_goodbye(http);
    while (take_note(http, &rest))
        continue;
    app_text_free(&rest);
    curl_multi_cleanup(http->multi);
    for (char **header = http->headers; *header; ++header)
        free(*header);
    free(http->headers);
    free(http->url);
    app_text_free(&http->session);
    app_text_free(&http->version);
    free(http);
}

// Whether the address names this machine, so that no proxy stands between.
static bool is_near(CURLU *address)
{
    char *host = NULL;
    if (curl_url_get(address, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return false;
    const bool near_us =
        curl_strequal(host, "localhost") || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
    curl_free(host);
    return near_us;
}

struct mcp_link *mcp_http_open(const char *url, const char *const *headers, struct text *why)
{
    size_t n = 0;
    char *scheme = NULL;
    CURLU *address = curl_url();
    curl_global_init(CURL_GLOBAL_DEFAULT); // counts; never undone, because others may use it
    const bool good = curl_url_set(address, CURLUPART_URL, url, 0) == CURLUE_OK &&
                      curl_url_get(address, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                      (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    struct http_link *http = NULL;
    if (good) {
        http = app_memory_new(1, sizeof *http);
        while (headers[n])
            ++n;
        http->headers = app_memory_new(n + 1, sizeof(char *));
        for (size_t i = 0; i < n; ++i)
            http->headers[i] = app_memory_copy(headers[i], strlen(headers[i]));
        http->url = app_memory_copy(url, strlen(url));
        http->is_near = is_near(address);
        http->multi = curl_multi_init();
        http->last = &http->first;
        http->link =
            (struct mcp_link){ .send = http_send, .hear = http_hear, .agreed = http_agreed, .close = http_close };
    } else {
        app_text_format(why, "has the url %.200s, which is no address of http or https", url);
    }
    curl_free(scheme);
    curl_url_cleanup(address);
    return http ? &http->link : NULL;
}
