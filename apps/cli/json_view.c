// cli/json_view.c -- a JSON object as lines a person reads.
#include "cli/json_view.h"

#include <string.h>

#include "common/terminal.h"

static bool is_plain(const struct json *json, size_t node)
{
    return json->nodes[node].kind < JSON_ARRAY;
}

static bool all_plain(const struct json *json, size_t array)
{
    for (size_t node = json_first(json, array); node != JSON_NONE; node = json_next(json, array, node))
        if (!is_plain(json, node))
            return false;
    return true;
}

static bool ends_with(const struct text *text, const char *end)
{
    const size_t size = strlen(end);
    return text->size >= size && strcmp(text->data + text->size - size, end) == 0;
}

static void add_bytes(double bytes, struct text *out)
{
    if (bytes >= 1073741824.0)
        text_format(out, "%.2f GiB", bytes / 1073741824.0);
    else if (bytes >= 1048576.0)
        text_format(out, "%.1f MiB", bytes / 1048576.0);
    else
        text_format(out, "%.0f bytes", bytes);
}

static void add_plain(const struct json *json, size_t node, bool in_bytes, struct text *out)
{
    if (in_bytes && json_is(json, node, JSON_NUMBER))
        add_bytes(json_number(json, node), out);
    else if (json_is(json, node, JSON_TRUE))
        text_add(out, "yes");
    else if (json_is(json, node, JSON_FALSE))
        text_add(out, "no");
    else if (json_is(json, node, JSON_NULL))
        text_add(out, "-");
    else
        json_content(json, node, out);
}

static void add_list(const struct json *json, size_t array, struct text *out)
{
    for (size_t node = json_first(json, array); node != JSON_NONE; node = json_next(json, array, node)) {
        text_add(out, node == array + 1 ? "" : ", ");
        add_plain(json, node, false, out);
    }
    text_add(out, json_first(json, array) == JSON_NONE ? "none\n" : "\n");
}

static void add_member(const struct json *json, size_t key, size_t value, unsigned indent, int width, struct text *out)
{
    struct text name = { 0 };
    json_content(json, key, &name);
    const bool in_bytes = ends_with(&name, "_bytes") || strcmp(text_of(&name), "bytes") == 0;
    if (in_bytes && ends_with(&name, "_bytes"))
        name.data[name.size -= 6] = '\0';
    for (size_t i = 0; i < name.size; ++i)
        if (name.data[i] == '_')
            name.data[i] = ' ';
    const bool inline_value = is_plain(json, value) || (json_is(json, value, JSON_ARRAY) && all_plain(json, value));
    text_format(out, "%*s%-*s", (int)indent, "", inline_value ? width : 0, text_of(&name));
    if (is_plain(json, value)) {
        text_add(out, "  ");
        add_plain(json, value, in_bytes, out);
        text_add(out, "\n");
    } else if (inline_value) {
        text_add(out, "  ");
        add_list(json, value, out);
    } else {
        text_add(out, "\n");
        json_view(json, value, indent + 2, out);
    }
    text_free(&name);
}

void json_view(const struct json *json, size_t node, unsigned indent, struct text *out)
{
    if (json_is(json, node, JSON_ARRAY)) {
        for (size_t item = json_first(json, node); item != JSON_NONE; item = json_next(json, node, item)) {
            json_view(json, item, indent, out);
            if (json_next(json, node, item) != JSON_NONE && !is_plain(json, item))
                text_add(out, "\n");
        }
        return;
    }
    if (!json_is(json, node, JSON_OBJECT)) {
        text_format(out, "%*s", (int)indent, "");
        add_plain(json, node, false, out);
        text_add(out, "\n");
        return;
    }
    int width = 0;
    for (size_t key = json_first(json, node); key != JSON_NONE;) {
        const int size = (int)(json->nodes[key].end - json->nodes[key].start) - 2;
        const size_t value = json_next(json, node, key);
        if (size > width && is_plain(json, value))
            width = size;
        key = json_next(json, node, value);
    }
    for (size_t key = json_first(json, node); key != JSON_NONE;) {
        const size_t value = json_next(json, node, key);
        add_member(json, key, value, indent, width, out);
        key = json_next(json, node, value);
    }
}

int json_view_print(const struct cli_options *options, const char *source)
{
    struct json json;
    struct text out = { 0 };
    int code;
    if (options->json) {
        puts(source);
        code = cli_done();
    } else if (!json_parse(&json, source, strlen(source), &out)) {
        code = cli_fail("the library's answer is no JSON: %s", out.data);
    } else {
        json_view(&json, 0, 0, &out);
        terminal_write(stdout, text_of(&out), out.size);
        json_free(&json);
        code = cli_done();
    }
    text_free(&out);
    return code;
}
