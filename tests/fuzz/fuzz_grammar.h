// tests/fuzz/fuzz_grammar.h -- what fuzz_schema.c and fuzz_gbnf.c demand of a grammar.
#ifndef FUZZ_GRAMMAR_H
#define FUZZ_GRAMMAR_H

#include <stdlib.h>

#include "base/utf8.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

// The input's own bytes say which of the possible bytes comes next.
static void walk_at_random(struct matcher *matcher, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < 300 && size > 0; ++i) {
        const uint8_t first = data[i * 7 % size];
        unsigned byte = 0;
        for (; byte < 256; ++byte) {
            const uint8_t next = (uint8_t)(first + byte);
            if (matcher_text(matcher, span_of(&next, 1)))
                break;
        }
        // Every state goes on or is complete, unless the limits were reached.
        if (byte == 256) {
            demand(matcher_check(matcher, NULL) != KARAT_OK || matcher_is_complete(matcher));
            return;
        }
    }
}

static void check_grammar(enum karat_status status, struct grammar *grammar, const struct karat_error *err,
                          const uint8_t *data, size_t size)
{
    struct matcher *matcher = NULL;
    if (status != KARAT_OK) {
        const size_t length = strlen(err->text);
        demand(!grammar && length > 0 && utf8_valid(err->text, length, NULL));
        return;
    }
    demand(grammar != NULL);
    if (matcher_create(&matcher, grammar, NULL, NULL) == KARAT_OK)
        walk_at_random(matcher, data, size);
    matcher_destroy(matcher);
    grammar_destroy(grammar);
}

#endif
