// server/replay.c -- see replay.h.
#include "server/replay.h"

#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 24 // of a call, behind "call_" or "toolu_"

struct kept {
    char (*names)[NAME_SIZE]; // [n_calls]
    size_t n_calls;
    uint32_t *tokens;
    size_t n_tokens;
    uint64_t used; // the higher, the later
    bool attached; // to the request at hand
};

struct replay {
    struct kept replies[REPLAY_REPLIES_MAX];
    size_t n_replies, n_tokens;
    uint64_t clock;
};

struct replay *replay_create(void)
{
    return app_memory_new(1, sizeof(struct replay));
}

static void forget(struct replay *replay, size_t index)
{
    struct kept *kept = &replay->replies[index];
    replay->n_tokens -= kept->n_tokens;
    free(kept->names);
    free(kept->tokens);
    *kept = replay->replies[--replay->n_replies];
}

void replay_destroy(struct replay *replay)
{
    while (replay && replay->n_replies > 0)
        forget(replay, 0);
    free(replay);
}

static size_t find_oldest(const struct replay *replay)
{
    size_t oldest = 0;
    for (size_t i = 1; i < replay->n_replies; ++i)
        if (replay->replies[i].used < replay->replies[oldest].used)
            oldest = i;
    return oldest;
}

void replay_keep(struct replay *replay, const struct choice *choice, const uint32_t *tokens, size_t n_tokens)
{
    if (n_tokens == 0 || n_tokens > REPLAY_TOKENS_MAX || choice->n_calls == 0)
        return;
    while (replay->n_replies == REPLAY_REPLIES_MAX || replay->n_tokens + n_tokens > REPLAY_TOKENS_MAX)
        forget(replay, find_oldest(replay));
    struct kept *kept = &replay->replies[replay->n_replies++];
    *kept = (struct kept){ .n_calls = choice->n_calls, .n_tokens = n_tokens, .used = ++replay->clock };
    kept->names = app_memory_new(choice->n_calls, sizeof *kept->names);
    for (size_t i = 0; i < choice->n_calls; ++i)
        memcpy(kept->names[i], choice->calls[i].id + strlen("call_"), NAME_SIZE);
    kept->tokens = app_memory_new(n_tokens, sizeof *tokens);
    memcpy(kept->tokens, tokens, n_tokens * sizeof *tokens);
    replay->n_tokens += n_tokens;
}

static struct kept *find(struct replay *replay, const char *name)
{
    for (size_t i = replay->n_replies; i-- > 0;)
        for (size_t k = 0; k < replay->replies[i].n_calls; ++k)
            if (memcmp(replay->replies[i].names[k], name, NAME_SIZE) == 0)
                return &replay->replies[i];
    return NULL;
}

static void write_kept(struct text *out, const struct kept *kept, const char *prefix, size_t prefix_size)
{
    app_text_add(out, out->size ? ",{\"calls\":[" : "{\"calls\":[");
    for (size_t i = 0; i < kept->n_calls; ++i)
        app_text_format(out, "%s\"%.*s%.*s\"", i ? "," : "", (int)prefix_size, prefix, NAME_SIZE, kept->names[i]);
    app_text_add(out, "],\"tokens\":[");
    for (size_t i = 0; i < kept->n_tokens; ++i)
        app_text_format(out, i ? ",%u" : "%u", kept->tokens[i]);
    app_text_add(out, "]}");
}

static void look_up(struct replay *replay, const struct text *id, struct text *out)
{
    static const char *const prefixes[] = { "call_", "toolu_" };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; ++i) {
        const size_t size = strlen(prefixes[i]);
        if (id->size != size + NAME_SIZE || memcmp(id->data, prefixes[i], size) != 0)
            continue;
        struct kept *kept = find(replay, id->data + size);
        if (!kept || kept->attached)
            return;
        kept->attached = true;
        kept->used = ++replay->clock;
        write_kept(out, kept, prefixes[i], size);
    }
}

static void look_up_calls(struct replay *replay, const struct json *json, size_t message, struct text *out)
{
    const size_t calls = app_json_member(json, message, "tool_calls");
    for (size_t i = app_json_first(json, calls); i != JSON_NONE; i = app_json_next(json, calls, i)) {
        struct text id = { 0 };
        const size_t node = app_json_member(json, i, "id");
        if (app_json_is(json, node, JSON_STRING))
            app_json_content(json, node, &id);
        look_up(replay, &id, out);
        app_text_free(&id);
    }
}

void replay_attach(struct replay *replay, struct ask *ask)
{
    struct json json = { 0 };
    struct text sampled = { 0 }, why = { 0 };
    if (replay->n_replies == 0 || ask->chat.size == 0)
        return;
    for (size_t i = 0; i < replay->n_replies; ++i)
        replay->replies[i].attached = false;
    if (app_json_parse(&json, ask->chat.data, ask->chat.size, &why)) {
        const size_t messages = app_json_member(&json, 0, "messages");
        for (size_t i = app_json_first(&json, messages); i != JSON_NONE; i = app_json_next(&json, messages, i))
            look_up_calls(replay, &json, i, &sampled);
    }
    app_json_free(&json);
    if (sampled.size > 0) {
        --ask->chat.size; // the brace at the end
        app_text_format(&ask->chat, ",\"sampled\":[%s]}", sampled.data);
    }
    app_text_free(&sampled);
    app_text_free(&why);
}
