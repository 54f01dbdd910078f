// common/mcp.h -- tools of other programs, by the Model Context Protocol (JSON-RPC 2.0).
//
// A configuration file names the programs, in the form that other chat programs use. A server is a program of ours that
// is spoken to through its standard streams, or one at an address ("streamable HTTP", which needs libcurl):
//
//     {"mcpServers": {"files": {"command": "npx", "args": ["-y", "some-server"], "env": {"NAME": "VALUE"}},
//                     "wiki": {"url": "https://example.com/mcp", "headers": {"Authorization": "Bearer KEY"}}}}
//
// Those with "disabled": true are passed over. The tools are asked for once. What the model is told, what the user is
// asked about, and what is called stay the same for as long as the program runs, whatever a server says later. A
// server's texts are material for the model, no more: nothing here acts on them.
//
// Threads: one at a time, but for mcp_call(), where it is one at a time for each server. `stop` may be NULL.
#ifndef APPS_MCP_H
#define APPS_MCP_H

#include "common/stop.h"
#include "common/text.h"

struct mcp;

// All of it lives as long as the struct mcp, and does not change.
struct mcp_tool {
    const char *name;        // as the model knows it. A name that two servers have is preceded by that of the server,
                             // and characters that no function has in its name become "_".
    const char *server;      // whose it is
    size_t server_index;     // from 0
    const char *declaration; // a JSON object: {"description"?, "parameters"}
};

// Starts or greets every server of the file and lists its tools. False with one sentence in *fault: the file is none, a
// server cannot be started or does not answer within a minute.
bool mcp_open(struct mcp **out, const char *path, const struct stop *stop, struct text *fault);
void mcp_close(struct mcp *mcp); // ends the servers; NULL is fine

size_t mcp_n_servers(const struct mcp *mcp);
size_t mcp_n_tools(const struct mcp *mcp);
const struct mcp_tool *mcp_tool_at(const struct mcp *mcp, size_t i);
const struct mcp_tool *mcp_find(const struct mcp *mcp, const char *name); // NULL: there is no such tool
const char *mcp_declarations(const struct mcp *mcp); // all tools as a JSON array, as OpenAI's chat format declares them

// Calls a tool with `arguments`, a JSON object, and appends what it answers: its texts, or {"error": ...}, which the
// model can read. Waits two minutes at most.
void mcp_call(struct mcp *mcp, const char *tool, const char *arguments, const struct stop *stop, struct text *answer);

#endif
