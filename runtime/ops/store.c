// ops/store.c -- the device memory of all weights: planned, allocated, filled.
//
// Vectors share one buffer. Matrices lie one after the other in blocks of at most a few hundred MiB, each row a
// multiple of 16 bytes; one that does not fit is cut between rows (between planes, when it is stacked), so no tensor is
// too large for a device's allocation limit.
#include "ops/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/workers.h"
#include "ops/pack.h"

#define BLOCK_LIMIT_BYTES (512ull << 20)
#define VECTOR_ALIGNMENT 256u      // what any device asks of a binding's offset
#define CHUNK_BYTES (8ull << 20)   // packed and handed over at a time
#define SLICE_BYTES (256ull << 10) // packed by one thread at a time
#define AHEAD_BYTES (32ull << 20)  // of the file, read while what comes before is packed

struct op_store {
    struct gpu_device *device;
    struct arena arena;
    const struct op_store_item *items; // a copy
    size_t n_items;
    struct store_layout layout;
    struct gpu_buffer *vectors;
    struct gpu_buffer **blocks;
};

// ------------------------------------------------------------------------------------------------ plan

static bool is_stacked(const struct op_store_item *item)
{
    return item->weight && item->tensor->n_dims > 2;
}

static enum karat_status measure(struct store_place *place, const struct op_store_item *item, struct karat_error *err)
{
    const struct tensor_info *tensor = item->tensor;
    const uint64_t n_rows = tensor->dims[1], n_planes = tensor->dims[2] * tensor->dims[3];
    assert(!item->weight != !item->vector);
    if (tensor->type >= QTYPE_COUNT)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "tensor %.*s has GGUF type %u, which this program does not read",
                           SPAN_ARGS(tensor->name), tensor->gguf_type);
    if (item->first_row > n_rows || item->n_rows > n_rows - item->first_row)
        return status_fail(err, KARAT_ERR_FORMAT, "tensor %.*s has %llu rows, %llu are expected",
                           SPAN_ARGS(tensor->name), (unsigned long long)n_rows,
                           (unsigned long long)item->first_row + item->n_rows);
    *place = (struct store_place){
        .n_cols = tensor->dims[0],
        .n_rows = item->n_rows > 0 ? item->n_rows : n_rows - item->first_row,
        .n_planes = n_planes,
        .first_row = item->first_row,
    };
    if (!item->weight)
        return KARAT_OK;
    if (!pack_fits(tensor->type, place->n_cols))
        return status_fail(err, KARAT_ERR_UNSUPPORTED,
                           "tensor %.*s has rows of %llu weights, a multiple of %u is expected",
                           SPAN_ARGS(tensor->name), (unsigned long long)place->n_cols, (unsigned)PACK_GROUP);
    place->row_bytes = pack_row_bytes(tensor->type, place->n_cols);
    if (place->n_cols > UINT32_MAX || place->n_rows * n_planes > UINT32_MAX || place->row_bytes > UINT32_MAX)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "tensor %.*s is too large: %llu x %llu x %llu",
                           SPAN_ARGS(tensor->name), (unsigned long long)place->n_cols,
                           (unsigned long long)place->n_rows, (unsigned long long)n_planes);
    return KARAT_OK;
}

static uint64_t take_vector(struct store_layout *layout, uint64_t size_bytes)
{
    const uint64_t offset = layout->vector_bytes;
    layout->vector_bytes += (size_bytes + VECTOR_ALIGNMENT - 1) / VECTOR_ALIGNMENT * VECTOR_ALIGNMENT;
    return offset;
}

// The block that grows; a new one begins when the old one is full.
struct filling {
    struct store_layout *layout;
    uint32_t capacity; // of layout->block_bytes
    uint64_t limit_bytes;
};

