// common/chat_store.c -- conversations in SQLite.
#include "common/chat_store.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Kept in the file; a file of a later program is refused.
#define CHAT_STORE_VERSION 1

struct chat_store {
    sqlite3 *db;
    char *path;
};

static const char *const state_names[] = {
#define CHAT_STATE_NAME(name, text) text,
    CHAT_STATE_LIST(CHAT_STATE_NAME)
#undef CHAT_STATE_NAME
};

// A growing answer is indexed when it is finished: each of its pieces would index all of it again.
static const char schema[] =
    "CREATE TABLE chat (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, system TEXT NOT NULL,"
    "  created INTEGER NOT NULL, changed INTEGER NOT NULL, tip INTEGER);"
    "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  chat INTEGER NOT NULL REFERENCES chat (id) ON DELETE CASCADE, parent INTEGER REFERENCES message (id),"
    "  role TEXT NOT NULL, content TEXT NOT NULL, thinking TEXT NOT NULL, tool_calls TEXT NOT NULL,"
    "  name TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL);"
    "CREATE INDEX message_chat ON message (chat);"
    "CREATE INDEX message_parent ON message (parent);"
    "CREATE INDEX chat_changed ON chat (changed);"
    "CREATE VIRTUAL TABLE word USING fts5 (content, content = 'message', content_rowid = 'id');"
    "CREATE TRIGGER word_of_new AFTER INSERT ON message WHEN new.state <> 'growing' BEGIN"
    "  INSERT INTO word (rowid, content) VALUES (new.id, new.content); END;"
    "CREATE TRIGGER word_of_finished AFTER UPDATE OF state ON message"
    "  WHEN old.state = 'growing' AND new.state <> 'growing' BEGIN"
    "  INSERT INTO word (rowid, content) VALUES (new.id, new.content); END;"
    "CREATE TRIGGER word_of_removed AFTER DELETE ON message WHEN old.state <> 'growing' BEGIN"
    "  INSERT INTO word (word, rowid, content) VALUES ('delete', old.id, old.content); END;"
    "PRAGMA user_version = 1;";

const char *chat_state_name(enum chat_state state)
{
    return state_names[state];
}

static int64_t now_ms(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ------------------------------------------------------------------------------------------------ queries

static bool fail(const struct chat_store *store, struct text *fault)
{
    app_text_format(fault, "the chats in %s cannot be read or written: %s", store->path, sqlite3_errmsg(store->db));
    return false;
}

// Prepares a statement with its parameters bound in order: 'i' int64_t, 's' const char *, NULL as empty, 'r' an id
// where 0 is none. NULL after a failure.
static sqlite3_stmt *query(struct chat_store *store, struct text *fault, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    va_list args;
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    va_start(args, types);
    for (int i = 1; result == SQLITE_OK && types[i - 1]; ++i) {
        if (types[i - 1] == 's') {
            const char *string = va_arg(args, const char *);
            result = sqlite3_bind_text(statement, i, string ? string : "", -1, SQLITE_TRANSIENT);
            continue;
        }
        const int64_t number = va_arg(args, int64_t);
        result = types[i - 1] == 'r' && number == 0 ? sqlite3_bind_null(statement, i)
                                                    : sqlite3_bind_int64(statement, i, number);
    }
    va_end(args);
    if (result == SQLITE_OK)
        return statement;
    fail(store, fault);
    sqlite3_finalize(statement);
    return NULL;
}

// Runs a statement that changes something, and ends it. *n_changed (may be NULL) is the number of rows.
static bool run(struct chat_store *store, struct text *fault, sqlite3_stmt *statement, int *n_changed)
{
    if (!statement)
        return false;
    const bool ok = sqlite3_step(statement) == SQLITE_DONE || fail(store, fault);
    sqlite3_finalize(statement);
    if (n_changed)
        *n_changed = sqlite3_changes(store->db);
    return ok;
}

static bool execute(struct chat_store *store, const char *sql, struct text *fault)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(store, fault);
}

