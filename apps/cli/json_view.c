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
    for (size_t node = app_json_first(json, array); node != JSON_NONE; node = app_json_next(json, array, node))
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
        app_text_format(out, "%.2f GiB", bytes / 1073741824.0);
    else if (bytes >= 1048576.0)
        app_text_format(out, "%.1f MiB", bytes / 1048576.0);
    else
        app_text_format(out, "%.0f bytes", bytes);
}

static void add_plain(const struct json *json, size_t node, bool in_bytes, struct text *out)
{
    if (in_bytes && app_json_is(json, node, JSON_NUMBER))
        add_bytes(app_json_number(json, node), out);
    else if (app_json_is(json, node, JSON_TRUE))
        app_text_add(out, "yes");
    else if (app_json_is(json, node, JSON_FALSE))
        app_text_add(out, "no");
    else if (app_json_is(json, node, JSON_NULL))
        app_text_add(out, "-");
    else
        app_json_content(json, node, out);
}

static void add_list(const struct json *json, size_t array, struct text *out)
{
    for (size_t node = app_json_first(json, array); node != JSON_NONE; node = app_json_next(json, array, node)) {
        app_text_add(out, node == array + 1 ? "" : ", ");
        add_plain(json, node, false, out);
    }
    app_text_add(out, app_json_first(json, array) == JSON_NONE ? "none\n" : "\n");
}

// The name as a person writes it; true if its value is a number of bytes.
static bool add_name(const struct json *json, size_t key, struct text *name)
{
    app_json_content(json, key, name);
    const bool suffix = ends_with(name, "_bytes"), in_bytes = suffix || strcmp(app_text_of(name), "bytes") == 0;
    if (suffix)
        name->data[name->size -= 6] = '\0';
    for (size_t i = 0; i < name->size; ++i)
        if (name->data[i] == '_')
            name->data[i] = ' ';
    return in_bytes;
}

static void add_member(const struct json *json, size_t key, size_t value, unsigned indent, int width, struct text *out)
{
    struct text name = { 0 };
    const bool in_bytes = add_name(json, key, &name);
    const bool inline_value = is_plain(json, value) || (app_json_is(json, value, JSON_ARRAY) && all_plain(json, value));
    app_text_format(out, "%*s%-*s", (int)indent, "", inline_value ? width : 0, app_text_of(&name));
    if (is_plain(json, value)) {
        app_text_add(out, "  ");
        add_plain(json, value, in_bytes, out);
        app_text_add(out, "\n");
    } else if (inline_value) {
        app_text_add(out, "  ");
        add_list(json, value, out);
    } else {
        app_text_add(out, "\n");
        json_view(json, value, indent + 2, out);
    }
    app_text_free(&name);
}

// ---------------------------------------------------------------------------------------------------- tables

enum { TABLE_COLUMNS_MAX = 8 };

// Objects of plain values that all have the first one's number of members.
static bool is_table(const struct json *json, size_t array)
{
    const size_t first = app_json_first(json, array);
    if (first == JSON_NONE)
        return false;
    const size_t n_columns = app_json_count(json, first);
    for (size_t row = first; row != JSON_NONE; row = app_json_next(json, array, row)) {
        if (!app_json_is(json, row, JSON_OBJECT) || !all_plain(json, row) || app_json_count(json, row) != n_columns)
            return false;
    }
    return n_columns > 0 && n_columns <= TABLE_COLUMNS_MAX;
}

// The cell of a row (JSON_NONE: of the heading), as text.
static void add_cell(const struct json *json, size_t heading, size_t row, size_t column, struct text *out)
{
    size_t key = app_json_first(json, row == JSON_NONE ? heading : row);
    for (size_t i = 0; i < 2 * column; ++i)
        key = app_json_next(json, row == JSON_NONE ? heading : row, key);
    struct text name = { 0 };
    const bool in_bytes = add_name(json, key, &name);
    if (row == JSON_NONE)
        app_text_add(out, app_text_of(&name));
    else
        add_plain(json, app_json_next(json, row, key), in_bytes, out);
    app_text_free(&name);
}

