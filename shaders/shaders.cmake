# karat_shader(<file> [NAME <name>] [DEFINES <A=B> ...] [KEPT]): compiles shaders/<file>.comp into the array spv_<name>,
# which C includes as "spv/<name>.h". A change to an included file rebuilds only its users.
#
# KEPT: a compiler as old as Debian 12's cannot make the module. It is therefore kept in kept.tar.xz, too, and taken from
# there by such a machine; kept.py compares.
set(KARAT_SHADERS_OF "" CACHE PATH "another build folder whose compiled shaders this build takes as they are")
set(build ${PROJECT_BINARY_DIR})
if(KARAT_SHADERS_OF)
    set(build ${KARAT_SHADERS_OF})
endif()
set(KARAT_SPV_DIR ${build}/spv)
file(MAKE_DIRECTORY ${KARAT_SPV_DIR})
add_library(karat_shaders INTERFACE)
target_include_directories(karat_shaders INTERFACE ${build} ${PROJECT_SOURCE_DIR}/shaders)

option(KARAT_KEPT_SHADERS "take modules from shaders/kept.tar.xz even if the compiler could make them" OFF)
execute_process(COMMAND ${KARAT_GLSLANG} --version OUTPUT_VARIABLE version)
if(NOT version MATCHES "Glslang Version: [0-9]+:([0-9]+)" OR CMAKE_MATCH_1 LESS 15)
    set(KARAT_KEPT_SHADERS ON)
endif()
if(KARAT_KEPT_SHADERS AND NOT KARAT_SHADERS_OF)
    message(STATUS "modules with cooperative matrices: from shaders/kept.tar.xz")
    file(ARCHIVE_EXTRACT INPUT ${CMAKE_CURRENT_LIST_DIR}/kept.tar.xz DESTINATION ${KARAT_SPV_DIR})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/kept.tar.xz)
endif()

function(karat_shader file)
    cmake_parse_arguments(S "KEPT" "NAME" "DEFINES" ${ARGN})
    if(NOT S_NAME)
        set(S_NAME ${file})
    endif()
    set(spv ${KARAT_SPV_DIR}/${S_NAME}.spv)
    set(header ${KARAT_SPV_DIR}/${S_NAME}.h)
    set(embed ${CMAKE_COMMAND} -DIN=${spv} -DOUT=${header} -DNAME=spv_${S_NAME}
        -P ${PROJECT_SOURCE_DIR}/shaders/embed.cmake)
    set_property(GLOBAL APPEND PROPERTY KARAT_SPV_HEADERS ${header})
    if(KARAT_SHADERS_OF)
        return()
    endif()
    if(S_KEPT AND KARAT_KEPT_SHADERS)
        add_custom_command(OUTPUT ${header} COMMAND ${embed} DEPENDS ${spv} ${PROJECT_SOURCE_DIR}/shaders/embed.cmake
            VERBATIM COMMENT "shader ${S_NAME}, kept")
        return()
    endif()
    list(TRANSFORM S_DEFINES PREPEND -D)
    if(S_KEPT)
        list(APPEND S_DEFINES -g0) # names would be a tenth of the archive
    endif()
    set(validate)
    if(KARAT_SPIRV_VAL)
        set(validate COMMAND ${KARAT_SPIRV_VAL} --target-env vulkan1.3 ${spv})
    endif()
    add_custom_command(OUTPUT ${spv} ${header}
        COMMAND ${KARAT_GLSLANG} --quiet --target-env vulkan1.3 -I${PROJECT_SOURCE_DIR}/shaders ${S_DEFINES}
            --depfile ${spv}.d -o ${spv} ${PROJECT_SOURCE_DIR}/shaders/${file}.comp
        ${validate}
        COMMAND ${embed}
        DEPENDS ${PROJECT_SOURCE_DIR}/shaders/${file}.comp ${PROJECT_SOURCE_DIR}/shaders/embed.cmake
        DEPFILE ${spv}.d VERBATIM COMMENT "shader ${S_NAME}")
endfunction()

include(${CMAKE_CURRENT_LIST_DIR}/list.cmake)

get_property(headers GLOBAL PROPERTY KARAT_SPV_HEADERS)
add_custom_target(karat_spv DEPENDS ${headers})

if(KARAT_SHADERS_OF)
    return()
endif()

# The table of kernels wants them all.
list(TRANSFORM headers REPLACE "^.*/(.*)$" "#include \"spv/\\1\"" OUTPUT_VARIABLE includes)
list(JOIN includes "\n" includes)
file(CONFIGURE OUTPUT ${KARAT_SPV_DIR}/all.h CONTENT "${includes}\n" @ONLY)
add_dependencies(karat_shaders karat_spv)
