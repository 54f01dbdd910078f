// shared/params.h -- lets one header declare a kernel's parameters to C and to GLSL.
//
// Members are 4-byte scalars: C and std430 then lay the struct out alike, and PARAMS_SIZE makes the C compiler prove
// the size. A device address travels as two words, low first.
#ifndef SHARED_PARAMS_H
#define SHARED_PARAMS_H
#ifdef VULKAN // defined by every GLSL compiler that targets Vulkan
#extension GL_EXT_shader_explicit_arithmetic_types_int32 : require
#define PARAMS_SIZE(type, bytes)
#define PARAMS_OF(type) type // as a member of other parameters
#else
#include <stdint.h>
#define PARAMS_OF(type) struct type
#define PARAMS_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " drifted from its shader")
#endif
#endif
