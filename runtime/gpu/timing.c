// gpu/timing.c -- device time and bytes summed per label and kernel.
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

static bool same_text(const char *a, const char *b)
{
    return a == b || strcmp(a, b) == 0;
}

void gpu_timing_add(struct gpu_timing *timing, const char *label, const char *kernel, uint64_t ns, uint64_t bytes)
{
    size_t i = 0;
    while (i < timing->n_labels &&
           !(same_text(timing->labels[i].label, label) && same_text(timing->labels[i].kernel, kernel)))
        ++i;
    if (i == LABELS_MAX) // the last row takes what does not fit
        --i;
    else if (i == timing->n_labels)
        timing->labels[timing->n_labels++] = i + 1 < LABELS_MAX
                                                 ? (struct gpu_label_time){ .label = label, .kernel = kernel }
                                                 : (struct gpu_label_time){ .label = "other", .kernel = "" };
    ++timing->labels[i].n;
    timing->labels[i].ns += ns;
    timing->labels[i].bytes += bytes;
}

static int longest_first(const void *a, const void *b)
{
    const struct gpu_label_time *left = a, *right = b;
    if (left->ns != right->ns)
        return left->ns < right->ns ? 1 : -1;
    const int by_label = strcmp(left->label, right->label);
    return by_label != 0 ? by_label : strcmp(left->kernel, right->kernel);
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