static bool begin_block(struct filling *filling)
{
    struct store_layout *layout = filling->layout;
    if (layout->n_blocks == filling->capacity) {
        const uint32_t capacity = filling->capacity > 0 ? 2 * filling->capacity : 16;
        uint64_t *grown = realloc(layout->block_bytes, capacity * sizeof *grown);
        if (!grown)
            return false;
        layout->block_bytes = grown;
        filling->capacity = capacity;
    }
    layout->block_bytes[layout->n_blocks++] = 0;
    return true;
}

static uint64_t room_bytes(const struct filling *filling)
{
    const struct store_layout *layout = filling->layout;
    return layout->n_blocks > 0 ? filling->limit_bytes - layout->block_bytes[layout->n_blocks - 1] : 0;
}

// Cuts a weight into runs. A unit, a row or a plane, is never cut.
static enum karat_status place_weight(struct filling *filling, struct store_place *place, struct arena *arena,
                                      const struct op_store_item *item, struct karat_error *err)
{
    const uint64_t rows_per_unit = is_stacked(item) ? place->n_rows : 1;
    const uint64_t unit_bytes = rows_per_unit * place->row_bytes, n_rows = place->n_rows * place->n_planes;
    const uint64_t per_block = filling->limit_bytes / unit_bytes;
    if (per_block == 0)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "tensor %.*s needs pieces of %llu bytes, the device allows %llu",
                           SPAN_ARGS(item->tensor->name), (unsigned long long)unit_bytes,
                           (unsigned long long)filling->limit_bytes);
    uint64_t left = n_rows / rows_per_unit;
    place->runs = arena_alloc(arena, left / per_block + 2, sizeof *place->runs);
    if (!place->runs)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the plan of the weights");
    // What fits one block whole is kept whole.
    if (left * unit_bytes > room_bytes(filling) && left <= per_block && !begin_block(filling))
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the plan of the weights");
    for (uint64_t row = 0; left > 0;) {
        uint64_t n = room_bytes(filling) / unit_bytes;
        if (n == 0) {
            if (!begin_block(filling))
                return status_fail(err, KARAT_ERR_MEMORY, "no memory for the plan of the weights");
            n = per_block;
        }
        n = n < left ? n : left;
        uint64_t *used = &filling->layout->block_bytes[filling->layout->n_blocks - 1];
        place->runs[place->n_runs++] = (struct store_run){
            .block = filling->layout->n_blocks - 1, .offset = *used, .first_row = row, .n_rows = n * rows_per_unit
        };
        *used += n * unit_bytes;
        row += n * rows_per_unit;
        left -= n;
    }
    return KARAT_OK;
}

static enum karat_status place_item(struct filling *filling, struct store_place *place, struct arena *arena,
                                    const struct op_store_item *item, struct karat_error *err)
{
    const enum karat_status status = measure(place, item, err);
    if (status != KARAT_OK)
        return status;
    if (item->vector) {
        place->vector_offset = take_vector(filling->layout, place->n_cols * place->n_rows * place->n_planes * 4);
        return KARAT_OK;
    }
    if (is_stacked(item))
        place->vector_offset = take_vector(filling->layout, place->n_planes * 8);
    return place_weight(filling, place, arena, item, err);
}

enum karat_status store_plan(struct store_layout *out, struct arena *arena, const struct op_store_item *items,
                             size_t n_items, uint64_t block_limit_bytes, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct store_layout layout = { .places = arena_alloc(arena, n_items + 1, sizeof *layout.places) };
    struct filling filling = { .layout = &layout, .limit_bytes = block_limit_bytes / 16 * 16 };
    *out = (struct store_layout){ 0 };
    if (!layout.places) {
        status = status_fail(err, KARAT_ERR_MEMORY, "no memory for the plan of the weights");
        goto cleanup;
    }
    for (size_t i = 0; i < n_items; ++i)
        TRY(place_item(&filling, &layout.places[i], arena, &items[i], err));
    *out = layout;
    out->block_bytes = arena_alloc(arena, layout.n_blocks + 1, sizeof *out->block_bytes);
    if (!out->block_bytes) {
        status = status_fail(err, KARAT_ERR_MEMORY, "no memory for the plan of the weights");
        goto cleanup;
    }
    if (layout.n_blocks > 0)
        memcpy(out->block_bytes, layout.block_bytes, layout.n_blocks * sizeof *out->block_bytes);
cleanup:
    free(layout.block_bytes);
    return status;
}

