// server/write_completion.c -- replies of /v1/completions.
#include "server/answer.h"
#include "server/logprobs.h"

static void add_head(struct text *out, const struct answer *answer)
{
    app_text_format(out, "{\"id\":\"%s\",\"object\":\"text_completion\",\"created\":%lld,\"model\":", answer->id,
                    (long long)answer->created);
    app_text_json(out, app_text_of(&answer->server->alias), answer->server->alias.size);
    app_text_add(out, ",\"system_fingerprint\":\"b" KARAT_VERSION "\"");
}

static void add_choice(struct text *out, struct choice *choice, const char *text, size_t size, bool ended)
{
    app_text_format(out, "{\"index\":%u,\"text\":", choice->index);
    app_text_json(out, text, size);
    app_text_add(out, ",\"logprobs\":");
    logprobs_write_completion(out, choice);
    app_text_format(out, ended ? ",\"finish_reason\":\"%s\"}" : ",\"finish_reason\":null}",
                    answer_finish_reason(choice));
}

static void add_usage(struct text *out, const struct answer *answer)
{
    const struct usage u = answer_usage(answer);
    app_text_format(out,
                    ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":%u}}",
                    u.prompt, u.completion, u.prompt + u.completion, u.cached);
}

static void begin(struct answer *answer)
{
    (void)answer;
}

static void send_chunk(struct choice *choice, const char *text, size_t size, bool ended)
{
    struct answer *answer = choice->answer;
    struct text out = { 0 };
    add_head(&out, answer);
    app_text_add(&out, ",\"choices\":[");
    add_choice(&out, choice, text, size, ended);
    app_text_add(&out, "]");
    if (ended && answer->n_done + 1 == answer->n_choices) {
        app_text_add(&out, ",\"timings\":");
        answer_write_timings(&out, choice);
    }
    app_text_add(&out, "}");
    answer_event(answer, NULL, &out);
    app_text_free(&out);
}

static void piece(struct choice *choice, enum karat_piece kind, const char *text, size_t size)
{
    (void)kind;
    send_chunk(choice, text, size, false);
}

static void choice_end(struct choice *choice)
{
    send_chunk(choice, "", 0, true);
}

static void end(struct answer *answer)
{
    struct text out = { 0 };
    if (answer->ask.include_usage) {
        add_head(&out, answer);
        app_text_add(&out, ",\"choices\":[]");
        add_usage(&out, answer);
        app_text_add(&out, "}");
        answer_event(answer, NULL, &out);
        app_text_clear(&out);
    }
    app_text_add(&out, "[DONE]");
    answer_event(answer, NULL, &out);
    app_text_free(&out);
}

static void whole(struct answer *answer, struct text *out)
{
    add_head(out, answer);
    app_text_add(out, ",\"choices\":[");
    for (unsigned i = 0; i < answer->n_choices; ++i) {
        struct choice *choice = &answer->choices[i];
        app_text_add(out, i ? "," : "");
        add_choice(out, choice, app_text_of(&choice->content), choice->content.size, true);
    }
    app_text_add(out, "]");
    add_usage(out, answer);
    app_text_add(out, ",\"timings\":");
    answer_write_timings(out, &answer->choices[answer->n_choices - 1]);
    app_text_add(out, "}");
}

const struct writer writer_completion = { "cmpl-", begin, piece, choice_end, end, whole };
