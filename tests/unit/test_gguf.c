// tests/unit/test_gguf.c -- good files open, and everything in them comes back as it was written.
#include <stdlib.h>

#include "base/thread.h"
#include "gguf_writer.h"
#include "loader/model_file.h"
#include "test.h"

static const uint64_t dims_a[] = { 64, 3 }, dims_b[] = { 5 }, dims_c[] = { 256, 2, 1, 2 };

// One key of every type, arrays, and tensors of three formats.
static void fill(struct gguf_writer *w)
{
    static const char *const words[] = { "one", "", "tw\xFF", "three" };
    gguf_writer_text(w, "general.architecture", "gemma4");
    gguf_writer_value(w, "n.u8", W_U8, &(uint8_t){ 200 });
    gguf_writer_value(w, "n.i8", W_I8, &(int8_t){ -100 });
    gguf_writer_value(w, "n.u16", W_U16, &(uint16_t){ 60000 });
    gguf_writer_value(w, "n.i16", W_I16, &(int16_t){ -30000 });
    gguf_writer_u32(w, "n.u32", 4000000000u);
    gguf_writer_i32(w, "n.i32", -2000000000);
    gguf_writer_value(w, "n.u64", W_U64, &(uint64_t){ 1ull << 63 });
    gguf_writer_value(w, "n.i64", W_I64, &(int64_t){ -(1ll << 62) });
    gguf_writer_value(w, "n.small", W_I64, &(int64_t){ 7 });
    gguf_writer_f32(w, "n.f32", 1e-6f);
    gguf_writer_value(w, "n.f64", W_F64, &(double){ 0.5 });
    gguf_writer_value(w, "n.vast", W_F64, &(double){ 1e300 });
    gguf_writer_bool(w, "b.true", true);
    gguf_writer_bool(w, "b.false", false);
    gguf_writer_texts(w, "a.texts", words, COUNT(words));
    gguf_writer_array(w, "a.i32", W_I32, (int32_t[]){ 8, 8, -2 }, 3);
    gguf_writer_array(w, "a.bool", W_BOOL, (uint8_t[]){ 1, 0, 1 }, 3);
    gguf_writer_array(w, "a.u64", W_U64, (uint64_t[]){ 5, UINT64_MAX }, 2);
    gguf_writer_array(w, "a.f32", W_F32, (float[]){ -1.5f }, 1);
    gguf_writer_array(w, "a.none", W_F64, NULL, 0);
    gguf_writer_texts(w, "a.no_texts", NULL, 0);

    uint8_t q8[2 * 3 * 34];
    for (size_t i = 0; i < sizeof q8; ++i)
        q8[i] = (uint8_t)i;
    gguf_writer_tensor(w, "blk.0.a.weight", 8, 2, dims_a, q8, sizeof q8);
    gguf_writer_tensor(w, "b", 0, 1, dims_b, (float[]){ 1, 2, 3, 4, 5 }, 20);
    gguf_writer_tensor(w, "odd.format", 40, 1, dims_b, NULL, 36);
    gguf_writer_tensor(w, "c", 12, 4, dims_c, NULL, 4 * 144);
}

// Opens what the writer holds; *bytes is freed after the file is closed.
static struct model_file *open_written(struct test *t, const struct gguf_writer *w, uint8_t **bytes)
{
    struct karat_error err = { 0 };
    struct model_file *file = NULL;
    size_t size;
    *bytes = gguf_writer_finish(w, &size, NULL, NULL, NULL);
    const enum karat_status status = model_file_from_bytes(&file, "mem", span_of(*bytes, size), &err);
    test_check(t, status == KARAT_OK, __FILE__, __LINE__, "%s", err.text);
    if (file)
        CHECK_UINT(model_file_bytes(file), size);
    return file;
}

