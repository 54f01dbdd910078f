// common/sse.c -- server-sent events: lines of "field: value", an empty line ends an event.
#include "common/sse.h"

#include <string.h>

static void end_event(struct sse *sse, sse_event_fn *on_event, void *user)
{
    if (sse->has_data)
        on_event(user, sse->type.size ? sse->type.data : "message", &sse->data);
    sse->has_data = false;
    app_text_clear(&sse->type);
    app_text_clear(&sse->data);
}

// The value behind "NAME:" or "NAME: "; NULL: another field, or a comment.
static const char *value_of(const struct text *line, const char *name, size_t *size)
{
    const size_t n = strlen(name);
    if (line->size < n || memcmp(line->data, name, n) != 0)
        return NULL;
    if (line->size == n) {
        *size = 0;
        return "";
    }
    if (line->data[n] != ':')
        return NULL;
    const size_t start = n + 1 + (line->data[n + 1] == ' ');
    *size = line->size - start;
    return line->data + start;
}

static void end_line(struct sse *sse, sse_event_fn *on_event, void *user)
{
    size_t size;
    const char *value;
    if (sse->line.size == 0) {
        end_event(sse, on_event, user);
        return;
    }
    if ((value = value_of(&sse->line, "data", &size))) {
        if (sse->has_data)
            app_text_add(&sse->data, "\n");
        app_text_append(&sse->data, value, size);
        sse->has_data = true;
    } else if ((value = value_of(&sse->line, "event", &size))) {
        app_text_clear(&sse->type);
        app_text_append(&sse->type, value, size);
    }
    app_text_clear(&sse->line);
}

bool sse_feed(struct sse *sse, const char *bytes, size_t size, sse_event_fn *on_event, void *user)
{
    static const char mark[] = "\xEF\xBB\xBF"; // some begin with it
    for (size_t i = 0; i < size;) {
        // "\r\n" is one end, even where its halves come in different pieces.
        const bool second_half = sse->after_return && bytes[i] == '\n';
        sse->after_return = false;
        if (second_half) {
            ++i;
            continue;
        }
        size_t n = 0;
        while (i + n < size && bytes[i + n] != '\n' && bytes[i + n] != '\r')
            ++n;
        app_text_append(&sse->line, bytes + i, n);
        if (sse->line.size + sse->data.size > SSE_EVENT_BYTES_MAX)
            return false;
        i += n;
        if (i == size)
            break;
        if (!sse->began && sse->line.size >= 3 && memcmp(sse->line.data, mark, 3) == 0) {
            memmove(sse->line.data, sse->line.data + 3, sse->line.size - 2);
            sse->line.size -= 3;
        }
        sse->began = true;
        sse->after_return = bytes[i++] == '\r';
        end_line(sse, on_event, user);
    }
    return true;
}

void sse_free(struct sse *sse)
{
    app_text_free(&sse->line);
    app_text_free(&sse->type);
    app_text_free(&sse->data);
    *sse = (struct sse){ 0 };
}
