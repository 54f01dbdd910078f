// tests/unit/test_gguf_damage.c -- every damaged file is refused, quickly, in one sentence.
#include <stdlib.h>

#include "base/thread.h"
#include "gguf_writer.h"
#include "model_file_walk.h"
#include "test.h"

#define NAME "damaged.gguf"
#define LIMIT_SECONDS 1.0

static unsigned n_refused;

// From a block of exactly this size, so that a sanitizer sees one byte too far.
static enum karat_status open_copy(struct test *t, const uint8_t *bytes, size_t size, struct karat_error *err)
{
    static volatile uint64_t sink;
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct model_file *file = NULL;
    if (!CHECK(copy != NULL))
        return KARAT_OK;
    memcpy(copy, bytes, size);
    *err = (struct karat_error){ 0 };
    const uint64_t start = clock_ns();
    const enum karat_status status = model_file_from_bytes(&file, NAME, span_of(copy, size), err);
    CHECK((double)(clock_ns() - start) * 1e-9 < test_seconds(LIMIT_SECONDS));
    CHECK((status == KARAT_OK) == (file != NULL));
    if (file)
        sink = sink + model_file_walk(file);
    model_file_close(file);
    free(copy);
    return status;
}

static void check_sentence(struct test *t, const struct karat_error *err, const char *says)
{
    const size_t length = strlen(err->text);
    test_check(t,
               strncmp(err->text, NAME ": ", strlen(NAME ": ")) == 0 && length > strlen(NAME ": ") + 10 &&
                   length + 1 < sizeof err->text && !strpbrk(err->text, "\n\r") && err->text[length - 1] != '.',
               __FILE__, __LINE__, "the sentence is \"%s\"", err->text);
    test_check(t, !says || strstr(err->text, says), __FILE__, __LINE__, "the sentence is \"%s\", expected \"%s\" in it",
               err->text, says ? says : "");
}

static void check_refused(struct test *t, const uint8_t *bytes, size_t size, const char *says)
{
    struct karat_error err;
    const enum karat_status status = open_copy(t, bytes, size, &err);
    ++n_refused;
    if (CHECK(status == KARAT_ERR_FORMAT || status == KARAT_ERR_UNSUPPORTED))
        check_sentence(t, &err, says);
}

static void check_written(struct test *t, const struct gguf_writer *w, const char *says)
{
    size_t size;
    uint8_t *bytes = gguf_writer_finish(w, &size, NULL, NULL, NULL);
    check_refused(t, bytes, size, says);
    free(bytes);
}

// ------------------------------------------------------------------------------------------------ a good file

struct good {
    uint8_t *bytes;
    size_t size, data_at;
    struct gguf_field fields[256];
    size_t n_fields;
};

// The last tensor ends where the file ends, so that not one byte is dispensable.
static struct good make_good(void)
{
    struct good good = { .n_fields = COUNT(good.fields) };
    struct gguf_writer w = { 0 };
    gguf_writer_text(&w, "general.architecture", "gemma4");
    gguf_writer_u32(&w, "general.alignment", 32);
    gguf_writer_f32(&w, "eps", 1e-6f);
    gguf_writer_bool(&w, "flag", true);
    gguf_writer_value(&w, "big", W_U64, &(uint64_t){ 1 });
    gguf_writer_texts(&w, "tokens", (const char *const[]){ "a", "bc", "", "\xFF" }, 4);
    gguf_writer_array(&w, "heads", W_I32, (int32_t[]){ 8, 8, 2 }, 3);
    gguf_writer_array(&w, "flags", W_BOOL, (uint8_t[]){ 1, 0 }, 2);
    gguf_writer_tensor(&w, "token_embd.weight", 8, 2, (uint64_t[]){ 64, 4 }, NULL, 8 * 34);
    gguf_writer_tensor(&w, "norm", 0, 1, (uint64_t[]){ 8 }, NULL, 32);
    gguf_writer_tensor(&w, "exps", 2, 3, (uint64_t[]){ 32, 2, 3 }, NULL, 6 * 18);
    gguf_writer_tensor(&w, "k", 12, 4, (uint64_t[]){ 256, 1, 1, 2 }, NULL, 2 * 144);
    good.bytes = gguf_writer_finish(&w, &good.size, good.fields, &good.n_fields, &good.data_at);
    gguf_writer_free(&w);
    return good;
}

