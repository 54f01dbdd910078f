// cli/main.c -- the program `karat`: its commands, its options, its help.
#include <string.h>

#include "cli/cli.h"
#include "common/platform.h"

static const struct {
    const char *name, *usage, *summary;
    int (*run)(const struct cli_options *options);
} commands[] = {
#define ROW(name, usage, summary) [CLI_##name] = { #name, usage, summary, cli_##name },
    CLI_COMMANDS(ROW)
#undef ROW
};

#define IN(name) (1u << CLI_##name)
#define ALL ((1u << CLI_N_COMMANDS) - 1)
#define WITH_TEXT (IN(tokenize) | IN(detokenize) | IN(render) | IN(parse))
#define WITH_SESSION (IN(chat) | IN(run) | IN(bench) | IN(logits) | IN(quality))
#define WITH_DEVICE (WITH_SESSION | IN(serve) | IN(info) | IN(selftest))
#define WITH_SAMPLING (IN(chat) | IN(run))
#define FIELD(member) offsetof(struct cli_options, member)

static const struct option options_table[] = {
    { "-m", OPTION_TEXT, "FILE", WITH_SESSION | WITH_TEXT | IN(serve), FIELD(model), 0, 0,
      "model file (GGUF; of a split model its first part); default: the built-in demo model" },
    { "--device", OPTION_TEXT, "N|NAME", WITH_DEVICE, FIELD(device), 0, 0,
      "device by its number or part of its name, see karat devices" },
    { "--ctx", OPTION_COUNT, "N", WITH_SESSION | IN(info), FIELD(n_context), 1, 1048576,
      "tokens the conversation can hold; default 8192, or what the model allows" },
    { "--ctx", OPTION_COUNT, "N", IN(serve), FIELD(n_context), 1, 1048576,
      "tokens that each conversation can hold; default 8192, or what the model allows" },
    { "--kv", OPTION_CHOICE, "f16|f32", WITH_SESSION | IN(serve), FIELD(cache), 0, 0,
      "how keys and values are kept; default f16, for logits f32" },
    { "--vram", OPTION_COUNT, "MIB", WITH_SESSION | IN(serve) | IN(info), FIELD(vram_mib), 1, 16777216,
      "use at most this much device memory" },
    { "--system", OPTION_TEXT, "TEXT", WITH_SAMPLING, FIELD(system), 0, 0,
      "what the model is told before anything else" },
    { "--think", OPTION_FLAG, NULL, WITH_SAMPLING, FIELD(think), 0, 0,
      "let the model think first; its thoughts go to stderr" },
    { "--think-budget", OPTION_COUNT, "N", WITH_SAMPLING, FIELD(thought), 1, 1048576,
      "where it thinks, answer after this many tokens of thought" },
    { "--tools", OPTION_FLAG, NULL, WITH_SAMPLING, FIELD(tools), 0, 0,
      "offer three demo tools: get_weather, get_time, calculator" },
    { "--mcp", OPTION_TEXT, "FILE", WITH_SAMPLING, FIELD(mcp), 0, 0,
      "offer the tools of the MCP servers in FILE, {\"mcpServers\": {...}}" },
    { "--allow", OPTION_TEXT, "NAMES", WITH_SAMPLING, FIELD(allow), 0, 0,
      "tools that are called without asking, separated by commas, or all" },
    { "--mcp", OPTION_TEXT, "FILE", IN(serve), FIELD(mcp), 0, 0,
      "let the page's chats use the tools of the MCP servers in FILE, asking before each call" },
    { "--allow", OPTION_TEXT, "NAMES", IN(serve), FIELD(allow), 0, 0,
      "tools that the page calls without asking, separated by commas, or all" },
    { "--raw", OPTION_FLAG, NULL, IN(run), FIELD(raw), 0, 0, "continue PROMPT as plain text, without the chat format" },
    { "-n", OPTION_COUNT, "N", WITH_SAMPLING, FIELD(n_predict), 1, 1048576, "stop after this many tokens" },
    { "--temp", OPTION_NUMBER, "X", WITH_SAMPLING, FIELD(temperature), 0, 100,
      "temperature; 0 always takes the best token; default: what the model file recommends" },
    { "--top-k", OPTION_COUNT, "N", WITH_SAMPLING, FIELD(top_k), 0, 1048576, "choose among the N best tokens; 0: all" },
    { "--top-p", OPTION_NUMBER, "X", WITH_SAMPLING, FIELD(top_p), 0.001, 1,
      "choose among the best tokens that together have this probability; 1: all" },
    { "--min-p", OPTION_NUMBER, "X", WITH_SAMPLING, FIELD(min_p), 0, 1,
      "drop tokens less likely than this share of the best one" },
    { "--seed", OPTION_COUNT, "N", WITH_SAMPLING, FIELD(seed), 0, 18446744073709551615.0,
      "the same seed, the same answer; 0 or not given: from the clock" },
    { "--host", OPTION_TEXT, "ADDRESS", IN(serve), FIELD(host), 0, 0,
      "where to listen; default 127.0.0.1; what other machines can reach needs --api-key" },
    { "--port", OPTION_COUNT, "N", IN(serve), FIELD(port), 0, 65535, "default 8080; 0 takes any free one" },
    { "--api-key", OPTION_TEXT, "KEY", IN(serve), FIELD(api_key), 0, 0, "what clients must send to be answered" },
    { "--alias", OPTION_TEXT, "NAME", IN(serve), FIELD(alias), 0, 0,
      "what the model is called in replies; default: the file's name" },
    { "--parallel", OPTION_COUNT, "N", IN(serve), FIELD(parallel), 1, 64, "answers at once; default 4" },
    { "--queue", OPTION_COUNT, "N", IN(serve), FIELD(queue), 1, 4096,
      "requests that may wait for their turn, more are told to come back; default 64" },
    { "--prefixes", OPTION_COUNT, "MIB", IN(serve), FIELD(prefixes), 0, 16777216,
      "memory for beginnings of prompts, so that they are read once; default: half of what is left; 0: none" },
    { "--chats", OPTION_TEXT, "FILE", IN(serve), FIELD(chats), 0, 0,
      "where the page keeps its chats; default: among the user's files" },
    { "--metrics", OPTION_FLAG, NULL, IN(serve), FIELD(metrics), 0, 0, "counters for Prometheus at /metrics" },
    { "-p", OPTION_COUNTS, "N,...", IN(bench), FIELD(prompts), 1, 1048576, "prompt lengths to measure; default 512" },
    { "-n", OPTION_COUNT, "N", IN(bench), FIELD(n_predict), 1, 1048576, "tokens to decode; default 128" },
    { "-d", OPTION_COUNTS, "N,...", IN(bench), FIELD(depths), 0, 1048576,
      "tokens already in the context when measuring; default 0" },
    { "--batch", OPTION_COUNT, "N", IN(bench), FIELD(batch), 1, 2048,
      "tokens per step of a prompt; default: what suits the device" },
    { "--rates", OPTION_FLAG, NULL, IN(bench), FIELD(rates), 0, 0,
      "only tokens per second: no copy probe, no phases, no start" },
    { "--special", OPTION_FLAG, NULL, IN(tokenize), FIELD(special), 0, 0,
      "text such as <|turn> becomes the control token" },
    { "--bos", OPTION_FLAG, NULL, IN(tokenize), FIELD(bos), 0, 0, "begin with the start token" },
    { "--no-fixes", OPTION_FLAG, NULL, IN(render), FIELD(no_fixes), 0, 0,
      "exactly the publisher's template, its defects included" },
    { "--starts-in-thought", OPTION_FLAG, NULL, IN(parse), FIELD(starts_in_thought), 0, 0,
      "the prompt ended inside an open thought" },
    { "--tokens", OPTION_TEXT, "IDS", IN(logits), FIELD(tokens), 0, 0,
      "token ids such as 2,9259 or [2, 9259]; - reads them from the standard input" },
    { "--last", OPTION_FLAG, NULL, IN(logits), FIELD(last), 0, 0, "only the scores after the last token" },
    { "-f", OPTION_TEXT, "FILE", IN(quality), FIELD(text_file), 0, 0, "the text to measure on" },
    { "--reference", OPTION_TEXT, "FILE", IN(quality), FIELD(reference), 0, 0,
      "scores of another engine or format for the same tokens, as karat logits writes them" },
    { "--preset", OPTION_CHOICE, "tiny|small|slice|26b", IN(synth), FIELD(preset), 0, 0,
      "shape: 26b is Gemma 4 26B-A4B, slice its first 6 layers" },
    { "--type", OPTION_TEXT, "FORMAT", IN(synth), FIELD(type), 0, 0,
      "weight format or mix, such as Q4_K_M, Q8_0, MXFP4_MOE, BF16" },
    { "--seed", OPTION_COUNT, "N", IN(synth), FIELD(seed), 0, 18446744073709551615.0,
      "the same seed, the same file; default 1" },
    { "--vocab", OPTION_TEXT, "FILE", IN(synth), FIELD(vocabulary), 0, 0,
      "GGUF file whose vocabulary is copied; default: an invented one" },
    { "--layers", OPTION_COUNT, "N", IN(synth), FIELD(n_layers), 1, 512, "number of layers instead of the preset's" },
    { "--dense", OPTION_FLAG, NULL, IN(synth), FIELD(dense), 0, 0, "without experts" },
    { "-o", OPTION_TEXT, "FILE", IN(logits) | IN(synth), FIELD(output), 0, 0, "file to write" },
    { "--json", OPTION_FLAG, NULL, IN(run) | IN(info) | IN(devices) | IN(selftest) | IN(bench) | IN(quality),
      FIELD(json), 0, 0, "print JSON" },
    { "--quiet", OPTION_FLAG, NULL, ALL, FIELD(quiet), 0, 0, "nothing on stderr but errors" },
    { "--help", OPTION_FLAG, NULL, ALL, FIELD(help), 0, 0, "this text" },
};

