// cli/parse.c -- karat parse: raw model text on stdin to {thinking, content, tool_calls}.
#include "cli/cli.h"
#include "common/files.h"

int cli_parse(const struct cli_options *options)
{
    struct karat_model *model = NULL;
    struct karat_error err = { 0 };
    struct text input = { 0 }, fault = { 0 };
    char *json = NULL;
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_parse, "karat parse reads its text from the standard input, not \"%s\"",
                               options->rest.words[0]);
    if (!files_read_stdin(&input, &fault)) {
        cli_fail("%s", fault.data);
        goto cleanup;
    }
    if (!cli_open_model(&model, options, true))
        goto cleanup;
    if (karat_parse(model, app_text_of(&input), input.size, options->starts_in_thought, NULL, &json, &err) !=
        KARAT_OK) {
        cli_fail("%s", err.text);
        goto cleanup;
    }
    puts(json);
    code = cli_done();
cleanup:
    karat_free(json);
    karat_model_close(model);
    app_text_free(&input);
    app_text_free(&fault);
    return code;
}
