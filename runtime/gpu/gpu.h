// gpu/gpu.h -- the door of the only room that speaks Vulkan: devices, buffers, kernels, recorders.
//
// It knows bytes, kernels and order, not models. Order of a reader: snapshot -> plan -> device -> buffer -> upload ->
// kernel -> recorder -> report.
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include "base/span.h"
#include "base/status.h"

// ------------------------------------------------------------------------------------------------ snapshot

#define GPU_NAME_MAX 256
#define GPU_HEAPS_MAX 16
#define GPU_MEMORY_TYPES_MAX 32
#define GPU_QUEUE_FAMILIES_MAX 16
#define GPU_COOPMAT_SHAPES_MAX 32

enum gpu_vendor { GPU_VENDOR_OTHER, GPU_VENDOR_NVIDIA, GPU_VENDOR_AMD, GPU_VENDOR_INTEL, GPU_VENDOR_SOFTWARE };
enum gpu_kind { GPU_KIND_OTHER, GPU_KIND_INTEGRATED, GPU_KIND_DISCRETE, GPU_KIND_VIRTUAL, GPU_KIND_CPU };

struct gpu_coopmat_shape {
    uint32_t m, n, k;
    uint32_t a_type, b_type, c_type, result_type; // VkComponentTypeKHR
};

// One physical device as plain data: everything a decision needs, so that decisions can be tested without the device.
struct gpu_snapshot {
    char name[GPU_NAME_MAX], driver[GPU_NAME_MAX];
    enum gpu_vendor vendor;
    enum gpu_kind kind;
    uint32_t vendor_id, device_id, api_version;
    uint8_t pipeline_cache_uuid[16];

    uint32_t n_heaps;
    struct {
        uint64_t size_bytes, budget_bytes; // budget: what the driver says is free for us, clamped to size; 0 if unknown
        bool device_local;
    } heaps[GPU_HEAPS_MAX];
    uint32_t n_memory_types;
    struct {
        uint32_t heap, flags; // flags: VkMemoryPropertyFlags
    } memory_types[GPU_MEMORY_TYPES_MAX];
    uint32_t n_queue_families;
    struct {
        uint32_t flags, n_queues, timestamp_bits; // flags: VkQueueFlags
    } queue_families[GPU_QUEUE_FAMILIES_MAX];

    uint64_t max_storage_range_bytes, max_allocation_bytes, max_buffer_bytes;
    uint32_t max_push_bytes, max_workgroup_invocations, max_shared_bytes;
    uint32_t max_workgroups[3];
    uint32_t storage_alignment; // bytes, of a storage binding's offset
    float timestamp_period_ns;

    uint32_t subgroup_size, subgroup_size_min, subgroup_size_max, subgroup_operations;
    bool subgroup_size_control, full_subgroups;

    bool buffer_device_address, synchronization2, timeline_semaphore, memory_model, scalar_layout;
    bool storage_8bit, storage_16bit, int8, int16, int64, float16;
    bool int_dot, int_dot_accelerated; // packed 4x8; accelerated means in hardware
    bool int_dot_mixed_accelerated;    // one factor signed, the other not
    bool coopmat;
    uint32_t n_coopmat_shapes;
    struct gpu_coopmat_shape coopmat_shapes[GPU_COOPMAT_SHAPES_MAX];
    bool memory_budget, external_host_memory, executable_properties, global_priority, device_fault;
};

// Copies every Vulkan device into seen[0..capacity); *n_out is how many there are (may be above capacity).
// Errors  KARAT_ERR_NO_DEVICE  no loader, no driver or no device; the sentence says which
enum karat_status gpu_snapshot_all(struct gpu_snapshot *seen, size_t capacity, size_t *n_out, struct karat_error *err);

// How many errors the validation layer has reported to this process; 0 without the layer, which is switched on from
// outside (VK_INSTANCE_LAYERS). Its sentences go to the log. Any thread.
uint64_t gpu_validation_messages(void);

// ------------------------------------------------------------------------------------------------ plan

// What the kernels may use. BASE reads weights and caches as 32-bit words and needs only what Vulkan 1.3 guarantees.
enum gpu_tier { GPU_TIER_BASE, GPU_TIER_FLOAT16, GPU_TIER_COOPMAT };

