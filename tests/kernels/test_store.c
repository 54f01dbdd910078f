// tests/kernels/test_store.c -- where weights lie: the plan of a store, and what arrives on the device.
#include "kernels/kernel_table.h"
#include "ops/pack.h"
#include "ops/store.h"

static struct tensor_info tensor_of(const char *name, enum qtype type, uint32_t n_dims, uint64_t n_cols,
                                    uint64_t n_rows, uint64_t n_planes)
{
    return (struct tensor_info){
        .name = span_text(name), .n_dims = n_dims, .dims = { n_cols, n_rows, n_planes, 1 }, .type = type
    };
}

// A matrix, a stack of experts and a vector.
struct sample {
    struct tensor_info tensors[3];
    struct op_weight weights[2];
    struct op_vector vector;
    struct op_store_item items[3];
};

static void make_sample(struct sample *s)
{
    *s = (struct sample){ .tensors = { tensor_of("matrix", QTYPE_Q4_K, 2, 512, 100, 1),
                                       tensor_of("experts", QTYPE_Q5_0, 3, 96, 24, 9),
                                       tensor_of("norm", QTYPE_F32, 1, 512, 1, 1) } };
    s->items[0] = (struct op_store_item){ .tensor = &s->tensors[0], .weight = &s->weights[0] };
    s->items[1] = (struct op_store_item){ .tensor = &s->tensors[1], .weight = &s->weights[1] };
    s->items[2] = (struct op_store_item){ .tensor = &s->tensors[2], .vector = &s->vector };
}

TEST(a_plan_takes_what_it_says_at_any_limit)
{
    static const uint64_t limits[] = { 2000, 4096, 10000, 1 << 20 };
    struct sample s;
    make_sample(&s);
    const uint64_t bytes = op_store_bytes(s.items, COUNT(s.items));
    CHECK_UINT(bytes, 100 * pack_row_bytes(QTYPE_Q4_K, 512) + 9 * 24 * pack_row_bytes(QTYPE_Q5_0, 96) + 256 + 2048);
    for (size_t i = 0; i < COUNT(limits); ++i) {
        struct arena arena = { 0 };
        struct store_layout layout;
        struct karat_error err = { 0 };
        REQUIRE_OK(store_plan(&layout, &arena, s.items, COUNT(s.items), limits[i], &err), err);
        uint64_t total = layout.vector_bytes;
        for (uint32_t b = 0; b < layout.n_blocks; ++b) {
            CHECK(layout.block_bytes[b] > 0 && layout.block_bytes[b] <= limits[i]);
            total += layout.block_bytes[b];
        }
        CHECK_UINT(total, bytes);
        arena_free(&arena);
    }
}

TEST(runs_follow_each_other_and_keep_planes_whole)
{
    struct sample s;
    struct arena arena = { 0 };
    struct store_layout layout;
    struct karat_error err = { 0 };
    make_sample(&s);
    REQUIRE_OK(store_plan(&layout, &arena, s.items, COUNT(s.items), 4096, &err), err);
    for (int i = 0; i < 2; ++i) {
        const struct store_place *place = &layout.places[i];
        uint64_t row = 0;
        CHECK(place->n_runs > 1);
        for (uint32_t r = 0; r < place->n_runs; ++r) {
            const struct store_run *run = &place->runs[r];
            CHECK_UINT(run->first_row, row);
            CHECK_UINT(run->offset % 16, 0);
            CHECK(run->offset + run->n_rows * place->row_bytes <= layout.block_bytes[run->block]);
            CHECK(i == 0 || run->n_rows % 24 == 0);
            row += run->n_rows;
        }
        CHECK_UINT(row, place->n_rows * place->n_planes);
    }
    arena_free(&arena);
}

