// server/tool_runs.h -- calls of tools, those of each MCP server on a thread of their own, so that the loop never
// waits.
#ifndef SERVER_TOOL_RUNS_H
#define SERVER_TOOL_RUNS_H

#include <event2/event.h>

#include "common/mcp.h"

struct tool_run;
struct tool_runs;

// What the tool said; on the loop's thread. The run is gone after it.
typedef void tool_run_done_fn(void *user, const struct text *answer);

// `mcp` is the caller's and must outlive the runs.
struct tool_runs *tool_runs_open(struct event_base *base, struct mcp *mcp);
void tool_runs_close(struct tool_runs *runs); // stops what runs and tells the end of it; NULL is fine

// Calls the tool as soon as its server has answered earlier calls.
struct tool_run *tool_run_start(struct tool_runs *runs, const struct mcp_tool *tool, const char *arguments,
                                tool_run_done_fn *on_done, void *user);
void tool_run_stop(struct tool_run *run); // its end comes soon

#endif
