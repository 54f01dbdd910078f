// common/mcp_link.h -- how the messages of one MCP server travel: through the standard streams of a program
// (mcp_stdio.c) or by HTTP (mcp_http.c). For the mcp_*.c files, which know no more of either than this.
//
// Threads: one at a time per link.
#ifndef APPS_MCP_LINK_H
#define APPS_MCP_LINK_H

#include "common/mcp.h"

#define MCP_MESSAGE_BYTES_MAX ((size_t)16 << 20)

enum mcp_passed {
    MCP_PASSED,    // the message went out or came in
    MCP_GIVEN_UP,  // not in time, or the caller was told to stop; the server may still be at it
    MCP_FAILED,    // the server did something wrong, or is gone
    MCP_FORGOTTEN, // the server does not know this conversation any more; it can be begun anew
};

// Begins every link's own struct. But for MCP_PASSED, *why gets what the server did: "ended", "does not answer".
struct mcp_link {
    // Sends one message of JSON. One that wants an answer is under way on return, another one has arrived.
    enum mcp_passed (*send)(struct mcp_link *link, const struct text *message, bool wants_answer, unsigned timeout_ms,
                            const struct stop *stop, struct text *why);
    // Waits for the server's next message.
    enum mcp_passed (*hear)(struct mcp_link *link, struct text *message, unsigned timeout_ms, const struct stop *stop,
                            struct text *why);
    // The version that the server agreed to speak. NULL: of no interest.
    void (*agreed)(struct mcp_link *link, const char *version);
    void (*close)(struct mcp_link *link);
};

// Both put a sentence's end into *why when they return NULL. The lists end with NULL.
struct mcp_link *mcp_stdio_open(const char *const *words, const char *const *variables, struct text *why);
// Nothing is sent yet. Each header is "Name: value".
struct mcp_link *mcp_http_open(const char *url, const char *const *headers, struct text *why);

// Appends " (it said: WORDS)", with at most some 200 bytes of the first line that holds anything; nothing if none does.
void mcp_add_words(struct text *why, const char *words, size_t size);

// The tools of one server on a link of the caller's making, which is closed in any case: as mcp_open() does it.
bool mcp_open_link(struct mcp **out, const char *name, struct mcp_link *link, const struct stop *stop,
                   struct text *fault);

#endif