static void print_help(void)
{
    puts("karat " KARAT_VERSION ": run Gemma 4 on any Vulkan device\n"
         "\n"
         "The shortest way to a first answer:\n"
         "\n"
         "  karat run \"What is the capital of France?\"\n"
         "\n"
         "That asks pebble, a tiny demo model inside this program. For real answers give it a real model:\n"
         "\n"
         "  karat chat -m gemma-4-26B-A4B-it-Q4_K_M.gguf\n"
         "\n"
         "Commands:");
    for (size_t i = 0; i < COUNT(commands); ++i)
        printf("  %-11s %s\n", commands[i].name, commands[i].summary);
    puts("\nkarat COMMAND --help lists a command's options.");
}

static void print_command_help(enum cli_command command)
{
    struct text help = { 0 };
    app_text_format(&help, "karat %s %s\n\n%s\n\nOptions:\n", commands[command].name, commands[command].usage,
                    commands[command].summary);
    options_help(options_table, COUNT(options_table), 1u << command, &help);
    fputs(help.data, stdout);
    app_text_free(&help);
}

static int run_command(enum cli_command command, int argc, char **argv)
{
    const char *names[CLI_N_COMMANDS];
    for (size_t i = 0; i < COUNT(commands); ++i)
        names[i] = commands[i].name;
    struct cli_options options = { 0 };
    struct text fault = { 0 };
    int code;
    const bool parsed = options_parse(options_table, COUNT(options_table), 1u << command, names, argc, argv, &options,
                                      &options.rest, &fault);
    if (options.help) {
        print_command_help(command);
        code = cli_done();
    } else if (!parsed) {
        code = cli_wrong_usage(command, "%s", fault.data);
    } else {
        code = commands[command].run(&options);
    }
    app_text_free(&fault);
    return code;
}

int main(int argc, char **argv)
{
    platform_start(&argc, &argv);
    const char *word = argc > 1 ? argv[1] : "--help";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help();
        return cli_done();
    }
    if (strcmp(word, "--version") == 0) {
        puts("karat " KARAT_VERSION);
        return cli_done();
    }
    for (size_t i = 0; i < COUNT(commands); ++i)
        if (strcmp(word, commands[i].name) == 0)
            return run_command((enum cli_command)i, argc - 2, argv + 2);
    return cli_wrong_usage(CLI_N_COMMANDS, "\"%s\" is not a command", word);
}
