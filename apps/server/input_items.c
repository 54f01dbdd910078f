// server/input_items.c -- see input_items.h.
#include "server/input_items.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>

#include "server/state.h"

// ---------------------------------------------------------------------------------------------------- items

static bool is_one_of(const struct json *json, size_t node, const char *const *names)
{
    for (; *names; ++names)
        if (app_json_equals(json, node, *names))
            return true;
    return false;
}

static void add_id(struct text *out, const struct json *json, size_t item, const char *type)
{
    static const struct {
        const char *type, *prefix;
    } prefixes[] = {
        { "message", "msg_" }, { "reasoning", "rs_" }, { "function_call", "fc_" }, { "function_call_output", "fco_" }
    };
    const size_t id = app_json_member(json, item, "id");
    char name[33];
    if (app_json_is(json, id, JSON_STRING)) {
        app_text_add(out, "{\"id\":");
        app_json_raw(json, id, out);
        return;
    }
    server_random_name(name, sizeof name - 1);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; ++i)
        if (strcmp(prefixes[i].type, type) == 0)
            app_text_format(out, "{\"id\":\"%s%s\"", prefixes[i].prefix, name);
}

static const char *part_type(const struct json *json, size_t item, const char *type)
{
    if (strcmp(type, "reasoning") == 0)
        return "reasoning_text";
    return app_json_equals(json, app_json_member(json, item, "role"), "assistant") ? "output_text" : "input_text";
}

// A text is a list of one part.
static void add_content(struct text *out, const struct json *json, size_t content, const char *part)
{
    app_text_add(out, ",\"content\":");
    if (!app_json_is(json, content, JSON_STRING)) {
        app_json_raw(json, content, out);
        return;
    }
    app_text_format(out, "[{\"type\":\"%s\",\"text\":", part);
    app_json_raw(json, content, out);
    app_text_add(out, strcmp(part, "output_text") == 0 ? ",\"annotations\":[]}]" : "}]");
}

static void add_item(struct text *out, const struct json *json, size_t item)
{
    static const char *const told[] = { "id", "type", "status", "content", NULL };
    const size_t named = app_json_member(json, item, "type"), content = app_json_member(json, item, "content");
    struct text type = { 0 };
    app_json_content(json, named, &type);
    if (!app_json_is(json, named, JSON_STRING)) {
        app_text_clear(&type);
        app_text_add(&type, "message");
    }
    app_text_add(out, out->size ? "," : "");
    add_id(out, json, item, type.data);
    app_text_format(out, ",\"type\":\"%s\",\"status\":\"completed\"", type.data);
    if (content != JSON_NONE)
        add_content(out, json, content, part_type(json, item, type.data));
    for (size_t key = app_json_first(json, item); key != JSON_NONE; key = app_json_next(json, item, key)) {
        const size_t value = app_json_next(json, item, key);
        if (!is_one_of(json, key, told)) {
            app_text_add(out, ",");
            app_json_raw(json, key, out);
            app_text_add(out, ":");
            app_json_raw(json, value, out);
        }
        key = value;
    }
    app_text_add(out, "}");
    app_text_free(&type);
}

void input_items_add_request(struct text *items, const struct json *json)
{
    const size_t input = app_json_member(json, 0, "input");
    char name[33];
    if (app_json_is(json, input, JSON_STRING)) {
        server_random_name(name, sizeof name - 1);
        app_text_format(items, "%s{\"id\":\"msg_%s\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"user\"",
                        items->size ? "," : "", name);
        add_content(items, json, input, "input_text");
        app_text_add(items, "}");
        return;
    }
    for (size_t i = app_json_first(json, input); i != JSON_NONE; i = app_json_next(json, input, i))
        add_item(items, json, i);
}

void input_items_add_output(struct text *items, const struct text *body)
{
    struct json json = { 0 };
    struct text why = { 0 };
    if (app_json_parse(&json, app_text_of(body), body->size, &why)) {
        const size_t output = app_json_member(&json, 0, "output");
        for (size_t i = app_json_first(&json, output); i != JSON_NONE; i = app_json_next(&json, output, i)) {
            app_text_add(items, items->size ? "," : "");
            app_json_raw(&json, i, items);
        }
    }
    app_json_free(&json);
    app_text_free(&why);
}

