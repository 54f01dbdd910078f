// common/mcp.h -- tools of other programs, by the Model Context Protocol (JSON-RPC 2.0, one message a line).
//
// A configuration file names the programs, in the form that other chat programs use:
//
//     {"mcpServers": {"files": {"command": "npx", "args": ["-y", "some-server"], "env": {"NAME": "VALUE"}}}}
//
// The tools are asked for once. What the model is told, what the user is asked about, and what is called stay the same
// for as long as the program runs, whatever a server says later. A server's texts are material for the model, no more:
// nothing here acts on them.
//
// Threads: one at a time. `stop` (may be NULL) is asked now and then and ends what waits.
#ifndef APPS_MCP_H
#define APPS_MCP_H

#include "common/text.h"

struct mcp;

// Starts every server of the file and lists its tools. False with one sentence in *fault: the file is none, a server
// cannot be started or does not answer within a minute.
bool mcp_open(struct mcp **out, const char *path, bool (*stop)(void), struct text *fault);
void mcp_close(struct mcp *mcp); // ends the servers; NULL is fine

size_t mcp_n_tools(const struct mcp *mcp);
// All tools as a JSON array, as OpenAI's chat format declares them. A name that two servers have is preceded by that of
// the server, and characters that no function has in its name become "_".
const char *mcp_declarations(const struct mcp *mcp);
// The server that a tool is of; NULL: there is no such tool.
const char *mcp_server_of(const struct mcp *mcp, const char *tool);

// Calls a tool with `arguments`, a JSON object, and appends what it answers: its texts, or {"error": ...}, which the
// model can read. Waits two minutes at most.
void mcp_call(struct mcp *mcp, const char *tool, const char *arguments, bool (*stop)(void), struct text *answer);

#endif
