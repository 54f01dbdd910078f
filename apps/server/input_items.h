// server/input_items.h -- the items that a response answers, so that a client can ask for them later.
//
// They are kept as JSON objects with commas between them, the first one first: what the request put in, and in front of
// it, where it goes on from another response, the items and the output of that.
#ifndef SERVER_INPUT_ITEMS_H
#define SERVER_INPUT_ITEMS_H

#include "common/json.h"
#include "server/errors.h"

#define INPUT_ITEMS_PAGE 20 // items of a list, unless the request says otherwise
#define INPUT_ITEMS_PAGE_MAX 100

// Appends the input of a request that was read without a fault. Items without an id get one.
void input_items_add_request(struct text *items, const struct json *json);
// Appends the output of a response, given as its body.
void input_items_add_output(struct text *items, const struct text *body);

// Appends OpenAI's list object. `query` is what follows the question mark of the request, or NULL: "after", the id of
// an item, "limit", and "order", which is "desc", the last item first, or "asc".
bool input_items_list(struct text *out, const struct text *items, const char *query, struct fault *fault);

#endif