static void check_everything(struct test *t, const struct model_file *file)
{
    uint32_t u32 = 0;
    float f32 = 0;
    bool flag = false;
    struct span text = { 0 };
    CHECK_UINT(model_file_n_meta(file), 22);
    CHECK(span_is(model_file_meta(file, 0)->key, "general.architecture"));
    CHECK(model_file_meta(file, 22) == NULL);

    CHECK(model_file_get_text(file, "general.architecture", &text) && span_is(text, "gemma4"));
    CHECK(model_file_get_u32(file, "n.u8", &u32) && u32 == 200);
    CHECK(model_file_get_u32(file, "n.u16", &u32) && u32 == 60000);
    CHECK(model_file_get_u32(file, "n.u32", &u32) && u32 == 4000000000u);
    CHECK(model_file_get_u32(file, "n.small", &u32) && u32 == 7);
    CHECK(!model_file_get_u32(file, "n.i8", &u32) && u32 == 7);
    CHECK(!model_file_get_u32(file, "n.u64", &u32) && u32 == 7);
    CHECK(!model_file_get_u32(file, "n.f32", &u32));
    CHECK(!model_file_get_u32(file, "b.true", &u32));
    CHECK(!model_file_get_u32(file, "a.i32", &u32));
    CHECK(!model_file_get_u32(file, "n.u3", &u32));
    CHECK(!model_file_get_u32(file, "", &u32));
    CHECK(model_file_get_f32(file, "n.f32", &f32) && f32 == 1e-6f);
    CHECK(model_file_get_f32(file, "n.f64", &f32) && f32 == 0.5f);
    CHECK(model_file_get_f32(file, "n.i16", &f32) && f32 == -30000.0f);
    CHECK(model_file_get_f32(file, "n.u64", &f32) && f32 == 0x1p63f);
    CHECK(!model_file_get_f32(file, "n.vast", &f32));
    CHECK(!model_file_get_f32(file, "a.f32", &f32));
    CHECK(model_file_get_bool(file, "b.true", &flag) && flag);
    CHECK(model_file_get_bool(file, "b.false", &flag) && !flag);
    CHECK(!model_file_get_bool(file, "n.u8", &flag));
    CHECK(!model_file_get_text(file, "n.u8", &text));
    CHECK(!model_file_get_text(file, "a.texts", &text));

    CHECK(meta_get(model_file_find_meta(file, "n.i8"), 0).sint == -100);
    CHECK(meta_get(model_file_find_meta(file, "n.i16"), 0).sint == -30000);
    CHECK(meta_get(model_file_find_meta(file, "n.i32"), 0).sint == -2000000000);
    CHECK(meta_get(model_file_find_meta(file, "n.i64"), 0).sint == -(1ll << 62));
    CHECK(meta_get(model_file_find_meta(file, "n.u64"), 0).uint == 1ull << 63);
    CHECK(meta_get(model_file_find_meta(file, "n.vast"), 0).real == 1e300);
}

static void check_arrays(struct test *t, const struct model_file *file)
{
    const struct meta_entry *entry = model_file_find_meta(file, "a.texts");
    REQUIRE(entry && entry->type == META_ARRAY && entry->element_type == META_STRING && entry->n_elements == 4);
    CHECK(span_is(meta_get(entry, 0).string, "one"));
    CHECK(span_is(meta_get(entry, 1).string, ""));
    CHECK(span_is(meta_get(entry, 2).string, "tw\xFF"));
    CHECK(span_is(meta_get(entry, 3).string, "three"));
    entry = model_file_find_meta(file, "a.i32");
    REQUIRE(entry && entry->type == META_ARRAY && entry->element_type == META_INT && entry->n_elements == 3);
    CHECK(meta_get(entry, 2).sint == -2);
    entry = model_file_find_meta(file, "a.bool");
    REQUIRE(entry && entry->element_type == META_BOOL && entry->n_elements == 3);
    CHECK(meta_get(entry, 0).boolean && !meta_get(entry, 1).boolean);
    entry = model_file_find_meta(file, "a.u64");
    REQUIRE(entry && entry->element_type == META_UINT && entry->n_elements == 2);
    CHECK(meta_get(entry, 1).uint == UINT64_MAX);
    entry = model_file_find_meta(file, "a.none");
    CHECK(entry && entry->n_elements == 0 && entry->element_type == META_FLOAT);
    entry = model_file_find_meta(file, "a.no_texts");
    CHECK(entry && entry->n_elements == 0 && entry->element_type == META_STRING);
}

