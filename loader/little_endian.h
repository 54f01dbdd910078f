// loader/little_endian.h -- numbers as files store them, at any address.
#ifndef LOADER_LITTLE_ENDIAN_H
#define LOADER_LITTLE_ENDIAN_H

#include <stdint.h>
#include <string.h>

// Byte by byte, so that neither alignment nor the machine's own order matters; compilers make one load of it.
static inline uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t load_u32(const uint8_t *p)
{
    return load_u16(p) | (uint32_t)load_u16(p + 2) << 16;
}

static inline uint64_t load_u64(const uint8_t *p)
{
    return load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
}

static inline float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float load_f32(const uint8_t *p)
{
    return float_of_bits(load_u32(p));
}

static inline double load_f64(const uint8_t *p)
{
    const uint64_t bits = load_u64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
