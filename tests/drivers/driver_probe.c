// driver_probe.c -- one line that says which Vulkan device the tests are about to run on. Exit 77: no device.
#define VOLK_IMPLEMENTATION
#include <volk.h>

#include <stdio.h>

static int skip(const char *why)
{
    printf("SKIP: %s\n", why);
    return 77;
}

int main(void)
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
    vkDestroyInstance(instance, NULL);
    return 0;
}
