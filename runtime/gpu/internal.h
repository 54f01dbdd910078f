// gpu/internal.h -- the Vulkan side of the room's types. Private: other rooms come in by gpu.h.
#ifndef GPU_INTERNAL_H
#define GPU_INTERNAL_H

#define VK_NO_PROTOTYPES
#include <volk.h>

#include <stdatomic.h>

#include "base/thread.h"
#include "gpu/coopmat.h"
#include "gpu/gpu.h"

// ------------------------------------------------------------------------------------------------ instance

// One instance for the whole process, counted: each successful open needs one close. Any thread.
enum karat_status gpu_instance_open(VkInstance *out, struct karat_error *err);
void gpu_instance_close(void);
bool gpu_instance_has_names(void); // VK_EXT_debug_utils is there: objects can be named, work can be labelled

// Fills seen[0..capacity) and devices[0..capacity); *n_out as in gpu_snapshot_all(). The instance is open.
enum karat_status gpu_snapshot_devices(VkInstance instance, struct gpu_snapshot *seen, VkPhysicalDevice *devices,
                                       size_t capacity, size_t *n_out, struct karat_error *err);

// "VK_ERROR_DEVICE_LOST" and its kin; static text.
const char *gpu_result_text(VkResult result);

// ------------------------------------------------------------------------------------------------ device

#define GPU_PATH_MAX 1024

struct gpu_block;
struct gpu_kernel_table;

struct gpu_device {
    struct gpu_snapshot snapshot;
    struct gpu_plan plan;
    VkPhysicalDevice physical;
    VkDevice handle;
    struct VolkDeviceTable vk;
    VkQueue queue;
    struct mutex queue_mutex; // a queue belongs to one thread at a time
    atomic_bool lost;         // sticky
    atomic_bool exhausted;    // by a test
    bool instance_open, timing, names;
    char notes[GPU_PATH_MAX]; // what the paths of files about this device and driver begin with; empty: nowhere

    struct mutex memory_mutex;                              // guards the next four
    struct gpu_block *blocks;                               // newest first
    uint64_t heap_used_bytes[GPU_HEAPS_MAX];                // allocated by us
    uint64_t next_serial;                                   // of buffers
    VkDescriptorSetLayout set_layouts[GPU_BUFFERS_MAX + 1]; // by number of storage buffers

    struct gpu_kernel_table *kernels;
};

// Decides where files about this device and driver live; dir as in struct gpu_device_options.
void gpu_notes_locate(struct gpu_device *device, const char *dir);
// The path of one of them; false when there is no place for it.
bool gpu_note_path(char path[GPU_PATH_MAX], const struct gpu_device *device, const char *what);

// KARAT_OK for VK_SUCCESS, otherwise a sentence "what: result on device"; remembers a lost device.
enum karat_status gpu_check(struct gpu_device *device, VkResult result, const char *what, struct karat_error *err);

// KARAT_ERR_DEVICE_LOST once the device is lost.
enum karat_status gpu_check_lost(const struct gpu_device *device, struct karat_error *err);

// TRY for a Vulkan call; expects `device`, `status`, `err` and the label `cleanup` in scope.
#define TRY_VK(call) TRY(gpu_check(device, device->vk.call, #call, err))

// Names an object for the validation layer and for captures; does nothing without VK_EXT_debug_utils.
void gpu_name(struct gpu_device *device, VkObjectType type, uint64_t handle, const char *name);

// ------------------------------------------------------------------------------------------------ memory

struct gpu_buffer {
    struct gpu_device *device;
    struct gpu_block *block;
    struct gpu_buffer *previous, *next; // neighbours inside the block, by offset
    VkBuffer handle;
    uint64_t serial;                 // never used twice by one device, unlike a handle
    uint64_t offset, reserved_bytes; // inside the block
    uint64_t size_bytes, address;
    enum gpu_memory memory;
    uint8_t *map; // NULL when the host cannot reach it
};

void gpu_memory_close(struct gpu_device *device); // frees blocks that are left

// ------------------------------------------------------------------------------------------------ kernels

struct gpu_kernel {
    struct gpu_device *device;
    const char *name;
    VkPipeline pipeline;
    VkPipelineLayout layout;
    uint32_t n_buffers, params_bytes, reads, writes, local_size[3];
    bool claims;
    _Atomic float ns_per_work; // measured; starts as a guess
    struct gpu_kernel_stats stats;
};

enum karat_status gpu_kernels_open(struct gpu_device *device, struct karat_error *err);
void gpu_kernels_close(struct gpu_device *device); // saves the pipeline cache

// ------------------------------------------------------------------------------------------------ timing

struct gpu_timing;
struct gpu_timing *gpu_timing_create(void); // NULL when memory is out
void gpu_timing_destroy(struct gpu_timing *timing);
void gpu_timing_add(struct gpu_timing *timing, const char *label, const char *kernel, uint64_t ns, uint64_t bytes);
size_t gpu_timing_report(struct gpu_timing *timing, struct gpu_label_time *out, size_t capacity);
void gpu_timing_reset(struct gpu_timing *timing);

#endif