static uint64_t read_field(const struct good *good, const struct gguf_field *field)
{
    uint64_t value = 0;
    for (size_t i = 0; i < field->size_bytes; ++i)
        value |= (uint64_t)good->bytes[field->at + i] << 8 * i;
    return value;
}

static void write_field(uint8_t *bytes, const struct gguf_field *field, uint64_t value)
{
    for (size_t i = 0; i < field->size_bytes; ++i)
        bytes[field->at + i] = (uint8_t)(value >> 8 * i);
}

TEST(the_undamaged_file_opens)
{
    struct good good = make_good();
    struct karat_error err;
    REQUIRE_OK(open_copy(t, good.bytes, good.size, &err), err);
    CHECK(good.n_fields > 40 && good.n_fields < COUNT(good.fields));
    free(good.bytes);
}

TEST(a_file_cut_off_anywhere_is_refused)
{
    struct good good = make_good();
    const unsigned n_before = n_refused;
    for (size_t size = 0; size < good.size; ++size)
        check_refused(t, good.bytes, size, size == 0 ? "empty" : NULL);
    CHECK(n_refused - n_before > 300);
    free(good.bytes);
}

// ------------------------------------------------------------------------------------------------ wild numbers

#define TOP (UINT64_C(1) << 63)

static const uint64_t wild_lengths[] = { UINT64_MAX,       UINT64_MAX - 7,   TOP,        TOP - 1,    TOP + 8,  TOP / 2,
                                         TOP / 4,          TOP / 8,          UINT32_MAX, 1ull << 32, 1u << 31, 1u << 30,
                                         (1ull << 32) + 4, (1ull << 60) + 1, 1000000 };
static const uint64_t wild_types[] = { 13, 14, 255, 1u << 31, UINT32_MAX };
static const uint64_t wild_n_dims[] = { 0, 5, 6, 1u << 30, UINT32_MAX };
static const uint64_t wild_dims[] = { 0,        UINT64_MAX, TOP,        TOP + 32,   TOP / 8,
                                      TOP / 32, 1ull << 57, 1ull << 32, 1ull << 31, (1ull << 32) + 256 };
static const uint64_t wild_offsets[] = { UINT64_MAX, UINT64_MAX - 31, TOP,        TOP - 32,  1, 31,
                                         33,         1u << 20,        1ull << 32, 1ull << 58 };
static const uint64_t wild_versions[] = { 0, 1, 4, 0x03000000, 0x02000000, 0x01000000, UINT32_MAX };

#define WILD(kind, list) [kind] = { list, COUNT(list) }
static const struct {
    const uint64_t *values;
    size_t n;
} wild[] = {
    WILD(FIELD_VERSION, wild_versions), WILD(FIELD_COUNT, wild_lengths),    WILD(FIELD_LENGTH, wild_lengths),
    WILD(FIELD_VALUE_TYPE, wild_types), WILD(FIELD_ELEMENTS, wild_lengths), WILD(FIELD_N_DIMS, wild_n_dims),
    WILD(FIELD_DIM, wild_dims),         WILD(FIELD_OFFSET, wild_offsets),
};

TEST(a_wild_number_in_any_place_is_refused)
{
    struct good good = make_good();
    uint8_t *bytes = malloc(good.size);
    const unsigned n_before = n_refused;
    char row[80];
    REQUIRE(bytes);
    t->row = row;
    for (size_t i = 0; i < good.n_fields; ++i) {
        const struct gguf_field *field = &good.fields[i];
        for (size_t k = 0; (size_t)field->kind < COUNT(wild) && k < wild[field->kind].n; ++k) {
            const uint64_t value = wild[field->kind].values[k];
            snprintf(row, sizeof row, "byte %zu is %llu", field->at, (unsigned long long)value);
            memcpy(bytes, good.bytes, good.size);
            write_field(bytes, field, value);
            check_refused(t, bytes, good.size, NULL);
        }
    }
    CHECK(n_refused - n_before > 300);
    t->row = NULL;
    free(bytes);
    free(good.bytes);
}

