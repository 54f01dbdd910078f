// tests/api/test_open.c -- opening a model: what is wrong is said in one sentence, and everything can be opened again.
//
// Wrong files are the demo model with a few bytes changed.
#include <stdlib.h>
#ifndef _WIN32
#include <sys/stat.h>
#endif

#include "karat.h"
#include "test.h"
#include "text/text.h"

#define FILE_NAME "test_open.tmp.gguf" // in the working folder, removed after each use

struct file {
    char *bytes;
    size_t size;
};

static bool load_demo(struct test *t, struct file *file)
{
    char path[4096];
    const char *folder = getenv("KARAT_TEST_PEBBLE");
    snprintf(path, sizeof path, "%s/pebble-Q4_K_M.gguf", folder ? folder : "tests/pebble");
    file->bytes = test_read_file(path, &file->size);
    return test_check(t, file->bytes, __FILE__, __LINE__, "%s cannot be read", path);
}

static bool save_file(struct test *t, const char *bytes, size_t size)
{
    FILE *out = fopen(FILE_NAME, "wb");
    const bool ok = out && fwrite(bytes, 1, size, out) == size;
    return CHECK(out && fclose(out) == 0 && ok);
}

// The place after the first occurrence of `text` in the file's directory.
static char *find_after(struct file *file, const char *text)
{
    const size_t length = strlen(text);
    for (size_t at = 0; at + length <= file->size; ++at)
        if (memcmp(file->bytes + at, text, length) == 0)
            return file->bytes + at + length;
    return NULL;
}

static void check_sentence(struct test *t, const struct karat_error *err, enum karat_status status, const char *says)
{
    const size_t length = strlen(err->text);
    CHECK_UINT(err->status, status);
    test_check(t, strstr(err->text, says), __FILE__, __LINE__, "the sentence is \"%s\", expected \"%s\" in it",
               err->text, says);
    CHECK(length > 10 && !strpbrk(err->text, "\r\n") && err->text[length - 1] != '.');
}

// The demo model opens and answers.
static void check_usable(struct test *t)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    struct karat_reply reply = { 0 };
    const struct karat_generate_options options = { .sampling.greedy = true };
    const char *hello = "[{\"role\": \"user\", \"content\": \"Hello!\"}]";
    if (test_check(t,
                   karat_model_open(&model, NULL, NULL, &err) == KARAT_OK &&
                       karat_session_open(&session, model, NULL, &err) == KARAT_OK &&
                       karat_chat(session, hello, &options, &reply, &err) == KARAT_OK,
                   __FILE__, __LINE__, "%s", err.text))
        CHECK_TEXT(reply.content, "Hello! How can I help you?");
    karat_reply_free(&reply);
    karat_session_close(session);
    karat_model_close(model);
}

static void check_refused(struct test *t, const char *path, const struct karat_model_options *options,
                          enum karat_status status, const char *says, const char *says_too)
{
    struct karat_error err = { 0 };
    struct karat_model *model = (struct karat_model *)&err;
    CHECK_UINT(karat_model_open(&model, path, options, &err), status);
    check_sentence(t, &err, status, says);
    check_sentence(t, &err, status, says_too);
    CHECK(model == NULL);
    model = (struct karat_model *)&err;
    CHECK_UINT(karat_model_open(&model, path, options, NULL), status);
    CHECK(model == NULL);
    karat_model_close(model);
}

// ------------------------------------------------------------------------------------------------ paths

TEST(paths_that_are_no_files_are_refused)
{
    const struct karat_model_options vocabulary = { .vocabulary_only = true };
    check_refused(t, ".", NULL, KARAT_ERR_IO, ".", "directory");
    check_refused(t, "no/such/model.gguf", NULL, KARAT_ERR_IO, "no/such/model.gguf", "file");
    check_refused(t, "", NULL, KARAT_ERR_IO, ":", "file");
    check_refused(t, "no/such/model.gguf", &vocabulary, KARAT_ERR_IO, "no/such/model.gguf", "file");
}

#ifndef _WIN32
TEST(a_file_that_may_not_be_read_is_refused)
{
    REQUIRE(save_file(t, "GGUF", 4));
    CHECK(chmod(FILE_NAME, 0) == 0);
    FILE *file = fopen(FILE_NAME, "rb");
    if (file)
        fclose(file);
    else
        check_refused(t, FILE_NAME, NULL, KARAT_ERR_IO, FILE_NAME, "ermission");
    remove(FILE_NAME);
    if (file)
        SKIP("this user may read every file");
}
#endif

// ------------------------------------------------------------------------------------------------ files

