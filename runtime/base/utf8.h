// base/utf8.h -- UTF-8 as defined by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Length in bytes (1..4) of the valid character at text[0..size), 0 when none starts there. *code_point may be NULL.
size_t utf8_decode(const char *text, size_t size, uint32_t *code_point);

// How many bytes at text[0..size) are the beginning of a valid character that is cut off by the end; 0 when the
// bytes are a whole character or can never become one. A streaming reader keeps these bytes back.
size_t utf8_incomplete(const char *text, size_t size);

// Writes the character into text[0..4) and returns its length, 0 for a surrogate or a number above U+10FFFF.
size_t utf8_encode(char text[4], uint32_t code_point);

// True when all of text[0..size) is valid; otherwise *bad_offset (may be NULL) is the first byte that is not.
bool utf8_valid(const char *text, size_t size, size_t *bad_offset);

// Copies text into out[0..capacity), replacing broken bytes and control characters by '?' and never cutting a
// character in two; returns the bytes written (no terminator).
size_t utf8_clean(char *out, size_t capacity, const char *text, size_t size);

#endif