TEST(tensors_that_share_a_place_are_refused)
{
    struct good good = make_good();
    uint8_t *bytes = malloc(good.size);
    REQUIRE(bytes);
    for (size_t i = 0; i < good.n_fields; ++i)
        for (size_t k = 0; k < good.n_fields; ++k) {
            if (i == k || good.fields[i].kind != FIELD_OFFSET || good.fields[k].kind != FIELD_OFFSET)
                continue;
            memcpy(bytes, good.bytes, good.size);
            write_field(bytes, &good.fields[i], read_field(&good, &good.fields[k]));
            check_refused(t, bytes, good.size, NULL);
        }
    free(bytes);
    free(good.bytes);
}

// Counts that are off by one make the reader take one thing for another.
TEST(counts_off_by_one_are_refused)
{
    struct good good = make_good();
    uint8_t *bytes = malloc(good.size);
    REQUIRE(bytes);
    for (size_t i = 0; i < good.n_fields; ++i)
        for (int step = -1; step <= 1; step += 2) {
            // With one tensor fewer the rest is a shorter header before data that nobody claims.
            if (good.fields[i].kind != FIELD_COUNT || (good.fields[i].at == 8 && step < 0))
                continue;
            memcpy(bytes, good.bytes, good.size);
            write_field(bytes, &good.fields[i], read_field(&good, &good.fields[i]) + (uint64_t)step);
            check_refused(t, bytes, good.size, NULL);
        }
    free(bytes);
    free(good.bytes);
}

// ------------------------------------------------------------------------------------------------ wrong things

static const struct {
    const char *name, *key;
    uint32_t type;
    uint64_t value;
    const char *says;
} bad_meta[] = {
    { "an empty key", "", W_U32, 1, "metadata entry 2 of 2: the name has 0 bytes" },
    { "a key that is not UTF-8", "a\xC0\xAF", W_U32, 1, "not valid UTF-8 at byte 1" },
    { "a key with half a character", "key\xE2\x82", W_U32, 1, "not valid UTF-8 at byte 3" },
    { "a key with a line break", "a\nb", W_U32, 1, "control character 10" },
    { "a key with an escape", "a\x1B[2Jb", W_U32, 1, "control character 27" },
    { "a key that is there already", "first", W_U32, 1, "key \"first\" occurs twice" },
    { "a key that is there with another type", "first", W_F32, 1, "key \"first\" occurs twice" },
    { "alignment 0", "general.alignment", W_U32, 0, "the value is 0, expected a power of two from 8 to 65536" },
    { "alignment 1", "general.alignment", W_U32, 1, "the value is 1" },
    { "alignment 4", "general.alignment", W_U32, 4, "the value is 4" },
    { "alignment 24", "general.alignment", W_U32, 24, "the value is 24" },
    { "alignment 33", "general.alignment", W_U32, 33, "the value is 33" },
    { "alignment 128 KiB", "general.alignment", W_U32, 131072, "the value is 131072" },
    { "alignment 2^31", "general.alignment", W_U32, 1u << 31, "the value is 2147483648" },
    { "alignment 2^32 - 1", "general.alignment", W_U32, UINT32_MAX, "the value is 4294967295" },
    { "alignment in 64 bits", "general.alignment", W_U64, 32, "the value type is 10, expected 4" },
    { "a signed alignment", "general.alignment", W_I32, 32, "the value type is 5, expected 4" },
    { "alignment of another size", "general.alignment", W_U8, 32, "the value type is 0, expected 4" },
    { "alignment as a float", "general.alignment", W_F32, 32, "the value type is 6, expected 4" },
    { "a boolean that is 2", "flag", W_BOOL, 2, "key \"flag\": a boolean is 2, expected 0 or 1" },
    { "a boolean that is 255", "flag", W_BOOL, 255, "a boolean is 255" },
    { "a part of a split model", "split.count", W_U16, 3, "part 1 of 3 of a split model, expected a whole one" },
    { "more parts than anybody makes", "split.count", W_U16, 60000, "key \"split.count\" is 60000, expected at most" },
    { "a negative number of parts", "split.count", W_I32, UINT32_MAX,
      "key \"split.count\" is -1, expected at least 0" },
    { "a number of parts as a float", "split.count", W_F32, 3, "key \"split.count\" is not a number" },
    { "a part beyond the last", "split.no", W_U16, 1, "key \"split.no\" is 1, expected less than split.count, 1" },
    { "another number of tensors", "split.tensors.count", W_I32, 2, "\"split.tensors.count\" is 2, but there are 1" },
};

