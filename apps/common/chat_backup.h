// common/chat_backup.h -- dated copies of the chats' file, beside it: FILE-2026-01-31 is what it held that day.
#ifndef APPS_CHAT_BACKUP_H
#define APPS_CHAT_BACKUP_H

#include "common/text.h"

#define CHAT_BACKUPS 7 // are kept, the newest ones

struct sqlite3;

// Copies the open database at `path` to PATH-DAY, where there is no such file yet or `anew` is true, and removes all
// but the newest copies. Not in the middle of a transaction. Files whose names are not exactly of this form are left
// alone. A copy gets its name when it is whole and on the disk. `day` is like "2026-01-31". Errors  false, and one
// sentence in *fault; the database itself is only read
bool chat_backup(struct sqlite3 *db, const char *path, const char *day, bool anew, struct text *fault);

#endif
