// route_sort.comp -- sorts the pairs (token, rank) by expert and cuts the result into tiles of one expert each.
//
//   ids    u32 [n_pairs]    read: the expert of each pair
//   order  u32 [n_pairs]    written: pairs by expert, inside an expert by number
//   tiles  u32x4 [n_tiles]  written: expert, first index into order, pairs, 0; unused tiles hold no pairs
//
// An invocation per expert walks over all pairs twice: to count its own, and to write them behind those of the experts
// before it. So the order never depends on timing.
//
//   dispatch   (1, 1, 1)
//   requires   n_experts <= 256
//   cost       2 n_pairs steps
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/route_sort.h"

layout(local_size_x_id = ROUTE_SORT_WG_SIZE) in;

layout(binding = ROUTE_SORT_IDS) readonly buffer Ids { uint ids[]; };
layout(binding = ROUTE_SORT_ORDER) writeonly buffer Order { uint order[]; };
layout(binding = ROUTE_SORT_TILES) writeonly buffer Tiles { uvec4 tiles[]; };
layout(push_constant) uniform Params { route_sort_params p; };

shared uint counts[ROUTE_SORT_MAX_EXPERTS];

void main()
{
    const uint me = gl_LocalInvocationID.x;
    [[dont_unroll]] for (uint e = me; e < p.n_experts; e += gl_WorkGroupSize.x) {
        uint count = 0;
        [[dont_unroll]] for (uint i = 0; i < p.n_pairs; ++i)
            count += uint(ids[i] == e);
        counts[e] = count;
    }
    barrier();

    uint n_used_tiles = 0;
    [[dont_unroll]] for (uint e = 0; e < p.n_experts; ++e)
        n_used_tiles += (counts[e] + p.tile_pairs - 1) / p.tile_pairs;
    [[dont_unroll]] for (uint tile = n_used_tiles + me; tile < p.n_tiles; tile += gl_WorkGroupSize.x)
        tiles[tile] = uvec4(0);

    [[dont_unroll]] for (uint e = me; e < p.n_experts; e += gl_WorkGroupSize.x) {
        uint first = 0, tile = 0;
        [[dont_unroll]] for (uint before = 0; before < e; ++before) {
            first += counts[before];
            tile += (counts[before] + p.tile_pairs - 1) / p.tile_pairs;
        }
        [[dont_unroll]] for (uint done = 0; done < counts[e]; done += p.tile_pairs)
            tiles[tile++] = uvec4(e, first + done, min(counts[e] - done, p.tile_pairs), 0);
        [[dont_unroll]] for (uint i = 0; i < p.n_pairs; ++i)
            if (ids[i] == e)
                order[first++] = i;
    }
}