TEST(what_cannot_be_placed_is_named)
{
    static const struct {
        const char *name;
        enum qtype type;
        uint32_t n_cols, n_rows, first_row, wanted_rows;
        const char *sentence;
    } rows[] = {
        { "format", QTYPE_COUNT, 256, 4, 0, 0, "tensor t has GGUF type 0, which this program does not read" },
        { "width", QTYPE_F32, 48, 4, 0, 0, "tensor t has rows of 48 weights, a multiple of 32 is expected" },
        { "rows", QTYPE_F32, 64, 4, 2, 3, "tensor t has 4 rows, 5 are expected" },
        { "row", QTYPE_F32, 2048, 4, 0, 0, "tensor t needs pieces of 8192 bytes, the device allows 4096" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        const struct tensor_info tensor = tensor_of("t", rows[i].type, 2, rows[i].n_cols, rows[i].n_rows, 1);
        struct op_weight weight;
        const struct op_store_item item = {
            .tensor = &tensor, .weight = &weight, .first_row = rows[i].first_row, .n_rows = rows[i].wanted_rows
        };
        struct arena arena = { 0 };
        struct store_layout layout;
        struct karat_error err = { 0 };
        t->row = rows[i].name;
        CHECK(store_plan(&layout, &arena, &item, 1, 4096, &err) != KARAT_OK);
        CHECK_TEXT(err.text, rows[i].sentence);
        arena_free(&arena);
    }
    t->row = NULL;
}

// ------------------------------------------------------------------------------------------------ on the device

struct progress {
    uint64_t done, total, n_calls, cancel_at;
};

static bool note_progress(void *user, uint64_t done, uint64_t total)
{
    struct progress *p = user;
    p->n_calls += 1;
    if (done < p->done || done > total)
        p->n_calls = 1u << 31; // went backwards
    p->done = done;
    p->total = total;
    return p->n_calls != p->cancel_at;
}

TEST(vectors_arrive_scaled_and_progress_ends_at_the_total)
{
    static const uint16_t halves[64] = { 0x3C00, 0x4000, 0xC000, 0x3800 }; // 1, 2, -2, 0.5, 0 ...
    static const float values[96] = { 3, -1.5f };
    struct karat_error err = { 0 };
    struct gpu_device *device = kernel_device(t);
    if (!device)
        return;
    struct tensor_info a = tensor_of("a", QTYPE_F32, 1, 96, 1, 1), b = tensor_of("b", QTYPE_F16, 2, 32, 2, 1);
    a.data = span_of(values, sizeof values);
    b.data = span_of(halves, sizeof halves);
    struct op_vector va, vb;
    const struct op_store_item items[] = { { .tensor = &a, .vector = &va },
                                           { .tensor = &b, .vector = &vb, .vector_scale = 0.25f } };
    struct op_store *store = NULL;
    struct progress progress = { 0 };
    struct gpu_recorder *rec = NULL;
    struct gpu_buffer *host = NULL;
    REQUIRE_OK(op_store_create(&store, device, items, COUNT(items), &err), err);
    REQUIRE_OK(op_store_load(store, NULL, note_progress, &progress, &err), err);
    CHECK(progress.n_calls >= 2 && progress.n_calls < 100);
    CHECK_UINT(progress.done, progress.total);
    CHECK_UINT(progress.total, op_store_bytes(items, COUNT(items)));

    REQUIRE_OK(gpu_recorder_create(&rec, device, &err), err);
    REQUIRE_OK(gpu_buffer_create(
                   &host, device,
                   &(struct gpu_buffer_options){ .size_bytes = 640, .memory = GPU_MEMORY_READBACK, .name = "host" },
                   &err),
               err);
    gpu_record_copy(rec, (struct gpu_view){ host, 0, 384 }, va.view);
    gpu_record_copy(rec, (struct gpu_view){ host, 384, 256 }, vb.view);
    REQUIRE_OK(gpu_recorder_submit(rec, &err), err);
    REQUIRE_OK(gpu_recorder_wait(rec, &err), err);
    const float *got = gpu_buffer_map(host);
    CHECK_UINT(va.n, 96);
    CHECK_UINT(vb.n, 64);
    CHECK(memcmp(got, values, sizeof values) == 0);
    CHECK(got[96] == 0.25f && got[97] == 0.5f && got[98] == -0.5f && got[99] == 0.125f && got[100] == 0);
    gpu_buffer_destroy(host);
    gpu_recorder_destroy(rec);
    op_store_destroy(store);
}

TEST(loading_can_be_cancelled)
{
    static float values[64 * 64];
    struct karat_error err = { 0 };
    struct gpu_device *device = kernel_device(t);
    if (!device)
        return;
    struct tensor_info a = tensor_of("a", QTYPE_F32, 2, 64, 64, 1);
    a.data = span_of(values, sizeof values);
    struct op_weight wa, wb;
    const struct op_store_item items[] = { { .tensor = &a, .weight = &wa }, { .tensor = &a, .weight = &wb } };
    struct op_store *store = NULL;
    struct progress progress = { .cancel_at = 1 };
    REQUIRE_OK(op_store_create(&store, device, items, COUNT(items), &err), err);
    const enum karat_status status = op_store_load(store, NULL, note_progress, &progress, &err);
    CHECK_UINT(status, KARAT_ERR_CANCELLED);
    CHECK_TEXT(err.text, "loading was cancelled");
    CHECK_UINT(progress.n_calls, 1);
    op_store_destroy(store);
}
