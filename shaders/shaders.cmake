# karat_shader(<file> [NAME <name>] [DEFINES <A=B> ...]): compiles shaders/<file>.comp into the array spv_<name>, which
# C includes as "spv/<name>.h". A change to an included file rebuilds only its users.
set(KARAT_SPV_DIR ${PROJECT_BINARY_DIR}/spv)
file(MAKE_DIRECTORY ${KARAT_SPV_DIR})
add_library(karat_shaders INTERFACE)
target_include_directories(karat_shaders INTERFACE ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR}/shaders)

function(karat_shader file)
    cmake_parse_arguments(S "" "NAME" "DEFINES" ${ARGN})
    if(NOT S_NAME)
        set(S_NAME ${file})
    endif()
    set(spv ${KARAT_SPV_DIR}/${S_NAME}.spv)
    set(header ${KARAT_SPV_DIR}/${S_NAME}.h)
    list(TRANSFORM S_DEFINES PREPEND -D)
    set(validate)
    if(KARAT_SPIRV_VAL)
        set(validate COMMAND ${KARAT_SPIRV_VAL} --target-env vulkan1.3 ${spv})
    endif()
    add_custom_command(OUTPUT ${spv} ${header}
        COMMAND ${KARAT_GLSLANG} --quiet --target-env vulkan1.3 -I${PROJECT_SOURCE_DIR}/shaders ${S_DEFINES}
            --depfile ${spv}.d -o ${spv} ${PROJECT_SOURCE_DIR}/shaders/${file}.comp
        ${validate}
        COMMAND ${CMAKE_COMMAND} -DIN=${spv} -DOUT=${header} -DNAME=spv_${S_NAME}
            -P ${PROJECT_SOURCE_DIR}/shaders/embed.cmake
        DEPENDS ${PROJECT_SOURCE_DIR}/shaders/${file}.comp ${PROJECT_SOURCE_DIR}/shaders/embed.cmake
        DEPFILE ${spv}.d VERBATIM COMMENT "shader ${S_NAME}")
    set_property(GLOBAL APPEND PROPERTY KARAT_SPV_HEADERS ${header})
endfunction()

include(${CMAKE_CURRENT_LIST_DIR}/list.cmake)

get_property(headers GLOBAL PROPERTY KARAT_SPV_HEADERS)
add_custom_target(karat_spv DEPENDS ${headers})

# The table of kernels wants them all.
list(TRANSFORM headers REPLACE "^.*/(.*)$" "#include \"spv/\\1\"" OUTPUT_VARIABLE includes)
list(JOIN includes "\n" includes)
file(CONFIGURE OUTPUT ${KARAT_SPV_DIR}/all.h CONTENT "${includes}\n" @ONLY)
add_dependencies(karat_shaders karat_spv)