// Changes the bytes at `skip` after the first `where` from `from` to `to`; both are as long.
static const struct damage {
    const char *name, *where;
    size_t skip;
    const char *from, *to;
    size_t size;
    enum karat_status status;
    const char *says, *says_too;
    bool vocabulary_opens; // without weights it does not matter
} damages[] = {
    { "magic", "", 0, "GGUF", "GGUX", 4, KARAT_ERR_FORMAT, FILE_NAME, "GGUF", false },
    { "version", "GGUF", 0, "\3", "\x9", 1, KARAT_ERR_UNSUPPORTED, FILE_NAME, "9", false },
    { "architecture", "general.architecture", 12, "gemma4", "gemma3", 6, KARAT_ERR_UNSUPPORTED, "\"gemma3\"",
      "\"gemma4\"", true },
    { "key", "gemma4.block_", 0, "count", "cou2t", 5, KARAT_ERR_FORMAT, FILE_NAME, "gemma4.block_count is missing",
      true },
    { "tensor", "output_", 0, "norm.weight", "nerm.weight", 11, KARAT_ERR_FORMAT, FILE_NAME,
      "output_norm.weight is missing", true },
    { "rotation", "rope_", 0, "freqs.weight", "freks.weight", 12, KARAT_ERR_FORMAT, FILE_NAME,
      "rope_freqs.weight is missing", true },
    { "vocabulary size", "token_embd.weight", 12, "\0\x8", "\xFF\x7", 2, KARAT_ERR_FORMAT, "2048", "2047", true },
    { "tokenizer", "tokenizer.ggml.", 0, "tokens", "tokans", 6, KARAT_ERR_FORMAT, FILE_NAME,
      "tokenizer.ggml.tokens is missing", false },
    { "merges", "tokenizer.ggml.", 0, "merges", "mergas", 6, KARAT_ERR_FORMAT, FILE_NAME,
      "tokenizer.ggml.merges is missing", false },
};

// Every occurrence of `where` is tried until what follows is `from`.
static bool apply(struct file *file, const struct damage *d)
{
    struct file rest = *file;
    for (char *at; (at = find_after(&rest, d->where)) != NULL;) {
        if ((size_t)(file->bytes + file->size - at) < d->skip + d->size)
            return false;
        if (memcmp(at + d->skip, d->from, d->size) == 0) {
            memcpy(at + d->skip, d->to, d->size);
            return true;
        }
        rest.size = (size_t)(file->bytes + file->size - at) - 1;
        rest.bytes = at + 1;
    }
    return false;
}

TEST(damaged_files_are_refused_in_one_sentence)
{
    const struct karat_model_options vocabulary = { .vocabulary_only = true };
    for (size_t i = 0; i < COUNT(damages); ++i) {
        struct file file = { 0 };
        t->row = damages[i].name;
        if (load_demo(t, &file) && CHECK(apply(&file, &damages[i])) && save_file(t, file.bytes, file.size)) {
            struct karat_error err = { 0 };
            struct karat_model *model = NULL;
            check_refused(t, FILE_NAME, NULL, damages[i].status, damages[i].says, damages[i].says_too);
            const enum karat_status status = karat_model_open(&model, FILE_NAME, &vocabulary, &err);
            test_check(t, (status == KARAT_OK) == damages[i].vocabulary_opens, __FILE__, __LINE__,
                       "without weights it %s %s", status == KARAT_OK ? "opens" : "is refused", err.text);
            karat_model_close(model);
        }
        remove(FILE_NAME);
        free(file.bytes);
    }
    t->row = NULL;
    check_usable(t);
}

TEST(incomplete_files_are_refused)
{
    struct file file = { 0 };
    static const struct {
        size_t size;
        const char *says;
    } rows[] = {
        { 0, "empty" },  { 1, "GGUF" },     { 4, "bytes" },      { 23, "bytes" },
        { 24, "bytes" }, { 1000, "bytes" }, { 100000, "bytes" }, { 3000000, "bytes" },
    };
    REQUIRE(load_demo(t, &file));
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char row[32];
        snprintf(row, sizeof row, "%zu bytes", rows[i].size);
        t->row = row;
        if (save_file(t, file.bytes, rows[i].size))
            check_refused(t, FILE_NAME, NULL, KARAT_ERR_FORMAT, FILE_NAME, rows[i].says);
        remove(FILE_NAME);
    }
    t->row = NULL;
    free(file.bytes);
}

