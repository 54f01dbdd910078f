// gpu/recorder.c -- dispatches and copies in order, with barriers where they are needed, in submissions that stay
// short.
//
// A dispatch that is too long for one piece is cut into slices of its grid. Estimates come from each kernel's measured
// time per unit of work.
#include "gpu/recorder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/hooks.h"

// A dispatch costs about this much whatever it does.
#define DISPATCH_NS 3e3
#define COPY_NS_PER_BYTE 0.05
// Descriptor sets a recorder keeps before it starts afresh; a forward pass needs some hundreds.
#define SETS_MAX 8192

void recorder_fail(struct gpu_recorder *r, enum karat_status status, const struct karat_error *err)
{
    if (r->failure.status != KARAT_OK)
        return;
    if (err)
        r->failure = *err;
    else
        status_fail(&r->failure, status, "%s", karat_status_text(status));
    r->failure.status = status;
}

bool recorder_check(struct gpu_recorder *r, VkResult result, const char *what)
{
    struct karat_error err;
    const enum karat_status status = gpu_check(r->device, result, what, &err);
    if (status != KARAT_OK)
        recorder_fail(r, status, &err);
    return status == KARAT_OK;
}

// ------------------------------------------------------------------------------------------------ submitting

static enum karat_status take_failure(struct gpu_recorder *r, struct karat_error *err)
{
    const enum karat_status status = r->failure.status;
    if (status != KARAT_OK && err)
        *err = r->failure;
    r->failure.status = KARAT_OK;
    return status;
}

static enum karat_status fail_cancelled(struct karat_error *err)
{
    return status_fail(err, KARAT_ERR_CANCELLED, "the work was cancelled");
}

static void barrier(struct gpu_recorder *r, bool at_end)
{
    const VkPipelineStageFlags2 compute = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
                                transfer = VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT;
    VkMemoryBarrier2 memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = r->has_transfers ? compute | transfer : compute,
        .srcAccessMask = VK_ACCESS_2_SHADER_WRITE_BIT | (r->has_transfers ? VK_ACCESS_2_TRANSFER_WRITE_BIT : 0),
        .dstStageMask = compute | transfer,
        .dstAccessMask = VK_ACCESS_2_SHADER_READ_BIT | VK_ACCESS_2_SHADER_WRITE_BIT | VK_ACCESS_2_TRANSFER_READ_BIT |
                         VK_ACCESS_2_TRANSFER_WRITE_BIT,
    };
    if (at_end) {
        memory.dstStageMask |= VK_PIPELINE_STAGE_2_HOST_BIT;
        memory.dstAccessMask |= VK_ACCESS_2_HOST_READ_BIT | VK_ACCESS_2_HOST_WRITE_BIT;
    }
    r->device->vk.vkCmdPipelineBarrier2(r->open->commands,
                                        &(VkDependencyInfo){ .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
                                                             .memoryBarrierCount = 1,
                                                             .pMemoryBarriers = &memory });
    hazards_clear(&r->hazards);
    r->has_transfers = false;
    r->n_claims = 0;
}

void recorder_queue(struct gpu_recorder *r, struct piece *piece)
{
    piece->value = ++r->last_ticket;
    piece->under_way = true;
    queue_push(&r->closed, piece);
}

enum karat_status gpu_recorder_submit(struct gpu_recorder *r, struct karat_error *err)
{
    gpu_check_lost(r->device, &r->failure);
    if (r->failure.status == KARAT_OK && r->open) {
        // Whatever follows, in this recorder or another or on the host, sees what this round wrote.
        barrier(r, true);
        pieces_close(r);
    }
    if (r->failure.status == KARAT_OK && r->keep)
        recording_take(r);
    r->keep = NULL;
    while (r->recorded.first)
        recorder_queue(r, queue_pop(&r->recorded));
    return recorder_finish_submit(r, err);
}

