// tests/cli/test_chat_store.c -- chats on disk: trees of messages, search, what a killed program leaves.
#include <sqlite3.h>
#include <stdlib.h>
#ifndef _WIN32
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "common/chat_store.h"
#include "common/json.h"
#include "common/platform.h"
#include "test.h"

struct bed {
    struct text folder, path, json, fault;
    struct chat_store *store;
};

static bool bed_open(struct test *t, struct bed *bed)
{
    *bed = (struct bed){ 0 };
    if (!CHECK(platform_temporary_folder(&bed->folder)))
        return false;
    app_text_format(&bed->path, "%s/chats.db", app_text_of(&bed->folder));
    const bool open = chat_store_open(&bed->store, bed->path.data, NULL, &bed->fault);
    return test_check(t, open, __FILE__, __LINE__, "%s", app_text_of(&bed->fault));
}

static void bed_close(struct bed *bed)
{
    chat_store_close(bed->store);
    platform_remove_folder(app_text_of(&bed->folder));
    app_text_free(&bed->folder);
    app_text_free(&bed->path);
    app_text_free(&bed->json);
    app_text_free(&bed->fault);
}

static bool bed_reopen(struct bed *bed)
{
    chat_store_close(bed->store);
    return chat_store_open(&bed->store, bed->path.data, NULL, &bed->fault);
}

static int64_t add(struct bed *bed, int64_t chat, int64_t parent, const char *role, const char *content,
                   enum chat_state state)
{
    int64_t id = 0;
    const struct chat_message message = {
        .chat = chat, .parent = parent, .role = role, .content = content, .state = state
    };
    return chat_store_add(bed->store, &message, &id, &bed->fault) ? id : 0;
}

static int64_t new_chat(struct bed *bed, const char *title)
{
    int64_t id = 0;
    return chat_store_create(bed->store, title, "", &id, &bed->fault) ? id : 0;
}

// The fault of a call that must fail; emptied by the next one.
static const char *fault_of(struct test *t, struct bed *bed, bool failed)
{
    static char copy[512];
    CHECK(failed);
    snprintf(copy, sizeof copy, "%s", app_text_of(&bed->fault));
    app_text_clear(&bed->fault);
    return copy;
}

static const char *branch(struct bed *bed, int64_t message)
{
    app_text_clear(&bed->json);
    return chat_store_branch(bed->store, message, &bed->json, &bed->fault) ? app_text_of(&bed->json)
                                                                           : app_text_of(&bed->fault);
}

// Titles of the chats that are found, each followed by a space.
static const char *titles(struct bed *bed, const char *words)
{
    static char out[512];
    struct json json = { 0 };
    struct text title = { 0 };
    app_text_clear(&bed->json);
    if (!chat_store_list(bed->store, words, 100, &bed->json, &bed->fault) ||
        !app_json_parse(&json, bed->json.data, bed->json.size, &bed->fault))
        return app_text_of(&bed->fault);
    for (size_t chat = app_json_first(&json, 0); chat != JSON_NONE; chat = app_json_next(&json, 0, chat)) {
        app_json_content(&json, app_json_member(&json, chat, "title"), &title);
        app_text_add(&title, " ");
    }
    snprintf(out, sizeof out, "%s", app_text_of(&title));
    app_text_free(&title);
    app_json_free(&json);
    return out;
}

