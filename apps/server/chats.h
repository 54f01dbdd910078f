// server/chats.h -- the chats of the web page: kept by common/chat_store.h, answered whether a page looks on or not.
//
// The requests, as page/src/api.js lists them: /chats, /chats/ID, and below it messages and answers. Only the server's
// own page may ask, for other pages of this machine have no business with what was said here.
#ifndef SERVER_CHATS_H
#define SERVER_CHATS_H

#include "server/state.h"

// A store that cannot be opened is no reason not to serve: requests for chats are then answered with the reason.
struct chats *chats_open(struct server *server);
void chats_close(struct chats *chats); // after the last answer has ended

#endif
