// gpu/pieces.c -- see recorder.h: command buffers that become submissions.
#include <stdlib.h>

#include "gpu/recorder.h"

// No device does more than this; keeps rates of kernels whose work is vastly overstated away from zero.
#define MIN_NS_PER_WORK 1e-9
// Under way at most while a cancel may come; two pieces in any case, so that the device never waits for the host.
#define CANCEL_NS 100e6
#define CANCEL_PIECES 2

void queue_push(struct queue *queue, struct piece *piece)
{
    piece->next = NULL;
    if (queue->last)
        queue->last->next = piece;
    else
        queue->first = piece;
    queue->last = piece;
    ++queue->n;
}

struct piece *queue_pop(struct queue *queue)
{
    struct piece *piece = queue->first;
    queue->first = piece->next;
    if (!queue->first)
        queue->last = NULL;
    --queue->n;
    return piece;
}

// ------------------------------------------------------------------------------------------------ recording

static void destroy_piece(struct gpu_recorder *r, struct piece *piece)
{
    const struct VolkDeviceTable *vk = &r->device->vk;
    vk->vkDestroyCommandPool(r->device->handle, piece->pool, NULL);
    vk->vkDestroyQueryPool(r->device->handle, piece->queries, NULL);
    free(piece);
}

static struct piece *create_piece(struct gpu_recorder *r)
{
    const struct VolkDeviceTable *vk = &r->device->vk;
    struct piece *piece = calloc(1, sizeof *piece + r->marks_max * sizeof piece->marks[0]);
    ++r->n_growths;
    if (!piece) {
        recorder_check(r, VK_ERROR_OUT_OF_HOST_MEMORY, "calloc");
        return NULL;
    }
    bool ok = recorder_check(
        r,
        vk->vkCreateCommandPool(r->device->handle,
                                &(VkCommandPoolCreateInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                                            .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                                            .queueFamilyIndex = r->device->plan.queue_family },
                                NULL, &piece->pool),
        "vkCreateCommandPool");
    ok = ok && recorder_check(r,
                              vk->vkAllocateCommandBuffers(r->device->handle,
                                                           &(VkCommandBufferAllocateInfo){
                                                               .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                               .commandPool = piece->pool,
                                                               .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                               .commandBufferCount = 1 },
                                                           &piece->commands),
                              "vkAllocateCommandBuffers");
    if (ok && r->has_timestamps)
        ok = recorder_check(
            r,
            vk->vkCreateQueryPool(r->device->handle,
                                  &(VkQueryPoolCreateInfo){ .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                                            .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                                            .queryCount = r->marks_max + 1 },
                                  NULL, &piece->queries),
            "vkCreateQueryPool");
    if (!ok) {
        destroy_piece(r, piece);
        return NULL;
    }
    return piece;
}

void pieces_mark(struct gpu_recorder *r, struct mark ends)
{
    struct piece *piece = r->open;
    if (!r->has_timestamps)
        return;
    piece->marks[piece->n_marks++] = ends;
    r->device->vk.vkCmdWriteTimestamp2(piece->commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, piece->queries,
                                       piece->n_marks);
}

void pieces_close(struct gpu_recorder *r)
{
    struct piece *piece = r->open;
    if (!piece)
        return;
    if (!r->timing)
        pieces_mark(r, (struct mark){ 0 });
    r->open = NULL;
    recorder_check(r, r->device->vk.vkEndCommandBuffer(piece->commands), "vkEndCommandBuffer");
    queue_push(&r->recorded, piece);
}

