// tests/demo.c -- see demo.h.
#include "demo.h"

struct karat_model *demo;
struct karat_model_facts demo_facts;
struct karat_session *demo_session;

bool demo_open(struct test *t)
{
    struct karat_error err = { 0 };
    if (!demo && karat_model_open(&demo, NULL, NULL, &err) == KARAT_OK)
        karat_model_describe(demo, &demo_facts);
    return test_check(t, demo, __FILE__, __LINE__, "%s", err.text);
}

bool demo_open_session(struct test *t)
{
    struct karat_error err = { 0 };
    if (demo_open(t) && !demo_session)
        karat_session_open(&demo_session, demo, &(struct karat_session_options){ .n_context = 1024 }, &err);
    return test_check(t, demo_session, __FILE__, __LINE__, "%s", err.text);
}

__attribute__((destructor)) static void close_demo(void)
{
    karat_session_close(demo_session);
    karat_model_close(demo);
}