static size_t columns_on_screen(const struct text *cell)
{
    size_t n = 0;
    for (size_t i = 0; i < cell->size; ++i)
        n += (cell->data[i] & 0xc0) != 0x80;
    return n;
}

static size_t cell_width(const struct json *json, size_t heading, size_t row, size_t column)
{
    struct text cell = { 0 };
    add_cell(json, heading, row, column, &cell);
    const size_t width = columns_on_screen(&cell);
    app_text_free(&cell);
    return width;
}

static void add_row(const struct json *json, size_t heading, size_t row, const size_t *widths, size_t n_columns,
                    unsigned indent, struct text *out)
{
    app_text_format(out, "%*s", (int)indent, "");
    for (size_t c = 0; c < n_columns; ++c) {
        struct text cell = { 0 };
        add_cell(json, heading, row, c, &cell);
        app_text_add(out, app_text_of(&cell));
        if (c + 1 < n_columns)
            app_text_format(out, "%*s", (int)(widths[c] - columns_on_screen(&cell) + 2), "");
        app_text_free(&cell);
    }
    app_text_add(out, "\n");
}

static void add_table(const struct json *json, size_t array, unsigned indent, struct text *out)
{
    const size_t first = app_json_first(json, array), n_columns = app_json_count(json, first);
    size_t widths[TABLE_COLUMNS_MAX] = { 0 };
    for (size_t c = 0; c < n_columns; ++c) {
        widths[c] = cell_width(json, first, JSON_NONE, c);
        for (size_t row = first; row != JSON_NONE; row = app_json_next(json, array, row))
            if (cell_width(json, first, row, c) > widths[c])
                widths[c] = cell_width(json, first, row, c);
    }
    add_row(json, first, JSON_NONE, widths, n_columns, indent, out);
    for (size_t row = first; row != JSON_NONE; row = app_json_next(json, array, row))
        add_row(json, first, row, widths, n_columns, indent, out);
}

void json_view(const struct json *json, size_t node, unsigned indent, struct text *out)
{
    if (app_json_is(json, node, JSON_ARRAY) && is_table(json, node)) {
        add_table(json, node, indent, out);
        return;
    }
    if (app_json_is(json, node, JSON_ARRAY)) {
        for (size_t item = app_json_first(json, node); item != JSON_NONE; item = app_json_next(json, node, item)) {
            json_view(json, item, indent, out);
            if (app_json_next(json, node, item) != JSON_NONE && !is_plain(json, item))
                app_text_add(out, "\n");
        }
        return;
    }
    if (!app_json_is(json, node, JSON_OBJECT)) {
        app_text_format(out, "%*s", (int)indent, "");
        add_plain(json, node, false, out);
        app_text_add(out, "\n");
        return;
    }
    int width = 0;
    for (size_t key = app_json_first(json, node); key != JSON_NONE;) {
        const int size = (int)(json->nodes[key].end - json->nodes[key].start) - 2;
        const size_t value = app_json_next(json, node, key);
        if (size > width && is_plain(json, value))
            width = size;
        key = app_json_next(json, node, value);
    }
    for (size_t key = app_json_first(json, node); key != JSON_NONE;) {
        const size_t value = app_json_next(json, node, key);
        add_member(json, key, value, indent, width, out);
        key = app_json_next(json, node, value);
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
    } else if (!app_json_parse(&json, source, strlen(source), &out)) {
        code = cli_fail("the library's answer is no JSON: %s", out.data);
    } else {
        json_view(&json, 0, 0, &out);
        terminal_write(stdout, app_text_of(&out), out.size);
        app_json_free(&json);
        code = cli_done();
    }
    app_text_free(&out);
    return code;
}
