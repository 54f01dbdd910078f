// cli/ids.c -- lists of token ids that a user or another program wrote.
#include "cli/ids.h"

#include <stdlib.h>

#include "common/json.h"

static bool take_ids(const struct json *json, uint32_t *ids, struct text *fault)
{
    size_t n = 0;
    for (size_t node = app_json_first(json, 0); node != JSON_NONE; node = app_json_next(json, 0, node)) {
        const double value = app_json_number(json, node);
        if (!app_json_is(json, node, JSON_NUMBER) || value < 0 || value > UINT32_MAX ||
            value != (double)(uint32_t)value) {
            app_text_format(fault, "entry %zu is not a token id: ", n + 1);
            app_json_raw(json, node, fault);
            return false;
        }
        ids[n++] = (uint32_t)value;
    }
    return true;
}

bool ids_parse(const char *list, size_t size, uint32_t **ids, size_t *n_ids, struct text *fault)
{
    struct json json;
    struct text source = { 0 };
    size_t first = 0;
    while (first < size && (list[first] == ' ' || list[first] == '\n' || list[first] == '\t' || list[first] == '\r'))
        first++;
    const bool bare = first < size && list[first] != '[' && list[first] != '{';
    app_text_add(&source, bare ? "[" : "");
    app_text_append(&source, list, size);
    app_text_add(&source, bare ? "]" : "");

    const bool parsed = app_json_parse(&json, source.data, source.size, fault);
    bool good = parsed && app_json_is(&json, 0, JSON_ARRAY);
    if (parsed && !good)
        app_text_add(fault, "expected an array of token ids");
    if (good) {
        *n_ids = app_json_count(&json, 0);
        *ids = app_memory_new(*n_ids, sizeof **ids);
        good = take_ids(&json, *ids, fault);
        if (!good)
            free(*ids);
    }
    if (parsed)
        app_json_free(&json);
    app_text_free(&source);
    return good;
}
