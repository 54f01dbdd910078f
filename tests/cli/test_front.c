// tests/cli/test_front.c -- the small parts of the front end that no command line reaches in every corner: the JSON
// reader, lists of ids, the demo calculator, the option table's numbers, UTF-8, paths.
#include <stdlib.h>

#include "cli/conversation.h"
#include "cli/demo_tools.h"
#include "cli/ids.h"
#include "common/json.h"
#include "common/options.h"
#include "common/platform.h"
#include "test.h"

TEST(json_takes_what_the_standard_takes_and_nothing_else)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "null", true },
        { " [1, -0, 0.5e-3, \"a\\u00e9\\ud83d\\ude00\", {\"k\": {}}] \n", true },
        { "", false },
        { "nul", false },
        { "01", false },
        { "1.", false },
        { ".5", false },
        { "+1", false },
        { "1e", false },
        { "[1,]", false },
        { "{\"a\":1,}", false },
        { "{a:1}", false },
        { "[1 2]", false },
        { "'a'", false },
        { "\"\\x\"", false },
        { "\"\\u12\"", false },
        { "\"\\ud800\"", false },
        { "\"\\udc00\"", false },
        { "\"a\nb\"", false },
        { "\"a", false },
        { "\"\xff\"", false },
        { "\"\xed\xa0\x80\"", false },
        { "1 2", false },
        { "[[[[", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct json json;
        struct text fault = { 0 };
        t->row = cases[i].text;
        const bool good = app_json_parse(&json, cases[i].text, strlen(cases[i].text), &fault);
        CHECK_UINT(good, cases[i].good);
        CHECK(good == (fault.size == 0));
        if (good)
            app_json_free(&json);
        app_text_free(&fault);
    }
    t->row = NULL;
}

TEST(json_content_is_decoded_and_the_last_of_equal_names_wins)
{
    static const char source[] = "{\"a\": 1, \"b\": \"x\\n\\u20ac\\ud83d\\ude00\\/\", \"a\": [2, 3]}";
    struct json json;
    struct text fault = { 0 }, out = { 0 };
    REQUIRE(app_json_parse(&json, source, strlen(source), &fault));
    CHECK_UINT(app_json_count(&json, 0), 3);
    CHECK_UINT(app_json_count(&json, app_json_member(&json, 0, "a")), 2);
    app_json_content(&json, app_json_member(&json, 0, "b"), &out);
    CHECK_TEXT(out.data, "x\n\xe2\x82\xac\xf0\x9f\x98\x80/");
    CHECK(app_json_member(&json, 0, "c") == JSON_NONE);
    app_text_free(&out);
    app_json_free(&json);
}

// Whatever bytes come, reading ends, and what was read walks within its bounds (the sanitizers watch).
TEST(json_survives_damage)
{
    static const char source[] =
        "{\"role\": \"user\", \"n\": [1, -2.5e3, true, null], \"s\": \"\\ud83d\\ude00 \\\"q\\\"\"}";
    struct test_random random = { 7 };
    for (int round = 0; round < 20000; ++round) {
        char copy[sizeof source];
        memcpy(copy, source, sizeof source);
        for (uint32_t n = 1 + test_random_below(&random, 3); n > 0; --n)
            copy[test_random_below(&random, sizeof source - 1)] = (char)test_random_u32(&random);
        const size_t size = test_random_below(&random, sizeof source);
        char *exact = app_memory_copy(copy, size); // at its own address, so that one byte too far is noticed
        struct json json;
        struct text fault = { 0 }, out = { 0 };
        if (app_json_parse(&json, exact, size, &fault)) {
            for (size_t i = 0; i < json.n_nodes; ++i) {
                CHECK(json.nodes[i].end <= size && json.nodes[i].after <= json.n_nodes && json.nodes[i].after > i);
                app_json_content(&json, i, &out);
            }
            app_json_free(&json);
        }
        app_text_free(&fault);
        app_text_free(&out);
        free(exact);
    }
}