bool pieces_open(struct gpu_recorder *r, double estimate_ns)
{
    const struct VolkDeviceTable *vk = &r->device->vk;
    struct piece *piece = r->open;
    if (piece && ((piece->estimate_ns > 0 && piece->estimate_ns + estimate_ns > PIECE_NS) ||
                  piece->n_marks + 1 >= r->marks_max)) {
        pieces_close(r);
        piece = NULL;
    }
    if (piece)
        return true;
    if (!r->spare)
        pieces_retire_done(r);
    piece = r->spare;
    if (piece)
        r->spare = piece->next;
    else if (!(piece = create_piece(r)))
        return false;
    piece->next = NULL;
    piece->estimate_ns = 0;
    piece->n_costs = piece->n_marks = 0;
    piece->n_dispatches = piece->n_barriers = 0;
    r->bound_pipeline = VK_NULL_HANDLE;
    r->bound_set = VK_NULL_HANDLE;
    if (!recorder_check(r, vk->vkResetCommandPool(r->device->handle, piece->pool, 0), "vkResetCommandPool") ||
        !recorder_check(
            r,
            vk->vkBeginCommandBuffer(
                piece->commands,
                &(VkCommandBufferBeginInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                             .flags = r->keep ? 0 : VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT }),
            "vkBeginCommandBuffer")) {
        piece->next = r->spare;
        r->spare = piece;
        return false;
    }
    r->open = piece;
    if (r->has_timestamps) {
        vk->vkCmdResetQueryPool(piece->commands, piece->queries, 0, r->marks_max + 1);
        vk->vkCmdWriteTimestamp2(piece->commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, piece->queries, 0);
    }
    return true;
}

void pieces_charge(struct gpu_recorder *r, double estimate_ns)
{
    struct piece *piece = r->open;
    piece->estimate_ns += estimate_ns;
    if (!r->kernel)
        return;
    uint32_t i = 0;
    while (i < piece->n_costs && piece->costs[i].kernel != r->kernel)
        ++i;
    if (i == COSTS_MAX)
        return;
    if (i == piece->n_costs)
        piece->costs[piece->n_costs++] = (struct cost){ .kernel = r->kernel, .ns_per_work = r->kernel->ns_per_work };
    piece->costs[i].estimate_ns += estimate_ns;
}

// ------------------------------------------------------------------------------------------------ finished pieces

// Moves each kernel's rate towards what was measured, in proportion to its share of the piece: a kernel that filled the
// piece is corrected at once, one that hardly took part hardly moves.
static void learn(struct piece *piece, double measured_ns)
{
    if (piece->estimate_ns <= 0)
        return;
    double ratio = measured_ns / piece->estimate_ns;
    ratio = ratio < 0.05 ? 0.05 : ratio > 100 ? 100 : ratio;
    for (uint32_t i = 0; i < piece->n_costs; ++i) {
        const struct cost *cost = &piece->costs[i];
        const double share = cost->estimate_ns / piece->estimate_ns, now = (double)cost->kernel->ns_per_work;
        const double next = now + share * ((double)cost->ns_per_work * ratio - now);
        cost->kernel->ns_per_work = (float)(next > MIN_NS_PER_WORK ? next : MIN_NS_PER_WORK);
    }
}

static uint64_t read_marks(struct gpu_recorder *r, struct piece *piece)
{
    struct gpu_device *device = r->device;
    uint64_t ticks[MARKS_MAX + 1];
    const uint32_t n = piece->n_marks + 1;
    const double period = (double)device->snapshot.timestamp_period_ns;
    if (device->vk.vkGetQueryPoolResults(device->handle, piece->queries, 0, n, n * sizeof *ticks, ticks, sizeof *ticks,
                                         VK_QUERY_RESULT_64_BIT) != VK_SUCCESS)
        return 0;
    for (uint32_t i = 1; i < n && r->timing; ++i) {
        const struct mark *ends = &piece->marks[i - 1];
        const uint64_t ns = (uint64_t)((double)((ticks[i] - ticks[i - 1]) & r->timestamp_mask) * period);
        if (ends->label)
            gpu_timing_add(r->timing, ends->label, ends->kernel, ns, ends->bytes);
    }
    return (uint64_t)((double)((ticks[n - 1] - ticks[0]) & r->timestamp_mask) * period);
}

void pieces_retire(struct gpu_recorder *r)
{
    struct piece *piece = queue_pop(&r->in_flight);
    const uint64_t now = clock_ns();
    const uint64_t began = piece->submitted_ns > r->last_done_ns ? piece->submitted_ns : r->last_done_ns;
    const uint64_t ns = r->has_timestamps ? read_marks(r, piece) : now - began;
    r->last_done_ns = now;
    if (ns > 0)
        learn(piece, (double)ns);
    if (ns > r->counters.longest_submit_ns)
        r->counters.longest_submit_ns = ns;
    recording_note(piece, (double)ns);
    pieces_spare(r, piece);
}

