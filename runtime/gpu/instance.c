// gpu/instance.c -- the Vulkan loader, and its messages in our log. Layers are switched on from outside.
#define VOLK_IMPLEMENTATION
#include "gpu/internal.h"

#include "base/log.h"

static struct {
    struct mutex mutex;
    unsigned n_users;
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
    bool names;
} shared = { .mutex = MUTEX_INIT };

static _Atomic uint64_t n_validation_messages;

uint64_t gpu_validation_messages(void)
{
    return n_validation_messages;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL take_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                   VkDebugUtilsMessageTypeFlagsEXT types,
                                                   const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)user;
    const bool is_error = (severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT) != 0;
    // Only the layers judge our calls; the loader talks in the same place about drivers and layers that it tries.
    const bool is_ours = (types & VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT) != 0;
    n_validation_messages += is_error && is_ours;
    log_line(!is_ours ? KARAT_LOG_DEBUG : is_error ? KARAT_LOG_ERROR : KARAT_LOG_WARNING, "vulkan: %s", data->pMessage);
    return VK_FALSE;
}

static bool has_extension(const char *name)
{
    VkExtensionProperties found[64];
    uint32_t count = COUNT(found);
    if (vkEnumerateInstanceExtensionProperties(NULL, &count, found) < 0)
        return false;
    for (uint32_t i = 0; i < count; ++i)
        if (strcmp(found[i].extensionName, name) == 0)
            return true;
    return false;
}

static enum karat_status create(struct karat_error *err)
{
    if (volkInitialize() != VK_SUCCESS)
        return status_fail(err, KARAT_ERR_NO_DEVICE,
                           "the Vulkan loader is not installed (%s); install a graphics driver with Vulkan 1.3",
#ifdef _WIN32
                           "vulkan-1.dll"
#else
                           "libvulkan.so.1"
#endif
        );
    const uint32_t version = volkGetInstanceVersion();
    if (version < VK_API_VERSION_1_3)
        return status_fail(err, KARAT_ERR_NO_DEVICE, "the Vulkan loader speaks version %u.%u, karat needs 1.3",
                           VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));

    const VkDebugUtilsMessengerCreateInfoEXT messages = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = take_message,
    };
    const char *const extensions[] = { VK_EXT_DEBUG_UTILS_EXTENSION_NAME };
    shared.names = has_extension(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    const VkResult result = vkCreateInstance(
        &(VkInstanceCreateInfo){
            .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
            .pNext = shared.names ? &messages : NULL,
            .pApplicationInfo =
                &(VkApplicationInfo){
                    .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                    .pApplicationName = "karat",
                    .pEngineName = "karat",
                    .apiVersion = VK_API_VERSION_1_3,
                },
            .enabledExtensionCount = shared.names,
            .ppEnabledExtensionNames = extensions,
        },
        NULL, &shared.handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return status_fail(err, KARAT_ERR_NO_DEVICE,
                           "no Vulkan driver is installed (the loader found none that starts)");
    if (result != VK_SUCCESS)
        return status_fail(err, KARAT_ERR_NO_DEVICE, "Vulkan does not start: %s", gpu_result_text(result));
    volkLoadInstanceOnly(shared.handle);
    if (shared.names)
        vkCreateDebugUtilsMessengerEXT(shared.handle, &messages, NULL, &shared.messenger);
    return KARAT_OK;
}

enum karat_status gpu_instance_open(VkInstance *out, struct karat_error *err)
{
    mutex_lock(&shared.mutex);
    const enum karat_status status = shared.n_users > 0 ? KARAT_OK : create(err);
    if (status == KARAT_OK) {
        ++shared.n_users;
        *out = shared.handle;
    }
    mutex_unlock(&shared.mutex);
    return status;
}

void gpu_instance_close(void)
{
    mutex_lock(&shared.mutex);
    if (--shared.n_users == 0) {
        if (shared.messenger)
            vkDestroyDebugUtilsMessengerEXT(shared.handle, shared.messenger, NULL);
        vkDestroyInstance(shared.handle, NULL);
        shared.messenger = VK_NULL_HANDLE;
        shared.handle = VK_NULL_HANDLE;
    }
    mutex_unlock(&shared.mutex);
}

bool gpu_instance_has_names(void)
{
    return shared.names;
}

const char *gpu_result_text(VkResult result)
{
    static const struct {
        VkResult result;
        const char *text;
    } names[] = {
#define ROW(name) { name, #name }
        ROW(VK_SUCCESS),
        ROW(VK_NOT_READY),
        ROW(VK_TIMEOUT),
        ROW(VK_INCOMPLETE),
        ROW(VK_ERROR_OUT_OF_HOST_MEMORY),
        ROW(VK_ERROR_OUT_OF_DEVICE_MEMORY),
        ROW(VK_ERROR_INITIALIZATION_FAILED),
        ROW(VK_ERROR_DEVICE_LOST),
        ROW(VK_ERROR_MEMORY_MAP_FAILED),
        ROW(VK_ERROR_LAYER_NOT_PRESENT),
        ROW(VK_ERROR_EXTENSION_NOT_PRESENT),
        ROW(VK_ERROR_FEATURE_NOT_PRESENT),
        ROW(VK_ERROR_INCOMPATIBLE_DRIVER),
        ROW(VK_ERROR_TOO_MANY_OBJECTS),
        ROW(VK_ERROR_FRAGMENTED_POOL),
        ROW(VK_ERROR_OUT_OF_POOL_MEMORY),
        ROW(VK_ERROR_INVALID_EXTERNAL_HANDLE),
        ROW(VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS),
        ROW(VK_PIPELINE_COMPILE_REQUIRED),
#undef ROW
    };
    for (size_t i = 0; i < COUNT(names); ++i)
        if (names[i].result == result)
            return names[i].text;
    return "VK_ERROR_UNKNOWN";
}