TEST(a_chat_is_a_tree_and_survives_the_program)
{
    struct bed bed;
    if (!bed_open(t, &bed))
        return;
    int64_t chat = 0;
    CHECK(chat_store_create(bed.store, "Rivers", "Be \"brief\".", &chat, &bed.fault));
    const int64_t question = add(&bed, chat, 0, "user", "Name a river.\n", CHAT_STATE_DONE);
    const int64_t first = add(&bed, chat, question, "assistant", "", CHAT_STATE_GROWING);
    CHECK(chat_store_grow(bed.store, first, "Ama", "A long", &bed.fault));
    CHECK(chat_store_grow(bed.store, first, "zon", " one.", &bed.fault));
    CHECK(chat_store_finish(bed.store, first, CHAT_STATE_DONE, "[{\"id\":\"1\"}]", &bed.fault));
    const int64_t second = add(&bed, chat, question, "assistant", "Nile", CHAT_STATE_STOPPED);
    CHECK(chat_store_is_followed(bed.store, question) && !chat_store_is_followed(bed.store, first));
    REQUIRE(bed_reopen(&bed));

    CHECK_TEXT(branch(&bed, first), "[{\"role\":\"system\",\"content\":\"Be \\\"brief\\\".\"},"
                                    "{\"role\":\"user\",\"content\":\"Name a river.\\n\"},"
                                    "{\"role\":\"assistant\",\"content\":\"Amazon\",\"tool_calls\":[{\"id\":\"1\"}]}]");
    CHECK_TEXT(branch(&bed, second), "[{\"role\":\"system\",\"content\":\"Be \\\"brief\\\".\"},"
                                     "{\"role\":\"user\",\"content\":\"Name a river.\\n\"},"
                                     "{\"role\":\"assistant\",\"content\":\"Nile\"}]");
    CHECK(chat_store_turn_to(bed.store, chat, first, &bed.fault));
    app_text_clear(&bed.json);
    CHECK(chat_store_read(bed.store, chat, &bed.json, &bed.fault));

    struct json json = { 0 };
    REQUIRE(app_json_parse(&json, bed.json.data, bed.json.size, &bed.fault));
    const size_t messages = app_json_member(&json, 0, "messages");
    CHECK_UINT(app_json_count(&json, messages), 3);
    CHECK_UINT(app_json_number(&json, app_json_member(&json, 0, "tip")), first);
    const size_t top = app_json_first(&json, messages), answer = app_json_next(&json, messages, top);
    CHECK(app_json_is(&json, app_json_member(&json, top, "parent"), JSON_NULL));
    CHECK(app_json_equals(&json, app_json_member(&json, answer, "thinking"), "A long one."));
    CHECK(app_json_equals(&json, app_json_member(&json, answer, "state"), "done"));
    app_json_free(&json);
    bed_close(&bed);
}

TEST(chats_are_found_by_their_words)
{
    struct bed bed;
    if (!bed_open(t, &bed))
        return;
    const int64_t rivers = new_chat(&bed, "Rivers"), bread = new_chat(&bed, "Bread");
    add(&bed, rivers, 0, "user", "Which stream is the longest in \"South\" America?", CHAT_STATE_DONE);
    const int64_t asked = add(&bed, bread, 0, "user", "How long does rye rise? Warm or cold?", CHAT_STATE_DONE);
    const int64_t answer = add(&bed, bread, asked, "assistant", "", CHAT_STATE_GROWING);
    CHECK(chat_store_grow(bed.store, answer, "Three hours.", NULL, &bed.fault));

    CHECK_TEXT(titles(&bed, NULL), "Bread Rivers ");
    CHECK_TEXT(titles(&bed, "longest america"), "Rivers ");
    CHECK_TEXT(titles(&bed, "long"), "Bread Rivers "); // the last word may go on
    CHECK_TEXT(titles(&bed, "long stream"), "");       // others may not
    CHECK_TEXT(titles(&bed, "RIVERS"), "Rivers ");     // a title
    CHECK_TEXT(titles(&bed, "hours"), "");             // not before the answer is whole
    CHECK(chat_store_finish(bed.store, answer, CHAT_STATE_DONE, NULL, &bed.fault));
    CHECK_TEXT(titles(&bed, "hours"), "Bread ");
    // What is an operator of the search's own language is a word like any other.
    static const char *const odd[] = { "\"", "NOT", "rye OR", "content:rye", "*", "a\"b*", "(", "-rye ^", "   " };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; ++i) {
        t->row = odd[i];
        app_text_clear(&bed.json);
        CHECK(chat_store_list(bed.store, odd[i], 10, &bed.json, &bed.fault));
    }
    t->row = NULL;
    CHECK(chat_store_remove(bed.store, bread, &bed.fault));
    CHECK_TEXT(titles(&bed, "hours"), "");
    CHECK_TEXT(titles(&bed, ""), "Rivers ");
    bed_close(&bed);
}

#ifndef _WIN32
// The Windows program is killed by the test of the page.
TEST(a_killed_program_loses_no_message)
{
    struct bed bed;
    if (!bed_open(t, &bed))
        return;
    chat_store_close(bed.store);
    bed.store = NULL;
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
        const int64_t chat = bed_reopen(&bed) ? new_chat(&bed, "Cut") : 0;
        const int64_t question = add(&bed, chat, 0, "user", "Count.", CHAT_STATE_DONE);
        const int64_t answer = add(&bed, chat, question, "assistant", "", CHAT_STATE_GROWING);
        const bool grown = chat_store_grow(bed.store, answer, "One, two", NULL, &bed.fault);
        if (write(ready[1], grown ? "y" : "n", 1) == 1)
            pause();
        _exit(1);
    }
    char said = 0;
    CHECK(read(ready[0], &said, 1) == 1 && said == 'y');
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    REQUIRE(bed_reopen(&bed));
    CHECK_TEXT(branch(&bed, 2), "[{\"role\":\"user\",\"content\":\"Count.\"},"
                                "{\"role\":\"assistant\",\"content\":\"One, two\"}]");
    app_text_clear(&bed.json);
    CHECK(chat_store_read(bed.store, 1, &bed.json, &bed.fault));
    CHECK(strstr(bed.json.data, "\"state\":\"cut\""));
    CHECK_TEXT(titles(&bed, "two"), "Cut ");
    bed_close(&bed);
}
#endif

