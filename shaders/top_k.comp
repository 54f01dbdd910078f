// top_k.comp -- the k largest of each chunk of each row, best first; equal ones by lower id.
//
//   x       f32 [n_rows][n_cols]       read
//   x_ids   u32 [n_rows][n_cols]       read; without HAS_IDS an element's id is its column
//   counts  u32 [n_cols]               read with HAS_COUNTS: a token that is there is penalised as text/sampler.h says
//   ids     u32 [n_rows][n_chunks][k]  written; TOP_K_NONE where a chunk has fewer than k
//   values  f32 [n_rows][n_chunks][k]  written
//
// Run twice: over chunks of the scores, then over the chunks' winners as one chunk. The columns of a chunk lie in CELLS
// cells; the k-th best of the cells' best bounds the k-th best of all from below, so that few elements are left to be
// ranked. Where they are too many, each of k rounds finds the best element after the last winner.
//
//   dispatch   (n_chunks, n_rows, 1)
//   precision  exact but for the division of a penalty; NaN is below everything
//   cost       two passes over a chunk, the second over k of its cells
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "shared/top_k.h"

layout(local_size_x_id = TOP_K_WG_SIZE) in;
layout(constant_id = TOP_K_HAS_IDS) const bool HAS_IDS = false;
layout(constant_id = TOP_K_HAS_COUNTS) const bool HAS_COUNTS = false;

layout(binding = TOP_K_X) readonly buffer X { float x[]; };
layout(binding = TOP_K_X_IDS) readonly buffer XIds { uint x_ids[]; };
layout(binding = TOP_K_COUNTS) readonly buffer Counts { uint counts[]; };
layout(binding = TOP_K_IDS) writeonly buffer Ids { uint ids[]; };
layout(binding = TOP_K_VALUES) writeonly buffer Values { float values[]; };
layout(push_constant) uniform Params { top_k_params p; };

#define CELLS 256
#define FOUND_MAX 1600 // k cells of the second run have no more for 80 winners of 64 chunks

// Elements are key, ~id.
shared uvec2 cells[CELLS], found[FOUND_MAX], floor_element;
shared uint n_found;

// Unsigned numbers in the order of the floats: 0 for NaN, and both zeros the same.
uint key_of(float value)
{
    if (isnan(value))
        return 0;
    const uint bits = floatBitsToUint(value + 0.0);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

float value_of(uint key)
{
    return uintBitsToFloat((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

// a comes after b: the smaller key, or the higher id, which is the smaller complement.
bool is_below(uvec2 a, uvec2 b)
{
    return a.x < b.x || (a.x == b.x && a.y < b.y);
}

uvec2 workgroup_best(uvec2 mine)
{
    const uint key = subgroupMax(mine.x);
    const uint id = subgroupMax(mine.x == key ? mine.y : 0);
    barrier(); // the parts of the round before may still be read
    if (subgroupElect())
        cells[gl_SubgroupID] = uvec2(key, id);
    barrier();
    uvec2 best = uvec2(0);
    [[dont_unroll]] for (uint i = 0; i < gl_NumSubgroups; ++i)
        if (is_below(best, cells[i]))
            best = cells[i];
    return best;
}

float penalised(float score, uint count)
{
    if (count == 0)
        return score;
    return (score > 0.0 ? score / p.repeat : score * p.repeat) - float(count) * p.frequency - p.presence;
}

uvec2 element(uint row, uint i)
{
    const uint at = row * p.n_cols + i;
    const float score = x[at];
    return uvec2(key_of(HAS_COUNTS ? penalised(score, counts[i]) : score), ~(HAS_IDS ? x_ids[at] : i));
}

void write(uint at, uvec2 winner)
{
    ids[at] = ~winner.y;
    values[at] = value_of(winner.x);
}

// Leaves in found[] what may be among the k best, and always the k best where the chunk has so many.
void find(uint row, uint begin, uint end)
{
    const uint lane = gl_LocalInvocationID.x;
    if (lane == 0) {
        n_found = 0;
        floor_element = uvec2(0);
    }
    [[dont_unroll]] for (uint c = lane; c < CELLS; c += gl_WorkGroupSize.x) {
        uvec2 best = uvec2(0); // no element
        [[dont_unroll]] for (uint i = begin + c; i < end; i += CELLS) {
            const uvec2 mine = element(row, i);
            best = is_below(best, mine) ? mine : best;
        }
        cells[c] = best;
    }
    barrier();
    [[dont_unroll]] for (uint c = lane; c < CELLS; c += gl_WorkGroupSize.x) {
        const uvec2 mine = cells[c];
        uint rank = 0;
        [[dont_unroll]] for (uint i = 0; i < CELLS; ++i)
            rank += is_below(mine, cells[i]) ? 1 : 0;
        if (rank == p.k - 1 && mine != uvec2(0))
            floor_element = mine;
    }
    barrier();
    [[dont_unroll]] for (uint c = lane; c < CELLS; c += gl_WorkGroupSize.x) {
        if (is_below(cells[c], floor_element))
            continue;
        [[dont_unroll]] for (uint i = begin + c; i < end; i += CELLS) {
            const uvec2 mine = element(row, i);
            if (is_below(mine, floor_element) || mine == uvec2(0))
                continue;
            const uint at = atomicAdd(n_found, 1);
            if (at < FOUND_MAX)
                found[at] = mine;
        }
    }
    barrier();
}

void write_ranked(uint to, uint n)
{
    const uint lane = gl_LocalInvocationID.x;
    [[dont_unroll]] for (uint f = lane; f < n; f += gl_WorkGroupSize.x) {
        const uvec2 mine = found[f];
        uint rank = 0;
        [[dont_unroll]] for (uint i = 0; i < n; ++i)
            rank += is_below(mine, found[i]) ? 1 : 0;
        if (rank < p.k)
            write(to + rank, mine);
    }
    [[dont_unroll]] for (uint f = n + lane; f < p.k; f += gl_WorkGroupSize.x)
        write(to + f, uvec2(0));
}

void write_by_rounds(uint to, uint row, uint begin, uint end)
{
    uvec2 last = uvec2(0xFFFFFFFFu);
    [[dont_unroll]] for (uint k = 0; k < p.k; ++k) {
        uvec2 best = uvec2(0);
        [[dont_unroll]] for (uint i = begin + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x) {
            const uvec2 mine = element(row, i);
            if (is_below(mine, last) && is_below(best, mine))
                best = mine;
        }
        last = workgroup_best(best);
        if (gl_LocalInvocationID.x == 0)
            write(to + k, last);
    }
}

void main()
{
    const uint row = gl_WorkGroupID.y, begin = gl_WorkGroupID.x * p.chunk, end = min(begin + p.chunk, p.n_cols);
    const uint to = (row * p.n_chunks + gl_WorkGroupID.x) * p.k;
    find(row, begin, end);
    const uint n = n_found;
    if (n <= FOUND_MAX)
        write_ranked(to, n);
    else
        write_by_rounds(to, row, begin, end);
}