enum karat_status recorder_finish_submit(struct gpu_recorder *r, struct karat_error *err)
{
    if (r->failure.status == KARAT_OK)
        pieces_hand_over(r);
    if (r->failure.status != KARAT_OK) {
        pieces_drop(r);
        return take_failure(r, err);
    }
    return r->cancelled ? fail_cancelled(err) : KARAT_OK;
}

uint64_t gpu_recorder_ticket(const struct gpu_recorder *r)
{
    return r->last_ticket;
}

uint64_t gpu_recorder_next_ticket(const struct gpu_recorder *r)
{
    const struct piece *next = r->in_flight.first ? r->in_flight.first : r->closed.first;
    return next ? next->value : 0;
}

static bool is_pending(const struct queue *queue, uint64_t ticket)
{
    return queue->first && queue->first->value <= ticket;
}

enum karat_status gpu_recorder_wait_until(struct gpu_recorder *r, uint64_t ticket, struct karat_error *err)
{
    // A failure of the recording that has begun meanwhile is submit's to tell.
    const struct karat_error recording = r->failure;
    r->failure.status = KARAT_OK;
    while (is_pending(&r->closed, ticket) || is_pending(&r->in_flight, ticket)) {
        pieces_hand_over(r);
        if (r->in_flight.first) {
            if (!pieces_wait_for(r, r->in_flight.first->value))
                break;
            pieces_retire(r);
        }
    }
    pieces_hand_over(r); // what has room now
    const enum karat_status status = take_failure(r, err);
    // A lost device finishes nothing; its pieces are only kept to be destroyed.
    if (status != KARAT_OK)
        pieces_spare_all(r, &r->in_flight);
    r->failure = recording;
    const bool cancelled = r->cancelled;
    r->cancelled = false;
    if (status != KARAT_OK)
        return status;
    return cancelled ? fail_cancelled(err) : gpu_check_lost(r->device, err);
}

enum karat_status gpu_recorder_wait(struct gpu_recorder *r, struct karat_error *err)
{
    return gpu_recorder_wait_until(r, r->last_ticket, err);
}

enum karat_status gpu_recorder_discard(struct gpu_recorder *r, struct karat_error *err)
{
    if (r->open || r->recorded.first || r->closed.first)
        pieces_drop(r);
    r->cancelled = false;
    return gpu_recorder_wait(r, err);
}

// ------------------------------------------------------------------------------------------------ recording

static void counted_barrier(struct gpu_recorder *r)
{
    barrier(r, false);
    ++r->counters.n_barriers;
    ++r->open->n_barriers;
}

// Places a barrier if the step needs one, and remembers the step. The piece is open.
static void order(struct gpu_recorder *r, const struct hazard_range *step, size_t n_ranges)
{
    r->has_transfers |= r->was_dropped;
    if (r->was_dropped || hazards_conflict(&r->hazards, step, n_ranges)) {
        r->was_dropped = false;
        counted_barrier(r);
    }
    hazards_add(&r->hazards, step, n_ranges);
}

static struct hazard_range range_of(const struct gpu_view *view, bool reads, bool writes)
{
    const uint64_t begin = view->buffer->address + view->offset;
    return (struct hazard_range){ begin, begin + view->size_bytes, reads, writes };
}

static bool check_view(struct gpu_recorder *r, const char *what, const struct gpu_view *view, uint64_t alignment,
                       uint64_t max_bytes)
{
    struct karat_error err;
    enum karat_status status = KARAT_OK;
    const unsigned long long offset = view->offset, size = view->size_bytes;
    if (!view->buffer)
        status = status_fail(&err, KARAT_ERR_INTERNAL, "%s: a buffer is missing", what);
    else if (offset % alignment != 0)
        status = status_fail(&err, KARAT_ERR_INTERNAL, "%s: offset %llu is not a multiple of %llu", what, offset,
                             (unsigned long long)alignment);
    else if (offset > view->buffer->size_bytes || size > view->buffer->size_bytes - offset || size == 0)
        status = status_fail(&err, KARAT_ERR_INTERNAL, "%s: %llu bytes at %llu do not lie in a buffer of %llu", what,
                             size, offset, (unsigned long long)view->buffer->size_bytes);
    else if (size > max_bytes)
        status = status_fail(&err, KARAT_ERR_INTERNAL, "%s: a binding of %llu bytes, %s takes %llu", what, size,
                             r->device->snapshot.name, (unsigned long long)max_bytes);
    if (status != KARAT_OK)
        recorder_fail(r, status, &err);
    return status == KARAT_OK;
}

