// tests/fuzz/fuzz_schema.c -- any bytes as a JSON Schema are refused in one sentence, or become a grammar through which
// random texts can be led to their end.
#include "fuzz_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grammar *grammar = NULL;
    struct karat_error err = { 0 };
    const enum karat_status status = grammar_from_schema(&grammar, span_of(data, size), &err);
    check_grammar(status, grammar, &err, data, size);
    return 0;
}
