// base/utf8.c -- see utf8.h.
#include "base/utf8.h"

#include <string.h>

// Length that the first byte announces; 0 for a byte that cannot start a character.
static size_t announced_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    if (first >= 0xF0 && first <= 0xF4)
        return 4;
    return 0;
}

// The second byte has a narrower range after E0, ED, F0 and F4; that is where overlong forms and surrogates hide.
static bool valid_continuation(unsigned char first, size_t index, unsigned char byte)
{
    unsigned char low = 0x80, high = 0xBF;
    if (index == 1) {
        if (first == 0xE0)
            low = 0xA0;
        else if (first == 0xED)
            high = 0x9F;
        else if (first == 0xF0)
            low = 0x90;
        else if (first == 0xF4)
            high = 0x8F;
    }
    return byte >= low && byte <= high;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *code_point)
{
    if (size == 0)
        return 0;
    const unsigned char *bytes = (const unsigned char *)text;
    const size_t length = announced_length(bytes[0]);
    if (length == 0 || length > size)
        return 0;
    uint32_t value = length == 1 ? bytes[0] : bytes[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; ++i) {
        if (!valid_continuation(bytes[0], i, bytes[i]))
            return 0;
        value = value << 6 | (bytes[i] & 0x3F);
    }
    if (code_point)
        *code_point = value;
    return length;
}

size_t utf8_incomplete(const char *text, size_t size)
{
    if (size == 0)
        return 0;
    const unsigned char *bytes = (const unsigned char *)text;
    const size_t length = announced_length(bytes[0]);
    if (length == 0 || size >= length)
        return 0;
    for (size_t i = 1; i < size; ++i)
        if (!valid_continuation(bytes[0], i, bytes[i]))
            return 0;
    return size;
}

size_t utf8_encode(char text[4], uint32_t code_point)
{
    if (code_point < 0x80) {
        text[0] = (char)code_point;
        return 1;
    }
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF))
        return 0;
    const size_t length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; --i) {
        text[i] = (char)(0x80 | (code_point & 0x3F));
        code_point >>= 6;
    }
    text[0] = (char)((0xF00u >> length & 0xF0) | code_point);
    return length;
}

bool utf8_valid(const char *text, size_t size, size_t *bad_offset)
{
    for (size_t at = 0; at < size;) {
        const size_t length = utf8_decode(text + at, size - at, NULL);
        if (length == 0) {
            if (bad_offset)
                *bad_offset = at;
            return false;
        }
        at += length;
    }
    return true;
}

size_t utf8_clean(char *out, size_t capacity, const char *text, size_t size)
{
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(text + at, size - at, &code_point);
        const bool printable = length > 0 && code_point >= 0x20 && !(code_point >= 0x7F && code_point < 0xA0);
        const size_t wanted = printable ? length : 1;
        if (wanted > capacity - used)
            break;
        if (printable)
            memcpy(out + used, text + at, length);
        else
            out[used] = '?';
        used += wanted;
        at += length > 0 ? length : 1;
    }
    return used;
}
