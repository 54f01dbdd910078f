// engine/speed.c -- where a session's time goes, and what the device could do at best.
#include <stdlib.h>

#include "engine/engine.h"

// ------------------------------------------------------------------------------------------------ phases

#define WEIGHT_SUFFIX ".weight"

// Labels of products are the names of their tensors.
static void copy_name(char *out, size_t capacity, const char *label)
{
    size_t size = strlen(label);
    const size_t suffix = sizeof WEIGHT_SUFFIX - 1;
    if (size > suffix && strcmp(label + size - suffix, WEIGHT_SUFFIX) == 0)
        size -= suffix;
    size = size < capacity ? size : capacity - 1;
    memcpy(out, label, size);
    out[size] = '\0';
}

size_t karat_session_phases(struct karat_session *session, struct karat_phase *out, size_t capacity)
{
    const size_t n = gpu_recorder_report(session->recorder, NULL, 0);
    struct gpu_label_time *times = calloc(n + 1, sizeof *times);
    if (!times)
        return 0;
    gpu_recorder_report(session->recorder, times, n);
    for (size_t i = 0; i < n && i < capacity; ++i) {
        out[i] = (struct karat_phase){
            .kernel = times[i].kernel, .n = times[i].n, .ns = times[i].ns, .bytes = times[i].bytes
        };
        copy_name(out[i].name, sizeof out[i].name, times[i].label);
    }
    free(times);
    return n;
}

// ------------------------------------------------------------------------------------------------ bandwidth

#define BANDWIDTH_NOTE "bandwidth" // bytes per second

enum karat_status karat_model_bandwidth(struct karat_model *model, enum karat_bandwidth how, double *bytes_per_second,
                                        struct karat_error *err)
{
    uint64_t known = 0;
    *bytes_per_second = 0;
    if (!model->has_weights)
        return status_fail(err, KARAT_ERR_ARGUMENT, "the model was opened without its weights");
    if (how != KARAT_BANDWIDTH_AGAIN && gpu_device_recall(model->device, BANDWIDTH_NOTE, &known))
        *bytes_per_second = (double)known;
    if (how == KARAT_BANDWIDTH_KNOWN || *bytes_per_second > 0)
        return KARAT_OK;
    const enum karat_status status = op_probe_bandwidth(bytes_per_second, model->device, err);
    if (status == KARAT_OK)
        gpu_device_note(model->device, BANDWIDTH_NOTE, (uint64_t)*bytes_per_second);
    return status;
}
