// driver_probe.c -- one line that says which Vulkan device the tests are about to run on. With --fault it also makes a
// buffer and forgets to destroy it, which shows that the validation layer is awake. Exit 77: no device.
#define VOLK_IMPLEMENTATION
#include <volk.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int skip(const char *why)
{
    printf("SKIP: %s\n", why);
    return 77;
}

static bool forget_buffer(VkPhysicalDevice physical)
{
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                            .queueCount = 1,
                                            .pQueuePriorities = &priority };
    const VkDeviceCreateInfo device_info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                             .queueCreateInfoCount = 1,
                                             .pQueueCreateInfos = &queue };
    VkDevice device;
    if (vkCreateDevice(physical, &device_info, NULL, &device) != VK_SUCCESS)
        return false;
    volkLoadDevice(device);
    const VkBufferCreateInfo buffer_info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                             .size = 64,
                                             .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT };
    VkBuffer buffer;
    const bool made = vkCreateBuffer(device, &buffer_info, NULL, &buffer) == VK_SUCCESS;
    vkDestroyDevice(device, NULL);
    return made;
}

int main(int argc, char **argv)
{
    if (volkInitialize() != VK_SUCCESS)
        return skip("no Vulkan loader");
    const VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                            .apiVersion = VK_API_VERSION_1_3 };
    const VkInstanceCreateInfo instance_info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                                 .pApplicationInfo = &application };
    VkInstance instance;
    if (vkCreateInstance(&instance_info, NULL, &instance) != VK_SUCCESS)
        return skip("no Vulkan driver");
    volkLoadInstance(instance);

    uint32_t n = 1;
    VkPhysicalDevice physical = VK_NULL_HANDLE;
    vkEnumeratePhysicalDevices(instance, &n, &physical);
    if (n == 0)
        return skip("no Vulkan device");
    VkPhysicalDeviceSubgroupProperties subgroup = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES };
    VkPhysicalDeviceProperties2 properties = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                               .pNext = &subgroup };
    vkGetPhysicalDeviceProperties2(physical, &properties);
    const uint32_t version = properties.properties.apiVersion;
    printf("device: %s, Vulkan %u.%u.%u, subgroups of %u\n", properties.properties.deviceName,
           VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version), VK_API_VERSION_PATCH(version),
           subgroup.subgroupSize);
    const bool done = argc < 2 || strcmp(argv[1], "--fault") != 0 || forget_buffer(physical);
    vkDestroyInstance(instance, NULL);
    return done ? 0 : 1;
}
