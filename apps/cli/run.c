// cli/run.c -- karat run: one answer on stdout.
#include <string.h>

#include "cli/cli.h"
#include "cli/conversation.h"
#include "common/files.h"
#include "common/platform.h"
#include "common/terminal.h"

static void print_json(const struct karat_reply *reply, struct karat_model *model, const struct karat_session *session)
{
    static const char *const stops[] = {
        [KARAT_STOP_END] = "end",       [KARAT_STOP_TOOL_CALLS] = "tool_calls", [KARAT_STOP_TEXT] = "stop_text",
        [KARAT_STOP_LENGTH] = "length", [KARAT_STOP_CONTEXT] = "context",       [KARAT_STOP_CANCELLED] = "cancelled",
    };
    struct text out = { 0 };
    struct karat_timings t;
    double possible = 0;
    karat_session_timings(session, &t);
    karat_model_bandwidth(model, KARAT_BANDWIDTH_KNOWN, &possible, NULL);
    app_text_add(&out, "{\"content\": ");
    app_text_json(&out, reply->content, strlen(reply->content));
    app_text_add(&out, ", \"thinking\": ");
    app_text_json(&out, reply->thinking, strlen(reply->thinking));
    app_text_format(&out, ", \"tool_calls\": %s, \"stop\": \"%s\"", reply->tool_calls, stops[reply->stop]);
    app_text_format(&out, ", \"n_prompt\": %u, \"n_cached\": %u, \"n_generated\": %u", reply->n_prompt, reply->n_cached,
                    reply->n_generated);
    app_text_add(&out, ", \"prefill_tokens_per_second\": ");
    app_text_json_number(&out, t.prefill_ns ? (double)t.prefill_tokens * 1e9 / (double)t.prefill_ns : 0);
    app_text_add(&out, ", \"decode_tokens_per_second\": ");
    app_text_json_number(&out, t.decode_ns ? (double)t.decode_tokens * 1e9 / (double)t.decode_ns : 0);
    app_text_add(&out, ", \"decode_bytes_per_second\": ");
    app_text_json_number(&out, t.decode_ns ? (double)t.decode_bytes * 1e9 / (double)t.decode_ns : 0);
    if (possible > 0) {
        app_text_add(&out, ", \"copy_bytes_per_second\": ");
        app_text_json_number(&out, possible);
    }
    app_text_add(&out, "}\n");
    fputs(out.data, stdout);
    app_text_free(&out);
}

static enum karat_status continue_text(struct karat_session *session, const struct karat_model *model,
                                       const struct text *prompt, struct karat_generate_options *generate,
                                       struct reply_view *view, struct karat_reply *reply, struct karat_error *err)
{
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    enum karat_status status = karat_tokenize(model, app_text_of(prompt), prompt->size,
                                              KARAT_TOKENIZE_BOS | KARAT_TOKENIZE_SPECIAL, &ids, &n_ids, err);
    generate->on_piece = reply_view_piece;
    generate->user = view;
    if (status == KARAT_OK)
        status = karat_generate(session, ids, n_ids, generate, reply, err);
    reply_view_end(view);
    karat_free(ids);
    return status;
}

static int report(const struct cli_options *options, enum karat_status status, const struct karat_reply *reply,
                  const struct reply_view *view, struct karat_model *model, const struct karat_session *session,
                  const struct karat_error *err)
{
    if (view->broken)
        return cli_done(); // says why nobody reads us
    if (status == KARAT_ERR_CANCELLED || cli_interrupted())
        return cli_fail("stopped by Ctrl-C");
    if (status != KARAT_OK)
        return cli_fail("%s", err->text);
    if (options->json)
        print_json(reply, model, session);
    const char *remark = reply_view_remark(reply);
    if (remark && !options->quiet && !options->json)
        fprintf(stderr, "%s(%s)%s\n", terminal_style(stderr, TERMINAL_DIM), remark,
                terminal_style(stderr, TERMINAL_PLAIN));
    if (!options->json)
        cli_print_speed(model, session, options);
    return cli_done();
}

static int answer(const struct cli_options *options, const struct text *prompt)
{
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    struct karat_error err = { 0 };
    struct karat_reply reply = { 0 };
    struct conversation talk = { 0 };
    struct tools tools = { 0 };
    int code = 1;
    // A script's own input is not ours to read.
    if (platform_is_terminal(stdin))
        tools.edit = line_edit_open();
    if (!tools_open(&tools, options) || !cli_open_model(&model, options, false) ||
        !cli_open_session(&session, model, options, 0))
        goto cleanup;
    if (!options->model && !options->quiet && !options->json)
        fprintf(stderr,
                "%spebble, the built-in demo model, answers; it knows very little. -m FILE takes a real one.%s\n",
                terminal_style(stderr, TERMINAL_DIM), terminal_style(stderr, TERMINAL_PLAIN));

    struct karat_generate_options generate = {
        .max_tokens = (uint32_t)options->n_predict.count,
        .sampling = cli_sampling(options, model),
        .thinking = options->think,
        .max_thought = (uint32_t)options->thought.count,
    };
    struct reply_view view = {
        .hide_answer = options->json,
        .hide_thoughts = !options->think || options->quiet || options->json,
        .hide_calls = options->quiet || options->json,
    };
    cli_interrupt_forget();
    cli_interrupt_watch(session);
    enum karat_status status;
    if (options->raw) {
        status = continue_text(session, model, prompt, &generate, &view, &reply, &err);
    } else {
        conversation_set_system(&talk, options->system);
        conversation_add_user(&talk, app_text_of(prompt), prompt->size);
        status = conversation_answer(&talk, session, &generate, &view, &tools, &reply, &err);
    }
    cli_interrupt_watch(NULL);
    code = report(options, status, &reply, &view, model, session, &err);
cleanup:
    tools_close(&tools);
    line_edit_close(tools.edit);
    conversation_free(&talk);
    karat_reply_free(&reply);
    karat_session_close(session);
    karat_model_close(model);
    return code;
}

int cli_run(const struct cli_options *options)
{
    struct text prompt = { 0 }, fault = { 0 };
    int code;
    if (options->rest.n_words == 0)
        return cli_wrong_usage(CLI_run, "karat run wants a PROMPT");
    if (options->rest.n_words > 1)
        return cli_wrong_usage(CLI_run, "karat run takes one PROMPT but got %d; put it in quotes",
                               options->rest.n_words);
    if (options->raw && (options->system || options->think || options->tools || options->mcp))
        return cli_wrong_usage(CLI_run, "--raw has no chat format, so %s has no place in it",
                               options->system  ? "--system"
                               : options->think ? "--think"
                               : options->tools ? "--tools"
                                                : "--mcp");
    if (strcmp(options->rest.words[0], "-") != 0)
        app_text_add(&prompt, options->rest.words[0]);
    else if (!files_read_stdin(&prompt, &fault))
        return cli_fail("%s", fault.data);

    const size_t valid = app_text_utf8_prefix(app_text_of(&prompt), prompt.size);
    if (prompt.size == 0)
        code = cli_fail("the prompt is empty");
    else if (valid < prompt.size)
        code = cli_fail("the prompt is not UTF-8 text: byte %zu is wrong", valid);
    else
        code = answer(options, &prompt);
    app_text_free(&prompt);
    app_text_free(&fault);
    return code;
}
