// cli/serve.c -- karat serve: the options of the HTTP server, and what it says when it is up.
#include <string.h>

#include "cli/cli.h"
#include "cli/tools.h"
#include "common/terminal.h"
#include "server/server.h"

static void on_ready(void *user, const char *url)
{
    const struct cli_options *options = user;
    if (options->quiet)
        return;
    if (!options->model)
        fprintf(stderr,
                "%spebble, the built-in demo model, answers; it knows very little. -m FILE takes a real one.%s\n",
                terminal_style(stderr, TERMINAL_DIM), terminal_style(stderr, TERMINAL_PLAIN));
    fprintf(stderr, "serving at %s/v1, and a page to chat at %s (Ctrl-C ends it)\n", url, url);
}

// For the scheduler 0 is its own choice, and too little for anything is none.
static uint64_t prefix_bytes(const struct cli_options *options)
{
    const uint64_t mib = options->prefixes.count;
    return !options->prefixes.given ? 0 : mib == 0 ? 1 : mib << 20;
}

static void on_warning(const char *sentence)
{
    cli_fail("%s", sentence);
}

int cli_serve(const struct cli_options *options)
{
    struct karat_model *model = NULL;
    struct text fault = { 0 };
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_serve, "karat serve takes no words, so \"%s\" has no place", options->rest.words[0]);
    if (options->api_key && strlen(options->api_key) == 0)
        return cli_wrong_usage(CLI_serve, "--api-key is empty");
    struct tools tools = { 0 };
    struct server_options wanted = {
        .host = options->host,
        .port = options->port.given ? (uint16_t)options->port.count : 8080,
        .api_key = options->api_key,
        .alias = options->alias,
        .model_path = options->model,
        .metrics = options->metrics,
        .chats_path = options->chats,
        .allow = options->allow,
        .on_warning = on_warning,
        .scheduler = {
            .n_slots = (uint32_t)options->parallel.count,
            .n_context = (uint32_t)options->n_context.count,
            .n_waiting = (uint32_t)options->queue.count,
            .prefix_bytes = prefix_bytes(options),
            .cache = options->cache && strcmp(options->cache, "f32") == 0 ? KARAT_CACHE_F32 : KARAT_CACHE_F16,
        },
    };
    if (!server_check(&wanted, &fault)) {
        code = cli_fail("%s", app_text_of(&fault));
        app_text_free(&fault);
        return code;
    }
    if (!tools_open(&tools, options) || !cli_open_model(&model, options, false)) {
        tools_close(&tools);
        return 1;
    }
    wanted.mcp = tools.mcp;
    if (server_run(model, &wanted, on_ready, (void *)options, &fault))
        code = cli_done();
    else
        code = cli_fail("%s", app_text_of(&fault));
    app_text_free(&fault);
    karat_model_close(model);
    tools_close(&tools);
    return code;
}
