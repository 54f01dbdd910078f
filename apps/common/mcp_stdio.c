// common/mcp_stdio.c -- a tool server as a program of ours: one message a line.
#include <stdlib.h>
#include <string.h>

#include "common/mcp_link.h"
#include "common/process.h"

struct stdio_link {
    struct mcp_link link;
    struct process *process;
};

static enum mcp_passed fail(struct stdio_link *s, enum mcp_passed how, const char *what, struct text *why)
{
    const char *words = process_last_words(s->process);
    app_text_add(why, what);
    mcp_add_words(why, words, strlen(words));
    return how;
}

static enum mcp_passed stdio_send(struct mcp_link *link, const struct text *message, bool wants_answer,
                                  unsigned timeout_ms, const struct stop *stop, struct text *why)
{
    struct stdio_link *s = (struct stdio_link *)link;
    (void)wants_answer, (void)timeout_ms, (void)stop; // a pipe takes it at once, or process_write() gives up
    struct text line = { 0 };
    // One message is one line; within JSON, line ends are blanks.
    for (size_t i = 0; i < message->size; ++i)
        app_text_append(&line, strchr("\r\n", message->data[i]) ? " " : message->data + i, 1);
    app_text_add(&line, "\n");
    const bool ok = process_write(s->process, line.data, line.size);
    app_text_free(&line);
    return ok ? MCP_PASSED : fail(s, MCP_FAILED, "takes no more requests", why);
}

static enum mcp_passed stdio_hear(struct mcp_link *link, struct text *message, unsigned timeout_ms,
                                  const struct stop *stop, struct text *why)
{
    static const struct {
        enum mcp_passed passed;
        const char *what;
    } ends[] = {
        [PROCESS_LINE] = { MCP_PASSED, NULL },
        [PROCESS_ENDED] = { MCP_FAILED, "ended" },
        [PROCESS_LATE] = { MCP_GIVEN_UP, "does not answer" },
        [PROCESS_STOPPED] = { MCP_GIVEN_UP, "was not waited for" },
        [PROCESS_TOO_LONG] = { MCP_GIVEN_UP, "answers without end" },
    };
    struct stdio_link *s = (struct stdio_link *)link;
    const enum process_read read = process_read_line(s->process, message, timeout_ms, stop);
    return read == PROCESS_LINE ? MCP_PASSED : fail(s, ends[read].passed, ends[read].what, why);
}

static void stdio_close(struct mcp_link *link)
{
    struct stdio_link *s = (struct stdio_link *)link;
    process_end(s->process);
    free(s);
}

struct mcp_link *mcp_stdio_open(const char *const *words, const char *const *variables, struct text *why)
{
    struct process *process;
    if (!process_start(&process, words, variables, why))
        return NULL;
    struct stdio_link *s = app_memory_new(1, sizeof *s);
    *s = (struct stdio_link){
        .link = { .send = stdio_send, .hear = stdio_hear, .close = stdio_close },
        .process = process,
    };
    return &s->link;
}
