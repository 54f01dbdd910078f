// tests/unit/test_gguf_split.c -- models in several files, and what opening a path can meet.
#include <stdlib.h>

#include "gguf_writer.h"
#include "model_file_walk.h"
#include "test.h"

static bool write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return false;
    const bool good = fwrite(bytes, 1, size, file) == size;
    return fclose(file) == 0 && good;
}

static void part_path(char path[64], int no, int count)
{
    snprintf(path, 64, "test_split-%05d-of-%05d.gguf", no + 1, count);
}

static void remove_parts(void)
{
    char path[64];
    for (int no = 0; no < 3; ++no) {
        part_path(path, no, 3);
        remove(path);
    }
}

// What each of three parts says about itself; -1: says nothing.
struct plan {
    const char *name;
    int no[3], count[3];
    int n_tensors;          // split.tensors.count of the first part
    const char *tensors[3]; // the one tensor of each part, or NULL
    int missing;            // this part is not written, -1: none
    const char *says;       // NULL: opens
};

static bool write_parts(const struct plan *plan)
{
    bool good = true;
    for (int no = 0; no < 3; ++no) {
        struct gguf_writer w = { 0 };
        char path[64];
        size_t size;
        part_path(path, no, 3);
        if (no == 0)
            gguf_writer_text(&w, "general.architecture", "gemma4");
        if (plan->no[no] >= 0)
            gguf_writer_value(&w, "split.no", W_U16, &(uint16_t){ (uint16_t)plan->no[no] });
        if (plan->count[no] >= 0)
            gguf_writer_value(&w, "split.count", W_U16, &(uint16_t){ (uint16_t)plan->count[no] });
        gguf_writer_i32(&w, "split.tensors.count", plan->n_tensors);
        if (plan->tensors[no])
            gguf_writer_tensor(&w, plan->tensors[no], 0, 1, (uint64_t[]){ 2 }, (float[]){ 1.0f, (float)no }, 8);
        uint8_t *bytes = gguf_writer_finish(&w, &size, NULL, NULL, NULL);
        remove(path);
        if (no != plan->missing)
            good = write_file(path, bytes, size) && good;
        free(bytes);
        gguf_writer_free(&w);
    }
    return good;
}

static const struct plan plans[] = {
    { "three good parts", { 0, 1, 2 }, { 3, 3, 3 }, 3, { "a", "b", "c" }, -1, NULL },
    { "the first holds metadata only", { 0, 1, 2 }, { 3, 3, 3 }, 2, { NULL, "b", "c" }, -1, NULL },
    { "a part is missing",
      { 0, 1, 2 },
      { 3, 3, 3 },
      3,
      { "a", "b", "c" },
      1,
      "part 2 of 3: test_split-00002-of-00003" },
    { "a part calls itself another",
      { 0, 2, 2 },
      { 3, 3, 3 },
      3,
      { "a", "b", "c" },
      -1,
      "says that it is part 3 of 3, expected part 2 of 3" },
    { "a part is from another split",
      { 0, 1, 2 },
      { 3, 3, 4 },
      3,
      { "a", "b", "c" },
      -1,
      "says that it is part 3 of 4, expected part 3 of 3" },
    { "a part says nothing",
      { 0, -1, 2 },
      { 3, -1, 3 },
      3,
      { "a", "b", "c" },
      -1,
      "says that it is part 1 of 1, expected part 2 of 3" },
    { "a tensor is in two parts", { 0, 1, 2 }, { 3, 3, 3 }, 3, { "a", "b", "a" }, -1, "tensor \"a\" occurs twice" },
    { "a tensor is lost", { 0, 1, 2 }, { 3, 3, 3 }, 3, { "a", NULL, "c" }, -1, "is 3, but there are 2 tensors" },
    { "the name counts otherwise than the file",
      { 0, 1, 2 },
      { 2, 2, 3 },
      3,
      { "a", "b", "c" },
      -1,
      "its name must end in \"-00001-of-00002.gguf\"" },
};

