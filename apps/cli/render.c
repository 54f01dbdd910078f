// cli/render.c -- karat render: {messages, tools, options} on stdin to the prompt text, exactly.
#include <string.h>

#include "cli/cli.h"
#include "common/files.h"

int cli_render(const struct cli_options *options)
{
    struct karat_model *model = NULL;
    struct karat_error err = { 0 };
    struct text input = { 0 }, fault = { 0 };
    char *prompt = NULL;
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_render, "karat render reads its request from the standard input, not \"%s\"",
                               options->rest.words[0]);
    if (!files_read_stdin(&input, &fault)) {
        cli_fail("%s", fault.data);
        goto cleanup;
    }
    if (strlen(app_text_of(&input)) < input.size) {
        cli_fail("the standard input holds a zero byte, which JSON does not allow");
        goto cleanup;
    }
    if (!cli_open_model(&model, options, true))
        goto cleanup;
    if (karat_render(model, app_text_of(&input), options->no_fixes ? KARAT_RENDER_NO_FIXES : 0, &prompt, &err) !=
        KARAT_OK) {
        cli_fail("%s", err.text);
        goto cleanup;
    }
    fputs(prompt, stdout); // exactly this text, so without a newline of ours
    code = cli_done();
cleanup:
    karat_free(prompt);
    karat_model_close(model);
    app_text_free(&input);
    app_text_free(&fault);
    return code;
}
