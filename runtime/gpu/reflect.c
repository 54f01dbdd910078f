// gpu/reflect.c -- what a SPIR-V module says about its own interface. Pure; trusts no word of it.
//
// One walk collects decorations, types and constants by id; the answers are read off afterwards. Only what compute
// kernels of this project use is understood, anything else is passed over by its length.
#include <stdlib.h>

#include "gpu/gpu.h"

#define SPIRV_MAGIC 0x07230203u
#define HEADER_WORDS 5
#define MEMBERS_MAX 64
#define BOUND_MAX (1u << 20)
#define TYPE_DEPTH_MAX 8
#define NONE UINT32_MAX

enum opcode {
    OP_EXECUTION_MODE = 16,
    OP_TYPE_BOOL = 20,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_MATRIX = 24,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_RUNTIME_ARRAY = 29,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_CONSTANT = 43,
    OP_CONSTANT_COMPOSITE = 44,
    OP_SPEC_CONSTANT_TRUE = 48,
    OP_SPEC_CONSTANT_FALSE = 49,
    OP_SPEC_CONSTANT = 50,
    OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    OP_EXECUTION_MODE_ID = 331,
};

enum decoration {
    DECORATION_SPEC_ID = 1,
    DECORATION_ARRAY_STRIDE = 6,
    DECORATION_BUILTIN = 11,
    DECORATION_NON_WRITABLE = 24,
    DECORATION_NON_READABLE = 25,
    DECORATION_BINDING = 33,
    DECORATION_DESCRIPTOR_SET = 34,
    DECORATION_OFFSET = 35,
};

enum {
    MODE_LOCAL_SIZE = 17,
    MODE_LOCAL_SIZE_ID = 38,
    BUILTIN_WORKGROUP_SIZE = 25,
    CLASS_UNIFORM = 2,
    CLASS_PUSH_CONSTANT = 9,
    CLASS_STORAGE_BUFFER = 12,
};

struct id {
    uint32_t opcode;
    const uint32_t *words; // of the defining instruction
    uint32_t n_words;
    uint32_t spec_id, binding, set, array_stride;
    bool non_writable, non_readable, workgroup_size;
    struct member *members; // of a struct, MEMBERS_MAX of them
};

struct member {
    uint32_t offset;
    bool non_writable, non_readable;
};

struct module {
    struct id *ids;
    uint32_t bound;
    uint32_t local_size[3];
    bool local_size_is_id;
    bool has_local_size;
};

static struct id *at(struct module *module, uint32_t id)
{
    return id < module->bound ? &module->ids[id] : &module->ids[0]; // id 0 is never defined
}

static void note_decoration(struct id *target, uint32_t decoration, uint32_t value)
{
    switch (decoration) {
    case DECORATION_SPEC_ID:
        target->spec_id = value;
        break;
    case DECORATION_ARRAY_STRIDE:
        target->array_stride = value;
        break;
    case DECORATION_BUILTIN:
        target->workgroup_size |= value == BUILTIN_WORKGROUP_SIZE;
        break;
    case DECORATION_NON_WRITABLE:
        target->non_writable = true;
        break;
    case DECORATION_NON_READABLE:
        target->non_readable = true;
        break;
    case DECORATION_BINDING:
        target->binding = value;
        break;
    case DECORATION_DESCRIPTOR_SET:
        target->set = value;
        break;
    default:
        break;
    }
}

static bool note_member(struct id *target, uint32_t index, uint32_t decoration, uint32_t value)
{
    if (index >= MEMBERS_MAX)
        return true; // such a struct is no interface of ours; the sizes below notice it
    if (!target->members)
        target->members = calloc(MEMBERS_MAX, sizeof *target->members);
    if (!target->members)
        return false;
    struct member *member = &target->members[index];
    if (decoration == DECORATION_OFFSET)
        member->offset = value;
    member->non_writable |= decoration == DECORATION_NON_WRITABLE;
    member->non_readable |= decoration == DECORATION_NON_READABLE;
    return true;
}

// Which word of an instruction names its result; 0 for none that matters here.
static uint32_t result_word(uint32_t opcode)
{
    switch (opcode) {
    case OP_TYPE_BOOL:
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
    case OP_TYPE_VECTOR:
    case OP_TYPE_MATRIX:
    case OP_TYPE_ARRAY:
    case OP_TYPE_RUNTIME_ARRAY:
    case OP_TYPE_STRUCT:
    case OP_TYPE_POINTER:
        return 1;
    case OP_CONSTANT:
    case OP_CONSTANT_COMPOSITE:
    case OP_SPEC_CONSTANT_TRUE:
    case OP_SPEC_CONSTANT_FALSE:
    case OP_SPEC_CONSTANT:
    case OP_SPEC_CONSTANT_COMPOSITE:
    case OP_VARIABLE:
        return 2;
    default:
        return 0;
    }
}

