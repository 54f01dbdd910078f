// shared/mat_mul_cm.h -- the signature of mat_mul_cm.comp. Operands and parameters are those of mat_vec.comp.
#ifndef SHARED_MAT_MUL_CM_H
#define SHARED_MAT_MUL_CM_H
#include "mat_vec.h"

#define MAT_MUL_CM_WG_SIZE 0  // specialisation ids; invocations: whole subgroups of the plan's size
#define MAT_MUL_CM_ROWS 1     // rows of the weight per workgroup
#define MAT_MUL_CM_COLS 2     // columns of x, or pairs of a tile, per workgroup
#define MAT_MUL_CM_SUB_ROWS 3 // of them per subgroup: a multiple of M that divides ROWS
#define MAT_MUL_CM_SUB_COLS 4 // a multiple of N that divides COLS
#define MAT_MUL_CM_M 5        // the device's cooperative matrices: M x K times K x N
#define MAT_MUL_CM_N 6
#define MAT_MUL_CM_K 7 // divides 32
#define MAT_MUL_CM_N_SPEC 8

// Activations are divided by this before they become f16, and products multiplied by it.
#define MAT_MUL_CM_X_SCALE 16
#define MAT_MUL_CM_HALF_MAX 65504 // the largest f16
#endif