TEST(ids_come_with_and_without_brackets)
{
    static const struct {
        const char *text;
        size_t n; // 99: refused
    } cases[] = {
        { "[2, 9259]", 2 }, { "2,9259", 2 }, { " 2 , 9259\n", 2 }, { "[]", 0 },          { "", 99 },
        { "2,", 99 },       { "[2", 99 },    { "2]", 99 },         { "-1", 99 },         { "1.5", 99 },
        { "\"2\"", 99 },    { "[[2]]", 99 }, { "4294967295", 1 },  { "4294967296", 99 }, { "{\"a\": 1}", 99 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        uint32_t *ids = NULL;
        size_t n = 99;
        struct text fault = { 0 };
        t->row = cases[i].text;
        if (ids_parse(cases[i].text, strlen(cases[i].text), &ids, &n, &fault))
            free(ids);
        else
            n = 99;
        CHECK_UINT(n, cases[i].n);
        app_text_free(&fault);
    }
    t->row = NULL;
}

TEST(calculator_knows_precedence_and_refuses_the_rest)
{
    static const struct {
        const char *text;
        double value;
        bool good;
    } cases[] = { { "1 + 2 * 3", 7, true },  { "(1 + 2) * 3", 9, true }, { "-4 / 8", -0.5, true },
                  { "2 - 3 - 4", -5, true }, { "540 / 30", 18, true },   { "--2", 2, true },
                  { "1 / 0", 0, false },     { "1 +", 0, false },        { "2 3", 0, false },
                  { "(1", 0, false },        { "", 0, false },           { "1..2", 0, false },
                  { "system(1)", 0, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        double value = 0;
        t->row = cases[i].text;
        CHECK_UINT(demo_tools_compute(cases[i].text, &value), cases[i].good);
        if (cases[i].good)
            CHECK_NEAR(value, cases[i].value, 0);
    }
    t->row = NULL;
    char deep[4096];
    double value;
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    CHECK(!demo_tools_compute(deep, &value)); // refused, not a stack overflow
}

TEST(a_saved_conversation_comes_back_as_it_was)
{
    struct conversation talk = { 0 }, again = { 0 };
    struct text first = { 0 }, second = { 0 }, fault = { 0 };
    conversation_set_system(&talk, "Say \"hm\".\n\x01");
    conversation_add_user(&talk, "h\xc3\xa9llo\t\\", 8);
    conversation_json(&talk, &first);
    REQUIRE(conversation_load(&again, first.data, first.size, &fault));
    conversation_json(&again, &second);
    CHECK_TEXT(second.data, first.data);

    static const char *const refused[] = { "{}", "[1]", "[{\"role\": \"king\"}]", "[{\"content\": \"x\"}]", "[" };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        app_text_clear(&fault);
        t->row = refused[i];
        CHECK(!conversation_load(&again, refused[i], strlen(refused[i]), &fault));
        CHECK(fault.size > 0);
        CHECK_UINT(again.n_messages, 1); // what was there stays
    }
    t->row = NULL;
    conversation_free(&talk);
    conversation_free(&again);
    app_text_free(&first);
    app_text_free(&second);
    app_text_free(&fault);
}

TEST(numbers_are_taken_as_a_person_writes_them)
{
    uint64_t count;
    double number;
    CHECK(options_count("18446744073709551615", &count) && count == UINT64_MAX);
    CHECK(!options_count("18446744073709551616", &count));
    CHECK(!options_count("", &count) && !options_count("+1", &count) && !options_count("1 ", &count));
    CHECK(options_number("0.7", &number) && number == 0.7);
    CHECK(options_number("-1e-3", &number));
    CHECK(!options_number("nan", &number) && !options_number("inf", &number) && !options_number("0x1", &number));
    CHECK(!options_number("1e999", &number) && !options_number("1-2", &number) && !options_number(" 1", &number));
}

TEST(folders_and_names_are_told_apart_as_the_system_does)
{
    struct text folder = { 0 }, file = { 0 };
    CHECK_TEXT(platform_file_name("models/a/b.gguf"), "b.gguf");
    CHECK_TEXT(platform_file_name("b.gguf"), "b.gguf");
    CHECK_TEXT(platform_file_name("models/"), "");
#ifdef _WIN32
    CHECK_TEXT(platform_file_name("C:\\models/a\\b.gguf"), "b.gguf");
#else
    CHECK_TEXT(platform_file_name("a\\b.gguf"), "a\\b.gguf");
#endif
    // Folders on the way to a file are made, once or again.
    REQUIRE(platform_temporary_folder(&folder));
    app_text_format(&file, "%s/x/y/z.db", folder.data);
    for (int i = 0; i < 2; ++i) {
        platform_make_folders(file.data);
        FILE *made = platform_open(file.data, "wb");
        REQUIRE(made);
        fclose(made);
    }
    file.size -= strlen("/z.db");
    file.data[file.size] = '\0';
    platform_remove_folder(file.data);
    file.size -= strlen("/y");
    file.data[file.size] = '\0';
    platform_remove_folder(file.data);
    platform_remove_folder(folder.data);
    CHECK(!platform_open(folder.data, "rb"));
    app_text_free(&file);
    app_text_free(&folder);
}