static bool check_dispatch(struct gpu_recorder *r, const struct gpu_dispatch *d)
{
    const struct gpu_snapshot *seen = &r->device->snapshot;
    struct karat_error err;
    for (uint32_t i = 0; i < d->desc->n_buffers; ++i)
        if (!check_view(r, d->desc->name, &d->buffers[i], seen->storage_alignment > 0 ? seen->storage_alignment : 1,
                        seen->max_storage_range_bytes))
            return false;
    if (d->desc->claims && d->grid[2] > 1) {
        recorder_fail(r,
                      status_fail(&err, KARAT_ERR_INTERNAL, "%s: tiles are claimed in two dimensions, not in %u planes",
                                  d->desc->name, d->grid[2]),
                      &err);
        return false;
    }
    for (uint32_t i = 0; i < 3; ++i)
        if (d->grid[i] > seen->max_workgroups[i]) {
            recorder_fail(r,
                          status_fail(&err, KARAT_ERR_INTERNAL, "%s: %u workgroups in dimension %u, %s takes %u",
                                      d->desc->name, d->grid[i], i, seen->name, seen->max_workgroups[i]),
                          &err);
            return false;
        }
    return true;
}

struct step {
    const struct gpu_dispatch *dispatch;
    const struct gpu_kernel *kernel;
    VkDescriptorSet set;
    const char *label;
    uint64_t bytes;
    struct hazard_range ranges[GPU_BUFFERS_MAX];
};

// Pipeline and descriptor set, where others are bound.
static void bind(struct gpu_recorder *r, const struct step *step)
{
    const struct VolkDeviceTable *vk = &r->device->vk;
    const VkCommandBuffer commands = r->open->commands;
    const struct gpu_kernel *kernel = step->kernel;
    if (r->bound_pipeline != kernel->pipeline) {
        vk->vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->pipeline);
        r->bound_pipeline = kernel->pipeline;
        r->bound_set = VK_NULL_HANDLE; // the layouts of two pipelines may differ in their push constants
    }
    if (step->set && r->bound_set != step->set) {
        vk->vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->layout, 0, 1, &step->set, 0,
                                    NULL);
        r->bound_set = step->set;
    }
}

static bool is_first(const struct box *box)
{
    return box->base[0] == 0 && box->base[1] == 0 && box->base[2] == 0;
}

// What a kernel both reads and writes, its workgroups may keep for themselves, so that slices must not overlap.
static bool keeps_memory(const struct gpu_kernel *kernel)
{
    return (kernel->reads & kernel->writes) != 0;
}

// Parameters and workgroups of the slice.
static void launch(struct gpu_recorder *r, const struct step *step, const struct box *box)
{
    const struct VolkDeviceTable *vk = &r->device->vk;
    const VkCommandBuffer commands = r->open->commands;
    const struct gpu_kernel *kernel = step->kernel;
    uint32_t n_workgroups = 0;
    uint8_t params[GPU_PARAMS_MAX];
    if (kernel->params_bytes > 0)
        memcpy(params, step->dispatch->params, kernel->params_bytes);
    if (kernel->claims)
        n_workgroups = claims_take(r, params, kernel->params_bytes, box);
    if (kernel->params_bytes > 0)
        vk->vkCmdPushConstants(commands, kernel->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, kernel->params_bytes, params);
    // The synchronisation layer of Vulkan 1.3.239 does not look at the last call, so it is kept for slices.
    if (kernel->claims)
        vk->vkCmdDispatch(commands, n_workgroups, 1, 1);
    else if (is_first(box))
        vk->vkCmdDispatch(commands, box->count[0], box->count[1], box->count[2]);
    else
        vk->vkCmdDispatchBase(commands, box->base[0], box->base[1], box->base[2], box->count[0], box->count[1],
                              box->count[2]);
}

