// common/options.h -- command-line options as a table, from which parsing and help both come.
#ifndef APPS_OPTIONS_H
#define APPS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"

enum option_kind {
    OPTION_FLAG,   // bool: set by naming it
    OPTION_TEXT,   // const char *: lives as long as argv
    OPTION_CHOICE, // const char *: one of the words in `value`, separated by |
    OPTION_COUNT,  // struct option_number: a whole number from low to high
    OPTION_NUMBER, // struct option_number: a number from low to high
    OPTION_COUNTS, // struct option_counts: whole numbers separated by commas
};

struct option_number {
    bool given;
    uint64_t count; // of OPTION_COUNT
    double number;
};

#define OPTION_COUNTS_MAX 16
struct option_counts {
    uint32_t values[OPTION_COUNTS_MAX];
    size_t n; // 0: not given
};

struct option {
    const char *name; // with its dashes
    enum option_kind kind;
    const char *value; // as the help shows it; NULL for flags
    unsigned commands; // bit set of the commands that take it
    size_t offset;     // of its field in the record that is filled
    double low, high;  // of numbers
    const char *help;  // one line
};

// What is left over after the options, in order.
struct option_rest {
    char **words;
    int n_words;
};

// Parses argv[0..argc) into `record` (zeroed by the caller) for the command with bit `command`. The words that are no
// options move to the front of argv, where `rest` lends them. "--" ends the options, "-" is a word, "--name=value" and
// "--name value" are the same; the last of equal options counts. On failure: false and one sentence in *fault.
bool options_parse(const struct option *table, size_t n_options, unsigned command, const char *const *command_names,
                   int argc, char **argv, void *record, struct option_rest *rest, struct text *fault);

// Appends one line per option of the command.
void options_help(const struct option *table, size_t n_options, unsigned command, struct text *out);

// "0x10", "1e3", " 5", "+5", "" and what does not fit 64 bits are not whole numbers; NaN and infinities not numbers.
bool options_count(const char *word, uint64_t *out);
bool options_number(const char *word, double *out);

#endif
