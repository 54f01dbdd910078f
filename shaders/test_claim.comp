// y[i] += 1 for each place i of a grid, by workgroups that claim their tiles, for the tests of the gpu room.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/claim.h"

layout(local_size_x_id = 0) in; // one subgroup

layout(binding = 0) buffer Y { uint y[]; };
struct test_claim_params {
    uint32_t grid_x;
    claim_params claim;
};
layout(push_constant) uniform Params { test_claim_params p; };
#include "lib/claim.glsl"

void main()
{
    uvec2 place;
    [[dont_unroll]] while (claim_tile(place))
        if (subgroupElect())
            y[place.y * p.grid_x + place.x] += 1;
}