TEST(wrong_metadata_is_refused_by_name)
{
    for (size_t i = 0; i < COUNT(bad_meta); ++i) {
        struct gguf_writer w = { 0 };
        t->row = bad_meta[i].name;
        gguf_writer_u32(&w, "first", 1);
        gguf_writer_value(&w, bad_meta[i].key, bad_meta[i].type, &bad_meta[i].value);
        gguf_writer_tensor(&w, "x", 0, 1, (uint64_t[]){ 8 }, NULL, 32);
        check_written(t, &w, bad_meta[i].says);
        gguf_writer_free(&w);
    }
}

TEST(arrays_of_the_wrong_kind_are_refused)
{
    struct gguf_writer nested = { 0 }, flags = { 0 }, alignment = { 0 }, split = { 0 };
    // An array of one array: element type 9, one element, which is type u8 and two values.
    gguf_writer_array(&nested, "nest", W_ARRAY, NULL, 1);
    gguf_writer_text(&nested, "more", "");
    check_written(t, &nested, "key \"nest\": the value is an array of arrays");
    gguf_writer_array(&flags, "flags", W_BOOL, (uint8_t[]){ 1, 0, 3 }, 3);
    check_written(t, &flags, "key \"flags\": a boolean is 3");
    gguf_writer_array(&alignment, "general.alignment", W_U32, (uint32_t[]){ 32 }, 1);
    check_written(t, &alignment, "key \"general.alignment\": the value type is 9, expected 4");
    gguf_writer_array(&split, "split.no", W_U16, NULL, 0);
    check_written(t, &split, "key \"split.no\" is not a number");
    gguf_writer_free(&nested);
    gguf_writer_free(&flags);
    gguf_writer_free(&alignment);
    gguf_writer_free(&split);
}

#define LONG_NAME_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LONG_NAME_257 LONG_NAME_64 LONG_NAME_64 LONG_NAME_64 LONG_NAME_64 "!"

static const struct {
    const char *name, *tensor;
    uint32_t type, n_dims;
    uint64_t dims[5];
    size_t size_bytes;
    const char *says;
} bad_tensors[] = {
    { "no name", "", 0, 1, { 8 }, 32, "tensor 2 of 2: the name has 0 bytes" },
    { "a name of 257 bytes", LONG_NAME_257, 0, 1, { 8 }, 32, "the name has 257 bytes, expected 1 to 256" },
    { "a name that is not UTF-8", "\xFFw", 0, 1, { 8 }, 32, "not valid UTF-8 at byte 0" },
    { "a name with a surrogate", "w\xED\xA0\x80", 0, 1, { 8 }, 32, "not valid UTF-8 at byte 1" },
    { "a name with a tab", "w\t", 0, 1, { 8 }, 32, "control character 9" },
    { "a name with a delete", "w\x7F", 0, 1, { 8 }, 32, "control character 127" },
    { "a name that is there already", "first", 0, 1, { 8 }, 32, "tensor \"first\" occurs twice" },
    { "no dimensions", "w", 0, 0, { 0 }, 32, "tensor \"w\": it has 0 dimensions, expected 1 to 4" },
    { "five dimensions", "w", 0, 5, { 1, 1, 1, 1, 8 }, 32, "it has 5 dimensions" },
    { "a zero row", "w", 0, 2, { 0, 8 }, 32, "dimension 0 is 0" },
    { "zero rows", "w", 8, 2, { 32, 0 }, 34, "dimension 1 is 0" },
    { "a zero last dimension", "w", 0, 4, { 2, 2, 2, 0 }, 32, "dimension 3 is 0" },
    { "two dimensions whose product wraps to 0",
      "w",
      0,
      2,
      { 1ull << 32, 1ull << 32 },
      32,
      "dimension 1 is 4294967296" },
    { "two whose product wraps to 8", "w", 0, 2, { 8, (1ull << 61) + 1 }, 32, "dimension 1 is 2305843009213693953" },
    { "four whose product wraps", "w", 0, 4, { 1u << 20, 1u << 20, 1u << 20, 1u << 20 }, 32, "dimension 2 is 1048576" },
    { "bytes that wrap though weights do not", "w", 0, 1, { (1ull << 62) + 8 }, 32, "dimension 0 is" },
    { "the same for a packed format", "w", 8, 2, { 1ull << 56, 1ull << 7 }, 34, "dimension 1 is 128" },
    { "the most weights that can be counted", "w", 0, 1, { 1ull << 57 }, 32, "bytes of data: is it complete?" },
    { "more rows than the file holds",
      "w",
      0,
      2,
      { 8, 2 },
      32,
      "it takes 64 bytes from offset 32, but the file holds 64" },
    { "one block more than the file holds", "w", 8, 1, { 64 }, 34, "it takes 68 bytes" },
    { "a row that is no whole block, Q8_0", "w", 8, 1, { 33 }, 68, "expected a multiple of 32 for Q8_0" },
    { "a row that is no whole block, Q4_K",
      "w",
      12,
      2,
      { 704, 4 },
      1584,
      "its rows have 704 weights, expected a multiple" },
    { "a row that is no whole block, MXFP4", "w", 39, 2, { 16, 2 }, 17, "expected a multiple of 32 for MXFP4" },
    { "a format that we cannot size, without any data", "w", 40, 1, { 64 }, 0, "it takes 1 bytes" },
    { "a format that we cannot size, with wild dimensions", "w", 999, 2, { TOP, 2 }, 32, "dimension 0 is" },
};

