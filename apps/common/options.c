// common/options.c -- command-line options as a table.
#include "common/options.h"

#include <stdlib.h>
#include <string.h>

bool options_count(const char *word, uint64_t *out)
{
    uint64_t value = 0;
    if (!*word)
        return false;
    for (; *word; ++word) {
        if (*word < '0' || *word > '9')
            return false;
        const uint64_t digit = (uint64_t)(*word - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool options_number(const char *word, double *out)
{
    char *end;
    if (!*word || word[strspn(word, "0123456789.eE+-")] != '\0')
        return false; // strtod() alone would take "nan", "inf", "0x1p3" and leading space
    *out = strtod(word, &end);
    return *end == '\0' && app_number_is_finite(*out);
}

static void describe_range(const struct option *option, const char *word, struct text *fault)
{
    const bool whole = option->kind != OPTION_NUMBER;
    app_text_format(fault, "%s wants %s", option->name,
                    option->kind == OPTION_COUNTS ? "whole numbers separated by commas, each"
                    : whole                       ? "a whole number"
                                                  : "a number");
    if (whole && option->high > 9e15) // a double cannot name the largest of 64 bits
        app_text_format(fault, " from %.0f to %llu", option->low, (unsigned long long)UINT64_MAX);
    else
        app_text_format(fault, whole ? " from %.0f to %.0f" : " from %g to %g", option->low, option->high);
    app_text_format(fault, ", not \"%s\"", word);
}

static bool set_number(const struct option *option, const char *word, struct option_number *out, struct text *fault)
{
    struct option_number parsed = { .given = true };
    bool good;
    if (option->kind == OPTION_COUNT) {
        good = options_count(word, &parsed.count);
        parsed.number = (double)parsed.count;
    } else {
        good = options_number(word, &parsed.number);
    }
    if (!good || parsed.number < option->low || parsed.number > option->high) {
        describe_range(option, word, fault);
        return false;
    }
    *out = parsed;
    return true;
}

static bool set_counts(const struct option *option, const char *word, struct option_counts *out, struct text *fault)
{
    struct option_counts parsed = { 0 };
    const char *at = word;
    for (;;) {
        char digits[24];
        uint64_t value;
        const size_t size = strcspn(at, ",");
        const bool fits = size < sizeof digits;
        memcpy(digits, at, fits ? size : 0);
        digits[fits ? size : 0] = '\0';
        if (!options_count(digits, &value) || (double)value < option->low || (double)value > option->high) {
            describe_range(option, word, fault);
            return false;
        }
        if (parsed.n == OPTION_COUNTS_MAX) {
            app_text_format(fault, "%s takes at most %d numbers", option->name, OPTION_COUNTS_MAX);
            return false;
        }
        parsed.values[parsed.n++] = (uint32_t)value;
        if (at[size] == '\0')
            break;
        at += size + 1;
    }
    *out = parsed;
    return true;
}

static bool set_choice(const struct option *option, const char *word, const char **out, struct text *fault)
{
    const size_t size = strlen(word);
    for (const char *at = option->value; size > 0; ++at) {
        const size_t n = strcspn(at, "|");
        if (n == size && memcmp(at, word, n) == 0) {
            *out = word;
            return true;
        }
        at += n;
        if (*at == '\0')
            break;
    }
    app_text_format(fault, "%s wants one of %s, not \"%s\"", option->name, option->value, word);
    return false;
}

static bool set_value(const struct option *option, const char *word, void *record, struct text *fault)
{
    void *field = (char *)record + option->offset;
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        *(const char **)field = word;
        return true;
    case OPTION_CHOICE:
        return set_choice(option, word, field, fault);
    case OPTION_COUNT:
    case OPTION_NUMBER:
        return set_number(option, word, field, fault);
    case OPTION_COUNTS:
        return set_counts(option, word, field, fault);
    }
    return false;
}

static const struct option *find(const struct option *table, size_t n_options, unsigned command, const char *name,
                                 size_t size)
{
    for (size_t i = 0; i < n_options; ++i)
        if ((table[i].commands & command) && strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0)
            return &table[i];
    return NULL;
}

static void unknown_option(const struct option *table, size_t n_options, unsigned command,
                           const char *const *command_names, const char *name, size_t size, struct text *fault)
{
    unsigned index = 0;
    while ((command >> index) > 1)
        index++;
    const struct option *other = find(table, n_options, ~0u, name, size);
    app_text_format(fault, "%.*s is not an option of karat %s", (int)size, name, command_names[index]);
    if (!other)
        return;
    unsigned owner = 0;
    while (!(other->commands >> owner & 1))
        owner++;
    app_text_format(fault, "; karat %s has it", command_names[owner]);
}

bool options_parse(const struct option *table, size_t n_options, unsigned command, const char *const *command_names,
                   int argc, char **argv, void *record, struct option_rest *rest, struct text *fault)
{
    *rest = (struct option_rest){ .words = argv };
    bool only_words = false;
    for (int i = 0; i < argc; ++i) {
        char *word = argv[i];
        if (only_words || word[0] != '-' || word[1] == '\0') {
            rest->words[rest->n_words++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_words = true;
            continue;
        }
        const bool is_long = word[1] == '-';
        const size_t size = is_long ? strcspn(word, "=") : strlen(word);
        const struct option *option = find(table, n_options, command, word, size);
        if (!option) {
            unknown_option(table, n_options, command, command_names, word, size, fault);
            return false;
        }
        const char *value = word[size] == '=' ? word + size + 1 : NULL;
        if (option->kind == OPTION_FLAG && value) {
            app_text_format(fault, "%s takes no value, so \"%s\" cannot stand behind it", option->name, value);
            return false;
        }
        if (option->kind != OPTION_FLAG && !value) {
            if (i + 1 == argc) {
                app_text_format(fault, "%s wants a value (%s) behind it", option->name, option->value);
                return false;
            }
            value = argv[++i];
        }
        if (!set_value(option, value, record, fault))
            return false;
    }
    return true;
}

void options_help(const struct option *table, size_t n_options, unsigned command, struct text *out)
{
    for (size_t i = 0; i < n_options; ++i) {
        if (!(table[i].commands & command))
            continue;
        struct text left = { 0 };
        app_text_format(&left, "%s%s%s", table[i].name, table[i].value ? " " : "",
                        table[i].value ? table[i].value : "");
        app_text_format(out, "  %-20s %s%s\n", left.data, left.size > 20 ? "\n                       " : "",
                        table[i].help);
        app_text_free(&left);
    }
}
