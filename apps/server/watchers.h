// server/watchers.h -- pages that wait until a message of a chat is followed by another one.
//
// A call that waits for the user's word may be shown in several places, and is decided in one of them.
#ifndef SERVER_WATCHERS_H
#define SERVER_WATCHERS_H

#include "server/live.h"

// GET /chats/ID/messages/ID/next: a stream of {"kind": "waiting"} and {"kind": "followed"}, which is the end of it. The
// latter comes at once where there is one already, and also when the chat is removed.
void serve_next(struct exchange *x, int64_t chat, int64_t message);

// Tells those who wait on this message of this chat; 0 is any.
void watchers_tell(struct chats *chats, int64_t chat, int64_t message);

#endif