TEST(wrong_tensors_are_refused_by_name)
{
    for (size_t i = 0; i < COUNT(bad_tensors); ++i) {
        struct gguf_writer w = { 0 };
        t->row = bad_tensors[i].name;
        gguf_writer_tensor(&w, "first", 0, 1, (uint64_t[]){ 8 }, NULL, 32);
        gguf_writer_tensor(&w, bad_tensors[i].tensor, bad_tensors[i].type, bad_tensors[i].n_dims, bad_tensors[i].dims,
                           NULL, bad_tensors[i].size_bytes);
        check_written(t, &w, bad_tensors[i].says);
        gguf_writer_free(&w);
    }
}

TEST(a_key_of_64_kib_is_refused)
{
    static char key[65537];
    struct gguf_writer w = { 0 };
    memset(key, 'k', 65536);
    gguf_writer_u32(&w, key, 1);
    check_written(t, &w, "metadata entry 1 of 1: the name has 65536 bytes, expected 1 to 65535");
    gguf_writer_free(&w);
}

TEST(more_entries_than_anybody_needs_are_refused)
{
    struct gguf_writer meta = { 0 }, tensors = { 0 };
    char name[32];
    for (uint32_t i = 0; i < 65537; ++i) {
        snprintf(name, sizeof name, "%u", i);
        gguf_writer_u32(&meta, name, i);
        gguf_writer_tensor(&tensors, name, 1, 1, (uint64_t[]){ 1 }, NULL, 2);
    }
    check_written(t, &meta, "the header counts 65537 metadata entries, expected at most 65536");
    check_written(t, &tensors, "the header counts 65537 tensors, expected at most 65536");
    gguf_writer_free(&meta);
    gguf_writer_free(&tensors);
}

TEST(a_name_with_a_zero_byte_is_refused)
{
    struct gguf_writer w = { 0 };
    size_t size;
    gguf_writer_u32(&w, "ab_cd", 1);
    uint8_t *bytes = gguf_writer_finish(&w, &size, NULL, NULL, NULL);
    bytes[4 + 4 + 8 + 8 + 8 + 2] = 0;
    check_refused(t, bytes, size, "control character 0");
    free(bytes);
    gguf_writer_free(&w);
}