TEST(results_of_tools_name_their_calls)
{
    struct bed bed;
    if (!bed_open(t, &bed))
        return;
    const int64_t chat = new_chat(&bed, "Tools");
    const int64_t asked = add(&bed, chat, 0, "assistant", "", CHAT_STATE_GROWING);
    int64_t result = 0;
    CHECK(chat_store_finish(bed.store, asked, CHAT_STATE_DONE, "[{\"id\":\"call_1\"}]", &bed.fault));
    const struct chat_message message = {
        .chat = chat, .parent = asked, .role = "tool", .name = "read", .call_id = "call_1", .state = CHAT_STATE_GROWING
    };
    CHECK(chat_store_add(bed.store, &message, &result, &bed.fault));
    // The program ends while the tool runs.
    REQUIRE(bed_reopen(&bed));
    CHECK_TEXT(branch(&bed, result),
               "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call_1\"}]},"
               "{\"role\":\"tool\",\"content\":\"{\\\"error\\\": \\\"the program ended while the tool ran\\\"}\","
               "\"name\":\"read\",\"tool_call_id\":\"call_1\"}]");
    app_text_clear(&bed.json);
    CHECK(chat_store_message(bed.store, chat, result, &bed.json, &bed.fault));
    CHECK(strstr(bed.json.data, "\"tool_call_id\":\"call_1\",\"state\":\"cut\""));
    bed_close(&bed);
}