static void record_slice(struct gpu_recorder *r, const struct step *step, const struct box *box, double estimate_ns)
{
    if (!pieces_open(r, estimate_ns))
        return;
    const VkCommandBuffer commands = r->open->commands;
    if (step->kernel->claims && (claims_are_spent(r) || (keeps_memory(step->kernel) && !is_first(box)))) {
        counted_barrier(r);
        hazards_add(&r->hazards, step->ranges, step->kernel->n_buffers);
    }
    bind(r, step);
    if (r->device->names)
        vkCmdBeginDebugUtilsLabelEXT(
            commands,
            &(VkDebugUtilsLabelEXT){ .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT, .pLabelName = step->label });
    launch(r, step, box);
    if (r->device->names)
        vkCmdEndDebugUtilsLabelEXT(commands);
    if (r->timing)
        pieces_mark(r, (struct mark){ step->label, step->kernel->name, is_first(box) ? step->bytes : 0 });
    pieces_charge(r, estimate_ns);
    ++r->counters.n_dispatches;
    ++r->open->n_dispatches;
}

// Cuts the grid along its outermost dimension until a slice fits a piece.
static void record_slices(struct gpu_recorder *r, const struct step *step, const struct box *box, double estimate_ns)
{
    int axis = 2;
    while (axis >= 0 && box->count[axis] <= 1)
        --axis;
    if (estimate_ns <= PIECE_NS || axis < 0) {
        record_slice(r, step, box, estimate_ns);
        return;
    }
    const uint32_t count = box->count[axis];
    const double wanted = estimate_ns / PIECE_NS;
    const uint32_t per_slice = wanted >= count ? 1 : (uint32_t)((double)count / wanted);
    for (uint32_t done = 0; done < count; done += per_slice) {
        struct box slice = *box;
        slice.base[axis] += done;
        slice.count[axis] = count - done < per_slice ? count - done : per_slice;
        const double share = estimate_ns * slice.count[axis] / count;
        if (per_slice == 1)
            record_slices(r, step, &slice, share);
        else
            record_slice(r, step, &slice, share);
    }
}

void gpu_record_dispatch(struct gpu_recorder *r, const struct gpu_dispatch *d)
{
    struct karat_error err;
    if (r->failure.status != KARAT_OK || d->grid[0] == 0 || d->grid[1] == 0 || d->grid[2] == 0)
        return;
    if (r->listing) {
        gpu_kernel_set_add(r->listing, d->desc, d->spec);
        return;
    }
    const struct gpu_kernel *kernel = NULL;
    enum karat_status status = gpu_kernel_get(&kernel, r->device, d->desc, d->spec, &err);
    if (status != KARAT_OK) {
        recorder_fail(r, status, &err);
        return;
    }
    if (!check_dispatch(r, d))
        return;
    if (kernel->claims && (status = claims_open(r, &err)) != KARAT_OK) {
        recorder_fail(r, status, &err);
        return;
    }
    struct step step = { d, kernel, VK_NULL_HANDLE, d->label ? d->label : kernel->name, d->bytes, { { 0 } } };
    for (uint32_t i = 0; i < kernel->n_buffers && d->bytes == 0; ++i)
        step.bytes += d->buffers[i].size_bytes;
    // Offsets that never come back would fill the cache; a recorder that has nothing under way can start afresh.
    if (r->sets.n_entries >= SETS_MAX && !r->open && !r->recorded.first && !r->closed.first &&
        pieces_wait_for(r, r->last_value)) {
        pieces_retire_done(r);
        gpu_set_cache_clear(&r->sets);
        ++r->sets_epoch;
    }
    if (kernel->n_buffers > 0 &&
        (status = gpu_set_cache_get(&step.set, &r->sets, d->buffers, kernel->n_buffers, &err)) != KARAT_OK) {
        recorder_fail(r, status, &err);
        return;
    }
    for (uint32_t i = 0; i < kernel->n_buffers; ++i)
        step.ranges[i] = range_of(&d->buffers[i], kernel->reads >> i & 1, kernel->writes >> i & 1);
    const double estimate_ns = DISPATCH_NS + (double)d->work * (double)kernel->ns_per_work;
    if (!pieces_open(r, estimate_ns < PIECE_NS ? estimate_ns : PIECE_NS))
        return;
    order(r, step.ranges, kernel->n_buffers);
    r->kernel = d->work > 0 ? (struct gpu_kernel *)kernel : NULL;
    record_slices(r, &step, &(struct box){ .count = { d->grid[0], d->grid[1], d->grid[2] } }, estimate_ns);
    r->kernel = NULL;
}

