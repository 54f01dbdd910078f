// tests/schemas/answers.c -- answers of the demo model to schemas: `answers PER_SCHEMA SEED < schemas > answers`.
//
// Every line of stdin is a JSON Schema; every line of stdout is {"schema", "stop", "answer"} for one answer, sampled at
// temperature 1 without any cut-off, or {"schema", "refused"} with the sentence.
#include <stdio.h>
#include <stdlib.h>

#include "karat.h"
#include "text/text.h"

#define MESSAGES "[{\"role\": \"user\", \"content\": \"Hello! Tell me something.\"}]"
#define LINE_BYTES_MAX (1 << 20)

static const char *const stops[] = { "end", "tool_calls", "text", "length", "context", "cancelled" };

static void print_line(const char *schema, const char *key, const char *stop, const char *text)
{
    struct text line = { 0 };
    text_append_format(&line, "{\"schema\":%s,\"stop\":\"%s\",\"%s\":", schema, stop, key);
    text_append_json_string(&line, span_text(text));
    text_append_string(&line, "}");
    puts(line.failed ? "" : line.data);
    text_free(&line);
}

static void answer(struct karat_session *session, const char *schema, uint64_t seed)
{
    const struct karat_generate_options options = {
        .max_tokens = 600,
        .sampling = { .temperature = 1, .top_k = UINT32_MAX, .top_p = 1, .seed = seed },
        .schema = schema,
    };
    struct karat_reply reply = { 0 };
    struct karat_error err = { 0 };
    if (karat_chat(session, MESSAGES, &options, &reply, &err) == KARAT_OK)
        print_line(schema, "answer", stops[reply.stop], reply.content);
    else
        print_line(schema, "refused", "", err.text);
    karat_reply_free(&reply);
}

int main(int argc, char **argv)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    const long per_schema = argc > 1 ? atol(argv[1]) : 1;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    char *line = malloc(LINE_BYTES_MAX);
    if (!line || karat_model_open(&model, NULL, NULL, &err) != KARAT_OK ||
        karat_session_open(&session, model, &(struct karat_session_options){ .n_context = 1024 }, &err) != KARAT_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    while (fgets(line, LINE_BYTES_MAX, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        for (long i = 0; i < per_schema; ++i)
            answer(session, line, ++seed);
        fflush(stdout);
    }
    karat_session_close(session);
    karat_model_close(model);
    free(line);
    return 0;
}
