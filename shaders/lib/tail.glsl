// lib/tail.glsl -- a tail: a step that is done on rows which the product in front of it has just made, by the workgroup
// that finishes last. It saves the barrier, the dispatch and the drained device between the two.
//
// The rows of the product are cut into units, the workgroups of a unit count themselves in memory, and the last one sets
// the count back to zero for the next time. Nobody waits, so nothing is asked of the device's scheduling.
//
// The including shader binds y as `coherent writeonly`; the step reads it through a binding of its own.
layout(binding = TAIL_COUNTERS) coherent buffer Counters { uint counters[]; };

shared bool is_last;

// True in all invocations of the workgroup that comes last of n_groups; what the others wrote to coherent buffers before
// they called is visible to it then. Every invocation must call, in uniform control flow.
bool comes_last(uint counter, uint n_groups)
{
    memoryBarrierBuffer();
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        memoryBarrierBuffer();
        is_last = atomicAdd(counters[counter], 1) + 1 == n_groups;
        if (is_last)
            counters[counter] = 0;
    }
    barrier();
    memoryBarrierBuffer();
    return is_last;
}