static void check_opened(struct test *t, const struct plan *plan, const struct model_file *file)
{
    CHECK_UINT(model_file_n_tensors(file), plan->n_tensors);
    CHECK(model_file_find_meta(file, "general.architecture") != NULL);
    uint64_t size_bytes = 0;
    for (int no = 0; no < 3; ++no) {
        char path[64];
        size_t size = 0;
        part_path(path, no, 3);
        free(test_read_file(path, &size));
        size_bytes += size;
        const struct tensor_info *tensor = plan->tensors[no] ? model_file_find(file, plan->tensors[no]) : NULL;
        CHECK((plan->tensors[no] != NULL) == (tensor != NULL));
        if (tensor)
            CHECK(memcmp(tensor->data.data, (float[]){ 1.0f, (float)no }, 8) == 0);
    }
    CHECK_UINT(model_file_bytes(file), size_bytes);
    CHECK(model_file_walk(file) > 0);
}

TEST(a_split_model_opens_from_its_first_part_or_says_what_is_wrong)
{
    for (size_t i = 0; i < COUNT(plans); ++i) {
        const struct plan *plan = &plans[i];
        struct karat_error err = { 0 };
        struct model_file *file = NULL;
        char path[64];
        t->row = plan->name;
        REQUIRE(write_parts(plan));
        part_path(path, 0, 3);
        const enum karat_status status = model_file_open(&file, path, &err);
        if (plan->says) {
            CHECK(status != KARAT_OK && file == NULL && strncmp(err.text, path, strlen(path)) == 0);
            test_check(t, strstr(err.text, plan->says), __FILE__, __LINE__, "the sentence is \"%s\"", err.text);
        } else if (test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text)) {
            check_opened(t, plan, file);
        }
        model_file_close(file);
    }
    remove_parts();
}

TEST(a_split_model_opens_from_any_part)
{
    REQUIRE(write_parts(&plans[0]));
    for (int no = 0; no < 3; ++no) {
        struct karat_error err = { 0 };
        struct model_file *file = NULL;
        char path[64];
        part_path(path, no, 3);
        REQUIRE_OK(model_file_open(&file, path, &err), err);
        check_opened(t, &plans[0], file);
        CHECK(span_is(model_file_tensor(file, 0)->name, "a"));
        model_file_close(file);
    }
    remove_parts();
}

TEST(a_part_under_another_name_says_what_it_should_be_called)
{
    struct karat_error err = { 0 };
    struct model_file *file = NULL;
    char path[64];
    size_t size;
    REQUIRE(write_parts(&plans[0]));
    part_path(path, 1, 3);
    char *bytes = test_read_file(path, &size);
    REQUIRE(bytes && write_file("test_split_renamed.gguf", bytes, size) && write_file("x", bytes, size));
    CHECK(model_file_open(&file, "test_split_renamed.gguf", &err) == KARAT_ERR_FORMAT && file == NULL);
    CHECK_TEXT(err.text, "test_split_renamed.gguf: the file is part 2 of 3 of a split model, so its name must end in "
                         "\"-00002-of-00003.gguf\" for the others to be found");
    CHECK(model_file_open(&file, "x", &err) == KARAT_ERR_FORMAT && file == NULL);
    free(bytes);
    remove("test_split_renamed.gguf");
    remove("x");
    remove_parts();
}

TEST(paths_that_are_no_model_are_refused_by_name)
{
    struct karat_error err = { 0 };
    struct model_file *file = NULL;
    CHECK(model_file_open(&file, "no-such-file.gguf", &err) == KARAT_ERR_IO && file == NULL);
    CHECK(strncmp(err.text, "no-such-file.gguf: ", 19) == 0);
    CHECK(model_file_open(&file, ".", &err) == KARAT_ERR_IO && file == NULL);
    CHECK_TEXT(err.text, ".: is a directory, expected a file");
    REQUIRE(write_file("test_gguf_empty.gguf", "", 0));
    CHECK(model_file_open(&file, "test_gguf_empty.gguf", &err) == KARAT_ERR_FORMAT && file == NULL);
    CHECK_TEXT(err.text, "test_gguf_empty.gguf: the file is empty, expected GGUF");
    remove("test_gguf_empty.gguf");
    CHECK(model_file_open(&file, "", &err) == KARAT_ERR_IO && file == NULL);
    model_file_close(NULL);
}