struct gpu_plan {
    enum gpu_tier tier;
    bool int_dot;           // use the packed integer dot product
    bool int64;             // use 64-bit integers
    bool cpu;               // a software device: few fat workgroups, one lane per row
    bool apart;             // of a recorder: rows of a step are to get the bits that each would get alone
    uint32_t subgroup_size; // the size kernels are compiled for, where the device lets us choose
    uint32_t queue_family;
    uint32_t heap;                 // where GPU_MEMORY_DEVICE lives, and what the budget counts
    bool unified;                  // device memory is host memory: write weights in place, no staging
    uint64_t budget_bytes;         // device memory we allow ourselves
    uint64_t max_allocation_bytes; // one VkDeviceMemory; never above 1 GiB
    uint64_t max_binding_bytes;    // one storage binding; larger data is bound in windows
    struct {
        uint32_t m, n, k;
    } coopmat; // GPU_TIER_COOPMAT: the shape kernels are compiled for, powers of two, k at most 32
};

// What we will ask of a device we have only looked at. Pure. vram_limit_bytes 0: no limit of ours.
// Errors  KARAT_ERR_UNSUPPORTED  the sentence names the device and the feature it lacks
enum karat_status gpu_plan_make(struct gpu_plan *out, const struct gpu_snapshot *seen, uint64_t vram_limit_bytes,
                                struct karat_error *err);

// Index of the device to use among seen[0..n): `wish` is an index ("1"), part of a name (any case), or NULL for the
// best (discrete before integrated before virtual before CPU, then by memory). Pure. Errors  KARAT_ERR_NO_DEVICE  names
// the wish and what there is
enum karat_status gpu_plan_choose(size_t *out, const struct gpu_snapshot *seen, size_t n, const char *wish,
                                  struct karat_error *err);

// ------------------------------------------------------------------------------------------------ device

struct gpu_device;

struct gpu_device_options {
    const char *wish;               // as in gpu_plan_choose()
    uint64_t vram_limit_bytes;      // 0: none
    const char *pipeline_cache_dir; // NULL: the user's cache folder; "": nowhere
    bool timing;                    // every recorder measures its dispatches, kernels tell their stats
};

enum karat_status gpu_device_create(struct gpu_device **out, const struct gpu_device_options *options,
                                    struct karat_error *err);
void gpu_device_destroy(struct gpu_device *device); // after everything made from it; writes the pipeline cache

const struct gpu_snapshot *gpu_device_snapshot(const struct gpu_device *device);
const struct gpu_plan *gpu_device_plan(const struct gpu_device *device);
uint64_t gpu_device_used_bytes(const struct gpu_device *device); // device memory allocated by us

// A number about this device and driver that outlives the process: it is kept beside the compiled kernels. `what` is a
// word of letters. Recalling is false when nothing was noted, when the note is damaged, or when the cache is nowhere.
bool gpu_device_recall(const struct gpu_device *device, const char *what, uint64_t *value);
void gpu_device_note(const struct gpu_device *device, const char *what, uint64_t value);

// ------------------------------------------------------------------------------------------------ buffers

enum gpu_memory {
    GPU_MEMORY_DEVICE,   // fast for the device; the host reaches it only where the plan says unified
    GPU_MEMORY_UPLOAD,   // the host writes, the device reads
    GPU_MEMORY_READBACK, // the device writes, the host reads (cached)
};

struct gpu_buffer;

struct gpu_buffer_options {
    uint64_t size_bytes; // 1 .. max_allocation_bytes of the plan
    enum gpu_memory memory;
    const char *name; // for error sentences and the validation layer; copied
};

// Contents are undefined. Small buffers share allocations; a failure names size, name and what is free.
// Threads  any; the allocator is locked.
enum karat_status gpu_buffer_create(struct gpu_buffer **out, struct gpu_device *device,
                                    const struct gpu_buffer_options *options, struct karat_error *err);
void gpu_buffer_destroy(struct gpu_buffer *buffer); // when no submitted work uses it