static void end_transfer(struct gpu_recorder *r, const char *label, uint64_t bytes, double estimate_ns)
{
    r->has_transfers = true;
    if (r->timing)
        pieces_mark(r, (struct mark){ label, "", bytes });
    pieces_charge(r, estimate_ns);
}

void gpu_record_copy(struct gpu_recorder *r, struct gpu_view dst, struct gpu_view src)
{
    struct karat_error err;
    if (r->failure.status != KARAT_OK || r->listing)
        return;
    if (!check_view(r, "copy", &dst, 1, UINT64_MAX) || !check_view(r, "copy", &src, 1, UINT64_MAX))
        return;
    const struct hazard_range ranges[] = { range_of(&dst, false, true), range_of(&src, true, false) };
    if (dst.size_bytes != src.size_bytes || (ranges[0].begin < ranges[1].end && ranges[1].begin < ranges[0].end)) {
        recorder_fail(r,
                      status_fail(&err, KARAT_ERR_INTERNAL, "copy: %llu bytes into %llu, or the two overlap",
                                  (unsigned long long)src.size_bytes, (unsigned long long)dst.size_bytes),
                      &err);
        return;
    }
    const double estimate_ns = DISPATCH_NS + COPY_NS_PER_BYTE * (double)src.size_bytes;
    if (!pieces_open(r, estimate_ns))
        return;
    order(r, ranges, 2);
    r->device->vk.vkCmdCopyBuffer(r->open->commands, src.buffer->handle, dst.buffer->handle, 1,
                                  &(VkBufferCopy){ src.offset, dst.offset, src.size_bytes });
    end_transfer(r, "copy", 2 * src.size_bytes, estimate_ns);
}

void gpu_record_fill(struct gpu_recorder *r, struct gpu_view dst, uint32_t word)
{
    struct karat_error err;
    if (r->failure.status != KARAT_OK || r->listing || !check_view(r, "fill", &dst, 4, UINT64_MAX))
        return;
    if (dst.size_bytes % 4 != 0) {
        recorder_fail(r,
                      status_fail(&err, KARAT_ERR_INTERNAL, "fill: %llu bytes are not whole words",
                                  (unsigned long long)dst.size_bytes),
                      &err);
        return;
    }
    const struct hazard_range range = range_of(&dst, false, true);
    const double estimate_ns = DISPATCH_NS + COPY_NS_PER_BYTE * (double)dst.size_bytes;
    if (!pieces_open(r, estimate_ns))
        return;
    order(r, &range, 1);
    r->device->vk.vkCmdFillBuffer(r->open->commands, dst.buffer->handle, dst.offset, dst.size_bytes, word);
    end_transfer(r, "fill", dst.size_bytes, estimate_ns);
}

