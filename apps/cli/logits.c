// cli/logits.c -- karat logits: the scores of every next token, float32 little-endian [n_tokens][n_vocab].
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ids.h"
#include "common/files.h"
#include "common/platform.h"
#include "common/terminal.h"

struct rows {
    FILE *file;
    uint32_t n_vocab;
    size_t n_rows;
    bool failed;
    struct terminal_progress progress;
};

static bool write_row(void *user, size_t index, const float *logits)
{
    struct rows *rows = user;
    rows->failed = fwrite(logits, sizeof *logits, rows->n_vocab, rows->file) != rows->n_vocab;
    terminal_progress(&rows->progress, index + 1, rows->n_rows);
    return !rows->failed && !cli_interrupted();
}

static enum karat_status evaluate(const struct cli_options *options, struct karat_session *session, const uint32_t *ids,
                                  size_t n_ids, struct rows *rows, struct karat_error *err)
{
    if (!options->last)
        return karat_session_evaluate(session, ids, n_ids, write_row, rows, err);
    const enum karat_status status = karat_session_sync(session, ids, n_ids, err);
    if (status == KARAT_OK)
        write_row(rows, n_ids - 1, karat_session_logits(session));
    return status;
}

static int write_logits(const struct cli_options *options, const uint32_t *ids, size_t n_ids)
{
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    struct karat_error err = { 0 };
    struct karat_model_facts facts;
    struct rows rows = { .n_rows = n_ids, .progress = { .what = "evaluating", .plain_numbers = true } };
    int code = 1;
    // Scores are for comparing, so nothing is rounded on the way unless --kv asks for it.
    struct cli_options exact = *options;
    exact.cache = options->cache ? options->cache : "f32";
    // Just as much room as needed, unless --ctx says otherwise.
    const uint32_t n_context = options->n_context.given ? (uint32_t)options->n_context.count : (uint32_t)n_ids;
    if (!cli_open_model(&model, options, false) || !cli_open_session(&session, model, &exact, n_context))
        goto cleanup;
    karat_model_describe(model, &facts);
    rows.n_vocab = facts.n_vocab;
    rows.file = platform_open(options->output, "wb");
    if (!rows.file) {
        cli_fail("cannot write %s: %s", options->output, strerror(errno));
        goto cleanup;
    }
    cli_interrupt_forget();
    cli_interrupt_watch(session);
    const enum karat_status status = evaluate(options, session, ids, n_ids, &rows, &err);
    cli_interrupt_watch(NULL);
    terminal_progress_end(&rows.progress);
    const bool closed = fclose(rows.file) == 0;
    if (rows.failed || !closed)
        cli_fail("cannot write %s: %s", options->output, strerror(errno));
    else if (cli_interrupted())
        cli_fail("stopped by Ctrl-C");
    else if (status != KARAT_OK)
        cli_fail("%s", err.text);
    else
        code = 0;
    if (code == 0)
        cli_print_speed(model, session, options);
cleanup:
    karat_session_close(session);
    karat_model_close(model);
    return code;
}

int cli_logits(const struct cli_options *options)
{
    struct text list = { 0 }, fault = { 0 };
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    int code = 1;
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_logits, "karat logits takes no \"%s\"", options->rest.words[0]);
    if (!options->tokens)
        return cli_wrong_usage(CLI_logits, "karat logits wants --tokens IDS");
    if (!options->output)
        return cli_wrong_usage(CLI_logits, "karat logits wants -o FILE");
    if (strcmp(options->tokens, "-") != 0)
        app_text_add(&list, options->tokens);
    else if (!files_read_stdin(&list, &fault)) {
        cli_fail("%s", fault.data);
        goto cleanup;
    }
    if (!ids_parse(app_text_of(&list), list.size, &ids, &n_ids, &fault)) {
        code = cli_wrong_usage(CLI_logits, "--tokens wants token ids separated by commas: %s", fault.data);
        ids = NULL;
        goto cleanup;
    }
    if (n_ids == 0)
        code = cli_wrong_usage(CLI_logits, "--tokens wants at least one token id");
    else
        code = write_logits(options, ids, n_ids);
cleanup:
    free(ids);
    app_text_free(&list);
    app_text_free(&fault);
    return code;
}
