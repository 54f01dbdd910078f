// cli/json_view.h -- a JSON object as lines a person reads.
#ifndef CLI_JSON_VIEW_H
#define CLI_JSON_VIEW_H

#include "cli/cli.h"
#include "common/json.h"

// Names in front, values behind them; what is nested is indented, arrays of plain values stand on one line, arrays of
// flat objects are tables, and names that end in _bytes are shown in MiB and GiB.
void json_view(const struct json *json, size_t node, unsigned indent, struct text *out);

// Prints what the library answered: the JSON itself with --json, else as such lines. Returns the exit code.
int json_view_print(const struct cli_options *options, const char *source);

#endif
