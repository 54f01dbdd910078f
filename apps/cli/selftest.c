// cli/selftest.c -- karat selftest: every kernel on this device against its plain C twin.
#include <string.h>

#include "cli/cli.h"
#include "common/terminal.h"

struct selftest {
    const struct cli_options *options;
    struct text json;
    uint32_t n_checks, n_failed;
};

static void on_check(void *user, const struct karat_check *check)
{
    struct selftest *test = user;
    test->n_checks++;
    test->n_failed += !check->passed;
    if (test->options->json) {
        app_text_format(&test->json, "%s\n  {\"name\": ", test->n_checks > 1 ? "," : "");
        app_text_json(&test->json, check->name, strlen(check->name));
        app_text_format(&test->json, ", \"passed\": %s, \"error\": ", check->passed ? "true" : "false");
        app_text_json_number(&test->json, check->error);
        app_text_add(&test->json, ", \"bound\": ");
        app_text_json_number(&test->json, check->bound);
        app_text_format(&test->json, ", \"ns\": %llu}", (unsigned long long)check->ns);
    } else if (!check->passed || !test->options->quiet) {
        printf("%s %-44s off by %.1e, allowed %.1e, %.3f ms\n", check->passed ? "ok  " : "FAIL", check->name,
               check->error, check->bound, (double)check->ns * 1e-6);
        fflush(stdout);
    }
}

int cli_selftest(const struct cli_options *options)
{
    struct selftest test = { .options = options };
    struct karat_error err = { 0 };
    uint32_t n_failed = 0;
    if (options->rest.n_words != 0)
        return cli_wrong_usage(CLI_selftest, "karat selftest takes no \"%s\"", options->rest.words[0]);
    int code;
    if (karat_selftest(options->device, on_check, &test, &n_failed, &err) != KARAT_OK) {
        code = cli_fail("%s", err.text);
    } else {
        if (options->json)
            printf("{\"n_checks\": %u, \"n_failed\": %u, \"checks\": [%s]}\n", test.n_checks, n_failed,
                   app_text_of(&test.json));
        else
            printf("%u checks, %u failed\n", test.n_checks, n_failed);
        code = cli_done();
        if (n_failed > 0)
            code = cli_fail("%u of %u kernels are wrong on this device", n_failed, test.n_checks);
    }
    app_text_free(&test.json);
    return code;
}
