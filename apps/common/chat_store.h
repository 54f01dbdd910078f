// common/chat_store.h -- conversations on disk: a SQLite file that outlives the program, its crash included.
//
// A chat is a tree of messages: editing a question or asking for another answer adds a sibling, and nothing is lost.
// The chat's tip is the message at the end of the branch that was looked at last.
//
// What a call has returned true for is on the disk (write-ahead log, fully synchronised), but for chat_store_grow(),
// whose text may be lost with the machine's power; never with the program. Texts are UTF-8, times are milliseconds
// since 1970.
//
// Errors   every function that takes a fault returns false and puts one sentence into *fault; nothing was changed
// then Threads  one at a time
#ifndef APPS_CHAT_STORE_H
#define APPS_CHAT_STORE_H

#include "common/text.h"

struct chat_store;

// A message's way through life, and its name in JSON and on disk.
#define CHAT_STATE_LIST(X)                                         \
    X(GROWING, "growing") /* an answer in the making */            \
    X(DONE, "done")                                                \
    X(STOPPED, "stopped") /* by the user */                        \
    X(FULL, "full")       /* the length or the context ended it */ \
    X(FAILED, "failed")   /* by an error */                        \
    X(CUT, "cut")         /* the program ended in the middle of it */

enum chat_state {
#define CHAT_STATE_ENUM(name, text) CHAT_STATE_##name,
    CHAT_STATE_LIST(CHAT_STATE_ENUM)
#undef CHAT_STATE_ENUM
};

const char *chat_state_name(enum chat_state state); // static text

struct chat_message {
    int64_t chat;
    int64_t parent;         // the message it follows, of the same chat; 0: it is a first one
    const char *role;       // "user", "assistant" or "tool"
    const char *content;    // NULL is empty, here and below
    const char *thinking;   // of an assistant
    const char *tool_calls; // of an assistant: a JSON array, kept as it is
    const char *name;       // of a tool's result: the tool
    const char *call_id;    // of a tool's result: the call that it answers
    enum chat_state state;
};

// Opens the file, makes it where there is none, and looks whether it is sound. One program has it at a time. Answers
// that an earlier program left growing are CUT from now on, and results of tools say so. A path of ":memory:" is a
// store that nobody keeps.
//
// A file of an earlier version is copied before it is brought up to date, in the place of what else may be this day's
// copy (chat_backup.h); without a copy it stays as it is, and is not opened. `day` is like "2026-01-31"; NULL: no copy.
bool chat_store_open(struct chat_store **out, const char *path, const char *day, struct text *fault);
void chat_store_close(struct chat_store *store);
// A dated copy beside the file, where there are chats and none of this day is there yet (chat_backup.h).
bool chat_store_back_up(struct chat_store *store, const char *day, struct text *fault);

// ------------------------------------------------------------------------------------------------ chats

// *id is the new chat's.
bool chat_store_create(struct chat_store *store, const char *title, const char *system, int64_t *id,
                       struct text *fault);
// NULL leaves as it is. A tip must be a message of the chat.
bool chat_store_rename(struct chat_store *store, int64_t chat, const char *title, const char *system,
                       struct text *fault);
bool chat_store_turn_to(struct chat_store *store, int64_t chat, int64_t tip, struct text *fault);
bool chat_store_remove(struct chat_store *store, int64_t chat, struct text *fault); // with its messages

// Appends a JSON array to *json, the chat that changed last first: [{"id", "title", "created", "changed"}]. With words,
// only chats in whose title or messages all of them occur (the last one as a beginning), each with a "snippet".
bool chat_store_list(struct chat_store *store, const char *words, uint32_t limit, struct text *json,
                     struct text *fault);
// Appends {"id", "title", "system", "created", "changed", "tip", "always": [tools that are permitted], "messages":
// [{"id", "parent", "role", "content", "thinking", "tool_calls", "name", "tool_call_id", "state", "created"}]}, older
// messages first; "parent" and "tip" may be null.
bool chat_store_read(struct chat_store *store, int64_t chat, struct text *json, struct text *fault);

// ------------------------------------------------------------------------------------------------ messages

// Adds a message and makes it the chat's tip.
bool chat_store_add(struct chat_store *store, const struct chat_message *message, int64_t *id, struct text *fault);
// Appends to a growing answer.
bool chat_store_grow(struct chat_store *store, int64_t message, const char *content, const char *thinking,
                     struct text *fault);
// Ends a growing answer; tool_calls may be NULL. It can be found by its words from now on.
bool chat_store_finish(struct chat_store *store, int64_t message, enum chat_state state, const char *tool_calls,
                       struct text *fault);
// Whether any message follows this one. Errors are a yes.
bool chat_store_is_followed(struct chat_store *store, int64_t message);
// Appends the message as chat_store_read() shows it.
bool chat_store_message(struct chat_store *store, int64_t chat, int64_t message, struct text *json, struct text *fault);
// Appends the messages that lead from the first one to `message` as a JSON array in the form of chat requests:
// [{"role", "content", "tool_calls"?, "name"?, "tool_call_id"?}], a system message first where the chat has one.
// Thoughts are left out.
bool chat_store_branch(struct chat_store *store, int64_t message, struct text *json, struct text *fault);

// ------------------------------------------------------------------------------------------------ permissions

// The user lets this tool of this server be called in the chat without asking, as it is declared now.
bool chat_store_permit(struct chat_store *store, int64_t chat, const char *server, const char *tool,
                       const char *declaration, struct text *fault);
bool chat_store_forbid(struct chat_store *store, int64_t chat, struct text *fault); // takes all of these back
// Whether that was said of just this declaration. Errors are a no.
bool chat_store_permits(struct chat_store *store, int64_t chat, const char *server, const char *tool,
                        const char *declaration);

#endif
