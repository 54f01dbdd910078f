// cli/reply_view.c -- a reply as it arrives.
#include "cli/reply_view.h"

#include "common/json.h"
#include "common/terminal.h"

static void end_thought(struct reply_view *view)
{
    if (!view->thinking)
        return;
    fprintf(stderr, "%s\n", terminal_style(stderr, TERMINAL_PLAIN));
    view->thinking = false;
}

static void show_thought(struct reply_view *view, const char *text, size_t size)
{
    if (view->hide_thoughts)
        return;
    fflush(stdout);
    const char *style = terminal_style(stderr, TERMINAL_DIM);
    if (!view->thinking)
        fputs(*style ? style : "thinking: ", stderr); // where there are no colours, a word tells thought from answer
    view->thinking = true;
    terminal_write(stderr, text, size);
    fflush(stderr);
}

static void show_answer(struct reply_view *view, const char *text, size_t size)
{
    end_thought(view);
    if (size == 0 || view->hide_answer)
        return;
    view->open_line = text[size - 1] != '\n';
    if (!terminal_write(stdout, text, size) || fflush(stdout) != 0)
        view->broken = true;
}

static void show_call(struct reply_view *view, const char *text, size_t size)
{
    end_thought(view);
    if (view->hide_calls)
        return;
    reply_view_end(view);
    struct text call = { 0 };
    reply_view_call(text, size, &call);
    fputs(terminal_style(stderr, TERMINAL_CALL), stderr);
    terminal_write(stderr, app_text_of(&call), call.size);
    fprintf(stderr, "%s\n", terminal_style(stderr, TERMINAL_PLAIN));
    app_text_free(&call);
}

bool reply_view_piece(void *user, enum karat_piece kind, const char *text, size_t size)
{
    struct reply_view *view = user;
    switch (kind) {
    case KARAT_PIECE_ANSWER:
        show_answer(view, text, size);
        break;
    case KARAT_PIECE_THOUGHT:
        show_thought(view, text, size);
        break;
    case KARAT_PIECE_TOOL_CALL:
        show_call(view, text, size);
        break;
    }
    return !view->broken && !cli_interrupted();
}

void reply_view_end(struct reply_view *view)
{
    end_thought(view);
    if (view->open_line && !view->broken) {
        fputc('\n', stdout);
        fflush(stdout);
    }
    view->open_line = false;
}

void reply_view_call(const char *call, size_t size, struct text *out)
{
    struct json json;
    struct text fault = { 0 };
    if (!app_json_parse(&json, call, size, &fault)) {
        app_text_append(out, call, size); // shown as it is rather than not at all
        app_text_free(&fault);
        return;
    }
    size_t function = app_json_member(&json, 0, "function"); // the long form of OpenAI's API
    if (function == JSON_NONE)
        function = 0;
    const size_t arguments = app_json_member(&json, function, "arguments");
    app_json_content(&json, app_json_member(&json, function, "name"), out);
    app_text_add(out, "(");
    for (size_t key = app_json_first(&json, arguments); key != JSON_NONE;) {
        const size_t value = app_json_next(&json, arguments, key);
        if (key != app_json_first(&json, arguments))
            app_text_add(out, ", ");
        app_json_content(&json, key, out);
        app_text_add(out, ": ");
        app_json_raw(&json, value, out);
        key = app_json_next(&json, arguments, value);
    }
    app_text_add(out, ")");
    app_json_free(&json);
}

const char *reply_view_remark(const struct karat_reply *reply)
{
    const bool answered = reply->content && reply->content[0];
    switch (reply->stop) {
    case KARAT_STOP_CONTEXT:
        return "the context is full; --ctx N makes it larger";
    case KARAT_STOP_LENGTH:
        return "stopped at the length -n allows";
    case KARAT_STOP_CANCELLED:
        return "stopped";
    case KARAT_STOP_END:
    case KARAT_STOP_TEXT:
        if (answered)
            return NULL;
        return reply->thinking && reply->thinking[0] ? "the model thought, but gave no answer"
                                                     : "the model gave no answer";
    case KARAT_STOP_TOOL_CALLS:
        return NULL;
    }
    return NULL;
}