static uint64_t total_bytes(const struct store_layout *layout)
{
    uint64_t total = layout->vector_bytes;
    for (uint32_t b = 0; b < layout->n_blocks; ++b)
        total += layout->block_bytes[b];
    return total;
}

uint64_t op_store_bytes(const struct op_store_item *items, size_t n_items)
{
    // Cutting adds no padding, so the limit of the device does not matter.
    struct arena arena = { 0 };
    struct store_layout layout;
    uint64_t total = 0;
    if (store_plan(&layout, &arena, items, n_items, UINT64_MAX, NULL) == KARAT_OK)
        total = total_bytes(&layout);
    arena_free(&arena);
    return total;
}

uint64_t op_weight_bytes(const struct op_weight *weight)
{
    return (uint64_t)weight->row_bytes * weight->n_rows * weight->n_planes;
}

// ------------------------------------------------------------------------------------------------ create

static enum karat_status allocate(struct op_store *store, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct store_layout *layout = &store->layout;
    store->blocks = arena_alloc(&store->arena, layout->n_blocks + 1, sizeof *store->blocks);
    if (!store->blocks)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the blocks of the weights");
    if (layout->vector_bytes > 0)
        TRY(gpu_buffer_create(&store->vectors, store->device,
                              &(struct gpu_buffer_options){ .size_bytes = layout->vector_bytes, .name = "vectors" },
                              err));
    for (uint32_t b = 0; b < layout->n_blocks; ++b)
        TRY(gpu_buffer_create(&store->blocks[b], store->device,
                              &(struct gpu_buffer_options){ .size_bytes = layout->block_bytes[b], .name = "weights" },
                              err));
cleanup:
    return status;
}

static void describe_vector(const struct op_store *store, const struct store_place *place, struct op_vector *out)
{
    const uint64_t n = place->n_cols * place->n_rows * place->n_planes;
    *out = (struct op_vector){ .view = { store->vectors, place->vector_offset, n * sizeof(float) }, .n = (uint32_t)n };
}

static enum karat_status describe_weight(struct op_store *store, const struct store_place *place,
                                         const struct op_store_item *item, struct karat_error *err)
{
    struct op_segment *segments = arena_alloc(&store->arena, place->n_runs, sizeof *segments);
    if (!segments)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for the segments of %.*s", SPAN_ARGS(item->tensor->name));
    for (uint32_t s = 0; s < place->n_runs; ++s) {
        const struct store_run *run = &place->runs[s];
        segments[s] = (struct op_segment){ .address = gpu_buffer_address(store->blocks[run->block]) + run->offset,
                                           .first_row = (uint32_t)run->first_row,
                                           .n_rows = (uint32_t)run->n_rows };
    }
    *item->weight = (struct op_weight){
        .label = item->label,
        .type = item->tensor->type,
        .n_cols = (uint32_t)place->n_cols,
        .n_rows = (uint32_t)place->n_rows,
        .n_planes = (uint32_t)place->n_planes,
        .row_bytes = (uint32_t)place->row_bytes,
        .n_segments = place->n_runs,
        .segments = segments,
    };
    if (is_stacked(item))
        item->weight->planes = (struct gpu_view){ store->vectors, place->vector_offset, place->n_planes * 8 };
    return KARAT_OK;
}

