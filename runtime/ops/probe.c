// ops/probe.c -- what the memory of a device gives to a kernel that only copies.
#include "base/thread.h"
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "shared/copy.h"

#define ELEMENT_BYTES 16
#define PER_GROUP_GPU 4096u
#define PER_GROUP_CPU 16384u    // at least
#define ELEMENTS_MAX (1u << 24) // per dispatch: its workgroups stay below 65536

// Larger than any last-level cache of a card; a host's memory is slower, and its caches smaller.
#define PROBE_BYTES (256ull << 20)
#define PROBE_BYTES_CPU (64ull << 20)
#define PROBE_BYTES_MIN (1ull << 20)
#define ROUNDS 10

void op_copy(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view x)
{
    const struct gpu_plan *plan = gpu_device_plan(gpu_recorder_device(rec));
    const uint32_t window = rows_min(rows_per_window(plan, ELEMENT_BYTES), ELEMENTS_MAX);
    if (y.size_bytes != x.size_bytes || x.size_bytes % ELEMENT_BYTES != 0) {
        struct karat_error err;
        gpu_record_fail(rec,
                        status_fail(&err, KARAT_ERR_INTERNAL,
                                    "copy: %llu bytes into %llu; equal multiples of 16 are expected",
                                    (unsigned long long)x.size_bytes, (unsigned long long)y.size_bytes),
                        &err);
        return;
    }
    const uint64_t n_elements = x.size_bytes / ELEMENT_BYTES;
    for (uint64_t first = 0; first < n_elements; first += window) {
        const uint32_t n = n_elements - first < window ? (uint32_t)(n_elements - first) : window;
        const uint32_t per_group = plan->cpu ? rows_per_group(plan, n, PER_GROUP_CPU) : PER_GROUP_GPU;
        const uint64_t at = first * ELEMENT_BYTES, size_bytes = (uint64_t)n * ELEMENT_BYTES;
        gpu_record_dispatch(
            rec, &(struct gpu_dispatch){
                     .desc = &kernels[KERNEL_COPY],
                     .spec = (const uint32_t[COPY_N_SPEC]){ [COPY_WG_SIZE] = rows_group_size(plan, 256) },
                     .buffers = { [COPY_X] = rows_view(x, at, size_bytes), [COPY_Y] = rows_view(y, at, size_bytes) },
                     .params = &(struct copy_params){ .n = n, .per_group = per_group },
                     .grid = { rows_div_up(n, per_group), 1, 1 },
                     .work = 2 * size_bytes,
                     .label = "copy",
                 });
    }
}

bool kernel_list_probe(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    return visit(user, KERNEL_COPY, (uint32_t[]){ rows_group_size(plan, 256) });
}

// ------------------------------------------------------------------------------------------------ the probe

struct probe {
    struct gpu_device *device;
    struct gpu_recorder *rec;
    struct gpu_buffer *from, *to;
    uint64_t size_bytes;
    bool has_clock; // the device tells the time of a kernel
};

// At most a quarter of the memory that is left, each.
static uint64_t choose_size(const struct gpu_device *device)
{
    const struct gpu_plan *plan = gpu_device_plan(device);
    const uint64_t used = gpu_device_used_bytes(device);
    const uint64_t left = plan->budget_bytes > used ? plan->budget_bytes - used : 0;
    uint64_t size = plan->cpu ? PROBE_BYTES_CPU : PROBE_BYTES;
    size = size < left / 4 ? size : left / 4;
    size = size < plan->max_allocation_bytes ? size : plan->max_allocation_bytes;
    return size / PROBE_BYTES_MIN * PROBE_BYTES_MIN;
}

static struct gpu_view whole(const struct probe *probe, struct gpu_buffer *buffer)
{
    return (struct gpu_view){ buffer, 0, probe->size_bytes };
}

static enum karat_status run(struct probe *probe, struct karat_error *err)
{
    const enum karat_status status = gpu_recorder_submit(probe->rec, err);
    return status == KARAT_OK ? gpu_recorder_wait(probe->rec, err) : status;
}

static enum karat_status set_up(struct probe *probe, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct gpu_buffer_options options = { probe->size_bytes, GPU_MEMORY_DEVICE, "source of the copy probe" };
    TRY(gpu_buffer_create(&probe->from, probe->device, &options, err));
    options.name = "target of the copy probe";
    TRY(gpu_buffer_create(&probe->to, probe->device, &options, err));
    TRY(gpu_recorder_create(&probe->rec, probe->device, err));
    probe->has_clock = gpu_recorder_start_timing(probe->rec, NULL) == KARAT_OK;
    // Memory that nobody wrote may not be there at all.
    gpu_record_fill(probe->rec, whole(probe, probe->from), 0x3F8FA5C3u);
    gpu_record_fill(probe->rec, whole(probe, probe->to), 0);
    op_copy(probe->rec, whole(probe, probe->to), whole(probe, probe->from));
    TRY(run(probe, err));
cleanup:
    return status;
}

// Seconds of one copy.
static enum karat_status measure(struct probe *probe, double *seconds, struct karat_error *err)
{
    struct gpu_label_time time = { 0 };
    gpu_recorder_reset(probe->rec);
    op_copy(probe->rec, whole(probe, probe->to), whole(probe, probe->from));
    const uint64_t start_ns = clock_ns();
    const enum karat_status status = run(probe, err);
    *seconds = (double)(clock_ns() - start_ns) * 1e-9;
    if (probe->has_clock && gpu_recorder_report(probe->rec, &time, 1) > 0 && time.ns > 0)
        *seconds = (double)time.ns * 1e-9;
    return status;
}

enum karat_status op_probe_bandwidth(double *bytes_per_second, struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct probe probe = { .device = device, .size_bytes = choose_size(device) };
    double best = 0;
    *bytes_per_second = 0;
    if (probe.size_bytes == 0)
        return status_fail(err, KARAT_ERR_DEVICE_MEMORY,
                           "no memory is left on %s to measure its bandwidth, which takes at least %llu MiB",
                           gpu_device_snapshot(device)->name, 4 * PROBE_BYTES_MIN >> 20);
    TRY(set_up(&probe, err));
    for (int i = 0; i < ROUNDS; ++i) {
        double seconds = 0;
        TRY(measure(&probe, &seconds, err));
        const double rate = 2.0 * (double)probe.size_bytes / seconds;
        best = rate > best ? rate : best;
    }
    *bytes_per_second = best;
cleanup:
    gpu_recorder_destroy(probe.rec);
    gpu_buffer_destroy(probe.from);
    gpu_buffer_destroy(probe.to);
    return status;
}
