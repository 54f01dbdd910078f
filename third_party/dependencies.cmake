# How each dependency is found, and why it was chosen. Nothing is copied into this repository.
find_package(Threads REQUIRED)
# The system's own interpreter first: it is the one whose packages (NumPy, for the oracle) the setup installs.
if(NOT Python3_EXECUTABLE AND EXISTS /usr/bin/python3)
    set(Python3_EXECUTABLE /usr/bin/python3)
endif()
find_package(Python3 COMPONENTS Interpreter)

# volk: loads Vulkan at run time, so the program starts (and says so in one sentence) on machines without a driver.
# Header-only use: volk.h with VOLK_IMPLEMENTATION in one file of runtime/gpu. Debian: libvulkan-volk-dev, libvulkan-dev.
find_path(KARAT_VULKAN_HEADERS vulkan/vulkan.h REQUIRED)
find_path(KARAT_VOLK_HEADERS volk.h REQUIRED)
add_library(karat_volk INTERFACE)
target_include_directories(karat_volk SYSTEM INTERFACE ${KARAT_VULKAN_HEADERS} ${KARAT_VOLK_HEADERS})
target_link_libraries(karat_volk INTERFACE ${CMAKE_DL_LIBS})

# glslang: GLSL to SPIR-V at build time. The setup puts a newer one than Debian 12's into .deps (KARAT_GLSLANG).
find_program(KARAT_GLSLANG NAMES glslang glslangValidator HINTS ${PROJECT_SOURCE_DIR}/.deps/bin REQUIRED)
# spirv-val: every module is validated when it is built.
find_program(KARAT_SPIRV_VAL NAMES spirv-val HINTS ${PROJECT_SOURCE_DIR}/.deps/bin)

# libevent: one event loop with an HTTP server on it, size and time limits included; `karat serve` lives on it. A build
# without it has everything else. Debian: libevent-dev.
find_path(KARAT_LIBEVENT_HEADERS event2/http.h)
find_library(KARAT_LIBEVENT_core event_core)
find_library(KARAT_LIBEVENT_extra event_extra)
if(WIN32)
    set(KARAT_LIBEVENT_threads "") # are part of the core there
else()
    find_library(KARAT_LIBEVENT_threads event_pthreads)
endif()
if(KARAT_LIBEVENT_HEADERS AND KARAT_LIBEVENT_core AND KARAT_LIBEVENT_extra AND (WIN32 OR KARAT_LIBEVENT_threads))
    add_library(karat_libevent INTERFACE)
    target_include_directories(karat_libevent SYSTEM INTERFACE ${KARAT_LIBEVENT_HEADERS})
    target_link_libraries(karat_libevent INTERFACE ${KARAT_LIBEVENT_extra} ${KARAT_LIBEVENT_threads}
        ${KARAT_LIBEVENT_core} $<$<BOOL:${WIN32}>:ws2_32 iphlpapi advapi32>)
endif()

# libcurl: HTTP with TLS, proxies and limits, for tool servers at an address (apps/common/mcp_http.c). A build without it
# has tool servers that are programs. Debian: libcurl4-openssl-dev; for Windows the setup builds it. 7.85 brought what is
# used.
find_path(KARAT_LIBCURL_HEADERS curl/curl.h)
find_library(KARAT_LIBCURL_LIBRARY curl)
if(KARAT_LIBCURL_HEADERS AND KARAT_LIBCURL_LIBRARY)
    add_library(karat_libcurl INTERFACE)
    target_include_directories(karat_libcurl SYSTEM INTERFACE ${KARAT_LIBCURL_HEADERS})
    target_link_libraries(karat_libcurl INTERFACE ${KARAT_LIBCURL_LIBRARY})
    if(WIN32) # is linked statically there
        target_compile_definitions(karat_libcurl INTERFACE CURL_STATICLIB)
        target_link_libraries(karat_libcurl INTERFACE ws2_32 crypt32 bcrypt normaliz advapi32)
    endif()
endif()
