// cli/tokenize.c -- karat tokenize: text on stdin to a JSON array of token ids.
#include "cli/cli.h"
#include "common/files.h"

int cli_tokenize(const struct cli_options *options)
{
    struct karat_model *model = NULL;
    struct karat_error err = { 0 };
    struct text input = { 0 }, out = { 0 };
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_tokenize, "karat tokenize reads its text from the standard input, not \"%s\"",
                               options->rest.words[0]);
    if (!files_read_stdin(&input, &out)) {
        cli_fail("%s", out.data);
        goto cleanup;
    }
    if (!cli_open_model(&model, options, true))
        goto cleanup;
    const unsigned flags = (options->bos ? KARAT_TOKENIZE_BOS : 0u) | (options->special ? KARAT_TOKENIZE_SPECIAL : 0u);
    if (karat_tokenize(model, app_text_of(&input), input.size, flags, &ids, &n_ids, &err) != KARAT_OK) {
        cli_fail("%s", err.text);
        goto cleanup;
    }
    app_text_add(&out, "[");
    for (size_t i = 0; i < n_ids; ++i)
        app_text_format(&out, i ? ", %u" : "%u", ids[i]);
    app_text_add(&out, "]\n");
    fwrite(out.data, 1, out.size, stdout);
    code = cli_done();
cleanup:
    karat_free(ids);
    karat_model_close(model);
    app_text_free(&input);
    app_text_free(&out);
    return code;
}
