// ops/pack.h -- rows of weights as the device wants them: planes of 32-bit words.
//
// The file keeps 32 or 256 weights, their scales and their high bits in one block of odd size. On the device a row is a
// few planes, one after the other, each an array over the row's groups of 32 weights, so that a group's codes are 16
// aligned bytes and its scales a word's half. The bits are the file's; only their order changes:
//
//     low     the low bits of the codes: 8, 4 or 2 bits each; for formats without codes the weights as they are
//     high    the high bits of the codes: 1 or 2 bits each
//     scale   what a group has of its own
//     head    what 8 groups share
//
// Codes that stand for signed numbers are stored in two's complement, which saves kernels a subtraction per weight.
// shaders/quant/<name>.glsl reads what this file writes.
#ifndef OPS_PACK_H
#define OPS_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "loader/qtype.h"

#define PACK_GROUP 32 // weights

// Whether rows of n_cols weights can be packed: whole groups and whole blocks, at least one.
bool pack_fits(enum qtype type, uint64_t n_cols);

// Bytes of a row on the device, a multiple of 16.
uint64_t pack_row_bytes(enum qtype type, uint64_t n_cols);

// Writes n_rows rows that lie side by side in the file to out[n_rows * pack_row_bytes()]. Any bytes are legal input.
void pack_rows(uint8_t *out, const uint8_t *rows, enum qtype type, uint64_t n_cols, uint64_t n_rows);

#endif
