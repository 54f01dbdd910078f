// ops/check.c -- see check.h.
#include "ops/check.h"

#include <math.h>
#include <stdlib.h>

#include "base/thread.h"

#define GUARD_BYTES 256
#define GUARD_WORD 0x7FC0BEEFu // a NaN, so that reading it shows as well

enum karat_status check_init(struct check *c, struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *c = (struct check){ .device = device };
    TRY(gpu_recorder_create(&c->rec, device, err));
    TRY(gpu_upload_create(&c->upload, device, 0, err));
cleanup:
    if (status != KARAT_OK)
        check_deinit(c);
    return status;
}

static void forget_case(struct check *c)
{
    for (uint32_t i = 0; i < c->n_buffers; ++i)
        gpu_buffer_destroy(c->buffers[i]);
    c->n_buffers = 0;
    arena_free(&c->arena);
}

void check_deinit(struct check *c)
{
    gpu_recorder_destroy(c->rec);
    gpu_upload_destroy(c->upload);
    forget_case(c);
    *c = (struct check){ 0 };
}

enum karat_status check_run(struct check *c, check_fn *run, const void *shape, struct karat_error *err)
{
    c->status = KARAT_OK;
    c->error = 0;
    c->bound = 0;
    c->ns = 0;
    c->random = 1;
    run(c, shape);
    forget_case(c);
    if (c->status != KARAT_OK && err)
        *err = c->err;
    return c->status;
}

bool check_passed(const struct check *c)
{
    return c->status == KARAT_OK && c->error <= c->bound;
}

// ------------------------------------------------------------------------------------------------ host data

void *check_alloc(struct check *c, size_t count, size_t size)
{
    void *memory = arena_alloc(&c->arena, count, size);
    if (!memory && c->status == KARAT_OK)
        c->status = status_fail(&c->err, KARAT_ERR_MEMORY, "no memory for %zu x %zu bytes of a check", count, size);
    return memory;
}