// Steps to the next row. False at the end and after a failure, which *ok tells apart.
static bool next_row(struct chat_store *store, sqlite3_stmt *statement, struct text *fault, bool *ok)
{
    const int result = sqlite3_step(statement);
    *ok = result == SQLITE_ROW || result == SQLITE_DONE || fail(store, fault);
    return result == SQLITE_ROW;
}

// ------------------------------------------------------------------------------------------------ columns to JSON

static void add_string(struct text *json, const char *key, sqlite3_stmt *row, int column)
{
    app_text_format(json, "\"%s\":", key);
    app_text_json(json, (const char *)sqlite3_column_text(row, column), (size_t)sqlite3_column_bytes(row, column));
}

static void add_number(struct text *json, const char *key, sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        app_text_format(json, "\"%s\":null", key);
    else
        app_text_format(json, "\"%s\":%lld", key, (long long)sqlite3_column_int64(row, column));
}

// A column that holds JSON, or "[]" where it is empty.
static void add_array(struct text *json, const char *key, sqlite3_stmt *row, int column)
{
    const bool empty = sqlite3_column_bytes(row, column) == 0;
    app_text_format(json, "\"%s\":%s", key, empty ? "[]" : (const char *)sqlite3_column_text(row, column));
}

// ------------------------------------------------------------------------------------------------ opening

static bool read_number(struct chat_store *store, const char *sql, int64_t *out, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *statement = query(store, fault, sql, "");
    if (statement && next_row(store, statement, fault, &ok))
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return ok;
}

static bool check_sound(struct chat_store *store, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *statement = query(store, fault, "PRAGMA quick_check(1)", "");
    if (statement && next_row(store, statement, fault, &ok)) {
        const char *verdict = (const char *)sqlite3_column_text(statement, 0);
        ok = strcmp(verdict, "ok") == 0;
        if (!ok)
            app_text_format(fault, "the chats in %s are damaged: %s", store->path, verdict);
    }
    sqlite3_finalize(statement);
    return ok;
}

static bool check_version(struct chat_store *store, struct text *fault)
{
    int64_t version = 0;
    if (!read_number(store, "PRAGMA user_version", &version, fault))
        return false;
    if (version > CHAT_STORE_VERSION) {
        app_text_format(fault, "the chats in %s are of a later karat: version %lld, known is %d", store->path,
                        (long long)version, CHAT_STORE_VERSION);
        return false;
    }
    return version > 0 || execute(store, schema, fault);
}

bool chat_store_open(struct chat_store **out, const char *path, struct text *fault)
{
    struct chat_store *store = app_memory_new(1, sizeof *store);
    store->path = app_memory_copy(path, strlen(path));
    *out = NULL;
    // One program at a time: the lock is taken by the first transaction and kept. Waiting for it would be in vain.
    const bool ok = (sqlite3_open(path, &store->db) == SQLITE_OK || fail(store, fault)) &&
                    execute(store,
                            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                            "PRAGMA foreign_keys = ON; BEGIN IMMEDIATE",
                            fault) &&
                    check_sound(store, fault) && check_version(store, fault) &&
                    execute(store, "UPDATE message SET state = 'cut' WHERE state = 'growing'; COMMIT", fault);
    if (!ok) {
        chat_store_close(store);
        return false;
    }
    *out = store;
    return true;
}

