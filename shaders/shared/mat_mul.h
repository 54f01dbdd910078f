// shared/mat_mul.h -- the signature of mat_mul.comp. Operands and parameters are those of mat_vec.comp.
#ifndef SHARED_MAT_MUL_H
#define SHARED_MAT_MUL_H
#include "mat_vec.h"

#define MAT_MUL_N_BUFFERS_EXPERTS 5 // without the planes of a second weight

#define MAT_MUL_COLS 0 // specialisation id: columns of x, or pairs of a tile, per workgroup; a multiple of 8
#define MAT_MUL_N_SPEC 1

#define MAT_MUL_WG_SIZE 128
#define MAT_MUL_ROWS 64 // rows of the weight per workgroup
#endif
