// tests/schemas/answers.c -- answers of the demo model to schemas: `answers PER_SCHEMA SEED < schemas > answers`.
//
// Every line of stdin is a JSON Schema; every line of stdout is {"schema", "stop", "answer"} for one answer, sampled at
// temperature 1 without any cut-off, or {"schema", "refused"} with the sentence. As many answers are written at once as
// a server writes, so they come in the order of their ends.
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "karat.h"
#include "text/text.h"

#define CHAT                                                                              \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello! Tell me something.\"}], " \
    "\"options\": {\"add_generation_prompt\": true}}"
#define LINE_BYTES_MAX (1 << 20)
#define N_SLOTS 8
#define N_UNDER_WAY_MAX (2 * N_SLOTS) // so that no slot waits for the next line

static const char *const stops[] = { "end", "tool_calls", "text", "length", "context", "cancelled" };

static struct {
    struct mutex mutex;
    struct condition ended;
    unsigned n;
} under_way = { .mutex = MUTEX_INIT, .ended = CONDITION_INIT };

static void print_line(const char *schema, const char *key, const char *stop, const char *text)
{
    struct text line = { 0 };
    text_append_format(&line, "{\"schema\":%s,\"stop\":\"%s\",\"%s\":", schema, stop, key);
    text_append_json_string(&line, span_text(text));
    text_append_string(&line, "}");
    puts(line.failed ? "" : line.data);
    text_free(&line);
}

// ------------------------------------------------------------------------------------------------ answers

static void begin(void)
{
    mutex_lock(&under_way.mutex);
    while (under_way.n == N_UNDER_WAY_MAX)
        condition_wait(&under_way.ended, &under_way.mutex);
    ++under_way.n;
    mutex_unlock(&under_way.mutex);
}

static void end(void)
{
    mutex_lock(&under_way.mutex);
    --under_way.n;
    condition_signal_all(&under_way.ended);
    mutex_unlock(&under_way.mutex);
}

static void on_done(void *user, enum karat_status status, const struct karat_reply *reply,
                    const struct karat_request_times *times, const struct karat_error *err)
{
    (void)times;
    if (status == KARAT_OK)
        print_line(user, "answer", stops[reply->stop], reply->content);
    else
        print_line(user, "refused", "", err->text);
    free(user);
    end();
}

static void ask(struct karat_scheduler *scheduler, const char *schema, uint64_t seed)
{
    const struct karat_generate_options options = {
        .max_tokens = 600,
        .sampling = { .temperature = 1, .top_k = UINT32_MAX, .top_p = 1, .seed = seed },
        .schema = schema,
    };
    struct karat_error err = { 0 };
    const struct karat_request request = {
        .chat = CHAT, .generate = &options, .on_done = on_done, .user = strdup(schema)
    };
    begin();
    if (karat_scheduler_submit(scheduler, &request, NULL, &err) != KARAT_OK) {
        print_line(schema, "refused", "", err.text);
        free(request.user);
        end();
    }
}

static void await_all(void)
{
    mutex_lock(&under_way.mutex);
    while (under_way.n > 0)
        condition_wait(&under_way.ended, &under_way.mutex);
    mutex_unlock(&under_way.mutex);
}

int main(int argc, char **argv)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct karat_scheduler *scheduler = NULL;
    const struct karat_scheduler_options options = { .n_slots = N_SLOTS, .n_context = 1024 };
    const long per_schema = argc > 1 ? atol(argv[1]) : 1;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    char *line = malloc(LINE_BYTES_MAX);
    if (!line || karat_model_open(&model, NULL, NULL, &err) != KARAT_OK ||
        karat_scheduler_open(&scheduler, model, &options, &err) != KARAT_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    while (fgets(line, LINE_BYTES_MAX, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        for (long i = 0; i < per_schema; ++i)
            ask(scheduler, line, ++seed);
    }
    await_all();
    karat_scheduler_close(scheduler);
    karat_model_close(model);
    free(line);
    return 0;
}
