// server/turns.c -- messages in the library's form.
#include "server/turns.h"

static void begin(struct turns *t, const char *role)
{
    app_text_format(t->out, "%s{\"role\":\"%s\"", t->n++ ? "," : "", role);
}

static void add_string(struct text *out, const char *name, const struct text *plain)
{
    app_text_format(out, ",\"%s\":", name);
    app_text_json(out, app_text_of(plain), plain->size);
}

static void flush(struct turns *t)
{
    if (!t->of_model)
        return;
    begin(t, "assistant");
    add_string(t->out, "content", &t->content);
    if (t->thought.size)
        add_string(t->out, "reasoning_content", &t->thought);
    if (t->calls.size)
        app_text_format(t->out, ",\"tool_calls\":[%s]", t->calls.data);
    app_text_add(t->out, "}");
    app_text_clear(&t->content);
    app_text_clear(&t->thought);
    app_text_clear(&t->calls);
    t->of_model = false;
}

void turns_add(struct turns *t, const char *role, const struct text *raw)
{
    flush(t);
    begin(t, role);
    app_text_add(t->out, ",\"content\":");
    app_text_append(t->out, raw->data, raw->size);
    app_text_add(t->out, "}");
}

void turns_add_result(struct turns *t, const struct text *id, const struct text *raw)
{
    flush(t);
    begin(t, "tool");
    add_string(t->out, "tool_call_id", id);
    app_text_add(t->out, ",\"content\":");
    app_text_append(t->out, raw->data, raw->size);
    app_text_add(t->out, "}");
}

void turns_add_thought(struct turns *t, const struct text *plain)
{
    t->of_model = true;
    app_text_append(&t->thought, app_text_of(plain), plain->size);
}

void turns_add_content(struct turns *t, const struct text *plain)
{
    if (t->calls.size) // text after calls begins another message
        flush(t);
    t->of_model = true;
    app_text_append(&t->content, app_text_of(plain), plain->size);
}

void turns_add_call(struct turns *t, const struct text *id, const struct text *name, const struct text *arguments)
{
    t->of_model = true;
    app_text_add(&t->calls, t->calls.size ? ",{\"type\":\"function\"" : "{\"type\":\"function\"");
    add_string(&t->calls, "id", id);
    app_text_add(&t->calls, ",\"function\":{\"name\":");
    app_text_json(&t->calls, app_text_of(name), name->size);
    app_text_add(&t->calls, ",\"arguments\":");
    app_text_add(&t->calls, arguments->size ? arguments->data : "{}");
    app_text_add(&t->calls, "}}");
}

bool turns_take_begun(struct turns *t, struct text *out)
{
    if (!t->of_model || t->calls.size)
        return false;
    app_text_append(out, app_text_of(&t->content), t->content.size);
    t->of_model = false;
    return true;
}

void turns_end(struct turns *t)
{
    flush(t);
    app_text_free(&t->content);
    app_text_free(&t->thought);
    app_text_free(&t->calls);
}

static void copy_member(struct text *out, const struct json *json, size_t node, const char *from, const char *to)
{
    const size_t value = app_json_member(json, node, from);
    if (value == JSON_NONE || app_json_is(json, value, JSON_NULL))
        return;
    app_text_format(out, "%s\"%s\":", out->data[out->size - 1] == '{' ? "" : ",", to);
    app_json_raw(json, value, out);
}

void turns_add_tool(struct text *out, const struct json *json, size_t node, const char *schema_name)
{
    app_text_add(out, "{\"type\":\"function\",\"function\":{");
    copy_member(out, json, node, "name", "name");
    copy_member(out, json, node, "description", "description");
    copy_member(out, json, node, schema_name, "parameters");
    app_text_add(out, "}}");
}