enum karat_status store_create_limited(struct op_store **out, struct gpu_device *device,
                                       const struct op_store_item *items, size_t n_items, uint64_t block_limit_bytes,
                                       struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    struct op_store *store = calloc(1, sizeof *store);
    struct op_store_item *copy = NULL;
    if (store)
        copy = arena_alloc(&store->arena, n_items + 1, sizeof *copy);
    if (!copy) {
        status = status_fail(err, KARAT_ERR_MEMORY, "no memory for the record of the weights");
        goto cleanup;
    }
    if (n_items > 0)
        memcpy(copy, items, n_items * sizeof *copy);
    store->device = device;
    store->items = copy;
    store->n_items = n_items;
    TRY(store_plan(&store->layout, &store->arena, items, n_items, block_limit_bytes, err));
    TRY(allocate(store, err));
    for (size_t i = 0; i < n_items; ++i) {
        if (items[i].vector)
            describe_vector(store, &store->layout.places[i], items[i].vector);
        else
            TRY(describe_weight(store, &store->layout.places[i], &items[i], err));
    }
    *out = store;
    store = NULL;
cleanup:
    op_store_destroy(store);
    return status;
}

enum karat_status op_store_create(struct op_store **out, struct gpu_device *device, const struct op_store_item *items,
                                  size_t n_items, struct karat_error *err)
{
    const uint64_t allowed = gpu_device_plan(device)->max_allocation_bytes;
    return store_create_limited(out, device, items, n_items, allowed < BLOCK_LIMIT_BYTES ? allowed : BLOCK_LIMIT_BYTES,
                                err);
}

void op_store_destroy(struct op_store *store)
{
    if (!store)
        return;
    gpu_buffer_destroy(store->vectors);
    for (uint32_t b = 0; store->blocks && b < store->layout.n_blocks; ++b)
        gpu_buffer_destroy(store->blocks[b]);
    arena_free(&store->arena);
    free(store);
}

// ------------------------------------------------------------------------------------------------ load

struct loading {
    struct op_store *store;
    const struct model_file *file; // may be NULL
    struct gpu_upload *upload;
    struct workers *workers;
    karat_progress_fn *on_progress;
    void *user;
    uint64_t done_bytes, total_bytes;
    uint8_t *row; // one packed row, for chunks that end inside one
};

struct pack_job {
    uint8_t *out;
    const uint8_t *rows;
    enum qtype type;
    uint64_t n_cols, n_rows;
    uint64_t rows_per_slice;
};

static void pack_slice(void *user, size_t index)
{
    const struct pack_job *job = user;
    const uint64_t first = index * job->rows_per_slice, left = job->n_rows - first;
    pack_rows(job->out + first * pack_row_bytes(job->type, job->n_cols),
              job->rows + first * qtype_bytes(job->type, job->n_cols), job->type, job->n_cols,
              left < job->rows_per_slice ? left : job->rows_per_slice);
}

// Packs whole rows on all threads. Packing, and the waiting for pages of the file, is what loading takes longest for.
static void pack_parallel(const struct loading *loading, struct pack_job job)
{
    const uint64_t out_bytes = pack_row_bytes(job.type, job.n_cols);
    job.rows_per_slice = out_bytes < SLICE_BYTES ? SLICE_BYTES / out_bytes : 1;
    workers_run(loading->workers, pack_slice, &job,
                (size_t)((job.n_rows + job.rows_per_slice - 1) / job.rows_per_slice));
}

// Fills out[0, size) with the bytes [offset, offset + size) of the packed rows that begin at `rows`. A chunk may begin
// and end inside a row: such rows are packed aside.
static void pack_bytes(const struct loading *loading, uint8_t *out, struct pack_job rows, uint64_t offset,
                       uint64_t size)
{
    const uint64_t out_bytes = pack_row_bytes(rows.type, rows.n_cols), in_bytes = qtype_bytes(rows.type, rows.n_cols);
    while (size > 0) {
        const uint64_t row = offset / out_bytes, in_row = offset % out_bytes;
        uint64_t n = size / out_bytes * out_bytes;
        if (in_row == 0 && n > 0) {
            pack_parallel(loading, (struct pack_job){ .out = out,
                                                      .rows = rows.rows + row * in_bytes,
                                                      .type = rows.type,
                                                      .n_cols = rows.n_cols,
                                                      .n_rows = n / out_bytes });
        } else {
            n = out_bytes - in_row < size ? out_bytes - in_row : size;
            pack_rows(loading->row, rows.rows + row * in_bytes, rows.type, rows.n_cols, 1);
            memcpy(out, loading->row + in_row, n);
        }
        out += n;
        offset += n;
        size -= n;
    }
}

