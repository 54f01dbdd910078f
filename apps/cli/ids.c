// cli/ids.c -- lists of token ids that a user or another program wrote.
#include "cli/ids.h"

#include <stdlib.h>

#include "common/json.h"

static bool take_ids(const struct json *json, uint32_t *ids, struct text *fault)
{
    size_t n = 0;
    for (size_t node = json_first(json, 0); node != JSON_NONE; node = json_next(json, 0, node)) {
        const double value = json_number(json, node);
        if (!json_is(json, node, JSON_NUMBER) || value < 0 || value > UINT32_MAX || value != (double)(uint32_t)value) {
            text_format(fault, "entry %zu is not a token id: ", n + 1);
            json_raw(json, node, fault);
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
    text_add(&source, bare ? "[" : "");
    text_append(&source, list, size);
    text_add(&source, bare ? "]" : "");

    bool good = json_parse(&json, source.data, source.size, fault);
    if (good && !json_is(&json, 0, JSON_ARRAY)) {
        text_add(fault, "expected an array of token ids");
        good = false;
    }
    if (good) {
        *n_ids = json_count(&json, 0);
        *ids = memory_new(*n_ids, sizeof **ids);
        good = take_ids(&json, *ids, fault);
        if (!good)
            free(*ids);
        json_free(&json);
    }
    text_free(&source);
    return good;
}
