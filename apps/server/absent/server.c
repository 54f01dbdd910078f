// server/absent/server.c -- in place of the server where libevent is missing.
#include "server/server.h"

bool server_check(const struct server_options *options, struct text *fault)
{
    (void)options;
    app_text_add(fault, "this build has no server");
    return false;
}

bool server_run(struct karat_model *model, const struct server_options *options, server_ready_fn *on_ready, void *user,
                struct text *fault)
{
    (void)model, (void)on_ready, (void)user;
    return server_check(options, fault);
}