// Of no buffer, NULL, all three are 0: what only lists kernels may look at buffers that are not there yet.
uint64_t gpu_buffer_size(const struct gpu_buffer *buffer);
uint64_t gpu_buffer_address(const struct gpu_buffer *buffer); // device address of byte 0, 16-byte aligned
void *gpu_buffer_map(struct gpu_buffer *buffer);              // host pointer to byte 0, coherent; NULL if unreachable

// A range of a buffer, as kernels see it. Offsets are multiples of the snapshot's storage_alignment.
struct gpu_view {
    struct gpu_buffer *buffer;
    uint64_t offset, size_bytes;
};

// ------------------------------------------------------------------------------------------------ upload

// Carries bytes to device buffers through a small staging ring, overlapping the filling with the copying.
struct gpu_upload;

// staging_bytes 0: 16 MiB in all. Where the plan says unified there is no staging at all.
enum karat_status gpu_upload_create(struct gpu_upload **out, struct gpu_device *device, uint64_t staging_bytes,
                                    struct karat_error *err);
void gpu_upload_destroy(struct gpu_upload *upload);

// Lends up to *size_bytes (in: wanted, out: granted, at least min(wanted, 64 KiB), a multiple of 16 unless all of it)
// of memory that will become dst[offset, offset + granted). The caller fills it before the next call on the upload.
enum karat_status gpu_upload_reserve(struct gpu_upload *upload, void **memory, struct gpu_buffer *dst, uint64_t offset,
                                     uint64_t *size_bytes, struct karat_error *err);

// Everything reserved so far is on the device when this returns.
enum karat_status gpu_upload_finish(struct gpu_upload *upload, struct karat_error *err);

// ------------------------------------------------------------------------------------------------ kernels

#define GPU_BUFFERS_MAX 16
#define GPU_SPEC_MAX 12
#define GPU_PARAMS_MAX 128
#define GPU_CLAIM_WORKGROUPS 32u // that are started at most, if they claim their tiles: threads of a software device

// One row of the kernel table. The SPIR-V is reflected and compared with the row; which bindings a kernel reads and
// writes comes from its readonly/writeonly declarations. Name and code outlive the device: pipelines are found again by
// the code's address. A kernel never looks at gl_NumWorkGroups, because a slice of a grid sees its own size there:
// but for lib/claim.glsl, which is about slices.
//
// A kernel that claims its tiles is started with a few workgroups, which take the grid's places one after the other
// (shaders/lib/claim.glsl): so the threads of a software device finish together. Its grid has two dimensions, and its
// last parameters are a struct gpu_claim, which the recorder fills.
struct gpu_kernel_desc {
    const char *name;
    const uint32_t *code;
    size_t code_bytes;
    uint32_t n_buffers;    // bindings 0 .. n_buffers - 1 of set 0
    uint32_t params_bytes; // push constants
    uint32_t n_spec;       // specialisation constants 0 .. n_spec - 1, each 32 bits
    bool claims;           // its workgroups claim their tiles
    bool full_subgroups;   // require the plan's subgroup size and full subgroups, where the device can
};

// A slice of the grid of a kernel that claims its tiles.
struct gpu_claim {
    uint32_t counter_low, counter_high; // device address of a u32 that is 0 before and after
    uint32_t first_x, first_y;          // where in the grid the slice begins
    uint32_t n_x;                       // its width
    uint32_t n_tiles;                   // its area
};

// Facts the drivers' compilers report, where they do.
struct gpu_kernel_stats {
    uint32_t registers, spills, scratch_bytes, shared_bytes, subgroup_size;
    bool known;
};

struct gpu_kernel;

// The pipeline of a row with these specialisation values; made on first use, kept by the device, shared by all threads.
// Errors  KARAT_ERR_INTERNAL  row and SPIR-V disagree: the sentence holds both numbers
enum karat_status gpu_kernel_get(const struct gpu_kernel **out, struct gpu_device *device,
                                 const struct gpu_kernel_desc *desc, const uint32_t *spec, struct karat_error *err);
const char *gpu_kernel_name(const struct gpu_kernel *kernel);
const struct gpu_kernel_stats *gpu_kernel_stats(const struct gpu_kernel *kernel); // only devices made for timing ask

