// common/chat_store.c -- conversations in SQLite.
#include "common/chat_store.h"

#include <string.h>

#include "common/chat_db.h"
#include "common/platform.h"

static const char *const state_names[] = {
#define CHAT_STATE_NAME(name, text) text,
    CHAT_STATE_LIST(CHAT_STATE_NAME)
#undef CHAT_STATE_NAME
};

const char *chat_state_name(enum chat_state state)
{
    return state_names[state];
}

// ------------------------------------------------------------------------------------------------ chats

// A change that found nothing to change.
static bool expect_one(int n_changed, const char *what, int64_t id, struct text *fault)
{
    if (n_changed > 0)
        return true;
    app_text_format(fault, "there is no %s %lld", what, (long long)id);
    return false;
}

bool chat_store_create(struct chat_store *store, const char *title, const char *system, int64_t *id, struct text *fault)
{
    const int64_t now = platform_now_ms();
    if (!chat_db_run(store, fault,
                     chat_db_query(store, fault,
                                   "INSERT INTO chat (title, system, created, changed) VALUES (?, ?, ?, ?)", "ssii",
                                   title, system, now, now),
                     NULL))
        return false;
    *id = sqlite3_last_insert_rowid(store->db);
    return true;
}

bool chat_store_rename(struct chat_store *store, int64_t chat, const char *title, const char *system,
                       struct text *fault)
{
    int n_changed = 0;
    return chat_db_run(
               store, fault,
               chat_db_query(store, fault,
                             "UPDATE chat SET title = iif(?1, ?2, title), system = iif(?3, ?4, system) WHERE id = ?5",
                             "isisi", (int64_t)(title != NULL), title, (int64_t)(system != NULL), system, chat),
               &n_changed) &&
           expect_one(n_changed, "chat", chat, fault);
}

bool chat_store_turn_to(struct chat_store *store, int64_t chat, int64_t tip, struct text *fault)
{
    int n_changed = 0;
    return chat_db_run(store, fault,
                       chat_db_query(store, fault,
                                     "UPDATE chat SET tip = ?2 WHERE id = ?1 AND"
                                     " EXISTS (SELECT 1 FROM message WHERE id = ?2 AND chat = ?1)",
                                     "ii", chat, tip),
                       &n_changed) &&
           expect_one(n_changed, "such chat or no message", tip, fault);
}

bool chat_store_remove(struct chat_store *store, int64_t chat, struct text *fault)
{
    int n_changed = 0;
    return chat_db_run(store, fault, chat_db_query(store, fault, "DELETE FROM chat WHERE id = ?", "i", chat),
                       &n_changed) &&
           expect_one(n_changed, "chat", chat, fault);
}

// Every word in quotes, so that nothing a user types is an operator; the last one may go on.
static void add_words(struct text *out, const char *words)
{
    static const char blanks[] = " \t\r\n";
    while (*(words += strspn(words, blanks))) {
        const size_t size = strcspn(words, blanks);
        app_text_add(out, out->size ? " \"" : "\"");
        for (size_t i = 0; i < size; ++i)
            app_text_append(out, words[i] == '"' ? "\"\"" : words + i, words[i] == '"' ? 2 : 1);
        app_text_add(out, "\"");
        words += size;
    }
    if (out->size)
        app_text_add(out, "*");
}

static sqlite3_stmt *query_chats(struct chat_store *store, const char *words, uint32_t limit, struct text *fault)
{
    struct text pattern = { 0 };
    add_words(&pattern, words ? words : "");
    if (pattern.size == 0)
        return chat_db_query(store, fault,
                             "SELECT id, title, created, changed, NULL FROM chat ORDER BY changed DESC LIMIT ?", "i",
                             (int64_t)limit);
    sqlite3_stmt *statement = chat_db_query(
        store, fault,
        "WITH hit AS (SELECT message.chat AS chat, snippet(word, 0, '', '', '...', 12) AS snippet, rank AS rank"
        "  FROM word JOIN message ON message.id = word.rowid WHERE word MATCH ?1)"
        " SELECT chat.id, title, created, changed, (SELECT snippet FROM hit WHERE hit.chat = chat.id"
        "   ORDER BY rank LIMIT 1) FROM chat"
        " WHERE chat.id IN (SELECT chat FROM hit) OR instr(lower(title), lower(?2))"
        " ORDER BY changed DESC LIMIT ?3",
        "ssi", pattern.data, words, (int64_t)limit);
    app_text_free(&pattern);
    return statement;
}

bool chat_store_list(struct chat_store *store, const char *words, uint32_t limit, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row = query_chats(store, words, limit, fault);
    if (!row)
        return false;
    app_text_add(json, "[");
    for (bool first = true; chat_db_next(store, row, fault, &ok); first = false) {
        app_text_add(json, first ? "{" : ",{");
        chat_db_add_number(json, "id", row, 0);
        app_text_add(json, ",");
        chat_db_add_string(json, "title", row, 1);
        app_text_add(json, ",");
        chat_db_add_number(json, "created", row, 2);
        app_text_add(json, ",");
        chat_db_add_number(json, "changed", row, 3);
        if (sqlite3_column_type(row, 4) != SQLITE_NULL) {
            app_text_add(json, ",");
            chat_db_add_string(json, "snippet", row, 4);
        }
        app_text_add(json, "}");
    }
    app_text_add(json, "]");
    sqlite3_finalize(row);
    return ok;
}