static void check_tensors(struct test *t, const struct model_file *file)
{
    REQUIRE(model_file_n_tensors(file) == 4);
    const struct tensor_info *a = model_file_find(file, "blk.0.a.weight"), *b = model_file_find(file, "b");
    const struct tensor_info *c = model_file_find(file, "c"), *odd = model_file_find(file, "odd.format");
    REQUIRE(a && b && c && odd);
    CHECK(a == model_file_tensor(file, 0) && c == model_file_tensor(file, 3));
    CHECK(model_file_tensor(file, 4) == NULL && model_file_find(file, "blk.0.a.weigh") == NULL);
    CHECK(a->type == QTYPE_Q8_0 && a->n_dims == 2 && a->dims[0] == 64 && a->dims[1] == 3 && a->dims[3] == 1);
    CHECK_UINT(a->data.size_bytes, 6 * 34);
    CHECK_UINT(a->data.data[35], 35);
    float values[5];
    qtypes[b->type].decode(values, b->data.data, 5);
    CHECK(values[0] == 1.0f && values[4] == 5.0f);
    CHECK(c->type == QTYPE_Q4_K && c->n_dims == 4 && c->dims[3] == 2 && c->data.size_bytes == 4 * 144);
    CHECK(odd->type == QTYPE_COUNT && odd->gguf_type == 40 && odd->data.size_bytes == 0);
    model_file_release(file, c, 0, UINT64_MAX);
    model_file_release(file, odd, 0, 1);
}

TEST(versions_2_and_3_read_back_as_written)
{
    for (uint32_t version = 2; version <= 3; ++version) {
        struct gguf_writer w = { .version = version };
        uint8_t *bytes;
        fill(&w);
        struct model_file *file = open_written(t, &w, &bytes);
        if (file) {
            check_everything(t, file);
            check_arrays(t, file);
            check_tensors(t, file);
        }
        model_file_close(file);
        free(bytes);
        gguf_writer_free(&w);
    }
}

TEST(every_alignment_from_8_to_64_kib_is_read)
{
    for (uint32_t alignment = 8; alignment <= 65536; alignment *= 2) {
        struct gguf_writer w = { .alignment = alignment };
        uint8_t *bytes;
        gguf_writer_tensor(&w, "x", 0, 1, dims_b, NULL, 20);
        gguf_writer_u32(&w, "general.alignment", alignment);
        gguf_writer_tensor(&w, "y", 0, 1, dims_b, (float[]){ 1, 2, 3, 4, 5 }, 20);
        struct model_file *file = open_written(t, &w, &bytes);
        if (file) {
            const struct tensor_info *x = model_file_find(file, "x"), *y = model_file_find(file, "y");
            CHECK(x && y && (size_t)(y->data.data - x->data.data) == (20 + alignment - 1) / alignment * alignment);
            CHECK(y && memcmp(y->data.data, (float[]){ 1, 2, 3, 4, 5 }, 20) == 0);
        }
        model_file_close(file);
        free(bytes);
        gguf_writer_free(&w);
    }
}

TEST(a_file_may_be_nothing_but_a_header)
{
    struct gguf_writer w = { 0 };
    uint8_t *bytes;
    struct model_file *file = open_written(t, &w, &bytes);
    REQUIRE(file);
    CHECK(model_file_n_tensors(file) == 0 && model_file_n_meta(file) == 0);
    CHECK(model_file_find(file, "x") == NULL && model_file_find_meta(file, "x") == NULL);
    model_file_close(file);
    free(bytes);
}

