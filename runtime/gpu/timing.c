// gpu/timing.c -- device time summed per label.
#include <stdlib.h>

#include "gpu/internal.h"

#define LABELS_MAX 512

struct gpu_timing {
    struct gpu_label_time labels[LABELS_MAX];
    size_t n_labels;
};

struct gpu_timing *gpu_timing_create(void)
{
    return calloc(1, sizeof(struct gpu_timing));
}

void gpu_timing_destroy(struct gpu_timing *timing)
{
    free(timing);
}

void gpu_timing_add(struct gpu_timing *timing, const char *label, uint64_t ns)
{
    size_t i = 0;
    while (i < timing->n_labels && timing->labels[i].label != label && strcmp(timing->labels[i].label, label) != 0)
        ++i;
    if (i == LABELS_MAX) // the last row takes what does not fit
        --i;
    else if (i == timing->n_labels)
        timing->labels[timing->n_labels++] = (struct gpu_label_time){ .label = i + 1 < LABELS_MAX ? label : "other" };
    ++timing->labels[i].n;
    timing->labels[i].ns += ns;
}

static int longest_first(const void *a, const void *b)
{
    const struct gpu_label_time *left = a, *right = b;
    return left->ns < right->ns ? 1 : left->ns > right->ns ? -1 : strcmp(left->label, right->label);
}

size_t gpu_timing_report(struct gpu_timing *timing, struct gpu_label_time *out, size_t capacity)
{
    qsort(timing->labels, timing->n_labels, sizeof timing->labels[0], longest_first);
    for (size_t i = 0; i < timing->n_labels && i < capacity; ++i)
        out[i] = timing->labels[i];
    return timing->n_labels;
}

void gpu_timing_reset(struct gpu_timing *timing)
{
    timing->n_labels = 0;
}
