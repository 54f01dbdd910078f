// cli/devices.c -- karat devices: the Vulkan devices, their features, and which one is chosen.
#include "cli/cli.h"
#include "cli/json_view.h"

int cli_devices(const struct cli_options *options)
{
    if (options->rest.n_words != 0)
        return cli_wrong_usage(CLI_devices, "karat devices takes no \"%s\"", options->rest.words[0]);
    char *json = NULL;
    struct karat_error err = { 0 };
    if (karat_devices(&json, &err) != KARAT_OK)
        return cli_fail("%s", err.text);
    const int code = json_view_print(options, json);
    karat_free(json);
    return code;
}