// Nothing is refused for being exactly as large as it may be.
TEST(the_limits_themselves_are_good)
{
    static char name[65536];
    struct gguf_writer w = { 0 };
    uint8_t *bytes;
    memset(name, 'n', 65535);
    gguf_writer_u32(&w, name, 7);
    gguf_writer_u32(&w, " key with spaces", 8);
    name[256] = '\0';
    gguf_writer_tensor(&w, name, 0, 4, (uint64_t[]){ 1, 1, 1, 1 }, (float[]){ 9 }, 4);
    struct model_file *file = open_written(t, &w, &bytes);
    REQUIRE(file);
    uint32_t value = 0;
    CHECK(model_file_find(file, name) != NULL);
    memset(name, 'n', 65535);
    CHECK(model_file_get_u32(file, name, &value) && value == 7);
    CHECK(model_file_get_u32(file, " key with spaces", &value) && value == 8);
    model_file_close(file);
    free(bytes);
    gguf_writer_free(&w);
}

TEST(numbers_convert_up_to_the_last_that_fits)
{
    struct gguf_writer w = { 0 };
    uint8_t *bytes;
    uint32_t u32 = 1;
    float f32 = 1;
    gguf_writer_i32(&w, "zero", 0);
    gguf_writer_value(&w, "most", W_U64, &(uint64_t){ UINT32_MAX });
    gguf_writer_value(&w, "one more", W_U64, &(uint64_t){ UINT32_MAX + 1ull });
    gguf_writer_value(&w, "largest", W_F64, &(double){ 0x1.fffffep127 });
    gguf_writer_value(&w, "lowest", W_F64, &(double){ -0x1.fffffep127 });
    gguf_writer_value(&w, "larger", W_F64, &(double){ 0x1.ffffffp127 });
    gguf_writer_f32(&w, "infinite", INFINITY);
    gguf_writer_f32(&w, "no number", NAN);
    struct model_file *file = open_written(t, &w, &bytes);
    REQUIRE(file);
    CHECK(model_file_get_u32(file, "zero", &u32) && u32 == 0);
    CHECK(model_file_get_u32(file, "most", &u32) && u32 == UINT32_MAX);
    CHECK(!model_file_get_u32(file, "one more", &u32));
    CHECK(model_file_get_f32(file, "largest", &f32) && f32 == 0x1.fffffep127f);
    CHECK(model_file_get_f32(file, "lowest", &f32) && f32 == -0x1.fffffep127f);
    CHECK(!model_file_get_f32(file, "larger", &f32));
    CHECK(!model_file_get_f32(file, "infinite", &f32));
    CHECK(!model_file_get_f32(file, "no number", &f32));
    model_file_close(file);
    free(bytes);
    gguf_writer_free(&w);
}

TEST(a_whole_file_may_say_that_it_is_part_one_of_one)
{
    struct gguf_writer w = { 0 };
    uint8_t *bytes;
    gguf_writer_i32(&w, "split.no", 0);
    gguf_writer_i32(&w, "split.count", 1);
    gguf_writer_i32(&w, "split.tensors.count", 0);
    struct model_file *file = open_written(t, &w, &bytes);
    model_file_close(file);
    free(bytes);
    gguf_writer_free(&w);
}

TEST(a_directory_may_end_where_the_file_ends)
{
    for (int with_array = 0; with_array <= 1; ++with_array) {
        struct karat_error err = { 0 };
        struct model_file *file = NULL;
        struct gguf_writer w = { 0 };
        size_t size;
        if (with_array)
            gguf_writer_array(&w, "a", W_U16, (uint16_t[]){ 1, 2, 3 }, 3);
        uint8_t *bytes = gguf_writer_finish(&w, &size, NULL, NULL, NULL);
        size = 24 + w.meta.size; // without the padding in front of the data that is not there
        REQUIRE_OK(model_file_from_bytes(&file, "mem", span_of(bytes, size), &err), err);
        CHECK_UINT(model_file_n_meta(file), with_array);
        model_file_close(file);
        free(bytes);
        gguf_writer_free(&w);
    }
}