static enum karat_status advance(struct loading *loading, uint64_t size_bytes, struct karat_error *err)
{
    loading->done_bytes += size_bytes;
    if (loading->on_progress && !loading->on_progress(loading->user, loading->done_bytes, loading->total_bytes))
        return status_fail(err, KARAT_ERR_CANCELLED, "loading was cancelled");
    return KARAT_OK;
}

// `n_rows` packed rows that lie side by side in the file, from row first_row of the tensor's plane `plane` on.
static enum karat_status load_rows(struct loading *loading, const struct op_store_item *item, uint64_t n_cols,
                                   uint64_t first_tensor_row, uint64_t n_rows, struct gpu_buffer *dst, uint64_t offset,
                                   struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const enum qtype type = item->tensor->type;
    const uint64_t out_bytes = pack_row_bytes(type, n_cols), in_bytes = qtype_bytes(type, n_cols);
    const uint64_t total = n_rows * out_bytes, file_offset = first_tensor_row * in_bytes;
    const struct pack_job rows = { .rows = item->tensor->data.data + file_offset, .type = type, .n_cols = n_cols };
    const uint64_t n_file_bytes = n_rows * in_bytes;
    uint64_t n_released = 0, n_wanted = 0;
    for (uint64_t done = 0; done < total;) {
        void *memory = NULL;
        uint64_t size = total - done < CHUNK_BYTES ? total - done : CHUNK_BYTES;
        if (loading->file && n_wanted < n_file_bytes && n_wanted < n_released + AHEAD_BYTES) {
            const uint64_t left = n_file_bytes - n_wanted, n = left < AHEAD_BYTES ? left : AHEAD_BYTES;
            model_file_want(loading->file, item->tensor, file_offset + n_wanted, n);
            n_wanted += n;
        }
        TRY(gpu_upload_reserve(loading->upload, &memory, dst, offset + done, &size, err));
        pack_bytes(loading, memory, rows, done, size);
        done += size;
        const uint64_t n_read = done / out_bytes * in_bytes;
        if (loading->file)
            model_file_release(loading->file, item->tensor, file_offset + n_released, n_read - n_released);
        n_released = n_read;
        TRY(advance(loading, size, err));
    }
cleanup:
    return status;
}

// A run may hold rows of several planes, of each of which the item may want only a part.
static enum karat_status load_run(struct loading *loading, const struct op_store_item *item,
                                  const struct store_place *place, const struct store_run *run, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gpu_buffer *block = loading->store->blocks[run->block];
    const bool whole_planes = place->n_rows == item->tensor->dims[1];
    for (uint64_t row = run->first_row; row < run->first_row + run->n_rows;) {
        const uint64_t plane = row / place->n_rows, in_plane = row % place->n_rows;
        const uint64_t end = run->first_row + run->n_rows;
        uint64_t n = whole_planes ? end - row : place->n_rows - in_plane;
        n = n < end - row ? n : end - row;
        TRY(load_rows(loading, item, place->n_cols, plane * item->tensor->dims[1] + place->first_row + in_plane, n,
                      block, run->offset + (row - run->first_row) * place->row_bytes, err));
        row += n;
    }
cleanup:
    return status;
}