// A tensor of a format that we cannot size still may not lie inside another one.
TEST(an_unknown_format_inside_another_tensor_is_refused)
{
    struct gguf_writer w = { 0 };
    struct gguf_field fields[64];
    size_t size, n_fields = COUNT(fields);
    gguf_writer_tensor(&w, "w", 0, 1, (uint64_t[]){ 32 }, NULL, 128);
    gguf_writer_tensor(&w, "odd", 40, 1, (uint64_t[]){ 64 }, NULL, 36);
    uint8_t *bytes = gguf_writer_finish(&w, &size, fields, &n_fields, NULL);
    write_field(bytes, &fields[n_fields - 1], 64);
    check_refused(t, bytes, size, "tensor \"odd\": it begins at offset 64, but tensor \"w\" before it ends at 128");
    free(bytes);
    gguf_writer_free(&w);
}

static const struct {
    const char *name, *bytes;
    size_t size;
    const char *says;
} strangers[] = {
    { "nothing", "", 0, "is empty" },
    { "one byte", "G", 1, "does not begin with \"GGUF\"" },
    { "the magic alone", "GGUF", 4, "the version takes 4 bytes" },
    { "a big-endian file", "GGUF\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "big-endian" },
    { "version 1", "GGUF\1\0\0\0\0\0\0\0\0\0\0\0", 16, "version 1, expected 2 or 3" },
    { "version 4", "GGUF\4\0\0\0\0\0\0\0\0\0\0\0", 16, "version 4, expected 2 or 3" },
    { "a mirrored magic", "FUGG\3\0\0\0\0\0\0\0\0\0\0\0", 16, "does not begin with" },
    { "a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0", 56, "Git LFS pointer" },
    { "a web page", "<!DOCTYPE html><html>", 21, "web page" },
    { "a checkpoint", "PK\3\4\0\0\0\0\0\0\0\0", 12, "zip archive" },
    { "a safetensors file", "\x40\0\0\0\0\0\0\0{\"a\":{}}", 16, "safetensors" },
    { "the format before", "tjgg\3\0\0\0\0\0\0\0", 12, "older than GGUF" },
    { "a compressed file", "\xFD\x37zXZ\0\0\0", 8, "xz" },
};

TEST(other_kinds_of_files_are_called_what_they_are)
{
    for (size_t i = 0; i < COUNT(strangers); ++i) {
        t->row = strangers[i].name;
        check_refused(t, (const uint8_t *)strangers[i].bytes, strangers[i].size, strangers[i].says);
    }
}

// ------------------------------------------------------------------------------------------------ blind damage

static void check_survives(struct test *t, const uint8_t *bytes, size_t size)
{
    struct karat_error err;
    const enum karat_status status = open_copy(t, bytes, size, &err);
    CHECK(status == KARAT_OK || status == KARAT_ERR_FORMAT || status == KARAT_ERR_UNSUPPORTED);
    if (status != KARAT_OK)
        check_sentence(t, &err, NULL);
}

TEST(every_header_byte_may_be_anything)
{
    static const uint8_t marks[] = { 0x00, 0x01, 0x7F, 0x80, 0xFF };
    struct good good = make_good();
    for (size_t i = 0; i < good.data_at; ++i) {
        const uint8_t kept = good.bytes[i];
        for (size_t k = 0; k < COUNT(marks); ++k) {
            good.bytes[i] = marks[k];
            check_survives(t, good.bytes, good.size);
        }
        good.bytes[i] = kept;
    }
    free(good.bytes);
}

TEST(thousands_of_random_changes_are_survived)
{
    struct test_random random = { 2026 };
    struct good good = make_good();
    uint8_t *bytes = malloc(good.size);
    REQUIRE(bytes);
    for (int round = 0; round < 10000; ++round) {
        memcpy(bytes, good.bytes, good.size);
        for (uint32_t n = 1 + test_random_below(&random, 6); n > 0; --n) {
            // Half of the changes hit a number, where they matter most.
            const struct gguf_field *field = &good.fields[test_random_below(&random, (uint32_t)good.n_fields)];
            if (test_random_below(&random, 2))
                write_field(bytes, field, test_random_u32(&random) >> test_random_below(&random, 32));
            else
                bytes[test_random_below(&random, (uint32_t)good.data_at)] = (uint8_t)test_random_u32(&random);
        }
        check_survives(t, bytes, good.size - (round % 4 == 0 ? test_random_below(&random, 400) : 0));
    }
    free(bytes);
    free(good.bytes);
}
