// common/line_edit.c -- one line from the user: libedit, the Windows console, or plain reading.
#include "common/line_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/platform.h"
#include "common/terminal.h"

#ifdef KARAT_LIBEDIT
#include <histedit.h>
#endif

struct line_edit {
    bool terminal;
    const char *prompt;
    struct text shown; // the prompt with its colours
#ifdef KARAT_LIBEDIT
    EditLine *editor; // NULL when stdin is no terminal
    History *history;
#endif
};

#ifdef KARAT_LIBEDIT
static char *current_prompt(EditLine *editor)
{
    struct line_edit *edit = NULL;
    el_get(editor, EL_CLIENTDATA, &edit);
    return edit->shown.data;
}

static void open_editor(struct line_edit *edit)
{
    if (!edit->terminal || !platform_is_terminal(stderr))
        return;
    edit->editor = el_init("karat", stdin, stderr, stderr); // stdout carries answers only
    edit->history = history_init();
    if (!edit->editor || !edit->history)
        return;
    HistEvent event;
    history(edit->history, &event, H_SETSIZE, 1000);
    el_set(edit->editor, EL_CLIENTDATA, edit);
    el_set(edit->editor, EL_PROMPT_ESC, current_prompt, '\1');
    el_set(edit->editor, EL_EDITOR, "emacs");
    el_set(edit->editor, EL_HIST, history, edit->history);
    el_set(edit->editor, EL_SIGNAL, 0); // Ctrl-C is ours
}

static enum line_result read_edited(struct line_edit *edit, struct text *out)
{
    int n = 0;
    errno = 0;
    const char *line = el_gets(edit->editor, &n);
    if (line && n > 0) {
        app_text_append(out, line, (size_t)n);
        return LINE_READ;
    }
    const bool interrupted = n < 0 && platform_was_interrupted();
    el_set(edit->editor, EL_PREP_TERM, 0); // an interrupted read leaves the terminal raw
    el_reset(edit->editor);
    return interrupted ? LINE_INTERRUPTED : LINE_END;
}
#endif

struct line_edit *line_edit_open(void)
{
    struct line_edit *edit = app_memory_new(1, sizeof *edit);
    edit->terminal = platform_is_terminal(stdin);
#ifdef KARAT_LIBEDIT
    open_editor(edit);
#endif
    return edit;
}

void line_edit_close(struct line_edit *edit)
{
    if (!edit)
        return;
#ifdef KARAT_LIBEDIT
    if (edit->editor)
        el_end(edit->editor);
    if (edit->history)
        history_end(edit->history);
#endif
    app_text_free(&edit->shown);
    free(edit);
}

void line_edit_remember(struct line_edit *edit, const char *text)
{
#ifdef KARAT_LIBEDIT
    HistEvent event;
    if (edit->history && *text)
        history(edit->history, &event, H_ENTER, text);
#else
    (void)edit;
    (void)text;
#endif
}

static enum line_result read_plain(struct text *out)
{
    errno = 0;
    char part[1024];
    while (fgets(part, sizeof part, stdin)) {
        app_text_add(out, part);
        if (out->size && out->data[out->size - 1] == '\n')
            return LINE_READ;
    }
    if (ferror(stdin) && platform_was_interrupted()) {
        clearerr(stdin);
        return LINE_INTERRUPTED;
    }
    return out->size ? LINE_READ : LINE_END;
}

#ifdef _WIN32
static enum line_result read_console(struct text *out)
{
    char *line = platform_console_line();
    if (!line)
        return platform_was_interrupted() ? LINE_INTERRUPTED : LINE_END;
    app_text_add(out, line);
    free(line);
    return LINE_READ;
}
#endif

static void show_prompt(struct line_edit *edit, const char *prompt)
{
    const char *style = terminal_style(stderr, TERMINAL_PROMPT);
    if (edit->terminal)
        fprintf(stderr, "%s%s%s", style, prompt, terminal_style(stderr, TERMINAL_PLAIN));
    fflush(stderr);
}

enum line_result line_edit_read(struct line_edit *edit, const char *prompt, struct text *out)
{
    enum line_result result;
    app_text_clear(out);
    app_text_reserve(out, 0);
    fflush(stdout);
#ifdef KARAT_LIBEDIT
    if (edit->editor) {
        const char *style = terminal_style(stderr, TERMINAL_PROMPT);
        app_text_clear(&edit->shown);
        // \1 tells the editor which part of the prompt takes no room.
        if (*style)
            app_text_format(&edit->shown, "\1%s\1%s\1%s\1", style, prompt, terminal_style(stderr, TERMINAL_PLAIN));
        else
            app_text_add(&edit->shown, prompt);
        result = read_edited(edit, out);
        goto done;
    }
#endif
    show_prompt(edit, prompt);
#ifdef _WIN32
    result = edit->terminal ? read_console(out) : read_plain(out);
#else
    result = read_plain(out);
#endif
#ifdef KARAT_LIBEDIT
done:
#endif
    if (out->data == NULL)
        app_text_clear(out);
    while (out->size && (out->data[out->size - 1] == '\n' || out->data[out->size - 1] == '\r'))
        out->data[--out->size] = '\0';
    return result;
}
