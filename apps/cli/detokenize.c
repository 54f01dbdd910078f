// cli/detokenize.c -- karat detokenize: a JSON array of token ids on stdin to text.
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/ids.h"
#include "common/files.h"

int cli_detokenize(const struct cli_options *options)
{
    struct karat_model *model = NULL;
    struct karat_error err = { 0 };
    struct text input = { 0 }, fault = { 0 };
    uint32_t *ids = NULL;
    size_t n_ids = 0, size = 0;
    char *bytes = NULL;
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_detokenize, "karat detokenize reads its ids from the standard input, not \"%s\"",
                               options->rest.words[0]);
    if (!files_read_stdin(&input, &fault)) {
        cli_fail("%s", fault.data);
        goto cleanup;
    }
    if (!ids_parse(app_text_of(&input), input.size, &ids, &n_ids, &fault)) {
        cli_fail("the standard input is not a JSON array of token ids: %s", fault.data);
        ids = NULL;
        goto cleanup;
    }
    if (!cli_open_model(&model, options, true))
        goto cleanup;
    if (karat_detokenize(model, ids, n_ids, &bytes, &size, &err) != KARAT_OK) {
        cli_fail("%s", err.text);
        goto cleanup;
    }
    fwrite(bytes, 1, size, stdout); // exactly these bytes, so without a newline of ours
    code = cli_done();
cleanup:
    free(ids);
    karat_free(bytes);
    karat_model_close(model);
    app_text_free(&input);
    app_text_free(&fault);
    return code;
}
