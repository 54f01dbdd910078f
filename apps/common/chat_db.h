// common/chat_db.h -- the file of chats as a database: opening it, asking it, its rows as JSON. For chat_store.c.
#ifndef APPS_CHAT_DB_H
#define APPS_CHAT_DB_H

#include <sqlite3.h>

#include "common/chat_store.h"

struct chat_store {
    sqlite3 *db;
    char *path;
};

// Puts what SQLite says into *fault; false.
bool chat_db_fail(const struct chat_store *store, struct text *fault);

// Prepares a statement with its parameters bound in order: 'i' int64_t, 's' const char *, NULL as empty, 'r' an id
// where 0 is none. NULL after a failure.
sqlite3_stmt *chat_db_query(struct chat_store *store, struct text *fault, const char *sql, const char *types, ...);
// Runs a statement that changes something, and ends it. *n_changed (may be NULL) is the number of rows.
bool chat_db_run(struct chat_store *store, struct text *fault, sqlite3_stmt *statement, int *n_changed);
bool chat_db_execute(struct chat_store *store, const char *sql, struct text *fault);
// Steps to the next row. False at the end and after a failure, which *ok tells apart.
bool chat_db_next(struct chat_store *store, sqlite3_stmt *statement, struct text *fault, bool *ok);

// A column of the row as a member of an object, without commas. A column of JSON that is empty becomes "[]".
void chat_db_add_string(struct text *json, const char *key, sqlite3_stmt *row, int column);
void chat_db_add_number(struct text *json, const char *key, sqlite3_stmt *row, int column);
void chat_db_add_array(struct text *json, const char *key, sqlite3_stmt *row, int column);

#endif
