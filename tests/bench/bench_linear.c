// tests/bench/bench_linear.c -- products on the device at hand: GB/s of weights at one token, GFLOP/s at many.
//
//     bench_linear [FORMAT ...]    without a format all of them, of which F32 takes 6 GB
//
// The plain read stream is measured before and after each product, so that a busy machine shows in both; every figure
// is the best of several runs. The last column of each row is the share of the stream. The largest weight is larger
// than a cache, so it is read from memory, as decoding reads a model.
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "ops/ops.h"
#include "spv/test_stream.h"

struct stream_params {
    uint32_t low, high, n_words4, n_parts;
};

static const struct gpu_kernel_desc stream_kernel = { .name = "test_stream",
                                                      .code = spv_test_stream,
                                                      .code_bytes = sizeof spv_test_stream,
                                                      .n_buffers = 1,
                                                      .params_bytes = sizeof(struct stream_params) };

static const struct {
    uint32_t n_rows, n_cols, n_tokens;
} shapes[] = { { 4096, 2816, 1 }, { 262144, 2816, 1 }, { 2816, 4096, 4 }, { 704, 2816, 512 } };

struct bench {
    struct gpu_device *device;
    struct gpu_recorder *rec;
    struct gpu_buffer *x, *y;
    struct karat_error err;
};

static void record_stream(struct bench *b, const struct op_weight *w)
{
    const uint64_t bytes = op_weight_bytes(w) / w->n_segments; // segments of equal size: the first stands for all
    gpu_record_dispatch(b->rec, &(struct gpu_dispatch){
                                    .desc = &stream_kernel,
                                    .buffers = { { b->y, 0, 4096 * sizeof(float) } },
                                    .params =
                                        &(struct stream_params){
                                            .low = (uint32_t)w->segments[0].address,
                                            .high = (uint32_t)(w->segments[0].address >> 32),
                                            .n_words4 = (uint32_t)(bytes / 16),
                                            .n_parts = 32,
                                        },
                                    .grid = { 32, 1, 1 },
                                });
}

// Seconds of what was recorded.
static double run(struct bench *b)
{
    const uint64_t start_ns = clock_ns();
    if (gpu_recorder_submit(b->rec, &b->err) != KARAT_OK || gpu_recorder_wait(b->rec, &b->err) != KARAT_OK) {
        fprintf(stderr, "bench_linear: %s\n", b->err.text);
        exit(1);
    }
    return (double)(clock_ns() - start_ns) * 1e-9;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void measure(struct bench *b, const struct op_weight *w, uint32_t n_tokens)
{
    double product_s = 1e9, stream_s = 1e9, total_s = 0;
    const struct gpu_view x = { b->x, 0, (uint64_t)n_tokens * w->n_cols * sizeof(float) };
    const struct gpu_view y = { b->y, 0, (uint64_t)n_tokens * w->n_rows * sizeof(float) };
    for (int i = 0; i < 200 && (i < 6 || total_s < 0.6); ++i) {
        record_stream(b, w);
        stream_s = least(stream_s, run(b));
        op_linear(b->rec, y, x, w, &(struct op_linear_shape){ .n_tokens = n_tokens });
        const double s = run(b);
        product_s = least(product_s, s);
        total_s += i > 0 ? s : 0;
    }
    const double bytes = (double)op_weight_bytes(w);
    const double flop = 2.0 * w->n_rows * w->n_cols * n_tokens;
    printf("%-7s %6u x %-5u %4u tokens %9.3f ms %7.2f GB/s %7.1f GFLOP/s   stream %6.2f GB/s  share %.2f\n",
           qtypes[w->type].name, w->n_rows, w->n_cols, n_tokens, product_s * 1e3, bytes / product_s * 1e-9,
           flop / product_s * 1e-9, bytes / w->n_segments / stream_s * 1e-9, stream_s * w->n_segments / product_s);
}

static enum karat_status bench_format(struct bench *b, enum qtype type)
{
    enum karat_status status = KARAT_OK;
    struct op_store *store = NULL;
    uint8_t *data = NULL;
    for (size_t i = 0; i < COUNT(shapes); ++i) {
        const uint64_t n_bytes = qtype_bytes(type, (uint64_t)shapes[i].n_rows * shapes[i].n_cols);
        uint32_t random = 1;
        data = malloc(n_bytes);
        if (!data)
            return status_fail(&b->err, KARAT_ERR_MEMORY, "no memory for %llu bytes", (unsigned long long)n_bytes);
        for (uint64_t k = 0; k < n_bytes; k += 2) { // every pair of bytes is a finite half
            random = random * 1664525u + 1013904223u;
            const uint32_t word = random >> 16 & 0x3BFFu;
            memcpy(data + k, &word, n_bytes - k < 2 ? 1 : 2);
        }
        struct op_weight weight;
        const struct tensor_info tensor = { .name = span_text("bench"),
                                            .n_dims = 2,
                                            .dims = { shapes[i].n_cols, shapes[i].n_rows, 1, 1 },
                                            .type = type,
                                            .data = span_of(data, n_bytes) };
        const struct op_store_item item = { .tensor = &tensor, .weight = &weight };
        TRY(op_store_create(&store, b->device, &item, 1, &b->err));
        TRY(op_store_load(store, NULL, NULL, NULL, &b->err));
        measure(b, &weight, shapes[i].n_tokens);
        op_store_destroy(store);
        store = NULL;
        free(data);
        data = NULL;
    }
cleanup:
    op_store_destroy(store);
    free(data);
    return status;
}

static bool is_wanted(enum qtype type, int argc, char **argv)
{
    bool wanted = argc < 2;
    for (int i = 1; i < argc; ++i)
        wanted = wanted || qtype_from_name(argv[i]) == type;
    return wanted;
}

int main(int argc, char **argv)
{
    enum karat_status status = KARAT_OK;
    struct bench b = { 0 };
    TRY(gpu_device_create(&b.device, &(struct gpu_device_options){ 0 }, &b.err));
    TRY(gpu_recorder_create(&b.rec, b.device, &b.err));
    TRY(gpu_buffer_create(&b.x, b.device, &(struct gpu_buffer_options){ .size_bytes = 8 << 20, .name = "x" }, &b.err));
    TRY(gpu_buffer_create(&b.y, b.device, &(struct gpu_buffer_options){ .size_bytes = 8 << 20, .name = "y" }, &b.err));
    gpu_record_fill(b.rec, (struct gpu_view){ b.x, 0, 8 << 20 }, 0x3F800000u);
    printf("%s\n", gpu_device_snapshot(b.device)->name);
    for (int type = 0; type < QTYPE_COUNT && status == KARAT_OK; ++type)
        if (is_wanted((enum qtype)type, argc, argv))
            TRY(bench_format(&b, (enum qtype)type));
cleanup:
    if (status != KARAT_OK)
        fprintf(stderr, "bench_linear: %s\n", b.err.text);
    gpu_recorder_destroy(b.rec);
    gpu_buffer_destroy(b.x);
    gpu_buffer_destroy(b.y);
    gpu_device_destroy(b.device);
    return status == KARAT_OK ? 0 : 1;
}
