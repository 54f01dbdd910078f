// cli/info.c -- karat info: what a model file holds, and how it would be placed on this machine.
#include "cli/cli.h"
#include "cli/json_view.h"

int cli_info(const struct cli_options *options)
{
    if (options->rest.n_words != 1)
        return cli_wrong_usage(CLI_info, "karat info wants one FILE but got %d", options->rest.n_words);
    char *json = NULL;
    struct karat_error err = { 0 };
    const struct karat_model_options wanted = {
        .device = options->device,
        .vram_limit_bytes = options->vram_mib.count << 20,
    };
    if (karat_file_info(&json, options->rest.words[0], &wanted, (uint32_t)options->n_context.count, &err) != KARAT_OK)
        return cli_fail("%s", err.text);
    const int code = json_view_print(options, json);
    karat_free(json);
    return code;
}