TEST(the_most_entries_and_tensors_open)
{
    enum { N = 65536 };
    struct gguf_writer w = { 0 };
    uint8_t *bytes;
    char name[32];
    for (uint32_t i = 0; i < N; ++i) {
        snprintf(name, sizeof name, "%u", i);
        gguf_writer_u32(&w, name, i);
        gguf_writer_tensor(&w, name, 1, 1, (uint64_t[]){ 1 }, NULL, 2);
    }
    struct model_file *file = open_written(t, &w, &bytes);
    REQUIRE(file);
    CHECK(model_file_n_meta(file) == N && model_file_n_tensors(file) == N);
    CHECK(model_file_find(file, "65535") == model_file_tensor(file, N - 1));
    model_file_close(file);
    free(bytes);
    gguf_writer_free(&w);
}

TEST(a_thousand_names_are_all_found)
{
    struct gguf_writer w = { 0 };
    uint8_t *bytes;
    char name[32];
    for (uint32_t i = 0; i < 1000; ++i) {
        snprintf(name, sizeof name, "blk.%u.w", i * 7919 % 1000);
        gguf_writer_u32(&w, name, i);
        gguf_writer_tensor(&w, name, 0, 1, (uint64_t[]){ i + 1 }, NULL, 4 * (i + 1));
    }
    struct model_file *file = open_written(t, &w, &bytes);
    REQUIRE(file);
    for (uint32_t i = 0; i < 1000; ++i) {
        snprintf(name, sizeof name, "blk.%u.w", i * 7919 % 1000);
        uint32_t value = UINT32_MAX;
        const struct tensor_info *tensor = model_file_find(file, name);
        CHECK(model_file_get_u32(file, name, &value) && value == i);
        CHECK(tensor && tensor->dims[0] == i + 1);
    }
    CHECK(model_file_find(file, "blk.1000.w") == NULL && model_file_find(file, "") == NULL);
    model_file_close(file);
    free(bytes);
    gguf_writer_free(&w);
}

// The real vocabulary has 262,144 tokens and 514,906 merges. The bound is far above what it takes (some 10 ms) and far
// below what anything quadratic would take.
TEST(a_vocabulary_of_real_size_opens_at_once)
{
    enum { N_TOKENS = 262144, N_MERGES = 514906 };
    struct gguf_writer w = { 0 };
    const char **texts = malloc(N_MERGES * sizeof *texts);
    char(*pool)[16] = malloc(N_MERGES * sizeof *pool);
    uint8_t *bytes;
    REQUIRE(texts && pool);
    for (unsigned i = 0; i < N_MERGES; ++i) {
        snprintf(pool[i], sizeof pool[i], "%u %u", i, i % 97);
        texts[i] = pool[i];
    }
    gguf_writer_texts(&w, "tokenizer.ggml.tokens", texts, N_TOKENS);
    gguf_writer_texts(&w, "tokenizer.ggml.merges", texts, N_MERGES);
    const uint64_t start = clock_ns();
    struct model_file *file = open_written(t, &w, &bytes);
    CHECK((double)(clock_ns() - start) * 1e-9 < test_seconds(2));
    REQUIRE(file);
    const struct meta_entry *tokens = model_file_find_meta(file, "tokenizer.ggml.tokens");
    const struct meta_entry *merges = model_file_find_meta(file, "tokenizer.ggml.merges");
    REQUIRE(tokens && tokens->n_elements == N_TOKENS && merges && merges->n_elements == N_MERGES);
    unsigned n_wrong = 0;
    for (unsigned i = 0; i < N_MERGES; ++i)
        n_wrong += !span_is(meta_get(merges, i).string, pool[i]) ||
                   (i < N_TOKENS && !span_is(meta_get(tokens, i).string, pool[i]));
    CHECK_UINT(n_wrong, 0);
    model_file_close(file);
    free(bytes);
    free(pool);
    free(texts);
    gguf_writer_free(&w);
}
