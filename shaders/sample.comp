// sample.comp -- the next token, drawn from the best ones, becomes the next step's.
//
//   w[i] = exp((values[i] - values[best]) / temperature); the first top_k that may be drawn stay; of them the fewest
//   whose weights reach top_p of all; of them those of at least min_p; the one at the fraction draws[slot].x of their
//   weights is taken. slot = position % SLOTS.
//
//   ids      u32 [n]                        read; best first, as top_k.comp leaves them
//   values   f32 [n]                        read; after penalties. NaN and minus infinity are never drawn
//   scores   f32 [n_vocab]                  read with HAS_COUNTS; before penalties
//   draws    f32, u32 [SLOTS]               read; the fraction, and the token that leaves the window or NONE
//   step     u32 [4]                        its position goes up by one
//   next     u32 [1]                        written; the token
//   counts   u32 [n_vocab]                  with HAS_COUNTS; how often a token is among the last ones
//   results  u32 [SLOTS][2 + 2 * MAX]       written; the token, n, ids, scores before penalties
//
//   dispatch   (1, 1, 1)
//   precision  f32; the host repeats the draw in double from `results` and has the last word
//   cost       launch-bound: one lane sums at most 80 weights, in the order that the host sums them
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/sample.h"

layout(local_size_x_id = SAMPLE_WG_SIZE) in;
layout(constant_id = SAMPLE_HAS_COUNTS) const bool HAS_COUNTS = false;

layout(binding = SAMPLE_IDS) readonly buffer Ids { uint ids[]; };
layout(binding = SAMPLE_VALUES) readonly buffer Values { float values[]; };
layout(binding = SAMPLE_SCORES) readonly buffer Scores { float scores[]; };
layout(binding = SAMPLE_DRAWS) readonly buffer Draws { uvec2 draws[]; };
// One workgroup alone changes these two, after it has read them.
layout(binding = SAMPLE_STEP) buffer Step { uint position; };
layout(binding = SAMPLE_COUNTS) buffer Counts { uint counts[]; };
layout(binding = SAMPLE_NEXT) writeonly buffer Next { uint next; };
layout(binding = SAMPLE_RESULTS) writeonly buffer Results { uint results[]; };
layout(push_constant) uniform Params { sample_params p; };

#define MINUS_INFINITY uintBitsToFloat(0xFF800000u)

shared float value[SAMPLE_MAX], weight[SAMPLE_MAX];

bool may_be_drawn(uint id, float score)
{
    bool may = id < p.n_vocab && score > MINUS_INFINITY;
    [[dont_unroll]] for (uint i = 0; i < p.n_never; ++i)
        may = may && id != p.never[i];
    return may;
}

// Of the candidates with a weight the first top_k, cut by top_p and min_p, at the fraction `at`; 0 if there is none.
uint draw(float at)
{
    uint n_left = 0, end = 0;
    float sum = 0.0, reached = 0.0, kept = 0.0;
    [[dont_unroll]] for (; end < p.n && n_left < p.top_k; ++end) {
        n_left += value[end] > MINUS_INFINITY ? 1 : 0;
        sum += weight[end];
    }
    const float enough = p.top_p < 1.0 ? p.top_p * sum : 2.0 * sum;
    uint last = 0, i = 0;
    [[dont_unroll]] for (; i < end && reached < enough; ++i) {
        reached += weight[i];
        if (weight[i] >= p.min_p && weight[i] > 0.0) {
            kept += weight[i];
            last = i;
        }
    }
    reached = 0.0;
    [[dont_unroll]] for (i = 0; i < last; ++i) {
        if (weight[i] >= p.min_p)
            reached += weight[i];
        if (reached > at * kept)
            return i;
    }
    return last;
}

uint first_candidate()
{
    [[dont_unroll]] for (uint i = 0; i < p.n; ++i)
        if (value[i] > MINUS_INFINITY)
            return i;
    return 0;
}

void main()
{
    const uint slot = position % SAMPLE_SLOTS, to = slot * SAMPLE_RESULT_WORDS, lane = gl_LocalInvocationID.x;
    [[dont_unroll]] for (uint i = lane; i < p.n; i += gl_WorkGroupSize.x) {
        const uint id = ids[i];
        const bool may = may_be_drawn(id, values[i]);
        value[i] = may ? values[i] : MINUS_INFINITY;
        results[to + 2 + i] = id;
        results[to + 2 + SAMPLE_MAX + i] =
            floatBitsToUint(HAS_COUNTS ? scores[min(id, p.n_vocab - 1)] : values[i]);
    }
    barrier();
    const uint best = first_candidate();
    if (p.temperature > 0.0)
        [[dont_unroll]] for (uint i = lane; i < p.n; i += gl_WorkGroupSize.x) {
            // Two infinities have no difference; both are the best.
            const float at = value[i];
            weight[i] = at == value[best] ? 1.0 : exp((at - value[best]) / p.temperature);
            if (!(at > MINUS_INFINITY))
                weight[i] = 0.0;
        }
    barrier();
    if (lane != 0)
        return;

    const uint chosen = p.temperature > 0.0 ? draw(uintBitsToFloat(draws[slot].x)) : best;
    const uint id = min(ids[chosen], p.n_vocab - 1); // where nothing can be drawn the host will say so
    next = id;
    position = position + 1;
    results[to] = id;
    results[to + 1] = p.n;
    if (HAS_COUNTS) {
        const uint leaving = draws[slot].y;
        if (leaving < p.n_vocab)
            counts[leaving] = counts[leaving] - 1;
        counts[id] = counts[id] + 1;
    }
}