static uint32_t random_u32(struct check *c)
{
    // splitmix64
    uint64_t z = (c->random += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

uint32_t check_random_below(struct check *c, uint32_t limit)
{
    return (uint32_t)((uint64_t)random_u32(c) * limit >> 32);
}

float check_random_normal(struct check *c)
{
    // Four 16-bit numbers summed: close enough to normal, and cheap for large inputs.
    const uint32_t a = random_u32(c), b = random_u32(c);
    const int32_t sum = (int32_t)((a & 0xFFFF) + (a >> 16) + (b & 0xFFFF) + (b >> 16)) - 0x1FFFE;
    return (float)sum / 37837.0f; // the deviation of the sum
}

float *check_random(struct check *c, size_t n, double scale)
{
    float *values = check_alloc(c, n, sizeof *values);
    for (size_t i = 0; values && i < n; ++i)
        values[i] = check_random_normal(c) * (float)scale;
    return values;
}

float *check_random_weights(struct check *c, size_t n)
{
    float *values = check_random(c, n, 0.25);
    for (size_t i = 0; values && i < n; ++i)
        values[i] += 1;
    return values;
}

uint16_t check_f16(float value)
{
    const float magnitude = fabsf(value);
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (isnan(value))
        return 0x7E00;
    if (magnitude >= 65520.0f)
        return sign | 0x7C00;
    int exponent = 0;
    frexpf(magnitude, &exponent); // magnitude < 2^exponent
    if (exponent < -13)
        exponent = -13; // the spacing of subnormals and of the smallest normals is 2^-24
    const int steps = (int)nearbyintf(ldexpf(magnitude, 11 - exponent));
    if (steps < 1024)
        return (uint16_t)(sign | steps);
    return (uint16_t)(sign | (((exponent + 13) << 10) + steps)); // a carry of steps moves on into the exponent
}

float check_from_f16(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, steps = bits & 1023;
    float magnitude = ldexpf((float)(exponent ? steps + 1024 : steps), (exponent ? exponent : 1) - 25);
    if (exponent == 31)
        magnitude = steps ? NAN : INFINITY;
    return bits & 0x8000 ? -magnitude : magnitude;
}

// ------------------------------------------------------------------------------------------------ device data

static struct gpu_buffer *make_buffer(struct check *c, uint64_t size_bytes, enum gpu_memory memory, const char *name)
{
    struct gpu_buffer *buffer = NULL;
    if (c->status != KARAT_OK)
        return NULL;
    if (c->n_buffers == COUNT(c->buffers)) {
        c->status = status_fail(&c->err, KARAT_ERR_INTERNAL, "a check uses more than %zu buffers", COUNT(c->buffers));
        return NULL;
    }
    c->status = gpu_buffer_create(
        &buffer, c->device, &(struct gpu_buffer_options){ .size_bytes = size_bytes, .memory = memory, .name = name },
        &c->err);
    if (c->status == KARAT_OK)
        c->buffers[c->n_buffers++] = buffer;
    return buffer;
}

struct gpu_view check_input(struct check *c, const void *data, uint64_t size_bytes)
{
    struct gpu_buffer *buffer = data ? make_buffer(c, size_bytes, GPU_MEMORY_DEVICE, "check input") : NULL;
    uint64_t done = 0;
    while (c->status == KARAT_OK && buffer && done < size_bytes) {
        void *memory = NULL;
        uint64_t granted = size_bytes - done;
        c->status = gpu_upload_reserve(c->upload, &memory, buffer, done, &granted, &c->err);
        if (c->status != KARAT_OK)
            break;
        memcpy(memory, (const uint8_t *)data + done, granted);
        done += granted;
    }
    if (c->status == KARAT_OK && buffer)
        c->status = gpu_upload_finish(c->upload, &c->err);
    return (struct gpu_view){ buffer, 0, size_bytes };
}

struct op_vector check_vector(struct check *c, const float *data, uint32_t n)
{
    return (struct op_vector){ check_input(c, data, n * sizeof *data), n };
}

struct gpu_view check_step(struct check *c, uint32_t first_position)
{
    const uint32_t words[OP_STEP_BYTES / 4] = { first_position };
    return check_input(c, words, sizeof words);
}

struct gpu_view check_output(struct check *c, uint64_t size_bytes)
{
    struct gpu_buffer *buffer = make_buffer(c, size_bytes + GUARD_BYTES, GPU_MEMORY_DEVICE, "check output");
    if (buffer)
        gpu_record_fill(c->rec, (struct gpu_view){ buffer, 0, size_bytes + GUARD_BYTES }, GUARD_WORD);
    return (struct gpu_view){ buffer, 0, size_bytes };
}

struct gpu_view check_counters(struct check *c)
{
    const struct gpu_view counters = check_output(c, OP_COUNTERS_BYTES);
    if (counters.buffer)
        gpu_record_fill(c->rec, counters, 0);
    return counters;
}

void check_counted(struct check *c, struct gpu_view counters)
{
    static const uint32_t zeros[OP_COUNTERS_BYTES / sizeof(uint32_t)];
    check_same(c, check_read(c, counters), zeros, sizeof zeros);
}

static void run_recorded(struct check *c)
{
    if (c->status == KARAT_OK)
        c->status = gpu_recorder_submit(c->rec, &c->err);
    if (c->status == KARAT_OK)
        c->status = gpu_recorder_wait(c->rec, &c->err);
}

void check_submit(struct check *c)
{
    gpu_recorder_reset(c->rec);
    const uint64_t start_ns = clock_ns();
    run_recorded(c);
    struct gpu_label_time labels[16];
    const size_t n_labels = gpu_recorder_report(c->rec, labels, COUNT(labels));
    c->ns = n_labels > 0 ? 0 : clock_ns() - start_ns;
    for (size_t i = 0; i < n_labels && i < COUNT(labels); ++i)
        c->ns += labels[i].ns;
}

const void *check_read(struct check *c, struct gpu_view output)
{
    const uint64_t size_bytes = output.size_bytes + GUARD_BYTES;
    struct gpu_buffer *host = make_buffer(c, size_bytes, GPU_MEMORY_READBACK, "check result");
    if (!host)
        return NULL;
    gpu_record_copy(c->rec, (struct gpu_view){ host, 0, size_bytes },
                    (struct gpu_view){ output.buffer, output.offset, size_bytes });
    run_recorded(c);
    if (c->status != KARAT_OK)
        return NULL;
    const uint8_t *bytes = gpu_buffer_map(host);
    for (uint64_t i = output.size_bytes; i < size_bytes; i += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, bytes + i, sizeof word);
        if (word != GUARD_WORD)
            c->error = INFINITY;
    }
    return bytes;
}

void check_compare(struct check *c, const float *got, const double *want, size_t n)
{
    if (!got || !want)
        return;
    double scale = 1e-30, error = 0;
    for (size_t i = 0; i < n; ++i) {
        const double difference = fabs((double)got[i] - want[i]);
        scale = fmax(scale, fabs(want[i]));
        error = difference <= error ? error : isnan(difference) ? INFINITY : difference;
    }
    c->error = fmax(c->error, error / scale);
}

void check_same(struct check *c, const void *got, const void *want, size_t size_bytes)
{
    if (got && want && memcmp(got, want, size_bytes) != 0)
        c->error = INFINITY;
}
