// cli/chat.c -- karat chat: a conversation in the terminal.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/conversation.h"
#include "common/files.h"
#include "common/line_edit.h"
#include "common/platform.h"
#include "common/terminal.h"

struct chat {
    const struct cli_options *options;
    struct karat_model *model;
    struct karat_session *session;
    struct conversation talk;
    struct line_edit *edit;
    struct karat_sampling sampling;
    struct tools tools;
    bool think;
    bool lost; // the device is gone; only the conversation is left
    bool leave;
};

// A dimmed remark on stderr.
static void remark(const struct chat *chat, const char *text)
{
    if (!chat->options->quiet)
        fprintf(stderr, "%s%s%s\n", terminal_style(stderr, TERMINAL_DIM), text, terminal_style(stderr, TERMINAL_PLAIN));
}

// ---------------------------------------------------------------------------------------------------- answers

static void stop_on_failure(struct chat *chat, enum karat_status status, const struct karat_error *err)
{
    cli_fail("%s", err->text);
    if (status == KARAT_ERR_CONTEXT_FULL)
        remark(chat, "/clear begins a new conversation; --ctx N makes room for a longer one");
    if (status == KARAT_ERR_DEVICE_LOST) {
        chat->lost = true;
        remark(chat, "the conversation is still here: /save FILE keeps it, /quit leaves");
    }
}

static void answer(struct chat *chat)
{
    if (chat->lost) {
        cli_fail("the device was lost, so nothing can be answered any more");
        return;
    }
    struct karat_error err = { 0 };
    struct karat_reply reply = { 0 };
    struct reply_view view = { .hide_thoughts = !chat->think, .hide_calls = chat->options->quiet };
    struct karat_generate_options generate = {
        .max_tokens = (uint32_t)chat->options->n_predict.count,
        .sampling = chat->sampling,
        .thinking = chat->think,
        .max_thought = (uint32_t)chat->options->thought.count,
    };
    cli_interrupt_forget();
    cli_interrupt_watch(chat->session);
    karat_session_timings_reset(chat->session);
    const enum karat_status status =
        conversation_answer(&chat->talk, chat->session, &generate, &view, &chat->tools, &reply, &err);
    cli_interrupt_watch(NULL);
    if (view.broken) {
        chat->leave = true; // cli_done() says why
    } else if (status == KARAT_ERR_CANCELLED || cli_interrupted()) {
        remark(chat, "(stopped)");
    } else if (status != KARAT_OK) {
        stop_on_failure(chat, status, &err);
    } else {
        const char *note = reply_view_remark(&reply);
        if (note)
            remark(chat, note);
        else if (reply.stop == KARAT_STOP_TOOL_CALLS && !tools_declarations(&chat->tools))
            remark(chat, "(no tool is connected; /tools on offers the demo tools)");
        cli_print_speed(chat->model, chat->session, chat->options);
    }
    cli_interrupt_forget();
    karat_reply_free(&reply);
}

// ---------------------------------------------------------------------------------------------------- commands

static void command_help(struct chat *chat, const char *argument);

static void command_clear(struct chat *chat, const char *argument)
{
    (void)argument;
    conversation_clear(&chat->talk);
    remark(chat, "a new conversation");
}

// "on", "off" or "" (the other way round).
static bool set_switch(bool *value, const char *name, const char *argument)
{
    if (strcmp(argument, "on") == 0)
        *value = true;
    else if (strcmp(argument, "off") == 0)
        *value = false;
    else if (*argument == '\0')
        *value = !*value;
    else
        cli_fail("%s takes on or off, not \"%s\"", name, argument);
    return *value;
}

static void command_think(struct chat *chat, const char *argument)
{
    remark(chat, set_switch(&chat->think, "/think", argument) ? "the model thinks first" : "the model answers at once");
}

static void command_tools(struct chat *chat, const char *argument)
{
    struct tools *tools = &chat->tools;
    bool on = tools_declarations(tools) != NULL;
    tools->off = !set_switch(&on, "/tools", argument);
    tools->demo = tools->demo || !tools->mcp;
    if (!on)
        remark(chat, "no tools");
    else if (tools->mcp)
        remark(chat, "the tools of the MCP servers on");
    else
        remark(chat, "demo tools on: get_weather and get_time invent their answers, calculator computes");
}

