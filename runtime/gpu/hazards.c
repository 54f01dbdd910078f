// gpu/hazards.c -- see hazards.h. Barriers are frequent, so the list stays short and is searched from end to end.
#include "gpu/hazards.h"

#include <assert.h>

static bool clash(const struct hazard_range *a, const struct hazard_range *b)
{
    const bool empty = a->begin >= a->end || b->begin >= b->end;
    return !empty && a->begin < b->end && b->begin < a->end && (a->writes || b->writes);
}

bool hazards_conflict(const struct hazards *hazards, const struct hazard_range *step, size_t n_ranges)
{
    if (n_ranges > HAZARD_RANGES_MAX - hazards->n_ranges)
        return true;
    for (size_t i = 0; i < hazards->n_ranges; ++i)
        for (size_t k = 0; k < n_ranges; ++k)
            if (clash(&hazards->ranges[i], &step[k]))
                return true;
    return false;
}

void hazards_add(struct hazards *hazards, const struct hazard_range *step, size_t n_ranges)
{
    assert(n_ranges <= HAZARD_RANGES_MAX - hazards->n_ranges && "a conflict was asked for first");
    for (size_t k = 0; k < n_ranges; ++k)
        if (step[k].begin < step[k].end && (step[k].reads || step[k].writes))
            hazards->ranges[hazards->n_ranges++] = step[k];
}

void hazards_clear(struct hazards *hazards)
{
    hazards->n_ranges = 0;
}