// How many kernels the device has made so far, and how long its threads took for it.
struct gpu_kernel_totals {
    uint32_t n;
    uint64_t ns;
};
struct gpu_kernel_totals gpu_kernel_totals(const struct gpu_device *device);

// Kernels that will be wanted, made on threads of their own while the caller does something else. Whoever needs one of
// them meanwhile gets it as soon as it is there, or makes it himself. A failure is left to whoever needs the kernel.
struct gpu_warm_up;

// A set of wishes: collects pairs of row and specialisation values, each once.
struct gpu_kernel_set {
    struct gpu_kernel_wish *wishes;
    size_t n, capacity;
    bool failed; // out of memory: some are missing
};
struct gpu_kernel_wish {
    const struct gpu_kernel_desc *desc;
    uint32_t spec[GPU_SPEC_MAX];
};
void gpu_kernel_set_add(struct gpu_kernel_set *set, const struct gpu_kernel_desc *desc, const uint32_t *spec);
void gpu_kernel_set_free(struct gpu_kernel_set *set);

// Makes them in the order of the set, which it takes over. NULL where no thread can be had: nothing is lost but time.
struct gpu_warm_up *gpu_warm_up_start(struct gpu_device *device, struct gpu_kernel_set *set);
void gpu_warm_up_stop(struct gpu_warm_up *warm_up); // begins no further ones, waits, and frees it; NULL is fine

// What reflection finds in a module; pure, for tests and for the check above.
struct gpu_reflection {
    uint32_t n_buffers, params_bytes, n_spec;
    uint32_t reads, writes;      // bit i: binding i
    uint32_t local_size[3];      // as declared; an id-sized dimension is 0
    uint32_t local_size_spec[3]; // specialisation id of that dimension, UINT32_MAX when fixed
};
enum karat_status gpu_reflect(struct gpu_reflection *out, const uint32_t *code, size_t code_bytes,
                              struct karat_error *err);

// ------------------------------------------------------------------------------------------------ recorder

// Records dispatches and copies, places barriers where what they read and write overlaps, and submits. A failure inside
// a recording call is kept and returned by gpu_recorder_submit(), so that recording code reads as a list of steps.
// One thread at a time. After the first round of the same work nothing is allocated.
struct gpu_recorder;

enum karat_status gpu_recorder_create(struct gpu_recorder **out, struct gpu_device *device, struct karat_error *err);
void gpu_recorder_destroy(struct gpu_recorder *recorder); // waits for its work first
struct gpu_device *gpu_recorder_device(const struct gpu_recorder *recorder);

// From now on every dispatch is measured on the device, for gpu_recorder_report(). Before anything is recorded. The
// timestamps cost time themselves, so rates are measured without. Errors  KARAT_ERR_UNSUPPORTED  the device has no
// clock
enum karat_status gpu_recorder_start_timing(struct gpu_recorder *recorder, struct karat_error *err);

// The device's plan with a tier of at most what was allowed: ops choose kernels by it. Work that must not round its
// operands allows GPU_TIER_BASE only.
const struct gpu_plan *gpu_recorder_plan(const struct gpu_recorder *recorder);
void gpu_recorder_limit_tier(struct gpu_recorder *recorder, enum gpu_tier highest);

// From now on ops choose kernels that keep the rows of a step apart: each gets the bits it would get as the only one.
// For a few rows that have nothing to do with each other.
void gpu_recorder_keep_apart(struct gpu_recorder *recorder);

struct gpu_dispatch {
    const struct gpu_kernel_desc *desc;
    const uint32_t *spec; // n_spec of the desc
    struct gpu_view buffers[GPU_BUFFERS_MAX];
    const void *params; // params_bytes of the desc
    uint32_t grid[3];  // workgroups, or tiles that they claim, each within the snapshot's max_workgroups (65535 on many
                       // devices); long ones are sliced. A zero anywhere means nothing to do
    uint64_t work;     // rough cost (multiply-adds or bytes), 0 if small; used to bound submissions
    uint64_t bytes;    // what it must read and write at least, for reports; 0: what its views hold
    const char *label; // static text for reports
};

void gpu_record_dispatch(struct gpu_recorder *recorder, const struct gpu_dispatch *dispatch);
void gpu_record_copy(struct gpu_recorder *recorder, struct gpu_view dst, struct gpu_view src); // sizes equal
void gpu_record_fill(struct gpu_recorder *recorder, struct gpu_view dst, uint32_t word);

