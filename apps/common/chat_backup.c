// common/chat_backup.c -- dated copies of the chats' file.
#include "common/chat_backup.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/platform.h"

static const char form[] = "-dddd-dd-dd"; // what a copy's name has after the file's; d is a digit
#define DAY_SIZE (sizeof form - 2)        // of "2026-01-31"

// The copies that are there.
struct copies {
    const char *file; // the name, without its folder, of what is copied
    struct day {
        char text[DAY_SIZE + 1];
    } * days;
    size_t n_days;
};

static bool has_form(const char *text)
{
    size_t i = 0;
    for (; form[i]; ++i)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return text[i] == '\0';
}

static void on_file(void *user, const char *name)
{
    struct copies *copies = user;
    const size_t size = strlen(copies->file);
    if (strncmp(name, copies->file, size) != 0 || !has_form(name + size))
        return;
    copies->days = app_memory_resize(copies->days, copies->n_days + 1, sizeof *copies->days);
    memcpy(copies->days[copies->n_days++].text, name + size + 1, DAY_SIZE + 1);
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct day *)b)->text, ((const struct day *)a)->text);
}

static bool find_copies(const char *path, struct copies *copies, struct text *fault)
{
    struct text why = { 0 };
    copies->file = platform_file_name(path);
    const size_t size = (size_t)(copies->file - path);
    char *folder = size ? app_memory_copy(path, size) : app_memory_copy(".", 1);
    const bool ok = platform_list_files(folder, on_file, copies, &why);
    if (!ok)
        app_text_format(fault, "the copies of %s cannot be listed: %s", path, why.data);
    if (copies->n_days > 0)
        qsort(copies->days, copies->n_days, sizeof *copies->days, newest_first);
    free(folder);
    app_text_free(&why);
    return ok;
}

// What a program that was killed in the middle of a copy has left: the copy, and what would undo a half of it.
static void remove_remains(const char *path)
{
    static const char *const endings[] = { "", "-journal" };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; ++i) {
        struct text remains = { 0 }, why = { 0 };
        app_text_format(&remains, "%s%s", path, endings[i]);
        platform_remove_file(remains.data, &why); // mostly there is none
        app_text_free(&remains);
        app_text_free(&why);
    }
}

// All pages as one transaction of the new file, which SQLite writes through to the disk.
static bool copy_pages(sqlite3 *db, const char *to, struct text *why)
{
    sqlite3 *copy = NULL;
    bool ok = sqlite3_open(to, &copy) == SQLITE_OK;
    sqlite3_backup *backup = ok ? sqlite3_backup_init(copy, "main", db, "main") : NULL;
    if (backup) {
        sqlite3_backup_step(backup, -1);
        ok = sqlite3_backup_finish(backup) == SQLITE_OK; // what went wrong in the step, too
    }
    ok = ok && backup;
    if (!ok)
        app_text_add(why, sqlite3_errmsg(copy));
    return (sqlite3_close(copy) == SQLITE_OK) && ok;
}

static bool make_copy(sqlite3 *db, const char *path, const char *day, struct text *fault)
{
    struct text unfinished = { 0 }, copy = { 0 }, why = { 0 };
    app_text_format(&unfinished, "%s-unfinished", path);
    app_text_format(&copy, "%s-%s", path, day);
    remove_remains(unfinished.data);
    platform_create_like(unfinished.data, path);
    const bool ok = copy_pages(db, unfinished.data, &why) && platform_replace_file(unfinished.data, copy.data, &why);
    if (!ok) {
        app_text_format(fault, "the chats in %s cannot be copied to %s: %s", path, copy.data, app_text_of(&why));
        remove_remains(unfinished.data);
    }
    app_text_free(&unfinished);
    app_text_free(&copy);
    app_text_free(&why);
    return ok;
}

static bool remove_copy(const char *path, const char *day, struct text *fault)
{
    struct text copy = { 0 }, why = { 0 };
    app_text_format(&copy, "%s-%s", path, day);
    const bool ok = platform_remove_file(copy.data, &why);
    if (!ok)
        app_text_format(fault, "the old copy %s cannot be removed: %s", copy.data, why.data);
    app_text_free(&copy);
    app_text_free(&why);
    return ok;
}

bool chat_backup(struct sqlite3 *db, const char *path, const char *day, bool anew, struct text *fault)
{
    struct copies copies = { 0 };
    bool ok = find_copies(path, &copies, fault), there = false;
    for (size_t i = 0; i < copies.n_days; ++i)
        there = there || strcmp(copies.days[i].text, day) == 0;
    ok = ok && ((there && !anew) || make_copy(db, path, day, fault));
    // Old ones go only when there is a new one.
    for (size_t i = CHAT_BACKUPS - !there; ok && i < copies.n_days; ++i)
        ok = remove_copy(path, copies.days[i].text, fault);
    free(copies.days);
    return ok;
}