static void command_system(struct chat *chat, const char *argument)
{
    conversation_set_system(&chat->talk, argument);
    remark(chat, *argument ? "the system text is set" : "no system text");
}

static void command_regen(struct chat *chat, const char *argument)
{
    (void)argument;
    if (conversation_back_to_user(&chat->talk))
        answer(chat);
    else
        cli_fail("there is no question yet to answer again");
}

static void command_save(struct chat *chat, const char *argument)
{
    struct text json = { 0 }, fault = { 0 };
    conversation_json(&chat->talk, &json);
    app_text_add(&json, "\n");
    if (*argument == '\0')
        cli_fail("/save wants the name of a file");
    else if (files_write(argument, json.data, json.size, &fault))
        remark(chat, "saved");
    else
        cli_fail("%s", fault.data);
    app_text_free(&json);
    app_text_free(&fault);
}

static void command_load(struct chat *chat, const char *argument)
{
    struct text json = { 0 }, fault = { 0 };
    if (*argument == '\0') {
        cli_fail("/load wants the name of a file");
    } else if (!files_read(argument, &json, &fault)) {
        cli_fail("%s", fault.data);
    } else if (!conversation_load(&chat->talk, app_text_of(&json), json.size, &fault)) {
        cli_fail("%s is no saved conversation: %s", argument, fault.data);
    } else if (!chat->options->quiet) {
        fprintf(stderr, "%sloaded, %zu messages%s\n", terminal_style(stderr, TERMINAL_DIM), chat->talk.n_messages,
                terminal_style(stderr, TERMINAL_PLAIN));
    }
    app_text_free(&json);
    app_text_free(&fault);
}

static void command_temp(struct chat *chat, const char *argument)
{
    double value;
    if (!options_number(argument, &value) || value < 0 || value > 100) {
        cli_fail("/temp wants a number from 0 to 100, not \"%s\"", argument);
        return;
    }
    chat->sampling.temperature = (float)value;
    chat->sampling.greedy = value == 0;
    remark(chat, value == 0 ? "always the best token" : "the temperature is set");
}

static void command_quit(struct chat *chat, const char *argument)
{
    (void)argument;
    chat->leave = true;
}

static const struct {
    const char *name, *argument, *help;
    void (*run)(struct chat *chat, const char *argument);
} commands[] = {
    { "/help", "", "this list", command_help },
    { "/clear", "", "begin a new conversation; the system text stays", command_clear },
    { "/regen", "", "answer the last question again", command_regen },
    { "/think", "on|off", "let the model think first", command_think },
    { "/tools", "on|off", "offer the tools of --mcp, else the demo tools get_weather, get_time, calculator",
      command_tools },
    { "/system", "TEXT", "what the model is told before anything else; empty for nothing", command_system },
    { "/temp", "X", "temperature; 0 always takes the best token", command_temp },
    { "/save", "FILE", "write the conversation as JSON", command_save },
    { "/load", "FILE", "go on with a saved conversation", command_load },
    { "/quit", "", "leave; so does Ctrl-D", command_quit },
};

static void command_help(struct chat *chat, const char *argument)
{
    (void)chat;
    (void)argument;
    for (size_t i = 0; i < COUNT(commands); ++i)
        fprintf(stderr, "  %-8s%-7s %s\n", commands[i].name, commands[i].argument, commands[i].help);
    fputs("  A line that ends in \\ goes on in the next; \"\"\" begins and ends a text of several lines.\n"
          "  Ctrl-C stops an answer.\n",
          stderr);
}

static void run_command(struct chat *chat, const char *line)
{
    const size_t size = strcspn(line, " \t");
    for (size_t i = 0; i < COUNT(commands); ++i)
        if (strlen(commands[i].name) == size && memcmp(commands[i].name, line, size) == 0) {
            commands[i].run(chat, line + size + strspn(line + size, " \t"));
            return;
        }
    cli_fail("%.*s is no command; /help lists them", (int)size, line);
}

// ---------------------------------------------------------------------------------------------------- input

