# The Windows build from Linux: cmake -DCMAKE_TOOLCHAIN_FILE=third_party/mingw.cmake. Programs run under Wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
# Debian's own libraries, and those that the setup builds because Debian does not.
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32 ${CMAKE_CURRENT_LIST_DIR}/../.deps/mingw)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# isnan() and its kin in mingw's math.h convert floats on their own.
set(CMAKE_C_FLAGS_INIT -Wno-float-conversion)
# libgcc inside the program, so that it runs on a machine without a compiler.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)

# Of Linux's headers the Windows compiler must see Vulkan's and volk's alone, which know both systems.
set(headers ${CMAKE_BINARY_DIR}/linux-headers)
foreach(header vulkan vk_video volk.h)
    find_path(folder ${header} PATHS /usr/include /usr/local/include NO_CMAKE_FIND_ROOT_PATH NO_CACHE)
    if(folder AND NOT EXISTS ${headers}/${header})
        file(MAKE_DIRECTORY ${headers})
        file(CREATE_LINK ${folder}/${header} ${headers}/${header} SYMBOLIC)
    endif()
    unset(folder)
endforeach()
set(KARAT_VULKAN_HEADERS ${headers} CACHE PATH "")
set(KARAT_VOLK_HEADERS ${headers} CACHE PATH "")

find_program(KARAT_WINE wine NO_CMAKE_FIND_ROOT_PATH)
if(KARAT_WINE)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${KARAT_WINE})
endif()