TEST(a_permission_is_for_one_chat_and_one_declaration)
{
    struct bed bed;
    if (!bed_open(t, &bed))
        return;
    const int64_t chat = new_chat(&bed, "One"), other = new_chat(&bed, "Two");
    CHECK(!chat_store_permits(bed.store, chat, "files", "read", "{}"));
    CHECK(chat_store_permit(bed.store, chat, "files", "read", "{}", &bed.fault));
    REQUIRE(bed_reopen(&bed));
    CHECK(chat_store_permits(bed.store, chat, "files", "read", "{}"));
    CHECK(!chat_store_permits(bed.store, chat, "files", "read", "{ }"));
    CHECK(!chat_store_permits(bed.store, chat, "other", "read", "{}"));
    CHECK(!chat_store_permits(bed.store, chat, "files", "write", "{}"));
    CHECK(!chat_store_permits(bed.store, other, "files", "read", "{}"));
    CHECK(chat_store_permit(bed.store, chat, "files", "read", "{\"a\":1}", &bed.fault));
    CHECK(!chat_store_permits(bed.store, chat, "files", "read", "{}"));
    app_text_clear(&bed.json);
    CHECK(chat_store_read(bed.store, chat, &bed.json, &bed.fault));
    CHECK(strstr(bed.json.data, "\"always\":[\"read\"],\"messages\":[]"));
    CHECK(chat_store_permit(bed.store, other, "files", "read", "{}", &bed.fault));
    CHECK(chat_store_forbid(bed.store, other, &bed.fault));
    CHECK(!chat_store_permits(bed.store, other, "files", "read", "{}"));
    CHECK(chat_store_permits(bed.store, chat, "files", "read", "{\"a\":1}"));
    CHECK(!chat_store_permit(bed.store, 9, "files", "read", "{}", &bed.fault));
    CHECK(chat_store_remove(bed.store, chat, &bed.fault));
    CHECK(!chat_store_permits(bed.store, chat, "files", "read", "{\"a\":1}"));
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
    "INSERT INTO message VALUES (1, 1, NULL, 'user', 'Hello', '', '', '', 'done', 1);"
    "PRAGMA user_version = 1;";

TEST(files_of_other_versions)
{
    struct bed bed;
    struct text expected = { 0 };
    sqlite3 *db = NULL;
    if (!bed_open(t, &bed))
        return;
    chat_store_close(bed.store);
    bed.store = NULL;
    app_text_add(&bed.path, "2"); // another one
    REQUIRE(sqlite3_open(bed.path.data, &db) == SQLITE_OK);
    CHECK_UINT(sqlite3_exec(db, first_version, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    for (int i = 0; i < 2; ++i) {
        REQUIRE(bed_reopen(&bed));
        CHECK_TEXT(branch(&bed, 1), "[{\"role\":\"user\",\"content\":\"Hello\"}]");
    }
    CHECK(chat_store_permit(bed.store, 1, "files", "read", "{}", &bed.fault));
    chat_store_close(bed.store);
    bed.store = NULL;
    REQUIRE(sqlite3_open(bed.path.data, &db) == SQLITE_OK);
    CHECK_UINT(sqlite3_exec(db, "PRAGMA user_version = 77", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    app_text_format(&expected, "the chats in %s are of a later karat: version 77, known is 2", bed.path.data);
    CHECK_TEXT(fault_of(t, &bed, !chat_store_open(&bed.store, bed.path.data, NULL, &bed.fault)), expected.data);
    app_text_free(&expected);
    bed_close(&bed);
}

TEST(what_is_not_there_is_named)
{
    struct bed bed;
    if (!bed_open(t, &bed))
        return;
    const int64_t chat = new_chat(&bed, "One"), other = new_chat(&bed, "Two");
    const int64_t message = add(&bed, chat, 0, "user", "Hello", CHAT_STATE_DONE);
    int64_t id = 0;
    struct chat_message wrong = { .chat = other, .parent = message, .role = "user", .state = CHAT_STATE_DONE };
    CHECK_TEXT(fault_of(t, &bed, !chat_store_add(bed.store, &wrong, &id, &bed.fault)),
               "there is no such chat or no message 1");
    wrong = (struct chat_message){ .chat = 9, .role = "user", .state = CHAT_STATE_DONE };
    CHECK_TEXT(fault_of(t, &bed, !chat_store_add(bed.store, &wrong, &id, &bed.fault)), "there is no chat 9");
    CHECK_TEXT(fault_of(t, &bed, !chat_store_turn_to(bed.store, other, message, &bed.fault)),
               "there is no such chat or no message 1");
    CHECK_TEXT(fault_of(t, &bed, !chat_store_read(bed.store, 9, &bed.json, &bed.fault)), "there is no chat 9");
    CHECK_TEXT(fault_of(t, &bed, !chat_store_rename(bed.store, 9, "x", NULL, &bed.fault)), "there is no chat 9");
    CHECK_TEXT(fault_of(t, &bed, !chat_store_remove(bed.store, 9, &bed.fault)), "there is no chat 9");
    CHECK_TEXT(fault_of(t, &bed, !chat_store_branch(bed.store, 9, &bed.json, &bed.fault)), "there is no message 9");
    CHECK_TEXT(fault_of(t, &bed, !chat_store_grow(bed.store, message, "x", NULL, &bed.fault)),
               "there is no growing message 1");
    CHECK_TEXT(fault_of(t, &bed, !chat_store_finish(bed.store, message, CHAT_STATE_DONE, NULL, &bed.fault)),
               "there is no growing message 1");
    CHECK_TEXT(branch(&bed, message), "[{\"role\":\"user\",\"content\":\"Hello\"}]");
    bed_close(&bed);
}

TEST(files_that_cannot_be_used_are_refused)
{
    struct bed bed;
    struct text expected = { 0 };
    struct chat_store *second = NULL;
    if (!bed_open(t, &bed))
        return;
    // Another program's file.
    app_text_format(&expected, "the chats in %s cannot be read or written: database is locked", bed.path.data);
    CHECK_TEXT(fault_of(t, &bed, !chat_store_open(&second, bed.path.data, NULL, &bed.fault)), expected.data);
    CHECK(!second);
    chat_store_close(bed.store);
    bed.store = NULL;
    // No database at all.
    FILE *file = fopen(bed.path.data, "wb");
    REQUIRE(file);
    for (int i = 0; i < 1000; ++i)
        fputs("no database ", file);
    fclose(file);
    app_text_clear(&expected);
    app_text_format(&expected, "the chats in %s cannot be read or written: file is not a database", bed.path.data);
    CHECK_TEXT(fault_of(t, &bed, !chat_store_open(&second, bed.path.data, NULL, &bed.fault)), expected.data);
    // A folder that is not there.
    app_text_add(&bed.path, "/x/y.db");
    app_text_clear(&expected);
    app_text_format(&expected, "the chats in %s cannot be read or written: unable to open database file",
                    bed.path.data);
    CHECK_TEXT(fault_of(t, &bed, !chat_store_open(&second, bed.path.data, NULL, &bed.fault)), expected.data);
    app_text_free(&expected);
    bed_close(&bed);
}
