// gpu/claims.c -- see recorder.h: kernels whose workgroups claim their tiles.
#include <assert.h>
#include <string.h>

#include "gpu/recorder.h"

// Counters are used in turn, one per slice, and all of them again after a barrier.
#define COUNTERS_MAX 64u

enum karat_status claims_open(struct gpu_recorder *r, struct karat_error *err)
{
    if (r->claims)
        return KARAT_OK;
    const struct gpu_buffer_options options = { .size_bytes = COUNTERS_MAX * sizeof(uint32_t),
                                                .memory = GPU_MEMORY_UPLOAD,
                                                .name = "claims" };
    const enum karat_status status = gpu_buffer_create(&r->claims, r->device, &options, err);
    if (status == KARAT_OK)
        memset(gpu_buffer_map(r->claims), 0, options.size_bytes);
    return status;
}

bool claims_are_spent(const struct gpu_recorder *r)
{
    return r->n_claims == COUNTERS_MAX;
}

uint32_t claims_take(struct gpu_recorder *r, uint8_t *params, uint32_t params_bytes, const struct box *box)
{
    assert(r->n_claims < COUNTERS_MAX);
    const uint64_t counter = gpu_buffer_address(r->claims) + sizeof(uint32_t) * r->n_claims++;
    const struct gpu_claim claim = {
        .counter_low = (uint32_t)counter,
        .counter_high = (uint32_t)(counter >> 32),
        .first_x = box->base[0],
        .first_y = box->base[1],
        .n_x = box->count[0],
        .n_tiles = box->count[0] * box->count[1],
    };
    memcpy(params + params_bytes - sizeof claim, &claim, sizeof claim);
    return claim.n_tiles < GPU_CLAIM_WORKGROUPS ? claim.n_tiles : GPU_CLAIM_WORKGROUPS;
}
