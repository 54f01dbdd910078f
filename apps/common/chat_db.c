// common/chat_db.c -- the file of chats: its tables, its versions, and how it is asked.
#include "common/chat_db.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat_backup.h"

// Kept in the file. One of an earlier program is brought up to date, one of a later program is refused.
#define VERSION 2

// A growing answer is indexed when it is finished: each of its pieces would index all of it again.
static const char version_1[] =
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

// Results of tools name the call that they answer. A tool that the user always allows in a chat is the one that was
// declared so: whether it still is, is seen by the whole declaration.
static const char version_2[] =
    "ALTER TABLE message ADD COLUMN call_id TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE permission (chat INTEGER NOT NULL REFERENCES chat (id) ON DELETE CASCADE,"
    "  server TEXT NOT NULL, tool TEXT NOT NULL, declaration TEXT NOT NULL, PRIMARY KEY (chat, server, tool));"
    "PRAGMA user_version = 2;";

// What an earlier program left growing will not go on. The model is told so of a tool.
static const char cut_off[] =
    "UPDATE message SET state = 'cut', content = iif(role = 'tool', '{\"error\": \"the program ended while the tool"
    " ran\"}', content) WHERE state = 'growing'; COMMIT";

// ------------------------------------------------------------------------------------------------ queries

bool chat_db_fail(const struct chat_store *store, struct text *fault)
{
    app_text_format(fault, "the chats in %s cannot be read or written: %s", store->path, sqlite3_errmsg(store->db));
    return false;
}

sqlite3_stmt *chat_db_query(struct chat_store *store, struct text *fault, const char *sql, const char *types, ...)
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
    chat_db_fail(store, fault);
    sqlite3_finalize(statement);
    return NULL;
}

bool chat_db_run(struct chat_store *store, struct text *fault, sqlite3_stmt *statement, int *n_changed)
{
    if (!statement)
        return false;
    const bool ok = sqlite3_step(statement) == SQLITE_DONE || chat_db_fail(store, fault);
    sqlite3_finalize(statement);
    if (n_changed)
        *n_changed = sqlite3_changes(store->db);
    return ok;
}

bool chat_db_execute(struct chat_store *store, const char *sql, struct text *fault)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK || chat_db_fail(store, fault);
}

bool chat_db_next(struct chat_store *store, sqlite3_stmt *statement, struct text *fault, bool *ok)
{
    const int result = sqlite3_step(statement);
    *ok = result == SQLITE_ROW || result == SQLITE_DONE || chat_db_fail(store, fault);
    return result == SQLITE_ROW;
}

// ------------------------------------------------------------------------------------------------ columns to JSON

void chat_db_add_string(struct text *json, const char *key, sqlite3_stmt *row, int column)
{
    app_text_format(json, "\"%s\":", key);
    app_text_json(json, (const char *)sqlite3_column_text(row, column), (size_t)sqlite3_column_bytes(row, column));
}

void chat_db_add_number(struct text *json, const char *key, sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        app_text_format(json, "\"%s\":null", key);
    else
        app_text_format(json, "\"%s\":%lld", key, (long long)sqlite3_column_int64(row, column));
}

void chat_db_add_array(struct text *json, const char *key, sqlite3_stmt *row, int column)
{
    const bool empty = sqlite3_column_bytes(row, column) == 0;
    app_text_format(json, "\"%s\":%s", key, empty ? "[]" : (const char *)sqlite3_column_text(row, column));
}

// ------------------------------------------------------------------------------------------------ opening

static bool read_number(struct chat_store *store, const char *sql, int64_t *out, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *statement = chat_db_query(store, fault, sql, "");
    if (statement && chat_db_next(store, statement, fault, &ok))
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return ok;
}

static bool check_sound(struct chat_store *store, struct text *fault)
{
    bool ok = false;
    sqlite3_stmt *statement = chat_db_query(store, fault, "PRAGMA quick_check(1)", "");
    if (statement && chat_db_next(store, statement, fault, &ok)) {
        const char *verdict = (const char *)sqlite3_column_text(statement, 0);
        ok = strcmp(verdict, "ok") == 0;
        if (!ok)
            app_text_format(fault, "the chats in %s are damaged: %s", store->path, verdict);
    }
    sqlite3_finalize(statement);
    return ok;
}

static bool read_version(struct chat_store *store, int64_t *version, struct text *fault)
{
    if (!read_number(store, "PRAGMA user_version", version, fault))
        return false;
    if (*version > VERSION)
        app_text_format(fault, "the chats in %s are of a later karat: version %lld, known is %d", store->path,
                        (long long)*version, VERSION);
    return *version <= VERSION;
}

static bool back_up(struct chat_store *store, const char *day, bool anew, struct text *fault)
{
    int64_t n_chats = 0;
    if (!read_number(store, "SELECT count(*) FROM chat", &n_chats, fault))
        return false;
    const char *file = sqlite3_db_filename(store->db, "main");
    const bool is_kept = file && *file; // ":memory:" is not
    return n_chats == 0 || !is_kept || chat_backup(store->db, store->path, day, anew, fault);
}

// Outside of a transaction, in which SQLite copies nothing. This day's copy may be older than what the file has now.
static bool save_old(struct chat_store *store, int64_t version, const char *day, struct text *fault)
{
    return version == 0 || version == VERSION || !day || back_up(store, day, true, fault);
}

static bool bring_up_to_date(struct chat_store *store, int64_t version, struct text *fault)
{
    return chat_db_execute(store, "BEGIN IMMEDIATE", fault) &&
           (version >= 1 || chat_db_execute(store, version_1, fault)) &&
           (version >= 2 || chat_db_execute(store, version_2, fault)) && chat_db_execute(store, cut_off, fault);
}

bool chat_store_open(struct chat_store **out, const char *path, const char *day, struct text *fault)
{
    struct chat_store *store = app_memory_new(1, sizeof *store);
    int64_t version = 0;
    store->path = app_memory_copy(path, strlen(path));
    *out = NULL;
    // One program at a time: the lock is taken by the first transaction and kept. Waiting for it would be in vain.
    const bool ok =
        (sqlite3_open(path, &store->db) == SQLITE_OK || chat_db_fail(store, fault)) &&
        chat_db_execute(store,
                        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                        "PRAGMA foreign_keys = ON; BEGIN IMMEDIATE; COMMIT",
                        fault) &&
        check_sound(store, fault) && read_version(store, &version, fault) && save_old(store, version, day, fault) &&
        bring_up_to_date(store, version, fault);
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

bool chat_store_back_up(struct chat_store *store, const char *day, struct text *fault)
{
    return back_up(store, day, false, fault);
}
