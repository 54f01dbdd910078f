// server/tool_runs.c -- threads that wait for tools.
#define _POSIX_C_SOURCE 200809L
#include "server/tool_runs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tool_run {
    struct tool_run *next;
    struct tool_runs *runs;
    const struct mcp_tool *tool;
    char *arguments;
    tool_run_done_fn *on_done;
    void *user;
    struct text answer;
    bool stopped;
};

struct list {
    struct tool_run *first, *last;
};

// Of one MCP server.
struct worker {
    struct tool_runs *runs;
    pthread_t thread;
    struct list waiting;
};

struct tool_runs {
    struct mcp *mcp;
    struct event *arrival;
    pthread_mutex_t lock; // of all that follows, and of what runs were told
    pthread_cond_t work;
    struct worker *workers;
    size_t n_workers;
    struct list done;
    bool closing;
};

static void put(struct list *list, struct tool_run *run)
{
    run->next = NULL;
    if (list->first)
        list->last->next = run;
    else
        list->first = run;
    list->last = run;
}

static struct tool_run *take(struct list *list)
{
    struct tool_run *run = list->first;
    if (run)
        list->first = run->next;
    return run;
}

static bool take_out(struct list *list, const struct tool_run *run)
{
    struct tool_run *before = NULL;
    for (struct tool_run *at = list->first; at; before = at, at = at->next)
        if (at == run) {
            *(before ? &before->next : &list->first) = at->next;
            list->last = list->last == at ? before : list->last;
            return true;
        }
    return false;
}

// Under the lock. The run is no longer anyone else's.
static void finish(struct tool_run *run)
{
    put(&run->runs->done, run);
    event_active(run->runs->arrival, EV_READ, 0);
}

static void finish_unbegun(struct tool_run *run)
{
    app_text_add(&run->answer, "{\"error\": \"the call was stopped before it began\"}");
    finish(run);
}

// ---------------------------------------------------------------------------------------------------- the threads

static bool is_stopped(void *user)
{
    struct tool_run *run = user;
    pthread_mutex_lock(&run->runs->lock);
    const bool stopped = run->stopped || run->runs->closing;
    pthread_mutex_unlock(&run->runs->lock);
    return stopped;
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct tool_runs *runs = worker->runs;
    pthread_mutex_lock(&runs->lock);
    for (;;) {
        struct tool_run *run = take(&worker->waiting);
        if (run) {
            const struct stop stop = { .asked = is_stopped, .user = run };
            pthread_mutex_unlock(&runs->lock);
            mcp_call(runs->mcp, run->tool->name, run->arguments, &stop, &run->answer);
            pthread_mutex_lock(&runs->lock);
            finish(run);
        } else if (runs->closing) {
            break;
        } else {
            pthread_cond_wait(&runs->work, &runs->lock);
        }
    }
    pthread_mutex_unlock(&runs->lock);
    return NULL;
}

// ---------------------------------------------------------------------------------------------------- the loop

static void deliver(struct tool_runs *runs)
{
    for (;;) {
        pthread_mutex_lock(&runs->lock);
        struct tool_run *run = take(&runs->done);
        pthread_mutex_unlock(&runs->lock);
        if (!run)
            return;
        run->on_done(run->user, &run->answer);
        app_text_free(&run->answer);
        free(run->arguments);
        free(run);
    }
}

static void on_arrival(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    deliver(user);
}

struct tool_runs *tool_runs_open(struct event_base *base, struct mcp *mcp)
{
    struct tool_runs *runs = app_memory_new(1, sizeof *runs);
    runs->mcp = mcp;
    runs->arrival = event_new(base, -1, EV_PERSIST, on_arrival, runs);
    pthread_mutex_init(&runs->lock, NULL);
    pthread_cond_init(&runs->work, NULL);
    runs->workers = app_memory_new(mcp_n_servers(mcp) + 1, sizeof *runs->workers);
    for (size_t i = 0; i < mcp_n_servers(mcp); ++i) {
        struct worker *worker = &runs->workers[i];
        worker->runs = runs;
        if (pthread_create(&worker->thread, NULL, work, worker) != 0)
            break;
        runs->n_workers++;
    }
    return runs;
}

void tool_runs_close(struct tool_runs *runs)
{
    if (!runs)
        return;
    pthread_mutex_lock(&runs->lock);
    runs->closing = true;
    for (size_t i = 0; i < runs->n_workers; ++i)
        for (struct tool_run *run; (run = take(&runs->workers[i].waiting));)
            finish_unbegun(run);
    pthread_cond_broadcast(&runs->work);
    pthread_mutex_unlock(&runs->lock);
    for (size_t i = 0; i < runs->n_workers; ++i)
        pthread_join(runs->workers[i].thread, NULL);
    deliver(runs);
    event_free(runs->arrival);
    pthread_cond_destroy(&runs->work);
    pthread_mutex_destroy(&runs->lock);
    free(runs->workers);
    free(runs);
}

struct tool_run *tool_run_start(struct tool_runs *runs, const struct mcp_tool *tool, const char *arguments,
                                tool_run_done_fn *on_done, void *user)
{
    struct tool_run *run = app_memory_new(1, sizeof *run);
    *run = (struct tool_run){
        .runs = runs,
        .tool = tool,
        .arguments = app_memory_copy(arguments, strlen(arguments)),
        .on_done = on_done,
        .user = user,
    };
    pthread_mutex_lock(&runs->lock);
    if (tool->server_index < runs->n_workers) {
        put(&runs->workers[tool->server_index].waiting, run);
        pthread_cond_broadcast(&runs->work);
    } else {
        finish_unbegun(run); // the system had no thread for this server
    }
    pthread_mutex_unlock(&runs->lock);
    return run;
}

void tool_run_stop(struct tool_run *run)
{
    pthread_mutex_lock(&run->runs->lock);
    run->stopped = true;
    if (run->tool->server_index < run->runs->n_workers &&
        take_out(&run->runs->workers[run->tool->server_index].waiting, run))
        finish_unbegun(run);
    pthread_mutex_unlock(&run->runs->lock);
}
