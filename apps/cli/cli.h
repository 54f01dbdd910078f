// cli/cli.h -- what the commands of the program `karat` share.
//
// Answers go to stdout, everything else to stderr. A command returns the program's exit code: 0 done, 1 failed with one
// sentence, 2 wrong usage with one sentence and a hint.
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <karat.h>
#include <stdio.h>

#include "common/options.h"
#include "common/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// One line per command: name, the rest of its usage line, what it does. The order is that of the help.
#define CLI_COMMANDS(X)                                                                                             \
    X(chat, "[-m FILE] [options]", "talk with a model; without -m with pebble, the built-in demo model")            \
    X(run, "[-m FILE] [options] PROMPT", "print one answer; PROMPT - reads it from the standard input")             \
    X(serve, "[-m FILE] [options]", "answer OpenAI's and Anthropic's clients over HTTP, on this machine only")      \
    X(info, "FILE [--json]", "what a model file holds, and how it would be placed on this machine")                 \
    X(devices, "[--json]", "the Vulkan devices, their features, and which one is chosen")                           \
    X(selftest, "[--device N]", "compare every kernel on this device with its plain C twin")                        \
    X(bench, "[-m FILE] [-p 512] [-n 128] [-d 0,8192]", "how fast prefill and decode are, and where the time goes") \
    X(tokenize, "[-m FILE] [--special] [--bos]", "text on stdin to a JSON array of token ids")                      \
    X(detokenize, "[-m FILE]", "JSON array of token ids on stdin to text")                                          \
    X(render, "[-m FILE] [--no-fixes]", "{messages, tools, options} on stdin to the prompt text, exactly")          \
    X(parse, "[-m FILE] [--starts-in-thought]", "raw model text on stdin to {thinking, content, tool_calls}")       \
    X(logits, "[-m FILE] --tokens IDS -o FILE [--last]", "scores of every next token, float32 [n_tokens][n_vocab]") \
    X(synth, "--preset NAME --type FORMAT -o FILE", "write a random model of a given shape, fast")                  \
    X(quality, "[-m FILE] -f FILE [--reference FILE]", "perplexity over a text, and distance from reference scores")

enum cli_command {
#define CLI_ENUM(name, usage, summary) CLI_##name,
    CLI_COMMANDS(CLI_ENUM)
#undef CLI_ENUM
        CLI_N_COMMANDS
};

// Every option of every command; zero means not given.
struct cli_options {
    const char *model; // NULL: the built-in demo model
    const char *device;
    struct option_number n_context, vram_mib, n_predict;
    const char *cache; // "f16" or "f32"
    bool think, json, quiet, help;
    struct option_number thought;
    const char *system;
    struct option_number temperature, top_k, top_p, min_p, seed;
    bool raw, tools;
    const char *mcp, *allow; // a file; names separated by commas
    struct option_counts prompts, depths;
    struct option_number batch;
    bool rates;
    const char *kernel_cache; // no option: where compiled kernels are kept; NULL: the user's cache folder
    bool special, bos, no_fixes, starts_in_thought;
    const char *tokens, *output, *text_file, *reference;
    bool last;
    const char *preset, *type, *vocabulary;
    struct option_number n_layers;
    bool dense;
    const char *host, *api_key, *alias, *chats;
    struct option_number port, parallel, queue, prefixes;
    bool metrics;
    struct option_rest rest;
};

// One function per command, each in the file of its name. `options` has been parsed for that command.
#define CLI_DECLARE(name, usage, summary) int cli_##name(const struct cli_options *options);
CLI_COMMANDS(CLI_DECLARE)
#undef CLI_DECLARE

// ---------------------------------------------------------------------------------------------------- saying so

// "karat: SENTENCE" on stderr; returns 1.
int cli_fail(const char *format, ...) TEXT_PRINTF(1, 2);
// The same with a hint at `karat COMMAND --help`; returns 2.
int cli_wrong_usage(enum cli_command command, const char *format, ...) TEXT_PRINTF(2, 3);
// 0 if all of stdout arrived, else 1 with a sentence. The last line of most commands.
int cli_done(void);

// ---------------------------------------------------------------------------------------------------- opening

// Opens the model the options name, with a progress bar. Prints the sentence on failure.
bool cli_open_model(struct karat_model **out, const struct cli_options *options, bool vocabulary_only);
// Opens a session of n_context tokens (0: what --ctx says, else the library's default).
bool cli_open_session(struct karat_session **out, struct karat_model *model, const struct cli_options *options,
                      uint32_t n_context);
struct karat_session_options cli_session_options(const struct cli_options *options, uint32_t n_context, bool timing);
struct karat_sampling cli_sampling(const struct cli_options *options, const struct karat_model *model);

// "prefill 812 t/s, decode 41.3 t/s, 187 GB/s of 256 (73 %)"; empty when nothing was evaluated. `possible` is the
// bandwidth of the device's memory in bytes per second, 0 where it is not known.
void cli_speed_line(const struct karat_timings *timings, double possible, struct text *out);
// The same, dimmed, as the last line on stderr; nothing with --quiet. What is possible is measured the first time that
// a device decodes for this user.
void cli_print_speed(struct karat_model *model, const struct karat_session *session, const struct cli_options *options);
// "41.3", "812": three digits that matter.
void cli_rate(double per_second, struct text *out);

// ---------------------------------------------------------------------------------------------------- Ctrl-C

// From now on Ctrl-C stops what `session` (may be NULL) computes; a third one in a row ends the program at once.
void cli_interrupt_watch(struct karat_session *session);
bool cli_interrupted(void); // since the last cli_interrupt_forget()
void cli_interrupt_forget(void);

#endif
