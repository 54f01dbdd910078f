// gpu/hazards.h -- what has been read and written since the last barrier. Pure and fixed in size; private.
#ifndef GPU_HAZARDS_H
#define GPU_HAZARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes [begin, end) of the device's address space: buffers never overlap there, so no buffer is named.
struct hazard_range {
    uint64_t begin, end;
    bool reads, writes;
};

#define HAZARD_RANGES_MAX 512

struct hazards {
    struct hazard_range ranges[HAZARD_RANGES_MAX];
    size_t n_ranges;
};

// True when a step with these accesses must wait for an earlier one: a range overlaps and one of the two writes it.
// Also true when there is no room left to remember the step.
bool hazards_conflict(const struct hazards *hazards, const struct hazard_range *step, size_t n_ranges);

void hazards_add(struct hazards *hazards, const struct hazard_range *step, size_t n_ranges);
void hazards_clear(struct hazards *hazards); // after a barrier

#endif