// ---------------------------------------------------------------------------------------------------- lists

struct page {
    size_t first, limit; // of the items in the order asked for
    bool oldest_first;
};

static bool read_page(struct page *page, const struct evkeyvalq *query, struct fault *fault)
{
    const char *limit = evhttp_find_header(query, "limit"), *order = evhttp_find_header(query, "order");
    *page = (struct page){ .limit = INPUT_ITEMS_PAGE };
    if (limit) {
        const bool is_short = *limit && strlen(limit) <= 3 && limit[strspn(limit, "0123456789")] == '\0';
        page->limit = is_short ? strtoul(limit, NULL, 10) : 0;
        if (page->limit < 1 || page->limit > INPUT_ITEMS_PAGE_MAX)
            return fault_set(fault, ERROR_INVALID, "limit", "limit is no whole number from 1 to %d",
                             INPUT_ITEMS_PAGE_MAX);
    }
    if (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0)
        return fault_set(fault, ERROR_INVALID, "order", "order is neither \"asc\" nor \"desc\"");
    page->oldest_first = order && strcmp(order, "asc") == 0;
    return true;
}

static size_t place_of(const struct page *page, size_t at, size_t n)
{
    return page->oldest_first ? at : n - 1 - at;
}

static bool go_after(struct page *page, const struct json *json, const size_t *nodes, size_t n, const char *after,
                     struct fault *fault)
{
    for (size_t at = 0; after && at < n; ++at)
        if (app_json_equals(json, app_json_member(json, nodes[place_of(page, at, n)], "id"), after)) {
            page->first = at + 1;
            return true;
        }
    return !after || fault_set(fault, ERROR_INVALID, "after", "after is the id of no item of this response");
}

static void add_id_of(struct text *out, const char *name, const struct json *json, size_t node)
{
    app_text_format(out, ",\"%s\":", name);
    if (node == JSON_NONE)
        app_text_add(out, "null");
    else
        app_json_raw(json, app_json_member(json, node, "id"), out);
}

static void write_page(struct text *out, const struct page *page, const struct json *json, const size_t *nodes,
                       size_t n)
{
    const size_t n_left = n - page->first, n_shown = n_left < page->limit ? n_left : page->limit;
    size_t first = JSON_NONE, last = JSON_NONE;
    app_text_add(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n_shown; ++i) {
        last = nodes[place_of(page, page->first + i, n)];
        first = i == 0 ? last : first;
        app_text_add(out, i ? "," : "");
        app_json_raw(json, last, out);
    }
    app_text_add(out, "]");
    add_id_of(out, "first_id", json, first);
    add_id_of(out, "last_id", json, last);
    app_text_format(out, ",\"has_more\":%s}", n_shown < n_left ? "true" : "false");
}

static bool list(struct text *out, const struct json *json, const struct evkeyvalq *query, struct fault *fault)
{
    const size_t n = app_json_count(json, 0);
    size_t *nodes = app_memory_new(n + 1, sizeof *nodes), at = 0;
    struct page page;
    for (size_t i = app_json_first(json, 0); i != JSON_NONE; i = app_json_next(json, 0, i))
        nodes[at++] = i;
    const bool ok =
        read_page(&page, query, fault) && go_after(&page, json, nodes, n, evhttp_find_header(query, "after"), fault);
    if (ok)
        write_page(out, &page, json, nodes, n);
    free(nodes);
    return ok;
}

bool input_items_list(struct text *out, const struct text *items, const char *query, struct fault *fault)
{
    struct text array = { 0 }, why = { 0 };
    struct json json = { 0 };
    struct evkeyvalq wishes;
    if (evhttp_parse_query_str(query ? query : "", &wishes) != 0)
        return fault_set(fault, ERROR_INVALID, NULL, "what follows the question mark cannot be read");
    app_text_format(&array, "[%s]", app_text_of(items));
    const bool ok = app_json_parse(&json, array.data, array.size, &why)
                        ? list(out, &json, &wishes, fault)
                        : fault_set(fault, ERROR_SERVER, NULL, "the items cannot be read: %s", why.data);
    evhttp_clear_headers(&wishes);
    app_json_free(&json);
    app_text_free(&array);
    app_text_free(&why);
    return ok;
}
