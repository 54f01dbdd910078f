// common/json.h -- a strict reader of JSON texts, for the front ends.
//
// The text is parsed once into a flat array of nodes in document order. Nodes keep their place in the source, so a part
// of a document can be copied verbatim. Nesting is limited to JSON_DEPTH_MAX.
#ifndef APPS_JSON_H
#define APPS_JSON_H

#include "common/text.h"

#define JSON_DEPTH_MAX 64

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

// Children of an object alternate: key (a string), value, key, value.
struct json_node {
    enum json_kind kind;
    size_t start, end; // of the source; strings with their quotes
    size_t after;      // index of the first node behind this one and everything inside it
};

struct json {
    const char *source; // the caller's; must outlive the document
    struct json_node *nodes;
    size_t n_nodes;
};

// Parses source[0..size). On failure returns false and puts one sentence with the byte position into `fault`.
bool app_json_parse(struct json *json, const char *source, size_t size, struct text *fault);
void app_json_free(struct json *json);

// Nodes are named by their index, 0 is the root. JSON_NONE says there is none.
#define JSON_NONE ((size_t)-1)
size_t app_json_first(const struct json *json, size_t parent);             // first child
size_t app_json_next(const struct json *json, size_t parent, size_t node); // the child after `node`
size_t app_json_member(const struct json *json, size_t object, const char *key);
size_t app_json_count(const struct json *json, size_t parent); // elements or members

bool app_json_is(const struct json *json, size_t node, enum json_kind kind); // false for JSON_NONE
double app_json_number(const struct json *json, size_t node);                // 0 unless a number
// Appends a string's decoded content. What is not a string is appended as it stands in the source.
void app_json_content(const struct json *json, size_t node, struct text *out);
bool app_json_equals(const struct json *json, size_t node, const char *string);
void app_json_raw(const struct json *json, size_t node, struct text *out); // appends the source of the node

#endif
