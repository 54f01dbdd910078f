// ops/twin_norm.c -- norms and the gated product in double.
#include <math.h>
#include <stddef.h>

#include "ops/twins_network.h"

static double rms_scale(const float *x, uint32_t n, double eps)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; ++i)
        sum += (double)x[i] * x[i];
    return 1 / sqrt(sum / n + eps);
}

void twin_rms_norm(double *y, const float *x, const float *w, uint32_t n_rows, uint32_t n_cols, double eps)
{
    for (uint32_t row = 0; row < n_rows; ++row, x += n_cols, y += n_cols) {
        const double scale = rms_scale(x, n_cols, eps);
        for (uint32_t i = 0; i < n_cols; ++i)
            y[i] = x[i] * scale * (w ? w[i] : 1.0);
    }
}

void twin_add_norm(double *y, const float *r, const float *x, const float *w, const float *scale, uint32_t n_rows,
                   uint32_t n_cols, double eps)
{
    twin_rms_norm(y, x, w, n_rows, n_cols, eps);
    for (size_t i = 0; i < (size_t)n_rows * n_cols; ++i)
        y[i] = (r[i] + y[i]) * (scale ? scale[0] : 1.0);
}

void twin_gelu_mul(double *y, const float *gu, uint32_t n_rows, uint32_t n_cols)
{
    for (uint32_t row = 0; row < n_rows; ++row, gu += 2 * (size_t)n_cols, y += n_cols)
        for (uint32_t i = 0; i < n_cols; ++i) {
            const double g = gu[i], u = gu[n_cols + i];
            y[i] = 0.5 * g * (1 + tanh(0.79788456080286535588 * (g + 0.044715 * g * g * g))) * u;
        }
}

void twin_head(double *y, const float *x, const float *w, const double *theta, uint32_t n_pairs, uint32_t head_size,
               uint64_t position, double eps)
{
    twin_rms_norm(y, x, w, 1, head_size, eps);
    for (uint32_t j = 0; theta && j < n_pairs; ++j) {
        const double angle = (double)position * theta[j], a = y[j], b = y[j + head_size / 2];
        y[j] = a * cos(angle) - b * sin(angle);
        y[j + head_size / 2] = b * cos(angle) + a * sin(angle);
    }
}