// From now on nothing is recorded: each dispatch only puts its kernel into `set`, which outlives the recorder. Views
// need no buffers. For finding out what a piece of work will need, before there is memory for it.
void gpu_recorder_only_list(struct gpu_recorder *recorder, struct gpu_kernel_set *set);

// Keeps `status` as the recorder's failure if it has none yet: for callers that find a fault while recording.
void gpu_record_fail(struct gpu_recorder *recorder, enum karat_status status, const struct karat_error *err);

// Hands over what was recorded since the last submit. Long work is split into several submissions by measured time,
// so that none runs longer than about 100 ms; `cancel` (may be NULL) is looked at between them.
enum karat_status gpu_recorder_submit(struct gpu_recorder *recorder, struct karat_error *err);
// With a cancel flag about 100 ms of work are under way at most; the rest is handed over by later calls, wait included.
// Waits for all submitted work, after which the host may read what it wrote. Work that was recorded but not submitted
// stays recorded. Errors  KARAT_ERR_DEVICE_LOST, KARAT_ERR_CANCELLED (what was not yet handed over is dropped)
enum karat_status gpu_recorder_wait(struct gpu_recorder *recorder, struct karat_error *err);

// A name for everything submitted so far, and the wait for it: what was submitted later goes on meanwhile.
uint64_t gpu_recorder_ticket(const struct gpu_recorder *recorder);
enum karat_status gpu_recorder_wait_until(struct gpu_recorder *recorder, uint64_t ticket, struct karat_error *err);

// The ticket of the oldest submission that is not known to be done, to wait for the next piece of long work; 0: none.
uint64_t gpu_recorder_next_ticket(const struct gpu_recorder *recorder);

// Drops what was not yet handed over, submitted or not, and waits for the rest.
enum karat_status gpu_recorder_discard(struct gpu_recorder *recorder, struct karat_error *err);

// A flag another thread may set to 1 to make submit and wait return KARAT_ERR_CANCELLED between submissions. NULL:
// none.
void gpu_recorder_set_cancel(struct gpu_recorder *recorder, const volatile int *cancel);

// A round that is recorded once and handed over again and again, without recording it anew: the same commands on the
// same buffers, which must still be there. Counters count each run.
struct gpu_recording;
enum karat_status gpu_recording_create(struct gpu_recording **out, struct gpu_recorder *recorder,
                                       struct karat_error *err);
void gpu_recording_destroy(struct gpu_recording *recording); // waits for its run; before its recorder

// What is recorded from now on until gpu_recorder_submit(), which runs it as ever, is kept as well, instead of what the
// recording held before. At the beginning of a round, and when the last run has been waited for.
void gpu_recording_begin(struct gpu_recording *recording);

// False until a round was kept, and when it has to be recorded again: when a submission of it turned out too long, for
// example, or after work was dropped.
bool gpu_recording_is_ready(const struct gpu_recording *recording);

// Like recording the same round again and gpu_recorder_submit(). Only when ready, between rounds, and when the last run
// has been waited for.
enum karat_status gpu_recording_submit(struct gpu_recording *recording, struct karat_error *err);

// Since the last reset. A slice counts as a dispatch; the one barrier that ends each round is not counted.
struct gpu_counters {
    uint64_t n_dispatches, n_barriers, n_submits, longest_submit_ns;
};
void gpu_recorder_counters(const struct gpu_recorder *recorder, struct gpu_counters *out);

// Device time per label and kernel since the last reset, longest first; needs gpu_recorder_start_timing(). Returns how
// many rows there are. The times add up to those of the submissions, as far as they are done.
struct gpu_label_time {
    const char *label, *kernel; // kernel: its row's name, "" for copies and fills; both live as long as the device
    uint64_t n, ns, bytes;      // dispatches (slices counted), their time, what they must read and write at least
};
size_t gpu_recorder_report(struct gpu_recorder *recorder, struct gpu_label_time *out, size_t capacity);
void gpu_recorder_reset(struct gpu_recorder *recorder); // counters and times

#endif
