// tests/cli/test_chat_backup.c -- dated copies of the chats: when they are made, what they hold, which are kept.
#include <sqlite3.h>

#include "common/chat_backup.h"
#include "common/chat_store.h"
#include "common/files.h"
#include "common/platform.h"
#include "test.h"

#ifndef _WIN32
#include <sys/stat.h>
#endif

struct bed {
    struct text folder, path, json, fault, name;
    struct chat_store *store;
};

static bool bed_open(struct bed *bed)
{
    *bed = (struct bed){ 0 };
    if (!platform_temporary_folder(&bed->folder))
        return false;
    app_text_format(&bed->path, "%s/chats.db", app_text_of(&bed->folder));
    return chat_store_open(&bed->store, bed->path.data, NULL, &bed->fault);
}

static void bed_close(struct bed *bed)
{
    chat_store_close(bed->store);
    platform_remove_folder(app_text_of(&bed->folder));
    app_text_free(&bed->folder);
    app_text_free(&bed->path);
    app_text_free(&bed->json);
    app_text_free(&bed->fault);
    app_text_free(&bed->name);
}

// The path of what stands beside the file: "chats.db" and this ending.
static const char *beside(struct bed *bed, const char *ending)
{
    app_text_clear(&bed->name);
    app_text_format(&bed->name, "%s%s", bed->path.data, ending);
    return bed->name.data;
}

static bool is_there(struct bed *bed, const char *ending)
{
    FILE *file = platform_open(beside(bed, ending), "rb");
    if (file)
        fclose(file);
    return file;
}

static bool write_beside(struct bed *bed, const char *ending, const char *words)
{
    return files_write(beside(bed, ending), words, strlen(words), &bed->fault);
}

static bool add_chat(struct bed *bed, const char *title, const char *words)
{
    int64_t chat = 0, message = 0;
    if (!chat_store_create(bed->store, title, "", &chat, &bed->fault))
        return false;
    const struct chat_message said = { .chat = chat, .role = "user", .content = words, .state = CHAT_STATE_DONE };
    return chat_store_add(bed->store, &said, &message, &bed->fault);
}

static bool back_up(struct bed *bed, const char *day)
{
    return chat_store_back_up(bed->store, day, &bed->fault);
}

// How many chats a copy has in which the words are found; -1: it is no sound store.
static int n_chats_of(struct bed *bed, const char *ending, const char *words)
{
    struct chat_store *copy = NULL;
    int n = -1;
    app_text_clear(&bed->json);
    if (chat_store_open(&copy, beside(bed, ending), NULL, &bed->fault) &&
        chat_store_list(copy, words, 100, &bed->json, &bed->fault)) {
        n = 0;
        for (const char *at = bed->json.data; (at = strstr(at, "\"id\"")); ++at)
            ++n;
    }
    chat_store_close(copy);
    return n;
}

TEST(the_first_start_of_a_day_copies_what_there_is)
{
    struct bed bed;
    REQUIRE(bed_open(&bed));
    CHECK(add_chat(&bed, "Rivers", "the longest stream"));
    CHECK(back_up(&bed, "2026-01-31"));
    CHECK(add_chat(&bed, "Bread", "rye"));
    CHECK(back_up(&bed, "2026-01-31"));
    CHECK(back_up(&bed, "2026-02-01"));
    CHECK_UINT(n_chats_of(&bed, "-2026-01-31", ""), 1);
    CHECK_UINT(n_chats_of(&bed, "-2026-01-31", "stream"), 1);
    CHECK_UINT(n_chats_of(&bed, "-2026-02-01", ""), 2);
    CHECK(!is_there(&bed, "-unfinished") && !is_there(&bed, "-unfinished-journal"));
    CHECK_TEXT(app_text_of(&bed.fault), "");
    CHECK(add_chat(&bed, "After", "the store goes on"));
    bed_close(&bed);
}

#ifndef _WIN32
TEST(who_may_not_read_the_chats_may_not_read_their_copy)
{
    static const mode_t modes[] = { 0600, 0640, 0660 };
    for (size_t i = 0; i < COUNT(modes); ++i) {
        struct bed bed;
        struct stat about = { 0 };
        REQUIRE(bed_open(&bed));
        CHECK(add_chat(&bed, "Letters", "to nobody else"));
        CHECK(chmod(bed.path.data, modes[i]) == 0 && back_up(&bed, "2026-01-31"));
        CHECK(stat(beside(&bed, "-2026-01-31"), &about) == 0);
        CHECK_UINT(about.st_mode & 0777, modes[i]);
        bed_close(&bed);
    }
}
#endif