static bool note_instruction(struct module *module, const uint32_t *words, uint32_t n)
{
    const uint32_t opcode = words[0] & 0xFFFF, result = result_word(opcode);
    if (result > 0 && n > result && words[result] > 0 && words[result] < module->bound) {
        struct id *id = at(module, words[result]);
        id->opcode = opcode;
        id->words = words;
        id->n_words = n;
    } else if (opcode == OP_DECORATE && n >= 3 && words[1] > 0 && words[1] < module->bound) {
        note_decoration(at(module, words[1]), words[2], n > 3 ? words[3] : 0);
    } else if (opcode == OP_MEMBER_DECORATE && n >= 4 && words[1] > 0 && words[1] < module->bound) {
        return note_member(at(module, words[1]), words[2], words[3], n > 4 ? words[4] : 0);
    } else if ((opcode == OP_EXECUTION_MODE && n == 6 && words[2] == MODE_LOCAL_SIZE) ||
               (opcode == OP_EXECUTION_MODE_ID && n == 6 && words[2] == MODE_LOCAL_SIZE_ID)) {
        memcpy(module->local_size, words + 3, sizeof module->local_size);
        module->local_size_is_id = words[2] == MODE_LOCAL_SIZE_ID;
        module->has_local_size = true;
    }
    return true;
}

// Bytes of a type inside a block with explicit layout; 0 where that cannot be said.
static uint32_t type_bytes(struct module *module, uint32_t type_id, unsigned depth)
{
    const struct id *type = at(module, type_id);
    if (depth > TYPE_DEPTH_MAX || type->n_words < 3)
        return 0;
    switch (type->opcode) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
        return type->words[2] <= 64 ? type->words[2] / 8 : 0;
    case OP_TYPE_POINTER: // a device address
        return 8;
    case OP_TYPE_VECTOR:
    case OP_TYPE_MATRIX: // columns lie without gaps in the matrices that parameters use: mat4 and mat2
        if (type->n_words < 4 || type->words[3] > 16)
            return 0;
        return type_bytes(module, type->words[2], depth + 1) * type->words[3];
    case OP_TYPE_ARRAY: {
        if (type->n_words < 4)
            return 0;
        const struct id *length = at(module, type->words[3]);
        if (length->opcode != OP_CONSTANT || length->n_words < 4 || length->words[3] > 1024 ||
            type->array_stride > 65536)
            return 0;
        return length->words[3] * type->array_stride;
    }
    case OP_TYPE_STRUCT: {
        uint32_t end = 0;
        if (!type->members || type->n_words - 2 > MEMBERS_MAX)
            return 0;
        for (uint32_t i = 0; i + 2 < type->n_words; ++i) {
            const uint32_t size = type_bytes(module, type->words[i + 2], depth + 1);
            if (size == 0 || type->members[i].offset > 65536)
                return 0;
            if (type->members[i].offset + size > end)
                end = type->members[i].offset + size;
        }
        return end;
    }
    default:
        return 0;
    }
}

// A binding is read-only when it says so itself or when each of its members does.
static bool all_members(const struct id *type, bool writable)
{
    if (type->opcode != OP_TYPE_STRUCT || !type->members || type->n_words < 3 || type->n_words - 2 > MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i + 2 < type->n_words; ++i)
        if (writable ? !type->members[i].non_writable : !type->members[i].non_readable)
            return false;
    return true;
}

static enum karat_status read_variable(struct gpu_reflection *out, struct module *module, const struct id *variable,
                                       struct karat_error *err)
{
    if (variable->n_words < 4)
        return KARAT_OK;
    const uint32_t class = variable->words[3];
    const struct id *pointer = at(module, variable->words[1]);
    const uint32_t type_id = pointer->opcode == OP_TYPE_POINTER && pointer->n_words > 3 ? pointer->words[3] : 0;
    const struct id *type = at(module, type_id);
    if (class == CLASS_PUSH_CONSTANT) {
        out->params_bytes = type_bytes(module, type_id, 0);
        if (out->params_bytes == 0)
            return status_fail(err, KARAT_ERR_FORMAT, "a kernel's push constants have a layout that cannot be read");
    } else if (class == CLASS_STORAGE_BUFFER || class == CLASS_UNIFORM) {
        if (variable->binding == NONE || (variable->set != NONE && variable->set != 0))
            return status_fail(err, KARAT_ERR_FORMAT, "a kernel binds a buffer outside of set 0");
        if (variable->binding >= GPU_BUFFERS_MAX)
            return status_fail(err, KARAT_ERR_FORMAT, "a kernel has binding %u, the highest possible is %d",
                               variable->binding, GPU_BUFFERS_MAX - 1);
        const uint32_t bit = 1u << variable->binding;
        if (variable->binding >= out->n_buffers)
            out->n_buffers = variable->binding + 1;
        if (!variable->non_writable && !all_members(type, true))
            out->writes |= bit;
        if (!variable->non_readable && !all_members(type, false))
            out->reads |= bit;
    }
    return KARAT_OK;
}