void gpu_record_fail(struct gpu_recorder *r, enum karat_status status, const struct karat_error *err)
{
    recorder_fail(r, status, err);
}

// ------------------------------------------------------------------------------------------------ the recorder

enum karat_status gpu_recorder_create(struct gpu_recorder **out, struct gpu_device *device, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    *out = NULL;
    struct gpu_recorder *r = calloc(1, sizeof *r);
    if (!r)
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for a recorder");
    const uint32_t bits = device->snapshot.queue_families[device->plan.queue_family].timestamp_bits;
    r->device = device;
    r->plan = device->plan;
    gpu_set_cache_init(&r->sets, device);
    r->has_timestamps = bits > 0 && device->snapshot.timestamp_period_ns > 0;
    r->timestamp_mask = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    r->marks_max = 2;
    TRY(gpu_check_lost(device, err));
    TRY_VK(vkCreateSemaphore(
        device->handle,
        &(VkSemaphoreCreateInfo){
            .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
            .pNext = &(VkSemaphoreTypeCreateInfo){ .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                                   .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE },
        },
        NULL, &r->timeline));
    if (device->timing && r->has_timestamps)
        TRY(gpu_recorder_start_timing(r, err));
    if (r->plan.cpu) // its products claim their tiles; later there may be no memory
        TRY(claims_open(r, err));
    *out = r;
    r = NULL;
cleanup:
    gpu_recorder_destroy(r);
    return status;
}

void gpu_recorder_destroy(struct gpu_recorder *r)
{
    if (!r)
        return;
    pieces_drop(r);
    gpu_recorder_wait(r, NULL);
    pieces_destroy(r);
    r->device->vk.vkDestroySemaphore(r->device->handle, r->timeline, NULL);
    gpu_set_cache_deinit(&r->sets);
    gpu_timing_destroy(r->timing);
    gpu_buffer_destroy(r->claims);
    free(r);
}

struct gpu_device *gpu_recorder_device(const struct gpu_recorder *r)
{
    return r->device;
}

enum karat_status gpu_recorder_start_timing(struct gpu_recorder *r, struct karat_error *err)
{
    if (!r->has_timestamps)
        return status_fail(err, KARAT_ERR_UNSUPPORTED, "%s has no clock that tells the time of single kernels",
                           r->device->snapshot.name);
    assert(!r->open && !r->spare && "timing starts before anything is recorded");
    if (!r->timing && !(r->timing = gpu_timing_create()))
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory for timing");
    r->marks_max = MARKS_MAX;
    return KARAT_OK;
}

void gpu_recorder_only_list(struct gpu_recorder *r, struct gpu_kernel_set *set)
{
    r->listing = set;
}

const struct gpu_plan *gpu_recorder_plan(const struct gpu_recorder *r)
{
    return &r->plan;
}

void gpu_recorder_limit_tier(struct gpu_recorder *r, enum gpu_tier highest)
{
    const enum gpu_tier tier = gpu_device_plan(r->device)->tier;
    r->plan.tier = tier < highest ? tier : highest;
}

void gpu_recorder_keep_apart(struct gpu_recorder *r)
{
    r->plan.apart = true;
}

void gpu_recorder_set_cancel(struct gpu_recorder *r, const volatile int *cancel)
{
    r->cancel = cancel;
}

void gpu_recorder_counters(const struct gpu_recorder *r, struct gpu_counters *out)
{
    *out = r->counters;
}

size_t gpu_recorder_report(struct gpu_recorder *r, struct gpu_label_time *out, size_t capacity)
{
    return r->timing ? gpu_timing_report(r->timing, out, capacity) : 0;
}

void gpu_recorder_reset(struct gpu_recorder *r)
{
    if (r->timing)
        gpu_timing_reset(r->timing);
    r->counters = (struct gpu_counters){ 0 };
}

uint64_t gpu_recorder_growths(const struct gpu_recorder *r)
{
    return r->n_growths + r->sets.n_growths;
}
