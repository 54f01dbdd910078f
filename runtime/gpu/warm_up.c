// gpu/warm_up.c -- kernels made ahead of their first use, on several threads.
#include "gpu/internal.h"

#include <stdlib.h>

#define THREADS_MAX 16

// ------------------------------------------------------------------------------------------------ the set

static bool is_wish(const struct gpu_kernel_wish *wish, const struct gpu_kernel_desc *desc, const uint32_t *spec)
{
    return wish->desc == desc && (desc->n_spec == 0 || memcmp(wish->spec, spec, desc->n_spec * sizeof *spec) == 0);
}

void gpu_kernel_set_add(struct gpu_kernel_set *set, const struct gpu_kernel_desc *desc, const uint32_t *spec)
{
    // A model needs about a hundred; the last ones are the likeliest to come again.
    for (size_t i = set->n; i-- > 0;)
        if (is_wish(&set->wishes[i], desc, spec))
            return;
    if (set->n == set->capacity) {
        const size_t capacity = set->capacity > 0 ? 2 * set->capacity : 64;
        struct gpu_kernel_wish *grown = realloc(set->wishes, capacity * sizeof *grown);
        if (!grown) {
            set->failed = true;
            return;
        }
        set->wishes = grown;
        set->capacity = capacity;
    }
    struct gpu_kernel_wish *wish = &set->wishes[set->n++];
    *wish = (struct gpu_kernel_wish){ .desc = desc };
    if (desc->n_spec > 0 && desc->n_spec <= GPU_SPEC_MAX)
        memcpy(wish->spec, spec, desc->n_spec * sizeof *spec);
}

void gpu_kernel_set_free(struct gpu_kernel_set *set)
{
    free(set->wishes);
    *set = (struct gpu_kernel_set){ 0 };
}

// ------------------------------------------------------------------------------------------------ making them

struct gpu_warm_up {
    struct gpu_device *device;
    struct gpu_kernel_set set;
    struct mutex mutex; // guards `next`
    size_t next;
    unsigned n_threads;
    struct thread *threads[THREADS_MAX];
};

static void make_kernels(void *user)
{
    struct gpu_warm_up *w = user;
    mutex_lock(&w->mutex);
    while (w->next < w->set.n) {
        const struct gpu_kernel_wish *wish = &w->set.wishes[w->next++];
        const struct gpu_kernel *kernel = NULL;
        mutex_unlock(&w->mutex);
        gpu_kernel_get(&kernel, w->device, wish->desc, wish->spec, NULL);
        mutex_lock(&w->mutex);
    }
    mutex_unlock(&w->mutex);
}

struct gpu_warm_up *gpu_warm_up_start(struct gpu_device *device, struct gpu_kernel_set *set)
{
    struct gpu_warm_up *w = calloc(1, sizeof *w);
    if (!w) {
        gpu_kernel_set_free(set);
        return NULL;
    }
    w->device = device;
    w->set = *set;
    *set = (struct gpu_kernel_set){ 0 };
    w->mutex = (struct mutex)MUTEX_INIT;
    const unsigned n_cpus = thread_cpu_count();
    const unsigned wanted = n_cpus < THREADS_MAX ? n_cpus : THREADS_MAX;
    while (w->n_threads < wanted && w->n_threads < w->set.n &&
           (w->threads[w->n_threads] = thread_start(make_kernels, w)))
        ++w->n_threads;
    if (w->n_threads == 0) {
        gpu_warm_up_stop(w);
        return NULL;
    }
    return w;
}

void gpu_warm_up_stop(struct gpu_warm_up *w)
{
    if (!w)
        return;
    mutex_lock(&w->mutex);
    w->next = w->set.n;
    mutex_unlock(&w->mutex);
    for (unsigned i = 0; i < w->n_threads; ++i)
        thread_join(w->threads[i]);
    gpu_kernel_set_free(&w->set);
    free(w);
}