TEST(the_newest_copies_are_kept_and_other_files_left_alone)
{
    static const char *const old[] = { "-2025-12-09", "-2025-11-30", "-2025-12-10", "-2024-02-29", "-2025-12-01",
                                       "-2026-01-01", "-2025-12-31", "-2025-12-30", "-2026-01-02" };
    static const char *const others[] = {
        "-2020-01-01.old", "-2020-1-01", "-2020-01-011",   "2020-01-01", "-2020_01_01",
        "-yyyy-mm-dd",     "-",          "-2020-01-01-wal"
    };
    static const char *const kept[] = { "-2026-01-31", "-2026-01-02", "-2026-01-01", "-2025-12-31",
                                        "-2025-12-30", "-2025-12-10", "-2025-12-09" };
    struct bed bed;
    REQUIRE(bed_open(&bed));
    CHECK(add_chat(&bed, "Rivers", "the longest stream"));
    for (size_t i = 0; i < sizeof old / sizeof *old; ++i)
        CHECK(write_beside(&bed, old[i], "old"));
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i)
        CHECK(write_beside(&bed, others[i], "other"));
    CHECK(back_up(&bed, "2026-01-31"));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; ++i)
        CHECK(is_there(&bed, t->row = kept[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i)
        CHECK(is_there(&bed, t->row = others[i]));
    t->row = NULL;
    CHECK(!is_there(&bed, "-2025-12-01") && !is_there(&bed, "-2025-11-30") && !is_there(&bed, "-2024-02-29"));
    CHECK(is_there(&bed, ""));
    // A day that has its copy already does away with old ones, too.
    CHECK(write_beside(&bed, "-2025-01-01", "old"));
    CHECK(back_up(&bed, "2026-01-31"));
    CHECK(!is_there(&bed, "-2025-01-01") && is_there(&bed, "-2025-12-09"));
    CHECK_TEXT(app_text_of(&bed.fault), "");
    bed_close(&bed);
}

TEST(a_store_that_holds_or_keeps_nothing_is_not_copied)
{
    struct bed bed;
    REQUIRE(bed_open(&bed));
    CHECK(write_beside(&bed, "-2020-01-01", "what was lost since"));
    CHECK(back_up(&bed, "2026-01-31"));
    CHECK(!is_there(&bed, "-2026-01-31") && is_there(&bed, "-2020-01-01"));
    chat_store_close(bed.store);
    bed.store = NULL;
    REQUIRE(chat_store_open(&bed.store, ":memory:", NULL, &bed.fault));
    CHECK(add_chat(&bed, "Rivers", "the longest stream"));
    CHECK(back_up(&bed, "2026-01-31"));
    FILE *file = platform_open(":memory:-2026-01-31", "rb");
    CHECK(!file);
    bed_close(&bed);
}

TEST(what_a_killed_copy_has_left_does_no_harm)
{
    struct bed bed;
    REQUIRE(bed_open(&bed));
    CHECK(add_chat(&bed, "Rivers", "the longest stream"));
    CHECK(write_beside(&bed, "-unfinished", "no database"));
    CHECK(write_beside(&bed, "-unfinished-journal", "no journal"));
    CHECK(back_up(&bed, "2026-01-31"));
    CHECK_UINT(n_chats_of(&bed, "-2026-01-31", "stream"), 1);
    CHECK(!is_there(&bed, "-unfinished") && !is_there(&bed, "-unfinished-journal"));
    bed_close(&bed);
}

// The file of the first version, as far as it is asked for here.
static const char first_version[] =
    "CREATE TABLE chat (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, system TEXT NOT NULL,"
    "  created INTEGER NOT NULL, changed INTEGER NOT NULL, tip INTEGER);"
    "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, chat INTEGER NOT NULL, parent INTEGER,"
    "  role TEXT NOT NULL, content TEXT NOT NULL, thinking TEXT NOT NULL, tool_calls TEXT NOT NULL,"
    "  name TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL);"
    "INSERT INTO chat VALUES (1, 'Old', '', 1, 1, 1);"
    "PRAGMA user_version = 1;";

static bool execute(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    const bool ok = sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    return (sqlite3_close(db) == SQLITE_OK) && ok;
}

static int version_of(struct bed *bed, const char *ending)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    int version = -1;
    if (sqlite3_open(beside(bed, ending), &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW)
        version = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    return version;
}

// A bed whose file is of the first version, and not open.
static bool bed_make_old(struct bed *bed)
{
    if (!bed_open(bed))
        return false;
    chat_store_close(bed->store);
    bed->store = NULL;
    app_text_add(&bed->path, "2"); // another one
    return execute(bed->path.data, first_version);
}

TEST(a_file_of_an_earlier_version_is_copied_before_it_changes)
{
    struct bed bed;
    REQUIRE(bed_make_old(&bed));
    CHECK(write_beside(&bed, "-2026-01-31", "what the file was this morning"));
    CHECK(write_beside(&bed, "-2026-01-30", "another day's"));
    REQUIRE(chat_store_open(&bed.store, bed.path.data, "2026-01-31", &bed.fault));
    CHECK(back_up(&bed, "2026-01-31")); // which is there
    chat_store_close(bed.store);
    bed.store = NULL;
    CHECK_UINT(version_of(&bed, ""), 2);
    CHECK_UINT(version_of(&bed, "-2026-01-31"), 1);
    CHECK_UINT(n_chats_of(&bed, "-2026-01-31", ""), 1);
    CHECK(is_there(&bed, "-2026-01-30"));
    // Once it is up to date, a start copies nothing anew.
    CHECK(write_beside(&bed, "-2026-01-31", "left alone"));
    REQUIRE(chat_store_open(&bed.store, bed.path.data, "2026-01-31", &bed.fault));
    CHECK(version_of(&bed, "-2026-01-31") == -1);
    bed_close(&bed);
}

TEST(an_upgrade_that_breaks_leaves_the_file_and_its_copy)
{
    struct bed bed;
    REQUIRE(bed_make_old(&bed));
    CHECK(execute(bed.path.data, "CREATE TABLE permission (x)")); // which is in the upgrade's way
    CHECK(!chat_store_open(&bed.store, bed.path.data, "2026-01-31", &bed.fault) && !bed.store);
    CHECK_UINT(version_of(&bed, ""), 1);
    CHECK_UINT(version_of(&bed, "-2026-01-31"), 1);
    bed_close(&bed);
}

static void check_fault(struct test *t, struct bed *bed, bool failed, const char *format, const char *reason)
{
    struct text wanted = { 0 };
    app_text_format(&wanted, format, bed->path.data, bed->path.data, reason);
    CHECK(failed);
    CHECK_TEXT(app_text_of(&bed->fault), wanted.data);
    app_text_clear(&bed->fault);
    app_text_free(&wanted);
}

TEST(a_copy_that_cannot_be_made_is_one_sentence_and_removes_nothing)
{
    static const char sentence[] = "the chats in %s cannot be copied to %s-2026-01-31: %s";
    static const char *const old[] = { "-2025-01-01", "-2025-01-02", "-2025-01-03", "-2025-01-04",
                                       "-2025-01-05", "-2025-01-06", "-2025-01-07", "-2025-01-08" };
    struct bed bed;
    REQUIRE(bed_open(&bed));
    CHECK(add_chat(&bed, "Rivers", "the longest stream"));
    for (size_t i = 0; i < sizeof old / sizeof *old; ++i)
        CHECK(write_beside(&bed, old[i], "old"));
    // A folder is in the way of the new file, then of its name.
    platform_make_folders(beside(&bed, "-unfinished/x"));
    check_fault(t, &bed, !back_up(&bed, "2026-01-31"), sentence, "unable to open database file");
    platform_remove_folder(beside(&bed, "-unfinished"));
    platform_make_folders(beside(&bed, "-2026-01-31/x"));
#ifdef _WIN32
    check_fault(t, &bed, !back_up(&bed, "2026-01-31"), sentence, "error 5");
#else
    check_fault(t, &bed, !back_up(&bed, "2026-01-31"), sentence, "Is a directory");
#endif
    platform_remove_folder(beside(&bed, "-2026-01-31"));
    CHECK(!is_there(&bed, "-unfinished"));
    for (size_t i = 0; i < sizeof old / sizeof *old; ++i)
        CHECK(is_there(&bed, old[i]));
    CHECK(add_chat(&bed, "After", "the store goes on"));
    CHECK(back_up(&bed, "2026-01-31"));
    bed_close(&bed);
}

TEST(without_a_copy_a_file_is_not_upgraded)
{
    struct bed bed;
    REQUIRE(bed_make_old(&bed));
    platform_make_folders(beside(&bed, "-unfinished/x")); // in the way of the copy
    check_fault(t, &bed, !chat_store_open(&bed.store, bed.path.data, "2026-01-31", &bed.fault),
                "the chats in %s cannot be copied to %s-2026-01-31: %s", "unable to open database file");
    CHECK(!bed.store);
    CHECK_UINT(version_of(&bed, ""), 1);
    bed_close(&bed);
}

TEST(a_folder_that_cannot_be_listed_is_one_sentence)
{
    struct text fault = { 0 };
    CHECK(!chat_backup(NULL, "/nowhere/chats.db", "2026-01-31", false, &fault));
#ifdef _WIN32
    CHECK_TEXT(app_text_of(&fault), "the copies of /nowhere/chats.db cannot be listed: error 3");
#else
    CHECK_TEXT(app_text_of(&fault), "the copies of /nowhere/chats.db cannot be listed: No such file or directory");
#endif
    app_text_free(&fault);
}

#ifdef _WIN32
// Elsewhere a file that is open can be removed.
TEST(an_old_copy_that_cannot_be_removed_is_one_sentence)
{
    struct bed bed;
    char day[] = "-2025-01-01";
    REQUIRE(bed_open(&bed));
    CHECK(add_chat(&bed, "Rivers", "the longest stream"));
    for (char i = '1'; i <= '7'; ++i) {
        day[sizeof day - 2] = i;
        CHECK(write_beside(&bed, day, "old"));
    }
    FILE *held = platform_open(beside(&bed, "-2025-01-01"), "rb");
    REQUIRE(held);
    CHECK(!back_up(&bed, "2026-01-31"));
    fclose(held);
    app_text_clear(&bed.json);
    app_text_format(&bed.json, "the old copy %s-2025-01-01 cannot be removed: error 32", bed.path.data);
    CHECK_TEXT(app_text_of(&bed.fault), bed.json.data);
    CHECK_UINT(n_chats_of(&bed, "-2026-01-31", "stream"), 1);
    bed_close(&bed);
}
#endif