void pieces_retire_done(struct gpu_recorder *r)
{
    uint64_t value = 0;
    if (!r->in_flight.first ||
        r->device->vk.vkGetSemaphoreCounterValue(r->device->handle, r->timeline, &value) != VK_SUCCESS)
        return;
    while (r->in_flight.first && r->in_flight.first->value <= value)
        pieces_retire(r);
}

bool pieces_wait_for(struct gpu_recorder *r, uint64_t value)
{
    const VkResult result =
        r->device->vk.vkWaitSemaphores(r->device->handle,
                                       &(VkSemaphoreWaitInfo){ .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                                               .semaphoreCount = 1,
                                                               .pSemaphores = &r->timeline,
                                                               .pValues = &value },
                                       UINT64_MAX);
    return recorder_check(r, result, "vkWaitSemaphores");
}

// ------------------------------------------------------------------------------------------------ dropping

void pieces_spare(struct gpu_recorder *r, struct piece *piece)
{
    piece->under_way = false;
    if (piece->recording)
        return;
    piece->next = r->spare;
    r->spare = piece;
}

void pieces_spare_all(struct gpu_recorder *r, struct queue *queue)
{
    while (queue->first)
        pieces_spare(r, queue_pop(queue));
}

void pieces_drop(struct gpu_recorder *r)
{
    if (r->open)
        queue_push(&r->recorded, r->open);
    r->open = NULL;
    pieces_spare_all(r, &r->recorded);
    pieces_spare_all(r, &r->closed);
    hazards_clear(&r->hazards);
    r->was_dropped = true;
}

void pieces_destroy(struct gpu_recorder *r)
{
    while (r->spare) {
        struct piece *piece = r->spare;
        r->spare = piece->next;
        destroy_piece(r, piece);
    }
}

// ------------------------------------------------------------------------------------------------ handing over

static bool queue_piece(struct gpu_recorder *r)
{
    struct gpu_device *device = r->device;
    struct piece *piece = r->closed.first;
    piece->submitted_ns = clock_ns();
    mutex_lock(&device->queue_mutex);
    const VkResult result = device->vk.vkQueueSubmit2(
        device->queue, 1,
        &(VkSubmitInfo2){
            .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
            .commandBufferInfoCount = 1,
            .pCommandBufferInfos = &(VkCommandBufferSubmitInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
                                                                 .commandBuffer = piece->commands },
            .signalSemaphoreInfoCount = 1,
            .pSignalSemaphoreInfos = &(VkSemaphoreSubmitInfo){ .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
                                                               .semaphore = r->timeline,
                                                               .value = piece->value,
                                                               .stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT },
        },
        VK_NULL_HANDLE);
    mutex_unlock(&device->queue_mutex);
    if (!recorder_check(r, result, "vkQueueSubmit2"))
        return false;
    r->last_value = piece->value;
    ++r->counters.n_submits;
    queue_push(&r->in_flight, queue_pop(&r->closed));
    return true;
}

static bool may_be_cancelled_soon(const struct gpu_recorder *r)
{
    double estimate_ns = r->closed.first->estimate_ns;
    for (const struct piece *piece = r->in_flight.first; piece; piece = piece->next)
        estimate_ns += piece->estimate_ns;
    return r->in_flight.n < CANCEL_PIECES || estimate_ns <= CANCEL_NS;
}

void pieces_hand_over(struct gpu_recorder *r)
{
    if (r->cancel && r->closed.first)
        pieces_retire_done(r);
    while (r->closed.first && (!r->cancel || may_be_cancelled_soon(r))) {
        if (r->cancel && __atomic_load_n(r->cancel, __ATOMIC_RELAXED)) {
            pieces_drop(r);
            r->cancelled = true;
            return;
        }
        if (!queue_piece(r)) {
            pieces_drop(r);
            return;
        }
    }
}