// The table of planes holds addresses, low word first.
static enum karat_status load_planes(struct loading *loading, const struct op_store_item *item, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct op_weight *weight = item->weight;
    const uint64_t plane_bytes = (uint64_t)weight->n_rows * weight->row_bytes;
    uint64_t plane = 0;
    for (uint32_t s = 0; s < weight->n_segments; ++s) {
        const struct op_segment *segment = &weight->segments[s];
        for (uint32_t i = 0; i < segment->n_rows / weight->n_rows; ++i, ++plane) {
            const uint64_t address = segment->address + i * plane_bytes;
            const uint32_t words[2] = { (uint32_t)address, (uint32_t)(address >> 32) };
            void *memory = NULL;
            uint64_t size = sizeof words;
            TRY(gpu_upload_reserve(loading->upload, &memory, weight->planes.buffer, weight->planes.offset + 8 * plane,
                                   &size, err));
            memcpy(memory, words, sizeof words);
        }
    }
cleanup:
    return status;
}

static enum karat_status load_vector(struct loading *loading, const struct op_store_item *item,
                                     const struct store_place *place, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct qtype_info *format = &qtypes[item->tensor->type];
    const float scale = item->vector_scale != 0 ? item->vector_scale : 1;
    const uint64_t n_values = place->n_rows * place->n_cols; // of a plane
    const uint64_t n_blocks = (n_values + format->block_len - 1) / format->block_len;
    float *values = calloc(n_blocks * format->block_len, sizeof *values);
    if (!values)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for %llu values of %.*s", (unsigned long long)n_values,
                           SPAN_ARGS(item->tensor->name));
    for (uint64_t plane = 0; plane < place->n_planes; ++plane) {
        const uint64_t first = (plane * item->tensor->dims[1] + place->first_row) * place->n_cols;
        format->decode(values, item->tensor->data.data + qtype_bytes(item->tensor->type, first), n_blocks);
        for (uint64_t i = 0; i < n_values; ++i)
            values[i] *= scale;
        for (uint64_t done = 0; done < n_values * sizeof *values;) {
            void *memory = NULL;
            uint64_t size = n_values * sizeof *values - done;
            TRY(gpu_upload_reserve(loading->upload, &memory, item->vector->view.buffer,
                                   item->vector->view.offset + plane * n_values * sizeof *values + done, &size, err));
            memcpy(memory, (const uint8_t *)values + done, size);
            done += size;
            TRY(advance(loading, size, err));
        }
    }
cleanup:
    free(values);
    return status;
}

static uint64_t largest_row(const struct op_store *store)
{
    uint64_t largest = 16;
    for (size_t i = 0; i < store->n_items; ++i)
        largest = store->layout.places[i].row_bytes > largest ? store->layout.places[i].row_bytes : largest;
    return largest;
}

enum karat_status op_store_load(struct op_store *store, const struct model_file *file, karat_progress_fn *on_progress,
                                void *user, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct loading loading = { .store = store,
                               .file = file,
                               .on_progress = on_progress,
                               .user = user,
                               .total_bytes = total_bytes(&store->layout),
                               .workers = workers_create(0),
                               .row = malloc(largest_row(store)) };
    if (!loading.row || !loading.workers) {
        status = status_fail(err, KARAT_ERR_MEMORY, "no memory for a row of weights");
        goto cleanup;
    }
    TRY(gpu_upload_create(&loading.upload, store->device, 0, err));
    for (size_t i = 0; i < store->n_items; ++i) {
        const struct op_store_item *item = &store->items[i];
        const struct store_place *place = &store->layout.places[i];
        if (item->vector)
            TRY(load_vector(&loading, item, place, err));
        for (uint32_t s = 0; s < place->n_runs; ++s)
            TRY(load_run(&loading, item, place, &place->runs[s], err));
        if (is_stacked(item))
            TRY(load_planes(&loading, item, err));
    }
    TRY(gpu_upload_finish(loading.upload, err));
    if (on_progress)
        on_progress(user, loading.total_bytes, loading.total_bytes);
cleanup:
    gpu_upload_destroy(loading.upload);
    workers_destroy(loading.workers);
    free(loading.row);
    return status;
}
