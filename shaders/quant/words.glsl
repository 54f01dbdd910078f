// quant/words.glsl -- what every weight format needs: reading words at device addresses, and bytes as numbers.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words {
    uint v[];
};
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Words2 {
    uvec2 v[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Words4 {
    uvec4 v[];
};

#ifdef WIDE_LOADS
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Longs {
    uint64_t v[];
};
#endif

// The i-th 8 or 16 bytes at an address. Software devices load one component at a time for all lanes, so that 64-bit
// integers (-DWIDE_LOADS) halve the number of loads.
uvec2 words2_at(uvec2 address, uint i)
{
#ifdef WIDE_LOADS
    return unpack32(Longs(address).v[i]);
#else
    return Words2(address).v[i];
#endif
}

uvec4 words4_at(uvec2 address, uint i)
{
#ifdef WIDE_LOADS
    return uvec4(unpack32(Longs(address).v[2 * i]), unpack32(Longs(address).v[2 * i + 1]));
#else
    return Words4(address).v[i];
#endif
}

// A device address, low word first, so that no 64-bit integers are needed.
uvec2 address_plus(uvec2 address, uint bytes)
{
    uint carry;
    const uint low = uaddCarry(address.x, bytes, carry);
    return uvec2(low, address.y + carry);
}

// The half at index i of the 16-bit array at `address`.
float half_at(uvec2 address, uint i)
{
    return unpackHalf2x16(Words(address).v[i >> 1] >> (16 * (i & 1))).x;
}

// The 16 bits at index i.
uint u16_at(uvec2 address, uint i)
{
    return Words(address).v[i >> 1] >> (16 * (i & 1)) & 0xFFFFu;
}

// The low BITS bits of each byte, first byte first: as they are, or as two's complement.
//
// With -DCODES_IN_PLACE they come times the power of two that their place in the word gives them, which spares a shift
// and is undone exactly by code_factor(); and two's complement comes plus 2^(BITS - 1), the format's CODE_BIAS, since a
// sign would cost two shifts. The highest byte of a word must not look negative, so that whole bytes are shifted there.
#ifdef CODES_IN_PLACE
#define BYTES_UNSIGNED(w, BITS)                                                                                     \
    vec4(int((w) & BYTES_MASK(BITS)), int((w) & BYTES_MASK(BITS) << 8), int((w) & BYTES_MASK(BITS) << 16),         \
         int((BITS) == 8 ? (w) >> 24 : (w) & BYTES_MASK(BITS) << 24))
#define BYTES_SIGNED(w, BITS) BYTES_UNSIGNED((w) ^ 0x01010101u << ((BITS) - 1), BITS)
#define BYTES_MASK(BITS) ((1u << (BITS)) - 1)
#else
#define BYTES_UNSIGNED(w, BITS)                                                                       \
    vec4(int(bitfieldExtract(w, 0, BITS)), int(bitfieldExtract(w, 8, BITS)), int(bitfieldExtract(w, 16, BITS)), \
         int(bitfieldExtract(w, 24, BITS)))
#define BYTES_SIGNED(w, BITS)                                                                                 \
    vec4(bitfieldExtract(int(w), 0, BITS), bitfieldExtract(int(w), 8, BITS), bitfieldExtract(int(w), 16, BITS), \
         bitfieldExtract(int(w), 24, BITS))
#endif