TEST(the_demo_model_as_a_file_is_the_demo_model)
{
    struct file file = { 0 };
    struct karat_error err = { 0 };
    struct karat_model *model = NULL, *built_in = NULL;
    struct karat_model_facts a = { 0 }, b = { 0 };
    REQUIRE(load_demo(t, &file));
    if (save_file(t, file.bytes, file.size)) {
        CHECK_UINT(karat_model_open(&model, FILE_NAME, NULL, &err), KARAT_OK);
        CHECK_UINT(karat_model_open(&built_in, NULL, NULL, &err), KARAT_OK);
    }
    if (CHECK(model && built_in)) {
        karat_model_describe(model, &a);
        karat_model_describe(built_in, &b);
        CHECK_TEXT(a.name, b.name);
        CHECK_TEXT(a.device, b.device);
        CHECK_TEXT(a.weights, "Q4_K");
        CHECK(a.device[0] && a.n_parameters == b.n_parameters && a.weight_bytes == b.weight_bytes);
        CHECK(a.n_parameters > 11000000 && a.n_parameters < 12000000 && a.weight_bytes > 5000000);
        CHECK(a.n_vocab == 2048 && a.n_layers == 6 && a.n_embd == 256 && a.n_experts == 8 && a.n_experts_used == 2);
        CHECK(a.n_context_max == 4096 && a.sliding_window == 64 && a.token_bos == 2 && a.token_end_of_turn == 6);
        CHECK(a.temperature > 0 && a.top_k > 0 && a.top_p > 0);
    }
    karat_model_close(model);
    karat_model_close(built_in);
    karat_model_close(NULL);
    remove(FILE_NAME);
    free(file.bytes);
}

// ------------------------------------------------------------------------------------------------ devices

TEST(a_wish_that_matches_no_device_is_refused)
{
    check_refused(t, NULL, &(struct karat_model_options){ .device = "Voodoo 2" }, KARAT_ERR_NO_DEVICE, "\"Voodoo 2\"",
                  "there is");
    check_refused(t, NULL, &(struct karat_model_options){ .device = "99" }, KARAT_ERR_NO_DEVICE, "\"99\"", "there is");
    check_refused(t, NULL, &(struct karat_model_options){ .device = "-1" }, KARAT_ERR_NO_DEVICE, "\"-1\"", "there is");
    check_usable(t);
}

TEST(a_device_is_found_by_index_and_by_part_of_its_name)
{
    struct karat_error err = { 0 };
    struct arena arena = { 0 };
    struct json *devices = NULL;
    char *text = NULL;
    REQUIRE_OK(karat_devices(&text, &err), err);
    REQUIRE_OK(json_parse(&devices, &arena, span_text(text), NULL, &err), err);
    CHECK(devices->kind == JSON_ARRAY && devices->n_children > 0);
    size_t n_chosen = 0, index = 0;
    for (const struct json *device = devices->first_child; device; device = device->next, ++index) {
        const struct json *name = json_find(device, "name");
        bool usable = false, chosen = false;
        json_get_bool(json_find(device, "usable"), &usable);
        json_get_bool(json_find(device, "chosen"), &chosen);
        n_chosen += chosen;
        if (!usable || !CHECK(name && name->kind == JSON_STRING && name->text.size_bytes > 4))
            continue;
        char wishes[2][64];
        snprintf(wishes[0], sizeof wishes[0], "%zu", index);
        snprintf(wishes[1], sizeof wishes[1], "%.*s", (int)name->text.size_bytes - 2,
                 (const char *)name->text.data + 1);
        for (int i = 0; i < 2; ++i) {
            struct karat_model *model = NULL;
            struct karat_model_facts facts = { 0 };
            t->row = wishes[i];
            if (CHECK(karat_model_open(&model, NULL, &(struct karat_model_options){ .device = wishes[i] }, &err) ==
                      KARAT_OK)) {
                karat_model_describe(model, &facts);
                CHECK(span_is(name->text, facts.device));
            }
            karat_model_close(model);
        }
        t->row = NULL;
    }
    CHECK_UINT(n_chosen, 1);
    arena_free(&arena);
    karat_free(text);
}

TEST(too_little_device_memory_is_told_with_both_numbers)
{
    const struct karat_model_options small = { .vram_limit_bytes = 2u << 20 };
    check_refused(t, NULL, &small, KARAT_ERR_DEVICE_MEMORY, "MiB", "2 MiB");
    check_refused(t, NULL, &(struct karat_model_options){ .vram_limit_bytes = 1 }, KARAT_ERR_DEVICE_MEMORY, "MiB",
                  "smaller");
    check_usable(t);
}

