// cli/tools.h -- what answers the model's tool calls: the demo tools, and those of MCP servers once the user agrees.
#ifndef CLI_TOOLS_H
#define CLI_TOOLS_H

#include "cli/cli.h"
#include "common/line_edit.h"
#include "common/mcp.h"

struct tools {
    bool demo;              // offer the demo tools
    bool off;               // offer nothing for now
    struct mcp *mcp;        // NULL: no servers
    const char *allowed;    // names that need no asking, separated by commas; "all"; NULL: none
    struct line_edit *edit; // to ask the user with, the caller's; NULL: nobody is asked, and nothing else allowed
    struct text always;     // names that the user said "always" to, each between commas
    struct text all;        // the declarations of both kinds
};

// Starts the servers that --mcp names. False after saying why in one sentence.
bool tools_open(struct tools *tools, const struct cli_options *options);
void tools_close(struct tools *tools);

// JSON array for karat_generate_options.tools; NULL when none are offered. Lives until the next call.
const char *tools_declarations(struct tools *tools);

// Appends the answer to {"name", "arguments"}: the tool's, or why there is none.
void tools_answer(struct tools *tools, const char *call, size_t size, struct text *answer);

#endif
