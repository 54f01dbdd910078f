// server/routes.h -- what stands behind each route. Each owes its exchange an end.
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/exchange.h"

// generate.c
void serve_chat(struct exchange *x);
void serve_completion(struct exchange *x);
void serve_messages(struct exchange *x);
void serve_responses(struct exchange *x);

// responses.c
void serve_response(struct exchange *x); // one that is kept, or what it answers

// texts.c
void serve_count_chat(struct exchange *x);
void serve_count_messages(struct exchange *x);
void serve_count_responses(struct exchange *x);
void serve_tokenize(struct exchange *x);
void serve_detokenize(struct exchange *x);
void serve_apply_template(struct exchange *x);

// info.c
void serve_models(struct exchange *x);
void serve_model(struct exchange *x);
void serve_health(struct exchange *x);
void serve_props(struct exchange *x);

// metrics.c
void serve_metrics(struct exchange *x);

// chats.c
void serve_chats(struct exchange *x);
void serve_chat_list(struct exchange *x);
void serve_tools(struct exchange *x);

// page.c
void serve_page(struct exchange *x);

#endif