TEST(a_session_that_does_not_fit_is_refused)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    struct karat_model_facts facts;
    REQUIRE_OK(karat_model_open(&model, NULL, NULL, &err), err);
    karat_model_describe(model, &facts);
    karat_model_close(model);
    // Room for the weights and a little more.
    const struct karat_model_options options = { .vram_limit_bytes = facts.weight_bytes + (4u << 20) };
    REQUIRE_OK(karat_model_open(&model, NULL, &options, &err), err);
    CHECK_UINT(karat_session_open(&session, model, NULL, &err), KARAT_ERR_DEVICE_MEMORY);
    check_sentence(t, &err, KARAT_ERR_DEVICE_MEMORY, "4096 tokens needs");
    check_sentence(t, &err, KARAT_ERR_DEVICE_MEMORY, "smaller context");
    CHECK(session == NULL);
    CHECK_UINT(karat_session_open(&session, model, NULL, NULL), KARAT_ERR_DEVICE_MEMORY);
    // The advice helps.
    const struct karat_session_options modest = { .n_context = 64, .n_batch = 16 };
    const enum karat_status status = karat_session_open(&session, model, &modest, &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    karat_session_close(session);
    karat_model_close(model);
}

// ------------------------------------------------------------------------------------------------ progress

struct progress {
    unsigned n, refuse_at; // the callback returns false at this call, counted from 1; 0: never
    uint64_t done, total;
    bool in_order;
};

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    struct progress *p = user;
    p->in_order = (p->n == 0 || (p->in_order && done >= p->done && total == p->total)) && done <= total;
    p->done = done;
    p->total = total;
    return ++p->n != p->refuse_at;
}

TEST(progress_is_told_and_can_be_cancelled)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct progress all = { 0 }, none = { .refuse_at = 1 };
    REQUIRE_OK(
        karat_model_open(&model, NULL, &(struct karat_model_options){ .on_progress = on_progress, .user = &all }, &err),
        err);
    karat_model_close(model);
    CHECK(all.n > 0 && all.in_order && all.done == all.total && all.total > 0);

    model = (struct karat_model *)&err;
    CHECK_UINT(karat_model_open(&model, NULL,
                                &(struct karat_model_options){ .on_progress = on_progress, .user = &none }, &err),
               KARAT_ERR_CANCELLED);
    check_sentence(t, &err, KARAT_ERR_CANCELLED, "cancelled");
    CHECK(model == NULL);
    CHECK_UINT(none.n, 1);
    check_usable(t);
}

// ------------------------------------------------------------------------------------------------ information

static bool flag_of(struct test *t, const struct json *object, const char *key)
{
    bool value = false;
    CHECK(json_get_bool(json_find(object, key), &value));
    return value;
}

TEST(a_file_is_described_without_loading_it)
{
    struct karat_error err = { 0 };
    struct arena arena = { 0 };
    struct json *info = NULL;
    struct file file = { 0 };
    char *text = NULL;
    int64_t number = 0;
    REQUIRE_OK(karat_file_info(&text, NULL, NULL, 0, &err), err);
    REQUIRE_OK(json_parse(&info, &arena, span_text(text), NULL, &err), err);
    CHECK(flag_of(t, info, "runs"));
    CHECK(flag_of(t, json_find(info, "memory"), "fits"));
    CHECK(json_get_int64(json_find(info, "layers"), &number) && number == 6);
    CHECK(json_get_int64(json_find(json_find(info, "memory"), "context"), &number) && number == 4096);
    karat_free(text);

    // With a context of its own, and too little memory.
    const struct karat_model_options small = { .vram_limit_bytes = 1 };
    REQUIRE_OK(karat_file_info(&text, NULL, &small, 100, &err), err);
    REQUIRE_OK(json_parse(&info, &arena, span_text(text), NULL, &err), err);
    CHECK(!flag_of(t, json_find(info, "memory"), "fits"));
    CHECK(json_get_int64(json_find(json_find(info, "memory"), "context"), &number) && number == 100);
    karat_free(text);

    // A model that does not run is still described, with the reason.
    if (load_demo(t, &file) && CHECK(apply(&file, &damages[2])) && save_file(t, file.bytes, file.size)) {
        REQUIRE_OK(karat_file_info(&text, FILE_NAME, NULL, 0, &err), err);
        REQUIRE_OK(json_parse(&info, &arena, span_text(text), NULL, &err), err);
        CHECK(!flag_of(t, info, "runs"));
        CHECK(json_find(info, "reason") && strstr(text, "gemma3"));
        karat_free(text);
    }
    free(file.bytes);
    remove(FILE_NAME);
    text = (char *)&err;
    CHECK_UINT(karat_file_info(&text, "no/such/model.gguf", NULL, 0, &err), KARAT_ERR_IO);
    CHECK(text == NULL);
    arena_free(&arena);
}
