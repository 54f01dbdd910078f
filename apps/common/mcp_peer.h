// common/mcp_peer.h -- requests to one MCP server and its answers: JSON-RPC 2.0 over a link.
//
// Threads: one at a time per peer.
#ifndef APPS_MCP_PEER_H
#define APPS_MCP_PEER_H

#include "common/json.h"
#include "common/mcp_link.h"

#define MCP_START_MS 60000u // some servers fetch themselves first
#define MCP_CALL_MS 120000u

struct mcp_peer {
    char *name;
    struct mcp_link *link;
    unsigned long long last_id;
};

// The first words: who we are, which version of the protocol is spoken.
bool mcp_peer_greet(struct mcp_peer *peer, const struct stop *stop, struct text *fault);
// Asks and waits. `params` is a JSON object. On success *json is the answer, whose source is *message; both are the
// caller's to free. False with one sentence in *fault, also where the server answers with an error. A server that has
// forgotten us is greeted again and asked once more.
bool mcp_peer_ask(struct mcp_peer *peer, const char *method, const char *params, unsigned timeout_ms,
                  const struct stop *stop, struct text *message, struct json *json, struct text *fault);
// "the tool server NAME WHAT" in place of what *fault held; false.
bool mcp_peer_fail(const struct mcp_peer *peer, const char *what, struct text *fault);
void mcp_peer_close(struct mcp_peer *peer);

#endif
