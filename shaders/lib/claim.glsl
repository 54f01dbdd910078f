// lib/claim.glsl -- workgroups claim the tiles of the grid, one after the other, until none is left.
//
// Software devices give each of their threads an equal share of the workgroups beforehand, so that a dispatch takes as
// long as the slowest thread. Where a workgroup makes tiles for as long as there are any, a thread that is ahead makes more
// of them. Nobody waits, so nothing is asked of the device's scheduling, and a tile comes out the same whoever makes it.
//
// The including shader has a push constant block named `p` whose last member is `claim`. Its workgroup is one subgroup.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_basic : require

layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer ClaimCounter {
    uint n_claimed;
};

// The next tile's place in the grid; false when no tile is left. Each workgroup asks in vain once, and the last of them
// sets the count back to zero for the next time.
bool claim_tile(out uvec2 tile)
{
    ClaimCounter counter = ClaimCounter(uvec2(p.claim.counter_low, p.claim.counter_high));
    uint number = 0;
    if (subgroupElect())
        number = atomicAdd(counter.n_claimed, 1);
    number = subgroupBroadcastFirst(number);
    if (number + 1 == p.claim.n_tiles + gl_NumWorkGroups.x && subgroupElect())
        atomicExchange(counter.n_claimed, 0);
    tile = uvec2(p.claim.first_x + number % p.claim.n_x, p.claim.first_y + number / p.claim.n_x);
    return number < p.claim.n_tiles;
}
