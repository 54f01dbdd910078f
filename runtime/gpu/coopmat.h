// gpu/coopmat.h -- VK_KHR_cooperative_matrix for Vulkan headers that are older than it (Debian 12 has 1.3.239).
#ifndef GPU_COOPMAT_H
#define GPU_COOPMAT_H

#define GPU_COOPMAT_EXTENSION "VK_KHR_cooperative_matrix"

// These mirror the specification's structures; the numbers are the registry's.
#define GPU_COOPMAT_FEATURES_TYPE ((VkStructureType)1000506000)
#define GPU_COOPMAT_PROPERTIES_TYPE ((VkStructureType)1000506001)
#define GPU_COOPMAT_SCOPE_SUBGROUP 3
#define GPU_COOPMAT_FLOAT16 0
#define GPU_COOPMAT_FLOAT32 1

struct gpu_coopmat_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
};

struct gpu_coopmat_properties {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    uint32_t AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    uint32_t scope;
};

typedef VkResult(VKAPI_PTR *gpu_coopmat_properties_fn)(VkPhysicalDevice device, uint32_t *count,
                                                       struct gpu_coopmat_properties *properties);

#endif
