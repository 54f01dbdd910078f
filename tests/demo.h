// tests/demo.h -- the built-in demo model, for tests of what karat.h promises: opened by the first claim that asks for
// it, closed when the program ends.
#ifndef TESTS_DEMO_H
#define TESTS_DEMO_H

#include "karat.h"
#include "test.h"

// Once demo_open() was called.
extern struct karat_model *demo;
extern struct karat_model_facts demo_facts;
// Once demo_open_session() was called: one of 1024 tokens for all claims, so what one leaves behind must not matter to
// the next.
extern struct karat_session *demo_session;

// False after a failure, which is noted.
bool demo_open(struct test *t);
bool demo_open_session(struct test *t);

#endif