// A first line that ends in a backslash, or begins with """, goes on over further lines.
static enum line_result read_rest(struct chat *chat, struct text *input)
{
    struct text line = { 0 };
    enum line_result result = LINE_READ;
    const bool quoted = strncmp(input->data, "\"\"\"", 3) == 0;
    if (quoted) {
        memmove(input->data, input->data + 3, input->size - 2);
        input->size -= 3;
    }
    for (;;) {
        if (quoted && input->size >= 3 && strcmp(input->data + input->size - 3, "\"\"\"") == 0) {
            input->data[input->size -= 3] = '\0';
            break;
        }
        if (!quoted && (input->size == 0 || input->data[input->size - 1] != '\\'))
            break;
        if (!quoted)
            input->data[--input->size] = '\0';
        result = line_edit_read(chat->edit, "... ", &line);
        if (result != LINE_READ)
            break;
        if (input->size || !quoted)
            app_text_add(input, "\n");
        app_text_append(input, line.data, line.size);
    }
    app_text_free(&line);
    return result;
}

static enum line_result read_input(struct chat *chat, struct text *input)
{
    const enum line_result first = line_edit_read(chat->edit, "> ", input);
    return first == LINE_READ ? read_rest(chat, input) : first;
}

static void take_input(struct chat *chat, const struct text *input)
{
    const size_t valid = app_text_utf8_prefix(input->data, input->size);
    if (input->data[strspn(input->data, " \t\n")] == '\0')
        return;
    line_edit_remember(chat->edit, input->data);
    if (valid < input->size || strlen(input->data) < input->size) {
        cli_fail("that is not UTF-8 text, so it was not sent");
    } else if (input->data[0] == '/') {
        run_command(chat, input->data);
    } else {
        const size_t n_before = chat->talk.n_messages;
        conversation_add_user(&chat->talk, input->data, input->size);
        const size_t n_asked = chat->talk.n_messages;
        answer(chat);
        if (chat->talk.n_messages == n_asked)
            conversation_cut(&chat->talk, n_before); // a question without an answer would confuse the next one
    }
}

static void talk(struct chat *chat)
{
    struct text input = { 0 };
    bool asked_to_leave = false;
    while (!chat->leave) {
        cli_interrupt_forget();
        const enum line_result result = read_input(chat, &input);
        if (result == LINE_END) {
            if (platform_is_terminal(stdin))
                fputc('\n', stderr);
            break;
        }
        if (result == LINE_INTERRUPTED) {
            fputc('\n', stderr);
            if (asked_to_leave)
                break;
            remark(chat, "Ctrl-C again leaves; so does /quit");
            asked_to_leave = true;
            continue;
        }
        asked_to_leave = false;
        take_input(chat, &input);
    }
    app_text_free(&input);
}

static void greet(const struct chat *chat)
{
    struct karat_model_facts facts;
    struct text line = { 0 };
    karat_model_describe(chat->model, &facts);
    app_text_format(&line, "%s on %s, room for %u tokens; /help lists the commands",
                    facts.name && *facts.name ? facts.name : "a model without a name", facts.device,
                    karat_session_capacity(chat->session));
    if (!chat->options->model)
        app_text_add(&line, "\npebble is the built-in demo model and knows very little; -m FILE takes a real one");
    if (chat->tools.mcp)
        app_text_format(&line, "\n%zu tools of MCP servers; you are asked before one is called",
                        mcp_n_tools(chat->tools.mcp));
    if (platform_is_terminal(stdin))
        remark(chat, line.data);
    app_text_free(&line);
}

int cli_chat(const struct cli_options *options)
{
    struct chat chat = { .options = options, .think = options->think };
    if (options->rest.n_words > 0)
        return cli_wrong_usage(CLI_chat, "karat chat takes no \"%s\"; karat run answers a single question",
                               options->rest.words[0]);
    if (options->system && app_text_utf8_prefix(options->system, strlen(options->system)) < strlen(options->system))
        return cli_fail("the system text is not UTF-8");
    if (!tools_open(&chat.tools, options) || !cli_open_model(&chat.model, options, false) ||
        !cli_open_session(&chat.session, chat.model, options, 0)) {
        tools_close(&chat.tools);
        karat_model_close(chat.model);
        return 1;
    }
    chat.sampling = cli_sampling(options, chat.model);
    conversation_set_system(&chat.talk, options->system);
    chat.edit = chat.tools.edit = line_edit_open();
    cli_interrupt_watch(NULL);
    greet(&chat);
    talk(&chat);

    line_edit_close(chat.edit);
    tools_close(&chat.tools);
    conversation_free(&chat.talk);
    karat_session_close(chat.session);
    karat_model_close(chat.model);
    const int code = cli_done();
    return chat.lost ? 1 : code;
}