void chat_store_close(struct chat_store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    free(store->path);
    free(store);
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
    const int64_t now = now_ms();
    if (!run(store, fault,
             query(store, fault, "INSERT INTO chat (title, system, created, changed) VALUES (?, ?, ?, ?)", "ssii",
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
    return run(store, fault,
               query(store, fault,
                     "UPDATE chat SET title = iif(?1, ?2, title), system = iif(?3, ?4, system) WHERE id = ?5", "isisi",
                     (int64_t)(title != NULL), title, (int64_t)(system != NULL), system, chat),
               &n_changed) &&
           expect_one(n_changed, "chat", chat, fault);
}

bool chat_store_turn_to(struct chat_store *store, int64_t chat, int64_t tip, struct text *fault)
{
    int n_changed = 0;
    return run(store, fault,
               query(store, fault,
                     "UPDATE chat SET tip = ?2 WHERE id = ?1 AND"
                     " EXISTS (SELECT 1 FROM message WHERE id = ?2 AND chat = ?1)",
                     "ii", chat, tip),
               &n_changed) &&
           expect_one(n_changed, "such chat or no message", tip, fault);
}

bool chat_store_remove(struct chat_store *store, int64_t chat, struct text *fault)
{
    int n_changed = 0;
    return run(store, fault, query(store, fault, "DELETE FROM chat WHERE id = ?", "i", chat), &n_changed) &&
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
        return query(store, fault, "SELECT id, title, created, changed, NULL FROM chat ORDER BY changed DESC LIMIT ?",
                     "i", (int64_t)limit);
    sqlite3_stmt *statement =
        query(store, fault,
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
    for (bool first = true; next_row(store, row, fault, &ok); first = false) {
        app_text_add(json, first ? "{" : ",{");
        add_number(json, "id", row, 0);
        app_text_add(json, ",");
        add_string(json, "title", row, 1);
        app_text_add(json, ",");
        add_number(json, "created", row, 2);
        app_text_add(json, ",");
        add_number(json, "changed", row, 3);
        if (sqlite3_column_type(row, 4) != SQLITE_NULL) {
            app_text_add(json, ",");
            add_string(json, "snippet", row, 4);
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
        { "id", add_number },      { "parent", add_number },   { "role", add_string },
        { "content", add_string }, { "thinking", add_string }, { "tool_calls", add_array },
        { "name", add_string },    { "state", add_string },    { "created", add_number },
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; ++i) {
        app_text_add(json, i == 0 ? "{" : ",");
        columns[i].add(json, columns[i].key, row, (int)i);
    }
    app_text_add(json, "}");
}

#define MESSAGE_COLUMNS "id, parent, role, content, thinking, tool_calls, name, state, created"

static bool add_messages(struct chat_store *store, int64_t chat, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row =
        query(store, fault, "SELECT " MESSAGE_COLUMNS " FROM message WHERE chat = ? ORDER BY id", "i", chat);
    if (!row)
        return false;
    app_text_add(json, "[");
    for (bool first = true; next_row(store, row, fault, &ok); first = false) {
        if (!first)
            app_text_add(json, ",");
        add_message(json, row);
    }
    app_text_add(json, "]");
    sqlite3_finalize(row);
    return ok;
}

bool chat_store_read(struct chat_store *store, int64_t chat, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row =
        query(store, fault, "SELECT id, title, system, created, changed, tip FROM chat WHERE id = ?", "i", chat);
    if (!row)
        return false;
    const bool found = next_row(store, row, fault, &ok);
    if (found) {
        app_text_add(json, "{");
        add_number(json, "id", row, 0);
        app_text_add(json, ",");
        add_string(json, "title", row, 1);
        app_text_add(json, ",");
        add_string(json, "system", row, 2);
        app_text_add(json, ",");
        add_number(json, "created", row, 3);
        app_text_add(json, ",");
        add_number(json, "changed", row, 4);
        app_text_add(json, ",");
        add_number(json, "tip", row, 5);
        app_text_add(json, ",\"messages\":");
    }
    sqlite3_finalize(row);
    if (!found)
        return ok && expect_one(0, "chat", chat, fault);
    ok = add_messages(store, chat, json, fault);
    app_text_add(json, "}");
    return ok;
}

// ------------------------------------------------------------------------------------------------ messages

static bool insert_message(struct chat_store *store, const struct chat_message *m, int64_t *id, struct text *fault)
{
    int n_changed = 0;
    const int64_t now = now_ms();
    if (!run(store, fault,
             query(store, fault,
                   "INSERT INTO message (chat, parent, role, content, thinking, tool_calls, name, state, created)"
                   " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM chat WHERE id = ?1)"
                   " AND (?2 IS NULL OR EXISTS (SELECT 1 FROM message WHERE id = ?2 AND chat = ?1))",
                   "irssssssi", m->chat, m->parent, m->role, m->content, m->thinking, m->tool_calls, m->name,
                   state_names[m->state], now),
             &n_changed))
        return false;
    if (n_changed == 0)
        return m->parent ? expect_one(0, "such chat or no message", m->parent, fault)
                         : expect_one(0, "chat", m->chat, fault);
    *id = sqlite3_last_insert_rowid(store->db);
    return run(store, fault,
               query(store, fault, "UPDATE chat SET changed = ?, tip = ? WHERE id = ?", "iii", now, *id, m->chat),
               NULL);
}

bool chat_store_add(struct chat_store *store, const struct chat_message *message, int64_t *id, struct text *fault)
{
    if (!execute(store, "BEGIN", fault))
        return false;
    if (insert_message(store, message, id, fault) && execute(store, "COMMIT", fault))
        return true;
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool chat_store_grow(struct chat_store *store, int64_t message, const char *content, const char *thinking,
                     struct text *fault)
{
    int n_changed = 0;
    return run(store, fault,
               query(store, fault,
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
    return run(store, fault,
               query(store, fault, "UPDATE message SET state = ?, tool_calls = ? WHERE id = ? AND state = 'growing'",
                     "ssi", state_names[state], tool_calls, message),
               &n_changed) &&
           expect_one(n_changed, "growing message", message, fault);
}

bool chat_store_message(struct chat_store *store, int64_t chat, int64_t message, struct text *json, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *row =
        query(store, fault, "SELECT " MESSAGE_COLUMNS " FROM message WHERE id = ? AND chat = ?", "ii", message, chat);
    if (!row)
        return false;
    const bool found = next_row(store, row, fault, &ok);
    if (found)
        add_message(json, row);
    sqlite3_finalize(row);
    return ok && expect_one(found, "message", message, fault);
}

static void add_request_message(struct text *json, sqlite3_stmt *row)
{
    app_text_add(json, json->data[json->size - 1] == '[' ? "{" : ",{");
    add_string(json, "role", row, 0);
    app_text_add(json, ",");
    add_string(json, "content", row, 1);
    if (sqlite3_column_bytes(row, 2) > 0) {
        app_text_add(json, ",");
        add_array(json, "tool_calls", row, 2);
    }
    if (sqlite3_column_bytes(row, 3) > 0) {
        app_text_add(json, ",");
        add_string(json, "name", row, 3);
    }
    app_text_add(json, "}");
}

bool chat_store_branch(struct chat_store *store, int64_t message, struct text *json, struct text *fault)
{
    bool ok = false;
    size_t n = 0;
    sqlite3_stmt *row =
        query(store, fault,
              "WITH RECURSIVE up (id, parent, chat, depth) AS ("
              "  SELECT id, parent, chat, 0 FROM message WHERE id = ?1 UNION ALL"
              "  SELECT m.id, m.parent, m.chat, up.depth + 1 FROM message m JOIN up ON m.id = up.parent)"
              " SELECT 'system', system, '', '', 1 + (SELECT max(depth) FROM up) AS depth FROM chat"
              "   WHERE id = (SELECT chat FROM up LIMIT 1) AND system <> ''"
              " UNION ALL SELECT role, content, tool_calls, name, depth FROM up JOIN message ON message.id = up.id"
              " ORDER BY depth DESC",
              "i", message);
    if (!row)
        return false;
    app_text_add(json, "[");
    for (; next_row(store, row, fault, &ok); ++n)
        add_request_message(json, row);
    app_text_add(json, "]");
    sqlite3_finalize(row);
    return ok && expect_one(n > 0, "message", message, fault);
}