static void add_message(struct text *json, sqlite3_stmt *row)
{
    // The MESSAGE_COLUMNS, in order.
    static const struct {
        const char *key;
        void (*add)(struct text *json, const char *key, sqlite3_stmt *row, int column);
    } columns[] = {
        { "id", chat_db_add_number },      { "parent", chat_db_add_number },       { "role", chat_db_add_string },
        { "content", chat_db_add_string }, { "thinking", chat_db_add_string },     { "tool_calls", chat_db_add_array },
        { "name", chat_db_add_string },    { "tool_call_id", chat_db_add_string }, { "state", chat_db_add_string },
        { "created", chat_db_add_number },
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; ++i) {
        app_text_add(json, i == 0 ? "{" : ",");
        columns[i].add(json, columns[i].key, row, (int)i);
    }
    app_text_add(json, "}");
}

#define MESSAGE_COLUMNS "id, parent, role, content, thinking, tool_calls, name, call_id, state, created"

static bool add_messages(struct chat_store *store, int64_t chat, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row =
        chat_db_query(store, fault, "SELECT " MESSAGE_COLUMNS " FROM message WHERE chat = ? ORDER BY id", "i", chat);
    if (!row)
        return false;
    app_text_add(json, "[");
    for (bool first = true; chat_db_next(store, row, fault, &ok); first = false) {
        if (!first)
            app_text_add(json, ",");
        add_message(json, row);
    }
    app_text_add(json, "]");
    sqlite3_finalize(row);
    return ok;
}

static bool add_permitted(struct chat_store *store, int64_t chat, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row = chat_db_query(
        store, fault, "SELECT json_group_array(tool) FROM (SELECT tool FROM permission WHERE chat = ? ORDER BY tool)",
        "i", chat);
    if (row && chat_db_next(store, row, fault, &ok))
        chat_db_add_array(json, "always", row, 0);
    sqlite3_finalize(row);
    return ok;
}

bool chat_store_read(struct chat_store *store, int64_t chat, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row = chat_db_query(
        store, fault, "SELECT id, title, system, created, changed, tip FROM chat WHERE id = ?", "i", chat);
    if (!row)
        return false;
    const bool found = chat_db_next(store, row, fault, &ok);
    if (found) {
        app_text_add(json, "{");
        chat_db_add_number(json, "id", row, 0);
        app_text_add(json, ",");
        chat_db_add_string(json, "title", row, 1);
        app_text_add(json, ",");
        chat_db_add_string(json, "system", row, 2);
        app_text_add(json, ",");
        chat_db_add_number(json, "created", row, 3);
        app_text_add(json, ",");
        chat_db_add_number(json, "changed", row, 4);
        app_text_add(json, ",");
        chat_db_add_number(json, "tip", row, 5);
        app_text_add(json, ",");
    }
    sqlite3_finalize(row);
    if (!found)
        return ok && expect_one(0, "chat", chat, fault);
    ok = add_permitted(store, chat, json, fault);
    app_text_add(json, ",\"messages\":");
    ok = ok && add_messages(store, chat, json, fault);
    app_text_add(json, "}");
    return ok;
}

// ------------------------------------------------------------------------------------------------ messages

static bool insert_message(struct chat_store *store, const struct chat_message *m, int64_t *id, struct text *fault)
{
    int n_changed = 0;
    const int64_t now = platform_now_ms();
    if (!chat_db_run(
            store, fault,
            chat_db_query(
                store, fault,
                "INSERT INTO message (chat, parent, role, content, thinking, tool_calls, name, call_id, state, created)"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE EXISTS (SELECT 1 FROM chat WHERE id = ?1)"
                " AND (?2 IS NULL OR EXISTS (SELECT 1 FROM message WHERE id = ?2 AND chat = ?1))",
                "irsssssssi", m->chat, m->parent, m->role, m->content, m->thinking, m->tool_calls, m->name, m->call_id,
                state_names[m->state], now),
            &n_changed))
        return false;
    if (n_changed == 0)
        return m->parent ? expect_one(0, "such chat or no message", m->parent, fault)
                         : expect_one(0, "chat", m->chat, fault);
    *id = sqlite3_last_insert_rowid(store->db);
    return chat_db_run(
        store, fault,
        chat_db_query(store, fault, "UPDATE chat SET changed = ?, tip = ? WHERE id = ?", "iii", now, *id, m->chat),
        NULL);
}