static void read_size_constant(struct gpu_reflection *out, struct module *module, uint32_t dimension, uint32_t id)
{
    const struct id *constant = at(module, id);
    if (constant->opcode == OP_SPEC_CONSTANT && constant->spec_id != NONE) {
        out->local_size[dimension] = 0;
        out->local_size_spec[dimension] = constant->spec_id;
    } else if ((constant->opcode == OP_CONSTANT || constant->opcode == OP_SPEC_CONSTANT) && constant->n_words > 3) {
        out->local_size[dimension] = constant->words[3];
    }
}

static void read_local_size(struct gpu_reflection *out, struct module *module)
{
    for (uint32_t d = 0; d < 3; ++d) {
        out->local_size_spec[d] = NONE;
        if (module->local_size_is_id)
            read_size_constant(out, module, d, module->local_size[d]);
        else
            out->local_size[d] = module->local_size[d];
    }
    // The built-in constant overrides the execution mode.
    for (uint32_t i = 1; i < module->bound; ++i) {
        const struct id *id = &module->ids[i];
        if (id->workgroup_size && id->n_words >= 6 &&
            (id->opcode == OP_SPEC_CONSTANT_COMPOSITE || id->opcode == OP_CONSTANT_COMPOSITE))
            for (uint32_t d = 0; d < 3; ++d)
                read_size_constant(out, module, d, id->words[3 + d]);
    }
}

static enum karat_status walk(struct module *module, const uint32_t *code, size_t n_words, struct karat_error *err)
{
    for (size_t i = HEADER_WORDS; i < n_words;) {
        const uint32_t length = code[i] >> 16;
        if (length == 0 || length > n_words - i)
            return status_fail(err, KARAT_ERR_FORMAT, "a kernel's SPIR-V is damaged: word %zu of %zu has length %u", i,
                               n_words, length);
        if (!note_instruction(module, code + i, length))
            return status_fail(err, KARAT_ERR_MEMORY, "no host memory to read a kernel of %zu words", n_words);
        i += length;
    }
    if (!module->has_local_size)
        return status_fail(err, KARAT_ERR_FORMAT, "a kernel's SPIR-V declares no workgroup size");
    return KARAT_OK;
}

enum karat_status gpu_reflect(struct gpu_reflection *out, const uint32_t *code, size_t code_bytes,
                              struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct module module = { 0 };
    *out = (struct gpu_reflection){ 0 };
    const size_t n_words = code_bytes / 4;
    if (code_bytes % 4 != 0 || n_words < HEADER_WORDS || code[0] != SPIRV_MAGIC)
        return status_fail(err, KARAT_ERR_FORMAT, "a kernel of %zu bytes is not SPIR-V", code_bytes);
    if (code[3] == 0 || code[3] > BOUND_MAX)
        return status_fail(err, KARAT_ERR_FORMAT, "a kernel's SPIR-V claims %u ids, at most %u are read", code[3],
                           BOUND_MAX);
    module.bound = code[3];
    module.ids = calloc(module.bound, sizeof *module.ids);
    if (!module.ids)
        return status_fail(err, KARAT_ERR_MEMORY, "no host memory to read a kernel of %zu words", n_words);
    for (uint32_t i = 0; i < module.bound; ++i)
        module.ids[i].spec_id = module.ids[i].binding = module.ids[i].set = NONE;

    TRY(walk(&module, code, n_words, err));
    for (uint32_t i = 1; i < module.bound; ++i) {
        if (module.ids[i].opcode == OP_VARIABLE)
            TRY(read_variable(out, &module, &module.ids[i], err));
        if (module.ids[i].spec_id == NONE)
            continue;
        if (module.ids[i].spec_id >= GPU_SPEC_MAX)
            TRY(status_fail(err, KARAT_ERR_FORMAT,
                            "a kernel has specialisation constant %u, the highest possible is %d",
                            module.ids[i].spec_id, GPU_SPEC_MAX - 1));
        if (module.ids[i].spec_id >= out->n_spec)
            out->n_spec = module.ids[i].spec_id + 1;
    }
    read_local_size(out, &module);
cleanup:
    for (uint32_t i = 0; i < module.bound; ++i)
        free(module.ids[i].members);
    free(module.ids);
    return status;
}
