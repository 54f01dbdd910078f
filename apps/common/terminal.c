// common/terminal.c -- colours, and a progress bar that only a terminal sees.
#include "common/terminal.h"

#include <string.h>

#include "common/platform.h"

const char *terminal_style(FILE *stream, enum terminal_style style)
{
    static const char *const sequences[] = {
        [TERMINAL_PLAIN] = "\x1b[0m",     [TERMINAL_DIM] = "\x1b[2m",   [TERMINAL_BOLD] = "\x1b[1m",
        [TERMINAL_PROMPT] = "\x1b[1;36m", [TERMINAL_CALL] = "\x1b[33m",
    };
    return platform_has_colour(stream) ? sequences[style] : "";
}

// Length of a control character at the start of bytes that a terminal might obey, else 0.
static size_t control_at(const char *bytes, size_t size)
{
    const unsigned char c = (unsigned char)bytes[0];
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
        return 1;
    const bool c1 = c == 0xc2 && size > 1 && (unsigned char)bytes[1] < 0xa0; // U+0080 to U+009F
    return c1 ? 2 : 0;
}

bool terminal_write(FILE *stream, const char *bytes, size_t size)
{
    if (!platform_is_terminal(stream))
        return fwrite(bytes, 1, size, stream) == size;
    size_t start = 0;
    for (size_t i = 0; i < size;) {
        const size_t control = control_at(bytes + i, size - i);
        if (control == 0) {
            i++;
            continue;
        }
        if (fwrite(bytes + start, 1, i - start, stream) != i - start)
            return false;
        i += control;
        start = i;
    }
    return fwrite(bytes + start, 1, size - start, stream) == size - start;
}

void terminal_progress(struct terminal_progress *progress, uint64_t done, uint64_t total)
{
    const uint64_t now = platform_clock_ns();
    if (total == 0 || !platform_is_terminal(stderr) ||
        (progress->last_drawn_ns && now - progress->last_drawn_ns < 50000000u && done < total))
        return;
    progress->last_drawn_ns = now ? now : 1;

    enum { WIDTH = 24 };
    const double share = done < total ? (double)done / (double)total : 1.0;
    char bar[WIDTH + 1];
    memset(bar, ' ', WIDTH);
    memset(bar, '#', (size_t)(share * WIDTH));
    bar[WIDTH] = '\0';
    if (progress->plain_numbers)
        fprintf(stderr, "\r%s %3.0f %% [%s] %llu of %llu ", progress->what, share * 100, bar, (unsigned long long)done,
                (unsigned long long)total);
    else
        fprintf(stderr, "\r%s %3.0f %% [%s] %.2f of %.2f GB ", progress->what, share * 100, bar, (double)done * 1e-9,
                (double)total * 1e-9);
    fflush(stderr);
}

void terminal_progress_end(struct terminal_progress *progress)
{
    if (progress->last_drawn_ns)
        fprintf(stderr, "\r%*s\r",
                (platform_terminal_columns(stderr) < 79 ? platform_terminal_columns(stderr) : 79) - 1, "");
    progress->last_drawn_ns = 0;
}