bool chat_store_add(struct chat_store *store, const struct chat_message *message, int64_t *id, struct text *fault)
{
    if (!chat_db_execute(store, "BEGIN", fault))
        return false;
    if (insert_message(store, message, id, fault) && chat_db_execute(store, "COMMIT", fault))
        return true;
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool chat_store_grow(struct chat_store *store, int64_t message, const char *content, const char *thinking,
                     struct text *fault)
{
    int n_changed = 0;
    return chat_db_run(store, fault,
                       chat_db_query(store, fault,
                                     "UPDATE message SET content = content || ?, thinking = thinking || ?"
                                     " WHERE id = ? AND state = 'growing'",
                                     "ssi", content, thinking, message),
                       &n_changed) &&
           expect_one(n_changed, "growing message", message, fault);
}

bool chat_store_finish(struct chat_store *store, int64_t message, enum chat_state state, const char *tool_calls,
                       struct text *fault)
{
    int n_changed = 0;
    return chat_db_run(store, fault,
                       chat_db_query(store, fault,
                                     "UPDATE message SET state = ?, tool_calls = ? WHERE id = ? AND state = 'growing'",
                                     "ssi", state_names[state], tool_calls, message),
                       &n_changed) &&
           expect_one(n_changed, "growing message", message, fault);
}

bool chat_store_is_followed(struct chat_store *store, int64_t message)
{
    bool ok = false;
    struct text fault = { 0 };
    sqlite3_stmt *row = chat_db_query(store, &fault, "SELECT 1 FROM message WHERE parent = ? LIMIT 1", "i", message);
    const bool followed = !row || chat_db_next(store, row, &fault, &ok) || !ok;
    sqlite3_finalize(row);
    app_text_free(&fault);
    return followed;
}

bool chat_store_message(struct chat_store *store, int64_t chat, int64_t message, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row = chat_db_query(store, fault, "SELECT " MESSAGE_COLUMNS " FROM message WHERE id = ? AND chat = ?",
                                      "ii", message, chat);
    if (!row)
        return false;
    const bool found = chat_db_next(store, row, fault, &ok);
    if (found)
        add_message(json, row);
    sqlite3_finalize(row);
    return ok && expect_one(found, "message", message, fault);
}

static void add_request_message(struct text *json, sqlite3_stmt *row)
{
    app_text_add(json, json->data[json->size - 1] == '[' ? "{" : ",{");
    chat_db_add_string(json, "role", row, 0);
    app_text_add(json, ",");
    chat_db_add_string(json, "content", row, 1);
    if (sqlite3_column_bytes(row, 2) > 0) {
        app_text_add(json, ",");
        chat_db_add_array(json, "tool_calls", row, 2);
    }
    if (sqlite3_column_bytes(row, 3) > 0) {
        app_text_add(json, ",");
        chat_db_add_string(json, "name", row, 3);
    }
    if (sqlite3_column_bytes(row, 4) > 0) {
        app_text_add(json, ",");
        chat_db_add_string(json, "tool_call_id", row, 4);
    }
    app_text_add(json, "}");
}

bool chat_store_branch(struct chat_store *store, int64_t message, struct text *json, struct text *fault)
{
    bool ok = false;
    size_t n = 0;
    sqlite3_stmt *row = chat_db_query(
        store, fault,
        "WITH RECURSIVE up (id, parent, chat, depth) AS ("
        "  SELECT id, parent, chat, 0 FROM message WHERE id = ?1 UNION ALL"
        "  SELECT m.id, m.parent, m.chat, up.depth + 1 FROM message m JOIN up ON m.id = up.parent)"
        " SELECT 'system', system, '', '', '', 1 + (SELECT max(depth) FROM up) AS depth FROM chat"
        "   WHERE id = (SELECT chat FROM up LIMIT 1) AND system <> ''"
        " UNION ALL SELECT role, content, tool_calls, name, call_id, depth FROM up JOIN message ON message.id = up.id"
        " ORDER BY depth DESC",
        "i", message);
    if (!row)
        return false;
    app_text_add(json, "[");
    for (; chat_db_next(store, row, fault, &ok); ++n)
        add_request_message(json, row);
    app_text_add(json, "]");
    sqlite3_finalize(row);
    return ok && expect_one(n > 0, "message", message, fault);
}

// ------------------------------------------------------------------------------------------------ permissions

bool chat_store_permit(struct chat_store *store, int64_t chat, const char *server, const char *tool,
                       const char *declaration, struct text *fault)
{
    return chat_db_run(store, fault,
                       chat_db_query(store, fault,
                                     "INSERT OR REPLACE INTO permission (chat, server, tool, declaration)"
                                     " VALUES (?, ?, ?, ?)",
                                     "isss", chat, server, tool, declaration),
                       NULL);
}

bool chat_store_forbid(struct chat_store *store, int64_t chat, struct text *fault)
{
    return chat_db_run(store, fault, chat_db_query(store, fault, "DELETE FROM permission WHERE chat = ?", "i", chat),
                       NULL);
}

bool chat_store_permits(struct chat_store *store, int64_t chat, const char *server, const char *tool,
                        const char *declaration)
{
    bool ok = false;
    struct text fault = { 0 };
    sqlite3_stmt *row = chat_db_query(
        store, &fault, "SELECT 1 FROM permission WHERE chat = ? AND server = ? AND tool = ? AND declaration = ?",
        "isss", chat, server, tool, declaration);
    const bool found = row && chat_db_next(store, row, &fault, &ok);
    sqlite3_finalize(row);
    app_text_free(&fault);
    return found;
}
