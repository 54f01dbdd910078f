// tests/model/test_weights.c -- factors that a file may leave out are ones.
//
// The demo model three times: as it is, with its factors set to 1, and with the tensors of the factors renamed, so that
// nobody finds them. The last two agree up to rounding: a kernel without a factor is another program, in which a
// driver's compiler may contract other pairs of operations.
#include <stdlib.h>

#include "karat.h"
#include "loader/model_file.h"
#include "test.h"

#define FILE_NAME "test_weights.tmp.gguf" // in the working folder, removed after each use
#define N_LAYERS 6
#define N_VOCAB 2048
#define ROUNDING 1e-4 // of scores up to 30

static char *load_demo(struct test *t, size_t *size)
{
    char path[4096];
    const char *folder = getenv("KARAT_TEST_PEBBLE");
    snprintf(path, sizeof path, "%s/pebble-Q4_K_M.gguf", folder ? folder : "tests/pebble");
    char *bytes = test_read_file(path, size);
    test_check(t, bytes, __FILE__, __LINE__, "%s cannot be read", path);
    return bytes;
}

// The scores after a few tokens; the caller frees them.
static float *evaluate(struct test *t, const char *bytes, size_t size)
{
    static const uint32_t ids[] = { 2, 5, 455, 24, 1093, 288, 6, 24, 5, 453, 24, 7, 462, 24, 8 };
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    struct karat_session *session = NULL;
    const struct karat_session_options options = { .n_context = 64, .n_batch = 16, .cache = KARAT_CACHE_F32 };
    float *logits = calloc(N_VOCAB, sizeof *logits);
    FILE *out = fopen(FILE_NAME, "wb");
    const bool written = out && fwrite(bytes, 1, size, out) == size;
    if (CHECK(logits && out && fclose(out) == 0 && written) &&
        test_check(t,
                   karat_model_open(&model, FILE_NAME, NULL, &err) == KARAT_OK &&
                       karat_session_open(&session, model, &options, &err) == KARAT_OK &&
                       karat_session_sync(session, ids, COUNT(ids), &err) == KARAT_OK,
                   __FILE__, __LINE__, "%s", err.text))
        memcpy(logits, karat_session_logits(session), N_VOCAB * sizeof *logits);
    karat_session_close(session);
    karat_model_close(model);
    remove(FILE_NAME);
    return logits;
}

// Sets every element of the tensor to 1.
static bool set_ones(char *bytes, const struct model_file *file, const char *name)
{
    const struct tensor_info *tensor = model_file_find(file, name);
    if (!tensor || tensor->type != QTYPE_F32)
        return false;
    char *data = bytes + ((const char *)tensor->data.data - bytes);
    for (size_t i = 0; i < tensor->data.size_bytes / sizeof(float); ++i)
        memcpy(data + i * sizeof(float), &(float){ 1 }, sizeof(float));
    return true;
}

static bool rename_tensor(char *bytes, const struct model_file *file, const char *name)
{
    const struct tensor_info *tensor = model_file_find(file, name);
    if (!tensor)
        return false;
    bytes[(const char *)tensor->name.data - bytes] = 'x';
    return true;
}

static double largest_difference(const float *a, const float *b)
{
    double largest = 0;
    for (int i = 0; i < N_VOCAB; ++i)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

static void check_factor(struct test *t, const char *suffix)
{
    size_t size = 0;
    struct karat_error err = { 0 };
    struct model_file *file = NULL;
    char *bytes = load_demo(t, &size);
    if (!bytes)
        return;
    float *original = evaluate(t, bytes, size), *ones = NULL, *without = NULL;
    const bool is_open = model_file_from_bytes(&file, "demo", span_of(bytes, size), &err) == KARAT_OK;
    test_check(t, is_open, __FILE__, __LINE__, "%s", err.text);
    char names[N_LAYERS][64];
    for (int i = 0; is_open && i < N_LAYERS; ++i) {
        snprintf(names[i], sizeof names[i], "blk.%d.%s", i, suffix);
        CHECK(set_ones(bytes, file, names[i]));
    }
    ones = evaluate(t, bytes, size);
    // The index of the open file lends the names, so each is renamed after it was found.
    for (int i = 0; is_open && i < N_LAYERS; ++i) {
        struct model_file *again = NULL;
        if (CHECK(model_file_from_bytes(&again, "demo", span_of(bytes, size), &err) == KARAT_OK))
            CHECK(rename_tensor(bytes, again, names[i]));
        model_file_close(again);
    }
    without = evaluate(t, bytes, size);
    if (CHECK(original && ones && without)) {
        CHECK(largest_difference(original, ones) > 100 * ROUNDING); // the factors matter
        CHECK_NEAR(largest_difference(ones, without), 0, ROUNDING);
    }
    model_file_close(file);
    free(original);
    free(ones);
    free(without);
    free(bytes);
}

TEST(experts_without_a_scale_count_as_they_are)
{
    check_factor(t, "ffn_down_exps.scale");
}

TEST(layers_without_a_scale_count_as_they_are)
{
    check_factor(t, "layer_output_scale.weight");
}
