// server/server.h -- the door of the HTTP server: options, run until told to stop.
//
// One thread runs an event loop and speaks HTTP; the library's scheduler has a thread of its own and its callbacks
// reach the loop through a mailbox (answer.c). Everything else in this folder runs on the loop's thread.
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <karat.h>

#include "common/text.h"

struct mcp;

struct server_options {
    const char *host;       // address or name to listen on; NULL: 127.0.0.1
    uint16_t port;          // 0: any free one
    const char *api_key;    // NULL: none is asked for, which only a loopback address may do
    const char *alias;      // what the model is called in replies; NULL: its file's name
    const char *model_path; // NULL: the demo model
    bool metrics;           // serve /metrics
    const char *chats_path; // where the page keeps its chats; NULL: among the user's files
    struct mcp *mcp;        // whose tools the page's chats may use, once the user agrees; NULL: none
    const char *allow;      // names of tools that need no asking, separated by commas; "all"; NULL: none
    void (*on_warning)(const char *sentence); // of what does not work and stops nothing; may be NULL
    struct karat_scheduler_options scheduler;
};

// False with one sentence when these options cannot be served, whatever the model: no libevent in this build, or an
// address that other machines can reach without a key.
bool server_check(const struct server_options *options, struct text *fault);

// Called once requests are taken, with the address to reach them at, such as "http://127.0.0.1:8080".
typedef void server_ready_fn(void *user, const char *url);

// Serves until SIGINT or SIGTERM; the options have been checked. False with one sentence in *fault when it cannot
// begin.
bool server_run(struct karat_model *model, const struct server_options *options, server_ready_fn *on_ready, void *user,
                struct text *fault);

#endif
